"""Virtual arrays are indexed, viewed and read as NumPy's arrays of the same elements are."""

import copy
import gc
import sys
import weakref

import numpy as np
import pytest
from arrays import DISTRIBUTIONS, PAIRS, keys, shapes, views
from hypothesis import given
from hypothesis import strategies as st

import gmemx
from gmemx import GMemContext, VirtualArray

orders = st.sampled_from("CF")


@given(shape=shapes, order=orders, offset=st.integers(0, 2**64 - 3000), philox=st.booleans())
def test_elements_are_cells(shape, order, offset, philox):
    context = GMemContext(7, "philox" if philox else "vrns16")
    array = context.array(shape, offset=offset, order=order)
    cells = context[offset : offset + array.size]
    np.testing.assert_array_equal(array.numpy(), cells.reshape(shape, order=order))


@given(data=st.data(), shape=shapes, order=orders)
def test_an_index_is_numpys(data, shape, order):
    array = GMemContext(7).array(shape, order=order, offset=5)
    key = data.draw(keys(shape))
    stored, part = array.numpy()[key], array[key]
    if isinstance(stored, np.ndarray):
        assert isinstance(part, VirtualArray)
        assert part.shape == stored.shape
        np.testing.assert_array_equal(part.numpy(), stored)
    else:
        assert type(part) is float
        assert part == stored


@given(data=st.data(), shape=shapes, order=orders)
def test_a_view_of_a_view(data, shape, order):
    whole = GMemContext(7).array(shape, "float32", order=order, distribution="normal")
    array, stored = data.draw(views(whole))
    assert array.shape == stored.shape
    assert array.context is whole.context
    assert array.distribution is whole.distribution
    np.testing.assert_array_equal(array.numpy(), stored)
    np.testing.assert_array_equal(np.asarray(array), stored)


@given(data=st.data(), shape=shapes, order=orders)
def test_every_index_out_of_range_is_numpys_error(data, shape, order):
    array = GMemContext(7).array(shape, order=order)
    axis = data.draw(st.integers(0, len(shape)))
    key = [0] * axis
    if axis < len(shape):
        key.append(data.draw(st.sampled_from([shape[axis], -shape[axis] - 1, 2**80, -(2**80)])))
    else:
        key.append(0)
    with pytest.raises(IndexError):
        array[tuple(key)]


@given(data=st.data(), shape=shapes, order=orders)
def test_reshape_is_a_view_or_refused(data, shape, order):
    array, stored = data.draw(views(GMemContext(7).array(shape, order=order)))
    factors = [extent for extent in stored.shape if extent != 1]
    wanted = data.draw(st.permutations(factors)) + data.draw(st.lists(st.just(1), max_size=2))
    if len(wanted) > 1 and data.draw(st.booleans()):
        wanted[:2] = [wanted[0] * wanted[1]]
    try:
        view = array.reshape(wanted)
    except ValueError:
        # NumPy has none either.
        strides = np.array(array.strides, dtype=np.int64) * 8
        place = np.lib.stride_tricks.as_strided(np.empty(10**4)[5000:], stored.shape, strides)
        with pytest.raises(ValueError, match="copy"):
            place.reshape(wanted, copy=False)
    else:
        np.testing.assert_array_equal(view.numpy(), stored.reshape(wanted))


def test_reshape_counts_what_is_left():
    array = GMemContext(7).array(24)
    assert array.reshape(2, -1, 4).shape == (2, 3, 4)
    assert array.reshape((4, 6)).reshape(-1).shape == (24,)
    assert array.reshape(24, 1, 1).strides[0] == 1
    for wanted in [(5, -1), (-1, -1), (23,), (-2, -12), (0, -1)]:
        with pytest.raises(ValueError, match=r"reshape|negative"):
            array.reshape(*wanted)


