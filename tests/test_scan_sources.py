"""Buffers, arrays, files, core dumps and pool buffers go through the same scanner as processes."""

import ctypes
import gc
import mmap
import os
import platform
import shutil
import struct
import subprocess
import weakref

import numpy as np
import pools
import pytest
import scan_cores
import scans
from scans import CHUNKS, PAGE, TYPES, Image, Target, equal, linux_only, within

import gmemx
from gmemx import scan

pytestmark = linux_only

ODD_NUMBERS = np.array([0, 1, 2**63, 2**64 - 1, 2**64 - PAGE, 1 << 47, 1 << 22], np.uint64)
DATA = np.random.default_rng(11).integers(0, 4, 100_003, dtype=np.uint8)


def image_of(data, address):
    image = Image()
    image.add(address, bytes(data))
    return image


def made(kind, tmp_path, address=0):
    """DATA as a source of some kind, and what must be kept alive for it."""
    if kind == "file":
        path = tmp_path / "data"
        path.write_bytes(DATA.tobytes())
        return scan.open_file(path, address=address)
    holders = {
        "bytes": DATA.tobytes,
        "bytearray": lambda: bytearray(DATA),
        "memoryview": lambda: memoryview(bytearray(DATA)),
        "array": DATA.copy,
        "tensor": lambda: gmemx.Tensor(DATA),
        "ctypes": lambda: (ctypes.c_char * len(DATA)).from_buffer_copy(DATA),
    }
    return scan.open_buffer(holders[kind](), address=address)


KINDS = ("bytes", "bytearray", "memoryview", "array", "tensor", "ctypes", "file")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("address", [0, 0x1003, 2**63 + 5])
def test_first_scans_of_bytes(kind, address, tmp_path):
    """Every type, aligned and not, at any address."""
    image = image_of(DATA, address)
    with made(kind, tmp_path, address) as source:
        assert source.kind == ("file" if kind == "file" else "bytes")
        assert source.alive
        (region,) = source.regions()
        assert (region.start, region.size, region.kind) == (address, len(DATA), "image")
        assert source.read(address + 7, 50) == DATA[7:57].tobytes()
        for dtype in TYPES:
            for alignment in (None, 1):
                addresses, values = image.slots(dtype, alignment)
                scanner = source.scanner(dtype, alignment=alignment)
                wanted = values[5]
                with np.errstate(invalid="ignore"):
                    mask = values == wanted
                assert scanner.initial_scan(wanted.item()) == mask.sum() > 0
                equal(scanner.addresses(), addresses[mask])
                scanner.initial_scan()
                equal(scanner.values(), values)
                assert scanner.skipped == []


@pytest.mark.parametrize("kind", ["array", "file"])
def test_later_scans_see_changes(kind, tmp_path):
    """What the array or the file has then."""
    path = tmp_path / "data"
    values = np.arange(5000, dtype=np.int32)
    path.write_bytes(values.tobytes())
    source = scan.open_buffer(values) if kind == "array" else scan.open_file(path)
    scanner = source.scanner("int32")
    scanner.initial_scan()
    values[[7, 70, 700]] += 5
    values[4000] -= 1
    path.write_bytes(values.tobytes())
    assert scanner.filter_increased_by(5) == 3
    assert scanner.addresses().tolist() == [28, 280, 2800]
    assert scanner.first().tolist() == [7, 70, 700]


def test_writing_to_what_can_be_written():
    """Arrays and bytearrays; bytes, read-only arrays and files are refused."""
    values = np.arange(10, dtype=np.int32)
    with scan.open_buffer(values, address=64) as source:
        assert source.regions()[0].permissions[:2] == "rw"
        source.write_value(68, -5, "int32")
        assert values[1] == -5
        scanner = source.scanner("int32")
        scanner.initial_scan(9)
        scanner.mul_value(2)
        assert values[9] == 18
    frozen = np.arange(10, dtype=np.int32)
    frozen.flags.writeable = False
    for data in (bytes(40), frozen, memoryview(bytes(40)), gmemx.zeros(10).share_readonly()):
        with scan.open_buffer(data) as source:
            assert source.regions()[0].permissions[:2] == "r-"
            before = bytes(data)
            for force in (False, True):
                with pytest.raises(PermissionError, match=r"only be read|read-only"):
                    source.write(0, b"abcd", force=force)
            assert bytes(data) == before


def test_files_are_only_read(tmp_path):
    """Whatever permissions they have."""
    path = tmp_path / "data"
    path.write_bytes(b"hello")
    with scan.open_file(path) as source:
        for work in (
            lambda: source.write(0, b"j"),
            lambda: source.write(0, b"j", force=True),
            lambda: source.write_value(0, 5, "uint8"),
        ):
            with pytest.raises(PermissionError, match=r"only be read|read-only"):
                work()
    assert path.read_bytes() == b"hello"


