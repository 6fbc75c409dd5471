"""What authors get: the header, and the examples that are made with it and with the crate."""

import json
import os
import re
import shutil
import subprocess
import sys
from ctypes import Structure, c_char, c_uint8, c_uint32, sizeof
from pathlib import Path

import plugins_build
import pytest

import gmemx

if not sys.platform.startswith("linux"):
    pytest.skip("plugins are for Linux", allow_module_level=True)

from gmemx.plugin import (
    HandlerError,
    InitializationFailedError,
    LifecycleState,
    LogLevel,
    NativePluginLoader,
    PluginConfig,
    PluginException,
    PluginInternalError,
    SerializationError,
)

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "plugin-authoring.md").read_text(encoding="utf-8")
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
INCLUDE = f"-I{gmemx.get_include()}"
CC = os.environ.get("CC", "cc").split()

# A whole plugin, as short as can be.
SMALL = """
#include <gmemx_plugin.h>

static gmemx_plugin_buffer call(const char *tag, const uint8_t *request, size_t len) {
    (void)request;
    if (strcmp(tag, "length")) return gmemx_plugin_unknown(tag);
    char text[32];
    const int n = snprintf(text, sizeof text, "%zu", len);
    return gmemx_plugin_success(text, (size_t)n);
}

static gmemx_plugin_response call_raw(uint32_t id, const void *request, size_t len) {
    return id == 1 ? gmemx_plugin_bytes(request, len) : gmemx_plugin_failure(7, "no");
}

static const gmemx_plugin_functions functions = {call, call_raw, NULL, NULL};
GMEMX_PLUGIN(functions)
"""


class EchoRequestRaw(Structure):
    _pack_ = 1
    _fields_ = (
        ("version", c_uint8),
        ("_reserved", c_uint8 * 3),
        ("message", c_char * 256),
        ("message_len", c_uint32),
    )


class EchoResponseRaw(Structure):
    _pack_ = 1
    _fields_ = (*EchoRequestRaw._fields_, ("length", c_uint32))


