"""What is written to a virtual array is broadcast as NumPy does, and read back exactly."""

import numpy as np
import pytest
from arrays import DTYPES, INTEGERS, keys, shapes
from hypothesis import given
from hypothesis import strategies as st

import gmemx
from gmemx import GMemContext

orders = st.sampled_from("CF")


@given(data=st.data(), shape=shapes, order=orders, normal=st.booleans())
def test_assignment_is_numpys(data, shape, order, normal):
    context = GMemContext(7)
    distribution = "normal" if normal else "uniform"
    array = context.array(shape, offset=50, order=order, distribution=distribution)
    stored = array.numpy()
    key = data.draw(keys(shape))
    part = stored[key]
    target = np.shape(part)
    source = tuple(1 if data.draw(st.booleans()) else extent for extent in target)
    source = source[data.draw(st.integers(0, len(source))) :]
    values = np.arange(np.prod(source, dtype=int), dtype=np.float64).reshape(source) - 3
    array[key] = values
    stored[key] = values
    np.testing.assert_array_equal(array.numpy(), stored)
    assert context.overlay_count == np.size(part)
    # The context sees the same cells.
    cells = context[50 : 50 + array.size].reshape(shape, order=order)
    np.testing.assert_array_equal(cells[key], stored[key])


@pytest.mark.parametrize("dtype", DTYPES)
def test_elements_are_read_back(dtype):
    array = GMemContext(7).array(4, dtype, distribution=gmemx.bernoulli(0.5))
    if dtype == "bool":
        values = [True, False, True, True]
    elif dtype in INTEGERS:
        limits = np.iinfo(dtype)
        values = [limits.min, 0, 7, limits.max if limits.bits < 64 else 2 ** (limits.bits - 2)]
    else:
        values = [-0.0, np.inf, 0.1, 1e-40]
    array[...] = values
    np.testing.assert_array_equal(array.numpy(), np.array(values, dtype))
    np.testing.assert_array_equal(np.signbit(array.numpy()), np.signbit(np.array(values, dtype)))
    array[2] = values[2]
    assert array[2] == np.array(values, dtype)[2]
    other = GMemContext(8).array(4, dtype, distribution=gmemx.bernoulli(0.5))
    other[::-1] = array
    np.testing.assert_array_equal(other.numpy(), array.numpy()[::-1])


def test_special_numbers():
    context = GMemContext(7)
    array = context.array(3, distribution="normal")
    array[:] = [np.nan, -np.inf, 5e-324]
    assert np.isnan(array[0])
    assert array[1] == -np.inf
    assert context[2] == 5e-324


def test_float32_is_rounded_before_it_is_written():
    context = GMemContext(7)
    array = context.array(2, "float32")
    array[0] = 0.1
    assert context[0] == float(np.float32(0.1)) != 0.1
    array[1] = 1e300
    assert array[1] == np.inf


def test_integers_are_cut_as_numpy_does():
    array = GMemContext(7).array(4, "int8", distribution=gmemx.bernoulli(0.5))
    array[...] = [1.9, -1.9, 127.5, -128.9]
    assert array.numpy().tolist() == [1, -1, 127, -128]
    flags = GMemContext(7).array(3, "bool", distribution=gmemx.bernoulli(0.5))
    flags[...] = [0.5, 0, 2**70]
    assert flags.numpy().tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int8", 128),
        ("int8", -129.0),
        ("uint8", -1),
        ("uint64", -1),
        ("uint64", 2**64),
        ("uint64", float(2**64)),
        ("int64", float(2**63)),
        ("int64", 2**70),
        ("int32", np.nan),
        ("int32", np.inf),
        ("int64", 2**53 + 1),
        ("int64", -(2**62) - 1),
        ("uint64", 2**63 + 1),
        ("float64", 2**53 + 1),
        ("float64", 2**64 + 1),
        ("float64", 10**400),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(dtype, value):
    context = GMemContext(7)
    array = context.array(3, dtype, distribution=gmemx.bernoulli(0.5))
    with pytest.raises(OverflowError):
        array[...] = [0, 1, value]
    with pytest.raises(OverflowError):
        array[2] = value
    assert context.overlay_count == 0


@given(st.integers(-(2**63), 2**64 - 1), st.integers(0, 11))
def test_integers_are_exact_or_refused(value, zeros):
    value = value >> zeros << zeros
    dtype = "int64" if value < 2**63 else "uint64"
    for name in (dtype, "float64"):
        array = GMemContext(7).array(1, name, distribution=gmemx.bernoulli(0.5))
        for given_value in (value, np.array([value], dtype)):
            if int(float(value)) == value:
                array[...] = given_value
                assert array[0] == value
            else:
                with pytest.raises(OverflowError):
                    array[...] = given_value


@pytest.mark.parametrize("value", ["1", 1j, None, [[1], [2, 3]], b"1", np.datetime64("2020")])
def test_what_is_no_number_is_refused(value):
    context = GMemContext(7)
    with pytest.raises((TypeError, ValueError)):
        context.array(3)[...] = value
    assert context.overlay_count == 0


def test_shapes_that_do_not_fit():
    context = GMemContext(7)
    array = context.array((2, 3))
    for values in (np.zeros(2), np.zeros((3, 3)), np.zeros((2, 2, 3)), np.zeros(0)):
        with pytest.raises(ValueError, match="broadcast"):
            array[...] = values
    with pytest.raises(IndexError):
        array[2] = 1.0
    with pytest.raises(TypeError):
        array["a"] = 1.0
    assert context.overlay_count == 0


def test_more_than_memory_is_refused_before_the_first():
    context = GMemContext(7)
    for extent in (2**64, 2**60, 2**45):
        with pytest.raises(MemoryError):
            context.array(extent)[...] = 1.0
        with pytest.raises(MemoryError):
            context.array(extent, "bool", distribution=gmemx.bernoulli(0.5))[...] = 1.0
    assert context.overlay_count == 0


def test_parts_of_itself():
    array = GMemContext(7).array(100)
    stored = array.numpy()
    array[1:] = array[:-1]
    stored[1:] = stored[:-1].copy()
    np.testing.assert_array_equal(array.numpy(), stored)


def test_many_elements():
    context = GMemContext(7)
    array = context.array((1500, 2000), order="F", distribution="normal")
    values = np.random.default_rng(1).random((1500, 2000))
    array[...] = values
    np.testing.assert_array_equal(array.numpy(), values)
    array[::2, 1::3] = 4
    values[::2, 1::3] = 4
    np.testing.assert_array_equal(array.numpy(), values)


def test_what_the_context_wrote_is_converted():
    context = GMemContext(7)
    context[0:5] = [1.9, -300.0, np.nan, 300.0, 0.0]
    assert context.array(5, "int8", distribution=gmemx.bernoulli(0)).numpy().tolist() == [
        1, -128, 0, 127, 0,
    ]  # fmt: skip
    flags = context.array(5, "bool", distribution=gmemx.bernoulli(0))
    assert flags.numpy().tolist() == [True, True, True, True, False]
    assert flags.sum() == 4
    del context[0]
    assert context.array(5, "int8", distribution=gmemx.bernoulli(0))[0] == 0
