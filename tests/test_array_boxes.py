"""Boxes of many cells, which are made in another order than they are read: bit for bit the
formula's, wherever they lie, and wherever their results go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import vrns16_many

import gmemx

# Cells from which on a read goes around the caches, and one cell more or less than a line.
LARGE, LINE = 1 << 17, 8


@st.composite
def boxes(draw):
    """A box of some rows, as its first address, its shape and the distances of its cells."""
    width = draw(st.one_of(st.integers(1, 60), st.integers(48, 1500)))
    rows = draw(st.integers(2, 300))
    planes = draw(st.integers(1, 3))
    gap = draw(st.sampled_from([0, 1, 60, 9_000, 65_408, 70_000, 2**22, 2**40]))
    steps = [draw(st.sampled_from([-1, 1])) * (width + gap), width]
    steps[1] = steps[0] * rows + draw(st.integers(0, 5000))
    start = draw(st.integers(2**62, 2**63))
    return start, (planes, rows, width), (steps[1], steps[0], 1)


def formula(seed, start, shape, strides):
    addresses = np.uint64(start)
    for extent, stride in zip(shape, strides, strict=True):
        steps = np.arange(extent, dtype=np.int64) * stride
        addresses = addresses[..., None] + steps.view(np.uint64)
    return vrns16_many(seed, addresses)


def view(context, start, shape, strides):
    """The same cells as a view: slices of an array that has every cell around them."""
    array = context.array(2**64)
    rows = []
    for plane in range(shape[0]):
        first = start + plane * strides[0]
        low = first if strides[1] > 0 else first + (shape[1] - 1) * strides[1]
        width = abs(strides[1])
        some = array[low : low + shape[1] * width].reshape(shape[1], width)[:, : shape[2]]
        rows.append(some if strides[1] > 0 else some[::-1])
    return rows


@settings(max_examples=40)
@given(box=boxes(), seed=st.integers(0, 2**64 - 1), shift=st.integers(0, LINE - 1))
def test_boxes_are_the_formulas(box, seed, shift):
    start, shape, strides = box
    expected = formula(seed, start, shape, strides)
    context = gmemx.GMemContext(seed)
    for plane, part in zip(expected, view(context, start, shape, strides), strict=True):
        # Memory at every place in a line, and nothing beside it is touched.
        room = np.full(plane.size + 2 * LINE, -1.0)
        out = room[shift : shift + plane.size].reshape(plane.shape)
        part.numpy(threads=1, out=out)
        np.testing.assert_array_equal(out, plane)
        assert (room[:shift] == -1).all()
        assert (room[shift + plane.size :] == -1).all()


@pytest.mark.parametrize("seed", [0, 42, 2**64 - 5])
@pytest.mark.parametrize(
    ("width", "stride"),
    [(17, 50), (49, 50), (100, 1000), (128, 65408), (1000, 9999), (1536, 6144), (600, 2**23 + 1)],
)
def test_large_boxes(cpu_path, seed, width, stride):
    """Results too many for the caches, on one thread and on several."""
    rows = LARGE // width + 100
    context = gmemx.GMemContext(seed)
    part = context.array((rows, stride), offset=2**50 + 3)[:, 1 : 1 + width]
    first = 2**50 + 4 + np.arange(rows, dtype=np.uint64)[:, None] * np.uint64(stride)
    expected = vrns16_many(seed, first + np.arange(width, dtype=np.uint64))
    for shift in (0, 1, 5):
        room = np.full(expected.size + 2 * LINE, -1.0)
        out = room[shift : shift + expected.size].reshape(expected.shape)
        for threads in (1, 3):
            part.numpy(threads=threads, out=out)
            np.testing.assert_array_equal(out, expected)
        assert (room[:shift] == -1).all()
        assert (room[shift + expected.size :] == -1).all()


ELEMENTS = [
    ("float32", gmemx.uniform()),
    ("float64", gmemx.uniform(-3, 5)),
    ("float64", gmemx.normal()),
    ("int64", gmemx.integers(-9, 9)),
    ("uint16", gmemx.integers(0, 60_000)),
    ("int8", gmemx.integers(1, 7)),
    ("bool", gmemx.bernoulli(0.25)),
]


@pytest.mark.parametrize(("dtype", "distribution"), ELEMENTS)
@settings(max_examples=8)
@given(
    width=st.integers(1, 1200),
    gap=st.sampled_from([1, 1000, 2**23]),
    large=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
    shift=st.integers(0, 63),
)
def test_boxes_of_elements_are_their_rows(dtype, distribution, width, gap, large, seed, shift):
    """Of every type and distribution, also where cells were written."""
    rows = (3 * LARGE if large else 6000) // width
    context = gmemx.GMemContext(seed)
    array = context.array((rows, width + gap), dtype, 2**40 + 7, distribution=distribution)
    written = np.random.default_rng(seed).integers(0, width, rows // 2 + 1)
    for row, column in zip(range(0, rows, 2), written.tolist(), strict=False):
        array[row, column] = row % 2
    part = array[:, :width]
    room = np.zeros(part.size + 128, dtype)
    out = room[shift : shift + part.size].reshape(part.shape)
    part.numpy(threads=1, out=out)
    for row in {*range(0, rows, max(1, rows // 200)), rows - 1}:
        np.testing.assert_array_equal(out[row], part[row].numpy())
    assert not room[:shift].any()
    assert not room[shift + part.size :].any()


def test_what_is_written_lies_in_boxes():
    context = gmemx.GMemContext(9)
    whole = context.array((3000, 5000), offset=11)
    part = whole[100:2900, 700:900]
    expected = part.numpy()
    rng = np.random.default_rng(4)
    rows, columns = rng.integers(0, 2800, 500), rng.integers(0, 200, 500)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        part[row, column] = expected[row, column] = rng.random()
    part[7] = expected[7] = -2.0
    np.testing.assert_array_equal(part.numpy(), expected)
    np.testing.assert_array_equal(part[::-1].numpy(), expected[::-1])
