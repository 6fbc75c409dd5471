from gmemx.libgmemx cimport GMEM_DTYPE_FLOAT64
from gmemx.tensor cimport Tensor


def energy(Tensor tensor not None):
    """The sum of the squares of a tensor of float64, without Python and the GIL."""
    if tensor.c_dtype() != GMEM_DTYPE_FLOAT64 or not tensor.c_contiguous():
        raise ValueError("energy takes float64 in C order")
    cdef Py_ssize_t i
    cdef const double* values
    cdef double total = 0.0
    tensor.pin()  # until unpin it cannot be closed
    try:
        values = <const double*> tensor.c_data()
        with nogil:
            for i in range(tensor.c_size()):
                total += values[i] * values[i]
    finally:
        tensor.unpin()
    return total
