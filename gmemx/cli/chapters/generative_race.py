"""gmemx beside NumPy's generators, in the same run and into the same buffer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import gmemx
from gmemx.cli import machine
from gmemx.cli.stage import Stage


@dataclass(frozen=True)
class Entry:
    """One measured way to get cells.

    Attributes
    ----------
    name : str
        What was called.
    rate : float
        Cells per second, the median of the rounds.
    numpy : bool
        Whether it is NumPy's and not gmemx's.
    sequential : bool
        Whether it fills the whole buffer in order, as NumPy's do.
    """

    name: str
    rate: float
    numpy: bool = False
    sequential: bool = True


def race(stage: Stage, context: gmemx.GMemContext, buffer: np.ndarray) -> list[Entry]:
    """Measure all ways in turn, several times over.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    context : gmemx.GMemContext
        What is read.
    buffer : numpy.ndarray
        float64; what is filled.

    Returns
    -------
    list of Entry
        gmemx first, each side in falling order of speed.
    """
    cores, seed = machine.cores(), stage.seed
    philox = gmemx.GMemContext(seed, generator="philox")
    rng = np.random.default_rng(seed)
    scattered = rng.integers(0, 2**64, len(buffer) // 8, dtype=np.uint64)
    random_out = np.empty(len(scattered))
    single = range(len(buffer) // 64)

    def one_by_one() -> None:
        for address in single:
            context[address]

    def numpy_random(bits: np.random.BitGenerator) -> Callable[[], object]:
        generator = np.random.Generator(bits)
        return lambda: generator.random(out=buffer)

    n = len(buffer)
    ours: dict[str, tuple[int, Callable[[], object]]] = {
        "fetch_into, 1 thread": (n, lambda: context.fetch_into(0, buffer, threads=1)),
        "fetch_into, philox, 1 thread": (n, lambda: philox.fetch_into(0, buffer, threads=1)),
        "fetch_many, random addresses, 1 thread": (
            len(scattered),
            lambda: context.fetch_many(scattered, random_out, threads=1),
        ),
        "ctx[i] in a Python loop": (len(single), one_by_one),
    }
    if cores > 1:
        ours[f"fetch_into, {cores} threads"] = (n, lambda: context.fetch_into(0, buffer))
    theirs = {
        "NumPy SFC64 random(out=)": (n, numpy_random(np.random.SFC64(seed))),
        "NumPy PCG64 random(out=)": (n, numpy_random(np.random.PCG64(seed))),
        "NumPy Philox random(out=)": (n, numpy_random(np.random.Philox(key=seed))),
    }

    ways = ours | theirs
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rounds = 3 if stage.quick else 15
    with stage.progress("measuring", rounds) as advance:
        for _ in range(rounds):
            for name, (_, call) in ways.items():
                began = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - began)
            advance(1)
    entries = [
        Entry(name, cells / statistics.median(seconds[name]), name in theirs, cells == n)
        for name, (cells, _) in ways.items()
    ]
    return sorted(entries, key=lambda entry: (entry.numpy, -entry.rate))
