"""Shapes, strides and what an index does to them."""

from cpython.long cimport PyLong_CheckExact
from cpython.number cimport PyIndex_Check
from cpython.ref cimport Py_INCREF
from cpython.slice cimport PySlice_Check
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_New, PyTuple_SET_ITEM

from gmemx._buffers cimport shown
from gmemx._dtypes cimport GMEMX_DTYPES, INT4, dtype_of_code

import operator

import numpy as np

from gmemx.errors import InvalidArgumentError, OutOfRangeError

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int*) except? -1
    int PySlice_Unpack(object, Py_ssize_t*, Py_ssize_t*, Py_ssize_t*) except -1
    Py_ssize_t PySlice_AdjustIndices(
        Py_ssize_t, Py_ssize_t*, Py_ssize_t*, Py_ssize_t) noexcept nogil

cdef Py_ssize_t LARGEST = <Py_ssize_t> 1 << 62


cdef tuple shape_of(int ndim, const Py_ssize_t* shape):
    cdef tuple made = PyTuple_New(ndim)
    cdef object extent
    cdef int d
    for d in range(ndim):
        extent = shape[d]
        Py_INCREF(extent)  # which the tuple takes over
        PyTuple_SET_ITEM(made, d, extent)
    return made


cdef int parse_shape(object shape, Py_ssize_t* out) except -1:
    cdef int d = 0, overflow
    cdef tuple extents
    if PyTuple_CheckExact(shape):
        extents = shape
    elif PyIndex_Check(shape):
        extents = (shape,)
    elif isinstance(shape, (tuple, list)):
        extents = tuple(shape)
    else:
        raise TypeError(f"a shape is an integer or a tuple of them, not {type(shape).__name__}")
    if len(extents) > MAX_NDIM:
        raise InvalidArgumentError(f"a tensor has at most {MAX_NDIM} dimensions, not {len(extents)}")
    for extent in extents:
        if PyLong_CheckExact(extent):
            out[d] = PyLong_AsLongLongAndOverflow(extent, &overflow)
            if overflow == 0 and 0 <= out[d] < LARGEST:
                d += 1
                continue
        elif not PyIndex_Check(extent):
            raise TypeError(f"a shape is made of integers, not {type(extent).__name__}")
        number = operator.index(extent)
        if not 0 <= number < LARGEST:
            raise InvalidArgumentError(
                f"a dimension has from 0 to 2**62 - 1 elements, not {shown(number)}")
        out[d] = number
        d += 1
    return d


cdef int completed(tuple shape, Py_ssize_t size, const Geometry* whole, Part* part) except -1:
    cdef Py_ssize_t known = 1
    cdef int d = 0, open_at = -1, overflow
    cdef bint fits = True
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    if len(shape) > MAX_NDIM:
        raise InvalidArgumentError(f"a tensor has at most {MAX_NDIM} dimensions, not {len(shape)}")
    part.ndim = <int> len(shape)
    for extent in shape:
        if not PyLong_CheckExact(extent):
            if not PyIndex_Check(extent):
                raise TypeError(f"a shape is made of integers, not {type(extent).__name__}")
            extent = operator.index(extent)
        part.shape[d] = PyLong_AsLongLongAndOverflow(extent, &overflow)
        if part.shape[d] == -1 and not overflow and open_at < 0:
            open_at = d
        elif overflow or part.shape[d] < 0:
            fits = False
        # Nothing that fits has a larger product, unless there is nothing at all.
        elif part.shape[d] == 0 or known <= LARGEST // part.shape[d]:
            known *= part.shape[d]
        else:
            fits = size == 0
        d += 1
    if fits and open_at >= 0:
        fits = known > 0 and size % known == 0
        if fits:
            part.shape[open_at] = size // known
    elif known != size:
        fits = False
    if not fits:
        raise InvalidArgumentError(
            f"a tensor of shape {shape_of(whole.ndim, whole.shape)} has {size} elements, "
            f"which is not shape {shape}"
        )
    return 0


cdef Py_ssize_t checked_bytes(int code, int ndim, const Py_ssize_t* shape) except -1:
    cdef Py_ssize_t count = 1, itemsize = max(1, GMEMX_DTYPES[code].itemsize)
    cdef int d
    cdef bint fits = True
    for d in range(ndim):
        if shape[d] == 0:
            return 0
    for d in range(ndim):
        # Without a division where both are small.
        if (count | shape[d]) >> 29 and count > LARGEST // itemsize // shape[d]:
            fits = False
            break
        count *= shape[d]
    if not fits:
        raise InvalidArgumentError(
            f"a {dtype_of_code(code)} tensor of shape {shape_of(ndim, shape)} would not fit "
            "in the address space"
        )
    return (count + 1) // 2 if code == INT4 else count * itemsize


cdef void c_order(int code, int ndim, const Py_ssize_t* shape, Py_ssize_t* strides) noexcept:
    cdef Py_ssize_t step = GMEMX_DTYPES[code].itemsize
    cdef int d
    for d in range(ndim - 1, -1, -1):
        strides[d] = step
        if shape[d] > 1:
            step *= shape[d]


