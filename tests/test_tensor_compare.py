"""Where tensors differ, and what their bytes check to."""

import math

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import BITS, DTYPES, FLOATS, bits_array

import gmemx
from gmemx import Tensor


def tensor_of(array, name):
    """A tensor of the array, in its layout."""
    if name == "int4":
        return Tensor.from_buffer(oracles.packed(array), "int4", array.shape)
    return Tensor.from_buffer(bits_array(array), name)


def exact(array, name):
    """The elements as Python numbers, which compare exactly across types."""
    return (array.astype(np.float64) if name in FLOATS else array).reshape(-1).tolist()


def first(a, b, shape):
    """The index of the first pair that differs."""
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        if x != y:
            return tuple(map(int, np.unravel_index(i, shape)))
    return None


@given(st.data(), oracles.strided(DTYPES), st.sampled_from(DTYPES), st.sampled_from([1, 2, None]))
def test_mixed_dtypes_compare_exactly(data, source, other, threads):
    """As Python compares numbers: no rounding on the way, NaN differs from everything."""
    name, array = source
    converted = oracles.converted(array, name, other)
    if array.size and other != "int4" and data.draw(st.booleans()):
        converted = np.array(converted)
        where = tuple(data.draw(st.integers(0, extent - 1)) for extent in array.shape)
        converted[where] = 1
    mine, its = tensor_of(array, name), tensor_of(converted, other)
    expected = first(exact(array, name), exact(converted, other), array.shape)
    assert mine.first_difference(its, threads=threads) == expected
    assert its.first_difference(mine, threads=threads) == expected
    assert mine.equal(its, threads=threads) == (expected is None)


NEIGHBOURS = [
    2.0**53, 2**53 + 1, 2**63 - 1, 2.0**63, 2**63, -(2**63), -(2.0**63), 2**64 - 1, 2.0**64, 0.5,
    0, 1, -1, -0.0, 0.0, math.inf, -math.inf, math.nan, True, 127, 1e300, 2**24 + 1, 2.0**24,
]  # fmt: skip


@pytest.mark.parametrize("x", NEIGHBOURS, ids=repr)
def test_numbers_that_conversion_would_make_equal(x):
    """uint64's greatest is not 2.0**64, whichever comes first, with any vector length."""
    for y in NEIGHBOURS:
        for n in (1, 40):
            a, b = gmemx.full(n, x), gmemx.full(n, y)
            assert a.equal(b) == (x == y)
            assert a.first_difference(b) == (None if x == y else (0,))


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, None])
def test_the_first_of_many(cpu_path, name, threads):
    """Also where later ones are found sooner; in one dtype and in two."""
    array = np.zeros((700, 901), oracles.numpy_dtype(name))
    other = array.copy()
    same = tensor_of(array, name)
    assert same.equal(tensor_of(other, name), threads=threads)
    for where in [(699, 900), (350, 17), (350, 16), (0, 900), (0, 0)]:
        other[where] = 1
        changed = tensor_of(other, name)
        assert same.first_difference(changed, threads=threads) == where
        assert same.astype("int64").first_difference(changed, threads=threads) == where


@given(oracles.strided(DTYPES), st.sampled_from([1, 2, None]))
def test_crc32c_is_of_the_bytes_in_c_order(source, threads):
    """Whatever the layout; int4's are its packed bytes."""
    name, array = source
    data = oracles.packed(array) if name == "int4" else bits_array(array).tobytes()
    tensor = tensor_of(array, name)
    assert tensor.crc32c(threads=threads) == oracles.crc32c(data)
    assert tensor.copy().crc32c() == oracles.crc32c(data)


def test_crc32c_of_known_bytes():
    """The examples of RFC 3720, appendix B.4."""
    for data, expected in [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ]:
        assert Tensor.from_buffer(data).crc32c() == expected


@pytest.mark.parametrize("n", [1, 7, 8, 1023, 24_577, 300_001])
def test_crc32c_of_long_runs(cpu_path, n):
    """In one piece and shared out, from any byte on, with gaps and without."""
    data = np.random.default_rng(n).bytes(n + 3)
    expected = oracles.crc32c(data[3:])
    tensor = Tensor.from_buffer(data)[3:]
    spread = np.zeros((n, 3), np.uint8)
    spread[:, 1] = np.frombuffer(data[3:], np.uint8)
    for threads in (1, 2, 5, None):
        assert tensor.crc32c(threads=threads) == expected
        assert Tensor.from_buffer(spread)[:, 1].crc32c(threads=threads) == expected


def test_shapes_must_agree():
    """To be equal they need to; to look for a difference there is nothing to look at else."""
    a = gmemx.zeros((2, 3))
    for other in (gmemx.zeros((3, 2)), gmemx.zeros(6), gmemx.zeros((1, 2, 3)), 0.0):
        assert not a.equal(other)
        with pytest.raises(ValueError, match=r"\(2, 3\)"):
            a.first_difference(other)
    for wrong in ("text", None, object(), [1j], [[1, 2], [3]]):
        with pytest.raises((TypeError, ValueError)):
            a.equal(wrong)
        with pytest.raises((TypeError, ValueError)):
            a.first_difference(wrong)
    assert a.equal([[0, 0, 0], [0, 0, 0]])
    assert a.equal(np.zeros((2, 3), bool))


@pytest.mark.parametrize("name", DTYPES)
def test_a_tensor_and_itself(name):
    """One memory on both sides, overlapping or the same."""
    tensor = gmemx.zeros(4 if BITS[name] == 4 else (9, 9), name)
    assert tensor.equal(tensor)
    assert tensor[:2].equal(tensor[2:4])
