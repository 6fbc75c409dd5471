"""The processes of the pool chapter that compute, and how the tour deals work to them.

They start afresh and import this module, so it needs nothing but NumPy and gmemx.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterable
from multiprocessing.connection import Connection, wait

from gmemx import BufferGuard, BufferPool
from gmemx.cli.chapters.pool_field import advance, around, rates

HALF_DONE = "half done"

Strip = tuple[int, int]


class Crew:
    """Some processes that compute strips of a field, and get on when one of them dies.

    Parameters
    ----------
    pool : BufferPool
        Where the fields are.
    count : int
        How many processes.
    steps : int
        How far a job takes its rows.
    book : BufferGuard
        A buffer of `count` int64, in which each process writes its number.

    Attributes
    ----------
    done : int
        Strips that were computed.
    exits : list of int
        How the processes that died ended: a signal's number, negated.
    """

    def __init__(self, pool: BufferPool, count: int, steps: int, book: BufferGuard) -> None:
        self.done = 0
        self.exits: list[int] = []
        self._workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
        context = multiprocessing.get_context("spawn")
        for line in range(count):
            here, there = context.Pipe()
            worker = context.Process(target=_compute, args=(there, pool, line, steps), daemon=True)
            worker.start()
            # The far end is the worker's alone, so that its death ends the pipe.
            there.close()
            self._workers[here] = worker
        for pipe in self._workers:
            pipe.send(book)
        for pipe in self._workers:
            pipe.recv()

    def advance(
        self, old: BufferGuard, new: BufferGuard, strips: Iterable[Strip], *, kill: bool = False
    ) -> None:
        """Let the processes compute a field from another.

        Parameters
        ----------
        old, new : BufferGuard
            The fields.
        strips : iterable of (int, int)
            The first row and the one behind the last, for all of them.
        kill : bool, optional
            Whether to kill the first process, by SIGKILL, when it has written half a strip.
        """
        strips = deque(strips)
        idle, busy = deque(self._workers), {}
        while strips or busy:
            while strips and idle:
                pipe = idle.popleft()
                busy[pipe] = strips.popleft()
                pipe.send((old, new, *busy[pipe], kill))
                kill = False
            for pipe in wait(list(busy)):
                try:
                    said = pipe.recv()
                except EOFError:
                    strips.append(busy.pop(pipe))
                    self._bury(pipe)
                    continue
                if said == HALF_DONE:
                    self._workers[pipe].kill()
                else:
                    self.done += 1
                    del busy[pipe]
                    idle.append(pipe)

    def end(self) -> None:
        """Let the processes end, and wait for them."""
        for pipe, worker in self._workers.items():
            pipe.send(None)
            worker.join()
        self._workers.clear()

    def stop(self) -> None:
        """Kill all that still run."""
        for worker in self._workers.values():
            worker.kill()
            worker.join()
        self._workers.clear()

    def _bury(self, pipe: Connection) -> None:
        worker = self._workers.pop(pipe)
        worker.join()
        self.exits.append(worker.exitcode)
        if not self._workers:
            raise ChildProcessError("all processes died")


def _compute(pipe: Connection, pool: BufferPool, line: int, steps: int) -> None:
    with pool:
        with pipe.recv() as book:
            book.numpy()[line] = os.getpid()
        pipe.send(None)
        while (job := pipe.recv()) is not None:
            _compute_strip(pipe, steps, *job)
            pipe.send(None)


def _compute_strip(
    pipe: Connection,
    steps: int,
    old: BufferGuard,
    new: BufferGuard,
    begin: int,
    end: int,
    stuck: bool,
) -> None:
    # The two guards are all that came: the fields stayed where they are.
    with old, new:
        source, target = old.numpy(), new.numpy()
        feed, kill = (around(rate, begin, end, steps) for rate in rates(source.shape[-1]))
        strip = advance(around(source, begin, end, steps), feed, kill, steps)
        if stuck:
            middle = (begin + end) // 2
            target[:, begin:middle] = strip[:, : middle - begin]
            pipe.send(HALF_DONE)
            time.sleep(3600)
        target[:, begin:end] = strip