cdef int restride(const Geometry* whole, Part* part) except -1:
    # Dimensions that are walked evenly make one run; each new dimension must divide the
    # run it falls into. Runs and new dimensions are gone through from the last to the first.
    cdef Py_ssize_t run, step, size
    cdef int old = whole.ndim - 1, new = part.ndim - 1
    cdef bint fits = True
    for d in range(whole.ndim):
        if whole.shape[d] == 0:
            c_order(whole.code, part.ndim, part.shape, part.strides)
            return 0
    if whole.code == INT4:
        c_order(whole.code, part.ndim, part.shape, part.strides)
        return 0
    while True:
        while old >= 0 and whole.shape[old] == 1:
            old -= 1
        while new >= 0 and part.shape[new] == 1:
            part.strides[new] = whole.strides[old] if old >= 0 else GMEMX_DTYPES[whole.code].itemsize
            new -= 1
        if old < 0 or new < 0:
            break
        run, step = whole.shape[old], whole.strides[old]
        old -= 1
        while old >= 0 and (
            whole.shape[old] == 1 or whole.strides[old] == step * run
        ):
            run *= whole.shape[old]
            old -= 1
        size = 1
        while new >= 0 and size < run:
            part.strides[new] = step * size
            size *= part.shape[new]
            new -= 1
        if size != run:
            fits = False
            break
    if not fits:
        raise InvalidArgumentError(
            f"shape {shape_of(part.ndim, part.shape)} cannot view a tensor of shape "
            f"{shape_of(whole.ndim, whole.shape)} and strides "
            f"{shape_of(whole.ndim, whole.strides)} without a copy: use contiguous() first"
        )
    return 0


cdef int axis_of(const Geometry* whole, object axis) except -1:
    if not PyIndex_Check(axis):
        raise TypeError(f"an axis is an integer, not {type(axis).__name__}")
    number = operator.index(axis)
    if not -whole.ndim <= number < whole.ndim:
        raise OutOfRangeError(
            f"axis {shown(number)} is none of shape {shape_of(whole.ndim, whole.shape)}")
    return number + whole.ndim if number < 0 else number


cdef uint64_t axes_of(const Geometry* whole, object axis) except? 0:
    cdef uint64_t bits = 0
    cdef int d
    if axis is None:
        return (<uint64_t> 1 << whole.ndim) - 1 if whole.ndim < 64 else <uint64_t> -1
    for one in axis if isinstance(axis, tuple) else (axis,):
        d = axis_of(whole, one)
        if bits >> d & 1:
            raise InvalidArgumentError(f"axis {d} is named twice")
        bits |= <uint64_t> 1 << d
    return bits


cdef bint overlap(const Geometry* a, char* a_data, const Geometry* b, char* b_data) noexcept:
    cdef char* a_end = a_data
    cdef char* b_end = b_data
    span(a, &a_data, &a_end)
    span(b, &b_data, &b_end)
    return a_data < b_end and b_data < a_end


cdef void span(const Geometry* whole, char** low, char** high) noexcept:
    cdef Py_ssize_t reach, size = 1
    cdef int d
    for d in range(whole.ndim):
        size *= whole.shape[d]
    if size == 0:
        return
    if whole.code == INT4:
        high[0] += (size + 1) // 2
        return
    for d in range(whole.ndim):
        reach = (whole.shape[d] - 1) * whole.strides[d]
        if reach < 0:
            low[0] += reach
        else:
            high[0] += reach
    high[0] += GMEMX_DTYPES[whole.code].itemsize


cdef Py_ssize_t position(const Geometry* whole, object index, int d) except -1:
    cdef Py_ssize_t extent = whole.shape[d], i
    cdef int overflow
    if not PyLong_CheckExact(index):
        index = operator.index(index)
    i = PyLong_AsLongLongAndOverflow(index, &overflow)
    if overflow or not -extent <= i < extent:
        raise OutOfRangeError(
            f"index {shown(index)} is out of range for dimension {d} of shape "
            f"{shape_of(whole.ndim, whole.shape)}"
        )
    return i + extent if i < 0 else i


cdef bint is_element(const Geometry* whole, object key, Py_ssize_t* offset) except -1:
    cdef Py_ssize_t at = 0
    cdef int d
    if whole.code == INT4:
        return False
    if PyLong_CheckExact(key):
        if whole.ndim != 1:
            return False
        offset[0] = position(whole, key, 0) * whole.strides[0]
        return True
    if not PyTuple_CheckExact(key) or len(<tuple> key) != whole.ndim:
        return False
    for d in range(whole.ndim):
        if not PyLong_CheckExact((<tuple> key)[d]):
            return False
    for d in range(whole.ndim):
        at += position(whole, (<tuple> key)[d], d) * whole.strides[d]
    offset[0] = at
    return True


cdef bint is_index(object part):
    return PyLong_CheckExact(part) or (
        PyIndex_Check(part) and not isinstance(part, (bool, np.bool_)))


