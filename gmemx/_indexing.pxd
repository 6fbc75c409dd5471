"""Shapes, strides and what an index does to them. Knows nothing of Tensor."""

from libc.stdint cimport uint64_t


cdef enum:
    MAX_NDIM = 64


# A tensor's geometry, and that of a part of it.
ctypedef struct Geometry:
    int code
    int ndim
    const Py_ssize_t* shape
    const Py_ssize_t* strides

ctypedef struct Part:
    int ndim
    Py_ssize_t[64] shape
    Py_ssize_t[64] strides
    # Bytes from the tensor's first element to the part's.
    Py_ssize_t offset
    # For a single element of int4: which one it is.
    Py_ssize_t nibble


# A shape as a tuple.
cdef tuple shape_of(int ndim, const Py_ssize_t* shape)
# Writes a shape's extents to `out`, room for MAX_NDIM, and returns how many.
cdef int parse_shape(object shape, Py_ssize_t* out) except -1
# Writes to `part` a shape of `size` elements, where -1 stands for what is left; ValueError if
# nothing makes it so many.
cdef int completed(tuple shape, Py_ssize_t size, const Geometry* whole, Part* part) except -1
# Bytes of a C-order tensor; ValueError where they would not fit in the address space.
cdef Py_ssize_t checked_bytes(int code, int ndim, const Py_ssize_t* shape) except -1
# Writes the strides of C order.
cdef void c_order(int code, int ndim, const Py_ssize_t* shape, Py_ssize_t* strides) noexcept
# Writes the strides with which `part.shape` walks the same elements; ValueError where it cannot.
cdef int restride(const Geometry* whole, Part* part) except -1
# The part of a tensor that an index names; `scalar` where `is_scalar_key` says so.
cdef int select(const Geometry* whole, object key, bint scalar, Part* part) except -1
# Whether an index names one element, so that its value and no view is meant.
cdef bint is_scalar_key(int ndim, object key)
# Whether an index is plain integers, one a dimension; then the bytes to that element, which is
# not one of int4.
cdef bint is_element(const Geometry* whole, object key, Py_ssize_t* offset) except -1
# The number of the dimension that `axis` names; IndexError where there is none.
cdef int axis_of(const Geometry* whole, object axis) except -1
# `index` in dimension d, counted from the front.
cdef Py_ssize_t position(const Geometry* whole, object index, int d) except -1
# The bits of the dimensions that `axis` names, an int or a tuple; all for None.
cdef uint64_t axes_of(const Geometry* whole, object axis) except? 0
# Moves two pointers from the first element to the ends of the memory.
cdef void span(const Geometry* whole, char** low, char** high) noexcept
# Whether the memory that two tensors span overlaps.
cdef bint overlap(const Geometry* a, char* a_data, const Geometry* b, char* b_data) noexcept
