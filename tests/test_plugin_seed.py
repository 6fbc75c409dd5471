"""Every snippet of the seed runs as it is printed, but for what is imported."""

import asyncio
import json

import plugins_build
import pytest
from plugins import SEED, linux_only, snippets

pytestmark = linux_only

# What each is run with; a heading's snippets share their names, as a reader's would.
HEADINGS = [
    "From Raw Library",
    "Making JSON Calls",
    "Type-Safe Calls with Dataclasses",
    "Using Pydantic (Recommended)",
    "Configuration",
    "Logging",
    "Make Binary Calls",
    "Error Handling",
    "Async Usage with asyncio",
    "Monitoring",
    "Context Manager Pattern",
    "Complete Example",
]


@pytest.fixture
def names(monkeypatch):
    """The calculator, under the names that the snippets take for granted."""
    from gmemx.plugin import NativePluginLoader

    path = str(plugins_build.calculator())
    with NativePluginLoader.load(path) as plugin:
        yield {"plugin": plugin, "plugin_path": path, "json": json, "__name__": "seed"} | {
            "NativePluginLoader": NativePluginLoader
        }


def ran(heading, names, paths=None):
    """Runs the snippets of a heading, in which paths may be others."""
    for block in snippets()[heading]:
        for before, after in (paths or {}).items():
            assert before in block
            block = block.replace(before, after)
        exec(compile(block, heading, "exec"), names)
    return names


def test_the_seed_is_what_is_run():
    """Each snippet of it belongs to a test of this file."""
    tested = {*HEADINGS, "From Bundle (Recommended)", "Define Structures", "Concurrent Calls"}
    assert set(snippets()) == tested
    assert "rustbridge.core" in SEED.read_text()


def test_from_raw_library(names, capsys):
    ran("From Raw Library", names, paths={"target/release/libmyplugin.so": names["plugin_path"]})
    assert json.loads(capsys.readouterr().out) == {"message": "Hello", "length": 5}


def test_from_bundle(names, capsys, tmp_path, monkeypatch):
    from gmemx.plugin import write_bundle

    libraries = {("linux-x86_64", "release"): names["plugin_path"]}
    monkeypatch.chdir(tmp_path)
    write_bundle("my-plugin-1.0.0.rbp", name="my-plugin", version="1.0.0", libraries=libraries)
    ran("From Bundle (Recommended)", names)
    assert json.loads(capsys.readouterr().out) == {"message": "Hello", "length": 5}


def test_json_calls(names, capsys):
    ran("Making JSON Calls", names)
    assert "Message: Hello\nLength: 5" in capsys.readouterr().out


def test_dataclasses(names, capsys):
    ran("Type-Safe Calls with Dataclasses", names)
    assert capsys.readouterr().out == "Message: Hello, Python!\nLength: 14\n"


def test_pydantic(names, capsys):
    pytest.importorskip("pydantic")
    ran("Using Pydantic (Recommended)", names)
    assert capsys.readouterr().out == "message='Hello!' length=6\n"


def test_configuration(names):
    ran("Configuration", names)
    assert names["config"].to_dict()["max_concurrent_ops"] == 100


def test_logging(names):
    ran("Logging", names)
    assert names["plugin"].closed


def test_binary(names, capsys):
    ran("Define Structures", names)
    ran("Make Binary Calls", names)
    assert capsys.readouterr().out == "Length: 5\n"
    assert names["response"].message == b"Hello"


def test_errors(names, capsys):
    ran("Error Handling", names)
    code, message, meaning = capsys.readouterr().out.splitlines()
    assert (code, meaning) == ("Error code: 6", "Unknown message type")
    assert message.startswith("Message: ")
    assert "{" not in message


def test_async(names, capsys):
    ran("Async Usage with asyncio", names)
    assert json.loads(capsys.readouterr().out)["length"] == 5
    ran("Concurrent Calls", names)
    assert capsys.readouterr().out == "Completed 100 calls\n"
    names["executor"].shutdown()


def test_monitoring(names, capsys):
    ran("Monitoring", names)
    assert capsys.readouterr().out == "State: LifecycleState.ACTIVE\n"


def test_context_manager(names):
    ran("Context Manager Pattern", names)
    assert names["plugin"].closed


def test_complete_example(names, capsys):
    path = "target/release/libcalculator_plugin.so"
    ran("Complete Example", names | {"__name__": "__main__"}, paths={path: names["plugin_path"]})
    assert "42 + 58 = 100\n" in capsys.readouterr().out


def test_fluent_configuration(names, capsys):
    """The other style in which programs are written."""
    from gmemx.plugin import LogLevel, NativePluginLoader, PluginConfig

    config = (
        PluginConfig.defaults()
        .log_level(LogLevel.DEBUG)
        .worker_threads(4)
        .max_concurrent_ops(500)
        .set("my_key", "my_value")
    )
    seen = []
    plugin = NativePluginLoader.load_with_config(
        names["plugin_path"], config, log_callback=lambda *message: seen.append(message)
    )
    with plugin:
        assert plugin.call_typed("math.add", {"a": 42, "b": 58}) == {"result": 100}
        plugin.call("echo", '{"message": "x"}')
        plugin.flush_logs()
        assert any(level == LogLevel.DEBUG for level, *_ in seen)


def test_awaited_calls(names):
    async def work():
        calls = [
            names["plugin"].call_async("math.add", json.dumps({"a": i, "b": 1})) for i in range(100)
        ]
        return [json.loads(answer)["result"] for answer in await asyncio.gather(*calls)]

    assert asyncio.run(work()) == list(range(1, 101))
