"""Generative memory for other extensions.

``from gmemx.generative cimport GMemContext``, then call the ``c_`` methods from
nogil code: no Python, no linking. The order of the methods is part of the
binary interface: add new ones at the end only.
"""
cimport cython
from libc.stdint cimport uint64_t

from gmemx cimport libgmemx


# The one object that it keeps does not keep it, so it needs no garbage collector.
@cython.no_gc
@cython.final
cdef class GMemContext:
    # The handle itself, for the functions of gmemx.h; never NULL, lives as long as the object.
    cdef libgmemx.gmem_context* ptr
    cdef object __weakref__
    # What follows is the class's own affair.
    cdef bint shut
    cdef long process
    cdef object flusher

    # One cell.
    cdef double c_fetch(self, uint64_t address) noexcept nogil
    # MemoryError where the overlay cannot grow.
    cdef int c_write(self, uint64_t address, double value) except -1 nogil
    # n cells from `start` on, wrapping past 2**64 - 1; threads = 0 means one a core.
    cdef int c_read(
        self, uint64_t start, double* out, size_t n, size_t threads
    ) except -1 nogil
    cdef int c_read_many(
        self, const uint64_t* addresses, double* out, size_t n, size_t threads
    ) except -1 nogil
    cdef int c_write_many(
        self, const uint64_t* addresses, const double* values, size_t n, size_t threads
    ) except -1 nogil
    # ValueError once it is closed.
    cdef int check_open(self) except -1
