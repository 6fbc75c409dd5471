"""Shared pools against shared_memory and Queue of multiprocessing, and against bare instructions.

    python benchmarks/pool.py [--quick] [--json FILE]

Both sides of every row run from this process, in turn, several rounds; the table shows
the ratio of their medians. benchmarks/README.md says what the rows mean.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import statistics
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from harness import Way, compare, measure
from setting import Bench, compiled, run

import gmemx
from gmemx import BufferPool
from gmemx.cli.chapters.pool_receiver import Receiver

# Names of other runs at the same time are others.
NAME = f"gmemx-bench-{os.getpid()}"
# Bytes of the buffers that are made and given back, and of those that are filled.
SMALL, FILLED = 4096, 1 << 20
# Bytes handed to another process.
LARGE = 100_000_000
CALLS = 20_000
# Buffers are acquired this often in a C loop, and gates passed this often by two processes.
LOOPS, TURNS = 200_000, 19_200
# Nanoseconds after which a waiting process sleeps for certain.
PARKED = 200_000.0

# The other processes start afresh, as those of users do that use threads.
processes = multiprocessing.get_context("spawn")


def make_segment() -> None:
    """What the standard library has for a buffer between processes, made and removed."""
    segment = SharedMemory(create=True, size=SMALL)
    segment.close()
    segment.unlink()


def buffers(bench: Bench) -> None:
    """A buffer of 4 KB taken and given back, against a SharedMemory made and removed."""
    library = cost(bench, "acquire_native")
    n = bench.size(CALLS)
    title = "a buffer taken and given back"
    theirs = "SharedMemory create, close, unlink"
    with BufferPool(NAME) as pool:
        names = {"pool": pool}
        texts = {
            "acquire_with": "with pool.acquire_cpu(4096): pass",
            "acquire_drop": "pool.acquire_cpu(4096)",
            "acquire_numpy": "with pool.acquire_cpu(4096) as b: b.numpy()",
        }
        ways = [Way(theirs, 1, make_segment)]
        ways += [
            Way(text, n, partial(timeit.Timer(text, globals=names).timeit, n))
            for text in texts.values()
        ]
        rows = {"acquire_with": (texts["acquire_with"], 100)}
        rows |= {key: (texts[key], None) for key in ("acquire_drop", "acquire_numpy")}
        if library is not None:
            pointer, loops = opened(bench, NAME), bench.size(LOOPS)
            call = partial(succeed, library.acquire_release, pointer, SMALL, loops)
            ways.append(Way("acquire, release in C", loops, call))
            rows = {"acquire_native": ("acquire, release in C", 500), **rows}
        rates = measure(ways, bench.rounds)
        bench.rows += [
            compare(key, title, rates, ours, theirs, mark=mark, unit="ns")
            for key, (ours, mark) in rows.items()
        ]
        if library is not None:
            bench.library.gmem_pool_close(pointer)


def instructions(bench: Bench) -> None:
    """A hold taken and given back against two CAS, a buffer filled against memset, all in C."""
    library = cost(bench, "get_native", "fill")
    if library is None:
        return
    loops, fills = bench.size(LOOPS), bench.size(1600)
    with BufferPool(NAME) as pool, pool.acquire_cpu(SMALL) as held:
        pointer = opened(bench, NAME)
        warm = gmemx.full(FILLED, 1, "uint8")
        address = ctypes.c_void_p(warm.__array_interface__["data"][0])
        get = partial(succeed, library.get_release, pointer, held.handle.value, loops)
        ways = [
            Way("get, release", loops, get),
            Way("two CAS", loops, partial(succeed, library.cas_pair, loops)),
        ]
        rates = measure(ways, bench.rounds)
        title = "a hold on a buffer, in C"
        names = "get, release", "two CAS"
        bench.rows.append(compare("get_native", title, rates, *names, mark=1 / 3, unit="ns"))

        fill = partial(succeed, library.acquire_fill_release, pointer, FILLED, fills)
        ways = [
            Way("acquire, fill, release", fills, fill),
            Way("memset", fills, partial(succeed, library.fill_warm, address, FILLED, fills)),
        ]
        rates = measure(ways, bench.rounds)
        title = "1 MiB filled, in C"
        names = "acquire, fill, release", "memset"
        bench.rows.append(compare("fill", title, rates, *names, mark=1 / 1.3, unit="ns"))
        bench.library.gmem_pool_close(pointer)


def keep_pool(name: str, ready: Connection) -> None:
    """Keep a pool for others to open; runs in a process of its own until it is told to end."""
    with BufferPool(name):
        ready.send_bytes(b"")
        ready.recv_bytes()


def opening(bench: Bench) -> None:
    """A pool that another process has, opened and closed, against a SharedMemory."""
    ours, theirs = "BufferPool.open", "SharedMemory attach"
    here, there = processes.Pipe()
    keeper = processes.Process(target=keep_pool, args=(NAME, there))
    keeper.start()
    here.recv_bytes()
    segment = SharedMemory(create=True, size=SMALL)
    # Call by call: a pool that is open already would be opened in no time.
    ways = {ours: lambda: BufferPool.open(NAME), theirs: lambda: SharedMemory(segment.name)}
    opened_in, closed_in = {ours: [], theirs: []}, {ours: [], theirs: []}
    for _ in range(bench.size(4000)):
        for way, make in ways.items():
            began = time.perf_counter()
            made = make()
            done = time.perf_counter()
            made.close()
            opened_in[way].append(done - began)
            closed_in[way].append(time.perf_counter() - began)
    for key, title, taken, mark in (
        ("open", "opened", opened_in, 1),
        ("open_close", "opened and closed", closed_in, None),
    ):
        rates = {way: 1 / statistics.median(seconds) for way, seconds in taken.items()}
        bench.rows.append(compare(key, title, rates, ours, theirs, mark=mark, unit="ns"))
    segment.close()
    segment.unlink()
    here.send_bytes(b"")
    keeper.join()


def waiting(bench: Bench) -> None:
    """A blocked acquire woken by another process, against a bare futex."""
    library = cost(bench, "wake_parked", "wake_round_trip")
    if library is None:
        return
    names = [f"{NAME}-{i}" for i in range(3)]
    # A single buffer each: who wants it must wait for whoever has it.
    pools = [BufferPool(name, capacity=1) for name in names]
    pointers = [opened(bench, name) for name in names]
    gates = (ctypes.c_void_p * 3)(*pointers)
    turns, parked = bench.size(TURNS), bench.size(2000)
    measured: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        for name, nanoseconds in (
            ("acquire, asleep", library.wake(gates, parked, PARKED)),
            ("futex, asleep", library.wake(None, parked, PARKED)),
            ("two acquires", library.round_trip(gates, turns)),
            ("two futexes", library.round_trip(None, turns)),
        ):
            if nanoseconds <= 0:
                raise SystemExit(f"{name}: a call failed")
            measured.setdefault(name, []).append(nanoseconds)
    rates = {name: 1e9 / statistics.median(values) for name, values in measured.items()}
    for key, title, ours, theirs in (
        ("wake_parked", "a sleeping process woken", "acquire, asleep", "futex, asleep"),
        ("wake_round_trip", "two processes in turn", "two acquires", "two futexes"),
    ):
        bench.rows.append(compare(key, title, rates, ours, theirs, mark=1 / 1.5, unit="ns"))
    for pointer in pointers:
        bench.library.gmem_pool_close(pointer)
    for pool in pools:
        pool.close()


def handing_over(bench: Bench) -> None:
    """100 MB handed to another process."""
    size = bench.size(LARGE)
    array = np.ones(size, np.uint8)
    pipe, queue, theirs = "a guard by Pipe", "a guard by Queue", "the array by Queue"
    with BufferPool(NAME) as pool, pool.acquire(size, "uint8") as guard:
        # One for each way: freeing the array takes a while after the answer has come.
        receivers = [Receiver(channel, pool) for channel in ("Pipe", "Queue", "Queue", "Pipe")]
        guard.numpy()[:] = array
        ways = [
            Way(pipe, 1, partial(receivers[0].hand, guard)),
            Way(queue, 1, partial(receivers[1].hand, guard)),
            Way(theirs, 1, partial(receivers[2].hand, array)),
            Way("SharedMemory by Pipe", 1, partial(receivers[3].hand_copy, array)),
        ]
        if [way.call() for way in ways] != [2] * len(ways):
            raise SystemExit("what arrived is not what was sent")
        rates = measure(ways, bench.rounds)
        for receiver in receivers:
            receiver.end()
    title = f"{size / 1e6:.0f} MB to another process"
    bench.rows += [
        compare("handover_pipe", title, rates, pipe, theirs, mark=1000, unit="ns"),
        compare("handover_queue", title, rates, queue, theirs, mark=1000, unit="ns"),
        compare("handover_segment", title, rates, pipe, "SharedMemory by Pipe", unit="ns"),
    ]


def cost(bench: Bench, *keys: str) -> ctypes.CDLL | None:
    """The compiled pool_cost.c; where it cannot be, None, and the rows `keys` are skipped."""
    folder = str(gmemx.get_library_dir())
    flags = ["-O2", "-std=gnu11", "-I", str(gmemx.get_include()), "-L", folder]
    flags += [f"-Wl,-rpath,{folder}", "-lgmemx"]
    library = compiled(bench, "pool_cost.c", flags, keys)
    if library is not None:
        size, number, pointer = ctypes.c_size_t, ctypes.c_long, ctypes.c_void_p
        library.acquire_release.argtypes = (pointer, size, number)
        library.get_release.argtypes = (pointer, ctypes.c_uint64, number)
        library.cas_pair.argtypes = (number,)
        library.acquire_fill_release.argtypes = (pointer, size, number)
        library.fill_warm.argtypes = (pointer, size, number)
        library.round_trip.argtypes = (pointer, number)
        library.wake.argtypes = (pointer, number, ctypes.c_double)
        library.round_trip.restype = library.wake.restype = ctypes.c_double
    return library


def succeed(function: Callable[..., int], *arguments: object) -> None:
    """Call a function of pool_cost.c, which must not fail."""
    if function(*arguments) != 0:
        raise SystemExit(f"{function.__name__}: a call failed")


def opened(bench: Bench, name: str) -> ctypes.c_void_p:
    """A pool through the C ABI, which `gmem_pool_close` closes."""
    pointer = ctypes.c_void_p()
    bench.library.gmem_pool_open.argtypes = (ctypes.c_char_p, ctypes.c_bool, ctypes.c_void_p)
    bench.library.gmem_pool_close.argtypes = (ctypes.c_void_p,)
    bench.library.gmem_pool_close.restype = None
    if bench.library.gmem_pool_open(name.encode(), False, ctypes.byref(pointer)):
        raise SystemExit(f"gmem_pool_open of {name} failed")
    return pointer


GROUPS = (buffers, instructions, opening, waiting, handing_over)


if __name__ == "__main__":
    sys.exit(run(__doc__, GROUPS))
