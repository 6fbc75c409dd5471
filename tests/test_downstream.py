"""Others build on the installed package: by its flags, by pkg-config, by CMake, and by the
headers and .pxd files of the last release."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import plugins_build
import pytest
from pools import linux_only

import gmemx

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "c"
PREVIOUS = ROOT / "tests" / "data" / "previous"
CC = os.environ.get("CC", "cc").split()


def run(*command, **options):
    """What a command that must succeed printed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_cells(program):
    """What examples/c/cells.c should print, it prints."""
    first, rest = run(program).splitlines()
    assert float(first) == gmemx.GMemContext(42)[0]
    assert rest == "-1.5, 1 written"


# ---- python -m gmemx config ---------------------------------------------------


def config(command, *options):
    """The words that ``gmemx config`` prints."""
    done = command("config", *options)
    assert done.returncode == 0, done.stderr
    return shlex.split(done.stdout)


def test_config_says_where_things_are(command):
    assert config(command, "--version") == [gmemx.__version__]
    assert config(command, "--includedir") == [gmemx.get_include()]
    assert config(command, "--libdir", "--library") == [
        gmemx.get_library_dir(),
        gmemx.library_path(),
    ]
    assert Path(*config(command, "--pkgconfigdir"), "gmemx.pc").is_file()
    assert Path(*config(command, "--cmakedir"), "gmemxConfig.cmake").is_file()


def test_config_asks_what_is_wanted(command):
    done = command("config")
    assert done.returncode == 2
    assert done.stderr.startswith("gmemx config: say what to print, one or more of --version, ")


def test_config_quotes_for_a_shell(tmp_path):
    """A folder with a space in its name stays one word; one answer alone is a path as it is."""
    program = """
        import gmemx
        from gmemx.cli import main

        gmemx.get_include = lambda: "/a b/include"
        main(["config", "--cflags", "--libs"])
        main(["config", "--includedir"])
    """
    flags, folder = run(sys.executable, "-c", textwrap.dedent(program), cwd=tmp_path).splitlines()
    assert shlex.split(flags)[0] == "-I/a b/include"
    assert folder == "/a b/include"


def test_config_needs_no_extra(tmp_path):
    """Neither rich nor what else the rest of the command draws with."""
    program = """
        import sys

        for name in ("rich", "PIL", "prompt_toolkit"):
            sys.modules[name] = None
        from gmemx.cli import main

        sys.exit(main(["config", "--libs"]))
    """
    words = run(sys.executable, "-c", textwrap.dedent(program), cwd=tmp_path)
    assert words.startswith(f"-L{gmemx.get_library_dir()} -lgmemx")


def test_a_c_program_by_the_flags_of_config(command, tmp_path):
    flags = config(command, "--cflags", "--libs")
    run(*CC, EXAMPLES / "cells.c", *flags, "-o", tmp_path / "cells")
    check_cells(tmp_path / "cells")


# ---- pkg-config and CMake -----------------------------------------------------


def pkg_config(*options):
    """The words of pkg-config, the one of the test group."""
    found = os.environ | {"PKG_CONFIG_PATH": gmemx.get_pkgconfig_dir()}
    return shlex.split(run(sys.executable, "-m", "pkgconf", *options, "gmemx", env=found))


def test_a_c_program_by_pkg_config(tmp_path):
    assert pkg_config("--modversion") == [gmemx.__version__]
    flags = pkg_config("--cflags", "--libs")
    run(*CC, EXAMPLES / "cells.c", *flags, "-o", tmp_path / "cells")
    check_cells(tmp_path / "cells")


def cmake(*arguments):
    """What the CMake of the test group prints; it drives make."""
    return run(sys.executable, "-m", "cmake", *arguments)


@linux_only
def test_c_programs_by_cmake(tmp_path):
    """Every example is built and run."""
    where = f"-Dgmemx_DIR={gmemx.get_cmake_dir()}"
    cmake("-S", EXAMPLES, "-B", tmp_path, where, f"-DCMAKE_C_COMPILER={CC[0]}")
    cmake("--build", tmp_path)
    check_cells(tmp_path / "cells")
    assert run(tmp_path / "tensor") == "5 7 9, 0x40c0 is 6.0\n"
    assert run(tmp_path / "pool").startswith("1000000 bytes")
    assert run(tmp_path / "scan").endswith("the secret was 42\n")
    assert run(tmp_path / "plugin", plugins_build.echo()).endswith("ended in good order\n")


