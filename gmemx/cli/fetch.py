"""Print cells of generative memory: their addresses and values.

gmemx fetch 0 --seed 42
gmemx fetch 0xBEEFCACE --seed 0x1337 --count 4 --json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

import numpy as np

import gmemx
from gmemx.cli.arguments import U64, positive, u64

HELP = "print cells of generative memory"

# Cells held at a time, so that any count runs in little memory.
CHUNK = 1 << 16


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx fetch``."""
    parser.add_argument("address", metavar="ADDR", type=u64, help="first address, in [0, 2**64)")
    parser.add_argument("--count", metavar="N", type=positive, default=1, help="cells (default 1)")
    parser.add_argument("--seed", metavar="S", type=u64, default=0, help="seed (default 0)")
    parser.add_argument(
        "--generator", metavar="G", default="vrns16", help="vrns16 (the default) or philox"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object; the integers in it are hex strings"
    )


def run(args: argparse.Namespace) -> int:
    """Print the cells that were asked for.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0.

    Raises
    ------
    IndexError
        Where the cells would reach past the last address; nothing is printed.
    ValueError
        For a generator that does not exist.
    """
    context = gmemx.GMemContext(args.seed, generator=args.generator)
    if args.address + args.count > U64:
        raise IndexError(
            f"{args.count} cells from {args.address:#x} on reach past the last address, 2**64 - 1"
        )
    chunks = _chunks(context, args.address, args.count)
    if args.json:
        _print_json(args, chunks)
        return 0
    for start, values in chunks:
        lines = (f"{start + i:#018x}  {value!r}\n" for i, value in enumerate(values))
        sys.stdout.write("".join(lines))
    return 0


def _chunks(
    context: gmemx.GMemContext, start: int, count: int
) -> Iterator[tuple[int, list[float]]]:
    buffer = np.empty(min(count, CHUNK))
    for done in range(0, count, CHUNK):
        part = buffer[: count - done]
        context.fetch_into(start + done, part)
        yield start + done, part.tolist()


def _print_json(args: argparse.Namespace, chunks: Iterator[tuple[int, list[float]]]) -> None:
    # Integers beyond 2^53 do not survive many JSON readers, so they go as strings.
    head = {
        "seed": f"{args.seed:#x}",
        "generator": args.generator,
        "start": f"{args.address:#x}",
        "count": args.count,
    }
    sys.stdout.write(json.dumps(head)[:-1] + ', "values": [')
    for i, (_, values) in enumerate(chunks):
        sys.stdout.write((", " if i else "") + json.dumps(values)[1:-1])
    sys.stdout.write("]}\n")
