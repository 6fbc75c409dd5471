# cython: language_level=3, boundscheck=False, wraparound=False
"""Another project's extension: parts of virtual arrays without Python, linked to nothing of gmemx."""

from libc.stdint cimport int64_t, uint64_t

from gmemx cimport libgmemx
from gmemx.array cimport VirtualArray


cdef struct Described:
    libgmemx.gmem_array array
    uint64_t[65] shape
    int64_t[65] strides


def trace(VirtualArray array not None):
    """The sum of the diagonal of a float64 matrix, read row by row from nogil code."""
    cdef Described whole
    cdef libgmemx.gmem_array cell
    cdef double total = 0.0, number
    cdef uint64_t i
    array.describe(&whole.array, whole.shape, whole.strides)
    if whole.array.ndim != 2 or whole.array.dtype != libgmemx.GMEM_DTYPE_FLOAT64:
        raise ValueError("a matrix of float64 is wanted")
    with nogil:
        cell = whole.array
        cell.ndim = 0
        for i in range(min(whole.shape[0], whole.shape[1])):
            # Addresses are modulo 2^64, and so is this.
            cell.offset = whole.array.offset + i * <uint64_t> (whole.strides[0] + whole.strides[1])
            array.c_read(&cell, &number, 1, 1)
            total += number
    return total


def read(VirtualArray array not None, double[::1] out, size_t threads):
    """All elements of a float64 array into `out`, which must have as many."""
    cdef Described whole
    array.describe(&whole.array, whole.shape, whole.strides)
    with nogil:
        array.c_read(&whole.array, &out[0] if out.shape[0] else NULL, out.shape[0], threads)


def write(VirtualArray array not None, const double[::1] values):
    """Values in C order."""
    cdef Described whole
    array.describe(&whole.array, whole.shape, whole.strides)
    with nogil:
        array.c_write(&whole.array, &values[0], values.shape[0])


def extremes(VirtualArray array not None, size_t threads):
    """The least and the greatest element, and the sum, as float64."""
    cdef Described whole
    cdef double least, most, total
    array.describe(&whole.array, whole.shape, whole.strides)
    with nogil:
        array.c_fold(&whole.array, libgmemx.GMEM_ARRAY_FOLD_MIN, threads, &least)
        array.c_fold(&whole.array, libgmemx.GMEM_ARRAY_FOLD_MAX, threads, &most)
        array.c_fold(&whole.array, libgmemx.GMEM_ARRAY_FOLD_SUM, threads, &total)
    return least, most, total


def fold_of_number(VirtualArray array not None, int fold):
    """A reduction that may not exist."""
    cdef Described whole
    cdef double value
    array.describe(&whole.array, whole.shape, whole.strides)
    with nogil:
        array.c_fold(&whole.array, fold, 1, &value)
    return value