def test_buffers_are_kept(tmp_path):
    """By the source, and by its scanners; and given back when both are gone."""

    class Holder(np.ndarray):
        """An array that can be referred to weakly."""

    values = np.arange(100, dtype=np.int32).view(Holder)
    gone = weakref.ref(values)
    scanner = scan.open_buffer(values).scanner("int32")
    del values
    gc.collect()
    assert gone() is not None
    assert scanner.initial_scan(50) == 1
    del scanner
    gc.collect()
    assert gone() is None
    data = bytearray(100)
    with scan.open_buffer(data), pytest.raises(BufferError):
        data.append(1)
    data.append(1)


def test_empty_and_strided_buffers():
    """Nothing to scan, and nothing that is not in one piece."""
    with pytest.raises(ValueError, match="contiguous"):
        scan.open_buffer(np.arange(10)[::2])
    with pytest.raises(ValueError, match=r"nothing|empty|bytes"):
        scan.open_buffer(b"").scanner("u8").initial_scan(0)
    with pytest.raises((ValueError, IndexError, OverflowError), match="address"):
        scan.open_buffer(bytes(100), address=2**64 - 50)


def test_processes_without_memory_have_no_stop(tmp_path):
    """stop is for processes."""
    with scan.open_buffer(bytes(10)) as source:
        with pytest.raises(NotImplementedError):
            source.stop()
        with pytest.raises(NotImplementedError):
            source.scanner("u8").initial_scan(0, stop=True)


# ---- files ---------------------------------------------------------------------------------


def test_a_file_with_holes(tmp_path):
    """Of more than 2 GiB, of which a few bytes were written."""
    path = tmp_path / "sparse"
    offsets = [5, 2**31 - 3, 2**31 + 9, 2**31 + 2**28 - 4]
    with path.open("wb") as file:
        for offset in offsets:
            file.seek(offset)
            file.write(b"\x99\x88\x77\x66")
    base = 1 << 40
    # Around them: a hole that is read takes room in memory.
    windows = [(base + max(0, n - 70_000), base + n + 4) for n in offsets]
    with scan.open_file(path, address=base) as source:
        (region,) = source.regions()
        assert region.size == offsets[-1] + 4
        scanner = source.scanner("uint32", [windows[0], (windows[1][0], windows[2][1]), windows[3]])
        scanner.set_alignment(1)
        assert scanner.initial_scan(0x66778899) == 4
        assert scanner.addresses().tolist() == [base + offset for offset in offsets]
        found = source.find("99 88 77 66", scanner.regions)
        assert found.tolist() == scanner.addresses().tolist()


def test_a_file_that_becomes_shorter(tmp_path):
    """What is gone is reported, and is no signal."""
    path = tmp_path / "data"
    path.write_bytes(b"\x07" * (300 * PAGE))
    with scan.open_file(path) as source:
        scanner = source.scanner("uint8")
        assert scanner.initial_scan(7) == 300 * PAGE
        os.truncate(path, 100 * PAGE)
        assert scanner.filter_eq(7) == 100 * PAGE
        assert sum(each.end - each.start for each in scanner.skipped) >= 200 * PAGE
        assert source.read(99 * PAGE, 2 * PAGE, partial=True) == b"\x07" * PAGE


@pytest.mark.parametrize("chunk", CHUNKS)
def test_matches_across_chunks_of_a_file(tmp_path, chunk):
    """As in processes."""
    data = bytearray(2 * chunk + 100)
    places = [chunk - 3, 2 * chunk - 1, len(data) - 4]
    for place in places:
        data[place : place + 4] = b"\x11\x22\x33\x44"
    path = tmp_path / "data"
    path.write_bytes(data)
    for source in (scan.open_file(path), scan.open_buffer(data)):
        scanner = source.scanner("uint32", alignment=1)
        assert scanner.initial_scan(0x44332211) == 3
        assert scanner.addresses().tolist() == places
        assert source.find("11 22 ?? 44").tolist() == places


def test_files_that_cannot_be_opened(tmp_path):
    """The built-in errors, with the path."""
    for opener in (scan.open_file, scan.open_core):
        with pytest.raises(FileNotFoundError, match="no such"):
            opener(tmp_path / "no such")
        with pytest.raises((OSError, ValueError), match=tmp_path.name):
            opener(tmp_path)
        with pytest.raises(TypeError):
            opener(5.5)
    if os.geteuid() != 0:
        path = tmp_path / "locked"
        path.write_bytes(b"x")
        path.chmod(0)
        with pytest.raises(PermissionError, match="locked"):
            scan.open_file(path)


# ---- core dumps ----------------------------------------------------------------------------


@pytest.fixture
def laid_out():
    """A process with random memory, the layout of it, and its image."""
    with Target() as target:
        yield target, *scans.random_layout(target, np.random.default_rng(21))


def check_core(path, target, start, size, image):
    """What is found in the dump is what is there."""
    with scan.open_core(path) as core:
        assert core.kind == "core"
        for dtype in ("int16", "float32", "uint64"):
            addresses, values = image.slots(dtype, 1)
            with np.errstate(invalid="ignore"):
                mask = values == 1
            scanner = core.scanner(dtype, within(core, start, size), alignment=1)
            assert scanner.initial_scan(1) == mask.sum() > 0
            equal(scanner.addresses(), addresses[mask])
        for address, data in image.pieces.items():
            assert core.read(address, len(data)) == data.tobytes()
        with pytest.raises(PermissionError, match=r"only be read|read-only"):
            core.write(start, b"x")
        stack, data, *_ = target.ask("places")
        places = core.regions(start=stack, end=stack + 1)
        assert len(places) == 1
        return core.regions(), data


