"""What is missing or does not fit is one sentence that says what to do, and no crash."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pools import linux_only

import gmemx

ROOT = Path(__file__).resolve().parent.parent
CC = os.environ.get("CC", "cc").split()
DECLARED = sorted(
    set(
        re.findall(
            r"\b(gmem_\w+)\s*\(",
            re.sub(r"//[^\n]*", "", Path(gmemx.get_include(), "gmemx.h").read_text()),
        )
    )
)


def refused(program, *, cwd, **variables):
    """The last line of a program that must fail: one sentence, of the exception that is named."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # A signal would be negative.
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    return done.stderr.strip().splitlines()[-1]


# ---- the shared library -------------------------------------------------------


@pytest.fixture
def installed(tmp_path):
    """A copy of the installed package, and the library in it."""
    package = Path(gmemx.__file__).parent
    copied = tmp_path / "gmemx"
    leave = shutil.ignore_patterns("__pycache__", "cli")
    shutil.copytree(package, copied, ignore=leave)
    library = copied / Path(gmemx.library_path()).name
    return tmp_path, library


@linux_only
@pytest.mark.parametrize("kept", [0.0, 63, 64, 4096, 0.5, 0.999, -1])
def test_a_library_that_was_cut_off(installed, kept):
    """At any length: the system's loader would map it, and die of it later."""
    folder, library = installed
    size = library.stat().st_size
    length = int(kept * size) if isinstance(kept, float) else kept % size
    os.truncate(library, length)
    text = refused("import gmemx", cwd=folder)
    assert text.startswith("ImportError: gmemx's library ")
    assert str(library) in text
    assert f"is cut off or damaged ({length} bytes): install gmemx again: python -m pip" in text


@linux_only
def test_a_library_that_is_something_else(installed):
    folder, library = installed
    library.write_text("version https://git-lfs.github.com/spec/v1\n" * 100)
    text = refused("import gmemx", cwd=folder)
    assert f"{library} is cut off or damaged (4300 bytes): install gmemx again" in text


@linux_only
def test_a_library_that_is_missing(installed):
    folder, library = installed
    library.unlink()
    text = refused("import gmemx", cwd=folder)
    assert f"{library} cannot be read (No such file or directory): install gmemx again" in text


