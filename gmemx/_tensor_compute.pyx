"""What is computed on tensors: operands made to fit, results given room, the GIL let go."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from gmemx cimport libgmemx
from gmemx._buffers cimport thread_count
from gmemx._copying cimport LONG_WORK
from gmemx._dtypes cimport FLOAT64, GMEMX_DTYPES, common, dtype_of_code
from gmemx._elements cimport load
from gmemx._indexing cimport Geometry, axes_of, axis_of, overlap, parse_shape
from gmemx.status cimport check
from gmemx.tensor cimport Tensor, as_tensor, tensor_new

import numpy as np

from gmemx.errors import InvalidArgumentError


cdef Geometry geometry(Tensor tensor) noexcept:
    cdef Geometry whole
    whole.code = tensor.code
    whole.ndim = tensor.dims
    whole.shape = tensor.extents
    whole.strides = tensor.steps
    return whole


cdef bint overlapping(Tensor a, Tensor b) noexcept:
    cdef Geometry whole_a = geometry(a), whole_b = geometry(b)
    return overlap(&whole_a, a.ptr, &whole_b, b.ptr)


def reduced(Tensor tensor not None, int operation, axis, bint keepdims, threads):
    """A reduction; see `Tensor.sum`."""
    cdef size_t workers = thread_count(threads)
    cdef Geometry whole = geometry(tensor)
    cdef uint64_t bits = axes_of(&whole, axis)
    cdef Py_ssize_t[64] kept
    cdef int d, ndim = 0
    cdef libgmemx.gmem_view source, target
    cdef Tensor result
    for d in range(tensor.dims):
        if not bits >> d & 1:
            kept[ndim] = tensor.extents[d]
            ndim += 1
    tensor.pin()
    try:
        result = tensor_new(
            libgmemx.gmem_reduction_dtype(operation, tensor.code), ndim, kept, False)
        source, target = tensor.c_view(), result.c_view()
        if tensor.c_nbytes() < LONG_WORK:
            check(libgmemx.gmem_tensor_reduce(&source, operation, bits, 1, &target))
        else:
            with nogil:
                check(libgmemx.gmem_tensor_reduce(&source, operation, bits, workers, &target))
    finally:
        tensor.unpin()
    if keepdims:
        return result.reshape(tuple([
            1 if bits >> d & 1 else tensor.extents[d] for d in range(tensor.dims)
        ]))
    return load(result.code, result.ptr, 0) if axis is None else result


def first_difference(Tensor tensor not None, other, threads):
    """See `Tensor.first_difference`."""
    cdef size_t workers = thread_count(threads)
    cdef Tensor against = as_tensor(other, -1)
    cdef libgmemx.gmem_view a, b
    cdef int64_t index
    cdef int d
    tensor.pin()
    against.pin()
    try:
        a, b = tensor.c_view(), against.c_view()
        with nogil:
            check(libgmemx.gmem_tensor_first_difference(&a, &b, workers, &index))
    finally:
        tensor.unpin()
        against.unpin()
    if index < 0:
        return None
    where = []
    for d in range(tensor.dims - 1, -1, -1):
        where.append(index % tensor.extents[d])
        index //= tensor.extents[d]
    return tuple(where[::-1])


def crc32c(Tensor tensor not None, threads):
    """See `Tensor.crc32c`."""
    cdef size_t workers = thread_count(threads)
    cdef libgmemx.gmem_view view
    cdef uint32_t checksum
    tensor.pin()
    try:
        view = tensor.c_view()
        with nogil:
            check(libgmemx.gmem_tensor_crc32c(&view, workers, &checksum))
    finally:
        tensor.unpin()
    return checksum


def arithmetic(Tensor left not None, right, int operation, out, threads):
    """Sums or products element by element; see `Tensor.add`."""
    cdef size_t workers = thread_count(threads)
    cdef Tensor a = left, b = as_tensor(right, weak(left, right)), result
    cdef libgmemx.gmem_view va, vb, vr
    result = target_of(out, broadcast(a, b), common(a.code, b.code))
    a, b = apart(a, result), apart(b, result)
    a.pin()
    b.pin()
    result.pin()
    try:
        va, vb, vr = a.c_view(), b.c_view(), result.c_view()
        with nogil:
            check(libgmemx.gmem_tensor_binary(&va, &vb, operation, workers, &vr))
    finally:
        a.unpin()
        b.unpin()
        result.unpin()
    return result


def matmul(Tensor left not None, right, out, threads):
    """See `Tensor.matmul`."""
    cdef size_t workers = thread_count(threads)
    cdef Tensor b = as_tensor(right, -1), result
    cdef libgmemx.gmem_view va, vb, vr
    if left.dims != 2 or b.dims != 2 or left.extents[1] != b.extents[0]:
        raise InvalidArgumentError(
            f"matmul takes shapes (m, k) and (k, n), not {left.shape} and {b.shape}")
    result = target_of(out, (left.extents[0], b.extents[1]), common(left.code, b.code))
    if overlapping(left, result) or overlapping(b, result):
        raise InvalidArgumentError("out must not share memory with what is multiplied")
    left.pin()
    b.pin()
    result.pin()
    try:
        va, vb, vr = left.c_view(), b.c_view(), result.c_view()
        with nogil:
            check(libgmemx.gmem_tensor_matmul(&va, &vb, workers, &vr))
    finally:
        left.unpin()
        b.unpin()
        result.unpin()
    return result


def relu(Tensor tensor not None, out, threads):
    """See `Tensor.relu`."""
    cdef size_t workers = thread_count(threads)
    cdef Tensor result = target_of(out, tensor.shape, tensor.code)
    cdef Tensor source = apart(tensor, result)
    cdef libgmemx.gmem_view a, b
    source.pin()
    result.pin()
    try:
        a, b = source.c_view(), result.c_view()
        with nogil:
            check(libgmemx.gmem_tensor_relu(&a, workers, &b))
    finally:
        source.unpin()
        result.unpin()
    return result


def softmax(Tensor tensor not None, axis, out, threads):
    """See `Tensor.softmax`."""
    cdef size_t workers = thread_count(threads)
    cdef Geometry whole = geometry(tensor)
    cdef int d = axis_of(&whole, axis)
    cdef Tensor result = target_of(out, tensor.shape, tensor.code)
    cdef Tensor source = tensor.copy() if overlapping(tensor, result) else tensor
    cdef libgmemx.gmem_view a, b
    source.pin()
    result.pin()
    try:
        a, b = source.c_view(), result.c_view()
        with nogil:
            check(libgmemx.gmem_tensor_softmax(&a, d, workers, &b))
    finally:
        source.unpin()
        result.unpin()
    return result


cdef int weak(Tensor tensor, object number) except -2:
    """The dtype a Python number takes beside a tensor; -1 for what has its own."""
    kind = GMEMX_DTYPES[tensor.code].kind
    if isinstance(number, (bool, np.generic)) or kind == b"b":
        return -1
    if isinstance(number, int):
        return tensor.code
    if isinstance(number, float):
        return tensor.code if kind == b"f" else FLOAT64
    return -1


cdef Tensor apart(Tensor operand, Tensor result):
    """`operand`, or a copy where writing `result` would change what is still to be read."""
    same = (
        operand.ptr == result.ptr and operand.code == result.code
        and operand.shape == result.shape and operand.strides == result.strides
    )
    return operand.copy() if overlapping(operand, result) and not same else operand


cdef tuple broadcast(Tensor a, Tensor b):
    cdef int ndim = max(a.dims, b.dims), d
    cdef Py_ssize_t x, y
    shape = []
    for d in range(ndim):
        x = a.extents[d - ndim + a.dims] if d >= ndim - a.dims else 1
        y = b.extents[d - ndim + b.dims] if d >= ndim - b.dims else 1
        if x != y and x != 1 and y != 1:
            raise InvalidArgumentError(f"shapes {a.shape} and {b.shape} do not broadcast together")
        shape.append(y if x == 1 else x)
    return tuple(shape)


cdef Tensor target_of(object out, tuple shape, int code):
    """`out` if it fits, or a new tensor."""
    cdef Py_ssize_t[64] extents
    cdef Tensor target
    if out is None:
        return tensor_new(code, parse_shape(shape, extents), extents, False)
    if not isinstance(out, Tensor):
        raise TypeError(f"out must be a Tensor, not {type(out).__name__}")
    target = <Tensor> out
    target.writable()
    if target.shape != shape or target.code != code:
        raise InvalidArgumentError(
            f"out must have shape {shape} and dtype {dtype_of_code(code)}, "
            f"not {target.shape} and {target.dtype}"
        )
    return target
