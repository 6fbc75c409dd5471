# cython: language_level=3, boundscheck=False, wraparound=False
"""Another project's extension: loops over tensors without Python, linked to nothing of gmemx."""

from libc.stdint cimport int32_t, int64_t, uint8_t

from gmemx cimport libgmemx
from gmemx.tensor cimport Tensor, as_tensor, tensor_new, tensor_over


def description(Tensor tensor not None):
    """What the methods for nogil code say: dtype, shape, strides, sizes and flags."""
    cdef int ndim, dtype
    cdef Py_ssize_t size, nbytes
    cdef bint readonly, contiguous
    cdef const Py_ssize_t* shape
    cdef const Py_ssize_t* strides
    with nogil:
        ndim, dtype = tensor.c_ndim(), tensor.c_dtype()
        size, nbytes = tensor.c_size(), tensor.c_nbytes()
        readonly, contiguous = tensor.c_readonly(), tensor.c_contiguous()
        shape, strides = tensor.c_shape(), tensor.c_strides()
    return (
        dtype, tuple([shape[d] for d in range(ndim)]),
        None if strides is NULL else tuple([strides[d] for d in range(ndim)]),
        size, nbytes, readonly, contiguous, <size_t> tensor.c_data(),
    )


def total(Tensor tensor not None):
    """The sum of a matrix of float64, int32 or uint8, found by its pointer and strides."""
    cdef double sum = 0.0
    cdef Py_ssize_t i, j
    cdef const Py_ssize_t* shape
    cdef const Py_ssize_t* strides
    cdef char* row
    if tensor.c_ndim() != 2:
        raise ValueError("a matrix is wanted")
    tensor.pin()
    try:
        with nogil:
            shape, strides = tensor.c_shape(), tensor.c_strides()
            for i in range(shape[0]):
                row = tensor.c_data() + i * strides[0]
                for j in range(shape[1]):
                    if tensor.c_dtype() == libgmemx.GMEM_DTYPE_FLOAT64:
                        sum += (<double*> (row + j * strides[1]))[0]
                    elif tensor.c_dtype() == libgmemx.GMEM_DTYPE_INT32:
                        sum += (<int32_t*> (row + j * strides[1]))[0]
                    elif tensor.c_dtype() == libgmemx.GMEM_DTYPE_UINT8:
                        sum += (<uint8_t*> (row + j * strides[1]))[0]
    finally:
        tensor.unpin()
    return sum


def negate(Tensor tensor not None):
    """Changes the sign of every float32 of a contiguous tensor, which must be writable."""
    cdef Py_ssize_t i
    cdef float* data
    tensor.writable()
    if tensor.c_dtype() != libgmemx.GMEM_DTYPE_FLOAT32 or not tensor.c_contiguous():
        raise ValueError("contiguous float32 are wanted")
    with nogil:
        data = <float*> tensor.c_data()
        for i in range(tensor.c_size()):
            data[i] = -data[i]


def closes_while_pinned(Tensor tensor not None):
    """What close() says of a pinned tensor."""
    tensor.pin()
    try:
        tensor.close()
    except BufferError as error:
        return str(error)
    finally:
        tensor.unpin()


def live(Tensor tensor not None):
    """Raises for a closed tensor."""
    tensor.live()


def ramp(Py_ssize_t n):
    """A new tensor of 0.0, 1.0 and so on, and of as many zeros."""
    cdef Tensor made = tensor_new(libgmemx.GMEM_DTYPE_FLOAT64, 1, &n, False)
    cdef Py_ssize_t i
    with nogil:
        for i in range(n):
            (<double*> made.c_data())[i] = i
    return made, tensor_new(libgmemx.GMEM_DTYPE_INT4, 1, &n, True)


def columns(object keeper, bytearray data, Py_ssize_t n, bint readonly):
    """A tensor over another's memory in Fortran order, kept by `keeper`."""
    cdef Py_ssize_t[2] shape
    cdef Py_ssize_t[2] strides
    shape[0], shape[1] = n, len(data) // n
    strides[0], strides[1] = 1, n
    return tensor_over(
        <char*> data, libgmemx.GMEM_DTYPE_UINT8, 2, shape, strides, readonly, keeper)


def operand(object value):
    """What a function of tensors makes of its argument."""
    return as_tensor(value, -1)


def view_size(Tensor tensor not None):
    """The sum of the extents in a gmem_view, for the functions of gmemx.h."""
    cdef libgmemx.gmem_view view
    cdef int64_t sum = 0
    cdef int d
    with nogil:
        view = tensor.c_view()
        for d in range(view.ndim):
            sum += view.shape[d]
    return sum, view.dtype


def scale(double[:, :] matrix, double factor):
    """Multiplies in place, through a typed memoryview of any strides."""
    cdef Py_ssize_t i, j
    with nogil:
        for i in range(matrix.shape[0]):
            for j in range(matrix.shape[1]):
                matrix[i, j] *= factor


def dot(const float[::1] a, const float[::1] b):
    """The product of two vectors, which may be read-only."""
    cdef double sum = 0.0
    cdef Py_ssize_t i
    with nogil:
        for i in range(a.shape[0]):
            sum += <double> a[i] * b[i]
    return sum


def corner(const int64_t[:, :, ::1] cube):
    """The last element."""
    return cube[cube.shape[0] - 1, cube.shape[1] - 1, cube.shape[2] - 1]
