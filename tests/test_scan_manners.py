"""A scan leaves its target alone: nothing is faulted in, nothing is stopped unless asked for.

And it lets its caller go on: it tells how far it is, can be cancelled, and runs without the GIL.
"""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import leaks
import numpy as np
import pools
import pytest
import scans
from concurrency import eventually
from scans import MIB, PAGE, PRIVATE, SHARED, Target, equal, linux_only, within

from gmemx import errors, scan

pytestmark = linux_only

STOPPED = ("T", "t")
# Fits so often that a search for it takes long.
SLOW_PATTERN = "0? 00 00 00 " * 16 + "?5"


def slow_scanner(process, area):
    """A scanner whose scans take long: every type, at every address."""
    return process.scanner("all", within(process, *area), alignment=1)


@pytest.fixture
def target():
    """A process with nothing laid out."""
    with Target() as started:
        yield started


@pytest.fixture
def process(target):
    """It, opened."""
    with scan.open_process(target.pid) as opened:
        yield opened


@pytest.fixture
def large(target):
    """The address and size of memory whose scan takes long enough to be watched."""
    size = 96 * MIB
    start = target.fresh(size)
    pattern = np.random.default_rng(1).integers(1, 9, MIB // 4, dtype=np.int32)
    for offset in range(0, size, MIB):
        target.put(start + offset, pattern)
    return start, size


# ---- nothing is faulted in -----------------------------------------------------------------

KINDS = {
    "anonymous": {},
    "shared": {"flags": SHARED},
    "private file": {"flags": PRIVATE},
    "shared file": {"flags": SHARED},
    "removed file": {"flags": PRIVATE},
}


@pytest.mark.parametrize("kind", KINDS)
def test_untouched_memory_stays_untouched(target, process, tmp_path, kind):
    """Whatever is done: every scan, pattern, filter and pointer map; and nothing is lost."""
    size, options = 64 * MIB, dict(KINDS[kind])
    # A value in each MiB, and none elsewhere.
    contents = np.zeros(size // 4, np.int32)
    if "file" in kind:
        contents[:: 1 << 18] = 0x1EED_5E77
        options["path"] = tmp_path / "large"
        options["path"].write_bytes(contents.tobytes())
        start = target.fresh(size, "r", **options)
        if kind == "removed file":
            options["path"].unlink()
    else:
        start = target.fresh(size, **options)
    # One page in the middle is in memory.
    touched = start + 31 * MIB + 5 * PAGE
    if "file" in kind:
        target.get(touched, 1)
    else:
        target.put(touched, np.array([0x1EED_5E77], np.int32))
        contents[(touched - start) // 4] = 0x1EED_5E77
    places = start + np.flatnonzero(contents).astype(np.uint64) * 4
    before, shared = target.resident(), target.resident("Shared_Dirty")
    regions = within(process, start, size)

    scanner = process.scanner("int32", regions)
    scanner.initial_scan(0x1EED_5E77)
    found, skipped = set(scanner.addresses().tolist()), scanner.skipped
    for place in places.tolist():
        assert (place in found) != any(each.start <= place < each.end for each in skipped)
    assert found <= set(places.tolist())
    if kind != "removed file":
        assert found == set(places.tolist())
    scanner.initial_scan()
    for step in (scanner.filter_unchanged, scanner.rescan, scanner.filter_decreased):
        step()
    hits = process.find((0x1EED_5E77).to_bytes(4, "little"), regions)
    assert set(hits.tolist()) == found
    process.pointers(regions)
    assert target.resident() - before < 2 * MIB
    assert target.resident("Shared_Dirty") - shared < 2 * MIB


def test_reading_a_whole_process_costs_it_nothing(target, process, tmp_path):
    """All of its regions at once, a file of 200 MiB among them."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200 * MIB)
    target.map(200 * MIB, "r", path=path)
    target.map(1 << 32)
    before = target.resident()
    scanner = process.scanner("int64")
    scanner.initial_scan(0x0DDB_A115_0DDB_A115)
    process.find("0D DB A1 15 ?? DB A1 15")
    assert target.resident() - before < 3 * MIB


def test_a_sparse_scan_needs_little_memory(large, process):
    """Its results and some buffers, however much is scanned."""
    start, size = large
    scanner = process.scanner("int32", within(process, start, size))
    scanner.initial_scan(100, threads=1)
    before = leaks.resident()
    for _ in range(3):
        scanner.initial_scan(100, threads=2)
        process.find(b"none of this", within(process, start, size))
    assert leaks.resident() - before < 32 * MIB


def test_an_unknown_scan_keeps_to_its_budget(large, process, tmp_path):
    """What is beyond it is in files of the folder, which nobody else sees for long."""
    start, size = large
    scanner = process.scanner(
        "int32", within(process, start, size), memory=8 * MIB, folder=tmp_path
    )
    scanner.initial_scan()
    in_memory, on_disk = scanner.memory
    assert in_memory <= 8 * MIB + MIB
    assert size - 9 * MIB <= on_disk <= size + size // 8
    assert scanner.match_count() == size // 4
    scanner.close()
    assert list(tmp_path.iterdir()) == []


def test_untouched_memory_takes_no_room(target, process):
    """The snapshot of an untouched gibibyte is no gibibyte."""
    start = target.fresh(1 << 30)
    scanner = process.scanner("int64", within(process, start, 1 << 30))
    assert scanner.initial_scan() == 1 << 27
    assert sum(scanner.memory) < 16 * MIB


# ---- the target runs on --------------------------------------------------------------------


def test_nothing_stops_the_target(target, process, large):
    """A counter goes on while everything is done, and no state of it was a stopped one."""
    start, size = large
    counter = target.fresh(PAGE)
    target.ask("count", counter, 8, 100)
    states = set()

    def look(*_):
        states.add(target.state())
        before = process.read_value(counter, "u64")
        eventually(lambda: process.read_value(counter, "u64") > before)

    scanner = process.scanner("int32", within(process, start, size))
    for work in (
        lambda: scanner.initial_scan(progress=look, threads=1),
        lambda: scanner.filter_unchanged(progress=look, threads=1),
        lambda: scanner.filter_eq(3, progress=look, threads=1),
        lambda: process.find(b"no such thing", progress=look, threads=1),
        lambda: process.pointers(progress=look, threads=1),
    ):
        work()
    assert states
    assert states.isdisjoint(STOPPED)


def test_stop_stops_and_resumes(target, process, large):
    """stop=True holds for the scan, a ``with`` for its block; nested ones count."""
    start, size = large
    states = []

    def look(*_):
        states.append(target.state())

    scanner = process.scanner("int32", within(process, start, size))
    for work in (
        lambda: scanner.initial_scan(progress=look, stop=True, threads=1),
        lambda: scanner.filter_unchanged(progress=look, stop=True, threads=1),
        lambda: process.find(b"no such thing", progress=look, stop=True, threads=1),
    ):
        states.clear()
        work()
        assert states
        assert set(states) <= set(STOPPED)
        assert target.state() not in STOPPED
    assert not process.stopped
    with process.stop():
        assert process.stopped
        assert target.state() in STOPPED
        with process.stop():
            scanner.filter_eq(3, stop=True)
            assert process.stopped
        assert process.stopped
    assert not process.stopped
    assert target.ask("turns") == [0]


def test_what_others_stopped_stays_stopped(target, process):
    """Only what we stopped is resumed by us."""
    start = target.array(np.arange(10, dtype=np.int32))
    os.kill(target.pid, signal.SIGSTOP)
    eventually(lambda: target.state() in STOPPED)
    scanner = process.scanner("int32", [(start, start + 40)])
    assert scanner.initial_scan(5, stop=True) == 1
    with process.stop():
        pass
    assert target.state() in STOPPED
    os.kill(target.pid, signal.SIGCONT)
    assert target.ask("turns") == [0]


class OddError(Exception):
    """What a callback raises."""


def failing(*_):
    raise OddError("from the callback")


def test_stop_resumes_after_an_error(target, process, large):
    """Whichever way a scan ends."""
    start, size = large
    scanner = process.scanner("int32", within(process, start, size))
    with pytest.raises(OddError):
        scanner.initial_scan(progress=failing, stop=True)
    assert target.state() not in STOPPED
    with pytest.raises(OddError):
        process.find(b"no such thing", progress=failing, stop=True)
    assert target.state() not in STOPPED
    with pytest.raises(OverflowError):
        scanner.initial_scan(2**40, stop=True)
    assert target.state() not in STOPPED
    with pytest.raises(ValueError, match="no such"):
        scanner.initial_scan(1, compare="no such", stop=True)
    assert target.state() not in STOPPED
    with pytest.raises(OddError), process.stop():
        raise OddError
    assert target.state() not in STOPPED
    process.stop()
    gc.collect()
    assert target.state() not in STOPPED
    held = process.stop()
    process.close()
    del held
    gc.collect()
    assert target.state() not in STOPPED


INTERRUPTED = """
import os, signal, sys, threading
from gmemx import scan
pid, start, size = map(int, sys.argv[1:])
process = scan.open_process(pid)
scanner = process.scanner("int32", [(start, start + size)])
calls = 0
def progress(done, total):
    global calls
    calls += 1
    if calls == 1:
        print(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0])
        os.kill(os.getpid(), signal.SIGINT)
for work in (
    lambda: scanner.initial_scan(progress=progress, stop=True, threads=1),
    lambda: process.find(b"no such thing", progress=progress, stop=True, threads=1),
):
    calls = 0
    try:
        work()
    except KeyboardInterrupt:
        print("interrupted", open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0])
    else:
        print("it ran to its end")
print(scanner.match_count())
"""


def test_stop_resumes_after_ctrl_c(target, large):
    """The signal ends the scan, and the target goes on."""
    printed = pools.run(INTERRUPTED, target.pid, *large).split()
    assert printed[0] in STOPPED
    assert printed[1] == "interrupted"
    assert printed[2] not in STOPPED
    assert printed[3] in STOPPED
    assert printed[4] == "interrupted"
    assert printed[5] not in STOPPED
    assert printed[6] == "0"


def test_stop_resumes_when_the_interpreter_ends(target):
    """Even where nobody resumed it: the library does, when the process is let go."""
    program = """
import sys
from gmemx import scan
process = scan.open_process(int(sys.argv[1]))
held = process.stop()
print(process.stopped)
"""
    assert pools.run(program, target.pid) == "True\n"
    eventually(lambda: target.state() not in STOPPED)


# ---- the caller runs on --------------------------------------------------------------------


def test_progress(large, process):
    """Bytes done of bytes in all, never falling, on the caller's thread."""
    start, size = large
    calls = []

    def progress(done, total):
        calls.append((done, total, threading.get_ident()))

    regions = within(process, start, size)
    scanner = process.scanner("int32", regions, alignment=1)
    for work in (
        lambda: scanner.initial_scan(3, progress=progress),
        lambda: process.find("01 ?? ?? 00 07", regions, progress=progress),
    ):
        calls.clear()
        work()
        assert calls
        done = [call[0] for call in calls]
        assert done == sorted(done)
        assert {call[1] for call in calls} == {size}
        assert done[-1] <= size
        assert {call[2] for call in calls} == {threading.get_ident()}


def test_an_error_of_the_callback_ends_the_scan(large, process):
    """It comes through as it is, and what was found before stays."""
    start, size = large
    scanner = process.scanner("int32", within(process, start, size))
    count = scanner.initial_scan(3)
    addresses = scanner.addresses()
    for work in (
        lambda: scanner.initial_scan(progress=failing),
        lambda: scanner.filter_eq(4, progress=failing),
        lambda: scanner.filter_changed(progress=failing),
        lambda: scanner.rescan(progress=failing),
        lambda: scanner.save_checkpoint("no", progress=failing),
    ):
        with pytest.raises(OddError, match="from the callback"):
            work()
        assert scanner.match_count() == count
        equal(scanner.addresses(), addresses)
    assert scanner.list_checkpoints() == []
    assert [step.count for step in scanner.history] == [count]


def test_cancelling_from_another_thread(large, process):
    """The scan ends with CancelledError, and changes nothing."""
    scanner = slow_scanner(process, large)
    count = scanner.initial_scan(3)
    cancelled = []

    def by(cancel):
        def progress(done, total):
            other = threading.Thread(target=cancel)
            other.start()
            other.join()
            cancelled.append((done, total))

        return progress

    with pytest.raises(errors.CancelledError) as caught:
        scanner.initial_scan(4, progress=by(scanner.cancel), threads=1)
    assert isinstance(caught.value, RuntimeError)
    regions = within(process, *large)
    with pytest.raises(errors.CancelledError):
        process.find(SLOW_PATTERN, regions, progress=by(process.cancel), threads=1)
    # Both in the middle, and at once.
    assert len(cancelled) == 2
    assert all(done < total for done, total in cancelled)
    assert scanner.match_count() == count
    # Nothing is left over of it.
    assert scanner.rescan() == count
    assert process.find(b"no such thing", regions).size == 0


def test_the_gil_is_let_go(large, process):
    """Another thread of Python works while a scan runs."""
    start, size = large
    scanner = process.scanner("int32", within(process, start, size), alignment=1)
    works = {
        "first": lambda: scanner.initial_scan(),
        "next": lambda: scanner.filter_unchanged(),
        "find": lambda: process.find("01 ?? ?? 00 07", within(process, start, size)),
    }
    for name, work in works.items():
        counted, running, go = [0], threading.Event(), threading.Event()

        def count(counted=counted, running=running, go=go):
            running.set()
            while not go.is_set():
                counted[0] += 1
                # It gives the GIL back by itself.
                time.sleep(0)

        other = threading.Thread(target=count)
        other.start()
        running.wait()
        # A thread that holds the GIL is asked for it only after this long.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(100)
        try:
            before = counted[0]
            work()
            after = counted[0]
        finally:
            sys.setswitchinterval(interval)
            go.set()
            other.join()
        assert after > before, name


# ---- awaited -------------------------------------------------------------------------------


def test_signals_to_this_process_do_not_matter(target, process):
    address = target.fresh(PAGE)
    target.put(address, np.full(PAGE // 8, 7, np.uint64))
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 50e-6, 50e-6)
    try:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for _ in range(500):
                assert process.read(address, 8) == (7).to_bytes(8, "little")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_scans_that_are_awaited(large, process):
    """The loop runs on meanwhile; results are those of the plain forms."""
    start, size = large
    scanner = process.scanner("int32", within(process, start, size))

    async def work():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        results = [
            await scanner.initial_scan_async(),
            await scanner.rescan_async(),
            await scanner.run_async("filter_eq", 3),
            await scanner.run_async("filter_unchanged", against="first"),
            await scan.scan_pattern_async(process, within(process, start, size), "03 00 00 00"),
        ]
        ticking.cancel()
        return results, ticks

    (first, again, equal_to, unchanged, found), ticks = asyncio.run(work())
    assert first == again == size // 4
    assert equal_to == unchanged == scanner.match_count() > 0
    equal(np.asarray(found), scanner.addresses())
    assert ticks > 10


def test_cancelling_an_await_cancels_the_scan(large, process):
    """When the await has ended nothing runs any more, and nothing was changed."""
    scanner = slow_scanner(process, large)
    count = scanner.initial_scan(3)
    began, told = threading.Event(), threading.Event()
    calls = []

    def progress(done, total):
        calls.append(done < total)
        began.set()
        told.wait()

    async def work(make):
        began.clear()
        told.clear()
        calls.clear()
        task = asyncio.create_task(make())
        while not began.is_set():
            await asyncio.sleep(0)
        task.cancel()
        asyncio.get_running_loop().call_soon(told.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert calls == [True]

    regions = within(process, *large)
    for make in (
        lambda: scanner.initial_scan_async(4, progress=progress, threads=1),
        lambda: scan.scan_pattern_async(process, regions, SLOW_PATTERN, progress=progress),
    ):
        asyncio.run(work(make))
        assert scanner.match_count() == count
    assert scanner.filter_eq(3) == count


def test_awaiting_with_a_timeout(large, process):
    """asyncio's own means work."""
    scanner = slow_scanner(process, large)

    async def work():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(scanner.initial_scan_async(3, threads=1), 0.001)

    asyncio.run(work())
    assert scanner.match_count() == 0


# ---- threads -------------------------------------------------------------------------------


def test_several_scanners_at_once(large, target, process):
    """On one source, from as many threads; a reader and a writer beside them."""
    start, size = large
    values = np.frombuffer(target.get(start, size), np.int32)
    side = target.fresh(PAGE)
    wrong, done = [], threading.Event()

    def scan_for(value):
        scanner = process.scanner("int32", within(process, start, size))
        for _ in range(3):
            if scanner.initial_scan(value) != (values == value).sum():
                wrong.append(("first", value))
            if scanner.filter_unchanged() != (values == value).sum():
                wrong.append(("next", value))

    def read_and_write():
        number = 0
        while not done.is_set():
            number += 1
            process.write_value(side, number, "u64")
            if process.read_value(side, "u64") != number:
                wrong.append(("read", number))

    threads = [threading.Thread(target=scan_for, args=(value,)) for value in (1, 2, 3, 4)]
    other = threading.Thread(target=read_and_write)
    for thread in [*threads, other]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    other.join()
    assert wrong == []


def test_one_scanner_from_several_threads(target, process):
    """Scans come one after another; whoever looks meanwhile sees the matches of one moment."""
    values = np.arange(200_000, dtype=np.int32)
    start = target.array(values)
    scanner = process.scanner("int32", [(start, start + values.nbytes)])
    scanner.initial_scan()
    wrong = []

    def narrow(step):
        for number in range(20):
            scanner.filter_ge(number * step)
            scanner.undo()

    def look():
        for _ in range(60):
            matches = scanner.get_matches(limit=50)
            wrong.extend(m for m in matches if m.address != start + 4 * m.value)
            found = scanner.addresses()
            if (np.diff(found.astype(np.int64)) <= 0).any():
                wrong.append(found)

    threads = [threading.Thread(target=narrow, args=(step,)) for step in (100, 1000)]
    threads += [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert scanner.match_count() == values.size
    assert len(scanner.history) == 1


# ---- lifetimes -----------------------------------------------------------------------------


def test_scanners_keep_their_source(target):
    """A source that is dropped lives on in its scanners; one that is closed closes them."""
    start = target.array(np.arange(10, dtype=np.int32))
    process = scan.open_process(target.pid)
    gone = weakref.ref(process)
    scanner = process.scanner("int32", [(start, start + 40)])
    regions = process.regions()
    del process
    gc.collect()
    assert gone() is not None
    assert scanner.initial_scan(5) == 1
    assert len(regions.refresh()) > 3
    scanner.source.close()
    for work in (
        lambda: scanner.filter_eq(5),
        lambda: scanner.addresses(),
        lambda: scanner.initial_scan(),
        lambda: scanner.set_value(1),
        lambda: scanner.undo(),
        lambda: scanner.save_checkpoint("x"),
        regions.refresh,
    ):
        with pytest.raises(ValueError, match="closed"):
            work()
    assert target.values(start + 20, 1, "i4") == [5]
    scanner = regions = work = None
    gc.collect()
    assert gone() is None


def test_closing(target):
    """Twice does nothing more; all else is an error that says so."""
    start = target.array(np.arange(10, dtype=np.int32))
    process = scan.open_process(target.pid)
    assert not process.closed
    assert process.alive
    scanner = process.scanner("int32", [(start, start + 40)])
    with process as same:
        assert same is process
    process.close()
    assert process.closed
    assert not process.alive
    assert "closed" in repr(process)
    for work in (
        lambda: process.read(start, 1),
        lambda: process.write(start, b"x"),
        lambda: process.regions(),
        lambda: process.read_many([start], "u8"),
        lambda: process.find(b"x"),
        lambda: process.scanner(),
        lambda: process.freeze(start, 1, "u8"),
        lambda: process.stop(),
        lambda: process.pointers(),
        lambda: scanner.initial_scan(),
        lambda: process.__enter__(),
    ):
        with pytest.raises(ValueError, match="closed"):
            work()
    assert process.pid == target.pid


def test_closing_while_scans_run(large, target):
    """They are finished or end with an error; nothing crashes."""
    start, size = large
    for _ in range(5):
        process = scan.open_process(target.pid)
        scanner = process.scanner("int32", [(start, start + size)], alignment=1)
        ended, began = [], threading.Event()

        def work(scanner=scanner, ended=ended, began=began):
            try:
                scanner.initial_scan(1, progress=lambda *_: began.set())
                ended.append("done")
            except ValueError:
                ended.append("closed")

        thread = threading.Thread(target=work)
        thread.start()
        eventually(lambda began=began, ended=ended: began.is_set() or ended)
        process.close()
        thread.join()
        assert ended in (["done"], ["closed"])


@leaks.needs_statm
def test_nothing_leaks(target):
    """Neither memory nor descriptors, in scans that end well or badly."""
    start = target.array(np.arange(20_000, dtype=np.int32))
    regions = [(start, start + 80_000)]

    def work():
        with scan.open_process(target.pid) as process:
            scanner = process.scanner("int32", regions)
            scanner.initial_scan()
            scanner.save_checkpoint("a")
            scanner.filter_ge(5)
            scanner.filter_changed(against="a")
            scanner.undo()
            process.find(b"\1\0\0\0", regions)
            process.regions()
            for bad in (lambda: scanner.filter_eq(2**40), lambda: process.read(8, 8)):
                with pytest.raises((OverflowError, OSError)):
                    bad()
            with pytest.raises(OddError):
                scanner.initial_scan(progress=failing)

    work()
    before = len(os.listdir("/proc/self/fd"))
    assert leaks.growth(work, 100) < 4 * MIB
    assert len(os.listdir("/proc/self/fd")) == before


# ---- targets that end ----------------------------------------------------------------------


def test_a_target_that_is_killed_in_mid_scan(target, large):
    """An error that says so; what was found before stays, and nothing hangs."""
    start, _ = large
    with scan.open_process(target.pid) as process:
        scanner = slow_scanner(process, large)
        count = scanner.initial_scan(3)
        killed = []

        def progress(done, total):
            target.process.kill()
            target.process.wait()
            killed.append(done < total)

        with pytest.raises(errors.ProcessGoneError, match=str(target.pid)) as caught:
            scanner.initial_scan(4, progress=progress, threads=1)
        assert killed[0]
        assert isinstance(caught.value, ProcessLookupError)
        assert scanner.match_count() == count
        assert not process.alive
        for work in (
            lambda: scanner.filter_eq(5),
            lambda: scanner.rescan(),
            lambda: process.regions(),
            lambda: process.read(start, 4),
            lambda: process.write(start, b"abcd"),
            lambda: process.find(b"x"),
            lambda: process.stop(),
            lambda: scanner.set_value(5),
        ):
            with pytest.raises(ProcessLookupError, match=str(target.pid)):
                work()
        # What is known is still there.
        assert scanner.addresses().size == count
        assert "ended" in repr(process)


def test_a_target_that_has_ended():
    """A zombie too: it has a pid but no memory."""
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.DEVNULL)
    eventually(lambda: scans_state(child.pid) == "Z")
    with pytest.raises(ProcessLookupError, match=str(child.pid)):
        scan.open_process(child.pid)
    child.wait()
    with pytest.raises(ProcessLookupError, match=str(child.pid)):
        scan.open_process(child.pid)


def scans_state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_names_of_processes(target):
    """By what the kernel calls it, or the program; the lowest pid first."""
    name = scans.target_program().name
    with Target() as other:
        found = scan.find_processes_by_name(name)
        assert {target.pid, other.pid} <= set(found)
        assert found == sorted(found)
        assert scan.find_process_by_name(name) == found[0]
        (entry,) = [e for e in scan.list_processes() if e.pid == other.pid]
        assert (entry.name, entry.uid) == (name, os.geteuid())
        assert entry.executable == str(scans.target_program())
    assert other.pid not in scan.find_processes_by_name(name)
    assert scan.find_process_by_name("no process is called that") is None
    assert scan.find_process_by_name(name[:-1]) is None
