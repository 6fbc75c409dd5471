"""Saved sessions, labels, frozen and watched values."""

import gc
import itertools
import os
import threading
import time

import numpy as np
import pytest
from concurrency import eventually
from scans import PAGE, TYPES, Target, equal, linux_only

from gmemx import errors, scan

pytestmark = linux_only


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


# ---- saved and loaded ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "options"),
    [
        ("int32", {}),
        ("float64", {"alignment": 1}),
        (">u2", {}),
        ("all", {}),
        (["uint8", "int64"], {"alignment": 2}),
    ],
)
def test_sessions_go_on(target, process, tmp_path, types, options):
    """A loaded one has the same matches, values, checkpoints, labels and history."""
    rng = np.random.default_rng(5)
    data = rng.integers(0, 4, 20 * PAGE, dtype=np.uint8)
    start = target.array(data)
    # And memory that was never touched.
    untouched = target.fresh(50 * PAGE)
    regions = [(start, start + data.size), (untouched, untouched + 50 * PAGE)]
    path = tmp_path / "session"
    scanner = process.scanner(types, regions, **options)
    scanner.initial_scan()
    scanner.save_checkpoint("begin")
    chosen = rng.random(data.size) < 0.3
    data[chosen] = rng.integers(0, 4, chosen.sum())
    target.put(start, data)
    scanner.filter_unchanged(against="begin")
    scanner.label(start, "the first")
    scanner.label(start + 9, "ü\0x")
    scanner.save(path)
    data[rng.random(data.size) < 0.3] += 1
    target.put(start, data)
    loaded = scan.Scanner.load(path, process)
    assert loaded.types == scanner.types
    assert loaded.labels == {start: "the first", start + 9: "ü\0x"}
    assert loaded.list_checkpoints() == ["begin"]
    assert loaded.history == scanner.history
    assert (loaded.alignment, loaded.byteorder) == (scanner.alignment, scanner.byteorder)
    steps = (
        lambda one: None,
        lambda one: one.filter_unchanged(against="last"),
        lambda one: one.filter_unchanged(against="first"),
        lambda one: one.filter_unchanged(against="begin"),
        lambda one: one.filter_lt(200),
    )
    for step in steps:
        assert step(scanner) == step(loaded)
        assert scanner.match_count() == loaded.match_count() > 0
        for name in scanner.types:
            equal(loaded.addresses(name), scanner.addresses(name))
            for what in ("values", "previous", "first"):
                equal(getattr(loaded, what)(name), getattr(scanner, what)(name))


def test_a_session_in_another_run(target, tmp_path):
    """The same values are looked up in a process that has them at the same addresses."""
    values = np.arange(1000, dtype=np.int32)
    path = tmp_path / "session"
    with scan.open_buffer(values, address=0x1000) as source:
        scanner = source.scanner("int32")
        scanner.initial_scan(500, compare="ge")
        scanner.save(path)
    other = values.copy()
    other[600:] += 1
    with scan.open_buffer(other, address=0x1000) as source:
        loaded = scan.Scanner.load(path, source)
        assert loaded.filter_unchanged() == 100
        loaded.set_value(-1)
    assert (other[500:600] == -1).all()


def test_saving_replaces_a_file_as_a_whole(target, process, tmp_path):
    """Where it fails the old one is there, and no other."""
    start = target.array(np.arange(100, dtype=np.int32))
    scanner = process.scanner("int32", [(start, start + 400)])
    scanner.initial_scan()
    path = tmp_path / "session"
    scanner.save(path)
    assert os.listdir(tmp_path) == ["session"]
    scanner.filter_ge(50)
    scanner.save(path)
    assert os.listdir(tmp_path) == ["session"]
    assert scan.Scanner.load(path, process).match_count() == 50
    with pytest.raises(FileNotFoundError, match="no such folder"):
        scanner.save(tmp_path / "no such folder" / "session")
    with pytest.raises(OSError, match=tmp_path.name):
        scanner.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such"):
        scan.Scanner.load(tmp_path / "no such", process)


def test_damaged_sessions(target, process, tmp_path):
    """Cut off anywhere, or with bytes changed, a session is an error or the same; no crash."""
    rng = np.random.default_rng(6)
    start = target.array(rng.integers(0, 9, 4000).astype(np.int32))
    scanner = process.scanner("int32", [(start, start + 16_000)])
    scanner.initial_scan()
    scanner.save_checkpoint("c")
    scanner.filter_eq(3)
    scanner.label(start, "label")
    path, damaged = tmp_path / "session", tmp_path / "damaged"
    scanner.save(path)
    whole = path.read_bytes()
    count = scanner.match_count()
    for length in sorted({0, 1, 7, *map(int, rng.integers(0, len(whole), 40)), len(whole) - 1}):
        damaged.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="damaged"):
            scan.Scanner.load(damaged, process)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            content[at] = rng.choice([0, 1, 0xFF, 0x7F, content[at] ^ 1])
        damaged.write_bytes(content)
        try:
            loaded = scan.Scanner.load(damaged, process)
            if bytes(content) == whole:
                assert loaded.match_count() == count
            loaded.rescan()
        except ValueError:
            refused += 1
    # A sum over the whole file notices every change.
    assert refused > 100
    for text in (b"{}", b"not a session", os.urandom(5000), b"\x7fELF"):
        damaged.write_bytes(text)
        with pytest.raises(ValueError, match="damaged"):
            scan.Scanner.load(damaged, process)


