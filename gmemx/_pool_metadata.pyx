"""What holders of a buffer tell each other about it, to and from Python."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from gmemx cimport libgmemx
from gmemx._dtypes cimport DTYPES, GMEMX_DTYPES, INT4, UINT8, code_of, dtype_of_code
from gmemx._indexing cimport c_order, checked_bytes, parse_shape, shape_of
from gmemx._pool_arguments cimport integer

from gmemx.errors import InvalidArgumentError, PoolArgumentError

cdef enum:
    # Bytes of a content type.
    CONTENT_TYPE = 60

cdef tuple SETTABLE = ("dtype", "shape", "strides", "timestamp", "sequence", "content_type")


cdef int pool_code(object dtype) except -1:
    try:
        return code_of(dtype)
    except InvalidArgumentError as error:
        raise PoolArgumentError(str(error)) from None


cdef Py_ssize_t plan(object dtype, object shape, Layout* out) except -1:
    out.code = pool_code(dtype)
    return shaped(shape, out)


cdef Py_ssize_t shaped(object shape, Layout* out) except -1:
    """Fills in a layout whose dtype is known; how many bytes it takes."""
    cdef Py_ssize_t size
    try:
        out.ndim = parse_shape(shape, out.shape)
        size = checked_bytes(out.code, out.ndim, out.shape)
    except InvalidArgumentError as error:
        raise PoolArgumentError(str(error)) from None
    if out.ndim > MAX_POOL_NDIM:
        raise PoolArgumentError(
            f"a buffer has at most {MAX_POOL_NDIM} dimensions, not {out.ndim}")
    c_order(out.code, out.ndim, out.shape, out.strides)
    out.contiguous = True
    return size


cdef int layout(
    const libgmemx.gmem_buffer_meta* meta, size_t size, int code, object shape, Layout* out
) except -1:
    cdef int told = UINT8 if meta.dtype == -1 else meta.dtype
    if code < 0:
        check_told(meta)
        code = told
    out.code = code
    if shape is not None:
        fit(shaped(shape, out), size, out)
    elif code != told or not has_shape(meta):
        flat(size, out)
    else:
        check_told(meta)
        out.ndim = meta.ndim
        memcpy(out.shape, meta.shape, meta.ndim * sizeof(int64_t))
        memcpy(out.strides, meta.strides, meta.ndim * sizeof(int64_t))
        check_inside(size, out)
    return 0


cdef bint has_shape(const libgmemx.gmem_buffer_meta* meta) noexcept:
    # A fresh buffer has no dtype and no dimensions; one of a dtype and none is a single element.
    return meta.dtype >= 0 or meta.ndim > 0


cdef bint spans(const libgmemx.gmem_buffer_meta* meta, size_t size) noexcept:
    """Whether it is one dimension over the whole buffer, which follows a change of dtype."""
    return meta.ndim == 1 and 0 <= meta.dtype < DTYPES and meta.shape[0] == <int64_t> (
        size * 8 // GMEMX_DTYPES[meta.dtype].bits)


cdef int check_told(const libgmemx.gmem_buffer_meta* meta) except -1:
    if not -1 <= meta.dtype < DTYPES or not 0 <= meta.ndim <= MAX_POOL_NDIM:
        raise PoolArgumentError(
            f"the buffer's metadata make no sense: dtype {meta.dtype} with {meta.ndim} dimensions")
    return 0


cdef int flat(size_t size, Layout* out) except -1:
    """One dimension over the whole buffer."""
    cdef size_t bits = GMEMX_DTYPES[out.code].bits
    if size * 8 % bits:
        raise PoolArgumentError(
            f"a buffer of {size} bytes is no whole number of {dtype_of_code(out.code)}")
    out.ndim = 1
    out.shape[0] = size * 8 // bits
    out.strides[0] = GMEMX_DTYPES[out.code].itemsize
    out.contiguous = True
    return 0


cdef int fit(Py_ssize_t needed, size_t size, const Layout* out) except -1:
    if <size_t> needed > size:
        raise PoolArgumentError(
            f"{dtype_of_code(out.code)} of shape {shape_of(out.ndim, out.shape)} take {needed} "
            f"bytes, and the buffer has {size}"
        )
    return 0


cdef int check_inside(size_t size, Layout* out) except -1:
    """Extents and strides as somebody told them must stay inside the buffer."""
    cdef Py_ssize_t needed, step = GMEMX_DTYPES[out.code].itemsize
    cdef size_t reach = step
    cdef int d
    for d in range(out.ndim):
        if out.shape[d] < 0:
            raise outside(size, out)
    try:
        needed = checked_bytes(out.code, out.ndim, out.shape)
    except InvalidArgumentError as error:
        raise PoolArgumentError(str(error)) from None
    out.contiguous = True
    if out.code == INT4 or needed == 0:
        # Packed in C order, or nothing at all: strides mean nothing.
        c_order(out.code, out.ndim, out.shape, out.strides)
        return fit(needed, size, out)
    for d in range(out.ndim - 1, -1, -1):
        if out.shape[d] == 1:
            continue
        if out.strides[d] < 0 or reach > size or (
            out.strides[d] > 0
            and <size_t> (out.shape[d] - 1) > (size - reach) // <size_t> out.strides[d]
        ):
            raise outside(size, out)
        reach += <size_t> (out.shape[d] - 1) * <size_t> out.strides[d]
        out.contiguous = out.contiguous and out.strides[d] == step
        step *= out.shape[d]
    if reach > size:
        raise outside(size, out)
    return 0


cdef object outside(size_t size, const Layout* out):
    return PoolArgumentError(
        f"{dtype_of_code(out.code)} of shape {shape_of(out.ndim, out.shape)} and strides "
        f"{shape_of(out.ndim, out.strides)} do not lie inside the buffer of {size} bytes"
    )


cdef void describe(libgmemx.gmem_buffer_meta* meta, const Layout* planned) noexcept:
    meta.dtype, meta.ndim = planned.code, planned.ndim
    memcpy(meta.shape, planned.shape, planned.ndim * sizeof(int64_t))
    memcpy(meta.strides, planned.strides, planned.ndim * sizeof(int64_t))


# ---- changes ------------------------------------------------------------------------------

cdef int change(libgmemx.gmem_buffer_meta* meta, size_t size, dict values) except -1:
    for name in values:
        if name not in SETTABLE:
            raise TypeError(
                f"a buffer's metadata are {', '.join(SETTABLE)}, and not {name!r}")
    if "dtype" in values or "shape" in values or "strides" in values:
        change_layout(meta, size, values)
    if "timestamp" in values:
        meta.timestamp = integer(values["timestamp"], "timestamp", -(2**63), 2**63 - 1)
    if "sequence" in values:
        meta.sequence = integer(values["sequence"], "sequence", 0, 2**64 - 1)
    if "content_type" in values:
        change_content_type(meta, values["content_type"])
    return 0


cdef int change_layout(libgmemx.gmem_buffer_meta* meta, size_t size, dict values) except -1:
    cdef Layout out
    shape, strides = values.get("shape"), values.get("strides")
    if "dtype" not in values:
        check_told(meta)
        out.code = UINT8 if meta.dtype < 0 else meta.dtype
    elif values["dtype"] is not None:
        out.code = pool_code(values["dtype"])
    elif shape is None and strides is None:
        meta.dtype, meta.ndim = -1, 0
        return 0
    else:
        raise PoolArgumentError("a shape or strides without a dtype say nothing")
    if shape is None and "shape" not in values and has_shape(meta) and not spans(meta, size):
        check_told(meta)
        shape = shape_of(meta.ndim, <const Py_ssize_t*> meta.shape)
    if shape is None:
        flat(size, &out)
    elif strides is None:
        fit(shaped(shape, &out), size, &out)
    else:
        shaped(shape, &out)
    if strides is not None:
        set_strides(strides, &out)
        check_inside(size, &out)
    describe(meta, &out)
    return 0


cdef int set_strides(object strides, Layout* out) except -1:
    cdef int d
    if out.code == INT4:
        raise PoolArgumentError("int4 has no strides: it is packed in C order")
    if not isinstance(strides, (tuple, list)):
        raise TypeError(f"strides are a tuple of integers, not {type(strides).__name__}")
    if len(strides) != out.ndim:
        raise PoolArgumentError(
            f"strides {tuple(strides)} do not go with shape {shape_of(out.ndim, out.shape)}")
    for d in range(out.ndim):
        out.strides[d] = integer(strides[d], "a stride", 0, 2**63 - 1)
    return 0


cdef int change_content_type(libgmemx.gmem_buffer_meta* meta, object value) except -1:
    if not isinstance(value, str):
        raise TypeError(f"content_type must be a string, not {type(value).__name__}")
    text = (<str> value).encode("utf-8", "replace")
    if len(text) > CONTENT_TYPE or b"\0" in text:
        raise PoolArgumentError(
            f"content_type must have at most {CONTENT_TYPE} bytes and no NUL, not {value[:80]!r}")
    memset(meta.content_type, 0, CONTENT_TYPE)
    memcpy(meta.content_type, <const char*> text, len(text))
    return 0


# ---- what was told ---------------------------------------------------------------------------

cdef dict told(const libgmemx.gmem_buffer_meta* meta):
    check_told(meta)
    cdef bint strided = has_shape(meta) and meta.dtype != INT4
    cdef bytes text = (<const char*> meta.content_type)[:CONTENT_TYPE]
    return {
        "dtype": None if meta.dtype < 0 else dtype_of_code(meta.dtype),
        "shape": (
            shape_of(meta.ndim, <const Py_ssize_t*> meta.shape) if has_shape(meta) else None),
        "strides": (
            shape_of(meta.ndim, <const Py_ssize_t*> meta.strides) if strided else None),
        "timestamp": meta.timestamp,
        "sequence": meta.sequence,
        "content_type": text.split(b"\0", 1)[0].decode("utf-8", "replace"),
        "producer": meta.producer,
    }
