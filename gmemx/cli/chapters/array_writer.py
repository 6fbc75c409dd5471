"""The process of the arrays' chapter that paints into a file until it is killed.

It starts afresh and imports this module, so it needs nothing but NumPy and gmemx.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from gmemx import GMemContext, VirtualArray

# 125 million rows of a million cells of eight bytes: 10^15 bytes.
SHAPE = (125_000_000, 1_000_000)
# Where in it the picture is painted.
ROW, COLUMN = 62_831_853, 271_828


def view(context: GMemContext) -> VirtualArray:
    """The array of a petabyte.

    Parameters
    ----------
    context : GMemContext
        Of any seed.

    Returns
    -------
    VirtualArray
        Shape SHAPE; normal where nobody wrote.
    """
    return context.array(SHAPE, distribution="normal")


def painted(size: int) -> np.ndarray:
    """What is painted: rings that a drop leaves, in the range of the cells around them.

    Parameters
    ----------
    size : int
        Of a side.

    Returns
    -------
    numpy.ndarray
        Shape (size, size), float64.
    """
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    distance = np.hypot(x + 0.25, y + 0.15)
    return 2.6 * np.cos(distance * 34) * np.exp(-1.6 * distance)


def rows_until_killed(path: Path, seed: int, size: int, last: int) -> tuple[int, int]:
    """Have the picture painted by a process, row by row, and kill it in the middle.

    Parameters
    ----------
    path : pathlib.Path
        The file, which the process makes.
    seed : int
        Of the context.
    size : int
        Of a side of the picture.
    last : int
        The row after which it is killed.

    Returns
    -------
    flushed : int
        How many rows the process said were flushed.
    code : int
        How it ended: a signal's number, negated.
    """
    process_context = multiprocessing.get_context("spawn")
    here, there = process_context.Pipe(duplex=False)
    process = process_context.Process(target=_paint, args=(there, path, seed, size), daemon=True)
    process.start()
    there.close()
    flushed = 0
    for row in _received(here):
        flushed = row + 1
        if row == last:
            process.kill()
    process.join()
    return flushed, process.exitcode or 0


def _received(pipe: Connection) -> Iterator[int]:
    """What comes through a pipe until its other end dies."""
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return


def _paint(pipe: Connection, path: Path, seed: int, size: int) -> None:
    """Write row after row, and tell of each that is flushed."""
    with GMemContext.open(path, seed=seed) as context:
        target = view(context)[ROW : ROW + size, COLUMN : COLUMN + size]
        for row, line in enumerate(painted(size)):
            target[row] = line
            context.flush()
            pipe.send(row)
