"""Find values in a process's memory step by step, and change them.

gmemx interactive game --value-type i32
gmemx interactive 4711 --value-type f32 --kind heap
echo "filter eq 100
list" | gmemx interactive game --value-type i32 --json

First all values are remembered. Say filter eq 100, or let them change and say filter inc, until
few are left; then list, set, freeze. The word help lists all words. In the place of a terminal,
lines may come from a file or a pipe; the exit status then says whether all could be carried out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from gmemx import scan
from gmemx.cli.interactive_engine import Engine
from gmemx.cli.interactive_finds import WORDS
from gmemx.cli.output import Output
from gmemx.cli.targets import add_scanning, add_target, open_target, regions_of

HELP = "find values in a process's memory and change them"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx interactive``."""
    add_target(parser)
    parser.add_argument(
        "--value-type",
        metavar="T",
        default="i32",
        help="i8 to i64, u8 to u64, f32, f64; or all, ints, floats (default i32)",
    )
    first = parser.add_mutually_exclusive_group()
    first.add_argument("--value", metavar="V", help="begin with what is V, not with everything")
    first.add_argument("--load", metavar="PATH", help="begin with what the word save has kept")
    first.add_argument("--no-scan", action="store_true", help="begin without a scan")
    add_scanning(parser, alignment="each type's size")


def run(args: argparse.Namespace) -> int:
    """Carry out lines until the input ends or quit is said.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0; 1 where a line that came from a file or a pipe could not be carried out.

    Raises
    ------
    ValueError
        For a type or regions that there are not.
    LookupError
        Where no process, or more than one, has that name.
    OSError
        Where the memory cannot be read: the reason, and what to do about it.
    ModuleNotFoundError
        On a terminal, where the extra ``cli`` is not installed.
    """
    output = Output(as_json=args.json, verbose=args.verbose)
    with open_target(args) as source:
        if args.stop and not isinstance(source, scan.Process):
            raise ValueError("--stop is for processes")
        regions = regions_of(source, args, writable=True)
        options = {} if args.alignment is None else {"alignment": args.alignment}
        scanner = source.scanner(args.value_type, regions, **options)
        engine = Engine(
            source, regions, scanner, output, WORDS, threads=args.threads, stop=args.stop
        )
        for region in regions:
            output.note(3, str(region))
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        # Asked for before anything is scanned: it may not be installed.
        lines = _prompted(engine) if terminal else sys.stdin
        engine.say_hello()
        try:
            _begin(engine, args)
            _carry_out(engine, lines)
        finally:
            engine.close()
    return 0 if terminal or not engine.failures else 1


def _prompted(engine: Engine) -> Iterable[str]:
    # Not at the top: lines from a pipe need no extra.
    from gmemx.cli.interactive_prompt import lines

    return lines(engine)


def _begin(engine: Engine, args: argparse.Namespace) -> None:
    if args.load is not None:
        engine.execute_words(["load", args.load])
    elif args.value is not None:
        engine.execute_words(["scan", "eq", args.value])
    elif not args.no_scan:
        engine.execute_words(["scan"])


def _carry_out(engine: Engine, lines: Iterable[str]) -> None:
    for line in lines:
        engine.execute(line)
        if not engine.open:
            break