@pytest.mark.parametrize("wanted", ["0.2", "0.1.99", "1"])
def test_cmake_refuses_another_version(tmp_path, wanted):
    """Later ones than the one that is there, and those of another interface."""
    assert gmemx.__version__.startswith("0.1."), "take versions that this one is not"
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\n"
        "project(refused NONE)\n"
        f"find_package(gmemx {wanted} CONFIG)\n"
        'message(STATUS "found: ${gmemx_FOUND}")\n'
    )
    where = f"-Dgmemx_DIR={gmemx.get_cmake_dir()}"
    assert "found: 0\n" in cmake("-S", tmp_path, "-B", tmp_path / "build", where)


# ---- what was compiled earlier ------------------------------------------------


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """An extension over every kind, compiled with what the last release installed."""
    folder = tmp_path_factory.mktemp("earlier")
    shutil.copy(ROOT / "tests" / "cython" / "earlier.pyx", folder)
    program = """
        import sys

        from Cython.Build import cythonize
        from setuptools import Extension, setup

        previous = sys.argv.pop()
        extension = Extension(
            "earlier",
            ["earlier.pyx"],
            include_dirs=[f"{previous}/include"],
            extra_compile_args=["-O1", "-g0"],
        )
        setup(
            name="earlier",
            script_args=["--quiet", "build_ext", "--inplace"],
            ext_modules=cythonize(
                [extension],
                include_path=[previous],
                compiler_directives={"freethreading_compatible": True},
            ),
        )
    """
    run(sys.executable, "-c", textwrap.dedent(program), PREVIOUS, cwd=folder)
    (path,) = (path for path in folder.glob("earlier.*") if path.suffix in (".so", ".pyd"))
    spec = importlib.util.spec_from_file_location("earlier", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_extension_of_the_last_release(earlier):
    """It loads, and finds every kind as it was."""
    context = gmemx.GMemContext(42)
    expected = 0.0
    for value in context[5:105].tolist():
        expected += value
    assert earlier.cells(context, 5, 100) == expected
    array = context.array((2, 3))
    assert earlier.seen(array) == (context, (2, 3))
    assert earlier.ramp(gmemx.dtype("float64").code, 5).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@linux_only
def test_an_extension_of_the_last_release_on_linux(earlier):
    with gmemx.BufferPool.anonymous() as pool:
        with earlier.filled(pool, 1000, 7) as guard:
            assert (guard.numpy() == 7).all()
        assert pool.stats().used == 0
    with gmemx.scan.open_buffer(np.array([-9, 8], "int32"), address=0x1000) as source:
        assert earlier.read(source, 0x1004) == (0, 8)
        assert earlier.read(source, 0x2000)[0] != 0
    with gmemx.plugin.NativePluginLoader.load(plugins_build.echo()) as plugin:
        assert earlier.call(plugin, b"echo", b'{"a": 1}') == b'{"a": 1}'


def test_an_extension_of_another_abi(earlier):
    """What was compiled for another ABI is told to be compiled again."""
    for number in (0, 2, 2**32 - 1):
        with pytest.raises(gmemx.errors.AbiMismatchError) as caught:
            earlier.requires(number)
        assert f"of ABI {number}, but the library is of ABI 1 (gmemx" in str(caught.value)
        assert "compile it again" in str(caught.value)


def test_a_c_program_of_the_last_release(tmp_path):
    """Compiled with the last header, it runs with the present library."""
    folder = gmemx.get_library_dir()
    link = [f"-L{folder}", "-lgmemx", f"-Wl,-rpath,{folder}"]
    include = f"-I{PREVIOUS / 'include'}"
    run(*CC, include, EXAMPLES / "cells.c", *link, "-o", tmp_path / "cells")
    check_cells(tmp_path / "cells")
