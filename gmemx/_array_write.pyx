"""Values as cells of virtual arrays: converted without loss or refused, then written."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t

from gmemx cimport libgmemx
from gmemx._array_parts cimport no_room, piece, room_for
from gmemx._buffers cimport shown
from gmemx.array cimport VirtualArray

import numpy as np

from gmemx import _array_layout as layout
from gmemx.errors import InvalidArgumentError, ValueOverflowError


cdef int assign(VirtualArray array, object value) except -1:
    """Writes broadcast values to all elements; nothing is written where one does not fit."""
    cdef libgmemx.gmem_array spec
    cdef uint64_t[65] shape
    cdef int64_t[65] strides
    cdef const double[::1] cells
    cdef size_t n
    cdef VirtualArray step
    given = value.numpy() if isinstance(value, VirtualArray) else value
    numbers = held(array.dtype, given)
    while numbers.ndim > len(array.shape) and numbers.shape[0] == 1:
        numbers = numbers[0]
    if array.size >= layout.TOO_MANY:
        raise no_room(array)
    try:
        spread = np.broadcast_to(numbers, array.shape)
    except ValueError:
        raise InvalidArgumentError(
            f"could not broadcast values of shape {numbers.shape} to shape {array.shape}"
        ) from None
    # A written cell takes 8 bytes and more: what cannot be had is refused before the first.
    room_for(array, (array.size * (8 // array.dtype.itemsize),))
    for leading, run in layout.parts(array.shape, layout.PATIENCE // 4):
        step = piece(array, leading, run)
        key = leading if run is None else (*leading, run)
        part = np.ascontiguousarray(spread[key if key else ...], np.float64).reshape(-1)
        cells = part
        n = cells.shape[0]
        step.describe(&spec, shape, strides)
        with nogil:
            array.c_write(&spec, &cells[0], n)
        PyErr_CheckSignals()
    return 0


cdef object held(object dtype, object value):
    """Values as float64 cells of elements of that dtype, exactly."""
    array = np.asarray(value)
    kind = array.dtype.kind
    if kind == "f" and not isinstance(value, (float, np.ndarray, np.generic)):
        # NumPy makes floats of integers on both sides of 2**63.
        if array.size and not np.nanmax(np.abs(array), initial=0) < 2**53:
            array, kind = np.asarray(value, dtype=object), "O"
    if kind == "O":
        array = unboxed(dtype, array)
    elif kind not in "fiub":
        raise TypeError(f"values must be real numbers, not {array.dtype}")
    if dtype.kind == "b":
        return (array != 0).astype(np.float64)
    if dtype.kind in "iu":
        array = whole(dtype, array)
    if array.dtype.kind in "iu":
        array = exactly(array)
    with np.errstate(over="ignore"):
        return array.astype(dtype).astype(np.float64) if dtype == np.float32 else (
            array.astype(np.float64))


cdef object unboxed(object dtype, object array):
    """Python's numbers, among them integers beyond 64 bits, as float64 if that is exact."""
    numbers = []
    for one in array.flat:
        if isinstance(one, (float, np.floating)):
            numbers.append(float(one))
            continue
        if not isinstance(one, (int, np.integer, np.bool_)):
            raise TypeError(f"values must be real numbers, not {type(one).__name__}")
        one = int(one)
        if dtype.kind == "b":
            one = int(one != 0)
        if one.bit_length() > 1023 or int(float(one)) != one:
            raise not_exact(one)
        numbers.append(float(one))
    return np.array(numbers, np.float64).reshape(array.shape)


cdef object whole(object dtype, object array):
    """Integers of a dtype, floats cut toward zero; OverflowError where one does not fit."""
    limits = np.iinfo(dtype)
    if array.dtype.kind == "f":
        # Both bounds are float64 numbers: the upper one is the first that is too large.
        low, high = float(limits.min), float(limits.max) + (limits.bits < 64)
        cut = np.trunc(array.astype(np.float64))
        bad = ~((cut >= low) & (cut < high))
        if bad.any():
            raise ValueOverflowError(f"{dtype} elements cannot hold {array[bad].flat[0]}")
        return cut.astype(dtype)
    if array.dtype.kind == "b":
        return array.astype(dtype)
    if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        bad = array.min() if int(array.min()) < limits.min else array.max()
        raise ValueOverflowError(f"{dtype} elements cannot hold {bad}")
    return array.astype(dtype)


cdef object exactly(object array):
    """Integers that float64 holds, as they are; OverflowError for any other."""
    if array.dtype.itemsize < 8 or array.size == 0:
        return array
    if int(array.max()) <= 2**53 and int(array.min()) >= -2**53:
        return array
    # Such integers have at most 53 digits between their first bit and their last.
    size = array if array.dtype.kind == "u" else np.abs(array)
    size = size.astype(np.uint64)
    lowest = size & (~size + np.uint64(1))
    bad = (size != 0) & (size // np.maximum(lowest, np.uint64(1)) >= np.uint64(2**53))
    if bad.any():
        raise not_exact(array[bad].flat[0])
    return array


cdef object not_exact(object number):
    return ValueOverflowError(f"cells are float64, which cannot hold {shown(number)} exactly")
