"""The pool beside what multiprocessing has, in the same run."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from gmemx import BufferPool
from gmemx.cli.chapters.pool_receiver import Receiver
from gmemx.cli.chapters.timing import Entry
from gmemx.cli.stage import Stage

LARGE, SMALL = 100_000_000, 4096


def hand_over(stage: Stage, pool: BufferPool) -> tuple[int, list[Entry]]:
    """Measure handing 100 MB to another process and hearing that they were looked at.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    pool : BufferPool
        With room for them.

    Returns
    -------
    size : int
        How many bytes it was: less than 100 MB where shared memory is short.
    entries : list of Entry
        The pool's way first.
    """
    # A SharedMemory of the same size stands beside the buffer.
    size = min(LARGE, shutil.disk_usage("/dev/shm").free // 3)
    array = np.full(size, 21, np.uint8)
    piped, queued = Receiver("Pipe", pool), Receiver("Queue", pool)
    with pool.acquire(size, "uint8") as guard:
        guard.numpy()[:] = array
        ways: dict[str, Callable[[], int]] = {
            "a guard through a Pipe": lambda: piped.hand(guard),
            "copied into a SharedMemory": lambda: piped.hand_copy(array),
            "the array through a Queue": lambda: queued.hand(array),
        }
        # What takes microseconds is done many times a round.
        entries = _measure(stage, "handing over", ways, {"a guard through a Pipe": 200})
        arrived = [call() for call in ways.values()]
    stage.check("what was read there is what was written here", arrived == [42, 42, 42])
    piped.end()
    queued.end()
    return size, entries


def take_and_give_back(stage: Stage, pool: BufferPool) -> list[Entry]:
    """Measure a small buffer taken and given back.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    pool : BufferPool
        With room for it.

    Returns
    -------
    list of Entry
        The pool's way first.
    """

    def pooled() -> None:
        with pool.acquire_cpu(SMALL):
            pass

    def segment() -> None:
        made = SharedMemory(create=True, size=SMALL)
        made.close()
        made.unlink()

    ours, theirs = "acquire_cpu in a with", "SharedMemory, created and unlinked"
    return _measure(
        stage, "taking and giving back", {ours: pooled, theirs: segment}, {ours: 20_000, theirs: 50}
    )


def _measure(
    stage: Stage, label: str, ways: dict[str, Callable[[], object]], times: dict[str, int]
) -> list[Entry]:
    """All ways in turn; the first is the pool's. A first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rounds = 2 if stage.quick else 9
    with stage.progress(label, rounds + 1) as advance:
        for number in range(rounds + 1):
            for name, call in ways.items():
                calls = times.get(name, 1)
                began = time.perf_counter()
                for _ in range(calls):
                    call()
                if number:
                    seconds[name].append((time.perf_counter() - began) / calls)
            advance(1)
    return [
        Entry(name, statistics.median(seconds[name]), ours=i == 0) for i, name in enumerate(ways)
    ]
