"""A writer is killed at any instant: what it had flushed is there, and nothing else.

GMEMX_KILLS=1000 kills a thousand times; the normal run does fewer.
"""

import os
import random
import signal
import struct
import time

import numpy as np

from gmemx import GMemContext

KILLS = int(os.environ.get("GMEMX_KILLS", "150"))
COUNTER = 2**63
REGIONS = [0, 2**20, 2**40, 2**64 - 2**15]


def changes(number):
    """What the flush of that number adds: everybody can tell, from the number alone."""
    rng = np.random.default_rng(number)
    start = REGIONS[rng.integers(4)] + int(rng.integers(0, 20_000))
    if number % 97 == 0:
        yield "clear", 0, 0, 0
    if number % 5 == 0:
        yield "erase", start, start + int(rng.integers(1, 5_000)), 0
    n = int(rng.integers(1, 600))
    yield "run", start, start + n, rng.integers(0, 2**64, n, np.uint64)
    where = np.uint64(REGIONS[rng.integers(4)]) + rng.integers(0, 30_000, 40).astype(np.uint64)
    yield "scatter", where, 0, rng.integers(0, 2**64, 40, np.uint64)
    yield "run", COUNTER, COUNTER + 1, np.array([number], np.float64).view(np.uint64)


def make(context, number):
    for kind, start, stop, values in changes(number):
        if kind == "clear":
            context.clear()
        elif kind == "erase":
            del context[start:stop]
        elif kind == "run":
            context[start:stop] = values.view(np.float64)
        else:
            context.write_many(start, values.view(np.float64))


def follow(cells, number):
    """The same in a dict of bits."""
    for kind, start, stop, values in changes(number):
        if kind == "clear":
            cells.clear()
        elif kind == "erase":
            for address in range(start, stop):
                cells.pop(address, None)
        elif kind == "run":
            cells.update(zip(range(start, stop), values.tolist(), strict=True))
        else:
            cells.update(zip(start.tolist(), values.tolist(), strict=True))


def write_for_ever(path, pipe):
    context = GMemContext.open(path)
    number = int(context[COUNTER]) if context.is_written(COUNTER) else 0
    os.write(pipe, struct.pack("<Q", number))
    while True:
        number += 1
        make(context, number)
        if number % 31 == 0:
            context.compact()
        elif number % 23 == 0:
            context.close()
            context = GMemContext.open(path)
        else:
            context.flush()
        os.write(pipe, struct.pack("<Q", number))


def test_killed_writers_lose_no_flush(tmp_path):
    path, rng = tmp_path / "cells.gmem", random.Random(7)
    GMemContext.open(path, seed=11).close()
    cells, number, middles = {}, 0, 0
    for kill in range(KILLS):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                write_for_ever(path, writing)
            finally:
                os._exit(1)
        os.close(writing)
        # One in five while it opens the file, which repairs it after the kill before.
        opened = b"" if kill % 5 == 0 else os.read(reading, 8)
        time.sleep(rng.random() * 0.03)
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "the writer ended by itself"
        with open(reading, "rb") as told:
            returned = opened + told.read()
        flushed = struct.unpack("<Q", returned[-8:])[0] if returned else number
        context = GMemContext.open(path, seed=11, read_only=True)
        found = int(context[COUNTER]) if context.is_written(COUNTER) else 0
        # The flush that was under way is there as a whole, or not at all.
        assert flushed <= found <= flushed + 1, f"kill {kill}"
        middles += found == flushed + 1
        while number < found:
            number += 1
            follow(cells, number)
        addresses, values = context.overlay()
        wanted = sorted(cells.items())
        assert addresses.tolist() == [address for address, _ in wanted], f"kill {kill}"
        assert values.view(np.uint64).tolist() == [bits for _, bits in wanted], f"kill {kill}"
    assert number > KILLS // 4
    assert middles
    with GMemContext.open(path) as context:
        assert context.overlay_count == len(cells)