@pytest.mark.skipif(platform.machine() != "x86_64", reason="writes the header of an x86-64 dump")
def test_core_dumps(laid_out, tmp_path):
    """Of all memory, at its own addresses, with the names of what was mapped."""
    target, start, size, image = laid_out
    path = tmp_path / "core"
    written = scan_cores.write_core(path, target.pid)
    regions, data = check_core(path, target, start, size, image)
    assert [(r.start, r.end) for r in regions] == [(s, e) for s, e, *_ in written]
    (module,) = [region for region in regions if data in region]
    assert module.name == str(scans.target_program())


@pytest.mark.skipif(shutil.which("gcore") is None, reason="gcore is not installed")
def test_core_dumps_of_gcore(laid_out, tmp_path):
    """As a debugger writes them."""
    target, start, size, image = laid_out
    command = ["gcore", "-a", "-o", str(tmp_path / "core"), str(target.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    check_core(tmp_path / f"core.{target.pid}", target, start, size, image)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="writes the header of an x86-64 dump")
def test_what_a_dump_leaves_out(laid_out, tmp_path):
    """It is known to have been there: skipped, as not dumped."""
    target, _, _, image = laid_out
    missing = sorted(image.pieces)[0]
    length = len(image.pieces[missing])
    path = tmp_path / "core"
    scan_cores.write_core(path, target.pid, left_out=[missing])
    with scan.open_core(path) as core:
        scanner = core.scanner("int32", [(missing, missing + length)])
        assert scanner.initial_scan() == 0
        assert {each.reason for each in scanner.skipped} == {"not dumped"}
        assert sum(each.size for each in scanner.skipped) == length
        with pytest.raises(OSError, match=f"{missing:#x}"):
            core.read(missing, 4)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="writes the header of an x86-64 dump")
def test_damaged_dumps(laid_out, tmp_path):
    """Cut off anywhere, or with any number changed, a dump is an error or fewer bytes."""
    target, *_ = laid_out
    path, damaged = tmp_path / "core", tmp_path / "damaged"
    scan_cores.write_core(path, target.pid)
    whole = path.read_bytes()
    cut = whole[: len(whole) * 2 // 3]
    for content in (b"", b"\x7fELF", b"MZ" * 100, whole[:63], whole[:200], bytes(5000), cut):
        damaged.write_bytes(content)
        with pytest.raises(ValueError, match="damaged"):
            scan.open_core(damaged)
    # A program is an ELF file, but no dump.
    with pytest.raises(ValueError, match="scan-target"):
        scan.open_core(scans.target_program())
    rng = np.random.default_rng(4)
    opened = refused = 0
    count = struct.unpack_from("<H", whole, 56)[0]
    head = 64 + 56 * count
    for _ in range(300):
        content = bytearray(whole[:head])
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(head)) & ~7
            number = int(rng.choice(ODD_NUMBERS)) if rng.integers(2) else int(rng.integers(256))
            content[at : at + 8] = number.to_bytes(8, "little")
        with path.open("r+b") as file:
            file.write(content)
        try:
            with scan.open_core(path) as core:
                opened += 1
                regions = core.regions(max_size=1 << 20)
                if len(regions):
                    core.scanner("int32", regions[:3]).initial_scan(1)
        except (ValueError, OSError):
            refused += 1
    assert opened > 10
    assert refused > 10


# ---- pool buffers --------------------------------------------------------------------------


def test_pool_buffers():
    """A guard is memory like any other, and shared with whoever holds it too."""
    with pools.new_pool() as pool, pool.acquire((1000,), "float32") as guard:
        guard.numpy()[:] = np.arange(1000)
        with scan.open_buffer(guard) as source:
            scanner = source.scanner("float32")
            assert scanner.initial_scan(500, compare="ge") == 500
            with pool.get_mut(guard.meta_index) as other:
                other.numpy()[700:] += 0.5
            assert scanner.filter_changed() == 300
            scanner.set_value(-1)
        del scanner
        assert (guard.numpy()[700:] == -1).all()


def test_pool_memory_of_another_process():
    """Shared memory is a kind of region of whoever maps it."""
    value = 0x1EAF_5EED_0DD5_EED5
    with pools.new_pool() as pool, pool.acquire(100, "uint64") as guard:
        guard.numpy()[:] = value
        with scan.open_process(os.getpid()) as me:
            scanner = me.scanner("uint64", me.regions(kind="shared", permissions="rw"))
            assert scanner.initial_scan(value) == 100


def test_maps_of_this_process(tmp_path):
    """mmap objects too."""
    path = tmp_path / "data"
    path.write_bytes(DATA.tobytes())
    with (
        path.open("r+b") as file,
        mmap.mmap(file.fileno(), 0) as mapped,
        scan.open_buffer(mapped) as source,
    ):
        assert source.find(DATA[100:120].tobytes()).size >= 1
