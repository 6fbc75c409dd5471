"""What makes no sense is refused with one clear sentence, and nothing crashes."""

import numpy as np
import pytest

import gmemx
from gmemx import GMemContext, VirtualArray

CONTEXT = GMemContext(7)


class Huge:
    """An integer that Python refuses to print."""

    def __index__(self):
        return 10**5000


HUGE = Huge()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"shape": -1}, ValueError),
        ({"shape": (3, -(2**70))}, ValueError),
        ({"shape": 2**64 + 1}, IndexError),
        ({"shape": (2**32, 2**32, 2)}, IndexError),
        ({"shape": (2**64, 2**64)}, IndexError),
        ({"shape": HUGE}, IndexError),
        ({"shape": 2**64, "offset": 1}, IndexError),
        ({"shape": 2, "offset": 2**64 - 1}, IndexError),
        ({"shape": 2, "offset": -1}, IndexError),
        ({"shape": 2, "offset": 2**64}, IndexError),
        ({"shape": 2, "offset": 1.0}, TypeError),
        ({"shape": "3"}, TypeError),
        ({"shape": 2.0}, TypeError),
        ({"shape": None}, TypeError),
        ({"shape": (1,) * 65}, ValueError),
        ({"shape": 2, "order": "K"}, ValueError),
        ({"shape": 2, "order": None}, TypeError),
        ({"shape": 2, "dtype": "float16"}, ValueError),
        ({"shape": 2, "dtype": "int4"}, ValueError),
        ({"shape": 2, "dtype": "complex128"}, ValueError),
        ({"shape": 2, "dtype": "float46"}, ValueError),
        ({"shape": 2, "dtype": 5}, TypeError),
        ({"shape": 2, "dtype": "int8"}, ValueError),
        ({"shape": 2, "distribution": None}, TypeError),
    ],
)
def test_arrays_that_cannot_be(arguments, error):
    with pytest.raises(error) as raised:
        CONTEXT.array(**arguments)
    assert "\n" not in str(raised.value)


def test_shapes_that_can_be():
    assert CONTEXT.array(0).shape == (0,)
    assert CONTEXT.array([2, 3]).shape == (2, 3)
    assert CONTEXT.array(np.int32(4)).shape == (4,)
    assert CONTEXT.array((2**64, 0)).size == 0
    assert CONTEXT.array((1,) * 64).ndim == 64
    assert CONTEXT.array(1, offset=2**64 - 1)[0] == CONTEXT[2**64 - 1]
    assert CONTEXT.array(2, float).dtype == "float64"
    assert CONTEXT.array(2, np.dtype("float32")).dtype == "float32"


@pytest.mark.parametrize("key", ["a", 1.0, [0, 1], np.array([0, 1]), np.array([True]), True,
                                 np.True_, (0, "a"), {}, b"x"])  # fmt: skip
def test_keys_that_are_not_basic(key):
    array = CONTEXT.array((3, 3))
    with pytest.raises(TypeError, match="is indexed by integers, slices, ellipsis and None"):
        array[key]
    with pytest.raises(TypeError, match="is indexed by"):
        array[key] = 1.0
    assert CONTEXT.overlay_count == 0


@pytest.mark.parametrize("key", [(0, 0, 0), (..., ...), 3, -4, (0, 3), HUGE, (0, -(2**64))])
def test_keys_out_of_range(key):
    with pytest.raises(IndexError):
        CONTEXT.array((3, 3))[key]


def test_keys_that_make_no_sense():
    array = CONTEXT.array((3, 3))
    with pytest.raises(ValueError, match="step"):
        array[::0]
    with pytest.raises(TypeError):
        array["a":]
    with pytest.raises(ValueError, match="64 dimensions"):
        array[(None,) * 63]
    assert array[10:, -(2**80) : 2**80].shape == (0, 3)


def test_a_missing_context():
    with pytest.raises(TypeError, match="GMemContext"):
        VirtualArray(None, 3)
    empty = VirtualArray.__new__(VirtualArray)
    for work in (
        repr,
        len,
        np.asarray,
        lambda a: a[0],
        lambda a: a.sum(),
        lambda a: a.T,
        lambda a: a.matvec([1.0]),
        lambda a: a.__reduce__()[0](*a.__reduce__()[1]),
    ):
        with pytest.raises((TypeError, AttributeError)):
            work(empty)


def test_what_memory_cannot_hold():
    for shape in ((2**32, 2**32), 2**62, (2**24, 2**24)):
        array = CONTEXT.array(shape)
        for work in (np.asarray, VirtualArray.numpy, VirtualArray.tensor):
            with pytest.raises((MemoryError, ValueError)):
                work(array)
    with pytest.raises(MemoryError, match="chunks"):
        np.asarray(CONTEXT.array(2**50))
    with pytest.raises(MemoryError):
        CONTEXT.array((2**60, 4)).matvec(np.ones(4))
    with pytest.raises(MemoryError):
        CONTEXT.array((2**60, 4)).sum(axis=1)


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty((3, 4)), ValueError),
        (np.empty((3, 3), "float32"), ValueError),
        (np.empty((3, 3), ">f8"), ValueError),
        ([[0.0] * 3] * 3, TypeError),
        (np.broadcast_to(np.zeros(3), (3, 3)), ValueError),
    ],
)
def test_out_that_does_not_fit(out, error):
    with pytest.raises(error, match=r"out must (be|have)"):
        CONTEXT.array((3, 3)).numpy(out=out)


def test_views_that_cannot_be():
    array = CONTEXT.array((3, 4))
    for axes in [(0, 0), (0,), (0, 1, 2), ((0, 5),)]:
        with pytest.raises((ValueError, IndexError)):
            array.transpose(*axes)
    with pytest.raises(TypeError):
        array.transpose("a", 0)
    with pytest.raises(ValueError, match="has no view"):
        array.T.reshape(12)
    with pytest.raises(TypeError):
        array.reshape("a")


def test_axes_that_are_none():
    array = CONTEXT.array((3, 4))
    for axis in (2, -3, 2**70):
        with pytest.raises(IndexError):
            array.sum(axis=axis)
    with pytest.raises(TypeError):
        array.sum(axis="0")


@pytest.mark.parametrize("cells", [0, -1])
def test_chunks_of_nothing(cells):
    with pytest.raises(ValueError, match="at least one"):
        CONTEXT.array(3).chunks(cells)


def test_everything_is_an_error_of_gmemx():
    with pytest.raises(gmemx.GmemxError):
        CONTEXT.array(-1)
    with pytest.raises(gmemx.GmemxError):
        gmemx.normal(0, -1)
