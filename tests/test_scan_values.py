"""First scans find what NumPy finds: every type, comparison, alignment, byte order and layout."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scans
from scans import CHUNKS, INTEGERS, MIB, PAGE, TYPES, Image, Target, equal, linux_only, within

from gmemx import scan

pytestmark = linux_only

COMPARISONS = {
    "eq": lambda x, v: x == v,
    "ne": lambda x, v: x != v,
    "lt": lambda x, v: x < v,
    "gt": lambda x, v: x > v,
    "le": lambda x, v: x <= v,
    "ge": lambda x, v: x >= v,
}
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """Random memory in one process, that stays as it is: (source, start, size, image) each."""
    with Target() as target:
        folder = tmp_path_factory.mktemp("layouts")
        made = [
            scans.random_layout(target, np.random.default_rng(seed), folder=folder)
            for seed in SEEDS
        ]
        with scan.open_process(target.pid) as process:
            yield [(process, *layout) for layout in made]


@pytest.fixture
def target():
    """A process with nothing laid out."""
    with Target() as started:
        yield started


def found_by(source, start, size, dtype, *, alignment=None, **what):
    """The addresses and values of a first scan, after its count was compared with them."""
    options = {} if alignment is None else {"alignment": alignment}
    scanner = source.scanner(dtype, within(source, start, size), **options)
    count = scanner.initial_scan(**what)
    assert count == scanner.match_count() == len(scanner)
    assert scanner.addresses().dtype == np.uint64
    return scanner.addresses(), scanner.values()


def check(source, start, size, image, dtype, alignment, test, **what):
    """Scan, and compare with NumPy; how many matches there were."""
    addresses, values = image.slots(dtype, alignment)
    with np.errstate(invalid="ignore"):
        mask = test(values)
    found, current = found_by(source, start, size, dtype, alignment=alignment, **what)
    equal(found, addresses[mask])
    equal(current, values[mask])
    return int(mask.sum())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("alignment", [None, 1, 2, 16])
def test_every_type_and_comparison(layouts, dtype, alignment):
    """Of values that are there, in memory with holes, files, zeros and neighbours."""
    rng, total = np.random.default_rng(5), 0
    for source, start, size, image in layouts:
        values = image.slots(dtype, alignment)[1]
        usual = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        for name, test in COMPARISONS.items():
            value = rng.choice(usual) if name != "eq" else rng.choice(usual[usual != 0])
            total += check(
                source, start, size, image, dtype, alignment,
                lambda x, test=test, value=value: test(x, value),
                value=value.item(), compare=name,
            )  # fmt: skip
        low, high = np.sort(rng.choice(usual, 2))
        total += check(
            source, start, size, image, dtype, alignment,
            lambda x, low=low, high=high: (x >= low) & (x <= high),
            value=low.item(), high=high.item(), compare="between",
        )  # fmt: skip
    assert total > 1000


@pytest.mark.parametrize("dtype", TYPES)
def test_zero_is_found_where_nothing_was_written(layouts, dtype):
    """Untouched pages hold zeros as good as any."""
    for source, start, size, image in layouts:
        assert check(source, start, size, image, dtype, None, lambda x: x == 0, value=0) > PAGE


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("alignment", [None, 1])
def test_unknown_initial_values(layouts, dtype, alignment):
    """Everything that can be read is a match."""
    for source, start, size, image in layouts[:1]:
        count = check(
            source, start, size, image, dtype, alignment, lambda x: np.ones(x.shape, bool)
        )
        assert count == image.slots(dtype, alignment)[0].size


@pytest.mark.parametrize("code", [">i2", ">u2", ">i4", ">u4", ">i8", ">u8", ">f4", ">f8"])
def test_big_endian(layouts, code):
    """By a NumPy dtype and by ``byteorder``; the values come in native order."""
    rng, dtype = np.random.default_rng(6), np.dtype(code)
    for source, start, size, image in layouts:
        values = image.slots(dtype, 1)[1]
        value = rng.choice(values[np.isfinite(values) & (values != 0)]).item()
        what = {"value": value}
        assert check(source, start, size, image, code, 1, lambda x, v=value: x == v, **what)
        scanner = source.scanner(
            dtype.newbyteorder("=").name, within(source, start, size), alignment=1, byteorder="big"
        )
        scanner.initial_scan(value, compare="lt")
        addresses, values = image.slots(dtype, 1)
        with np.errstate(invalid="ignore"):
            equal(scanner.addresses(), addresses[values < value])
            equal(scanner.values(), values[values < value])


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_threads_change_nothing(layouts, threads):
    """The order of the matches is that of their addresses."""
    for source, start, size, image in layouts:
        what = {"value": 1, "threads": threads}
        check(source, start, size, image, "int16", 1, lambda x: x == 1, **what)


@pytest.mark.parametrize("path", ["auto", "portable"])
def test_cpu_paths_change_nothing(layouts, path):
    """With SIMD and without."""
    import gmemx

    gmemx.set_cpu_path(path)
    try:
        for source, start, size, image in layouts[:2]:
            for dtype in TYPES:
                for alignment in (None, 1):
                    check(source, start, size, image, dtype, alignment, lambda x: x == 2, value=2)
    finally:
        gmemx.set_cpu_path("auto")


# ---- several types at once -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "members"),
    [
        ("all", TYPES),
        ("ints", INTEGERS),
        ("floats", ("float32", "float64")),
        (["int32", "float32"], ("int32", "float32")),
        (("u8", "i64", "f64"), ("uint8", "int64", "float64")),
    ],
)
@pytest.mark.parametrize("alignment", [None, 1])
def test_several_types_in_one_pass(layouts, types, members, alignment):
    """As so many scans of one type; addresses of all come in the order of the types."""
    for source, start, size, image in layouts[:2]:
        options = {} if alignment is None else {"alignment": alignment}
        scanner = source.scanner(types, within(source, start, size), **options)
        assert [np.dtype(name).name for name in scanner.types] == list(members)
        count = scanner.initial_scan(2)
        everything = []
        for name in members:
            addresses, values = image.slots(name, alignment)
            equal(scanner.addresses(name), addresses[values == 2])
            equal(scanner.values(name), values[values == 2])
            everything.append(addresses[values == 2])
        equal(scanner.addresses(), np.concatenate(everything))
        assert count == scanner.match_count() == sum(map(len, everything))
        with pytest.raises(ValueError, match="type"):
            scanner.values()


def test_a_value_that_only_some_types_hold(layouts):
    """The others have no matches; where none can hold it, that is an error."""
    source, start, size, image = layouts[0]
    scanner = source.scanner(["int8", "int16", "float32"], within(source, start, size))
    scanner.initial_scan(300)
    assert scanner.addresses("int8").size == 0
    addresses, values = image.slots("int16")
    equal(scanner.addresses("int16"), addresses[values == 300])
    ints = source.scanner("ints", within(source, start, size))
    with pytest.raises(OverflowError, match="18446744073709551616"):
        ints.initial_scan(2**64)
    scanner = source.scanner(["uint8", "int8"], within(source, start, size))
    scanner.initial_scan(-3)
    assert scanner.addresses("uint8").size == 0
    addresses, values = image.slots("int8")
    equal(scanner.addresses("int8"), addresses[values == -3])


# ---- exactness -----------------------------------------------------------------------------

EDGES = {
    "int8": [-128, 127, -1, 0],
    "uint8": [255, 128, 0],
    "int16": [-(2**15), 2**15 - 1, -1],
    "uint16": [2**16 - 1, 2**15],
    "int32": [-(2**31), 2**31 - 1, -1],
    "uint32": [2**32 - 1, 2**31, 2**32 - 2],
    "int64": [-(2**63), 2**63 - 1, 2**53 + 1, -(2**53) - 1, -1],
    "uint64": [2**64 - 1, 2**64 - 2, 2**63, 2**53 + 1],
}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_stay_integers(target, dtype):
    """2^53 + 1 is not 2^53, and 2^64 - 1 not 2^64 - 2."""
    edges = EDGES[dtype]
    limits = np.iinfo(dtype)
    near = sorted({n + d for n in edges for d in (-2, -1, 0, 1, 2)})
    values = np.array([n for n in near if limits.min <= n <= limits.max], dtype)
    at = target.array(values)
    addresses = at + np.arange(values.size, dtype=np.uint64) * values.itemsize
    with scan.open_process(target.pid) as process:
        scanner = process.scanner(dtype, within(process, at, PAGE))
        for value in edges:
            for name, test in COMPARISONS.items():
                scanner.initial_scan(value, compare=name)
                inside = scanner.addresses() < at + values.nbytes
                mask = np.array([test(int(x), value) for x in values], bool)
                equal(scanner.addresses()[inside], addresses[mask])
                equal(scanner.values()[inside], values[mask])
            (match,) = [m for m in many(scanner, value) if m.address < at + values.nbytes]
            assert match.value == value
            assert type(match.value) is int
            assert process.read_value(match.address, dtype) == value


def many(scanner, value):
    """The matches of one value."""
    scanner.initial_scan(value)
    return scanner.get_matches(limit=100)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_out_of_range_are_refused(target, dtype):
    """300 is no int8, -1 no uint32; the message has the number and the type."""
    limits = np.iinfo(dtype)
    at = target.array(np.zeros(8, dtype))
    with scan.open_process(target.pid) as process:
        scanner = process.scanner(dtype, within(process, at, PAGE))
        scanner.initial_scan()
        before = scanner.match_count()
        for value in (limits.max + 1, limits.min - 1, 2**64, -(2**63) - 1, 10**30):
            for work in (
                scanner.initial_scan,
                scanner.filter_eq,
                scanner.set_value,
                lambda v: scanner.set_value_at(at, v),
                lambda v: process.write_value(at, v, dtype),
            ):
                with pytest.raises(OverflowError, match=str(value)) as caught:
                    work(value)
                assert dtype in str(caught.value)
        assert scanner.match_count() == before
    assert target.get(at, 64) == bytes(64)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_whole_floats_for_integers(target, dtype):
    """5.0 is 5; 5.5 is not."""
    at = target.array(np.full(8, 5, dtype))
    with scan.open_process(target.pid) as process:
        scanner = process.scanner(dtype, within(process, at, PAGE))
        assert scanner.initial_scan(5.0) == 8
        with pytest.raises(ValueError, match=r"5\.5.*whole number"):
            scanner.initial_scan(5.5)
        assert scanner.match_count() == 8
        assert scanner.filter_eq(np.int64(5)) == 8
        assert scanner.filter_eq(np.float64(5)) == 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_compare_with_equality(target, dtype):
    """0.1 is the 0.1 of the type; both zeros are zero; infinities are themselves; NaN nothing."""
    kind = np.dtype(dtype).type
    tenth = kind(0.1)
    near = [np.nextafter(tenth, kind(0)), tenth, np.nextafter(tenth, kind(1))]
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max, np.finfo(dtype).tiny]
    values = np.array([*near, *special, np.nextafter(kind(0), kind(1))], dtype)
    with scan.open_process(target.pid) as process:
        at = target.array(np.concatenate([values, np.full(PAGE // 4, 77, dtype)]))
        scanner = process.scanner(dtype, within(process, at, PAGE))
        for value in [0.1, 0.0, -0.0, math.inf, -math.inf, *map(float, values[-3:])]:
            for name, test in COMPARISONS.items():
                scanner.initial_scan(value, compare=name)
                with np.errstate(invalid="ignore"):
                    mask = test(values, kind(value))
                inside = scanner.addresses() < at + values.nbytes
                places = at + np.flatnonzero(mask).astype(np.uint64) * values.itemsize
                equal(scanner.addresses()[inside], places)
                equal(scanner.values()[inside], values[mask])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_with_tolerance(target, dtype):
    """Within so much, within so many representable numbers, or rounded to so many decimals."""
    kind = np.dtype(dtype).type
    steps = [kind(3.25)]
    for _ in range(6):
        steps.append(np.nextafter(steps[-1], kind(4)))
    below = [kind(3.25)]
    for _ in range(6):
        below.append(np.nextafter(below[-1], kind(3)))
    others = [3.2, 3.24, 3.245, 3.2499, 3.2501, 3.254, 3.256, 3.3, -3.25, np.nan, np.inf]
    values = np.array([*steps, *below[1:], *others], dtype)
    at = target.array(np.concatenate([values, np.full(PAGE // 4, 77, dtype)]))
    exact = values.astype(np.float64)

    def found(**what):
        scanner.initial_scan(3.25, **what)
        inside = scanner.addresses() < at + values.nbytes
        return ((scanner.addresses()[inside] - np.uint64(at)) // values.itemsize).tolist()

    with scan.open_process(target.pid) as process:
        scanner = process.scanner(dtype, within(process, at, PAGE))
        assert found(ulps=0) == [0]
        assert found(ulps=3) == [0, 1, 2, 3, 7, 8, 9]
        with np.errstate(invalid="ignore"):
            for tolerance in (0.03125, 0.0078125, 0.0):
                want = np.flatnonzero(abs(exact - 3.25) <= tolerance).tolist()
                assert found(tolerance=tolerance) == want
        # What rounds to 3.25, the middle included on either side.
        low, high = Fraction("3.245"), Fraction("3.255")
        want = [
            i for i, x in enumerate(exact.tolist()) if x - x == 0 and low <= Fraction(x) <= high
        ]
        assert found(rounded=2) == want
        # Filters take the same.
        scanner.initial_scan()
        scanner.filter_eq(3.25, ulps=2)
        assert scanner.match_count() == 5
        scanner.initial_scan()
        scanner.filter_ne(3.25, ulps=2)
        assert not np.isin(scanner.addresses() - np.uint64(at), [0]).any()
        for options in ({"ulps": -1}, {"tolerance": -0.5}, {"tolerance": math.nan}):
            with pytest.raises(ValueError, match=next(iter(options))):
                scanner.filter_eq(3.25, **options)


def test_ulps_across_zero(target):
    """The smallest negative and positive numbers are two representable numbers apart."""
    tiny = np.nextafter(np.float32(0), np.float32(1))
    values = np.array([-tiny, -0.0, 0.0, tiny, 2 * tiny] + [9.0] * 1019, np.float32)
    at = target.array(values)
    with scan.open_process(target.pid) as process:
        scanner = process.scanner("float32", within(process, at, PAGE))
        assert scanner.initial_scan(0.0, ulps=1) == 4
        assert scanner.initial_scan(float(tiny), ulps=1) == 4
        assert scanner.initial_scan(float(tiny), ulps=2) == 5


# ---- boundaries ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int16", "uint32", "int64", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_matches_across_chunks(target, dtype, threads):
    """At every offset around every place where a chunk may begin."""
    size, width = 9 * MIB, np.dtype(dtype).itemsize
    value = np.array([0x1122334455667788 & (2 ** (8 * width - 1) - 1)], f"u{width}").view(dtype)
    start = target.fresh(size)
    image = Image()
    data = np.random.default_rng(9).integers(1, 255, size, dtype=np.uint8)
    number = 0
    edges = {edge for chunk in CHUNKS for edge in range(chunk, size, chunk)}
    # And by the absolute address.
    edges |= {-start % CHUNKS[0] + edge for edge in range(0, size - CHUNKS[0], CHUNKS[0])}
    for edge in sorted(edges - {0}):
        offset = edge - 1 - number % (width - 1)
        data[offset : offset + width] = value.view(np.uint8)
        number += 1
    image.add(start, data)
    target.put(start, data)
    with scan.open_process(target.pid) as process:
        what = {"value": value[0].item(), "threads": threads}
        count = check(process, start, size, image, dtype, 1, lambda x: x == value[0], **what)
    assert count >= number * 9 // 10


@pytest.mark.parametrize("dtype", ["int32", "float64"])
def test_matches_across_regions(target, dtype):
    """A value half in one region and half in the next is found; over a hole there is none."""
    width = np.dtype(dtype).itemsize
    value = np.array([0x1122334455667788 & (2 ** (8 * width - 1) - 1)], f"u{width}").view(dtype)
    start = target.fresh(6 * PAGE)
    data = bytearray(b"\x5a" * (6 * PAGE))
    image = Image()
    for page in range(1, 6):
        offset = page * PAGE - page % (width - 1) - 1
        data[offset : offset + width] = value.tobytes()
    target.put(start, bytes(data))
    target.protect(start + PAGE, PAGE, "r")
    target.protect(start + 3 * PAGE, PAGE, "none")
    image.add(start, data[: 3 * PAGE])
    image.add(start + 4 * PAGE, data[4 * PAGE :])
    with scan.open_process(target.pid) as process:
        regions = within(process, start, 6 * PAGE)
        assert len(regions) == 5
        what = {"value": value[0].item()}
        count = check(process, start, 6 * PAGE, image, dtype, 1, lambda x: x == value[0], **what)
        assert count == 3
        # Where only one of two neighbours is asked for, its end is the end.
        scanner = process.scanner(dtype, regions[:1], alignment=1)
        assert scanner.initial_scan(value[0].item()) == 0


@pytest.mark.parametrize("alignment", [1, 2, 4, 8, 64, 4096])
def test_alignment_is_that_of_the_address(alignment):
    """Not of the offset in a region or a buffer."""
    data = bytes([7]) * 20_000
    for address in (0, 1, 5, 0x7FFF_0003, 2**47 - 20_000):
        with scan.open_buffer(data, address=address) as source:
            scanner = source.scanner("int16", alignment=alignment)
            scanner.initial_scan(0x0707)
            places = np.arange(address, address + len(data) - 1, dtype=np.uint64)
            equal(scanner.addresses(), places[places % alignment == 0])


# ---- large regions -------------------------------------------------------------------------


def test_a_region_of_five_gibibytes(target):
    """Mostly untouched; its values are found beyond 2 and 4 GiB, and it stays untouched."""
    size, value = 5 << 30, 0x1EED_5E77
    start = target.fresh(size)
    offsets = [0, 2**31 - 4, 2**31, 2**31 + 6, 2**32 - 6, 2**32, 2**32 + 2**20, size - 4]
    for offset in offsets:
        target.put(start + offset, np.array([value], np.int32))
    places = np.array([start + offset for offset in offsets], np.uint64)
    before = target.resident()
    with scan.open_process(target.pid) as process:
        (region,) = within(process, start, size)
        assert (region.start, region.size) == (start, size)
        scanner = process.scanner("int32", within(process, start, size), alignment=2)
        assert scanner.initial_scan(value) == len(offsets)
        equal(scanner.addresses(), places)
        assert scanner.filter_eq(value) == len(offsets)
        needle = value.to_bytes(4, "little")
        equal(process.find(needle, within(process, start, size)), places)
        target.put(start + 2**32, np.array([1], np.int32))
        assert scanner.filter_changed() == 1
        equal(scanner.addresses(), places[5:6])
    assert target.resident() - before < MIB


def test_a_large_region_of_zeros(target):
    """Untouched memory is not read, but every zero in it is a match."""
    size = 64 * MIB
    start = target.fresh(size)
    before = target.resident()
    with scan.open_process(target.pid) as process:
        scanner = process.scanner("int64", within(process, start, size))
        assert scanner.initial_scan(0) == size // 8
        target.put(start + 40 * MIB, np.arange(5, dtype=np.int64))
        assert scanner.filter_changed() == 4
        assert scanner.values().tolist() == [1, 2, 3, 4]
        assert scanner.previous().tolist() == [0, 0, 0, 0]
    assert target.resident() - before < MIB
