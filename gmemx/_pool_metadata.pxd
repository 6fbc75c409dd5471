"""What holders of a buffer tell each other about it: the C struct, to and from Python.

Knows nothing of pools. The struct lies in shared memory that others write: whatever is
read of it is checked before it is used.
"""

from gmemx cimport libgmemx

cdef enum:
    MAX_POOL_NDIM = 8


# Where the elements of a buffer are.
ctypedef struct Layout:
    int code
    int ndim
    Py_ssize_t[64] shape
    Py_ssize_t[64] strides
    # Whether they lie in C order without gaps.
    bint contiguous


# The number of a dtype; PoolArgumentError for an unknown one.
cdef int pool_code(object dtype) except -1
# Bytes of a C-order tensor; fills in the layout.
cdef Py_ssize_t plan(object dtype, object shape, Layout* out) except -1
# How `size` bytes are seen: as told, but for a dtype (-1: as told) and a shape (None) given.
cdef int layout(
    const libgmemx.gmem_buffer_meta* meta, size_t size, int code, object shape, Layout* out
) except -1
# Puts a layout into the struct.
cdef void describe(libgmemx.gmem_buffer_meta* meta, const Layout* planned) noexcept
# Changes what `values` names, all or nothing; PoolArgumentError where it does not fit `size`.
cdef int change(libgmemx.gmem_buffer_meta* meta, size_t size, dict values) except -1
# All of it by name.
cdef dict told(const libgmemx.gmem_buffer_meta* meta)