def compiled(folder, source, command, *flags, suffix=".c"):
    path = folder / f"source{suffix}"
    path.write_text(source)
    made = folder / "made.so"
    done = subprocess.run(
        [*command, *STRICT, INCLUDE, *flags, "-shared", "-fPIC", str(path), "-o", str(made)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return made


def exports(library):
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in listing.stdout.splitlines()}


@pytest.fixture(params=["echo", "calculator"])
def example(request):
    """Each example, loaded."""
    with NativePluginLoader.load(getattr(plugins_build, request.param)()) as plugin:
        yield plugin


@pytest.mark.parametrize("standard", ["c99", "c11", "gnu17"])
def test_the_header_in_c(tmp_path, standard):
    """It includes all it needs, may come twice, and is not in the way unused."""
    both = '#include "gmemx_plugin.h"\n' * 2
    compiled(tmp_path, both + "int nothing;\n", [*CC, f"-std={standard}"])
    assert "unused" not in both
    compiled(tmp_path, SMALL, [*CC, f"-std={standard}"], "-Wno-declaration-after-statement")


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_the_header_in_cpp(tmp_path):
    """A plugin in C++ has the same functions, under their C names."""
    made = compiled(tmp_path, SMALL, ["c++", "-std=c++11"], suffix=".cpp")
    assert set(plugins_build.REQUIRED) <= exports(made)
    with NativePluginLoader.load(made) as plugin:
        assert plugin.call("length", "[1, 2]") == "6"


def test_a_small_plugin(tmp_path):
    """JSON alone; one more line is the binary transport."""
    made = compiled(tmp_path, SMALL, [*CC, "-std=c11"])
    assert exports(made) == set(plugins_build.REQUIRED)
    with NativePluginLoader.load(made) as plugin:
        assert plugin.call("length", "[1, 2]") == "6"
        assert not plugin.has_binary_transport
    made = compiled(tmp_path, SMALL + "GMEMX_PLUGIN_BINARY(functions)\n", [*CC, "-std=c11"])
    assert exports(made) == {*plugins_build.REQUIRED, *plugins_build.BINARY}
    with NativePluginLoader.load(made) as plugin:
        assert plugin.call_raw_bytes(1, b"bytes") == b"bytes"
        with pytest.raises(HandlerError, match="no"):
            plugin.call_raw(2, b"")


def test_the_echo_compiles_strictly(tmp_path):
    """As its own comment says."""
    source = (plugins_build.EXAMPLES / "echo" / "echo.c").read_text()
    compiled(tmp_path, source, [*CC, "-std=c11"], "-O2")


def test_what_is_json():
    """The header's judge of JSON agrees with Python's."""
    good = [
        *("{}", "[]", "0", "-0", "-1.5e-7", "1E+2", "true", "false", "null", '""', "[[[[]]]]"),
        *(
            ' [ 1 , "a" ] ',
            '{"a": {"b": [null, {}]}}',
            '"\\u00e9\\n\\\\\\""',
            "\t\r\n 1\n",
            '"é 世界 🎉"',
        ),
    ]
    bad = [
        *("", " ", "{", "}", "[1,]", "[,1]", "{,}", '{"a"}', '{"a":}', "{a: 1}", "[1 2]", "01"),
        *("1.", ".5", "-", "+1", "1e", "tru", "truee", "nul", '"', '"\\x"', '"\\u12g4"', '"\\u12"'),
        *("'a'", '"\n"', "{} {}", "1 2", '{"a": 1,}', "[1}", "\x00", "null\x00"),
    ]
    encodings = [b'"\xff"', b'"\xc3"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"']
    for text in good:
        json.loads(text)
    for text in (*bad, *encodings):
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
            json.loads(text if isinstance(text, str) else text.decode())
    with NativePluginLoader.load(plugins_build.echo()) as plugin:
        for text in good:
            assert json.loads(plugin.call("echo", text)) == json.loads(text)
        for text in (*bad, *encodings, "[" * 1000 + "]" * 1000):
            with pytest.raises(SerializationError, match="not JSON"):
                plugin.call("echo", text)


def test_the_struct_of_both_examples(example):
    """The seed's structures, by the same number."""
    request = EchoRequestRaw(version=1, message=b"Hello", message_len=5)
    response = EchoResponseRaw.from_buffer_copy(
        example.call_raw(1, request, sizeof(EchoResponseRaw))
    )
    assert (response.version, response.message, response.message_len) == (1, b"Hello", 5)
    assert response.length == 5
    assert example.call_raw(1, request, EchoResponseRaw).length == 5
    for wrong in (b"", bytes(263), bytes(265)):
        with pytest.raises(SerializationError):
            example.call_raw(1, wrong)
    for size in (0, 1, 100_000):
        assert example.call_raw_bytes(2, bytes(size)) == bytes(size)


def test_the_calculator():
    """Sums, failures, and a panic, after which it takes no more calls."""
    messages = []
    with NativePluginLoader.load(
        plugins_build.calculator(),
        PluginConfig(log_level=LogLevel.DEBUG),
        lambda *message: messages.append(message),
    ) as plugin:
        assert plugin.call("math.add", '{"a": 42, "b": 58}') == '{"result":100}'
        assert json.loads(plugin.call("echo", '{"message": "é"}')) == {"message": "é", "length": 2}
        with pytest.raises(HandlerError, match="64 bits"):
            plugin.call("math.add", json.dumps({"a": 2**63 - 1, "b": 1}))
        with pytest.raises(HandlerError, match="it fails"):
            plugin.call("math.fail", '{"a": 1, "b": 2}')
        with pytest.raises(SerializationError, match="missing field `b`"):
            plugin.call("math.add", '{"a": 1}')
        with pytest.raises(PluginInternalError, match="panicked: 1 and 2"):
            plugin.call("math.panic", '{"a": 1, "b": 2}')
        assert plugin.state is LifecycleState.FAILED
        with pytest.raises(PluginException) as caught:
            plugin.call("math.add", '{"a": 1, "b": 2}')
        assert caught.value.error_code == 1
    assert (LogLevel.DEBUG, "calculator_plugin", "an echo of 2 bytes") in messages
    assert any(level is LogLevel.ERROR and "1 and 2" in text for level, _, text in messages)


def test_configurations_of_the_examples():
    """All keys are taken, and the level is heeded from the start."""
    for library in (plugins_build.echo(), plugins_build.calculator()):
        config = PluginConfig(
            data={"log_level": "off"}, init_params={"n": 1}, worker_threads=2, max_concurrent_ops=0
        )
        NativePluginLoader.load(library, config).shutdown()
        for level, expected in ((LogLevel.DEBUG, {"DEBUG"}), (LogLevel.ERROR, set())):
            messages = []
            config = PluginConfig(log_level=level, data={"log_level": "trace"})
            with NativePluginLoader.load(
                library, config, lambda *message, to=messages: to.append(message)
            ) as plugin:
                plugin.call("echo", '{"message": "Hello"}')
            assert {level.name for level, *_ in messages} - {"INFO"} == expected


def test_a_start_that_says_no():
    """The plugin is not loaded."""
    path = plugins_build.folder() / "refuser.c"
    start = "static bool start(const uint8_t *c, size_t n) { (void)c; (void)n; return false; }\n"
    path.write_text(
        SMALL.replace("static const", start + "static const").replace("NULL, NULL", "start, NULL")
    )
    with pytest.raises(InitializationFailedError, match="did not start"):
        NativePluginLoader.load(plugins_build.compile_c(path, "refuser"))


def block(language):
    """What the guide shows in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return found


def test_the_guide_in_c(tmp_path):
    """Its plugin compiles, and answers in both ways."""
    with NativePluginLoader.load(compiled(tmp_path, block("c"), [*CC, "-std=c11"])) as plugin:
        assert plugin.call("echo", '{"a": 1}') == '{"a": 1}'
        assert plugin.call_raw_bytes(1, b"bytes") == b"bytes"


def test_the_guide_in_rust():
    """Its plugin is the one of the crate's own page, which cargo tests."""
    page = (ROOT / "rustlib" / "plugin-kit" / "src" / "lib.rs").read_text(encoding="utf-8")
    lines = [line.removeprefix("//!").removeprefix(" ") for line in page.splitlines()]
    assert block("rust") in "\n".join(lines)


def test_the_guide_tells_of_every_function():
    """The header's prototypes, and nothing else."""
    header = (Path(gmemx.get_include()) / "gmemx_plugin.h").read_text()
    declared = set(re.findall(r"^GMEMX_PLUGIN_EXPORT .*?(\w+)\(", header, re.MULTILINE))
    assert declared == {
        *plugins_build.REQUIRED,
        *plugins_build.BINARY,
        "plugin_create_with_config",
    }
    told = set(re.findall(r"^\| `[^`]*?\b(\w+)\([^`]*`", GUIDE, re.MULTILINE))
    assert declared <= told


def test_the_example(tmp_path):
    """examples/plugin.py, from its build to its end."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "plugin.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[INFO] echo: started",
        '{"message": "by tag"}',
        "Message(message='typed')",
        "29 bytes: b'bytes'",
        "3 answers",
        "499500 is the sum of a thousand",
        "UnknownMessageTypeError 6 unknown message type: nothing",
        "STOPPED",
    ]


def test_the_example_in_cython(tmp_path):
    """A loop without the GIL, in an extension that links to nothing of gmemx."""
    folder = ROOT / "examples" / "cython"
    shutil.copy(folder / "calls.pyx", tmp_path)
    setup = re.sub(r"names = \[.*\]", 'names = ["calls"]', (folder / "setup.py").read_text())
    (tmp_path / "setup.py").write_text(setup)
    source = (
        "import sys, calls\n"
        "from gmemx.plugin import NativePluginLoader, UnknownMessageTypeError\n"
        "with NativePluginLoader.load(sys.argv[1]) as plugin:\n"
        "    print(calls.longest(plugin, 2, b'twelve bytes', 1000))\n"
        "    try:\n"
        "        calls.longest(plugin, 7, b'', 1)\n"
        "    except UnknownMessageTypeError as error:\n"
        "        print(error.error_code)\n"
    )
    for command in (
        ["setup.py", "--quiet", "build_ext", "--inplace"],
        ["-c", source, str(plugins_build.echo())],
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["12", "6"]
