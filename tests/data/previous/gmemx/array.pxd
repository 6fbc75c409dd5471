"""Virtual arrays for other extensions.

``from gmemx.array cimport VirtualArray``, then `describe` an array once and call the ``c_``
methods from nogil code: no linking. The order of the methods is part of the binary interface:
add new ones at the end only.
"""
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
    # All elements in C order into `out`, which has room for `n` of the array's dtype; `described`
    # is what `describe` made of the array or of a part of it. threads = 0 means one a core.
    cdef int c_read(
        self, const libgmemx.gmem_array* described, void* out, size_t n, size_t threads
    ) except -1 nogil
    # Writes n elements, given as float64 in C order.
    cdef int c_write(
        self, const libgmemx.gmem_array* described, const double* values, size_t n
    ) except -1 nogil
    # What the elements come to; `fold` is a gmem_array_fold.
    cdef int c_fold(
        self, const libgmemx.gmem_array* described, int fold, size_t threads, double* value
    ) except -1 nogil
