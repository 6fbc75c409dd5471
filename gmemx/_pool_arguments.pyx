"""What callers hand to a pool, checked before anything is changed."""

from cpython.float cimport PyFloat_AsDouble
from cpython.long cimport PyLong_CheckExact
from cpython.number cimport PyIndex_Check

from gmemx._buffers cimport shown

import operator

from gmemx.errors import PoolArgumentError, PoolRangeError

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int*) except? -1


cdef object integer(object value, str name, object low, object high):
    if not PyIndex_Check(value):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    number = operator.index(value)
    if not low <= number <= high:
        raise PoolArgumentError(f"{name} must be from {low} to {high}, not {shown(number)}")
    return number


cdef size_t size_of(object size) except? 0:
    cdef long long number
    cdef int overflow = 0
    if PyLong_CheckExact(size):
        number = PyLong_AsLongLongAndOverflow(size, &overflow)
        # What is too much for the pool the core knows, and says.
        if overflow == 0 and number > 0:
            return number
    return integer(size, "size", 1, 2**63 - 1)


cdef uint32_t index_of(object meta_index) except? 0xFFFF_FFFF:
    cdef long long number
    cdef int overflow = 0
    if PyLong_CheckExact(meta_index):
        number = PyLong_AsLongLongAndOverflow(meta_index, &overflow)
        if overflow == 0 and 0 <= number < 0xFFFF_FFFF:
            return number
    elif not PyIndex_Check(meta_index):
        raise TypeError(f"meta_index must be an integer, not {type(meta_index).__name__}")
    found = operator.index(meta_index)
    if not 0 <= found < 0xFFFF_FFFF:
        raise PoolRangeError(f"no pool has a buffer {shown(found)}")
    return found


cdef int device_of(object device_id) except? -1:
    if not PyIndex_Check(device_id):
        raise TypeError(f"device_id must be an integer, not {type(device_id).__name__}")
    found = operator.index(device_id)
    if not 0 <= found < 2**31:
        raise PoolRangeError(f"there is no CUDA device {shown(found)}")
    return found


cdef double seconds_of(object timeout) except? -2.0:
    """Seconds, negative for ever."""
    cdef double seconds
    try:
        seconds = PyFloat_AsDouble(timeout)
    except TypeError:
        raise TypeError(
            f"timeout must be None or a number of seconds, not {type(timeout).__name__}"
        ) from None
    if not seconds >= 0.0:
        raise PoolArgumentError(f"timeout must be None or at least 0 seconds, not {timeout}")
    return -1.0 if seconds > 1e9 else seconds


cdef bytes name_of(object name):
    if not isinstance(name, str):
        raise TypeError(f"a pool's name is a string, not {type(name).__name__}")
    if "\0" in name:
        raise PoolArgumentError(f"a pool's name has no NUL in it, as {name!r} has")
    # The core refuses what is no UTF-8.
    return (<str> name).encode("utf-8", "surrogatepass")


cdef uint64_t budget_of(object size) except? 0:
    return 0 if size is None else integer(size, "size", 1, 2**63 - 1)
