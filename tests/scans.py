"""Processes to be scanned, what lies in their memory, and what should be found there.

Every target is started by the test that scans it, and no other process is ever touched.
"""

import atexit
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
MIB = 1 << 20
NOBODY = 65534
# The chunks in which a process is read are powers of two from 64 KiB to 4 MiB.
CHUNKS = (1 << 16, 1 << 17, 1 << 20, 1 << 21, 1 << 22)
TYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float32", "float64",
)  # fmt: skip
INTEGERS = TYPES[:8]

NONE, READ, WRITE, EXECUTE = 0, 1, 2, 4
PROTECTIONS = {
    "none": NONE, "r": READ, "rw": READ | WRITE, "rx": READ | EXECUTE,
    "rwx": READ | WRITE | EXECUTE, "w": WRITE,
}  # fmt: skip
SHARED, PRIVATE, FIXED, NORESERVE = 0x01, 0x02, 0x10, 0x4000
DONTNEED = 4

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are scanned on Linux"
)
root_only = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can become another user"
)


@functools.cache
def target_program():
    """The compiled scan_target/target.c, where every user can run it."""
    folder = Path(tempfile.mkdtemp(prefix="gmemx-scan-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    program = folder / "scan-target"
    source = Path(__file__).parent / "scan_target" / "target.c"
    command = [*os.environ.get("CC", "cc").split(), "-std=gnu11", "-O1", "-Wall", "-Wextra"]
    command += ["-Werror", "-pthread", str(source), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return program


class Target:
    """A process that lays out its memory as it is told; killed at the end of a ``with``."""

    def __init__(self, program=None, **options):
        self.process = subprocess.Popen(
            [str(program or target_program())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **options,
        )
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()

    def kill(self):
        """End it, whatever state it is in."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()

    def ask(self, *words, data=b""):
        """Give a command; the numbers of the answer."""
        self.process.stdin.write((" ".join(map(str, words)) + "\n").encode() + data)
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().split()
        if answer[:1] == ["error"]:
            raise OSError(int(answer[1]), f"{words}: {os.strerror(int(answer[1]))}")
        assert answer[:1] == ["ok"], answer
        return [int(number) for number in answer[1:]]

    def map(self, size, protection="rw", *, at=0, flags=PRIVATE, path="", offset=0):
        """Map memory; its address."""
        flags |= (FIXED if at else 0) | NORESERVE
        return self.ask("map", at, size, PROTECTIONS[protection], flags, offset, path)[0]

    def reserve(self, size):
        """Address space in which nothing can be read, so that nobody else maps there."""
        return self.map(size, "none")

    def fresh(self, size, protection="rw", **options):
        """Memory with nothing around it, so that it is a region by itself; its address."""
        at = self.reserve(size + 2 * PAGE) + PAGE
        return self.map(size, protection, at=at, **options)

    def unmap(self, address, size):
        self.ask("unmap", address, size)

    def protect(self, address, size, protection):
        self.ask("protect", address, size, PROTECTIONS[protection])

    def forget(self, address, size):
        """Give pages back, so that they are as if they had never been touched."""
        self.ask("advise", address, size, DONTNEED)

    def put(self, address, data):
        """Write bytes, or the bytes of an array."""
        data = np.ascontiguousarray(data).tobytes() if isinstance(data, np.ndarray) else data
        self.ask("put", address, len(data), data=bytes(data))

    def get(self, address, size):
        self.ask("get", address, size)
        return self.process.stdout.read(size)

    def values(self, address, count, dtype):
        return np.frombuffer(self.get(address, count * np.dtype(dtype).itemsize), dtype)

    def array(self, values, dtype=None, *, at=None):
        """New memory that holds these values, and nothing around it; its address."""
        values = np.asarray(values, dtype)
        if at is None:
            at = self.fresh(-(-values.nbytes // PAGE) * PAGE)
        self.put(at, values)
        return at

    def state(self):
        """One letter: R and S run and sleep, T and t are stopped."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def resident(self, field="Rss"):
        """Bytes in memory, counted page by page."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024


def within(source, start, size, **filters):
    """The regions between two addresses."""
    return source.regions(start=start, end=start + size, **filters)


class Image:
    """What should be readable: pieces of memory, and every value that lies in them."""

    def __init__(self):
        self.pieces = {}

    def add(self, address, data):
        self.pieces[address] = np.frombuffer(bytearray(data), np.uint8)

    def runs(self):
        """Memory without gaps: (address, bytes) for each run."""
        runs = []
        for address, data in sorted(self.pieces.items()):
            if runs and runs[-1][0] + sum(map(len, runs[-1][1])) == address:
                runs[-1][1].append(data)
            else:
                runs.append((address, [data]))
        return [(address, np.concatenate(parts)) for address, parts in runs]

    def slots(self, dtype, alignment=None):
        """The addresses at which a value may lie, and the values there, in native order."""
        dtype = np.dtype(dtype)
        alignment = alignment or dtype.itemsize
        addresses, values = [], []
        for start, data in self.runs():
            first = -start % alignment
            count = (len(data) - first - dtype.itemsize) // alignment + 1
            if count <= 0:
                continue
            windows = np.lib.stride_tricks.sliding_window_view(data, dtype.itemsize)
            picked = np.ascontiguousarray(windows[first::alignment][:count])
            values.append(picked.view(dtype).reshape(-1).astype(dtype.newbyteorder("=")))
            addresses.append(np.arange(count, dtype=np.uint64) * alignment + (start + first))
        if not addresses:
            return np.empty(0, np.uint64), np.empty(0, dtype.newbyteorder("="))
        return np.concatenate(addresses), np.concatenate(values)

    def size(self):
        return sum(len(data) for data in self.pieces.values())


def interesting(rng, size):
    """Bytes in which values repeat and cross every boundary: noise, small numbers, floats."""
    kind = rng.integers(4)
    if kind == 0:
        return rng.bytes(size)
    if kind == 1:
        return bytes(size)
    dtype = np.dtype(rng.choice(TYPES))
    count = size // dtype.itemsize + 1
    values = rng.integers(-3, 4, count)
    if dtype.kind == "u":
        values = abs(values)
    # Off by some bytes, so that it is unaligned more often than not.
    return bytes(rng.integers(8)) + values.astype(dtype).tobytes()[: size - 8] + bytes(8)


def random_layout(target, rng, pages=700, folder=None):
    """Memory of every kind beside each other, with holes; its address, size and `Image`.

    Neighbours with other permissions are other regions, though nothing is between them.
    """
    start = target.reserve((pages + 2) * PAGE) + PAGE
    image, page = Image(), 0
    while page < pages:
        length = int(min(rng.integers(1, 1 + rng.choice([2, 20, 300])), pages - page))
        address, size = start + page * PAGE, length * PAGE
        page += length
        kind = rng.choice(["hole", "gone", "rw", "rw", "rw", "r", "rwx", "zeros", "file", "shared"])
        if kind == "hole":
            continue
        if kind == "gone":
            target.unmap(address, size)
            continue
        data = interesting(rng, size)[:size].ljust(size, b"\1")
        if kind == "file" and folder is not None:
            path = Path(folder) / f"file{address:x}"
            path.write_bytes(bytes(PAGE) + data)
            target.map(size, "r", at=address, path=path, offset=PAGE)
        elif kind == "shared":
            target.map(size, at=address, flags=SHARED)
            target.put(address, data)
        elif kind == "zeros":
            target.map(size, at=address)
            data = bytes(size)
            # One page in the middle of it was written.
            middle = length // 2 * PAGE
            marked = interesting(rng, PAGE)[:PAGE].ljust(PAGE, b"\2")
            target.put(address + middle, marked)
            data = data[:middle] + marked + data[middle + PAGE :]
        else:
            target.map(size, at=address)
            target.put(address, data)
            if kind != "rw":
                target.protect(address, size, kind)
        image.add(address, data)
    return start, pages * PAGE, image


def equal(found, expected):
    """Two arrays are the same, bit by bit, and of one type."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape, f"{found.size} and not {expected.size}"
    different = np.flatnonzero(
        found.view(f"u{found.itemsize}") != expected.view(f"u{found.itemsize}")
    )
    assert different.size == 0, f"first at {different[0]}: {found[different[0]]!r}"
