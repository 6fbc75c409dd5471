"""Wrong arguments raise the documented exception, say what is wrong, and change nothing."""

import math
import os
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scans import linux_only

from gmemx import errors, scan

pytestmark = linux_only

HUGE = 10**5000
COUNT = 100


@pytest.fixture
def values():
    """What is scanned; it must be as it was before."""
    made = np.arange(COUNT, dtype=np.int32)
    yield made
    assert made.tolist() == list(range(COUNT))


@pytest.fixture
def source(values):
    """A source that must work as before."""
    with scan.open_buffer(values, address=0x1000) as made:
        yield made
        assert made.read_value(0x1000 + 4 * 7, "i32") == 7


@pytest.fixture
def scanner(source):
    """A scanner whose matches, checkpoints, labels and steps must be as they were."""
    made = source.scanner("int32")
    made.initial_scan()
    made.save_checkpoint("there")
    made.label(0x1000, "first")
    yield made
    assert made.match_count() == COUNT
    assert made.list_checkpoints() == ["there"]
    assert made.labels == {0x1000: "first"}
    assert [step.count for step in made.history] == [COUNT]


def refused(work, error, mention):
    """It raises what Python programmers expect, as a GmemxError unless the type was wrong."""
    with pytest.raises(error, match=mention) as caught:
        work()
    if error is not TypeError:
        assert isinstance(caught.value, errors.GmemxError)
    assert len(str(caught.value)) < 400


# ---- types ---------------------------------------------------------------------------------

WRONG_TYPES = {
    "unknown": ("int7", ValueError, "int7"),
    "empty": ("", ValueError, "''"),
    "half": ("f16", ValueError, "f16"),
    "long text": ("i" * 1000, ValueError, "iii"),
    "complex": ("complex64", ValueError, "complex64"),
    "bool": (np.bool_, ValueError, "bool"),
    "text": ("str", ValueError, "str"),
    "structure": (np.dtype([("a", "i4")]), ValueError, "i4"),
    "no types": ([], ValueError, "at least one"),
    "one of two": (["i32", "i31"], ValueError, "i31"),
    "two orders": ([">i4", "<i2"], ValueError, "byte order"),
    "number": (5, TypeError, "int"),
    "None": (None, TypeError, "NoneType"),
    "bytes": (b"i32", TypeError, "bytes"),
}


@pytest.mark.parametrize(("spec", "error", "mention"), WRONG_TYPES.values(), ids=WRONG_TYPES.keys())
def test_types(source, scanner, spec, error, mention):
    """Wherever one is given."""
    for work in (
        lambda: source.scanner(spec),
        lambda: scan.create_interactive_scanner(source, None, spec),
        lambda: source.read_value(0x1000, spec),
        lambda: source.write_value(0x1000, 1, spec),
        lambda: source.read_many([0x1000], spec),
        lambda: source.write_many([0x1000], [1], spec),
        lambda: scanner.set_value_type(spec),
    ):
        refused(work, error, mention)


def test_types_that_the_scanner_does_not_have(scanner):
    """Are named, beside those it has."""
    for work in (scanner.addresses, scanner.values, scanner.previous, scanner.first):
        refused(lambda work=work: work("f64"), ValueError, "int32.*float64")
        refused(lambda work=work: work("f65"), ValueError, "f65")


OPTIONS = {
    "alignment 0": ({"alignment": 0}, ValueError, "alignment"),
    "alignment 3": ({"alignment": 3}, ValueError, "3"),
    "alignment 8192": ({"alignment": 8192}, ValueError, "8192"),
    "alignment negative": ({"alignment": -4}, ValueError, "-4"),
    "alignment huge": ({"alignment": HUGE}, ValueError, "alignment"),
    "alignment float": ({"alignment": 4.0}, TypeError, "alignment.*float"),
    "byteorder": ({"byteorder": "middle"}, ValueError, "middle"),
    "history": ({"history": -1}, ValueError, "history"),
    "history float": ({"history": 1.5}, TypeError, "history"),
    "memory": ({"memory": -1}, ValueError, "memory"),
    "memory text": ({"memory": "1G"}, TypeError, "memory"),
    "folder": ({"folder": "/no/such/folder", "memory": 1}, OSError, "no/such"),
    "unknown": ({"colour": "red"}, TypeError, "colour"),
}


