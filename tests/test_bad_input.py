"""Wrong arguments raise the documented exception, say what is wrong, and change nothing."""

import array
import pickle

import numpy as np
import pytest

import gmemx
from gmemx import GMemContext
from gmemx.errors import GmemxError, InvalidArgumentError, OutOfRangeError, ValueOverflowError

CELLS = 2**64


@pytest.fixture
def ctx(context):
    """A context with some cells written, which must be the same afterwards."""
    context[10:20] = np.arange(10.0)
    context[CELLS - 1] = -0.0
    before = [column.tobytes() for column in context.overlay()]
    yield context
    assert [column.tobytes() for column in context.overlay()] == before
    assert context.overlay_count == 11


CELL_CALLS = {
    "fetch": lambda c, a: c.fetch(a),
    "getitem": lambda c, a: c[a],
    "write": lambda c, a: c.write(a, 1.0),
    "setitem": lambda c, a: c.__setitem__(a, 1.0),
    "delitem": lambda c, a: c.__delitem__(a),
    "is_written": lambda c, a: c.is_written(a),
    "fetch_into": lambda c, a: c.fetch_into(a, np.empty(1)),
    "fetch_many": lambda c, a: c.fetch_many([a]),
    "write_many": lambda c, a: c.write_many([a], [1.0]),
    "fetch_many among others": lambda c, a: c.fetch_many([3, a, 5]),
    "write_many among others": lambda c, a: c.write_many([3, a, 5], [1.0, 2.0, 3.0]),
}


@pytest.fixture(params=CELL_CALLS.values(), ids=CELL_CALLS.keys())
def call(request):
    """Everything that takes an address, in turn."""
    return request.param


@pytest.mark.parametrize("address", [-1, -(2**63), CELLS, CELLS + 1, 2**100, np.int64(-5)])
def test_addresses_out_of_range(ctx, call, address):
    """Outside [0, 2**64) is an IndexError that shows the address."""
    with pytest.raises(IndexError, match=str(int(address))) as caught:
        call(ctx, address)
    assert isinstance(caught.value, OutOfRangeError)
    assert isinstance(caught.value, GmemxError)


@pytest.mark.parametrize("address", [1.0, np.float64(2), "3", None, b"4", 1j, [5], object()])
def test_addresses_that_are_no_integers(ctx, call, address):
    """A TypeError, even for a float that is whole."""
    if isinstance(address, list):
        call_is_bulk = call in (CELL_CALLS["fetch_many"], CELL_CALLS["write_many"])
        if call_is_bulk:
            return  # a nested list is an array of addresses
    with pytest.raises((TypeError, ValueError) if isinstance(address, list) else TypeError):
        call(ctx, address)


def test_the_message_names_the_type(ctx):
    """Enough to find the mistake without a debugger."""
    with pytest.raises(TypeError, match=r"integer.*float"):
        ctx[1.5]
    with pytest.raises(TypeError, match=r"integer.*str"):
        ctx["1"]
    with pytest.raises(TypeError, match=r"integer.*float64"):
        ctx.fetch_many(np.array([1.5]))


def test_astronomical_addresses_are_refused_quickly(ctx):
    """Python prints no integer of that many digits; the message must not try."""
    for address in (10**10_000, -(10**10_000)):
        with pytest.raises(IndexError):
            ctx[address]
        with pytest.raises(IndexError):
            ctx[address : address + 1]


BAD_SLICES = [
    (slice(-1, 5), IndexError, "-1"),
    (slice(0, -1), IndexError, "-1"),
    (slice(None, -3), IndexError, "-3"),
    (slice(0, CELLS + 1), IndexError, str(CELLS + 1)),
    (slice(CELLS + 7, None), IndexError, str(CELLS + 7)),
    (slice(10, -1, -1), IndexError, "-1"),
    (slice(CELLS + 1, 0, -1), IndexError, str(CELLS + 1)),
    (slice(1.5, 3), TypeError, "float"),
    (slice(1, "3"), TypeError, "str"),
    (slice(1, 3, 1.0), TypeError, "float"),
    (slice(1, 3, 0), ValueError, "zero"),
]


@pytest.mark.parametrize(("where", "error", "message"), BAD_SLICES, ids=str)
def test_slices(ctx, where, error, message):
    """The same for reading, assigning and deleting."""
    for work in (
        lambda: ctx[where],
        lambda: ctx.__setitem__(where, 0.0),
        lambda: ctx.__delitem__(where),
    ):
        with pytest.raises(error, match=message):
            work()


HUGE = [slice(5, None), slice(None), slice(0, 2**63), slice(0, 2**60), slice(None, None, -1)]