cdef bint is_scalar_key(int ndim, object key):
    if not isinstance(key, tuple):
        return ndim == 1 and is_index(key)
    if len(<tuple> key) != ndim:
        return False
    for part in <tuple> key:
        if not is_index(part):
            return False
    return True


cdef int select(const Geometry* whole, object key, bint scalar, Part* part) except -1:
    cdef tuple parts = key if PyTuple_CheckExact(key) else (
        tuple(key) if isinstance(key, tuple) else (key,))
    cdef int given = 0, integers = 0, ellipses = 0, nones = 0
    for one in parts:
        if PySlice_Check(one):
            given += 1
        elif is_index(one):
            given += 1
            integers += 1
        elif one is ...:
            ellipses += 1
        elif one is None:
            nones += 1
        else:
            raise TypeError(
                f"a tensor is indexed by integers, slices, ellipsis and None, "
                f"not {type(one).__name__}"
            )
    if ellipses > 1:
        raise OutOfRangeError("an index has at most one ellipsis")
    if given > whole.ndim:
        raise OutOfRangeError(
            f"{given} indices are too many for shape {shape_of(whole.ndim, whole.shape)}")
    if whole.ndim - integers + nones > MAX_NDIM:
        raise InvalidArgumentError(f"a tensor has at most {MAX_NDIM} dimensions")
    part.ndim = 0
    part.offset = part.nibble = 0
    if whole.code == INT4:
        return select_packed(whole, in_full(parts, whole.ndim - given), scalar, part)
    return select_strided(whole, parts, whole.ndim - given, part)


cdef list in_full(tuple key, int rest):
    """As many parts as there are dimensions, and Nones between; `rest` are not given."""
    full = []
    for one in key:
        if one is ...:
            full += [slice(None)] * rest
            rest = 0
        else:
            full.append(one)
    return full + [slice(None)] * rest


cdef int select_strided(const Geometry* whole, tuple key, int rest, Part* part) except -1:
    cdef Py_ssize_t start, stop, step
    cdef int d = 0
    for one in key:
        if PySlice_Check(one):
            PySlice_Unpack(one, &start, &stop, &step)
            part.shape[part.ndim] = PySlice_AdjustIndices(whole.shape[d], &start, &stop, step)
            part.strides[part.ndim] = whole.strides[d] * step
            part.ndim += 1
            part.offset += start * whole.strides[d]
            d += 1
        elif one is None:
            part.shape[part.ndim], part.strides[part.ndim] = 1, 0
            part.ndim += 1
        elif one is ...:
            keep(whole, d, d + rest, part)
            d += rest
        else:
            part.offset += position(whole, one, d) * whole.strides[d]
            d += 1
    keep(whole, d, whole.ndim, part)
    for d in range(part.ndim):
        if part.shape[d] == 0:
            # Nothing is there to point to, and no pointer past the memory is made.
            part.offset = 0
    return 0


cdef void keep(const Geometry* whole, int first, int end, Part* part) noexcept:
    """The dimensions from `first` up to `end` as they are."""
    cdef int d
    for d in range(first, end):
        part.shape[part.ndim], part.strides[part.ndim] = whole.shape[d], whole.strides[d]
        part.ndim += 1


cdef int select_packed(const Geometry* whole, list key, bint scalar, Part* part) except -1:
    """A part of a packed tensor: elements in a row that share no byte with others."""
    cdef Py_ssize_t start, stop, step, length, extent, first = 0, count = 1, total = 1, inner
    cdef int d = 0
    cdef bint single = True  # whether all dimensions so far have one element left
    cdef bint in_a_row = True
    for d in range(whole.ndim):
        total *= whole.shape[d]
    inner = total
    d = 0
    for one in key:
        if one is None:
            part.shape[part.ndim], part.strides[part.ndim] = 1, 0
            part.ndim += 1
            continue
        extent = whole.shape[d]
        inner = inner // extent if extent else 0
        if PySlice_Check(one):
            PySlice_Unpack(one, &start, &stop, &step)
            length = PySlice_AdjustIndices(extent, &start, &stop, step)
            part.shape[part.ndim], part.strides[part.ndim] = length, 0
            part.ndim += 1
            in_a_row = in_a_row and (step == 1 or length < 2)
        else:
            start, length = position(whole, one, d), 1
        in_a_row = in_a_row and (single or length == extent)
        single = single and length == 1
        first += start * inner
        count *= length
        d += 1
    if count == 0:
        return 0
    part.nibble = first
    if scalar:
        return 0
    if not in_a_row:
        raise InvalidArgumentError(
            f"an int4 tensor of shape {shape_of(whole.ndim, whole.shape)} is packed two to a byte "
            "in C order and has no such view: use astype('int8') first"
        )
    # A part that shared a byte with its neighbour could not be written by itself.
    if first % 2 or (count % 2 and first + count != total):
        raise InvalidArgumentError(
            f"elements {first} to {first + count} of an int4 tensor of shape "
            f"{shape_of(whole.ndim, whole.shape)} share a byte with others: a part must begin and "
            "end at even elements, or use astype('int8') first"
        )
    part.offset = first // 2
    return 0