@pytest.mark.parametrize(("options", "error", "mention"), OPTIONS.values(), ids=OPTIONS.keys())
def test_options_of_scanners(source, options, error, mention):
    """At the latest when they are needed."""

    def work():
        made = source.scanner("int32", **options)
        made.initial_scan()

    refused(work, error, mention)


# ---- values --------------------------------------------------------------------------------

WRONG_VALUES = {
    "NaN": (math.nan, ValueError, "NaN"),
    "NumPy's NaN": (np.float32("nan"), ValueError, "NaN"),
    "Decimal NaN": (Decimal("NaN"), ValueError, "NaN"),
    "half": (0.5, ValueError, r"0\.5"),
    "fraction": (Fraction(1, 3), ValueError, "whole"),
    "too large": (2**31, OverflowError, "2147483648.*int32"),
    "too small": (-(2**31) - 1, OverflowError, "-2147483649.*int32"),
    "huge": (HUGE, OverflowError, "int32"),
    "large float": (1e300, OverflowError, "int32"),
    "infinite": (math.inf, OverflowError, "inf"),
    "text": ("100", TypeError, "str"),
    "bytes": (b"100", TypeError, "bytes"),
    "True": (True, TypeError, "truth value"),
    "NumPy's True": (np.True_, TypeError, "truth value"),
    "list": ([1], TypeError, "list"),
    "complex": (1j, TypeError, "complex"),
    "array": (np.arange(3), TypeError, "ndarray|integer|scalar"),
}


@pytest.mark.parametrize(
    ("value", "error", "mention"), WRONG_VALUES.values(), ids=WRONG_VALUES.keys()
)
def test_values(source, scanner, value, error, mention):
    """Of scans, filters, edits and writes: nothing is scanned, nothing is written."""
    for name in ("eq", "ne"):
        refused(lambda n=name: scanner.initial_scan(value, compare=n), error, mention)
    for work in (
        scanner.filter_eq,
        scanner.set_value,
        lambda v: scanner.set_value_at(0x1000, v),
        lambda v: source.write_value(0x1000, v, "i32"),
    ):
        refused(lambda work=work: work(value), error, mention)
    if error is TypeError or "NaN" in mention:
        for work in (
            scanner.filter_lt,
            scanner.filter_ge,
            lambda v: scanner.filter_between(v, 5),
            lambda v: scanner.filter_between(5, v),
            scanner.filter_increased_by,
            scanner.filter_decreased_by,
            scanner.filter_increased_by_percent,
            lambda v: scanner.filter_eq(5, tolerance=v),
        ):
            refused(lambda work=work: work(value), error, mention)


def test_none_is_no_value(scanner):
    """Only the first scan may be without one."""
    for work in (
        scanner.filter_eq, scanner.filter_ne, scanner.filter_lt, scanner.set_value,
        scanner.add_value, scanner.div_value, scanner.filter_increased_by,
    ):  # fmt: skip
        refused(lambda work=work: work(None), TypeError, "NoneType")
    refused(lambda: scanner.initial_scan(compare="lt"), ValueError, "without a value")
    refused(lambda: scanner.initial_scan(tolerance=0.5), ValueError, "without a value")


def test_floats_of_every_kind(source):
    """What is too large for the type is an overflow, NaN no value to compare with."""
    scanner = source.scanner("float32")
    refused(lambda: scanner.initial_scan(1e39), OverflowError, "1e[+]?39.*float32")
    refused(lambda: scanner.initial_scan(2**200), OverflowError, "float32")
    refused(lambda: scanner.initial_scan(math.nan), ValueError, "NaN")
    assert scanner.initial_scan(math.inf) == 0
    wide = source.scanner("float64")
    refused(lambda: wide.initial_scan(HUGE), OverflowError, "float64")


