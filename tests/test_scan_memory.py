"""Regions, reading, writing, and memory that is not what it was: nothing is silently lost."""

import mmap
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pools
import pytest
import scans
from concurrency import eventually
from scans import MIB, PAGE, SHARED, Image, Target, equal, linux_only, within

from gmemx import scan

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


def lines_of_maps(pid):
    """What the kernel says, taken apart here again."""
    pattern = r"(\w+)-(\w+) (....) (\w+) \w+:\w+ (\d+) *(.*)"
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end, flags, offset, inode, name = re.fullmatch(pattern, line).groups()
        yield int(start, 16), int(end, 16), flags, int(offset, 16), int(inode), name


# ---- regions -------------------------------------------------------------------------------


def test_every_region_is_listed(target, process):
    """As the kernel has them: none is left out, file or not."""
    target.map(PAGE, "none")
    target.map(PAGE, "rwx")
    target.map(PAGE, flags=SHARED)
    listed = [(r.start, r.end, r.permissions, r.offset, r.inode, r.name) for r in process.regions()]
    assert listed == list(lines_of_maps(target.pid))
    assert all(region.size == region.end - region.start for region in process.regions())


def test_kinds_and_modules(target, process, tmp_path):
    """Heap, stack, anonymous, file, shared and the kernel's own, each where it is known to be."""
    stack, data, bss, constants, code = target.ask("places")
    (heap,) = target.ask("malloc", 100)
    path = tmp_path / "some file.bin"
    path.write_bytes(bytes(2 * PAGE))
    mapped = target.map(PAGE, "r", path=path, offset=PAGE)
    anonymous, shared = target.map(PAGE), target.map(PAGE, flags=SHARED)
    (code_only,) = [r for r in process.regions(permissions="x") if code in r]
    program = os.path.basename(scans.target_program())

    def region_at(address):
        (found,) = [region for region in process.regions() if address in region]
        return found

    assert region_at(stack).kind == "stack"
    assert region_at(heap).kind == "heap"
    assert region_at(anonymous).kind == "anonymous"
    assert region_at(shared).kind == "shared"
    assert region_at(mapped).kind == "file"
    assert (region_at(mapped).offset, region_at(mapped).name) == (PAGE, str(path))
    assert region_at(mapped).module == "some file.bin"
    assert {region_at(place).module for place in (data, constants, code)} == {program}
    assert region_at(constants).permissions == "r--p"
    assert code_only.permissions == "r-xp"
    assert region_at(bss).permissions == "rw-p"
    assert process.regions(kind="special")
    for kind in ("heap", "stack", "anonymous", "file", "shared", "special"):
        assert {region.kind for region in process.regions(kind=kind)} == {kind}
    assert process.regions(kind="image") == []
    both = process.regions(kind=["heap", "stack"])
    assert {region.kind for region in both} == {"heap", "stack"}
    for name in (program, str(scans.target_program()), "scan-t*", "*/scan-target"):
        assert any(data in region for region in process.regions(module=name))
        assert {r.module for r in process.regions(module=name)} == {program}
    assert process.regions(module="no such module") == []
    modules = scan.get_process_module_regions(process)
    assert {region.kind for region in modules} == {"file"}
    assert program in {region.module for region in modules}