def stand_in(library, abi, without=()):
    """Puts another library in its place: every function that gmemx.h declares, and none works."""
    code = "".join(
        f"unsigned {name}(void) {{ return {abi}; }}\n" for name in DECLARED if name not in without
    )
    source = library.with_suffix(".c")
    source.write_text(code)
    subprocess.run([*CC, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)


@linux_only
def test_a_library_of_another_abi(installed):
    folder, library = installed
    stand_in(library, abi=2)
    text = refused("import gmemx", cwd=folder)
    assert text.startswith("ImportError: this gmemx is built for ABI 1 of its shared library, ")
    assert "but the one found has ABI 2: install gmemx again" in text


@linux_only
def test_a_library_of_an_older_build(installed):
    """Of the same ABI, but without a function that was added since."""
    folder, library = installed
    stand_in(library, abi=1, without=["gmem_cpu_select"])
    text = refused("import gmemx", cwd=folder)
    assert f"ImportError: gmemx's library {library} cannot be loaded (" in text
    assert "undefined symbol: gmem_cpu_select" in text
    assert "install gmemx again" in text


# ---- NumPy --------------------------------------------------------------------


def oldest_numpy():
    """As pyproject.toml asks for it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r'^dependencies = \["numpy>=([\d.]+)"\]$', text, re.MULTILINE)[1]


def test_numpy_is_asked_for_as_it_is_checked():
    from gmemx import _requirements

    assert ".".join(map(str, _requirements.OLDEST_NUMPY)) == oldest_numpy()


@pytest.mark.parametrize("version", ["1.9.3", "1.19.5", "0.1", "1.20.0rc1"])
def test_an_old_numpy(tmp_path, version):
    (tmp_path / "numpy.py").write_text(f"__version__ = {version!r}\n")
    text = refused("import gmemx", cwd=tmp_path)
    assert text == (
        f"ImportError: gmemx needs NumPy {oldest_numpy()} or later, but {version} is installed: "
        f"python -m pip install --upgrade 'numpy>={oldest_numpy()}'"
    )


def test_no_numpy(tmp_path):
    text = refused("import sys; sys.modules['numpy'] = None; import gmemx", cwd=tmp_path)
    assert text == (
        f"ImportError: gmemx needs NumPy {oldest_numpy()} or later, which is not installed: "
        f"python -m pip install 'numpy>={oldest_numpy()}'"
    )


# ---- the CPU ------------------------------------------------------------------


def test_the_cpu_path_from_the_environment(tmp_path):
    """The debug switch: what it asks for is used, or the import says why it cannot be."""
    program = "import gmemx; print(gmemx.cpu_path())"
    for asked, used in {"portable": "portable", "": gmemx.cpu_path()}.items():
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=os.environ | {"GMEMX_CPU_PATH": asked},
            capture_output=True,
            text=True,
        )
        assert done.stdout.split() == [used], done.stderr
    text = refused("import gmemx", cwd=tmp_path, GMEMX_CPU_PATH="abacus")
    assert text == (
        'ImportError: the environment variable GMEMX_CPU_PATH: unknown CPU path "abacus": '
        "expected 'auto', 'portable', 'avx2' or 'avx512'"
    )


# A CPU without AVX2: this one, or one that is emulated.
QEMU = shutil.which("qemu-x86_64")
WITHOUT_AVX2 = [] if gmemx.cpu_path() == "portable" else [QEMU, "-cpu", "Nehalem"]


@pytest.mark.skipif(
    None in WITHOUT_AVX2,
    reason="this CPU has AVX2 and there is no qemu-x86_64; rustlib/src/cpu.rs tests it too",
)
def test_a_cpu_path_that_this_cpu_lacks(tmp_path):
    """Nothing is run that the CPU has not; what is asked for is refused."""
    program = """if True:
        import gmemx

        print(gmemx.GMemContext(42)[0:1000].sum(), gmemx.cpu_path())
        try:
            gmemx.set_cpu_path("avx2")
        except NotImplementedError as error:
            print(error)
        import os

        os.environ["GMEMX_CPU_PATH"] = "avx2"
        try:
            gmemx.runtime._select_from_environment()
        except ImportError as error:
            print(error)
    """
    done = subprocess.run(
        [*WITHOUT_AVX2, sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lacks = "CPU path 'avx2' was asked for, but this CPU has no AVX2: take 'auto'"
    assert done.stdout.splitlines() == [
        f"{gmemx.GMemContext(42)[0:1000].sum()} portable",
        lacks,
        f"the environment variable GMEMX_CPU_PATH: {lacks}",
    ], done.stderr


# ---- setup.py -----------------------------------------------------------------

OLD_PYTHON = """
import sys
sys.version_info = ({}, 0, "final", 0)
exec(compile(open("setup.py").read(), "setup.py", "exec"))
"""


@pytest.mark.parametrize("version", ["2, 7", "3, 9"])
def test_a_python_below_3_10(version):
    """setup.py says so before it imports anything that such a Python has not."""
    text = refused(OLD_PYTHON.format(version), cwd=ROOT)
    assert text == f"gmemx needs Python 3.10 or later, but this is {version.replace(', ', '.')}."


def test_setup_py_reads_as_old_python():
    """Nothing in it is newer than what an old Python can parse."""
    text = (ROOT / "setup.py").read_text(encoding="ascii")
    assert not re.search(r"\bf[\"']|:=|\bawait\b|\basync\b|-> |^\s*match ", text, re.MULTILINE)


@pytest.mark.skipif(os.name != "posix", reason="setuptools finds Visual C++ itself, or says so")
@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        (
            [],
            "gmemx is built with Rust, but cargo was not found: "
            "install the toolchain from https://rustup.rs and try again.",
        ),
        (
            ["cargo"],
            "gmemx is built with a C compiler, but some-cc was not found: install gcc or clang, "
            "or set CC to the one that is there, and try again.",
        ),
    ],
)
def test_no_compiler(tmp_path, there, sentence):
    """Said before anything is compiled; what would be is left out here."""
    shutil.copy(ROOT / "setup.py", tmp_path)
    (tmp_path / "rustlib").mkdir()
    shutil.copy(ROOT / "rustlib" / "Cargo.toml", tmp_path / "rustlib")
    for tool in there:
        (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    program = "import sys; sys.argv[1:] = ['-q', 'build_rust']; exec(open('setup.py').read())"
    variables = {"PATH": str(tmp_path), "CC": "some-cc -pthread", "CARGO": "cargo"}
    assert refused(program, cwd=tmp_path, **variables) == sentence