@pytest.mark.parametrize("where", HUGE, ids=str)
def test_huge_slices(ctx, where):
    """More cells than memory holds are a MemoryError before anything is done."""
    with pytest.raises(MemoryError):
        ctx[where]
    with pytest.raises(MemoryError):
        ctx[where] = 0.0
    assert ctx[12] == 2.0


@pytest.mark.parametrize("n", [9, 11, 0, 1])
def test_slice_assignment_of_another_length(ctx, n):
    """A ValueError with both lengths; an array of one value is no scalar."""
    with pytest.raises(ValueError, match=rf"10.*\b{n}\b"):
        ctx[10:20] = np.zeros(n)
    with pytest.raises(ValueError, match=rf"10.*\b{n}\b"):
        ctx[28:8:-2] = [0.0] * n


def test_slice_assignment_of_another_shape(ctx):
    """Two dimensions do not fit one."""
    with pytest.raises(ValueError, match=r"10.*\(2, 5\)"):
        ctx[10:20] = np.zeros((2, 5))


@pytest.mark.parametrize("value", ["x", None, 1j, b"1", object(), {}])
def test_values_that_are_no_real_numbers(ctx, value):
    """A TypeError for a cell, a slice and an array."""
    for work in (
        lambda: ctx.__setitem__(10, value),
        lambda: ctx.write(10, value),
        lambda: ctx.__setitem__(slice(10, 12), value),
        lambda: ctx.__setitem__(slice(10, 12), [value, value]),
        lambda: ctx.write_many([10, 11], value),
        lambda: ctx.write_many([10, 11], [value, value]),
    ):
        with pytest.raises(TypeError):
            work()


def unaligned(n):
    return np.zeros(8 * n + 1, dtype=np.uint8)[1:].view(np.float64)


def read_only(n):
    out = np.zeros(n)
    out.flags.writeable = False
    return out


BAD_OUT = {
    "float32": (lambda: np.zeros(4, np.float32), "float64"),
    "int64": (lambda: np.zeros(4, np.int64), "float64"),
    "complex": (lambda: np.zeros(4, np.complex128), "float64"),
    "big-endian": (lambda: np.zeros(4, ">f8" if np.little_endian else "<f8"), "float64"),
    "bytearray": (lambda: bytearray(32), "float64"),
    "array of float": (lambda: array.array("f", [0] * 4), "float64"),
    "objects": (lambda: np.zeros(4, object), "float64"),
    "records": (lambda: np.zeros(4, [("x", "f8")]), "float64"),
    "strided": (lambda: np.zeros(8)[::2], "contiguous"),
    "reversed": (lambda: np.zeros(4)[::-1], "contiguous"),
    "Fortran order": (lambda: np.zeros((2, 2), order="F"), "contiguous"),
    "read-only": (lambda: read_only(4), "writable|read-only"),
    "unaligned": (lambda: unaligned(4), "align"),
    "bytes": (lambda: bytes(32), "float64|writable"),
    "list": (lambda: [0.0] * 4, "float64.*list|list.*float64"),
    "None": (lambda: None, "float64"),
}


@pytest.mark.parametrize(("make", "message"), BAD_OUT.values(), ids=BAD_OUT.keys())
def test_out_of_the_wrong_kind(ctx, make, message):
    """A ValueError or TypeError says what is wanted; nothing is written into it."""
    out = make()
    before = bytes(out) if isinstance(out, (bytes, bytearray)) else np.array(out)
    with pytest.raises((ValueError, TypeError), match=message):
        ctx.fetch_into(0, out)
    if out is not None:  # None is fetch_many's default
        with pytest.raises((ValueError, TypeError), match=message):
            ctx.fetch_many([[0, 1], [2, 3]], out=out)
    after = bytes(out) if isinstance(out, (bytes, bytearray)) else np.array(out)
    assert np.array_equal(before, after)


@pytest.mark.parametrize(
    ("start", "n"), [(CELLS - 3, 4), (CELLS - 1, 2), (CELLS - 99_999, 100_000)]
)
def test_runs_that_would_leave_the_range(ctx, start, n):
    """fetch_into does not wrap in Python, and writes nothing where it would have to."""
    out = np.full(n, 7.0)
    with pytest.raises(IndexError, match=str(start)):
        ctx.fetch_into(start, out)
    assert (out == 7.0).all()


@pytest.mark.parametrize("shape", [(5,), (7,), (0,), (2, 2)])
def test_fetch_many_out_of_another_size(ctx, shape):
    """A ValueError with both sizes, and nothing written."""
    out = np.full(shape, 7.0)
    with pytest.raises(ValueError, match=rf"6.*{out.size}"):
        ctx.fetch_many(range(6), out=out)
    assert (out == 7.0).all()


