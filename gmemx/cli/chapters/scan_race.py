"""A first scan beside a plain read of the same memory, in the same run."""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gmemx import scan
from gmemx.cli import machine
from gmemx.cli.chapters.scan_target import Target
from gmemx.cli.stage import Stage

# What process_vm_readv copies best at a time.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One measured way.

    Attributes
    ----------
    name : str
        What was done.
    rate : float
        Bytes a second, the median of the rounds.
    ours : bool
        Whether it is a scan.
    """

    name: str
    rate: float
    ours: bool


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def raw_reader(pid: int, start: int, size: int) -> Callable[[], None]:
    """Make what reads memory by the system call alone, into one buffer again and again.

    Parameters
    ----------
    pid : int
    start, size : int
        Which memory.

    Returns
    -------
    callable
        OSError where it reads less than it should.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    read = libc.process_vm_readv
    read.restype = ctypes.c_ssize_t
    read.argtypes = (
        *(ctypes.c_int, ctypes.POINTER(_Iovec), ctypes.c_ulong),
        *(ctypes.POINTER(_Iovec), ctypes.c_ulong, ctypes.c_ulong),
    )
    buffer = np.zeros(CHUNK, np.uint8)
    local, remote = _Iovec(0, CHUNK), _Iovec(0, CHUNK)

    def run() -> None:
        local.base = buffer.ctypes.data
        for offset in range(0, size, CHUNK):
            local.length = remote.length = min(CHUNK, size - offset)
            remote.base = start + offset
            if read(pid, local, 1, remote, 1, 0) != local.length:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    return run


def race(stage: Stage, process: scan.Process, target: Target, size: int, value: int) -> list[Entry]:
    """Measure, and check what was found.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    process : gmemx.scan.Process
        The target, opened.
    target : Target
        Which knows where `value` is.
    size : int
        Of its block, in bytes.
    value : int
        What is searched for.

    Returns
    -------
    list of Entry
        The plain read first.
    """
    region = [(target.block, target.block + size)]
    scanner = process.scanner("int32", region)
    ways: dict[str, Callable[[], object]] = {
        "process_vm_readv, 1 thread": raw_reader(target.pid, target.block, size),
        "exact scan, 1 thread": lambda: scanner.initial_scan(value, threads=1),
    }
    # Two even on one core: that both find the same is looked at below.
    most = max(2, machine.cores())
    ways[f"exact scan, {most} threads"] = lambda: scanner.initial_scan(value, threads=most)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = []
    rounds = 3 if stage.quick else 7
    with stage.progress("measuring", rounds + 1) as advance:
        for number in range(rounds + 1):
            for name, call in ways.items():
                began = time.perf_counter()
                call()
                if number:
                    seconds[name].append(time.perf_counter() - began)
                elif "scan" in name:
                    found.append(scanner.addresses())
            advance(1)
    entries = [
        Entry(name, size / statistics.median(times), "scan" in name)
        for name, times in seconds.items()
    ]
    raw = entries[0].rate
    stage.say(f"Searching {size / 1e6:,.0f} MB of it for {value:,}, and only reading them:")
    stage.table(
        ("how", "GB/s", "of the plain read"),
        [(e.name, f"{e.rate / 1e9:.2f}", f"{e.rate / raw:.0%}") for e in entries],
    )
    stage.check(
        f"the {len(target.places):,} places with that number are found, and no others",
        all(np.array_equal(addresses, target.places) for addresses in found),
    )
    return entries
