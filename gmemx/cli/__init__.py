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
from gmemx.cli import config, fetch, gen, info, tour
from gmemx.cli.failures import FAILURES, sentence

COMMANDS = {"tour": tour, "fetch": fetch, "gen": gen, "info": info, "config": config}
if sys.platform == "linux":
    from gmemx.cli import interactive, plugin, pool, scan

    COMMANDS |= {"plugin": plugin, "pool": pool, "scan": scan, "interactive": interactive}

# Third-party modules of extras, and what whoever needs one is told to install.
EXTRA = {
    "rich": ("rich and Pillow", "cli"),
    "PIL": ("rich and Pillow", "cli"),
    "prompt_toolkit": ("prompt_toolkit", "cli"),
    "matplotlib": ("matplotlib", "plot"),
}


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
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA:
            raise
        names, extra = EXTRA[module]
        return _fail(f"gmemx {args.command} needs {names}: pip install 'gmemx[{extra}]'")
    except BrokenPipeError:
        # The reader went away, as `head` does. Python would complain once more
        # when it flushes stdout at exit, so stdout is pointed elsewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130
    except FAILURES as error:
        return _fail(f"gmemx {args.command}: {sentence(error)}")


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 1
