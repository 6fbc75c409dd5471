"""Sums, means, extremes and counts, against exact arithmetic in Python."""

import math
from fractions import Fraction

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import DTYPES, FLOATS, INTEGERS, assert_same_values, bits_array, numpy_dtype

import gmemx
from gmemx import Tensor

OPERATIONS = ("sum", "mean", "min", "max", "count_nonzero")


def tensor_of(array, name):
    """A tensor of the array, in its layout."""
    if name == "int4":
        return Tensor.from_buffer(oracles.packed(array), "int4", array.shape)
    return Tensor.from_buffer(bits_array(array), name)


def dtype_of(operation, name):
    """The dtype of a result."""
    if operation == "count_nonzero":
        return "int64"
    if operation == "mean" or (operation == "sum" and name in FLOATS):
        return "float64"
    if operation == "sum":
        return "uint64" if name[0] == "u" else "int64"
    return name


def one(operation, values):
    """The result for a list of Python numbers, exact where a float holds it."""
    if operation == "count_nonzero":
        return sum(value != 0 for value in values)
    if operation in ("min", "max"):
        nan = any(value != value for value in values)
        return math.nan if nan else {"min": min, "max": max}[operation](values)
    if not all(map(math.isfinite, values)):
        total = sum(value for value in values if not math.isfinite(value))
    else:
        total = sum(map(Fraction, values))
    if operation == "sum":
        return total
    return total / len(values) if values else math.nan


def check(operation, found, values):
    """Integers and extremes are exact; sums of floats are as good as float64 adds them."""
    expected = one(operation, values)
    assert type(found) in (bool, int, float)
    if isinstance(expected, Fraction):
        if isinstance(found, int):
            assert found == expected
            return
        size = sum(abs(Fraction(value)) for value in values)
        if size >= 2**1023:
            return  # may be infinite, on the way or in the end
        size = size / len(values) if operation == "mean" else size
        assert abs(Fraction(found) - expected) <= size * Fraction(len(values) + 1, 2**53)
    else:
        assert found == expected or (math.isnan(found) and math.isnan(expected))


@st.composite
def axes(draw, ndim):
    """None, one dimension, or a tuple of them, counted from either end."""
    chosen = draw(st.lists(st.integers(0, ndim - 1), unique=True)) if ndim else []
    chosen = tuple(d - draw(st.sampled_from([0, ndim])) for d in chosen)
    if draw(st.integers(0, 3)) == 0:
        return None
    return chosen[0] if len(chosen) == 1 and draw(st.booleans()) else chosen


def grouped(array, axis):
    """The elements of each result, and the shapes without and with the reduced dimensions."""
    every = tuple(range(array.ndim))
    reduced = every if axis is None else axis if isinstance(axis, tuple) else (axis,)
    reduced = [d % array.ndim for d in reduced] if array.ndim else []
    kept = [d for d in every if d not in reduced]
    shape = tuple(array.shape[d] for d in kept)
    turned = array.transpose(kept + reduced)
    count = math.prod(array.shape[d] for d in reduced)
    rows = turned.reshape(math.prod(shape), count)
    full = tuple(1 if d in reduced else array.shape[d] for d in every)
    return rows, shape, full


def python_values(row, name):
    """A row as Python numbers."""
    return row.astype(np.float64).tolist() if name in FLOATS else row.tolist()