def test_labels(target, process):
    """Of addresses, whether they match or not; None forgets."""
    start = target.array(np.array([1, 2, 3], np.int32))
    scanner = process.scanner("int32", [(start, start + 12)])
    scanner.label(start, "one")
    scanner.label(5, "nowhere")
    scanner.initial_scan()
    assert scanner.labels == {start: "one", 5: "nowhere"}
    assert [m.label for m in scanner.get_matches()] == ["one", None, None]
    scanner.label(start, None)
    assert scanner.labels == {5: "nowhere"}
    scanner.labels.clear()
    assert scanner.labels == {5: "nowhere"}
    with pytest.raises(TypeError, match="int"):
        scanner.label(5, 6)
    with pytest.raises(TypeError):
        scanner.label("5", "text")


# ---- frozen --------------------------------------------------------------------------------


def settled(process, address, dtype, value):
    """Wait until a value is there."""
    eventually(lambda: process.read_value(address, dtype) == value)


@pytest.mark.parametrize("dtype", TYPES)
def test_frozen_values_come_back(target, process, dtype):
    """Whatever the target writes, until it is let go."""
    start = target.array(np.array([1, 2, 3], dtype))
    where = start + np.dtype(dtype).itemsize
    frozen = process.freeze(where, 42, dtype, interval=0.001)
    assert (frozen.address, frozen.value, frozen.type, frozen.direction) == (where, 42, dtype, None)
    for value in (7, 100, 0):
        target.put(where, np.array([value], dtype))
        settled(process, where, dtype, 42)
    assert frozen.active
    assert frozen.writes >= 3
    assert process.freezes[0].address == where
    frozen.stop()
    frozen.stop()
    assert not frozen.active
    assert process.freezes == []
    target.put(where, np.array([9], dtype))
    time.sleep(0.02)
    assert target.values(start, 3, dtype).tolist() == [1, 9, 3]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("direction", "let_be", "held"), [("up", [11, 50], [49, 3]), ("down", [9, 2], [3, 60])]
)
def test_changes_in_one_direction(target, process, dtype, direction, let_be, held):
    """Are let be and kept from then on; those in the other are undone."""
    where = target.array(np.array([10], dtype))
    # Beside it one that tells when the thread has been round.
    round_trip = target.array(np.zeros(1, np.int32))
    with (
        process.freeze(where, 10, dtype, direction=direction, interval=0.001) as frozen,
        process.freeze(round_trip, 0, "i32", interval=0.001),
    ):
        for value in let_be:
            target.put(where, np.array([value], dtype))
            for _ in range(3):
                target.put(round_trip, np.ones(1, np.int32))
                settled(process, round_trip, "i32", 0)
            assert process.read_value(where, dtype) == value
        for value in held:
            target.put(where, np.array([value], dtype))
            settled(process, where, dtype, let_be[-1])
        assert frozen.direction == direction
    assert process.freezes == []


def test_a_counter_is_frozen(target, process):
    """What goes up all the time stands still, as far as anybody sees after a look."""
    start = target.fresh(PAGE)
    target.ask("count", start, 8, 2000)
    eventually(lambda: process.read_value(start, "u64") > 5)
    # What it was at first is below the value, and so what is kept.
    with process.freeze(start, 1_000_000, "u64", direction="down", interval=0.0005) as frozen:
        kept = process.read_value(start, "u64")
        eventually(lambda: frozen.writes > 50)
        assert process.read_value(start, "u64") < kept + 1000
    at = process.read_value(start, "u64")
    eventually(lambda: process.read_value(start, "u64") > at + 20)


def test_big_endian_values_are_frozen(target, process):
    """In the byte order that is asked for."""
    start = target.array(np.array([5], ">i4"))
    with process.freeze(start, 1000, ">i4", interval=0.001):
        eventually(lambda: target.values(start, 1, ">i4")[0] == 1000)


def test_many_values_are_frozen_at_once(target, process):
    """Each by its own value and interval."""
    start = target.array(np.zeros(200, np.int32))
    frozen = [process.freeze(start + 4 * i, i, "int32", interval=0.002) for i in range(200)]
    eventually(lambda: target.values(start, 200, "i4").tolist() == list(range(200)))
    assert len(process.freezes) == 200
    for each in frozen[::2]:
        each.stop()
    target.put(start, np.full(200, -1, np.int32))
    eventually(lambda: (target.values(start, 200, "i4")[1::2] == np.arange(1, 200, 2)).all())
    assert (target.values(start, 200, "i4")[::2] == -1).all()


