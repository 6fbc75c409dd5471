"""A process that is handed large arrays, for measuring what that takes.

The tour measures with it, and the benchmarks. The process starts afresh and imports this
module, so it needs nothing but NumPy and gmemx.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from gmemx import BufferGuard, BufferPool


class Receiver:
    """A process at the far end of a channel, which looks at what arrives and answers.

    Parameters
    ----------
    channel : {"Pipe", "Queue"}
        Those of `multiprocessing`.
    pool : BufferPool
        Which the process opens, and keeps open, before guards of it arrive.
    """

    def __init__(self, channel: str, pool: BufferPool) -> None:
        processes = multiprocessing.get_context("spawn")
        if channel == "Queue":
            queue = processes.Queue()
            self._give, take = queue.put, queue.get
        else:
            far, near = processes.Pipe(duplex=False)
            self._give, take = near.send, far.recv
        self._answers, answers = processes.Pipe(duplex=False)
        self._process = processes.Process(target=_look, args=(take, answers, pool), daemon=True)
        self._process.start()

    def hand(self, what: object) -> int:
        """Send something, and wait until it was looked at.

        Parameters
        ----------
        what : BufferGuard, numpy.ndarray or str
            One-dimensional bytes; a string is the name of a `SharedMemory`.

        Returns
        -------
        int
            The sum of its first and its last byte.
        """
        self._give(what)
        return self._answers.recv()

    def hand_copy(self, array: np.ndarray) -> int:
        """Do as `hand`, by a new `SharedMemory` into which the bytes are copied.

        Parameters
        ----------
        array : numpy.ndarray of uint8
            One-dimensional.

        Returns
        -------
        int
            See `hand`.
        """
        segment = SharedMemory(create=True, size=array.size)
        try:
            np.frombuffer(segment.buf, np.uint8)[: array.size] = array
            return self.hand(segment.name)
        finally:
            segment.close()
            segment.unlink()

    def end(self) -> None:
        """Let the process end, and wait for it."""
        self._give(None)
        self._process.join()


def _look(take: Callable[[], object], answers: Connection, pool: BufferPool) -> None:
    # Whoever has no pool open would open it anew for each guard.
    with pool:
        while (what := take()) is not None:
            answers.send(_ends(what))
            # Freed now, and not at the cost of what comes next.
            what = None


def _ends(what: object) -> int:
    if isinstance(what, BufferGuard):
        with what:
            ends = what.numpy()[[0, -1]]
    elif isinstance(what, np.ndarray):
        ends = what[[0, -1]]
    else:
        segment = SharedMemory(str(what))
        ends = np.frombuffer(segment.buf, np.uint8)[[0, -1]]
        segment.close()
    return int(ends.sum())