@pytest.mark.parametrize(("name", "dtype"), PAIRS)
def test_single_elements_are_python_numbers(name, dtype):
    array = GMemContext(7).array((3, 5), dtype, offset=9, distribution=DISTRIBUTIONS[name])
    stored = array.numpy()
    assert stored.dtype == array.dtype == dtype
    for i in range(-3, 3):
        for j in range(-5, 5):
            assert array[i, j] == stored[i, j]
            assert type(array[i, j]) is type(stored[i, j].item())
    assert array[np.int64(1), np.uint8(2)] == stored[1, 2]
    assert [list(row) for row in array] == stored.tolist()


def test_the_largest_arrays():
    context = GMemContext(7)
    line = context.array(2**64)
    assert line[2**64 - 1] == line[-1] == context[2**64 - 1]
    assert line[::-1][0] == line[-1]
    assert line[5 :: 2**61].shape == (8,)
    np.testing.assert_array_equal(line[-3:].numpy(), context[2**64 - 3 :])
    np.testing.assert_array_equal(line[:: 2**62].numpy(), [line[i * 2**62] for i in range(4)])
    assert line.size == 2**64
    assert line.nbytes == 2**67
    assert line.reshape(2**32, 2**32)[2**31, 5] == context[2**63 + 5]
    assert line.reshape(2, 2**63).T[5, 1] == context[2**63 + 5]
    assert context.array((2**64, 1, 1))[-1, 0, 0] == line[-1]
    with pytest.raises(OverflowError):
        len(line)
    assert len(line[:9]) == 9
    rows = context.array((2, 2**63))
    np.testing.assert_array_equal(rows[:, -1].numpy(), [context[2**63 - 1], context[2**64 - 1]])
    assert len(repr(line)) < 300


def test_what_it_is():
    context = GMemContext(7)
    array = context.array((3, 4, 5), "int16", 100, "F", gmemx.integers(0, 9))
    assert array.shape == (3, 4, 5)
    assert array.strides == (1, 3, 12)
    assert (array.ndim, array.size, array.itemsize, array.nbytes) == (3, 60, 2, 120)
    assert (array.dtype, array.offset, array.order) == (np.int16, 100, "F")
    assert array.context is context
    assert array.distribution == gmemx.integers(0, 9)
    assert array.T.order == "C"
    assert array[:, 1:].order is None
    assert array[:, 1:].offset == 103
    assert len(array) == 3
    for name in ("shape", "strides", "dtype", "offset", "context", "distribution"):
        with pytest.raises(AttributeError):
            setattr(array, name, None)
    with pytest.raises(TypeError, match="does not change"):
        array.__init__(context, 3)


def test_no_dimension():
    array = GMemContext(7).array((), offset=3)
    assert array[()] == GMemContext(7)[3]
    assert array[...].shape == ()
    assert array.numpy().shape == ()
    assert array.sum() == array[()]
    assert array.T.reshape(1, 1).shape == (1, 1)
    with pytest.raises(TypeError):
        len(array)
    with pytest.raises(TypeError):
        iter(array)


def test_identity():
    array = GMemContext(7).array(3)
    other = GMemContext(7).array(3)
    assert array == array
    assert array != other
    assert len({array, other, array}) == 2
    assert weakref.ref(array)() is array
    with pytest.raises(TypeError, match="not searched"):
        0.5 in array  # noqa: B015
    assert copy.copy(array).context is array.context
    assert copy.deepcopy(array).context is not array.context


def test_truth_is_that_of_one_element():
    context = GMemContext(7)
    context[0] = 0.0
    assert not context.array(1)
    assert context.array((1, 1), offset=1)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(context.array(2))


@given(data=st.data(), shape=shapes, order=orders, cells=st.integers(1, 50))
def test_chunks_are_all_there_is(data, shape, order, cells):
    array, stored = data.draw(views(GMemContext(7).array(shape, order=order)))
    made = np.full(stored.shape, np.nan)
    total = 0
    for key, chunk in array.chunks(cells):
        assert chunk.size <= cells
        assert made[key].shape == chunk.shape
        np.testing.assert_array_equal(array[key].numpy() if key else array.numpy(), chunk)
        made[key] = chunk
        total += chunk.size
    assert total == stored.size
    np.testing.assert_array_equal(made, stored)


