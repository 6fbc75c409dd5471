"""Parts of virtual arrays: single elements, pieces that are read one by one, corners."""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport uint64_t

from gmemx cimport libgmemx
from gmemx._buffers cimport shown
from gmemx._dtypes cimport FLOAT64
from gmemx.array cimport VirtualArray
from gmemx.status cimport check

import numpy as np

from gmemx import _array_layout as layout
from gmemx.errors import OutOfMemoryError


cdef bint is_full(object key):
    """Whether a key has nothing but integers."""
    return all([layout.is_index(part) for part in key]) if isinstance(key, tuple) else (
        layout.is_index(key))


cdef object address_in(VirtualArray array, object key):
    """The cell that plain integers name, one for each axis; None for any other key."""
    cdef tuple keys
    if PyLong_CheckExact(key):
        keys = (key,)
    elif type(key) is tuple:
        keys = key
    else:
        return None
    if len(keys) != len(array.shape):
        return None
    where = array.offset
    cdef Py_ssize_t axis
    for axis in range(len(keys)):
        index = keys[axis]
        if not PyLong_CheckExact(index):
            return None
        extent = array.shape[axis]
        if index < 0:
            index += extent
        if not 0 <= index < extent:
            layout.position(keys[axis], axis, array.shape)
        where += index * array.strides[axis]
    return where


cdef object element(VirtualArray array, object address):
    """One element as a Python number."""
    cdef libgmemx.gmem_array spec
    cdef uint64_t room = 0
    cdef double number
    spec.offset, spec.ndim = address, 0
    spec.shape, spec.strides = NULL, NULL
    spec.dtype = FLOAT64 if array.code == FLOAT64 else array.code
    spec.distribution = array.drawn
    if array.code == FLOAT64:
        check(libgmemx.gmem_array_read(array.context.ptr, &spec, &number, 1, 1))
        return number
    check(libgmemx.gmem_array_read(array.context.ptr, &spec, &room, 1, 1))
    return np.frombuffer((<char*> &room)[:8], array.dtype, 1)[0].item()


cdef VirtualArray piece(VirtualArray array, tuple leading, object run):
    """One of the pieces that layout.parts cuts, with the axes that are left."""
    if run is None:
        return array
    cdef Py_ssize_t axis = len(leading)
    offset = array.offset + run.start * array.strides[axis]
    for index, stride in zip(leading, array.strides):
        offset += index * stride
    shape = (run.stop - run.start, *array.shape[axis + 1:])
    return array.part(offset, shape, array.strides[axis:])


cdef object no_room(VirtualArray array):
    return OutOfMemoryError(
        f"{shown(array.size)} elements of {array.dtype.itemsize} bytes are more than memory can "
        "hold: take a part of the array, or go through its chunks()")


cdef object room_for(VirtualArray array, tuple shape):
    """An uninitialised array; MemoryError with a clear sentence where there is no room."""
    if array.nbytes >= 8 * layout.TOO_MANY:
        raise no_room(array)
    try:
        return np.empty(shape, array.dtype)
    except (MemoryError, ValueError):
        raise no_room(array) from None


cdef int read_into(VirtualArray array, object out, size_t threads) except -1:
    """Reads to a C-contiguous array of the same shape."""
    cdef Py_buffer view
    PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
    try:
        array.read(view.buf, threads)
    finally:
        PyBuffer_Release(&view)
    return 0


def walk(VirtualArray array):
    """The elements of one dimension, or views of the first axis."""
    cdef object i
    if len(array.shape) == 1:
        for _, chunk in array.chunks(1 << 12):
            yield from chunk.tolist()
        return
    i = 0
    while i < array.shape[0]:
        yield array[i]
        i += 1


def chunked(VirtualArray array, limit, threads):
    """What `chunks` gives."""
    for leading, run in layout.parts(array.shape, limit):
        key = leading if run is None else (*leading, run)
        yield key, piece(array, leading, run).numpy(threads)


def corners(VirtualArray array, edge):
    """The first and last elements of each axis, and one more between them that is not shown."""
    sides = []
    for extent in array.shape:
        if extent > 2 * edge:
            # The middle one is never printed: NumPy writes dots there.
            sides.append([slice(0, edge), slice(edge, edge + 1), slice(extent - edge, extent)])
        else:
            sides.append([slice(0, extent)])
    made = np.empty([sum([s.stop - s.start for s in side]) for side in sides], array.dtype)
    for picks in layout.indices(tuple([len(side) for side in sides])):
        source, target = [], []
        for side, pick in zip(sides, picks):
            source.append(side[pick])
            start = sum([s.stop - s.start for s in side[:pick]])
            target.append(slice(start, start + side[pick].stop - side[pick].start))
        # The ellipsis leaves an array where there are no axes, too.
        made[tuple(target)] = array[(*source, ...)].numpy(threads=1)
    return made
