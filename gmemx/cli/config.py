"""Print what a compiler needs to build on gmemx, as pkg-config does.

cc program.c $(python -m gmemx config --cflags --libs) -o program
cmake -Dgmemx_DIR="$(python -m gmemx config --cmakedir)" .
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable

import gmemx

HELP = "print compiler flags, and where the header and the library are"


def cflags() -> list[str]:
    """Flags for the compiler.

    Returns
    -------
    list of str
    """
    return [f"-I{gmemx.get_include()}"]


def libs() -> list[str]:
    """Flags for the linker; what is linked finds the library where it is now.

    Returns
    -------
    list of str
    """
    folder = gmemx.get_library_dir()
    flags = [f"-L{folder}", "-lgmemx"]
    return flags if sys.platform == "win32" else [*flags, f"-Wl,-rpath,{folder}"]


# What each option prints: (what it is, the words). They are printed in this order.
PRINTED: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "version": ("the version", lambda: [gmemx.__version__]),
    "cflags": ("flags for the compiler", cflags),
    "libs": ("flags for the linker", libs),
    "includedir": ("the folder of gmemx.h", lambda: [gmemx.get_include()]),
    "libdir": ("the folder of the shared library", lambda: [gmemx.get_library_dir()]),
    "library": ("the shared library", lambda: [gmemx.library_path()]),
    "pkgconfigdir": ("the folder of gmemx.pc", lambda: [gmemx.get_pkgconfig_dir()]),
    "cmakedir": ("the folder of gmemxConfig.cmake", lambda: [gmemx.get_cmake_dir()]),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx config``."""
    for name, (text, _) in PRINTED.items():
        parser.add_argument(f"--{name}", action="append_const", dest="asked", const=name, help=text)


def run(args: argparse.Namespace) -> int:
    """Print what was asked for on one line, quoted for a shell.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0; 2 where nothing was asked for.

    Examples
    --------
    >>> from gmemx.cli import main
    >>> main(["config", "--version"])
    0.1.0
    0
    """
    if not args.asked:
        options = ", ".join(f"--{name}" for name in PRINTED)
        print(f"gmemx config: say what to print, one or more of {options}", file=sys.stderr)
        return 2
    words = [word for name, (_, get) in PRINTED.items() if name in args.asked for word in get()]
    print(shlex.join(words) if len(words) > 1 else words[0])
    return 0