def test_freezes_end_with_their_source(target):
    """Not with the object; a closed source writes nothing more, and its end is waited for."""
    start = target.array(np.zeros(2, np.int32))
    process = scan.open_process(target.pid)
    process.freeze(start, 5, "int32", interval=0.001)
    gc.collect()
    target.put(start, np.array([1], np.int32))
    settled(process, start, "int32", 5)
    threads = len(os.listdir("/proc/self/task"))
    process.close()
    eventually(lambda: len(os.listdir("/proc/self/task")) < threads)
    target.put(start, np.array([1], np.int32))
    time.sleep(0.02)
    assert target.values(start, 1, "i4").tolist() == [1]


def test_freezes_of_what_is_gone(target, process):
    """Unmapped: tried again, with the reason; ended: not active any more."""
    start = target.array(np.zeros(2, np.int32))
    frozen = process.freeze(start, 5, "int32", interval=0.001)
    eventually(lambda: frozen.writes > 0)
    target.protect(start, PAGE, "none")
    eventually(lambda: frozen.errno != 0)
    assert frozen.active
    target.protect(start, PAGE, "rw")
    target.put(start, np.array([1], np.int32))
    settled(process, start, "int32", 5)
    target.kill()
    eventually(lambda: not frozen.active)
    assert "ended" in repr(frozen)
    frozen.stop()


def test_freezes_that_make_no_sense(target, process):
    """Say what is wrong with them, and none is begun."""
    start = target.array(np.zeros(2, np.int32))
    for arguments, options, error, mention in (
        ((start, 300, "int8"), {}, OverflowError, "300"),
        ((start, 5, "int7"), {}, ValueError, "int7"),
        ((start, 5.5, "int8"), {}, ValueError, r"5\.5"),
        ((start, True, "int8"), {}, TypeError, "truth"),
        ((start, "5", "int8"), {}, TypeError, "str"),
        ((start, 5, "int8"), {"direction": "sideways"}, ValueError, "sideways"),
        ((start, 5, "int8"), {"direction": 1}, ValueError, "1"),
        ((start, 5, "int8"), {"interval": 0}, ValueError, "interval"),
        ((start, 5, "int8"), {"interval": -1.0}, ValueError, "interval"),
        ((start, 5, "int8"), {"interval": float("nan")}, ValueError, "interval"),
        ((-1, 5, "int8"), {}, (ValueError, OverflowError, IndexError), "address|-1"),
        (("x", 5, "int8"), {}, TypeError, "str"),
    ):
        with pytest.raises(error, match=mention):
            process.freeze(*arguments, **options)
    assert process.freezes == []
    assert target.get(start, 8) == bytes(8)


def test_files_are_not_frozen(tmp_path):
    """What cannot be written says so."""
    path = tmp_path / "data"
    path.write_bytes(bytes(10))
    with scan.open_file(path) as source:
        try:
            frozen = source.freeze(0, 5, "u8")
        except (PermissionError, errors.UnsupportedError):
            return
        eventually(lambda: frozen.errno != 0)
    assert path.read_bytes() == bytes(10)


# ---- watched -------------------------------------------------------------------------------


def test_watching(target, process):
    """Every change that a look sees: where, when, from what to what."""
    start = target.array(np.array([10, 20, 30], np.int16))
    addresses = np.array([start, start + 2, start + 4], np.uint64)
    changes = process.watch(addresses, "int16", interval=0.001)
    began = time.time()
    for address, old, new in ((start + 2, 20, 21), (start, 10, -5), (start + 2, 21, 20)):
        target.put(address, np.array([new], np.int16))
        change = next(changes)
        assert (change.address, change.old, change.new) == (address, old, new)
        assert type(change.new) is int
        assert began - 1 < change.time < time.time() + 1
    target.put(start, np.array([1, 2, 3], np.int16))
    seen = list(itertools.islice(changes, 3))
    assert [(c.address, c.new) for c in seen] == [(start, 1), (start + 2, 2), (start + 4, 3)]


def test_watching_ends(target, process):
    """After its time; and when the process does."""
    start = target.array(np.array([10.5], np.float32))
    assert list(process.watch(start, "f32", interval=0.001, timeout=0.01)) == []
    changes = process.watch(start, "f32", interval=0.001)
    other = threading.Timer(0.02, target.kill)
    other.start()
    assert list(changes) == []
    other.join()


def test_watches_that_make_no_sense(target, process):
    """Are refused at once, not at the first change."""
    start = target.array(np.array([10.5], np.float32))
    for arguments, options, error, mention in (
        ((start, "f16"), {}, ValueError, "f16"),
        ((start, "f32"), {"interval": 0}, ValueError, "interval"),
        ((start, "f32"), {"timeout": -1}, ValueError, "timeout"),
        ((8, "f32"), {}, OSError, "0x8"),
        (("x", "f32"), {}, TypeError, "integers"),
    ):
        with pytest.raises(error, match=mention):
            process.watch(*arguments, **options)
