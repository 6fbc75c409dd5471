"""Shared pools: processes pass arrays with no copy, and one of them is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np

import gmemx
from gmemx import BufferGuard, BufferPool
from gmemx.cli.chapters import pool_field, pool_picture, pool_race
from gmemx.cli.chapters.pool_picture import Story
from gmemx.cli.chapters.pool_workers import Crew, Strip
from gmemx.cli.stage import Stage

TITLE = "a shared pool: processes pass arrays, nothing is copied, one of them is killed"

# Where the cells that say where the drops fall begin: anywhere would do.
START = 1 << 40
PROCESSES = 3
# How far a process takes its rows before they are handed on. It must compute as many rows more
# on either side.
STEPS = 8
# The side of the field and how often it is handed on, when quick and when not.
SIZES = {True: (160, 200), False: (240, 600)}
# How many fields the picture shows.
SHOWN = 6


def run(stage: Stage) -> None:
    """Let processes compute a field together, kill one, and look for what it left behind.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    """
    if sys.platform != "linux":
        stage.say("Shared pools need Linux, so this chapter is left out.")
        return
    name = f"gmemx-tour-{os.getpid()}"
    with BufferPool(name, capacity=64) as pool:
        story = _compute(stage, pool)
        size, handed = pool_race.hand_over(stage, pool)
        taken = pool_race.take_and_give_back(stage, pool)
        _tell(stage, size, handed, taken)
        left = pool.stats()
        stage.check("no buffer is in use any more", left.used == left.in_flight == left.pins == 0)
        stage.check("no process but this one uses the pool", left.processes == 1)
    stage.check(
        "once it is closed nothing of it is left in /dev/shm",
        not any(Path("/dev/shm").glob(f"*{name}*")) and name not in _names(),
    )
    image = pool_picture.draw(story, size, handed, taken)
    image.save(stage.picture_path("pool.png"))


def _names() -> list[str]:
    return [info.name for info in gmemx.pool.list_pools()]


def _compute(stage: Stage, pool: BufferPool) -> Story:
    """Hand a field round among processes that take it further together."""
    side, turns = SIZES[stage.quick]
    first = pool_field.first(gmemx.GMemContext(stage.seed), START, side)
    cuts = np.linspace(0, side, PROCESSES + 1).astype(int).tolist()
    strips = list(pairwise(cuts))
    stage.say(
        f"A field of {side} x {side} cells lies in the pool {pool.name!r}. {PROCESSES} processes "
        f"take it further, {STEPS} steps at a time, each its strip of rows, from one buffer "
        f"into the next, {turns:,} times. Half-way one is killed while it writes:"
    )
    crew = _crew(stage, pool)
    before = pool.stats()
    try:
        frames, killed, seconds = _hand_round(stage, pool, crew, first, strips, turns)
        crew.end()
    finally:
        crew.stop()
    after = pool.stats()

    stage.table(
        ("", "before", "after the kill", "at the end"),
        [
            (title, *(f"{getattr(stats, name):,}" for stats in (before, killed, after)))
            for title, name in (
                ("processes", "processes"),
                ("buffers in use", "used"),
                ("buffers on their way", "in_flight"),
                ("references taken back from the dead", "reclaimed"),
            )
        ],
    )
    passed = 2 * crew.done * first.nbytes / 1e6
    stage.say(
        f"{crew.done:,} strips in {seconds:.1f} s: {2 * crew.done:,} times a buffer was handed "
        f"over, {passed:,.0f} MB in all, and no byte of it was copied."
    )
    stage.check("one process was killed with half a strip written", crew.exits == [-signal.SIGKILL])
    stage.check("another one did that strip", crew.done == turns * len(strips))
    stage.check(
        "the two buffers that the dead one held were taken back",
        after.reclaimed - before.reclaimed == 2,
    )
    fields = [frame.numpy().copy() for frame in frames]
    stage.check(
        "every field knows how far it is",
        [frame.sequence for frame in frames] == [turn * STEPS for turn in _shown(turns)],
    )
    for frame in frames:
        frame.close()
    stage.check(
        "the field is what one process by itself computes, bit for bit",
        np.array_equal(fields[-1], _alone(stage, first, turns)),
        f"{first.size:,} numbers",
    )
    steps = [turn * STEPS for turn in _shown(turns)]
    return Story(stage.seed, fields, steps, strips, crew.done, turns // 2 * STEPS)


def _shown(turns: int) -> list[int]:
    """After which turns a field is kept for the picture; the first and the last are among them."""
    return [round(i * turns / (SHOWN - 1)) for i in range(SHOWN)]


def _crew(stage: Stage, pool: BufferPool) -> Crew:
    """Start the processes; each signs a buffer at which this one looks meanwhile."""
    with pool.acquire(PROCESSES, "int64") as book:
        signatures = book.numpy()
        signatures[:] = 0
        crew = Crew(pool, PROCESSES, STEPS, book)
        signed = signatures.tolist()
    stage.check(
        "what each process writes, this one sees",
        len({0, os.getpid(), *signed}) == PROCESSES + 2,
        "processes " + ", ".join(map(str, signed)),
    )
    return crew


def _hand_round(
    stage: Stage,
    pool: BufferPool,
    crew: Crew,
    first: np.ndarray,
    strips: Iterable[Strip],
    turns: int,
) -> tuple[list[BufferGuard], gmemx.pool.PoolStats, float]:
    """Take a field through all turns; kill a process half-way.

    Returns
    -------
    frames : list of BufferGuard
        The fields for the picture.
    killed : PoolStats
        As it was right after the kill.
    seconds : float
    """
    shown = set(_shown(turns))
    new = pool.acquire(first.shape, "float32")
    new.numpy()[:] = first
    frames = [field := _finished(pool, new, 0)]
    began = time.perf_counter()
    with stage.progress("computing", turns) as advance:
        for turn in range(1, turns + 1):
            old, new = field, pool.acquire(first.shape, "float32")
            crew.advance(old, new, strips, kill=turn == turns // 2)
            if turn == turns // 2:
                killed = pool.stats()
                pool.reclaim()
            field = _finished(pool, new, turn * STEPS)
            if turn in shown:
                frames.append(field)
            if turn - 1 not in shown:
                old.close()
            advance(1)
    return frames, killed, time.perf_counter() - began


def _finished(pool: BufferPool, guard: BufferGuard, sequence: int) -> BufferGuard:
    """A hold to read a field in place of the one to write it."""
    guard.sequence = sequence
    with guard:
        return pool.get(guard.handle)


def _alone(stage: Stage, field: np.ndarray, turns: int) -> np.ndarray:
    """Compute the last field here, in one piece, with NumPy's memory only."""
    side = field.shape[-1]
    feed, kill = (pool_field.around(rate, 0, side, STEPS) for rate in pool_field.rates(side))
    with stage.progress("computing alone", turns) as advance:
        for _ in range(turns):
            field = pool_field.advance(pool_field.around(field, 0, side, STEPS), feed, kill, STEPS)
            advance(1)
    return field


def _tell(
    stage: Stage, size: int, handed: list[pool_race.Entry], taken: list[pool_race.Entry]
) -> None:
    """Print what was measured."""
    for title, entries in (
        (f"{size / 1e6:.0f} MB handed to another process, which looks at them", handed),
        (f"A buffer of {pool_race.SMALL:,} bytes taken and given back", taken),
    ):
        stage.say(f"{title}:")
        least = entries[0].seconds
        stage.table(
            ("how", "microseconds", "times as long"),
            [(e.name, f"{e.seconds * 1e6:,.1f}", f"{e.seconds / least:,.0f}") for e in entries],
        )