@pytest.mark.parametrize("shape", [(5,), (7,), (0,), (1,), (3, 2), (6, 1)])
def test_write_many_of_another_shape(ctx, shape):
    """A ValueError before the first write."""
    with pytest.raises(ValueError, match="shape"):
        ctx.write_many(np.arange(30, 36), np.zeros(shape))
    with pytest.raises(ValueError, match="shape"):
        ctx.write_many(np.arange(30, 36).reshape(2, 3), np.zeros(shape))


@pytest.mark.parametrize("bad", [-1, CELLS])
def test_a_bad_address_at_the_end_of_many(ctx, bad):
    """The last of many addresses is looked at before the first cell is written."""
    where = np.array([*range(100, 5000), bad], dtype=object)
    with pytest.raises(IndexError, match=str(bad)):
        ctx.write_many(where, 0.0)
    out = np.full(where.size, 7.0)
    with pytest.raises(IndexError, match=str(bad)):
        ctx.fetch_many(where, out=out)
    assert (out == 7.0).all()


@pytest.mark.parametrize(
    "addresses", [np.zeros(3), ["a"], [None], np.array(["2020-01-01"], "M8[D]"), [1.0, 2]]
)
def test_arrays_that_are_no_addresses(ctx, addresses):
    """Only integers are addresses, in arrays too."""
    with pytest.raises(TypeError, match="integer"):
        ctx.fetch_many(addresses)
    with pytest.raises(TypeError, match="integer"):
        ctx.write_many(addresses, 0.0)


@pytest.mark.parametrize(
    ("threads", "error"), [(-1, ValueError), ("2", TypeError), (1.5, TypeError)]
)
def test_threads(ctx, threads, error):
    """Checked before anything is read or written."""
    out = np.full(4, 7.0)
    with pytest.raises(error, match="threads"):
        ctx.fetch_into(0, out, threads=threads)
    with pytest.raises(error, match="threads"):
        ctx.fetch_many(range(4), out=out, threads=threads)
    with pytest.raises(error, match="threads"):
        ctx.write_many(range(4), 0.0, threads=threads)
    assert (out == 7.0).all()


@pytest.mark.parametrize("seed", [-1, CELLS, 2**200])
def test_seeds_out_of_range(seed):
    """An OverflowError that shows the seed."""
    with pytest.raises(OverflowError, match=str(seed)) as caught:
        GMemContext(seed)
    assert isinstance(caught.value, ValueOverflowError)


@pytest.mark.parametrize("seed", [1.0, "1", None, b"1"])
def test_seeds_that_are_no_integers(seed):
    """A TypeError that names the type."""
    with pytest.raises(TypeError, match=type(seed).__name__):
        GMemContext(seed)


def test_a_seed_is_needed():
    """Nothing is seeded from the clock."""
    with pytest.raises(TypeError):
        GMemContext()


@pytest.mark.parametrize("name", ["mt19937", "", "VRNS16", "vrns16 ", "vrns16\0", "\udc80", "é"])
def test_unknown_generators(name):
    """A ValueError that names the ones there are."""
    with pytest.raises(ValueError, match=r"vrns16.*philox") as caught:
        GMemContext(1, generator=name)
    assert isinstance(caught.value, InvalidArgumentError)


@pytest.mark.parametrize("name", [None, 1, b"vrns16"])
def test_generators_that_are_no_strings(name):
    """A TypeError."""
    with pytest.raises(TypeError):
        GMemContext(1, generator=name)


def test_a_context_is_no_sequence(ctx):
    """Python's fallback for iteration would run for ever; it is refused instead."""
    with pytest.raises(TypeError):
        iter(ctx)
    with pytest.raises(TypeError):
        0.5 in ctx  # noqa: B015
    with pytest.raises(TypeError):
        len(ctx)


@pytest.mark.parametrize("name", ["seed", "generator", "overlay_count", "unheard_of"])
def test_attributes_are_read_only(ctx, name):
    """What a context is does not change."""
    with pytest.raises(AttributeError):
        setattr(ctx, name, 1)


@pytest.mark.parametrize("path", ["sse9", "", "AVX2"])
def test_unknown_cpu_paths(path):
    """A ValueError that names the ones there are, and the path stays."""
    before = gmemx.cpu_path()
    with pytest.raises(ValueError, match=r"auto.*portable.*avx2"):
        gmemx.set_cpu_path(path)
    assert gmemx.cpu_path() == before


def test_a_damaged_pickle_is_an_exception(ctx):
    """Cut anywhere, a pickle fails to load, and the process goes on."""
    data = pickle.dumps(ctx)
    for end in range(0, len(data), 7):
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError)):
            pickle.loads(data[:end])