@pytest.mark.parametrize(
    ("options", "error", "mention"),
    [
        ({"compare": "equals"}, ValueError, "equals"),
        ({"compare": None}, ValueError, "None"),
        ({"compare": "between"}, ValueError, "high"),
        ({"high": 5}, ValueError, "high"),
        ({"compare": "between", "high": 0}, ValueError, "above 0"),
        ({"tolerance": -1}, ValueError, "tolerance"),
        ({"tolerance": math.inf}, ValueError, "tolerance"),
        ({"ulps": 3}, ValueError, "ulps"),
        ({"rounded": 1.5}, TypeError, "rounded"),
        ({"rounded": 10**9}, ValueError, "rounded"),
        ({"rounded": 1, "tolerance": 1}, ValueError, "together"),
        ({"threads": -1}, ValueError, "threads"),
        ({"threads": "two"}, TypeError, "threads"),
        ({"progress": 5}, TypeError, "progress"),
        ({"speed": 5}, TypeError, "speed"),
    ],
)
def test_options_of_scans(scanner, options, error, mention):
    """Before anything is scanned."""
    refused(lambda: scanner.initial_scan(1, **options), error, mention)


def test_deltas(scanner):
    """Amounts that no value can change by, and ranges the wrong way round."""
    for work, error, mention in (
        (lambda: scanner.filter_increased_by(2**32), OverflowError, "4294967296"),
        (lambda: scanner.filter_increased_by(0.5), ValueError, "0.5"),
        (lambda: scanner.filter_increased_by(math.inf), ValueError, "infinite"),
        (lambda: scanner.filter_increased_by(5, 3), ValueError, "5.*3"),
        (lambda: scanner.filter_increased_by_percent(-1), ValueError, "-1"),
        (lambda: scanner.filter_increased_by_percent(10, 5), ValueError, "10.*5"),
        (lambda: scanner.filter_decreased_by_percent("5"), TypeError, "str"),
    ):
        refused(work, error, mention)


# ---- regions -------------------------------------------------------------------------------


def test_regions(source):
    """None at all, empty ones, overlapping ones, and what is none."""
    for regions, error, mention in (
        ([], ValueError, "nothing to scan"),
        ((), ValueError, "nothing to scan"),
        (source.regions(kind="heap"), ValueError, "nothing to scan"),
        ([(0x1000, 0x1000)], ValueError, "0x1000.*empty"),
        ([(0x1010, 0x1000)], ValueError, "0x1010"),
        ([(0x1000, 0x1010), (0x1008, 0x1020)], ValueError, "overlap.*0x1008"),
        ([(0x1008, 0x1020), (0x1000, 0x1010)], ValueError, "overlap.*0x1008"),
        ([*source.regions(), *source.regions()], ValueError, "overlap"),
        ([(0x1000,)], TypeError, "pair"),
        ([5], TypeError, "5"),
        (5, TypeError, "int"),
        ("heap", TypeError, "heap|str|'h'"),
        ([(-1, 5)], (ValueError, IndexError), "-1"),
        ([(0, 2**64 + 1)], (ValueError, IndexError), "18446744073709551617"),
        ([("a", "b")], TypeError, "str"),
        ([(1.5, 2.5)], TypeError, "float"),
    ):
        for work in (
            lambda regions=regions: source.scanner("int8", regions).initial_scan(0),
            lambda regions=regions: source.find(b"abc", regions),
            lambda regions=regions: source.pointers(regions),
            lambda regions=regions: scan.scan_pattern(source, regions, "00 01"),
        ):
            with pytest.raises(error, match=mention) as caught:
                work()
            if error is not TypeError:
                assert isinstance(caught.value, errors.GmemxError)


