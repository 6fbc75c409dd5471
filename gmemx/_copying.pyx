"""Copies of elements; knows views and no tensor."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from gmemx cimport libgmemx
from gmemx._dtypes cimport GMEMX_DTYPES
from gmemx.status cimport check

cdef enum:
    # Bytes up to which a copy of a row of bytes is done before another thread would miss
    # the GIL: some 2 us.
    SHORT_COPY = 1 << 16


cdef int copy_elements(
    const libgmemx.gmem_view* source, const libgmemx.gmem_view* target, Py_ssize_t nbytes,
    size_t threads
) except -1:
    if 0 < nbytes <= SHORT_COPY and are_alike(source, target):
        memcpy(target.data, source.data, nbytes)
    elif nbytes < LONG_WORK:
        check(libgmemx.gmem_tensor_copy(source, target, 1))
    else:
        with nogil:
            check(libgmemx.gmem_tensor_copy(source, target, threads))
    return 0


cdef bint are_alike(const libgmemx.gmem_view* a, const libgmemx.gmem_view* b) noexcept:
    """Whether both have one dtype and shape, and lie in C order without gaps."""
    cdef int64_t step = GMEMX_DTYPES[a.dtype].itemsize
    cdef int d
    if a.dtype != b.dtype or a.ndim != b.ndim:
        return False
    for d in range(a.ndim - 1, -1, -1):
        if a.shape[d] != b.shape[d]:
            return False
        # int4, which has no step, is not looked at: packed elements have no strides.
        if a.shape[d] != 1:
            if a.strides[d] != step or b.strides[d] != step:
                return False
            step *= a.shape[d]
    return step > 0
