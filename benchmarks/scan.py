"""The scanner against the kernel's own reading of another process, scanmem and PyMemoryEditor.

    python benchmarks/scan.py [--quick] [--json FILE]

A child process holds 1 GiB of random int32, among them 1,000 of one value. All rows of a
run read the same memory, in turn, several rounds; the table shows the ratio of medians.
benchmarks/README.md says what the rows mean.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
from harness import Way, compare, limit, measure
from setting import Bench, compiled, run

from gmemx import scan

SIZE = 1 << 30
# The value to be found, how often it is there, and how many of these change later.
WANTED, HITS, NARROWED = 123_456_789, 1000, 10
# Matches that live through a filter.
LIVE = 10_000_000
# In these chunks the kernel reads fastest; the better one counts.
CHUNKS = (1 << 20, 2 << 20)
# Bytes that a sparse scan may need besides its results.
ROOM = 32 << 20

CHILD = """
import ctypes, mmap, sys
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_long(-1), 0, 0, 0)
memory = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
sys.stdin.read()
"""

# What one scan needs is seen in a process that has done nothing else.
SCANNER = """
import re, sys
from gmemx import scan

def field(name):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(rf"^{name}:\\s+(\\d+)", file.read(), re.MULTILINE)[1])

pid, start, end, threads, *value = map(int, sys.argv[1:])
scanner = scan.open_process(pid).scanner("int32", [(start, end)])
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = field("VmRSS")
scanner.initial_scan(*value, threads=threads or None)
print(field("VmHWM") - before)
"""


class Child:
    """A process that holds `values`, and ends with this one."""

    def __init__(self, values: np.ndarray) -> None:
        self.size = values.nbytes
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", CHILD, str(self.size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        self.start = int(self.process.stdout.readline())
        self.memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        self.put(0, values)

    def put(self, offset: int, values: np.ndarray) -> None:
        """Write values at an offset, through the kernel's own door."""
        data = memoryview(np.ascontiguousarray(values)).cast("B")
        done = 0
        while done < len(data):
            done += os.pwrite(self.memory, data[done:], self.start + offset + done)

    @property
    def regions(self) -> list[tuple[int, int]]:
        """All that it holds."""
        return [(self.start, self.start + self.size)]

    def end(self) -> None:
        os.close(self.memory)
        self.process.kill()
        self.process.communicate()


