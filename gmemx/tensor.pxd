"""Tensors for other extensions.

``from gmemx.tensor cimport Tensor``, then call the ``c_`` methods from nogil code: no
Python, no linking. Hold a reference to the tensor, and `pin` it, while the pointers are in
use: a pinned tensor cannot be closed. The order of the methods is part of the binary
interface: add new ones at the end only.
"""
cimport cython

from gmemx cimport libgmemx


# No tp_clear: a tensor counts itself out of its base when it goes, and needs the base for
# that. A cycle through it is cut at the owner, which is what refers back.
@cython.final
@cython.no_gc_clear
cdef class Tensor:
    # The first element; NULL where there is none or the tensor is closed.
    cdef char* ptr
    # Extents, and distances in bytes; `ndim` of each. Strides mean nothing for int4.
    cdef Py_ssize_t* extents
    cdef Py_ssize_t* steps
    cdef int dims
    # The number of its gmem_dtype.
    cdef int code
    cdef int flags
    # Exports, views and calls that use the memory now; it cannot be closed before they end.
    cdef Py_ssize_t uses
    # Memory of its own, or NULL.
    cdef void* memory
    # The tensor this is a view of, or None.
    cdef Tensor base
    # What keeps the memory of a tensor that is not of its own.
    cdef object keeper
    cdef Py_ssize_t[8] room
    # How an int4 tensor appears to the buffer protocol: that many bytes.
    cdef Py_ssize_t[2] packed
    cdef object __weakref__

    cdef char* c_data(self) noexcept nogil
    cdef int c_ndim(self) noexcept nogil
    cdef const Py_ssize_t* c_shape(self) noexcept nogil
    # In bytes; NULL for int4, which is packed in C order.
    cdef const Py_ssize_t* c_strides(self) noexcept nogil
    # A gmem_dtype.
    cdef int c_dtype(self) noexcept nogil
    # Elements, and the bytes they take.
    cdef Py_ssize_t c_size(self) noexcept nogil
    cdef Py_ssize_t c_nbytes(self) noexcept nogil
    cdef bint c_readonly(self) noexcept nogil
    cdef bint c_contiguous(self) noexcept nogil
    # For the functions of gmemx.h; valid while the tensor lives.
    cdef libgmemx.gmem_view c_view(self) noexcept nogil
    # Raises ValueError for a closed tensor; needs the GIL, as unpin does.
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
    # ValueError for a closed tensor, and for one that may not be written.
    cdef int live(self) except -1
    cdef int writable(self) except -1


# A tensor over memory that `keeper` keeps alive; `strides` in bytes, NULL for C order.
cdef Tensor tensor_over(
    void* data, int dtype, int ndim, const Py_ssize_t* shape, const Py_ssize_t* strides,
    bint readonly, object keeper)
# A new tensor with memory of its own, in C order.
cdef Tensor tensor_new(int dtype, int ndim, const Py_ssize_t* shape, bint zeroed)
# The same of one that was made without calling __init__.
cdef int tensor_begin(
    Tensor self, int dtype, int ndim, const Py_ssize_t* shape, bint zeroed) except -1
# An operand: a tensor as it is, a number in that dtype (-1: its own), or data as a tensor.
cdef Tensor as_tensor(object value, int dtype)
