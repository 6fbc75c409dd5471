"""Conversions: every bit pattern of the small types, and the hard ones of the large."""

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import BITS, DTYPES, FLOATS, INTEGERS, assert_same_values, bits_array, numpy_dtype

from gmemx import Tensor

SMALL = [name for name in DTYPES if BITS[name] <= 16]
LARGE = [name for name in DTYPES if BITS[name] > 16]


def tensor_of(array, name):
    """A tensor of the array's bits, made without any conversion."""
    if name == "int4":
        return Tensor.from_buffer(oracles.packed(array), "int4", array.shape)
    return Tensor.from_buffer(bits_array(array), name)


def array_of(tensor):
    """The values of a contiguous tensor by its bytes."""
    data = memoryview(tensor).tobytes()
    if tensor.dtype == "int4":
        return oracles.unpacked(data, tensor.shape)
    return np.frombuffer(data, numpy_dtype(tensor.dtype.name)).reshape(tensor.shape)


def every_pattern(name):
    """All values of a small type."""
    if name == "bool":
        return np.array([False, True])
    if name == "int4":
        return np.arange(-8, 8, dtype=np.int8)
    return np.arange(2 ** BITS[name], dtype=f"u{BITS[name] // 8}").view(numpy_dtype(name))


def around_ties(name):
    """For a large type: the values of small floats, those halfway between, and their neighbours."""
    dtype = numpy_dtype(name)
    parts = []
    for small in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
        with np.errstate(invalid="ignore"):
            values = every_pattern(small).astype(np.float64)
        values = np.unique(values[np.isfinite(values)])
        halves = np.append(values[:-1] / 2 + values[1:] / 2, values[-1] * 1.002)
        parts += [values, halves, values[::7] * 65536.0]
    wide = np.concatenate(parts)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            wide = wide.astype(dtype)
            return np.concatenate([wide, *(np.nextafter(wide, way) for way in (-np.inf, np.inf))])
    low, high = oracles.limits(name)
    wide = np.trunc(wide[(wide > low) & (wide < high)])
    whole = np.unique(wide.astype(dtype))
    with np.errstate(over="ignore"):
        return np.concatenate([whole, whole + dtype.type(1), whole - dtype.type(1)])


def hard_values(name):
    """Limits, powers of two and what is beside them, special values, and bits of every length."""
    dtype = numpy_dtype(name)
    rng = np.random.default_rng(BITS[name])
    raw = rng.integers(0, 2 ** BITS[name] - 1, 60_000, f"u{dtype.itemsize}", endpoint=True)
    if dtype.kind == "f":
        powers = 2.0 ** np.arange(-30, 128)
        edges = np.concatenate([powers, powers + 0.5, powers - 0.5, powers * (1 - 2.0**-24)])
        edges = np.concatenate([edges, edges - 1, edges + 1, [0.0, np.inf, np.nan, 1e-310]])
        with np.errstate(over="ignore"):
            edges = np.concatenate([edges, -edges]).astype(dtype)
            return np.concatenate(
                [raw.view(dtype), edges, rng.normal(0, 300, 20_000).astype(dtype)]
            )
    shifted = raw >> rng.integers(0, BITS[name], raw.size).astype(raw.dtype)
    low, high = oracles.limits(name)
    edges = {2**k + d for k in range(64) for d in (-2, -1, 0, 1, 2)} | {
        low,
        low + 1,
        high,
        high - 1,
    }
    edges = sorted(e for e in edges | {-e for e in edges} if low <= e <= high)
    return np.concatenate([shifted.view(dtype), ~shifted.view(dtype), np.array(edges, dtype)])


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", SMALL)
def test_every_value_of_the_small_types(cpu_path, source, target):
    """Each of the 256 or 65,536 becomes in every other type what NumPy and ml_dtypes make of it."""
    array = every_pattern(source)
    result = tensor_of(array, source).astype(target)
    assert result.dtype == target
    assert_same_values(array_of(result), oracles.converted(array, source, target))


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", LARGE)
def test_hard_values_of_the_large_types(cpu_path, source, target):
    """Ties, limits and random bits round as NumPy and ml_dtypes round them."""
    array = np.concatenate([around_ties(source), hard_values(source)])
    result = tensor_of(array, source).astype(target, threads=1)
    assert_same_values(array_of(result), oracles.converted(array, source, target))


@pytest.mark.parametrize("source", FLOATS)
@pytest.mark.parametrize("target", INTEGERS)
def test_a_float_out_of_range_becomes_the_nearest_integer(source, target):
    """Infinities give the limits, NaN gives 0, and a fraction is dropped towards zero."""
    low, high = oracles.limits(target)
    values = Tensor([np.nan, -np.nan, 1.75, -1.75, 0.75, -0.75, -0.0]).astype(source)
    assert values.astype(target).tolist() == [0, 0, 1, max(low, -1), 0, 0, 0]
    if source != "float8_e4m3fn":  # which has no infinity
        infinite = Tensor([np.inf, -np.inf]).astype(source)
        assert infinite.astype(target).tolist() == [high, low]


@given(oracles.strided(DTYPES), st.sampled_from(DTYPES), st.sampled_from([None, 1, 2]))
def test_any_layout_converts(source, target, threads):
    """The strides of the source do not matter; the result is new, in C order, and written to."""
    name, array = source
    made = tensor_of(array, name).astype(target, threads=threads)
    assert made.shape == array.shape
    assert made.is_contiguous
    assert not made.readonly
    assert made.owner is None
    assert_same_values(array_of(made), oracles.converted(array, name, target))


@pytest.mark.parametrize("threads", [1, 2, None])
@pytest.mark.parametrize(
    ("source", "target"), [("float32", "bfloat16"), ("int8", "int4"), ("int4", "float64")]
)
def test_threads_share_a_large_conversion(source, target, threads):
    """All of it is converted, whichever thread does it; an odd count ends as it should."""
    array = oracles.random_array(source, (1_000_003,), 1)
    made = tensor_of(array, source).astype(target, threads=threads)
    assert_same_values(array_of(made), oracles.converted(array, source, target))


@pytest.mark.parametrize("name", DTYPES)
def test_assignment_converts_too(name):
    """What is written into a tensor of another type is what astype gives."""
    values = np.array([0.0, 1.0, -1.0, 2.5, 3.5, 1e9, -1e9, np.nan, np.inf])
    target = tensor_of(np.zeros(9, numpy_dtype(name)), name)
    target[:] = values
    assert_same_values(array_of(target), oracles.converted(values, "float64", name))


@pytest.mark.parametrize("name", DTYPES)
def test_the_same_dtype_copies_the_bits(name):
    """astype to what a tensor has already is a copy, NaNs' payloads included."""
    array = every_pattern(name) if name in SMALL else hard_values(name)
    made = tensor_of(array, name).astype(name)
    assert bits_array(array_of(made)).tobytes() == bits_array(array).tobytes()