@given(
    st.data(),
    oracles.strided(DTYPES, make=oracles.random_array)
    | oracles.strided(DTYPES, make=oracles.small_array),
    st.sampled_from(OPERATIONS),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
)
def test_any_axes_of_any_layout(data, source, operation, keepdims, threads):
    """Every dtype, any bits; an error is the one that Python's arithmetic foresees."""
    name, array = source
    axis = data.draw(axes(array.ndim))
    rows, shape, full = grouped(array, axis)
    tensor = tensor_of(array, name)

    def work():
        return getattr(tensor, operation)(axis, keepdims=keepdims, threads=threads)

    if operation in ("min", "max") and rows.shape[0] and rows.shape[1] == 0:
        with pytest.raises(ValueError, match=rf"{operation}.*shape \("):
            work()
        return
    if operation == "sum" and name not in FLOATS:
        low, high = oracles.limits(dtype_of("sum", name))
        if not all(low <= sum(row.tolist()) <= high for row in rows):
            with pytest.raises(OverflowError, match=name):
                work()
            return
    found = work()
    if axis is None and not keepdims:
        results = [found]
    else:
        assert found.shape == (full if keepdims else shape)
        assert found.dtype == dtype_of(operation, name)
        assert found.owner is None or found.owner.owner is None
        exact = found if found.dtype in (*INTEGERS, "bool") else found.astype("float64")
        exact = exact.astype("int8") if name == "int4" and operation in ("min", "max") else exact
        results = exact.numpy().reshape(-1).tolist()
    assert len(results) == len(rows)
    for result, row in zip(results, rows, strict=True):
        check(operation, result, python_values(row, name))


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("layout", ["rows", "columns", "backwards", "gaps"])
def test_large_tensors(cpu_path, name, layout):
    """Long enough for every kernel and for several threads, which give the same bits."""
    array = oracles.small_array(name, (517, 1031), 7)
    if name != "int4":
        array = {
            "rows": array,
            "columns": np.asfortranarray(array),
            "backwards": array[::-1, ::-1],
            "gaps": array[::2, 1::3],
        }[layout]
    tensor = tensor_of(array, name)
    whole = array.astype(np.int64)
    for axis in (None, 0, 1):
        expected = {
            "sum": whole.sum(axis),
            "min": whole.min(axis),
            "max": whole.max(axis),
            "count_nonzero": np.count_nonzero(whole, axis),
            "mean": whole.sum(axis) / (whole.size if axis is None else whole.shape[axis]),
        }
        for operation, wanted in expected.items():
            for threads in (1, 2, None):
                found = getattr(tensor, operation)(axis, threads=threads)
                if axis is not None:
                    found = found.astype("float64").numpy()
                assert np.array_equal(found, wanted), (operation, axis, threads)


def test_threads_do_not_change_a_bit():
    """Sums of floats that round depend on the shape alone."""
    array = np.random.default_rng(5).normal(size=(1000, 1100)) ** 9
    for tensor in (Tensor(array), Tensor(array).T, Tensor(array)[::-1, ::3], Tensor(array, "f32")):
        for axis in (None, 0, 1):
            for operation in ("sum", "mean"):
                alone = np.asarray(getattr(tensor, operation)(axis, threads=1))
                for threads in (2, 3, 7, None):
                    shared = np.asarray(getattr(tensor, operation)(axis, threads=threads))
                    assert_same_values(shared, alone)
    assert math.isclose(Tensor(array).sum(), math.fsum(array.flat), rel_tol=1e-12)


@pytest.mark.parametrize("name", ["int64", "uint64"])
def test_integer_sums_are_exact_or_refused(name):
    """To the last value 64 bits hold, on the way there too; the mean has no such limit."""
    low, high = oracles.limits(name)
    assert Tensor([high - 5, 5], name).sum() == high
    assert Tensor([high, 1, 0, low - low], name)[::2].sum() == high
    with pytest.raises(OverflowError, match=rf"{name}"):
        Tensor([high, 1], name).sum()
    with pytest.raises(OverflowError):
        Tensor([[high, 1], [0, 0]], name).sum(axis=1)
    many = gmemx.full(100_000, high, name)
    with pytest.raises(OverflowError):
        many.sum()
    assert many.mean() == float(high)
    assert many.max() == many.min() == high
    if low:
        # Partial sums may leave the range if the total does not.
        assert Tensor([high, high, low, low, 2], name).sum() == 0
        assert Tensor([low, 0], name).sum() == low
        with pytest.raises(OverflowError):
            Tensor([low, -1], name).sum()


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("n", [1, 5, 8, 31, 64, 1000])
def test_nan_wins_wherever_it_is(cpu_path, name, n):
    """In the sum, the mean and both extremes; it counts as not zero."""
    for place in {0, n // 2, n - 1}:
        array = np.zeros(n, numpy_dtype(name))
        array[place] = np.nan
        tensor = tensor_of(array, name)
        for operation in ("sum", "mean", "min", "max"):
            assert math.isnan(getattr(tensor, operation)())
        assert tensor.count_nonzero() == 1


def wholes(rng, n):
    """What no addition rounds, in f32 either."""
    return rng.integers(-8, 9, n).astype("float64")


def spread(rng, n):
    """Of which f32 rounds most sums, and f64 some of bfloat16."""
    return rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-9, 4.5, n)


