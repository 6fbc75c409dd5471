"""Single elements: between memory and Python's numbers."""

from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.number cimport PyIndex_Check
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gmemx cimport libgmemx
from gmemx._buffers cimport shown
from gmemx._dtypes cimport (
    BOOL, FLOAT32, FLOAT64, GMEMX_DTYPES, INT4, INT8, INT64, UINT8, UINT64, dtype_of_code,
)
from gmemx.status cimport check

import operator

import numpy as np

from gmemx.errors import ValueOverflowError

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int*) except? -1


cdef int dtype_of_scalar(object value) except -1:
    if isinstance(value, (bool, np.bool_)):
        return BOOL
    if PyIndex_Check(value):
        return UINT64 if operator.index(value) > 0x7FFF_FFFF_FFFF_FFFF else INT64
    return FLOAT64


cdef object load(int code, const char* p, Py_ssize_t nibble):
    cdef double number
    cdef float single
    cdef int64_t i64
    cdef uint64_t u64
    cdef int32_t i32
    cdef uint32_t u32
    cdef int16_t i16
    cdef uint16_t u16
    cdef libgmemx.gmem_view source, target
    if code == FLOAT64:
        memcpy(&number, p, 8)
        return number
    if code == FLOAT32:
        memcpy(&single, p, 4)
        return <double> single
    if code == BOOL:
        return p[0] != 0
    if code == INT8:
        return <int8_t> p[0]
    if code == UINT8:
        return <uint8_t> p[0]
    if code == INT4:
        i32 = ((<const uint8_t*> p)[nibble >> 1] >> ((nibble & 1) * 4)) & 15
        return i32 - 16 if i32 > 7 else i32
    if GMEMX_DTYPES[code].kind == b"i":
        if GMEMX_DTYPES[code].itemsize == 8:
            memcpy(&i64, p, 8)
            return i64
        if GMEMX_DTYPES[code].itemsize == 4:
            memcpy(&i32, p, 4)
            return i32
        memcpy(&i16, p, 2)
        return i16
    if GMEMX_DTYPES[code].kind == b"u":
        if GMEMX_DTYPES[code].itemsize == 8:
            memcpy(&u64, p, 8)
            return u64
        if GMEMX_DTYPES[code].itemsize == 4:
            memcpy(&u32, p, 4)
            return u32
        memcpy(&u16, p, 2)
        return u16
    source = point(<char*> p, code)
    target = point(<char*> &number, FLOAT64)
    check(libgmemx.gmem_tensor_copy(&source, &target, 1))
    return number


cdef object not_a_number(int code, object value):
    return TypeError(f"a {dtype_of_code(code)} tensor takes numbers, not {type(value).__name__}")


cdef bint store_integer(int code, char* p, object value) except -1:
    """Writes a plain integer; false, and nothing is done, where it may not fit or is to be a float."""
    cdef int overflow, bits = GMEMX_DTYPES[code].bits
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef int64_t low, high
    cdef int32_t i32
    cdef int16_t i16
    if overflow:
        return False
    if GMEMX_DTYPES[code].kind == b"i":
        high = (<int64_t> 1 << (bits - 2)) - 1 + (<int64_t> 1 << (bits - 2))
        low = -high - 1
    elif GMEMX_DTYPES[code].kind == b"u":
        low, high = 0, 0x7FFF_FFFF_FFFF_FFFF if bits == 64 else (<int64_t> 1 << bits) - 1
    else:
        return False
    if not low <= number <= high:
        return False
    # What is cut off tells nothing more, with a sign or without.
    if bits == 64:
        memcpy(p, &number, 8)
    elif bits == 32:
        i32 = <int32_t> number
        memcpy(p, &i32, 4)
    elif bits == 16:
        i16 = <int16_t> number
        memcpy(p, &i16, 2)
    else:
        p[0] = <char> number
    return True


cdef int store(int code, char* p, Py_ssize_t nibble, object value) except -1:
    cdef double number
    cdef float single
    cdef int64_t i64
    cdef uint64_t u64
    cdef uint8_t* byte
    cdef libgmemx.gmem_view source, target
    if PyFloat_CheckExact(value):
        number = PyFloat_AS_DOUBLE(value)
        if code == FLOAT64:
            memcpy(p, &number, 8)
            return 0
        if code == FLOAT32:
            single = <float> number
            memcpy(p, &single, 4)
            return 0
    if PyLong_CheckExact(value) and code != INT4 and store_integer(code, p, value):
        return 0
    kind = GMEMX_DTYPES[code].kind
    if kind == b"f":
        if isinstance(value, (str, bytes)):
            raise not_a_number(code, value)
        try:
            number = float(value)
        except TypeError:
            raise not_a_number(code, value) from None
        except OverflowError:
            raise ValueOverflowError(
                f"{shown(value)} is too large for {dtype_of_code(code)}") from None
        source, target = point(<char*> &number, FLOAT64), point(p, code)
    else:
        if kind == b"b":
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"a bool tensor takes True or False, not {type(value).__name__}")
            p[0] = 1 if value else 0
            return 0
        if not PyIndex_Check(value):
            raise TypeError(
                f"a {dtype_of_code(code)} tensor takes integers, not {type(value).__name__}")
        value = operator.index(value)
        bits = GMEMX_DTYPES[code].bits
        low = 0 if kind == b"u" else -(1 << bits - 1)
        high = low + (1 << bits) - 1
        if not low <= value <= high:
            raise ValueOverflowError(
                f"{shown(value)} does not fit in {dtype_of_code(code)}, which is from {low} to {high}")
        if code == INT4:
            byte = <uint8_t*> p + (nibble >> 1)
            bits = (value & 15) << 4 * (nibble & 1)
            byte[0] = (byte[0] & (0x0F if nibble & 1 else 0xF0)) | <uint8_t> bits
            return 0
        if kind == b"u":
            u64 = value
            source = point(<char*> &u64, UINT64)
        else:
            i64 = value
            source = point(<char*> &i64, INT64)
        target = point(p, code)
    check(libgmemx.gmem_tensor_copy(&source, &target, 1))
    return 0


cdef libgmemx.gmem_view point(char* p, int code) noexcept:
    cdef libgmemx.gmem_view view
    view.data = p
    view.shape = NULL
    view.strides = NULL
    view.ndim = 0
    view.dtype = code
    return view
