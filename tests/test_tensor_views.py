"""Indices and changes of shape give views, the same as NumPy's, of the same memory."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import NATIVE, assert_same_values

import gmemx
from gmemx import Tensor


def assert_same_view(tensor, array):
    """The same elements in the same places of memory, with all that is told of them."""
    assert tensor.shape == array.shape
    assert (tensor.ndim, tensor.size, tensor.nbytes) == (array.ndim, array.size, array.nbytes)
    assert tensor.dtype == array.dtype
    assert tensor.is_contiguous == array.flags.c_contiguous
    for extent, mine, its in zip(array.shape, tensor.strides, array.strides, strict=True):
        assert mine == its or extent < 2 or array.size == 0
    assert_same_values(tensor.numpy(), array)
    if array.size:
        assert tensor.__array_interface__["data"][0] == array.__array_interface__["data"][0]


@given(st.data(), oracles.strided())
def test_indices_give_numpys_views(data, source):
    """Integers, slices of any step, ellipsis and None, on any layout."""
    _, array = source
    tensor = Tensor.from_buffer(array)
    index = data.draw(hnp.basic_indices(array.shape, allow_newaxis=True, max_dims=8))
    expected = array[index]
    found = tensor[index]
    if isinstance(expected, np.generic):
        assert type(found) is type(expected.item())
        assert_same_values(np.asarray(found, array.dtype), np.asarray(expected))
    else:
        assert_same_view(found, expected)


@given(st.data(), oracles.strided())
def test_steps_that_leave_the_tensor(data, source):
    """Slices whose limits and steps are far outside are cut as NumPy cuts them."""
    _, array = source
    far = st.none() | st.integers(-8, 8) | st.integers(-(2**70), 2**70)
    index = tuple(slice(*data.draw(st.tuples(far, far, far.filter(bool)))) for _ in array.shape)
    found, expected = Tensor.from_buffer(array)[(..., *index)], array[(..., *index)]
    assert found.shape == expected.shape
    assert_same_values(found.numpy(), expected)


@given(st.data(), oracles.strided())
def test_permutations(data, source):
    """permute, transpose and T order the dimensions as NumPy does."""
    _, array = source
    tensor = Tensor.from_buffer(array)
    order = data.draw(st.permutations(range(array.ndim)))
    order = [d - data.draw(st.sampled_from([0, array.ndim])) for d in order]
    assert_same_view(tensor.permute(order), array.transpose(order))
    assert_same_view(tensor.permute(*order), array.transpose(order))
    assert_same_view(tensor.T, array.T)
    if array.ndim:
        one, other = (data.draw(st.integers(-array.ndim, array.ndim - 1)) for _ in "ab")
        assert_same_view(tensor.transpose(one, other), np.swapaxes(array, one, other))


@st.composite
def factors(draw, size):
    """A shape of that many elements, perhaps with a -1 in it."""
    if size == 0:
        return draw(st.permutations([0, *draw(st.lists(st.integers(0, 3), max_size=3))]))
    shape = []
    while size > 1 and len(shape) < 5:
        shape.append(draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0])))
        size //= shape[-1]
    shape.append(size)
    if draw(st.booleans()):
        shape[draw(st.integers(0, len(shape) - 1))] = -1
    return shape


@given(st.data(), oracles.strided())
def test_reshaping(data, source):
    """A view where NumPy gives one; where it copies, ValueError, and contiguous() helps."""
    _, array = source
    tensor = Tensor.from_buffer(array)
    shape = data.draw(factors(array.size))
    expected = array.reshape(shape)
    if array.size and not np.shares_memory(expected, array):
        with pytest.raises(ValueError, match=r"\(.*without a copy"):
            tensor.reshape(shape)
        assert_same_values(tensor.contiguous().reshape(shape).numpy(), expected)
    else:
        assert_same_view(tensor.reshape(shape), expected)
        assert_same_view(tensor.reshape(*shape), expected)


@given(oracles.strided())
def test_flattening(source):
    """One dimension, where that needs no copy."""
    _, array = source
    expected = array.reshape(array.size)
    if array.size and not np.shares_memory(expected, array):
        with pytest.raises(ValueError, match="copy"):
            Tensor.from_buffer(array).flatten()
    else:
        assert_same_view(Tensor.from_buffer(array).flatten(), expected)


@given(st.data(), oracles.strided())
def test_dimensions_of_one_element(data, source):
    """squeeze takes them away, unsqueeze puts them in."""
    _, array = source
    tensor = Tensor.from_buffer(array)
    place = data.draw(st.integers(-array.ndim - 1, array.ndim))
    assert_same_view(tensor.unsqueeze(place), np.expand_dims(array, place))
    assert_same_view(tensor.unsqueeze(place).squeeze(place), array)
    assert_same_view(tensor.squeeze(), array.squeeze())
    ones = tuple(d for d in range(array.ndim) if array.shape[d] == 1)
    assert_same_view(tensor.squeeze(ones), array.squeeze(ones))
    for d in set(range(array.ndim)) - set(ones):
        with pytest.raises(ValueError, match=rf"axis {d} of shape \("):
            tensor.squeeze(d)


@given(oracles.strided(), st.booleans())
def test_contiguous_and_copy(source, writable):
    """contiguous gives the tensor itself or a copy; copy is always new and may be written."""
    _, array = source
    tensor = Tensor.from_buffer(array, writable=None if writable else False)
    again = tensor.contiguous()
    assert (again is tensor) == array.flags.c_contiguous
    assert again.is_contiguous
    assert_same_values(again.numpy(), array)
    copy = tensor.copy()
    assert copy.is_contiguous
    assert copy.owner is None
    assert not copy.readonly
    assert not np.shares_memory(copy.numpy(), array)
    assert_same_values(copy.numpy(), array)


@given(oracles.strided())
def test_iteration_and_length(source):
    """Over the first dimension, as NumPy goes: views, or numbers where it is the only one."""
    _, array = source
    tensor = Tensor.from_buffer(array)
    if array.ndim == 0:
        for work in (len, iter):
            with pytest.raises(TypeError):
                work(tensor)
        return
    assert len(tensor) == len(array)
    rows = list(tensor)
    assert len(rows) == len(array)
    for row, expected in zip(rows, array, strict=True):
        if array.ndim == 1:
            assert_same_values(np.asarray(row, array.dtype), np.asarray(expected))
        else:
            assert_same_view(row, expected)


@given(oracles.strided())
def test_values_as_python_numbers(source):
    """tolist nests lists of bool, int and float; item wants exactly one element."""
    _, array = source
    tensor = Tensor.from_buffer(array)
    assert repr(tensor.tolist()) == repr(array.tolist())
    if array.size == 1:
        assert repr(tensor.item()) == repr(array.item())
        assert bool(tensor) == bool(array)
        if array.dtype.kind == "b" or np.isfinite(array).all():
            assert int(tensor) == int(array.item())
            assert float(tensor) == float(array.item())
    else:
        with pytest.raises(ValueError, match=r"shape \("):
            tensor.item()
        with pytest.raises(ValueError, match=r"shape \("):
            bool(tensor)


@given(oracles.strided(make=oracles.small_array), st.data())
def test_equality_is_by_value(source, data):
    """Equal shapes and values compare equal, in any layout; another element or shape does not."""
    name, array = source
    tensor = Tensor.from_buffer(array)
    copy = Tensor(array)
    assert (tensor == copy, tensor != copy, tensor.equal(copy)) == (True, False, True)
    assert (tensor == array, tensor == tensor.unsqueeze(0)) == (True, False)
    assert (tensor == "text", tensor != None, tensor == 5) == (False, True, False)  # noqa: E711
    if array.size:
        where = tuple(data.draw(st.integers(0, extent - 1)) for extent in array.shape)
        copy[where] = not copy[where] if name == "bool" else copy[where] + 1
        assert (tensor == copy, tensor != copy, tensor.equal(copy)) == (False, True, False)
    with pytest.raises(TypeError):
        hash(tensor)


def test_a_nan_is_not_itself():
    """As NumPy's array_equal has it."""
    tensor = Tensor([1.0, math.nan])
    assert (tensor == tensor, tensor != tensor) == (False, True)


@pytest.mark.parametrize("name", NATIVE)
def test_sixty_four_dimensions(name):
    """The most there may be; every one is indexed, permuted and reshaped."""
    tensor = gmemx.zeros((1,) * 63 + (2,), name)
    tensor[(0,) * 63 + (1,)] = True
    assert tensor.T.shape == (2, *(1,) * 63)
    assert tensor.T[(1, *(0,) * 63)] == 1
    assert tensor.reshape((2,) + (1,) * 63).squeeze().tolist() == [0, 1]
    assert tensor.sum() == 1
    for too_many in (lambda: tensor[None], lambda: tensor.unsqueeze(3)):
        with pytest.raises(ValueError, match="64"):
            too_many()
