"""The ``gmemx`` command: one module here per sub-command.

A sub-command is a module with three names: ``HELP``, one line; ``configure(parser)``,
which adds its arguments; and ``run(args)``, which does the work and returns the exit
status. A new one is written as a module and added to ``COMMANDS``.

Whatever a command does, the Python API does too: nothing here is the only way to
reach a feature.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import gmemx
from gmemx.cli import fetch, tour

COMMANDS = {"tour": tour, "fetch": fetch}
if sys.platform == "linux":
    from gmemx.cli import pool

    COMMANDS["pool"] = pool

# What a command may end with, in a sentence; anything else is a defect and shows where.
FAILURES = (
    gmemx.GmemxError,
    *(ValueError, LookupError, ArithmeticError, OSError, MemoryError),
)

# Third-party modules of the extra "cli", as a user installs them.
EXTRA = {"rich": "rich", "PIL": "Pillow"}


def build_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command.

    Returns
    -------
    argparse.ArgumentParser
        With ``args.run`` set to the chosen sub-command's function.
    """
    parser = argparse.ArgumentParser(prog="gmemx", description="Memory of every kind, from Python.")
    parser.add_argument("--version", action="version", version=f"gmemx {gmemx.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        child = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        child.formatter_class = argparse.RawDescriptionHelpFormatter
        module.configure(child)
        child.set_defaults(run=module.run, command=name)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``gmemx`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, without the program's name. By default those of the process.

    Returns
    -------
    int
        The exit status: 0 done, 1 failed, 130 interrupted.

    Raises
    ------
    SystemExit
        With 2 for arguments that cannot be parsed, with 0 after ``--help`` and
        ``--version``.

    Examples
    --------
    >>> from gmemx.cli import main
    >>> main(["fetch", "0", "--seed", "42"])
    0x0000000000000000  0.07779688409536653
    0
    """
    args = build_parser().parse_args(argv)
    try:
        status = args.run(args)
        sys.stdout.flush()
        return status
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        names = " and ".join(EXTRA.values())
        return _fail(f"gmemx {args.command} needs {names}: pip install 'gmemx[cli]'")
    except BrokenPipeError:
        # The reader went away, as `head` does. Python would complain once more
        # when it flushes stdout at exit, so stdout is pointed elsewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130
    except FAILURES as error:
        return _fail(f"gmemx {args.command}: {_sentence(error)}")


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return " ".join(str(error).split()) or type(error).__name__


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1