def test_chunks_of_what_is_endless():
    key, chunk = next(iter(GMemContext(7).array((2**30, 2**30)).chunks(1000)))
    assert key == (0, slice(0, 1000))
    assert chunk.shape == (1000,)


@given(data=st.data(), shape=shapes, order=orders)
def test_out_takes_any_layout(data, shape, order):
    array, stored = data.draw(views(GMemContext(7).array(shape, order=order)))
    room = np.zeros((*stored.shape, 2), order=data.draw(orders))
    out = room[..., 0] if data.draw(st.booleans()) else np.zeros(stored.shape, order="F")
    assert array.numpy(out=out) is out
    np.testing.assert_array_equal(out, stored)
    assert not room[..., 1].any()


def test_memory_lies_as_cells_do():
    array = GMemContext(7).array((30, 40, 50))
    assert array.numpy().flags.c_contiguous
    assert array.T.numpy().flags.f_contiguous
    turned = array.transpose(1, 0, 2).numpy()
    assert turned.transpose(1, 0, 2).flags.c_contiguous


def test_numpys_protocols():
    array = GMemContext(7).array((3, 4))
    stored = array.numpy()
    assert np.asarray(array, dtype="float32").dtype == np.float32
    np.testing.assert_array_equal(np.array(array), stored)
    np.testing.assert_array_equal(np.sqrt(array), np.sqrt(stored))
    np.testing.assert_array_equal(np.add(array, array.T[:1, :1]), stored + stored[0, 0])
    np.testing.assert_array_equal(stored * array, stored * stored)
    np.testing.assert_array_equal(np.add.reduce(array), np.add.reduce(stored))
    assert np.allclose(array, stored)
    out = np.empty((3, 4))
    assert np.negative(array, out=out) is out
    with pytest.raises(TypeError):
        np.negative(stored, out=array)
    with pytest.raises(ValueError, match="copy"):
        array.__array__(copy=False)


def test_tensors():
    array = GMemContext(7).array((30, 40), "int32", distribution=gmemx.integers(-9, 9))
    tensor = array.T.tensor()
    assert tensor.shape == (40, 30)
    assert tensor.dtype == "int32"
    np.testing.assert_array_equal(tensor.numpy(), array.numpy().T)
    assert array.tensor(threads=1).sum() == array.sum()


def test_repr_computes_corners_only():
    context = GMemContext(42)
    small = context.array((2, 2), "int8", distribution=gmemx.integers(0, 9))
    assert eval(repr(small).split("([[")[1].split("]]")[0].split("],")[0]) == tuple(small[0])
    huge = context.array((2**20, 2**20, 2**20))
    assert repr(huge).count("...") == 7
    for part in (
        huge[..., :2],
        huge[0],
        huge[0, 0, 0, ...],
        huge[0, 0],
        huge[0, 0, :0],
        huge[None, None],
    ):
        assert f"shape={part.shape}" in repr(part)
    row = context.array(10**6)
    expected = np.concatenate([row[:3].numpy(), row[-3:].numpy()])
    shown = repr(row).split("[")[1].split("]")[0].replace("...,", "")
    np.testing.assert_allclose(np.fromstring(shown, sep=","), expected, rtol=1e-7)


def test_an_array_keeps_its_context():
    array = GMemContext(7).array((2, 2))[1]
    gc.collect()
    np.testing.assert_array_equal(array.numpy(), GMemContext(7)[2:4])
    context = array.context
    before = sys.getrefcount(context)
    views_of_it = [array[:1] for _ in range(10)]
    assert sys.getrefcount(context) > before
    del views_of_it
    assert sys.getrefcount(context) == before