def held_values(bench: Bench, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random int32, and where among them the wanted value is."""
    values = bench.rng.integers(-(2**31), 2**31, size // 4, dtype=np.int32)
    values[values == WANTED] += 1
    places = np.sort(bench.rng.choice(values.size, HITS, replace=False))
    values[places] = WANTED
    return values, places


class Setting:
    """The child of this run, opened, and how to read it raw."""

    def __init__(self, bench: Bench) -> None:
        self.values, self.places = held_values(bench, bench.size(SIZE))
        self.child = Child(self.values)
        self.source = scan.open_process(self.child.pid)
        self.library = compiled(bench, "scan_cost.c", ["-O2"], [])
        if self.library is None:
            raise SystemExit("scan_cost.c cannot be compiled, and every row is against it")
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        self.library.read_raw.argtypes = (ctypes.c_int, ctypes.c_uint64, size, pointer, size)
        # To what does not begin with a page the kernel may copy half as fast.
        self.buffers = [np.frombuffer(mmap.mmap(-1, max(CHUNKS)), np.uint8) for _ in range(2)]
        for buffer in self.buffers:
            buffer[:] = 1

    def raw(self, threads: int, chunk: int) -> None:
        """Read all of the child once, a part on each thread."""
        part = self.child.size // threads
        failed = []

        def read(number: int) -> None:
            failed.append(
                self.library.read_raw(
                    self.child.pid,
                    self.child.start + number * part,
                    part,
                    self.buffers[number].ctypes.data,
                    chunk,
                )
            )

        others = [threading.Thread(target=read, args=(i,)) for i in range(1, threads)]
        for other in others:
            other.start()
        read(0)
        for other in others:
            other.join()
        if any(failed):
            raise SystemExit("process_vm_readv failed")

    def ways(self, *threads: int) -> list[Way]:
        """The raw reads to set others against."""
        return [
            Way(f"raw {n}, {chunk >> 20} MiB", self.child.size, partial(self.raw, n, chunk))
            for n in threads
            for chunk in CHUNKS
        ]

    def scanner(self, type: str = "int32", **options: object) -> scan.Scanner:
        return self.source.scanner(type, self.child.regions, **options)

    def changed(self, count: int) -> np.ndarray:
        """Where so many values are, spread evenly."""
        return np.linspace(0, self.values.size - 1, count).astype(np.int64)


setting: list[Setting] = []


def here(bench: Bench) -> Setting:
    """The setting of this run, made when it is first wanted."""
    if not setting:
        setting.append(Setting(bench))
    return setting[0]


def best_raw(rates: dict[str, float]) -> dict[str, float]:
    """The rates, with the better chunk for each number of threads as 'raw read, N threads'."""
    found = dict(rates)
    for n in (1, 2):
        mine = [rate for name, rate in rates.items() if name.startswith(f"raw {n},")]
        if mine:
            found[raw(n)] = max(mine)
    return found


def raw(threads: int) -> str:
    return f"raw read, {threads} thread{'s' if threads > 1 else ''}"


def equal(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Refuse to time what is wrong."""
    if not np.array_equal(found, expected):
        raise SystemExit(f"{what}: {len(found)} found, and not the {len(expected)} that are there")


def first_scans(bench: Bench) -> None:
    """First scans of the whole child, aligned and not, and patterns."""
    it = here(bench)
    size, where = it.child.size, it.child.start + it.places.astype(np.uint64) * 4
    aligned, unaligned = it.scanner(), it.scanner(alignment=1)
    wide, pattern = it.scanner("all"), "15 CD 5B 07"
    # Nothing is below the least value: this scan reads and need not compare.
    unequal = it.scanner()
    aligned.initial_scan(WANTED)
    equal(aligned.addresses(), where, "the first scan")
    unaligned.initial_scan(WANTED)
    equal(np.intersect1d(unaligned.addresses(), where), where, "the unaligned scan")
    equal(np.intersect1d(it.source.find(pattern, it.child.regions), where), where, "the pattern")
    title = f"{size / 2**30:g} GiB"
    for n in (1, 2):
        find = partial(it.source.find, regions=it.child.regions, threads=n)
        works = {
            "first": ("exact", partial(aligned.initial_scan, WANTED, threads=n), 0.85),
            "unaligned": ("unaligned", partial(unaligned.initial_scan, WANTED, threads=n), None),
            "less": (
                "only read",
                partial(unequal.initial_scan, -(2**31), compare="lt", threads=n),
                None,
            ),
            "all_types": ("all ten types", partial(wide.initial_scan, WANTED, threads=n), None),
            "pattern": ("pattern", partial(find, pattern), None),
            "wildcards": ("wildcards", partial(find, "15 ?? 5B 0? ?? ?? C? ?? 11 22"), None),
        }
        ways = it.ways(n)
        ways += [Way(name, size, work) for name, work, _ in works.values()]
        rates = best_raw(measure(ways, bench.rounds))
        threads = "1 thread" if n == 1 else f"{n} threads"
        bench.rows += [
            compare(f"{key}_{n}", f"{title}, {threads}", rates, name, raw(n), mark=mark, unit="B/s")
            for key, (name, _, mark) in works.items()
        ]


def unknown_values(bench: Bench) -> None:
    """Unknown initial values, and what has changed since."""
    it = here(bench)
    size = it.child.size
    where = it.changed(HITS)
    old, new = it.values[where], it.values[where] + 1

    def spread(values: np.ndarray) -> None:
        for place, value in zip(where.tolist(), values, strict=True):
            it.child.put(place * 4, value)

    scanner = it.scanner(history=1)
    peak = peak_of(it.child, None)
    title = f"unknown values, {size / 2**30:g} GiB"
    times = peak / size
    bench.rows.append(
        limit("unknown_peak", title, "peak, in percent of it", 100 * times, "%", 110.0)
    )
    for n in (1, 2):

        def before() -> None:
            spread(old)
            scanner.initial_scan()
            spread(new)

        def after() -> None:
            equal(scanner.addresses(), it.child.start + where.astype(np.uint64) * 4, "changed")

        def undone() -> None:
            after()
            scanner.undo()

        rates = best_raw(
            measure(
                [
                    *it.ways(n),
                    Way("first", size, partial(scanner.initial_scan, threads=n), repeat=False),
                    Way(
                        "changed",
                        size,
                        partial(scanner.filter_changed, threads=n),
                        before=before,
                        after=undone,
                        repeat=False,
                    ),
                ],
                bench.rounds,
            )
        )
        threads = "1 thread" if n == 1 else f"{n} threads"
        bench.rows += [
            compare(f"unknown_{n}", f"{title}, {threads}", rates, "first", raw(n), unit="B/s"),
            compare(
                f"changed_{n}", f"{title}, {threads}", rates, "changed", raw(n), mark=0.6,
                unit="B/s",
            ),
        ]  # fmt: skip
    spread(old)
    scanner.close()


def narrowing(bench: Bench) -> None:
    """A thousand matches narrowed to ten, and ten million filtered."""
    it = here(bench)
    scanner = it.scanner()
    scanner.initial_scan(WANTED)
    ten = it.places[:: HITS // NARROWED][:NARROWED]
    for place in ten.tolist():
        it.child.put(place * 4, np.int32(5))
    taken = []
    for _ in range(bench.rounds * 5):
        began = time.perf_counter()
        scanner.filter_eq(5)
        taken.append(time.perf_counter() - began)
        if scanner.match_count() != NARROWED:
            raise SystemExit(f"{scanner.match_count()} matches, and not {NARROWED}")
        scanner.undo()
    for place in ten.tolist():
        it.child.put(place * 4, np.int32(WANTED))
    median = statistics.median(taken) * 1e9
    bench.rows.append(limit("narrow", "1,000 matches to 10", "filter_eq", median, "ns", 2e6))

    size, live = it.child.size, LIVE * it.child.size // SIZE
    width = round(2**32 * live / it.values.size)
    low, high = -width // 2, width // 2
    expected = int(((it.values >= low) & (it.values <= high)).sum())
    many = it.scanner(history=0)
    if many.initial_scan(low, compare="between", high=high) != expected:
        raise SystemExit(f"{many.match_count()} matches, and not {expected}")
    title = f"{expected / 1e6:.3g} million matches"
    for n in (1, 2):
        ways = it.ways(n)
        ways += [
            Way("the same value", size, partial(many.filter_unchanged, threads=n)),
            Way("a range", size, partial(many.filter_between, low, high, threads=n)),
        ]
        rates = best_raw(measure(ways, bench.rounds))
        threads = "1 thread" if n == 1 else f"{n} threads"
        bench.rows += [
            compare(key, f"{title}, {threads}", rates, name, raw(n), mark=0.2, unit="B/s")
            for key, name in (
                (f"live_{n}", "the same value"),
                (f"live_range_{n}", "a range"),
            )
        ]
    if many.match_count() != expected:
        raise SystemExit(f"{many.match_count()} matches, and not {expected}")


def peak_of(child: Child, value: int | None, threads: int = 0) -> int:
    """The most bytes that an initial scan needs, in a process of its own, beyond its start."""
    arguments = [child.pid, *child.regions[0], threads]
    arguments += [] if value is None else [value]
    done = subprocess.run(
        [sys.executable, "-c", SCANNER, *map(str, arguments)],
        cwd="/",  # not where the package's source may lie, which cannot be imported
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


def sparse_memory(bench: Bench) -> None:
    """What a scan with few matches needs."""
    it = here(bench)
    for n in (1, 2):
        peak = peak_of(it.child, WANTED, n)
        results = HITS * 16
        title = f"a sparse scan, {n} thread{'s' if n > 1 else ''}"
        bench.rows.append(limit(f"sparse_{n}", title, "peak", peak, "bytes", ROOM + results))


class Scanmem:
    """scanmem at its prompt."""

    def __init__(self, program: str, pid: int) -> None:
        self.process = subprocess.Popen(
            [program, "-p", str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.tell("option scan_data_type int32", "option region_scan_level 2")

    def tell(self, *lines: str) -> None:
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def scan(self, line: str) -> int:
        """The number of matches after a scan, when it has said so."""
        self.tell(line)
        text = b""
        while not (found := re.search(rb"we currently have (\d+) matches", text)):
            part = self.process.stdout.read1(1 << 16)
            if not part:
                raise SystemExit("scanmem has ended")
            text += part
        return int(found[1])

    def end(self) -> None:
        self.tell("exit")
        self.process.communicate()


def against_scanmem(bench: Bench) -> None:
    """scanmem, which looks at the same process."""
    program = shutil.which("scanmem")
    keys = ("scanmem", "scanmem_2", "scanmem_narrow")
    if program is None:
        bench.skipped |= dict.fromkeys(keys, "scanmem is not installed")
        return
    it = here(bench)
    size, rounds = it.child.size, 3
    theirs, narrow, again, ours = [], [], [], {1: [], 2: []}
    scanner = it.scanner()
    for _ in range(rounds):
        for n in ours:
            began = time.perf_counter()
            scanner.initial_scan(WANTED, threads=n)
            ours[n].append(size / (time.perf_counter() - began))
        began = time.perf_counter()
        scanner.filter_between(WANTED - 1, WANTED + 1)
        again.append(1 / (time.perf_counter() - began))
        other = Scanmem(program, it.child.pid)
        began = time.perf_counter()
        count = other.scan(str(WANTED))
        theirs.append(size / (time.perf_counter() - began))
        if count < HITS:
            raise SystemExit(f"scanmem found {count} matches, and not {HITS}")
        began = time.perf_counter()
        other.scan(f"{WANTED - 1}..{WANTED + 1}")
        narrow.append(1 / (time.perf_counter() - began))
        other.end()
    rates = {"1 thread": statistics.median(ours[1]), "2 threads": statistics.median(ours[2])}
    rates["scanmem"] = statistics.median(theirs)
    title = f"{size / 2**30:g} GiB, exact"
    bench.rows += [
        compare("scanmem", title, rates, "1 thread", "scanmem", mark=15, unit="B/s"),
        compare("scanmem_2", title, rates, "2 threads", "scanmem", mark=15, unit="B/s"),
    ]
    rates = {"filter_between": statistics.median(again), "scanmem": statistics.median(narrow)}
    title = "1,000 matches again"
    bench.rows.append(
        compare("scanmem_narrow", title, rates, "filter_between", "scanmem", unit="ns")
    )


def against_pymemoryeditor(bench: Bench) -> None:
    """PyMemoryEditor, with NumPy, which it uses where it is there."""
    keys = ("pymemoryeditor", "pymemoryeditor_2")
    try:
        from PyMemoryEditor import OpenProcess
    except ModuleNotFoundError:
        bench.skipped |= dict.fromkeys(keys, "PyMemoryEditor is not installed")
        return
    it = here(bench)
    size = it.child.size
    theirs, ours = [], {1: [], 2: []}
    scanner = it.scanner()
    with OpenProcess(pid=it.child.pid) as other:
        for _ in range(3):
            for n in ours:
                began = time.perf_counter()
                scanner.initial_scan(WANTED, threads=n)
                ours[n].append(size / (time.perf_counter() - began))
            began = time.perf_counter()
            found = list(other.search_by_value(int, 4, WANTED, writeable_only=True))
            theirs.append(size / (time.perf_counter() - began))
            if len(found) < HITS:
                raise SystemExit(f"PyMemoryEditor found {len(found)} matches, and not {HITS}")
    rates = {"1 thread": statistics.median(ours[1]), "2 threads": statistics.median(ours[2])}
    rates["PyMemoryEditor"] = statistics.median(theirs)
    title = f"{size / 2**30:g} GiB, exact"
    bench.rows += [
        compare(key, title, rates, name, "PyMemoryEditor", mark=10, unit="B/s")
        for key, name in (("pymemoryeditor", "1 thread"), ("pymemoryeditor_2", "2 threads"))
    ]


GROUPS = (
    first_scans,
    unknown_values,
    narrowing,
    sparse_memory,
    against_scanmem,
    against_pymemoryeditor,
)


def main() -> int:
    try:
        return run(__doc__, GROUPS)
    finally:
        for made in setting:
            made.source.close()
            made.child.end()


if __name__ == "__main__":
    sys.exit(main())
