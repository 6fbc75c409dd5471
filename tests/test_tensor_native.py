"""The tensor functions of gmemx.h serve any foreign caller: here ctypes, over NumPy's memory."""

import ctypes

import numpy as np
import oracles
import pytest
from hypothesis import given
from native import View, load, view_of
from oracles import DTYPES, NATIVE, assert_same_values

import gmemx

LIBRARY = load()


def code(name):
    return gmemx.dtype(name).code


def call(function, *arguments):
    status = function(*arguments)
    assert status == 0, LIBRARY.gmem_last_error()


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes_have_the_same_numbers(name):
    """Python's codes are the enum's."""
    assert LIBRARY.gmem_dtype_name(code(name)) == name.encode()
    assert LIBRARY.gmem_dtype_bits(code(name)) == oracles.BITS[name]
    found = ctypes.c_int32(-1)
    call(LIBRARY.gmem_dtype_from_name, name.encode(), ctypes.byref(found))
    assert found.value == code(name)


@given(oracles.strided(NATIVE))
def test_any_layout_through_the_c_abi(source):
    """Strides of any sign are followed; the target is written where its own strides lead."""
    name, array = source
    target = np.zeros(array.shape[::-1]).T
    views = view_of(array, code(name)), view_of(target, code("float64"))
    call(LIBRARY.gmem_tensor_copy, *map(ctypes.byref, views), 0)
    assert_same_values(target, oracles.converted(array, name, "float64"))
    checksum = ctypes.c_uint32()
    call(LIBRARY.gmem_tensor_crc32c, ctypes.byref(views[0]), 1, ctypes.byref(checksum))
    assert checksum.value == oracles.crc32c(array.tobytes())


def test_memory_is_the_callers_until_it_is_freed():
    """Zeroed where asked for, written by a copy, read by a reduction."""
    memory = ctypes.c_void_p()
    call(LIBRARY.gmem_memory_new, 800, True, ctypes.byref(memory))
    cells = np.ctypeslib.as_array(ctypes.cast(memory, ctypes.POINTER(ctypes.c_double)), (10, 10))
    assert not cells.any()
    values = np.arange(100, dtype=np.int16).reshape(10, 10)
    views = view_of(values, code("int16")), view_of(cells, code("float64"))
    call(LIBRARY.gmem_tensor_copy, *map(ctypes.byref, views), 1)
    sums = np.zeros(10)
    target = view_of(sums, LIBRARY.gmem_reduction_dtype(0, code("float64")))
    call(LIBRARY.gmem_tensor_reduce, ctypes.byref(views[1]), 0, 0b01, 1, ctypes.byref(target))
    assert np.array_equal(sums, values.sum(axis=0))
    LIBRARY.gmem_memory_free(memory)


def test_the_view_is_as_the_header_lays_it_out():
    """Three pointers and two numbers of 32 bits."""
    assert ctypes.sizeof(View) == 3 * ctypes.sizeof(ctypes.c_void_p) + 8
