"""gmemx.h and the library keep their word to C: a real program is compiled, linked and run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import native
import plugins_build
import pytest

import gmemx

HERE = Path(__file__).parent
SOURCES = sorted((HERE / "c").glob("*.c"))
HEADER = Path(gmemx.get_include()) / "gmemx.h"
LIBRARY_DIR = gmemx.get_library_dir()
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
LINK = [f"-L{LIBRARY_DIR}", "-lgmemx", f"-Wl,-rpath,{LIBRARY_DIR}", "-lm"]


def declared():
    """The functions that the header declares."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    return set(re.findall(r"\b(gmem_\w+)\s*\(", code))


def compile_and_run(command, program, *arguments, **variables):
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    environment = os.environ | variables
    done = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_contract_in_c(tmp_path):
    """Every function, NULL, failures that leave out_* alone, and a panic that is survived."""
    compiler = os.environ.get("CC", "cc").split()
    program = tmp_path / "contract"
    done = compile_and_run(
        [
            *compiler,
            "-std=c11",
            *STRICT,
            f"-I{gmemx.get_include()}",
            *map(str, SOURCES),
            *LINK,
            "-o",
            str(program),
        ],
        program,
        GMEMX_TEST_PLUGIN=str(plugins_build.faults()),
        GMEMX_TEST_FOLDER=str(tmp_path),
    )
    assert done.stdout.endswith("the contract holds\n")


def test_the_example_calls_a_plugin(tmp_path):
    """examples/c/plugin.c, with the echo in C."""
    source, program = HERE.parent / "examples" / "c" / "plugin.c", tmp_path / "plugin"
    flags = ["-std=c99", *STRICT, f"-I{gmemx.get_include()}"]
    done = compile_and_run(
        [*os.environ.get("CC", "cc").split(), *flags, str(source), *LINK, "-o", str(program)],
        program,
        str(plugins_build.echo()),
    )
    assert done.stdout == (
        'echo: {"message": "Hello"}\n'
        "raw: bytes\n"
        "unknown: error 6\n"
        "log: started\n"
        "ended in good order\n"
    )


def test_the_guide_keeps_cells_in_a_file(tmp_path, monkeypatch):
    """The program in docs/durable.md."""
    text = (HERE.parent / "docs" / "durable.md").read_text(encoding="utf-8")
    source, program = tmp_path / "durable.c", tmp_path / "durable"
    source.write_text(text.partition("```c\n")[2].partition("```")[0], encoding="utf-8")
    flags = ["-std=c99", *STRICT, f"-I{gmemx.get_include()}"]
    monkeypatch.chdir(tmp_path)
    compiler = os.environ.get("CC", "cc").split()
    done = compile_and_run([*compiler, *flags, str(source), *LINK, "-o", str(program)], program)
    assert done.stdout == "0.5\n"
    assert gmemx.GMemContext.open("cells.gmem", read_only=True)[7] == 0.5


def test_the_contract_calls_every_function():
    """A function added to the header is added to the program."""
    program = "".join(source.read_text() for source in SOURCES)
    called = set(re.findall(r"\b(gmem_\w+)\s*\(", program))
    assert declared() - called == set()


def test_ctypes_declarations_are_of_real_functions():
    """What the other tests call through ctypes is in the header."""
    assert set(native.SIGNATURES) <= declared()


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_the_header_in_cpp(tmp_path):
    """C++ takes the header as it is, and links the functions under their C names."""
    source, program = tmp_path / "use.cpp", tmp_path / "use"
    source.write_text(
        '#include "gmemx.h"\n'
        '#include "gmemx.h"\n'
        "int main() {\n"
        "    gmem_context *context = gmem_context_new(42);\n"
        "    const double value = gmem_fetch(context, 0);\n"
        "    const gmem_status status = gmem_context_write(context, 1, value);\n"
        "    gmem_context_free(context);\n"
        "    return status == GMEM_STATUS_OK && value == 0.07779688409536653 ? 0 : 1;\n"
        "}\n"
    )
    compile_and_run(
        [
            "c++",
            "-std=c++11",
            *STRICT,
            f"-I{gmemx.get_include()}",
            str(source),
            *LINK,
            "-o",
            str(program),
        ],
        program,
    )


@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_the_header_alone(tmp_path, standard):
    """It includes all it needs."""
    source = tmp_path / "alone.c"
    source.write_text('#include "gmemx.h"\nint nothing;\n')
    compiler = os.environ.get("CC", "cc").split()
    built = subprocess.run(
        [
            *compiler,
            f"-std={standard}",
            *STRICT,
            f"-I{gmemx.get_include()}",
            "-c",
            str(source),
            "-o",
            str(tmp_path / "alone.o"),
        ],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr


def exported(path):
    """Names that a shared object defines for others."""
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", str(path)], capture_output=True, text=True, check=True
    )
    return {line.split()[-1] for line in listing.stdout.splitlines()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks GNU nm for ELF symbols")
def test_the_library_exports_what_the_header_declares():
    """All of it, and nothing else: no symbol of Rust or of a dependency leaks out."""
    assert exported(gmemx.library_path()) == declared()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks GNU nm for ELF symbols")
def test_modules_export_nothing_but_their_start():
    """What they have for each other goes through capsules."""
    modules = [
        path
        for path in Path(LIBRARY_DIR).glob("*.so")
        if path.name != "libgmemx.so" and not path.name.startswith("_sample_plugin.")
    ]
    assert modules
    for path in modules:
        assert exported(path) == {f"PyInit_{path.name.partition('.')[0]}"}