def tiny(rng, n):
    """Subnormal in float16, and some in bfloat16."""
    return rng.choice([6e-8, -3e-6, 1e-40, 0.0, -0.0], n)


CONTENTS = {
    "wholes": wholes,
    "uniform": lambda rng, n: rng.random(n),
    "normal": lambda rng, n: rng.standard_normal(n),
    "spread": spread,
    "tiny": tiny,
    "one that rounds": lambda rng, n: np.where(np.arange(n) == rng.integers(n), 1e-3, 1024.0),
    "infinity": lambda rng, n: np.where(np.arange(n) == rng.integers(n), np.inf, 1.0),
    "nan": lambda rng, n: np.where(np.arange(n) == rng.integers(n), np.nan, 1.0),
    "both infinities": lambda rng, n: rng.choice([np.inf, -np.inf, 1.0], n),
}


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("content", CONTENTS)
def test_sums_of_halves_have_the_same_bits_on_every_path(name, content):
    """Where f32 would do, where it would not, and where it would for some of them."""
    rng = np.random.default_rng(len(content))
    n = 3 * 131_072 + 1_000
    array = CONTENTS[content](rng, n).astype(numpy_dtype(name))
    tensor, sums = tensor_of(array, name), []
    for path in ("portable", "auto"):
        gmemx.set_cpu_path(path)
        try:
            sums += [tensor.sum(threads=threads) for threads in (1, 2)]
        finally:
            gmemx.set_cpu_path("auto")
    assert len({np.float64(found).tobytes() for found in sums}) == 1, sums
    wide = array.astype("float64")
    if np.isfinite(wide).all():
        exact = math.fsum(wide)
        assert math.isclose(sums[0], exact, rel_tol=1e-15, abs_tol=1e-12 * np.abs(wide).max())
        assert sums[0] == exact or content in ("spread", "normal", "uniform")
    else:
        with np.errstate(invalid="ignore"):
            np.testing.assert_equal(sums[0], wide.sum())


@pytest.mark.parametrize("name", [name for name in FLOATS if name != "float8_e4m3fn"])
def test_infinities(name):
    """They sum to themselves, and to NaN together."""
    tensor = Tensor([1.0, math.inf, -2.0]).astype(name)
    assert (tensor.sum(), tensor.max(), tensor.min()) == (math.inf, math.inf, -2.0)
    assert math.isnan(Tensor([math.inf, -math.inf]).astype(name).sum())


@pytest.mark.parametrize("name", DTYPES)
def test_nothing(name):
    """The sum of nothing is 0, the mean NaN, and there is no extreme."""
    empty = gmemx.zeros((0, 3), name)
    assert (empty.sum(), empty.count_nonzero()) == (0, 0)
    assert math.isnan(empty.mean())
    assert empty.sum(0).tolist() == [0, 0, 0]
    assert empty.sum(1).shape == empty.min(1).shape == empty.max(1).shape == (0,)
    assert all(map(math.isnan, empty.mean(0).tolist()))
    for work in (empty.min, empty.max, lambda: empty.min(0), lambda: empty.max((0, 1))):
        with pytest.raises(ValueError, match=r"(min|max).*\(0, 3\)"):
            work()


def test_axes_that_are_none():
    """IndexError for what is not there, ValueError for what is named twice, else TypeError."""
    tensor = gmemx.zeros((2, 3))
    for operation in OPERATIONS:
        work = getattr(tensor, operation)
        for axis in (2, -3, 2**70, (0, 2)):
            with pytest.raises(IndexError, match=r"\(2, 3\)"):
                work(axis)
        for axis in ((0, 0), (1, -1)):
            with pytest.raises(ValueError, match="twice"):
                work(axis)
        for axis in (1.0, "0", [0], (0, None)):
            with pytest.raises(TypeError):
                work(axis)
        for threads in (0, -1, 10**6):
            with pytest.raises(ValueError, match="threads"):
                work(threads=threads)
        with pytest.raises(TypeError, match="threads"):
            work(threads=1.0)
