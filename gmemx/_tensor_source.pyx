"""What tensors are made of: buffers, shared or copied, and nested sequences of numbers.

What comes rarely, such as arrays of ml_dtypes' types, goes by `_tensor_data`.
"""

from cpython.buffer cimport (
    PyBUF_FULL_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact
from libc.stdint cimport int64_t

from gmemx cimport libgmemx
from gmemx._copying cimport copy_elements
from gmemx._dtypes cimport (
    BOOL, FLOAT64, GMEMX_DTYPES, INT4, INT64, code_of, code_of_format, dtype_of_code,
)
from gmemx._indexing cimport MAX_NDIM, c_order, checked_bytes, parse_shape, shape_of
from gmemx.tensor cimport Tensor, tensor_begin, tensor_new, tensor_over

import numpy as np

from gmemx import _tensor_data
from gmemx.errors import InvalidArgumentError

cdef extern from "Python.h":
    Py_buffer* PyMemoryView_GET_BUFFER(object)
    long long PyLong_AsLongLongAndOverflow(object, int*) except? -1
    bint PyBool_Check(object)
    # Of lists and tuples.
    Py_ssize_t PySequence_Fast_GET_SIZE(object)
    PyObject** PySequence_Fast_ITEMS(object)

# NumPy's scalars, which are buffers too, but numbers to us.
cdef type GENERIC = np.generic

cdef enum:
    # Nested deeper, lists are NumPy's to refuse.
    DEEPEST = 32
    # Kinds of numbers, as bits.
    FLOATS = 1
    INTEGERS = 2
    BOOLS = 4


cdef Tensor tensor_of(object data, object dtype, Tensor into):
    cdef int code = -1 if dtype is None else code_of(dtype)
    cdef Tensor source = None
    cdef Py_buffer buffer
    if isinstance(data, Tensor):
        source = <Tensor> data
    elif is_sequence(data) or isinstance(data, (float, int)):
        source = of_numbers(data, code)
        if source is None:
            source = _tensor_data.from_sequence(data, dtype)
        elif code < 0 or code == source.code:
            return source
    elif PyObject_CheckBuffer(data) and not isinstance(data, GENERIC):
        try:
            PyObject_GetBuffer(data, &buffer, PyBUF_FULL_RO)
        except (TypeError, BufferError, ValueError) as error:
            source = _tensor_data.from_refused(data, dtype, error)
        else:
            try:
                return copy_of_buffer(&buffer, code, into)
            finally:
                PyBuffer_Release(&buffer)
    else:
        source = _tensor_data.from_any(data, dtype)
    return source.copy() if code < 0 else source.astype(dtype)


# ---- buffers ------------------------------------------------------------------------------

cdef Tensor copy_of_buffer(const Py_buffer* buffer, int code, Tensor target):
    """A new tensor of a buffer's elements, converted to the dtype of that number, if not -1.

    It is `target`, if that is not None.
    """
    cdef int found = code_of_format(buffer.format, buffer.itemsize)
    cdef Py_ssize_t[64] extents
    cdef Py_ssize_t[64] steps
    cdef libgmemx.gmem_view source, view
    cdef int d
    if target is None:
        target = Tensor.__new__(Tensor)
    if buffer.suboffsets is not NULL:
        raise BufferError("the buffer is of pointers to memory, which no tensor is")
    if buffer.ndim > MAX_NDIM:
        raise InvalidArgumentError(
            f"a tensor has at most {MAX_NDIM} dimensions, not {buffer.ndim}")
    if buffer.shape is NULL:
        # What has no shape has one dimension, or none.
        extents[0] = buffer.len // buffer.itemsize
    else:
        for d in range(buffer.ndim):
            extents[d] = buffer.shape[d]
    if buffer.strides is NULL:
        # As ctypes' arrays say that they lie in C order.
        c_order(found, buffer.ndim, extents, steps)
    else:
        for d in range(buffer.ndim):
            steps[d] = buffer.strides[d]
    tensor_begin(target, found if code < 0 else code, buffer.ndim, extents, False)
    source.data = buffer.buf
    source.shape = <const int64_t*> extents
    source.strides = <const int64_t*> steps
    source.ndim = buffer.ndim
    source.dtype = found
    view = target.c_view()
    copy_elements(&source, &view, target.c_nbytes(), 0)
    return target


def over_buffer(obj, dtype, shape, writable):
    """A tensor over a buffer's memory; see `Tensor.from_buffer`."""
    try:
        view = PyMemoryView_FromObject(obj)
    except (TypeError, ValueError) as error:
        view, dtype = _tensor_data.bits_of(obj, dtype, error)
    cdef Py_buffer* buffer = PyMemoryView_GET_BUFFER(view)
    cdef Py_ssize_t[64] extents
    cdef int ndim = buffer.ndim
    cdef bint readonly = buffer.readonly
    cdef int code = (
        code_of_format(buffer.format, buffer.itemsize) if dtype is None else code_of(dtype))
    if buffer.suboffsets is not NULL:
        raise BufferError("the buffer is of pointers to memory, which no tensor is")
    if writable and readonly:
        raise BufferError("the buffer is read-only, and writable=True was asked for")
    if writable is not None and not writable:
        readonly = True
    if shape is None and code != INT4 and GMEMX_DTYPES[code].itemsize == buffer.itemsize:
        return tensor_over(
            buffer.buf, code, ndim, buffer.shape, buffer.strides, readonly, view)
    if not PyBuffer_IsContiguous(buffer, b"C"):
        raise BufferError(
            f"a buffer of shape {view.shape} and strides {view.strides} must be contiguous to be "
            "seen in another dtype or shape"
        )
    if shape is None:
        ndim = 1
        extents[0] = buffer.len * 8 // GMEMX_DTYPES[code].bits
    else:
        ndim = parse_shape(shape, extents)
    if checked_bytes(code, ndim, extents) != buffer.len:
        raise InvalidArgumentError(
            f"a buffer of {buffer.len} bytes is no {dtype_of_code(code)} tensor"
            + ("" if shape is None else f" of shape {shape_of(ndim, extents)}")
        )
    return tensor_over(buffer.buf, code, ndim, extents, NULL, readonly, view)


def over_part(view not None, dtype, shape, strides, Py_ssize_t offset, bint readonly):
    """A tensor over a part of a memoryview of bytes, whose bounds were checked."""
    cdef Py_buffer* buffer = PyMemoryView_GET_BUFFER(view)
    cdef Py_ssize_t[64] extents
    cdef Py_ssize_t[64] steps
    cdef int ndim = parse_shape(shape, extents), d
    if strides is not None:
        for d in range(ndim):
            steps[d] = strides[d]
    return tensor_over(
        <char*> buffer.buf + offset, code_of(dtype), ndim, extents,
        NULL if strides is None else steps, readonly or buffer.readonly, view)


# ---- nested sequences ---------------------------------------------------------------------

cdef struct Nest:
    int ndim
    Py_ssize_t[32] extents
    # The kinds of numbers that were found.
    int kinds


cdef Tensor of_numbers(object data, int code):
    """A new tensor of a number or nested lists and tuples of them; None for all but plain ones.

    It is of the dtype of that number where that costs nothing, else (and for -1) bool, int64
    or float64. Ragged data and integers that do not fit are no plain ones either.
    """
    cdef Nest nest
    cdef Tensor result
    cdef int wanted
    cdef int64_t[2] ends
    cdef char* at
    nest.ndim = nest.kinds = 0
    if not measure(data, &nest) or not survey(data, 0, &nest):
        return None
    if nest.kinds == INTEGERS and code != FLOAT64:
        wanted = INT64
    elif nest.kinds == BOOLS:
        wanted = BOOL
    elif nest.kinds & BOOLS == 0:
        wanted = FLOAT64
    else:
        return None
    result = tensor_new(wanted, nest.ndim, nest.extents, False)
    at = result.ptr
    ends[0] = ends[1] = 0
    if not fill(data, 0, &nest, wanted, &at, ends):
        return None
    if wanted == INT64 and code >= 0 and not holds(code, ends):
        return None
    return result


cdef inline bint is_sequence(object data):
    return PyList_CheckExact(data) or PyTuple_CheckExact(data)


cdef bint measure(object data, Nest* nest):
    """The shape, seen from the first element of everything; false where there is nothing."""
    cdef Py_ssize_t extent
    while is_sequence(data):
        extent = len(data)
        if extent == 0 or nest.ndim == DEEPEST:
            return False
        nest.extents[nest.ndim] = extent
        nest.ndim += 1
        data = data[0]
    return True


cdef bint survey(object data, int depth, Nest* nest):
    """Whether all sequences of that depth are as long as the first, and hold plain numbers."""
    cdef Py_ssize_t i
    cdef PyObject** parts
    if depth == nest.ndim:
        if PyFloat_CheckExact(data):
            nest.kinds |= FLOATS
        elif PyLong_CheckExact(data):
            nest.kinds |= INTEGERS
        elif PyBool_Check(data):
            nest.kinds |= BOOLS
        else:
            return False
        return True
    if not is_sequence(data) or PySequence_Fast_GET_SIZE(data) != nest.extents[depth]:
        return False
    parts = PySequence_Fast_ITEMS(data)
    for i in range(nest.extents[depth]):
        if not survey(<object> parts[i], depth + 1, nest):
            return False
    return True


cdef bint fill(object data, int depth, const Nest* nest, int code, char** at, int64_t* ends):
    """Writes the numbers one after the other; false where they have changed, or do not fit.

    Making the tensor may have run the garbage collector, and with it anything.
    """
    cdef Py_ssize_t i
    cdef PyObject** parts
    if depth == nest.ndim:
        return fill_element(data, code, at, ends)
    if not is_sequence(data) or PySequence_Fast_GET_SIZE(data) != nest.extents[depth]:
        return False
    parts = PySequence_Fast_ITEMS(data)
    for i in range(nest.extents[depth]):
        if not fill(<object> parts[i], depth + 1, nest, code, at, ends):
            return False
    return True


cdef inline bint fill_element(object number, int code, char** at, int64_t* ends):
    cdef int overflow = 0
    cdef int64_t integer
    if code == BOOL:
        if not PyBool_Check(number):
            return False
        at[0][0] = number is True
        at[0] += 1
        return True
    if PyFloat_CheckExact(number):
        if code != FLOAT64:
            return False
        (<double*> at[0])[0] = PyFloat_AS_DOUBLE(number)
        at[0] += 8
        return True
    if not PyLong_CheckExact(number):
        return False
    integer = PyLong_AsLongLongAndOverflow(number, &overflow)
    if overflow:
        return False
    if code == FLOAT64:
        (<double*> at[0])[0] = <double> integer
    else:
        (<int64_t*> at[0])[0] = integer
        ends[0], ends[1] = min(ends[0], integer), max(ends[1], integer)
    at[0] += 8
    return True


cdef bint holds(int code, const int64_t* ends) noexcept:
    """Whether a dtype's elements can be integers from `ends[0]`, at most 0, to `ends[1]`."""
    cdef int bits = GMEMX_DTYPES[code].bits
    cdef char kind = GMEMX_DTYPES[code].kind
    if kind == b"u":
        return ends[0] == 0 and (bits == 64 or ends[1] >> bits == 0)
    if kind == b"i" and bits < 64:
        return ends[0] >= -(<int64_t> 1 << (bits - 1)) and ends[1] < <int64_t> 1 << (bits - 1)
    return True
