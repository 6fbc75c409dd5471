"""Reductions of virtual arrays, whose elements are folded as they are made."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t

from gmemx cimport libgmemx
from gmemx._array_parts cimport no_room, piece
from gmemx._buffers cimport shown, thread_count
from gmemx.array cimport VirtualArray
from gmemx.generative cimport GMemContext
from gmemx.status cimport check

import math
import operator
import os

import numpy as np

from gmemx import _array_layout as layout
from gmemx.errors import InvalidArgumentError

# Elements between two looks for Ctrl-C: some tens of milliseconds.
cdef uint64_t FOLD_PATIENCE = 1 << 23


cdef int refuse(object dtype, object out) except -1:
    if dtype is not None or out is not None:
        raise TypeError("reductions of virtual arrays take neither dtype nor out")
    return 0


@cython.internal
cdef class Folding:
    """A reduction under way."""

    cdef libgmemx.gmem_array_folding* ptr

    def __dealloc__(self):
        libgmemx.gmem_array_folding_free(self.ptr)

    cdef int finish(self, GMemContext context, size_t threads) except -1:
        cdef uint64_t left = 1
        cdef uint64_t step = FOLD_PATIENCE * min(threads if threads else os.cpu_count() or 1, 64)
        while left:
            with nogil:
                check(libgmemx.gmem_array_folding_carry_on(
                    self.ptr, context.ptr, step, threads, &left))
            PyErr_CheckSignals()
        return 0


cdef object folded(VirtualArray array, int fold, object threads):
    cdef libgmemx.gmem_array spec
    cdef uint64_t[65] shape
    cdef int64_t[65] strides
    cdef size_t workers = thread_count(threads)
    cdef Folding folding = Folding.__new__(Folding)
    cdef double value
    cdef int64_t high
    cdef uint64_t low
    array.describe(&spec, shape, strides)
    check(libgmemx.gmem_array_folding_new(&spec, fold, &folding.ptr))
    folding.finish(array.context, workers)
    if fold == libgmemx.GMEM_ARRAY_FOLD_SUM and array.dtype.kind != "f":
        check(libgmemx.gmem_array_folding_exact(folding.ptr, &high, &low))
        return (<object> high << 64) + low
    check(libgmemx.gmem_array_folding_value(folding.ptr, &value))
    if fold == libgmemx.GMEM_ARRAY_FOLD_MIN or fold == libgmemx.GMEM_ARRAY_FOLD_MAX:
        if array.dtype.kind == "b":
            return value != 0
        if array.dtype.kind != "f":
            # The greatest integers of 64 bits are rounded up as float64.
            return min(int(value), int(np.iinfo(array.dtype).max))
    return value


cdef object counted(VirtualArray array, object edges, object threads):
    cdef libgmemx.gmem_array spec
    cdef uint64_t[65] shape
    cdef int64_t[65] strides
    cdef size_t workers = thread_count(threads)
    cdef Folding folding = Folding.__new__(Folding)
    cdef const double[::1] bounds = edges
    cdef size_t n = bounds.shape[0]
    cdef const double* first = &bounds[0] if n else NULL
    array.describe(&spec, shape, strides)
    check(libgmemx.gmem_array_histogram_new(&spec, first, n, &folding.ptr))
    folding.finish(array.context, workers)
    counts = np.empty(n - 1, np.uint64)
    cdef uint64_t[::1] room = counts
    check(libgmemx.gmem_array_folding_counts(folding.ptr, &room[0], n - 1))
    return counts.astype(np.int64)


cdef object histogram_of(VirtualArray array, object bins, object range, object threads):
    thread_count(threads)
    if np.ndim(bins) == 0:
        if operator.index(bins) < 1:
            raise InvalidArgumentError(f"a histogram has at least one bin, not {shown(bins)}")
        low, high = limits(array, threads) if range is None else map(float, range)
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise InvalidArgumentError(
                f"a histogram needs finite edges that do not fall, not {low} and {high}")
        edges = np.histogram_bin_edges(np.empty(0), bins, (low, high))
    else:
        edges = np.require(bins, np.float64, "C")
        if edges.ndim != 1:
            raise InvalidArgumentError("bins must be a number or one row of edges")
    return counted(array, edges, threads), edges


cdef object limits(VirtualArray array, object threads):
    """The outer edges of a histogram that was not told any."""
    low, high = array.distribution.support
    bounded = math.isfinite(low) and math.isfinite(high)
    if array.size == 0:
        return (low, high) if bounded else (0.0, 1.0)
    if bounded and array.context.overlay_count == 0:
        return float(low), float(high)
    least, most = array.min(threads=threads), array.max(threads=threads)
    return (float(min(low, least)), float(max(high, most))) if bounded else (
        float(least), float(most))


cdef object along(
    VirtualArray array, object axis, object one, str name, object dtype, object threads,
    object ddof=None,
):
    """A reduction along one axis: by NumPy, of as many rows as fit into the near caches."""
    thread_count(threads)
    d = layout.axis_of(axis, array.ndim)
    rest = [other for other in range(array.ndim) if other != d]
    rows = <VirtualArray> array.transpose([*rest, d])
    kept, extent = rows.shape[:-1], rows.shape[-1]
    if extent == 0 and name in ("min", "max"):
        raise InvalidArgumentError(f"{name} along an axis of no elements")
    if math.prod(kept) >= layout.TOO_MANY:
        raise no_room(array)
    try:
        result = np.empty(kept, dtype)
    except (MemoryError, ValueError):
        raise no_room(array) from None
    whole_rows = extent <= layout.PATIENCE
    for leading, run in layout.parts(kept, max(1, layout.PATIENCE // max(extent, 1)) if whole_rows else 1):
        key = leading if run is None else (*leading, run)
        some = piece(rows, leading, run)
        if whole_rows:
            result[key if key else ...] = one(some.numpy(threads))
            continue
        more = {} if ddof is None else {"ddof": ddof}
        result[key if key else ...] = getattr(some, name)(threads=threads, **more)
    return result if kept else result[()]
