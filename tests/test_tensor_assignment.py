"""Writing into a tensor and its views changes the memory as NumPy would change it."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import DTYPES, NATIVE, assert_same_values

import gmemx
from gmemx import Tensor


@st.composite
def twins(draw, names=NATIVE, make=oracles.small_array):
    """An array and a copy of it: a tensor of the one must go the way of the other."""
    name = draw(st.sampled_from(names))
    array = make(name, draw(oracles.shapes), draw(st.integers(0, 2**32)))
    return array, array.copy()


def index_of(shape):
    return hnp.basic_indices(shape, allow_newaxis=True, max_dims=6)


def number_for(dtype):
    """Python numbers that such an element takes."""
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        return st.integers(*oracles.limits(dtype.name))
    return st.floats(width=dtype.itemsize * 8) | st.integers(-(2**10), 2**10)


@given(st.data(), twins(make=oracles.random_array))
def test_a_number_fills_a_part(data, pair):
    """Whatever the index, that part takes the value and the rest stays."""
    array, memory = pair
    index = data.draw(index_of(array.shape))
    value = data.draw(number_for(array.dtype))
    Tensor.from_buffer(memory)[index] = value
    array[index] = value
    assert_same_values(memory, array)


@given(st.data(), twins(), st.sampled_from(NATIVE), st.sampled_from([Tensor, np.array, list]))
def test_values_are_broadcast(data, pair, other, form):
    """From a tensor, an array or a list, of any dtype, into any part."""
    array, memory = pair
    index = data.draw(index_of(array.shape))
    part = array[index]
    if isinstance(part, np.generic):
        return  # one element, which takes a number
    shape = [data.draw(st.sampled_from([extent, 1])) for extent in part.shape]
    shape = [1] * data.draw(st.integers(0, 2)) + shape[data.draw(st.integers(0, len(shape))) :]
    values = oracles.small_array(other, shape, data.draw(st.integers(0, 99)))
    if form is list and (values.size == 0 or values.ndim == 0):
        return  # a list has no extents behind an empty one
    Tensor.from_buffer(memory)[index] = form(values)
    array[index] = oracles.converted(values, other, array.dtype.name)
    assert_same_values(memory, array)


def test_one_element_takes_a_tensor_of_one():
    """Converted like any other; of more elements it is refused."""
    tensor = gmemx.zeros(3, "int8")
    tensor[1] = Tensor([[300.75]])
    assert tensor.tolist() == [0, 127, 0]
    with pytest.raises(ValueError, match=r"one value.*\(2,\)"):
        tensor[1] = Tensor([1, 2])


@given(st.data(), twins(make=oracles.random_array))
def test_writing_through_a_view_of_a_view(data, pair):
    """However many steps away, an element written is the base's; offset and owner tell whose."""
    array, memory = pair
    tensor = base = Tensor.from_buffer(memory)
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(index_of(array.shape))
        if isinstance(array[index], np.ndarray):
            array, tensor = array[index], tensor[index]
        array, tensor = array.T, tensor.T
    assert tensor.shape == array.shape
    assert tensor.owner is base
    assert base.owner is memory
    if tensor.size:
        first = tensor.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
        assert tensor.offset == first
    value = data.draw(number_for(array.dtype))
    tensor[...] = value
    array[...] = value
    assert_same_values(memory, pair[0])


