"""What callers hand in, checked before anything is changed."""

from cpython.buffer cimport (
    PyBUF_FULL_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.long cimport PyLong_AsUnsignedLongLong, PyLong_CheckExact
from cpython.number cimport PyIndex_Check

import operator
import sys

import numpy as np

from gmemx.errors import InvalidArgumentError, OutOfRangeError

cdef set NATIVE_DOUBLE = {"d", "@d", "=d", "<d" if sys.byteorder == "little" else ">d"}


cdef class Floats:
    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef Floats writable_floats(object out):
    cdef Floats floats = Floats.__new__(Floats)
    if not PyObject_CheckBuffer(out):
        raise TypeError(
            f"out must be a writable C-contiguous float64 buffer, not {type(out).__name__}"
        )
    PyObject_GetBuffer(out, &floats.view, PyBUF_FULL_RO)
    found = floats.view.format.decode() if floats.view.format is not NULL else "B"
    if found not in NATIVE_DOUBLE:
        raise InvalidArgumentError(
            f"out must be a writable C-contiguous float64 buffer, but its items are {found!r}"
        )
    if floats.view.readonly:
        raise InvalidArgumentError("out must be a writable float64 buffer, but it is read-only")
    if not PyBuffer_IsContiguous(&floats.view, b"C"):
        raise InvalidArgumentError(
            "out must be a C-contiguous float64 buffer, but it is not contiguous"
        )
    if <size_t> floats.view.buf % sizeof(double) != 0:
        raise InvalidArgumentError("out must be aligned to 8 bytes, but it is not")
    floats.data = <double*> floats.view.buf
    floats.size = floats.view.len // <Py_ssize_t> sizeof(double)
    return floats


cdef object float_array(object values, str name):
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be real numbers, not {array.dtype}")
    # Not ascontiguousarray, which would make a scalar one-dimensional.
    return np.require(array, dtype=np.float64, requirements="CA")


cdef object address_array(object addresses):
    array = np.asarray(addresses)
    kind = array.dtype.kind
    if kind == "f" and not isinstance(addresses, np.ndarray):
        # NumPy makes floats of integers on both sides of 2**63.
        array, kind = np.asarray(addresses, dtype=object), "O"
    if kind == "i":
        negative = array < 0
        if negative.any():
            raise outside(array[negative].flat[0])
    elif kind == "O" or (array.size == 0 and not isinstance(addresses, np.ndarray)):
        # Integers beyond int64 beside negative ones, or nothing at all.
        converted = np.empty(array.shape, dtype=np.uint64)
        for i, value in enumerate(array.flat):
            converted.flat[i] = address_of(value)
        return converted
    elif kind != "u":
        raise TypeError(f"addresses must be integers, not {array.dtype}")
    return np.require(array, dtype=np.uint64, requirements="CA")


cdef object outside(object value):
    return OutOfRangeError(f"address {shown(value)} is outside [0, 2**64)")


cdef uint64_t address_of(object value) except? 0xFFFF_FFFF_FFFF_FFFF:
    if not PyLong_CheckExact(value):
        if not PyIndex_Check(value):
            raise TypeError(f"an address must be an integer, not {type(value).__name__}")
        value = operator.index(value)
    try:
        return PyLong_AsUnsignedLongLong(value)
    except OverflowError:
        raise outside(value) from None


cdef size_t thread_count(object threads) except? 0:
    if threads is None:
        return 0
    if not PyIndex_Check(threads):
        raise TypeError(f"threads must be None or an integer, not {type(threads).__name__}")
    count = operator.index(threads)
    if not 1 <= count <= 4096:
        raise InvalidArgumentError(
            f"threads must be None (one a core) or from 1 to 4096, not {shown(count)}"
        )
    return count


cdef str shown(object value):
    # Python refuses to print an integer of thousands of digits.
    value = int(value)
    return str(value) if value.bit_length() <= 256 else f"of {value.bit_length()} bits"
