"""Virtual arrays for other extensions."""
cimport cython
from libc.stdint cimport int64_t, uint64_t

from gmemx cimport libgmemx
from gmemx.generative cimport GMemContext


@cython.final
cdef class VirtualArray:
    cdef readonly GMemContext context
    # A gmemx.distributions.Distribution, and the same for the functions of gmemx.h.
    cdef readonly object distribution
    cdef libgmemx.gmem_distribution drawn
    # The memory that `drawn` points to.
    cdef object values, cumulative
    # numpy.dtype, and its gmem_dtype.
    cdef readonly object dtype
    cdef int code
    # Python's integers, which have no end; strides count cells.
    cdef readonly object offset
    cdef readonly tuple shape
    cdef readonly tuple strides
    cdef object __weakref__

    # Another part of the same context, with the same elements.
    cdef VirtualArray part(self, object offset, tuple shape, tuple strides)
    # The array as the C functions take it; the two arrays have room for 65 dimensions.
    cdef int describe(
        self, libgmemx.gmem_array* out, uint64_t* shape, int64_t* strides) except -1
    cdef int read(self, void* out, size_t threads) except -1