@given(st.integers(0, 2**32), st.sampled_from(NATIVE), st.integers(1, 60), st.data())
def test_overlapping_parts_of_one_dimension(seed, name, n, data):
    """The source is read as it was before, whichever way the two overlap."""
    array = oracles.random_array(name, (n,), seed)
    memory = array.copy()
    length = data.draw(st.integers(0, n))
    parts = []
    for _ in range(2):
        step = data.draw(st.integers(1, max(1, (n - 1) // max(1, length - 1))))
        start = data.draw(st.integers(0, n - 1 - step * max(0, length - 1)))
        part = range(start, start + step * length, step)
        part = part[::-1] if data.draw(st.booleans()) else part
        stop = part.stop if part.stop >= 0 else None
        parts.append(slice(part.start if length else 0, stop if length else 0, part.step))
    tensor = Tensor.from_buffer(memory)
    tensor[parts[0]] = tensor[parts[1]]
    array[parts[0]] = array[parts[1]].copy()
    assert_same_values(memory, array)


OVERLAPS = {
    "down": (np.s_[1:], np.s_[:-1]),
    "up": (np.s_[:-1], np.s_[1:]),
    "backwards": (np.s_[:], np.s_[::-1]),
    "columns": (np.s_[:, 1:], np.s_[:, :-1]),
    "turned": (np.s_[::-1], np.s_[:, ::-1]),
    "a row to all": (np.s_[:], np.s_[2]),
    "a column to all": (np.s_[:], np.s_[:, 2:3]),
    "itself": (np.s_[:], np.s_[:]),
}


@pytest.mark.parametrize("name", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("n", [5, 300])
@pytest.mark.parametrize(("to", "source"), OVERLAPS.values(), ids=OVERLAPS.keys())
def test_overlapping_parts_of_two_dimensions(name, n, to, source):
    """t[1:] = t[:-1] and its like move what was there, in small tensors and large."""
    array = oracles.random_array(name, (n, n), 1)
    memory = array.copy()
    tensor = Tensor.from_buffer(memory)
    tensor[to] = tensor[source]
    array[to] = array[source].copy()
    assert_same_values(memory, array)


@pytest.mark.parametrize("n", [5, 300])
def test_a_tensor_takes_its_own_transpose(n):
    """Every element changes places with another."""
    array = np.arange(n * n, dtype=np.int32).reshape(n, n)
    tensor = Tensor(array)
    tensor[:] = tensor.T
    assert tensor == array.T


def test_two_views_of_one_buffer_may_overlap():
    """Overlap is of memory, however the tensors came to it; also with other dtypes."""
    memory = bytearray(range(64))
    wide, narrow = Tensor.from_buffer(memory, "uint16"), Tensor.from_buffer(memory)
    wide[:] = narrow[:32]
    assert bytes(memory) == np.arange(32, dtype="<u2").tobytes()


@pytest.mark.parametrize("name", DTYPES)
def test_fill_sets_every_element(name):
    """With a number that fits, in any layout."""
    tensor = gmemx.zeros((3, 4), name)
    tensor.fill(True)
    assert tensor.astype("float64").sum() == 12
    if name != "int4":
        tensor[:, ::-2].fill(False)
        assert tensor.astype("float64").tolist() == [[1.0, 0.0, 1.0, 0.0]] * 3


def test_a_float_rounds_to_the_dtype():
    """To nearest, ties to even, past the range to infinity: Python's floats are doubles."""
    tensor = gmemx.zeros(4, "float16")
    tensor[0], tensor[1], tensor[2], tensor[3] = 0.1, 2049.0, 65520.0, -math.inf
    assert tensor.tolist() == [0.0999755859375, 2048.0, math.inf, -math.inf]


def test_read_only_memory_stays_as_it_is():
    """Every way of writing is refused, through views too, and names shape and dtype."""
    data = bytes(range(8))
    tensor = Tensor.from_buffer(data, "uint16")
    assert tensor.readonly
    writes = [
        lambda t: t.__setitem__(0, 1),
        lambda t: t.__setitem__(slice(None), 1),
        lambda t: t.__setitem__(..., t.copy()),
        lambda t: t.fill(0),
        lambda t: t.add(1, out=t),
        lambda t: t.relu(out=t),
    ]
    for part in (tensor, tensor[::-1], tensor.reshape(2, 2)):
        for write in writes:
            with pytest.raises(ValueError, match=r"shape \(.*uint16.*read-only"):
                write(part)
    assert not tensor.numpy().flags.writeable
    assert memoryview(tensor).readonly
    assert data == bytes(range(8))
