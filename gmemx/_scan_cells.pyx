"""Values at many addresses at once."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint8_t, uint64_t

from gmemx cimport libgmemx
from gmemx._buffers cimport address_array
from gmemx._scan_source cimport Source, unreadable, unwritable
from gmemx._scan_values cimport DTYPES, SIZES, type_of, value_array
from gmemx.status cimport check

import sys

import numpy as np

from gmemx.errors import InvalidArgumentError

# Values between two looks for Ctrl-C: some tens of milliseconds.
cdef size_t PATIENCE = 1 << 16


def read_many(Source source not None, addresses, type, bint partial):
    """`Source.read_many`."""
    cdef bint big = False
    cdef int kind = type_of(type, &big)
    where = address_array(addresses)
    values, done = np.zeros(where.shape, DTYPES[kind]), np.zeros(where.shape, np.uint8)
    cdef const uint64_t[::1] at = where.reshape(-1)
    cdef uint8_t[::1] ok = done.reshape(-1)
    cdef uint8_t[::1] raw = values.reshape(-1).view(np.uint8)
    cdef size_t n = at.shape[0], size = SIZES[kind]
    cdef size_t i = 0, part
    source.pin()
    try:
        while i < n:
            part = min(PATIENCE, n - i)
            with nogil:
                check(libgmemx.gmem_source_read_many(
                    source.ptr, &at[i], part, size, &raw[i * size], &ok[i]))
            i += part
            PyErr_CheckSignals()
    finally:
        source.unpin()
    done = done.view(np.bool_)
    if not done.all():
        if not partial:
            raise unreadable(int(where[~done].flat[0]), 0, size)
        # Of those that end in a hole the beginning may have been read.
        values[~done] = 0
    if big != (sys.byteorder == "big"):
        values.byteswap(inplace=True)
    return (values, done) if partial else values


def write_many(Source source not None, addresses, values, type, bint force, bint partial):
    """`Source.write_many`."""
    cdef bint big = False
    cdef int kind = type_of(type, &big)
    where, given = address_array(addresses), value_array(values, kind)
    if given.ndim and given.shape != where.shape:
        raise InvalidArgumentError(
            f"values must be one, or have the addresses' shape {where.shape}, not {given.shape}")
    given = np.ascontiguousarray(np.broadcast_to(given, where.shape))
    if big != (sys.byteorder == "big"):
        given = given.byteswap()
    done = np.zeros(where.shape, np.uint8)
    cdef const uint64_t[::1] at = where.reshape(-1)
    cdef uint8_t[::1] ok = done.reshape(-1)
    cdef const uint8_t[::1] raw = given.reshape(-1).view(np.uint8)
    cdef size_t n = at.shape[0], size = SIZES[kind]
    cdef size_t i = 0, part
    source.pin()
    try:
        while i < n:
            part = min(PATIENCE, n - i)
            with nogil:
                check(libgmemx.gmem_source_write_many(
                    source.ptr, &at[i], part, size, &raw[i * size], force, &ok[i]))
            i += part
            PyErr_CheckSignals()
    finally:
        source.unpin()
    done = done.view(np.bool_)
    if partial:
        return done
    if not done.all():
        raise unwritable(int(where[~done].flat[0]), force)
    return int(done.size)
