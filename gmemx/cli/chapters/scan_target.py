"""The process whose memory the scanner's chapter looks into.

It starts afresh and imports this module, so it needs nothing but NumPy. It counts, and beside the
counter is much else: random numbers at rest, some that change at random, some that rise and fall.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import threading
from multiprocessing.connection import Connection
from types import TracebackType

import numpy as np

# What stands in front of the counter, so that a pattern can find it.
MARKER = b"gmemx tour counter: "
# How many numbers change at random, and how many rise or fall unevenly.
NOISE, UNEVEN = 100_000, 2_000
# Seconds between two steps of a process that counts by itself.
PACE = 0.002


class Player(ctypes.Structure):
    """Where the counter is."""

    _fields_ = (("marker", ctypes.c_char * len(MARKER)), ("count", ctypes.c_int32))


class World(ctypes.Structure):
    """What leads to the player."""

    _fields_ = (("name", ctypes.c_char * 40), ("player", ctypes.POINTER(Player)))


class Target:
    """The process, from outside.

    Parameters
    ----------
    size : int
        Bytes of random int32.
    hits : int
        In how many places `value` is among them, and nowhere else.
    value : int
        What an exact scan looks for.
    seed : int
        Of all that is random.

    Attributes
    ----------
    pid : int
    block : int
        The address of the random numbers.
    places : numpy.ndarray
        The addresses of `value`, sorted.
    count_at : int
        The address of the counter, to check what the scanner found.
    """

    def __init__(self, size: int, hits: int, value: int, seed: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        arguments = (there, size, hits, value, seed)
        self._process = context.Process(target=_live, args=arguments, daemon=True)
        self._process.start()
        there.close()
        self.pid = self._process.pid
        self.block, self.places, self.count_at = self._pipe.recv()

    def step(self, count: int) -> int:
        """Let it count so many steps; return what it shows then."""
        return self._ask("step", count)

    def run(self) -> int:
        """Let it count by itself from now on."""
        return self._ask("run", 0)

    def pause(self) -> int:
        """Let it count no more; return how many steps it has counted by itself."""
        return self._ask("pause", 0)

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()

    def _ask(self, what: str, count: int) -> int:
        self._pipe.send((what, count))
        return self._pipe.recv()


def _live(pipe: Connection, size: int, hits: int, value: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    block = random.integers(-(2**30), 2**30, size // 4, dtype=np.int32)
    block[block == value] += 1
    places = np.sort(random.choice(len(block), hits, replace=False))
    block[places] = value

    player = Player(MARKER, 0)
    world = World(b"the world", ctypes.pointer(player))
    # A pointer in memory that a library has from its file, as a program keeps its own. libc
    # has this one for its messages, and nothing here writes any.
    static = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "program_invocation_name")
    static.value = ctypes.addressof(world)

    life = _Life(np.ndarray(1, np.int32, player, Player.count.offset), random)
    addresses = np.uint64(block.ctypes.data) + places.astype(np.uint64) * np.uint64(4)
    pipe.send((block.ctypes.data, addresses, ctypes.addressof(player) + Player.count.offset))
    while True:
        try:
            what, count = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(life, what)(count))


class _Life:
    """What happens in the process."""

    def __init__(self, count: np.ndarray, random: np.random.Generator) -> None:
        self._count, self._random = count, random
        self._noise = np.zeros(NOISE, np.int32)
        self._rising = np.zeros(UNEVEN, np.int32)
        self._falling = np.zeros(UNEVEN, np.int32)
        self._thread: threading.Thread | None = None
        self._paused = threading.Event()
        self._alone = 0

    def step(self, count: int) -> int:
        for _ in range(count):
            # In place: a number of Python's own would rise at one address too.
            self._count += 1
        self._noise[:] = self._random.integers(-(2**30), 2**30, NOISE, dtype=np.int32)
        self._rising += self._random.integers(1, 100, UNEVEN, dtype=np.int32)
        self._falling -= self._random.integers(1, 100, UNEVEN, dtype=np.int32)
        return int(self._count[0])

    def run(self, _count: int) -> int:
        self._paused.clear()
        self._alone = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return int(self._count[0])

    def pause(self, _count: int) -> int:
        self._paused.set()
        if self._thread is not None:
            self._thread.join()
        return self._alone

    def _run(self) -> None:
        while not self._paused.wait(PACE):
            self._count += 1
            self._alone += 1