@pytest.mark.parametrize(
    ("filters", "error", "mention"),
    [
        ({"permissions": "rq"}, ValueError, "'q'"),
        ({"permissions": "r!"}, ValueError, "r!"),
        ({"permissions": 5}, TypeError, "int"),
        ({"kind": "heaps"}, ValueError, "heaps"),
        ({"kind": ["heap", "stacks"]}, ValueError, "stacks"),
        ({"kind": 5}, TypeError, "int"),
        ({"module": 5}, TypeError, "int"),
        ({"start": -1}, (ValueError, IndexError), "start.*-1"),
        ({"start": 5.5}, TypeError, "start.*float"),
        ({"end": 2**65}, (ValueError, IndexError), "end"),
        ({"start": 100, "end": 100}, ValueError, "0x64"),
        ({"max_size": -1}, (ValueError, IndexError), "max_size"),
        ({"min_size": "1M"}, TypeError, "min_size.*str"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_filters_of_regions(source, filters, error, mention):
    """Before anything is listed."""
    with pytest.raises(error, match=mention):
        source.regions(**filters)


# ---- addresses and sizes -------------------------------------------------------------------


def test_addresses_and_sizes(source):
    """Negative, too large, of the wrong type, and where nothing is."""
    for address in (-1, 2**64, HUGE, -HUGE):
        for work in (
            lambda a=address: source.read(a, 1),
            lambda a=address: source.write(a, b"x"),
            lambda a=address: source.read_value(a, "i32"),
            lambda a=address: source.write_value(a, 1, "i32"),
            lambda a=address: source.read_into(a, bytearray(1)),
            lambda a=address: source.freeze(a, 1, "i32"),
        ):
            with pytest.raises((ValueError, IndexError, OverflowError)) as caught:
                work()
            assert isinstance(caught.value, errors.GmemxError)
            assert len(str(caught.value)) < 400
    for address in ("0x1000", 5.0, None, b"1"):
        with pytest.raises(TypeError):
            source.read(address, 1)
        with pytest.raises(TypeError):
            source.read_many([address], "i32")
    for address in (0, 0xFFF, 0x1000 + 4 * COUNT, 2**64 - 1):
        with pytest.raises(OSError, match=f"{address:#x}"):
            source.read(address, 1)
        with pytest.raises(OSError, match=f"{address:#x}"):
            source.write(address, b"x")
        with pytest.raises(OSError, match=f"{address:#x}"):
            source.read_value(address, "u8")
    with pytest.raises(OSError, match=f"{0x1000 + 4 * COUNT:#x}"):
        source.read_value(0x1000 + 4 * COUNT - 2, "i32")
    for size, error in (
        (-1, ValueError),
        (1.5, TypeError),
        ("1", TypeError),
        (2**63 - 1, MemoryError),
    ):
        with pytest.raises(error):
            source.read(0x1000, size)
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            source.write(0x1000, wrong)
        with pytest.raises(TypeError):
            source.read_into(0x1000, wrong)
    with pytest.raises((TypeError, BufferError)):
        source.read_into(0x1000, b"read-only")


def test_arrays_of_addresses_and_values(source):
    """Of other shapes, types and ranges."""
    good = [0x1000, 0x1004]
    for work, error in (
        (lambda: source.read_many([-1], "i32"), (ValueError, OverflowError, IndexError)),
        (lambda: source.read_many([2**64], "i32"), (ValueError, OverflowError, IndexError)),
        (lambda: source.read_many([1.5], "i32"), TypeError),
        (lambda: source.read_many(["a"], "i32"), (TypeError, ValueError)),
        (lambda: source.write_many(good, [1, 2, 3], "i32"), ValueError),
        (lambda: source.write_many(good, [[1], [2]], "i32"), ValueError),
        (lambda: source.write_many(good, [1, 2**31], "i32"), OverflowError),
        (lambda: source.write_many(good, [1.5, 2], "i32"), ValueError),
        (lambda: source.write_many(good, ["1", "2"], "i32"), TypeError),
        (lambda: source.write_many(good, np.array([1e300, 0]), "f32"), OverflowError),
        (
            lambda: source.write_many(good, np.array([2**63], np.uint64)[[0, 0]], "i64"),
            OverflowError,
        ),
    ):
        with pytest.raises(error):
            work()


# ---- matches -------------------------------------------------------------------------------


def test_masks_and_limits(scanner):
    """One truth value for each match."""
    for work, error, mention in (
        (lambda: scanner.filter_where([True] * (COUNT - 1)), ValueError, "100"),
        (lambda: scanner.filter_where([1] * COUNT), TypeError, "int"),
        (lambda: scanner.filter_where(np.ones((COUNT, 1), bool)), ValueError, "100"),
        (lambda: scanner.filter_where(lambda values: values[1:] > 5), ValueError, "99"),
        (lambda: scanner.filter_where(lambda values: values), TypeError, "int32"),
        (lambda: scanner.get_matches(limit=-1), ValueError, "-1"),
        (lambda: scanner.get_matches(limit="5"), TypeError, "str"),
        (lambda: scanner.undo(), LookupError, "step"),
    ):
        refused(work, error, mention)

    def odd(values):
        raise ZeroDivisionError("odd")

    with pytest.raises(ZeroDivisionError, match="odd"):
        scanner.filter_where(odd)


def test_checkpoints(scanner):
    """Unknown names are KeyErrors that say them; reserved ones are refused."""
    for name in ("nowhere", "", "There", "x" * 300):
        with pytest.raises(KeyError) as caught:
            scanner.delete_checkpoint(name)
        assert isinstance(caught.value, errors.UnknownCheckpointError)
        assert name[:50] in str(caught.value)
        for work in (
            lambda name=name: scanner.filter_changed(against=name),
            lambda name=name: scanner.filter_increased_by_percent(5, against=name),
            lambda name=name: scanner.filter_checkpoint("there", name, "there"),
        ):
            with pytest.raises(KeyError):
                work()
    for name in ("last", "first", ""):
        mention = f"'{name}'"
        refused(lambda name=name: scanner.save_checkpoint(name), ValueError, mention)
    for name in (5, None, b"a"):
        with pytest.raises(TypeError):
            scanner.save_checkpoint(name)
        with pytest.raises(TypeError):
            scanner.filter_changed(against=name)
    refused(lambda: scanner.save_checkpoint("a\0b"), ValueError, "NUL")
    for margin, error in ((-1, ValueError), (math.nan, ValueError), ("5", TypeError)):
        with pytest.raises(error):
            scanner.filter_checkpoint("there", "there", "there", margin)


def test_edits(scanner):
    """Where nothing is, and by what is nothing."""
    for work, error, mention in (
        (lambda: scanner.div_value(0), ZeroDivisionError, "0"),
        (lambda: scanner.div_value(0, address=0x1000), ZeroDivisionError, "0"),
        (lambda: scanner.add_value(2**32), OverflowError, "4294967296"),
        (lambda: scanner.mul_value(2**31 - 1), OverflowError, "2147483647"),
        (lambda: scanner.add_value(0.5), ValueError, r"0\.5"),
        (lambda: scanner.set_value_at(0x10, 5), (OSError, IndexError), "0x10"),
        (lambda: scanner.set_value_at("x", 5), TypeError, "str"),
        (lambda: scanner.set_value_at(0x1000), TypeError, "value"),
    ):
        with pytest.raises(error, match=mention):
            work()


def test_sources_of_the_wrong_kind():
    """Where a source is wanted."""
    for wrong in (None, 5, "source", b"bytes", os):
        with pytest.raises(TypeError):
            scan.create_interactive_scanner(wrong, None, "i32")
        with pytest.raises(TypeError):
            scan.Scanner(wrong)
        with pytest.raises(TypeError):
            scan.scan_pattern(wrong, None, "00 01")
        with pytest.raises(TypeError):
            scan.read_process_memory(wrong, 0, 1)
        with pytest.raises(TypeError):
            scan.get_process_module_regions(wrong)
    for wrong in (None, 5, "text", object()):
        with pytest.raises(TypeError):
            scan.open_buffer(wrong)
    for made in (scan.Source, scan.Process, scan.PointerMap):
        with pytest.raises(TypeError):
            made()


def test_names_of_the_wrong_kind():
    """Names of processes."""
    for wrong in (None, 5, b"python"):
        with pytest.raises(TypeError):
            scan.find_process_by_name(wrong)
    with pytest.raises(ValueError, match="empty"):
        scan.find_process_by_name("")


def test_methods_that_are_none(scanner):
    """Awaited by a wrong name."""
    for name in ("filter_equals", "_step", "", "types"):
        with pytest.raises(ValueError, match=f"'{name}'"):
            scanner.run_async(name)
