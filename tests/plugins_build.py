"""Plugins for the tests, compiled when they are first wanted: the examples, and the faulty one."""

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import gmemx

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples" / "plugins"
FAULTS = HERE / "plugin_faults" / "faults.c"
CC = os.environ.get("CC", "cc").split()
# The header of the installed package, as an author has it.
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]

REQUIRED = (
    "plugin_create",
    "plugin_init",
    "plugin_call",
    "plugin_free_buffer",
    "plugin_shutdown",
    "plugin_set_log_level",
    "plugin_get_state",
    "plugin_get_rejected_count",
)
BINARY = ("plugin_call_raw", "rb_response_free")
COUNTERS = (
    "made",
    "freed",
    "raw_made",
    "raw_freed",
    "double",
    "mismatched",
    "shutdowns",
    "nested",
)


@functools.cache
def folder():
    """Where the libraries of this session lie, until it ends."""
    made = tempfile.TemporaryDirectory(prefix="gmemx-plugins-")
    folder.kept = made
    return Path(made.name)


def compile_c(source, name, *flags):
    """A shared library of one C file."""
    library = folder() / f"lib{name}.so"
    command = [*CC, *FLAGS, *flags, f"-I{gmemx.get_include()}", str(source), "-o", str(library)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return library


@functools.cache
def echo():
    """The example in C."""
    return compile_c(EXAMPLES / "echo" / "echo.c", "echo")


@functools.cache
def faults(*words, without=(), create_with_config=False, nothing=False):
    """The faulty plugin: see plugin_faults/README.md.

    `words` are what is always wrong, `without` are names of functions that it has not.
    """
    flags = [f'-DALWAYS="{" ".join(words)}"'] if words else []
    flags += [f"-D{name}=absent_{name}" for name in without]
    flags += ["-DCREATE_WITH_CONFIG"] if create_with_config else []
    flags += ["-DNOTHING"] if nothing else []
    marks = [*words, *(f"no_{name}" for name in without)]
    marks += ["create"] * create_with_config + ["nothing"] * nothing
    return compile_c(FAULTS, "-".join(["faults", *marks]), *flags)


@functools.cache
def calculator():
    """The example in Rust, built by cargo."""
    if shutil.which(os.environ.get("CARGO", "cargo")) is None:
        pytest.skip("there is no cargo")
    target = HERE.parent / "rustlib" / "target" / "plugins"
    built = subprocess.run(
        [
            os.environ.get("CARGO", "cargo"),
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            str(EXAMPLES / "calculator" / "Cargo.toml"),
            "--target-dir",
            str(target),
        ],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return target / "release" / "libcalculator_plugin.so"


def counters(path):
    """What the faulty plugin has counted in the file that its configuration named."""
    data = Path(path).read_bytes()
    return {
        name: int.from_bytes(data[8 * i : 8 * i + 8], "little") for i, name in enumerate(COUNTERS)
    }
