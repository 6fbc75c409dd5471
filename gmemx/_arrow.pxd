"""The Arrow C data interface for one-dimensional tensors. Knows nothing of Tensor.

https://arrow.apache.org/docs/format/CDataInterface.html
"""

from libc.stdint cimport int64_t


ctypedef struct ArrowSchema:
    const char* format
    const char* name
    const char* metadata
    int64_t flags
    int64_t n_children
    ArrowSchema** children
    ArrowSchema* dictionary
    void (*release)(ArrowSchema*) noexcept
    void* private_data

ctypedef struct ArrowArray:
    int64_t length
    int64_t null_count
    int64_t offset
    int64_t n_buffers
    int64_t n_children
    const void** buffers
    ArrowArray** children
    ArrowArray* dictionary
    void (*release)(ArrowArray*) noexcept
    void* private_data


# Somebody else's array; released when this goes.
cdef class Imported:
    cdef ArrowArray array
    cdef int dtype
    cdef char* data

# The capsule of a schema for elements of a dtype.
cdef object schema_capsule(int dtype)
# The capsule of an array of `n` elements at `data`, which keeps `keeper` and counts in `*uses`.
cdef object array_capsule(object keeper, Py_ssize_t* uses, int dtype, const char* data, Py_ssize_t n)
# What a pair of capsules holds; BufferError for what no tensor is.
cdef Imported take(object schema, object array)
