"""Search the memory of a process, a file or a core dump once, for bytes, text or a value.

gmemx scan game --pattern "DE AD ?? EF"
gmemx scan 4711 --text "Player 1" --ignore-case
gmemx scan game --value 100 --value-type i32 --kind heap --json

A pattern is hexadecimal, with ?? for any byte and ? for any half of one. Bytes and text are
searched for in all regions that can be read, values in those that the process can write; the
options under "regions" change that. The process runs on meanwhile, unless --stop is given.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

from gmemx import scan
from gmemx.cli.arguments import positive
from gmemx.cli.output import Output, amount
from gmemx.cli.targets import Atlas, add_scanning, add_target, name_of, open_target, regions_of
from gmemx.cli.values import parse_number, plain

HELP = "search a process's memory for bytes, text or a value"

# How many bytes of a match are shown with -v.
SHOWN = 16

# An address, and the value and type where a value was searched for.
Match = tuple[int, Any, str]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx scan``."""
    add_target(parser)
    what = parser.add_argument_group("what to search for, one of")
    what.add_argument("--pattern", metavar="HEX", help='bytes: "DE AD ?? EF", "4D5A9?00"')
    what.add_argument("--text", metavar="TEXT", help="a text")
    what.add_argument("--value", metavar="V", help="a number")
    parser.add_argument(
        "--value-type",
        metavar="T",
        help="of --value: i8 to i64, u8 to u64, f32, f64; or all, ints, floats (default i32)",
    )
    parser.add_argument(
        "--tolerance", metavar="D", type=float, help="how far a --value may be off (floats)"
    )
    parser.add_argument("--encoding", metavar="E", help="of --text: utf-16-le, ... (default utf-8)")
    parser.add_argument(
        "--ignore-case", action="store_true", help="of --text: a to z are also A to Z"
    )
    parser.add_argument("--limit", metavar="N", type=positive, help="no more than N matches")
    add_scanning(parser, alignment="1, for values their size")


def run(args: argparse.Namespace) -> int:
    """Search, and print where it was found.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0, whether anything was found or not.

    Raises
    ------
    ValueError
        For a pattern, a value or a type that makes no sense.
    LookupError
        Where no process, or more than one, has that name.
    OSError
        Where the memory cannot be read: the reason, and what to do about it.
    """
    output = Output(as_json=args.json, verbose=args.verbose)
    _check(args)
    with open_target(args) as source:
        regions = regions_of(source, args, writable=args.value is not None)
        covered = regions.size
        output.note(1, f"{name_of(source)}: {amount(covered)} in {len(regions)} regions")
        for region in regions:
            output.note(3, str(region))
        began = time.perf_counter()
        # All is searched before anything is printed: a bar and matches would mix.
        with output.progress("searching") as progress, _stopped(source, args):
            matches, skipped = (_values if args.value is not None else _bytes)(
                source, regions, args, progress
            )
        seconds = time.perf_counter() - began
        atlas = Atlas(source.regions())
        count = _print(matches, source, atlas, output, args.limit)
        _tell(output, count, covered, seconds, skipped)
    return 0


def _check(args: argparse.Namespace) -> None:
    given = [name for name in ("pattern", "text", "value") if getattr(args, name) is not None]
    if len(given) != 1:
        raise ValueError("one of --pattern, --text and --value is wanted")
    (given_one,) = given
    for name, of in (
        *(("value_type", "value"), ("tolerance", "value")),
        *(("encoding", "text"), ("ignore_case", "text")),
    ):
        if getattr(args, name) and given_one != of:
            raise ValueError(f"--{name.replace('_', '-')} goes with --{of}, not --{given_one}")


def _stopped(source: scan.Source, args: argparse.Namespace) -> AbstractContextManager[Any]:
    if not args.stop:
        return nullcontext()
    if not isinstance(source, scan.Process):
        raise ValueError("--stop is for processes")
    return source.stop()


def _bytes(
    source: scan.Source, regions: scan.Regions, args: argparse.Namespace, progress: Any
) -> tuple[Iterator[Match], list[scan.Skipped]]:
    options = {
        "limit": args.limit,
        "alignment": args.alignment or 1,
        "threads": args.threads,
        "progress": progress,
    }
    if args.pattern is not None:
        pattern = scan.parse_hex_pattern(args.pattern)
        found = source.find(pattern, regions, **options)
    else:
        found = scan.scan_text(
            source,
            regions,
            args.text,
            encoding=args.encoding or "utf-8",
            ignore_case=args.ignore_case,
            **options,
        )
    return ((address, None, "") for address in found.tolist()), found.skipped


def _values(
    source: scan.Source, regions: scan.Regions, args: argparse.Namespace, progress: Any
) -> tuple[Iterator[Match], list[scan.Skipped]]:
    options = {} if args.alignment is None else {"alignment": args.alignment}
    scanner = source.scanner(args.value_type or "i32", regions, **options)
    scanner.initial_scan(
        parse_number(args.value), tolerance=args.tolerance, threads=args.threads, progress=progress
    )

    def matches() -> Iterator[Match]:
        for name in scanner.types:
            addresses = scanner.addresses(name).tolist()
            for address, value in zip(addresses, scanner.values(name), strict=True):
                yield address, value, name

    return matches(), scanner.skipped


def _print(
    matches: Iterator[Match],
    source: scan.Source,
    atlas: Atlas,
    output: Output,
    limit: int | None,
) -> int:
    """Print a line for each match; return how many there were."""
    count = 0
    for address, value, kind in islice(matches, limit):
        count += 1
        there = source.read(address, SHOWN, partial=True) if output.verbose else b""
        if output.as_json:
            typed = {"value": plain(value), "type": kind} if kind else {}
            data = {"bytes": there.hex()} if output.verbose else {}
            output.emit(atlas.record(address) | typed | data)
            continue
        region = atlas.find(address)
        cells = [f"{address:#018x}", region.permissions if region else "----"]
        if kind:
            cells.append(f"{kind:7} {value}")
        cells.append(atlas.place(address))
        if there:
            cells.append(there.hex(" "))
        output.say("  ".join(cells))
    return count


def _tell(
    output: Output, count: int, covered: int, seconds: float, skipped: list[scan.Skipped]
) -> None:
    lost = sum(part.end - part.start for part in skipped)
    rate = covered / seconds / 1e9 if seconds else math.inf
    if not output.as_json:
        output.out.flush()
        text = f"{count:,} found in {amount(covered)}"
        if lost:
            text += f", of which {amount(lost)} could not be read"
        output.err.write(text + "\n")
    output.note(1, f"{seconds:.3f} s, {rate:.2f} GB/s")
    for part in skipped:
        output.note(2, f"{part.start:#x} to {part.end:#x} was not read: {part.reason}")