def test_filters_by_permission_address_and_size(target, process):
    """Letters that must be there, ranges that are cut, sizes of whole regions."""
    start = target.fresh(3 * PAGE)
    target.protect(start, PAGE, "r")
    target.protect(start + PAGE, PAGE, "none")

    def found(**filters):
        return [(r.start - start) // PAGE for r in within(process, start, 3 * PAGE, **filters)]

    assert found() == [0, 1, 2]
    assert found(permissions="r") == [0, 2]
    assert found(permissions="rw") == found(permissions="w") == [2]
    assert found(permissions="!w") == [0, 1]
    assert found(permissions="r!w") == [0]
    assert found(permissions="x") == []
    assert found(kind="anonymous", permissions="-w") == [2]
    (cut,) = process.regions(start=start + 100, end=start + 200)
    assert (cut.start, cut.end) == (start + 100, start + 200)
    large = target.fresh(50 * PAGE)
    area = {"start": large, "end": large + 50 * PAGE}
    assert len(process.regions(**area, min_size=50 * PAGE, max_size=50 * PAGE)) == 1
    assert process.regions(**area, max_size=50 * PAGE - 1) == []
    assert process.regions(**area, min_size=50 * PAGE + 1) == []


def test_regions_are_a_sequence_that_can_be_read_anew(target, process):
    """Slices and sums are plain lists; refresh sees what is new."""
    start = target.fresh(4 * PAGE)
    regions = within(process, start, 4 * PAGE)
    assert len(regions) == 1
    target.protect(start, PAGE, "r")
    assert len(regions) == 1
    assert len(regions.refresh()) == 2
    assert regions.size == regions.refresh().size == 4 * PAGE
    assert f"{start:012x}" in repr(regions)
    assert "anonymous" in repr(regions)
    fixed = regions[:1] + regions.refresh()[1:]
    assert [type(regions[:1]), type(fixed)] == [list, list]
    with pytest.raises(AttributeError):
        regions[0].start = 5


# ---- reading and writing -------------------------------------------------------------------


def test_reading_up_to_a_hole(target, process):
    """An error that names the first address that cannot be read; or what there is."""
    data = np.random.default_rng(1).bytes(4 * PAGE)
    start = target.array(np.frombuffer(data, np.uint8))
    hole = start + 2 * PAGE
    target.protect(hole, PAGE, "none")
    assert process.read(start + 5, PAGE) == data[5 : 5 + PAGE]
    assert scan.read_process_memory(process, start, 2 * PAGE) == data[: 2 * PAGE]
    assert process.read(start, 0) == b""
    for work in (process.read, lambda *a: scan.read_process_memory(process, *a)):
        with pytest.raises(OSError, match=f"{hole:#x}"):
            work(start, 3 * PAGE)
        with pytest.raises(OSError, match=f"{hole + 7:#x}"):
            work(hole + 7, 1)
    assert process.read(start, 4 * PAGE, partial=True) == data[: 2 * PAGE]
    assert process.read(hole, 10, partial=True) == b""
    room = bytearray(b"\xee" * (3 * PAGE))
    assert process.read_into(start, room) == 2 * PAGE
    assert bytes(room) == data[: 2 * PAGE] + b"\xee" * PAGE
    array = np.empty(100, np.int32)
    assert process.read_into(hole + PAGE, array) == 400
    assert array.tobytes() == data[3 * PAGE : 3 * PAGE + 400]


@pytest.mark.parametrize("size", [1, 7, PAGE - 1, 3 * PAGE + 5, 5 * MIB + 3])
def test_reading_and_writing_any_size(target, process, size):
    """Whole and unaligned."""
    data = np.random.default_rng(size).bytes(size)
    start = target.fresh(8 * MIB) + 123
    assert process.write(start, data) == size
    assert target.get(start - 1, size + 2) == b"\0" + data + b"\0"
    assert process.read(start, size) == data
    assert scan.write_process_memory(process, start, data[::-1]) == size
    assert process.read(start, size) == data[::-1]


def test_writing_to_read_only_memory(target, process):
    """Is refused; with force it is done, as a debugger does it, and the mapping stays as it is."""
    start = target.array(np.zeros(PAGE, np.uint8))
    target.protect(start, PAGE, "r")
    with pytest.raises(OSError, match=f"{start:#x}"):
        process.write(start, b"abc")
    assert target.get(start, 3) == bytes(3)
    assert process.write(start, b"abc", force=True) == 3
    assert target.get(start, 4) == b"abc\0"
    (region,) = within(process, start, PAGE)
    assert region.permissions == "r--p"
    target.unmap(start + PAGE, PAGE)
    with pytest.raises(OSError, match=f"{start + PAGE:#x}"):
        process.write(start + PAGE - 1, b"xy", force=True)


def test_writing_over_the_end(target, process):
    """What was before the hole is written, and the error names the hole."""
    start = target.array(np.zeros(PAGE, np.uint8))
    with pytest.raises(OSError, match=f"{start + PAGE:#x}"):
        process.write(start + PAGE - 2, b"abcd")
    assert target.get(start + PAGE - 2, 2) in (b"ab", bytes(2))


@pytest.mark.parametrize("dtype", scans.TYPES)
def test_single_values(target, process, dtype):
    """As Python's numbers, of either byte order."""
    start = target.fresh(PAGE)
    wide = np.dtype(dtype)
    values = [-1.5, 2.25] if wide.kind == "f" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    for value in values:
        for order in "<>" if wide.itemsize > 1 else "<":
            spec = wide.newbyteorder(order)
            process.write_value(start + 1, value, spec)
            assert target.get(start + 1, wide.itemsize) == np.array(value, spec).tobytes()
            assert process.read_value(start + 1, spec) == value
            assert type(process.read_value(start + 1, spec)) is type(value)


def test_many_values(target, process):
    """Scattered over holes, in the shape that is asked for."""
    rng = np.random.default_rng(4)
    memory = rng.integers(-(2**31), 2**31, 20 * 1024, dtype=np.int32)
    start = target.array(memory)
    holes = [3, 4, 11]
    for page in holes:
        target.protect(start + page * PAGE, PAGE, "none")
    places = rng.permutation(memory.size)[:10_000]
    there = ~np.isin(places // 1024, holes)
    addresses = start + places.astype(np.uint64) * 4
    values, ok = process.read_many(addresses, "int32", partial=True)
    assert ok.dtype == bool
    equal(ok.view(np.uint8), there.view(np.uint8))
    equal(values[ok], memory[places[there]])
    gone = int(addresses[~there][0])
    with pytest.raises(OSError, match=f"{gone:#x}"):
        process.read_many(addresses, "int32")
    good = addresses[there][:6000].reshape(60, 100)
    assert process.read_many(good, "int32").shape == (60, 100)
    equal(process.read_many(good, "int32").reshape(-1), memory[places[there][:6000]])
    equal(process.read_many(good[0], ">i4"), memory[places[there][:100]].byteswap())
    assert process.read_many([], "u8").tolist() == []

    new = rng.integers(-(2**31), 2**31, good.size, dtype=np.int32)
    assert process.write_many(good.reshape(-1), new, "int32") == good.size
    equal(process.read_many(good.reshape(-1), "int32"), new)
    done = process.write_many(addresses, np.int32(7), "int32", partial=True)
    equal(done.view(np.uint8), there.view(np.uint8))
    assert set(process.read_many(addresses[there], "int32").tolist()) == {7}
    with pytest.raises(OSError, match=f"{gone:#x}"):
        process.write_many([gone], [1], "int32")
    with pytest.raises(OverflowError, match="300"):
        process.write_many(good[0, :2], [1, 300], "int8")


# ---- what scans could not see --------------------------------------------------------------


def covered(start, size, found, skipped):
    """Every address of a range is either in a readable piece or reported."""
    missing = np.ones(size // PAGE, bool)
    for low, high in found:
        missing[(low - start) // PAGE : (high - start) // PAGE] = False
    for each in skipped:
        missing[max(0, each.start - start) // PAGE : -(-(each.end - start) // PAGE)] = False
    return not missing.any()


@pytest.mark.parametrize("alignment", [1, 4])
def test_holes_are_reported(target, process, alignment):
    """PROT_NONE inside, an unmapped piece inside a fixed list, and the values around them."""
    rng = np.random.default_rng(8)
    data = rng.integers(0, 3, 64 * PAGE, dtype=np.uint8)
    start = target.array(data)
    regions = list(within(process, start, data.size))
    target.protect(start + 10 * PAGE, 3 * PAGE, "none")
    target.unmap(start + 40 * PAGE, PAGE)
    image = Image()
    pieces = [(0, 10), (13, 40), (41, 64)]
    for low, high in pieces:
        image.add(start + low * PAGE, data[low * PAGE : high * PAGE])
    scanner = process.scanner("int16", regions, alignment=alignment)
    scanner.initial_scan(0x0102)
    addresses, values = image.slots("int16", alignment)
    equal(scanner.addresses(), addresses[values == 0x0102])
    spans = [(each.start, each.end, each.reason) for each in scanner.skipped]
    assert (start + 10 * PAGE, start + 13 * PAGE, "unreadable") in spans
    assert (start + 40 * PAGE, start + 41 * PAGE, "unmapped") in spans
    assert len(spans) == 2
    found = process.find(bytes([2, 1]), regions)
    equal(np.asarray(found), image.slots("int16", 1)[0][image.slots("int16", 1)[1] == 0x0102])
    assert [(each.start, each.end, each.reason) for each in found.skipped] == spans


def test_matches_that_are_unmapped_are_dropped_and_reported(target, process):
    """A filter keeps what it can read; the rest is in `skipped`."""
    start = target.array(np.full(8 * PAGE // 4, 5, np.int32))
    scanner = process.scanner("int32", within(process, start, 8 * PAGE))
    scanner.initial_scan(5)
    target.unmap(start + 2 * PAGE, PAGE)
    target.protect(start + 5 * PAGE, PAGE, "none")
    assert scanner.filter_eq(5) == 6 * PAGE // 4
    pages = sorted({(int(a) - start) // PAGE for a in scanner.addresses()})
    assert pages == [0, 1, 3, 4, 6, 7]
    gone = [(start + 2 * PAGE, start + 3 * PAGE), (start + 5 * PAGE, start + 6 * PAGE)]
    for low, high in gone:
        assert any(each.start <= low and each.end >= high for each in scanner.skipped)
    scanner.undo()
    assert scanner.rescan() == 6 * PAGE // 4
    assert scanner.skipped
    target.unmap(start, 8 * PAGE)
    assert scanner.filter_unchanged() == 0
    assert scanner.skipped


def test_unmapped_in_mid_scan(target, process):
    """Seen at the next chunk: reported, and what comes behind is found."""
    seen = []

    def progress(done, total):
        # Both are ahead of what is being read, and a little of it is not; all of it is there.
        behind = start + done // MIB * MIB
        if not seen and behind + 40 * MIB < start + total:
            target.unmap(behind + 16 * MIB, 8 * MIB)
            target.protect(behind + 28 * MIB, 4 * MIB, "none")
            seen.append((done, total))

    # Where the first look comes too late, because the machine is busy, more memory gives it time.
    for size in (96 * MIB, 192 * MIB, 384 * MIB, 768 * MIB):
        memory = np.ones(size // 4, np.int32)
        memory[:: 1 << 16] = 77
        start = target.array(memory)
        # Every type at every address, so that it takes its time.
        scanner = process.scanner("all", within(process, start, size), alignment=1)
        scanner.initial_scan(77, threads=1, progress=progress)
        if seen:
            break
        target.unmap(start, size)
    ((done, total),) = seen
    assert total == size
    behind = done // MIB * MIB
    found = set(scanner.addresses("int32").tolist())
    spans = [(each.start - start, each.end - start) for each in scanner.skipped]
    assert (behind + 16 * MIB, behind + 24 * MIB) in spans
    assert (behind + 28 * MIB, behind + 32 * MIB) in spans
    for offset in range(0, size, 1 << 18):
        reported = any(low <= offset < high for low, high in spans)
        assert (start + offset in found) != reported
    assert len(spans) == 2


def test_a_file_that_was_cut_off(target, process, tmp_path):
    """Its pages behind the end are no memory any more: reported, and no signal."""
    path = tmp_path / "file"
    path.write_bytes(b"\x2a" * (16 * PAGE))
    for flags in (SHARED, scans.PRIVATE):
        start = target.fresh(16 * PAGE, "r", path=path, flags=flags)
        target.get(start, 16 * PAGE)
        os.truncate(path, 6 * PAGE)
        scanner = process.scanner("uint8", within(process, start, 16 * PAGE))
        scanner.initial_scan(0x2A)
        assert set(range(start, start + 6 * PAGE)) <= set(scanner.addresses().tolist())
        last = max(scanner.addresses().tolist())
        assert covered(start, 16 * PAGE, [(start, last + 1)], scanner.skipped)
        path.write_bytes(b"\x2a" * (16 * PAGE))


def test_values_that_change_while_they_are_scanned(target, process):
    """A counter that never rests is found by unknown-initial, then increased."""
    start = target.fresh(16 * MIB)
    counter = start + 5 * MIB + 24
    target.ask("count", counter, 8, 0)
    scanner = process.scanner("uint64", within(process, start, 16 * MIB))
    scanner.initial_scan()
    for _ in range(3):
        before = process.read_value(counter, "uint64")
        eventually(lambda before=before: process.read_value(counter, "uint64") > before)
        assert scanner.filter_increased() == 1
    assert scanner.addresses().tolist() == [counter]
    assert scanner.first()[0] < scanner.previous()[0] < scanner.values()[0]


def test_the_own_process():
    """May be scanned too, without a copy of it being found instead."""
    value = int.from_bytes(os.urandom(7), "little")
    memory = mmap.mmap(-1, PAGE)
    memory[8:16] = value.to_bytes(8, "little")
    address = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
    with scan.open_process(os.getpid()) as me:
        scanner = me.scanner("uint64", [(address, address + PAGE)])
        assert scanner.initial_scan(value) == 1
        assert scanner.addresses().tolist() == [address + 8]
        scanner.add_value(1)
        assert int.from_bytes(memory[8:16], "little") == value + 1


def test_nobody_stops_itself():
    """It could not let itself go on."""
    program = """
import os
from gmemx import scan
with scan.open_process(os.getpid()) as me:
    for work in (me.stop, lambda: me.find(b"x", stop=True)):
        try:
            work()
        except ValueError as error:
            print(error)
"""
    printed = pools.run(program, timeout=30)
    assert len(printed.splitlines()) == 2


# ---- a Python process ----------------------------------------------------------------------

PYTHON = """
import array, ctypes, sys
lives = array.array("i", [7_654_321] * 10)
score = ctypes.c_double(1234.5625)
text = "a name with an \\u00e4 in it"
print(lives.buffer_info()[0], ctypes.addressof(score), flush=True)
for line in sys.stdin:
    if line == "damage\\n":
        lives[3] -= 1
    print(lives[3], score.value, flush=True)
"""


def test_a_python_program():
    """Its heap is reachable, by default: no module holds these values."""
    child = subprocess.Popen(
        [sys.executable, "-c", PYTHON], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        lives, score = map(int, child.stdout.readline().split())

        def ask(word):
            child.stdin.write(word + "\n")
            child.stdin.flush()
            return child.stdout.readline().split()

        with scan.open_process(child.pid) as process:
            scanner = process.scanner("i32")
            scanner.initial_scan(7_654_321)
            assert set(range(lives, lives + 40, 4)) <= set(scanner.addresses().tolist())
            ask("damage")
            assert scanner.filter_decreased_by(1) == 1
            assert scanner.addresses().tolist() == [lives + 12]
            scanner.set_value(99)
            assert ask("look") == ["99", "1234.5625"]
            floats = process.scanner("f64", process.regions(permissions="rw"))
            floats.initial_scan(1234.5, tolerance=0.125)
            assert score in floats.addresses()
            process.write_value(score, -2.5, "f64")
            assert ask("look") == ["99", "-2.5"]
            found = scan.scan_text(process, process.regions(), "an ä in it", encoding="latin-1")
            assert found.size >= 1
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
