"""Products of matrices that are never stored."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t

from gmemx cimport libgmemx
from gmemx._array_parts cimport no_room
from gmemx.array cimport VirtualArray
from gmemx.status cimport check

import os

import numpy as np

from gmemx import _array_layout as layout
from gmemx.errors import InvalidArgumentError

# Columns of a matrix that are added up in one go: steps must be whole ones.
cdef object SPAN = 1 << 14


cdef object operand(object x, int ndim):
    """What a matrix is multiplied by, as a C-contiguous matrix of float64."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a product needs real numbers, not {array.dtype}")
    if array.ndim != ndim:
        raise InvalidArgumentError(
            f"this product needs an array of {ndim} dimensions, not of {array.ndim}")
    array = np.require(array, np.float64, "CA")
    return array.reshape(-1, 1) if ndim == 1 else array


cdef object product(VirtualArray matrix, object x, size_t threads):
    """The product, in steps that leave every bit as it is: whole rows, and whole spans."""
    cdef libgmemx.gmem_array spec
    cdef uint64_t[65] shape
    cdef int64_t[65] strides
    cdef const double[:, ::1] factors = x
    cdef double[:, ::1] sums
    cdef size_t width = x.shape[1]
    cdef size_t i, j
    cdef VirtualArray step
    cdef double* target
    cdef const double* source
    if len(matrix.shape) != 2:
        raise InvalidArgumentError(
            f"a product needs a matrix, and this array has {len(matrix.shape)} dimensions")
    if matrix.shape[1] != x.shape[0]:
        raise InvalidArgumentError(
            f"matrices of shape {matrix.shape} and {x.shape} cannot be multiplied")
    m, n = matrix.shape
    if m * max(width, 1) >= layout.TOO_MANY:
        raise no_room(matrix)
    try:
        result = np.zeros((m, width))
    except (MemoryError, ValueError):
        raise no_room(matrix) from None
    if m == 0 or n == 0 or width == 0:
        return result
    sums = result
    workers = threads if threads else os.cpu_count() or 1
    cells = (1 << 24) * min(workers, 64) // max(1, width // 8)
    rows = max(512, cells // min(n, SPAN))
    columns = max(1, cells // (rows * SPAN)) * SPAN
    for top in range(0, m, rows):
        for left in range(0, n, columns):
            step = matrix[top:top + rows, left:left + columns]
            step.describe(&spec, shape, strides)
            i, j = top, left
            target, source = &sums[i, 0], &factors[j, 0]
            with nogil:
                check(libgmemx.gmem_array_add_product(
                    matrix.context.ptr, &spec, source, width, target, threads))
            PyErr_CheckSignals()
    return result
