"""Addresses come from any array of integers; cells go into any buffer of float64."""

import array
import ctypes
import mmap

import numpy as np
from oracles import assert_same_bits

LAST = 2**64 - 1


def test_fetch_many_keeps_the_shape(context):
    """Any shape, order, integer type and memory layout of addresses; out= is filled alike."""
    flat = context[1000:1024]
    grid = np.arange(1000, 1024).reshape(2, 3, 4)
    assert_same_bits(context.fetch_many(grid), flat.reshape(2, 3, 4))
    out = np.empty((2, 3, 4))
    assert context.fetch_many(grid, out=out) is out
    assert_same_bits(out, flat.reshape(2, 3, 4))
    turned = context.fetch_many(grid.transpose(2, 0, 1))
    assert_same_bits(turned, flat.reshape(2, 3, 4).transpose(2, 0, 1).copy())
    assert_same_bits(context.fetch_many(grid[..., ::-2]), flat.reshape(2, 3, 4)[..., ::-2].copy())
    for dtype in ("i2", "u2", "<i4", ">i4", "u4", "<i8", ">i8", "<u8", ">u8"):
        assert_same_bits(context.fetch_many(np.arange(1000, 1024).astype(dtype)), flat)
    unaligned = np.frombuffer(b"?" + np.arange(1000, 1024, dtype="u8").tobytes(), "u8", 24, 1)
    assert_same_bits(context.fetch_many(unaligned), flat)
    assert_same_bits(context.fetch_many(range(1000, 1024)), flat)
    assert np.shape(context.fetch_many(1000)) == ()
    assert float(context.fetch_many(1000)) == flat[0]
    assert context.fetch_many([]).shape == (0,)
    assert context.fetch_many(np.empty((0, 3), dtype=np.uint64)).shape == (0, 3)


def test_fetch_many_takes_lists_over_the_whole_range(context):
    """Python integers below and above 2^63 in one list keep every bit."""
    where = [0, 5, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
    expected = np.array([context[a] for a in where])
    assert_same_bits(context.fetch_many(where), expected)
    assert_same_bits(context.fetch_many(tuple(where[::-1])), expected[::-1].copy())


def test_out_may_be_the_memory_of_the_addresses(context):
    """fetch_many in place, wholly or partly over its own addresses."""
    memory = np.arange(5000, 9001, dtype=np.uint64)
    expected = context[5000:9000]
    out = memory[1:].view(np.float64)
    context.fetch_many(memory[:-1], out=out)
    assert_same_bits(out, expected)
    memory = np.arange(5000, 9000, dtype=np.uint64)
    context.fetch_many(memory, out=memory.view(np.float64), threads=2)
    assert_same_bits(memory.view(np.float64), expected)


def test_fetch_into_takes_any_float64_buffer(context):
    """Arrays of any shape, the standard library's buffers, ctypes, and buffers of nothing."""
    expected = context[77:101]
    grid = np.zeros((2, 3, 4))
    context.fetch_into(77, grid)
    assert_same_bits(grid, expected.reshape(2, 3, 4))
    standard = array.array("d", bytes(24 * 8))
    context.fetch_into(77, standard)
    assert_same_bits(np.array(standard), expected)
    view = memoryview(bytearray(24 * 8)).cast("d", (4, 6))
    context.fetch_into(77, view)
    assert_same_bits(np.array(view), expected.reshape(4, 6))
    foreign = (ctypes.c_double * 24)()
    context.fetch_into(77, foreign)
    assert_same_bits(np.array(foreign), expected)
    with mmap.mmap(-1, 24 * 8) as mapped, memoryview(mapped) as raw, raw.cast("d") as cast:
        context.fetch_into(77, cast)
        assert_same_bits(np.array(cast), expected)
    context.fetch_into(77, np.empty(0))
    context.fetch_into(LAST, np.empty((3, 0)))
    cell = np.empty(())
    context.fetch_into(LAST, cell)
    assert float(cell) == context[LAST]
