"""One zero-copy view over memory of every kind."""

cimport cython
from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS, PyBUF_C_CONTIGUOUS, PyBUF_F_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND,
    PyBUF_STRIDES, PyBUF_WRITABLE,
)
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.exc cimport PyErr_SetObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF
from cpython.slice cimport PySlice_Check
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy

from gmemx cimport _arrow, _dlpack, libgmemx
from gmemx._buffers cimport thread_count
from gmemx._copying cimport copy_elements
from gmemx._dtypes cimport (
    GMEMX_DTYPES, INT4, UINT8, code_of, dtype_of_code,
)
from gmemx._elements cimport dtype_of_scalar, load, point, store
from gmemx._indexing cimport (
    MAX_NDIM, Geometry, Part, axes_of, axis_of, c_order, checked_bytes, completed, is_element,
    is_scalar_key, overlap, parse_shape, position, restride, select, shape_of, span,
)
from gmemx._tensor_source cimport tensor_of
from gmemx.status cimport check

from pickle import PickleBuffer

import numpy as np

from gmemx import _tensor_compute, _tensor_data, _tensor_source, _tensor_text
from gmemx._dtypes import DType, dtype
from gmemx.errors import InvalidArgumentError

cdef extern from "Python.h":
    int PySlice_Unpack(object, Py_ssize_t*, Py_ssize_t*, Py_ssize_t*) except -1
    Py_ssize_t PySlice_AdjustIndices(
        Py_ssize_t, Py_ssize_t*, Py_ssize_t*, Py_ssize_t) noexcept nogil

# NumPy's scalars, which have a dtype of their own.
cdef type GENERIC = np.generic

cdef enum:
    READONLY = 1
    # Read-only memory that may leave through DLPack all the same.
    SHARED = 2
    CLOSED = 4
    # Dimensions whose extents and strides need no allocation.
    FEW = 4


# ---- making ------------------------------------------------------------------------------

cdef Tensor blank(int code, int ndim):
    """A tensor without memory, whose shape and strides are to be filled in."""
    cdef Tensor self = Tensor.__new__(Tensor)
    make_room(self, ndim)
    self.code = code
    return self


cdef int make_room(Tensor self, int ndim) except -1:
    cdef Py_ssize_t* room = self.room
    if ndim > FEW:
        room = <Py_ssize_t*> PyMem_Malloc(2 * ndim * sizeof(Py_ssize_t))
        if room is NULL:
            raise MemoryError("there is no memory for a tensor's shape")
    self.extents, self.steps, self.dims = room, room + ndim, ndim
    return 0


cdef int require_unmade(Tensor self) except -1:
    """Data and dtypes may run any code: even code that makes the tensor which they are for."""
    if self.extents is not NULL or self.memory is not NULL:
        raise TypeError("a Tensor is made once")
    return 0


cdef int become(Tensor self, Tensor other) except -1:
    """Takes over all of a tensor that nobody else has."""
    require_unmade(self)
    make_room(self, other.dims)
    memcpy(self.extents, other.extents, other.dims * sizeof(Py_ssize_t))
    memcpy(self.steps, other.steps, other.dims * sizeof(Py_ssize_t))
    self.code, self.flags, self.ptr = other.code, other.flags, other.ptr
    self.memory, self.keeper, self.base = other.memory, other.keeper, other.base
    other.memory, other.base = NULL, None
    return 0


cdef Tensor tensor_new(int dtype, int ndim, const Py_ssize_t* shape, bint zeroed):
    cdef Tensor self = Tensor.__new__(Tensor)
    tensor_begin(self, dtype, ndim, shape, zeroed)
    return self


cdef int tensor_begin(
    Tensor self, int dtype, int ndim, const Py_ssize_t* shape, bint zeroed
) except -1:
    require_unmade(self)
    # Without memory it has no extents either, and nobody can use it.
    check(libgmemx.gmem_memory_new(checked_bytes(dtype, ndim, shape), zeroed, &self.memory))
    make_room(self, ndim)
    memcpy(self.extents, shape, ndim * sizeof(Py_ssize_t))
    c_order(dtype, ndim, self.extents, self.steps)
    self.code = dtype
    self.ptr = <char*> self.memory
    return 0


cdef Tensor tensor_over(
    void* data, int dtype, int ndim, const Py_ssize_t* shape, const Py_ssize_t* strides,
    bint readonly, object keeper
):
    cdef Tensor self = blank(dtype, ndim)
    memcpy(self.extents, shape, ndim * sizeof(Py_ssize_t))
    if strides is NULL:
        c_order(dtype, ndim, self.extents, self.steps)
    else:
        memcpy(self.steps, strides, ndim * sizeof(Py_ssize_t))
    self.ptr = <char*> data
    self.flags = READONLY if readonly else 0
    self.keeper = keeper
    return self


cdef Tensor view_of(Tensor self, int code, int ndim, char* data):
    """A view on `self`'s memory, whose shape and strides are to be filled in."""
    cdef Tensor view
    self.live()
    view = blank(code, ndim)
    view.ptr = data
    view.flags = self.flags & (READONLY | SHARED)
    # A view of a view belongs to what the first is a view of.
    view.base = self if self.base is None else self.base
    view.base.uses += 1
    return view


cdef Tensor same_view(Tensor self):
    cdef Tensor view = view_of(self, self.code, self.dims, self.ptr)
    memcpy(view.extents, self.extents, self.dims * sizeof(Py_ssize_t))
    memcpy(view.steps, self.steps, self.dims * sizeof(Py_ssize_t))
    return view


cdef Tensor view_of_part(Tensor self, const Part* part):
    cdef Tensor view = view_of(self, self.code, part.ndim, self.ptr)
    memcpy(view.extents, part.shape, part.ndim * sizeof(Py_ssize_t))
    memcpy(view.steps, part.strides, part.ndim * sizeof(Py_ssize_t))
    if view.ptr is not NULL:
        view.ptr += part.offset
    return view


cdef Tensor slice_first(Tensor self, object key):
    """``self[key]`` for a single slice, the common case, in one go."""
    cdef Py_ssize_t start, stop, step, length
    cdef Tensor view
    PySlice_Unpack(key, &start, &stop, &step)
    length = PySlice_AdjustIndices(self.extents[0], &start, &stop, step)
    view = same_view(self)
    view.extents[0] = length
    view.steps[0] = self.steps[0] * step
    if length:
        view.ptr += start * self.steps[0]
    return view


cdef object index_first(Tensor self, object key):
    """``self[key]`` for a single int: an element or a row."""
    cdef Geometry whole = geometry(self)
    cdef Py_ssize_t i = position(&whole, key, 0)
    cdef Tensor view
    if self.dims == 1:
        return load(self.code, self.ptr + i * self.steps[0], 0)
    view = view_of(self, self.code, self.dims - 1, self.ptr)
    memcpy(view.extents, self.extents + 1, view.dims * sizeof(Py_ssize_t))
    memcpy(view.steps, self.steps + 1, view.dims * sizeof(Py_ssize_t))
    if self.ptr is not NULL:
        view.ptr += i * self.steps[0]
    return view


cdef Geometry geometry(Tensor self) noexcept:
    cdef Geometry whole
    whole.code = self.code
    whole.ndim = self.dims
    whole.shape = self.extents
    whole.strides = self.steps
    return whole


def empty(shape, dtype="float64"):
    """A new tensor with memory of its own, aligned to 64 bytes and not initialised.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : str, DType, numpy.dtype or type, optional
        See `gmemx.dtype`.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If the shape is negative or too large, or the dtype unknown.
    MemoryError
        If there is no memory.

    Examples
    --------
    >>> import gmemx
    >>> gmemx.empty((2, 3), "bfloat16").nbytes
    12
    """
    cdef Py_ssize_t[64] extents
    cdef int ndim = parse_shape(shape, extents)
    return tensor_new(code_of(dtype), ndim, extents, False)


def zeros(shape, dtype="float64"):
    """A new tensor of zeros; parameters and errors as `empty`.

    >>> import gmemx
    >>> gmemx.zeros(3, "int8")
    Tensor([0, 0, 0], dtype=int8)
    """
    cdef Py_ssize_t[64] extents
    cdef int ndim = parse_shape(shape, extents)
    return tensor_new(code_of(dtype), ndim, extents, True)


def full(shape, fill_value, dtype=None):
    """A new tensor of one value; parameters and errors as `empty`.

    Without `dtype` it is that of the value: bool, int64 or float64.

    >>> import gmemx
    >>> gmemx.full(2, 0.1, "bfloat16")
    Tensor([0.10009766, 0.10009766], dtype=bfloat16)
    """
    cdef Py_ssize_t[64] extents
    cdef int ndim = parse_shape(shape, extents)
    cdef int code = dtype_of_scalar(fill_value) if dtype is None else code_of(dtype)
    cdef Tensor value = scalar(code, fill_value)
    cdef Tensor self = tensor_new(code, ndim, extents, False)
    copy_into(value, self, 0)
    return self


def from_dlpack(x, /, *, copy=None):
    """A tensor over the memory of any array that speaks DLPack; see `Tensor.from_dlpack`.

    Parameters
    ----------
    x : object with ``__dlpack__``
    copy : bool, optional
        As there.

    Returns
    -------
    Tensor

    Raises
    ------
    BufferError
        If the memory cannot be shared in the way asked for.

    Examples
    --------
    >>> import numpy as np
    >>> a = np.arange(3.0)
    >>> from_dlpack(a)[1] = 9.0
    >>> float(a[1])
    9.0
    """
    return shared_dlpack(x, copy)


cdef Tensor scalar(int code, object value):
    """A tensor without dimensions that holds `value`, which must fit."""
    cdef Tensor self = tensor_new(code, 0, NULL, True)
    store(code, self.ptr, 0, value)
    return self


# ---- operands -----------------------------------------------------------------------------

cdef Tensor as_tensor(object value, int dtype):
    if isinstance(value, Tensor):
        (<Tensor> value).live()
        return <Tensor> value
    if is_number(value):
        if dtype < 0:
            dtype = code_of(value.dtype) if isinstance(value, GENERIC) else dtype_of_scalar(value)
        return scalar(dtype, value)
    return tensor_of(value, None, None)


cdef bint overlapping(Tensor a, Tensor b) noexcept:
    cdef Geometry whole_a = geometry(a), whole_b = geometry(b)
    return overlap(&whole_a, a.ptr, &whole_b, b.ptr)


cdef int copy_into(Tensor source, Tensor target, size_t threads) except -1:
    """Copies with conversion and broadcasting; the two may overlap."""
    cdef libgmemx.gmem_view a, b
    if source is not target and overlapping(source, target):
        source = source.copy()
    return put(source, target, threads)


cdef int put(Tensor source, Tensor target, size_t threads) except -1:
    """As `copy_into`, where the two do not overlap."""
    cdef libgmemx.gmem_view a, b
    source.pin()
    target.pin()
    try:
        a, b = source.c_view(), target.c_view()
        copy_elements(&a, &b, target.c_nbytes(), threads)
    finally:
        source.unpin()
        target.unpin()
    return 0


cdef bint is_number(object value):
    return isinstance(value, (bool, int, float, GENERIC))


cdef int fill_with(Tensor target, object value) except -1:
    """Sets every element to a number, which must fit."""
    cdef libgmemx.gmem_view a, b
    cdef char[8] element
    store(target.code, element, 0, value)
    a = point(element, target.code)
    target.pin()
    try:
        b = target.c_view()
        copy_elements(&a, &b, target.c_nbytes(), 0)
    finally:
        target.unpin()
    return 0


cdef Tensor converted(Tensor self, int code, size_t threads):
    """A new tensor of the values in a dtype."""
    cdef Tensor result
    self.live()
    result = tensor_new(code, self.dims, self.extents, False)
    put(self, result, threads)
    return result


cdef _dlpack.DLPackExchangeAPI EXCHANGE


# ---- the class ---------------------------------------------------------------------------

@cython.freelist(64)
@cython.no_gc_clear  # said in tensor.pxd, but heeded here only
cdef class Tensor:
    """A typed, n-dimensional view of memory; making one from data copies it.

    Parameters
    ----------
    data : nested sequence of numbers, buffer, array or Tensor
        What to copy. `Tensor.from_buffer` and `Tensor.from_dlpack` share memory instead.
    dtype : str, DType, numpy.dtype or type, optional
        See `gmemx.dtype`. Without it that of the data; for Python numbers bool, int64
        or float64.

    Raises
    ------
    ValueError
        If the data are ragged, or the dtype is unknown.
    TypeError
        If the data are no numbers.
    OverflowError
        If a Python integer does not fit in the dtype.

    Notes
    -----
    Memory of its own begins at a multiple of 64 bytes. A view, whatever made it, keeps
    what it is a view of. Indexing by one integer a dimension gives a Python number,
    anything else a view. Reductions accumulate in float64, or exactly for integers.
    `threads` is the most threads a call may use; None means one a core.

    Examples
    --------
    >>> import gmemx
    >>> t = gmemx.Tensor([[1, 2, 3], [4, 5, 6]], "float32")
    >>> t[1, 2], t[:, ::-1].tolist()
    (6.0, [[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]])
    >>> t.T.sum(axis=0)
    Tensor([ 6., 15.], dtype=float64)
    """

    def __init__(self, data, dtype=None):
        cdef Tensor other
        require_unmade(self)
        other = tensor_of(data, dtype, self)
        if other is not self:
            become(self, other)

    def __dealloc__(self):
        if self.base is not None:
            self.base.uses -= 1
        libgmemx.gmem_memory_free(self.memory)
        if self.extents is not NULL and self.extents is not self.room:
            PyMem_Free(self.extents)

    # ---- for other extensions ---------------------------------------------

    cdef char* c_data(self) noexcept nogil:
        return self.ptr

    cdef int c_ndim(self) noexcept nogil:
        return self.dims

    cdef const Py_ssize_t* c_shape(self) noexcept nogil:
        return self.extents

    cdef const Py_ssize_t* c_strides(self) noexcept nogil:
        return NULL if self.code == INT4 else self.steps

    cdef int c_dtype(self) noexcept nogil:
        return self.code

    cdef Py_ssize_t c_size(self) noexcept nogil:
        cdef Py_ssize_t size = 1
        cdef int d
        for d in range(self.dims):
            size *= self.extents[d]
        return size

    cdef Py_ssize_t c_nbytes(self) noexcept nogil:
        cdef Py_ssize_t size = self.c_size()
        return (size + 1) // 2 if self.code == INT4 else size * GMEMX_DTYPES[self.code].itemsize

    cdef bint c_readonly(self) noexcept nogil:
        return self.flags & READONLY != 0

    cdef bint c_contiguous(self) noexcept nogil:
        cdef Py_ssize_t step = GMEMX_DTYPES[self.code].itemsize
        cdef int d
        cdef bint right = True
        if self.code == INT4:
            return True
        for d in range(self.dims - 1, -1, -1):
            if self.extents[d] == 0:
                return True
            # A dimension of one element is contiguous at any stride.
            if self.extents[d] != 1:
                right = right and self.steps[d] == step
                step *= self.extents[d]
        return right

    cdef libgmemx.gmem_view c_view(self) noexcept nogil:
        cdef libgmemx.gmem_view view
        view.data = self.ptr
        view.shape = <const int64_t*> self.extents
        view.strides = <const int64_t*> self.steps
        view.ndim = self.dims
        view.dtype = self.code
        return view

    cdef int pin(self) except -1:
        self.live()
        self.uses += 1
        return 0

    cdef void unpin(self) noexcept:
        self.uses -= 1

    cdef int live(self) except -1:
        if self.flags & CLOSED or self.extents is NULL:
            raise InvalidArgumentError("the tensor is closed")
        return 0

    cdef int writable(self) except -1:
        self.live()
        if self.flags & READONLY:
            raise InvalidArgumentError(
                f"the tensor of shape {self.shape} and dtype {self.dtype} is read-only")
        return 0

    # ---- what it is -------------------------------------------------------

    @property
    def shape(self):
        """The extents, a tuple of int."""
        return shape_of(self.dims, self.extents)

    @property
    def strides(self):
        """Bytes between neighbours, a tuple; None for int4, packed in C order."""
        return None if self.code == INT4 else shape_of(self.dims, self.steps)

    @property
    def dtype(self):
        """The type of the elements, a `DType`."""
        return dtype_of_code(self.code)

    @property
    def ndim(self):
        """The number of dimensions."""
        return self.dims

    @property
    def size(self):
        """The number of elements."""
        return self.c_size()

    @property
    def itemsize(self):
        """Bytes of one element; 0.5 for int4."""
        return self.dtype.itemsize

    @property
    def nbytes(self):
        """Bytes that the elements take in a row."""
        return self.c_nbytes()

    @property
    def offset(self):
        """Bytes from the first element of the tensor this is a view of to its own; else 0."""
        return 0 if self.base is None else self.ptr - self.base.ptr

    @property
    def readonly(self):
        """Whether the memory must not be written."""
        return self.c_readonly()

    @property
    def is_contiguous(self):
        """Whether the elements lie in C order without gaps."""
        return self.c_contiguous()

    @property
    def device(self):
        """Where the memory is: ``'cpu'``."""
        return "cpu"

    @property
    def owner(self):
        """What keeps the memory: a Tensor, the object behind a buffer, or None for its own."""
        if self.base is not None:
            return self.base
        return self.keeper.obj if isinstance(self.keeper, memoryview) else self.keeper

    @property
    def closed(self):
        """Whether it was closed."""
        return self.flags & CLOSED != 0

    @property
    def T(self):  # noqa: N802
        """A view with the dimensions in reverse order."""
        cdef Tensor view
        cdef int d, last = self.dims - 1
        if self.code == INT4:
            return self.permute(tuple(range(self.dims))[::-1])
        view = same_view(self)
        for d in range(self.dims):
            view.extents[d], view.steps[d] = self.extents[last - d], self.steps[last - d]
        return view

    def __repr__(self):
        return "Tensor(closed)" if self.flags & CLOSED else _tensor_text.text(self)

    def __len__(self):
        if self.dims == 0:
            raise TypeError("a tensor without dimensions has no length")
        return self.extents[0]

    def __bool__(self):
        if self.c_size() != 1:
            raise InvalidArgumentError(
                f"a tensor of shape {self.shape} is neither true nor false: "
                "use count_nonzero() or equal()"
            )
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bytes__(self):
        # Or bytes() would ask a tensor of one integer for its index first.
        return memoryview(self).tobytes()

    def __index__(self):
        if self.c_size() != 1 or GMEMX_DTYPES[self.code].kind not in b"iu":
            raise TypeError(f"a {self.dtype} tensor of shape {self.shape} is no index")
        return self.item()

    def close(self):
        """Give the memory back now; a closed tensor has none, and closing again does nothing.

        Raises
        ------
        BufferError
            If views, exports or running calls still use the memory.

        Examples
        --------
        >>> import gmemx
        >>> with gmemx.zeros(3) as t:
        ...     total = t.sum()
        >>> t.closed
        True
        """
        if self.flags & CLOSED or self.extents is NULL:
            return
        if self.uses:
            raise BufferError(
                f"the tensor of shape {self.shape} cannot be closed: "
                f"{self.uses} views or exports use its memory"
            )
        if isinstance(self.keeper, memoryview):
            self.keeper.release()
        elif hasattr(self.keeper, "close"):
            self.keeper.close()
        self.flags |= CLOSED
        if self.base is not None:
            self.base.uses -= 1
        self.base, self.keeper, self.ptr = None, None, NULL
        libgmemx.gmem_memory_free(self.memory)
        self.memory = NULL

    def __enter__(self):
        self.live()
        return self

    def __exit__(self, *exception):
        self.close()

    # ---- sharing memory ---------------------------------------------------

    @staticmethod
    def from_buffer(obj, dtype=None, shape=None, writable=None):
        """A tensor over a buffer's own memory, without a copy.

        Parameters
        ----------
        obj : buffer or NumPy array
        dtype : str, DType, numpy.dtype or type, optional
            What to see the bytes as. Without it what the buffer says.
        shape : int or tuple of int, optional
            Another shape for the same bytes; the buffer must then be contiguous.
        writable : bool, optional
            True asks for memory that may be written, False for a read-only view of it.

        Returns
        -------
        Tensor

        Raises
        ------
        TypeError
            If `obj` is no buffer.
        ValueError
            If no dtype is what the buffer holds, or `dtype` and `shape` do not fit its size.
        BufferError
            If writing is asked for and not allowed, or the buffer is indirect.

        Examples
        --------
        >>> import gmemx
        >>> memory = bytearray(8)
        >>> t = gmemx.Tensor.from_buffer(memory, "uint16")
        >>> t[1] = 0x4142
        >>> memory[2:4]
        bytearray(b'BA')
        """
        return _tensor_source.over_buffer(obj, dtype, shape, writable)

    @staticmethod
    def from_dlpack(x, /, *, copy=None):
        """A tensor over the memory of any array that speaks DLPack.

        Parameters
        ----------
        x : object with ``__dlpack__``, or a capsule
        copy : bool, optional
            True makes a copy, False and None share the memory.

        Returns
        -------
        Tensor
            Read-only where `x` says that it is, or cannot say: a capsule of before
            DLPack 1.0, which is all that JAX gives.

        Raises
        ------
        TypeError
            If `x` does not speak DLPack.
        BufferError
            If the capsule is malformed, was taken before, or is of memory that is not
            the CPU's.

        Examples
        --------
        >>> import gmemx, numpy as np
        >>> a = np.arange(3.0)
        >>> gmemx.Tensor.from_dlpack(a)[1]
        1.0
        """
        return shared_dlpack(x, copy)

    @staticmethod
    def from_arrow(x, /):
        """A read-only tensor over a one-dimensional Arrow array of numbers without nulls.

        Parameters
        ----------
        x : object with ``__arrow_c_array__``

        Raises
        ------
        TypeError
            If `x` has no Arrow array to give.
        BufferError
            If it has nulls, or elements of no tensor.

        Examples
        --------
        >>> Tensor.from_arrow(Tensor([1, 2, 3])).tolist()  # or of a pyarrow.Array
        [1, 2, 3]
        """
        if not hasattr(x, "__arrow_c_array__"):
            raise TypeError(f"{type(x).__name__} has no __arrow_c_array__")
        schema, array = x.__arrow_c_array__()
        cdef _arrow.Imported taken = _arrow.take(schema, array)
        cdef Py_ssize_t n = taken.array.length
        return tensor_over(taken.data, taken.dtype, 1, &n, NULL, True, taken)

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef bint ordered = flags & PyBUF_STRIDES == PyBUF_STRIDES
        cdef bint contiguous
        self.live()
        if flags & PyBUF_WRITABLE and self.flags & READONLY:
            raise BufferError("the tensor is read-only")
        if not ordered or flags & (
            PyBUF_C_CONTIGUOUS | PyBUF_F_CONTIGUOUS | PyBUF_ANY_CONTIGUOUS
        ) & ~PyBUF_STRIDES:
            contiguous = self.c_contiguous()
            if flags & PyBUF_F_CONTIGUOUS == PyBUF_F_CONTIGUOUS:
                contiguous = f_contiguous(self)
            elif flags & PyBUF_ANY_CONTIGUOUS == PyBUF_ANY_CONTIGUOUS:
                contiguous = contiguous or f_contiguous(self)
            if not contiguous:
                raise BufferError(
                    f"the tensor's memory is not contiguous: shape {self.shape}, "
                    f"strides {self.strides}"
                )
        view.obj = self
        view.buf = self.ptr
        view.len = self.c_nbytes()
        view.readonly = self.flags & READONLY
        view.format = <char*> GMEMX_DTYPES[self.code].format if flags & PyBUF_FORMAT else NULL
        view.suboffsets = NULL
        view.internal = NULL
        if self.code == INT4:
            # Packed elements have no strides: a row of bytes.
            self.packed[0], self.packed[1] = view.len, 1
            view.itemsize = 1
            view.ndim = 1
            view.shape = self.packed if flags & PyBUF_ND else NULL
            view.strides = &self.packed[1] if ordered else NULL
        else:
            view.itemsize = GMEMX_DTYPES[self.code].itemsize
            view.ndim = self.dims if flags & PyBUF_ND else 1
            view.shape = self.extents if flags & PyBUF_ND else NULL
            view.strides = self.steps if ordered else NULL
        self.uses += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.uses -= 1

    @cython.binding(False)  # a plain method descriptor: some 10 ns less a call
    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A DLPack capsule of the memory.

        Parameters
        ----------
        stream : None
            CPU memory has no streams.
        max_version : tuple of int, optional
            From (1, 0) on the capsule is versioned and can say that it is read-only.
        dl_device : tuple of int, optional
            ``(1, 0)``, the CPU.
        copy : bool, optional
            True gives a copy in C order, which may be written.

        Raises
        ------
        BufferError
            For another device; for negative strides, which consumers do not survive; for
            read-only memory, because consumers write to it all the same, unless this is
            a view from `share_readonly` and the request versioned. `copy` helps with both.
        """
        cdef Tensor self_or_copy = self
        cdef bint versioned = False
        cdef long major
        cdef _dlpack.Memory memory
        self.live()
        if max_version is not None:
            major = max_version[0]
            versioned = major >= 1
        if stream is not None and stream != -1:
            raise BufferError(f"CPU memory has no streams: stream must be None, not {stream!r}")
        if dl_device is not None and tuple(dl_device) != (1, 0):
            raise BufferError(f"the tensor is on DLPack device (1, 0), not {tuple(dl_device)}")
        if copy is not None and copy:
            self_or_copy = self.copy()
        elif self.flags & READONLY and not (versioned and self.flags & SHARED):
            raise BufferError(
                "the tensor is read-only and DLPack consumers may write: pass copy=True, take it "
                "through the buffer protocol, or say share_readonly() first"
            )
        memory = exported(self_or_copy)
        memory.copied = self_or_copy is not self
        return _dlpack.capsule(self_or_copy, &self_or_copy.uses, &memory, versioned)

    def __dlpack_device__(self):
        """``(1, 0)``: DLPack's number of the CPU."""
        return (1, 0)

    __dlpack_c_exchange_api__ = PyCapsule_New(&EXCHANGE, b"dlpack_exchange_api", NULL)

    def share_readonly(self):
        """A view of read-only memory that DLPack may export, marked as read-only.

        Whoever takes it must not write: PyTorch does not look at the mark, and writing to
        memory that the system protects ends the process.

        Returns
        -------
        Tensor

        Examples
        --------
        >>> import numpy as np
        >>> view = Tensor.from_buffer(b"abcd").share_readonly()
        >>> np.from_dlpack(view).tobytes()
        b'abcd'
        """
        cdef Tensor view = same_view(self)
        view.flags |= READONLY | SHARED
        return view

    def __arrow_c_schema__(self):
        """The capsule of an Arrow schema; bools are of the extension type bool8."""
        return _arrow.schema_capsule(self.code)

    def __arrow_c_array__(self, requested_schema=None):
        """The capsules of an Arrow schema and array over the memory, one-dimensional only.

        Raises
        ------
        BufferError
            If there is not one dimension, or it is not contiguous.
        NotImplementedError
            For bfloat16, float8 and int4.
        """
        self.live()
        schema = _arrow.schema_capsule(self.code)
        if self.dims != 1 or not self.c_contiguous():
            raise BufferError(
                "Arrow takes contiguous memory of one dimension, not shape "
                f"{self.shape} with strides {self.strides}"
            )
        return schema, _arrow.array_capsule(
            self, &self.uses, self.code, self.ptr, self.extents[0])

    @property
    def __array_interface__(self):
        if self.code == INT4:
            raise AttributeError("int4 has no __array_interface__: it is packed two to a byte")
        self.live()
        numpy_type = (
            self.dtype.numpy.str if GMEMX_DTYPES[self.code].exact else f"|V{self.itemsize}"
        )
        return {
            "version": 3,
            "shape": self.shape,
            "strides": self.strides,
            "typestr": numpy_type,
            "data": (<size_t> self.ptr, self.c_readonly()),
        }

    def __array__(self, dtype=None, copy=None):
        """The NumPy array of `numpy`, converted where another dtype is asked for."""
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is not None and not copy:
                raise InvalidArgumentError(f"{self.dtype} becomes {dtype} by a copy only")
            return array.astype(dtype)
        return array.copy() if copy else array

    def numpy(self):
        """The NumPy array of the same memory, which keeps this tensor.

        Returns
        -------
        numpy.ndarray
            Read-only where the tensor is. bfloat16 and float8 are ml_dtypes' types.

        Raises
        ------
        NotImplementedError
            For int4, and for bfloat16 and float8 without ml_dtypes.

        Examples
        --------
        >>> import gmemx
        >>> t = gmemx.zeros(3)
        >>> t.numpy()[1] = 5.0
        >>> t[1]
        5.0
        """
        if GMEMX_DTYPES[self.code].exact:
            return np.asarray(self)
        numpy_type = self.dtype.numpy
        return np.asarray(self).view(numpy_type)

    def to_torch(self, *, copy=None):
        """The PyTorch tensor of the same memory.

        Parameters
        ----------
        copy : bool, optional
            True copies; None copies only what PyTorch cannot take as it is, negative
            strides; False never copies.

        Raises
        ------
        BufferError
            If the memory is read-only, which PyTorch does not respect, and `copy` is not True.
        ImportError
            Without PyTorch.
        """
        return _tensor_data.to_torch(self, copy)

    # ---- elements and views -----------------------------------------------

    def __getitem__(self, key):
        cdef Part part
        cdef Geometry whole
        cdef bint single
        cdef Py_ssize_t offset
        self.live()
        if self.dims and self.code != INT4:
            if PySlice_Check(key):
                return slice_first(self, key)
            if PyLong_CheckExact(key):
                return index_first(self, key)
        whole = geometry(self)
        if is_element(&whole, key, &offset):
            return load(self.code, self.ptr + offset, 0)
        single = is_scalar_key(self.dims, key)
        select(&whole, key, single, &part)
        if single:
            return load(self.code, self.ptr + part.offset, part.nibble)
        return view_of_part(self, &part)

    def __setitem__(self, key, value):
        cdef Part part
        cdef Geometry whole = geometry(self)
        cdef bint single
        cdef Tensor target, source
        cdef Py_ssize_t offset
        self.writable()
        if not isinstance(value, Tensor) and is_element(&whole, key, &offset):
            store(self.code, self.ptr + offset, 0, value)
            return
        single = is_scalar_key(self.dims, key)
        select(&whole, key, single, &part)
        if single and not isinstance(value, Tensor):
            store(self.code, self.ptr + part.offset, part.nibble, value)
            return
        if single:
            if (<Tensor> value).c_size() != 1:
                raise InvalidArgumentError(
                    f"one element takes one value, not a tensor of shape {value.shape}")
            self[key] = value.astype(self.dtype).item()
            return
        target = view_of_part(self, &part)
        if is_number(value):
            fill_with(target, value)
            return
        source = as_tensor(value, self.code)
        if source.dims > target.dims:
            # As NumPy: leading dimensions of one element are no hindrance.
            source = drop_leading(source, target.dims)
        copy_into(source, target, 0)

    def __iter__(self):
        self.live()
        if self.dims == 0:
            raise TypeError("a tensor without dimensions cannot be iterated over")
        return (self[i] for i in range(self.extents[0]))

    def item(self):
        """The value of a tensor of one element as a Python bool, int or float.

        Raises
        ------
        ValueError
            If there is not one element.

        Returns
        -------
        bool, int or float

        Examples
        --------
        >>> Tensor([7]).item()
        7
        """
        self.live()
        if self.c_size() != 1:
            raise InvalidArgumentError(f"a tensor of shape {self.shape} is not one value")
        return load(self.code, self.ptr, 0)

    def tolist(self):
        """The values as nested lists of Python numbers; one number without dimensions.

        Returns
        -------
        list, bool, int or float

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.tolist()
        [[1.0, 2.0], [3.0, 5.0]]
        """
        if GMEMX_DTYPES[self.code].exact:
            return np.asarray(self).tolist()
        return self.astype("int8" if self.code == INT4 else "float32").tolist()

    def permute(self, *axes):
        """A view with the dimensions in another order.

        Parameters
        ----------
        *axes : int
            A permutation of the dimensions; also as one sequence.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.zeros((2, 3, 4)).permute(2, 0, 1).shape
        (4, 2, 3)
        """
        cdef Geometry whole = geometry(self)
        cdef Tensor view
        cdef int d, axis, last = -1
        cdef uint64_t seen = 0
        cdef bint moved = False
        if len(axes) == 1 and isinstance(axes[0], (tuple, list)):
            axes = tuple(axes[0])
        view = same_view(self)
        for d in range(min(<int> len(axes), self.dims)):
            axis = axis_of(&whole, axes[d])
            seen |= <uint64_t> 1 << axis
            view.extents[d], view.steps[d] = self.extents[axis], self.steps[axis]
            if self.extents[axis] != 1:
                moved = moved or axis < last
                last = axis
        if len(axes) != self.dims or seen != axes_of(&whole, None):
            raise InvalidArgumentError(
                f"axes {axes} are no order of the dimensions of shape {self.shape}")
        if self.code == INT4 and moved:
            raise InvalidArgumentError(
                f"an int4 tensor of shape {self.shape} is packed in C order and cannot be "
                "permuted: use astype('int8') first"
            )
        return view

    def transpose(self, axis0=0, axis1=1):
        """A view with two dimensions exchanged.

        Parameters
        ----------
        axis0, axis1 : int

        Returns
        -------
        Tensor

        Raises
        ------
        IndexError
            If there is no such dimension.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.transpose().tolist()
        [[1.0, 3.0], [2.0, 5.0]]
        """
        cdef Geometry whole = geometry(self)
        order = list(range(self.dims))
        a, b = axis_of(&whole, axis0), axis_of(&whole, axis1)
        order[a], order[b] = b, a
        return self.permute(order)

    def reshape(self, *shape):
        """A view of the same elements in another shape, where -1 is what is left.

        Parameters
        ----------
        *shape : int
            Also as one sequence; at most one is -1.

        Raises
        ------
        ValueError
            If the shape has another number of elements, or would need a copy.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.zeros((2, 6)).reshape(-1, 3).shape
        (4, 3)
        """
        cdef Geometry whole = geometry(self)
        cdef Part part
        self.live()
        completed(shape, self.c_size(), &whole, &part)
        part.offset = 0
        restride(&whole, &part)
        return view_of_part(self, &part)

    def flatten(self):
        """A view in one dimension; ValueError where that would need a copy.

        Returns
        -------
        Tensor

        Raises
        ------
        ValueError
            If the elements are not evenly spaced.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.flatten().tolist()
        [1.0, 2.0, 3.0, 5.0]
        """
        return self.reshape(-1) if self.c_size() else self.reshape(0)

    def squeeze(self, axis=None):
        """A view without dimensions of one element: all of them, or the one named.

        Parameters
        ----------
        axis : int or tuple of int, optional

        Raises
        ------
        ValueError
            If the named dimension has more elements.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t[:1].squeeze().shape, t[:1].squeeze(0).shape
        ((2,), (2,))
        """
        cdef Geometry whole = geometry(self)
        cdef uint64_t bits = axes_of(&whole, axis)
        cdef Part part
        cdef int d
        part.ndim = 0
        part.offset = 0
        for d in range(self.dims):
            if bits >> d & 1 and self.extents[d] == 1:
                continue
            if bits >> d & 1 and axis is not None:
                raise InvalidArgumentError(
                    f"axis {d} of shape {self.shape} has {self.extents[d]} elements, not one")
            part.shape[part.ndim], part.strides[part.ndim] = self.extents[d], self.steps[d]
            part.ndim += 1
        return view_of_part(self, &part)

    def unsqueeze(self, axis):
        """A view with a dimension of one element more, at `axis`.

        Parameters
        ----------
        axis : int
            Where it is afterwards; negative counts from the end.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.zeros((2, 3)).unsqueeze(-1).shape
        (2, 3, 1)
        """
        cdef Geometry whole = geometry(self)
        whole.ndim += 1  # one place more than there are dimensions
        if not -whole.ndim <= axis < whole.ndim:
            whole.ndim -= 1
            axis_of(&whole, axis)
        place = axis + whole.ndim if axis < 0 else axis
        return self[(slice(None),) * place + (None,)]

    def contiguous(self):
        """This tensor if it lies in C order, or a copy that does.

        Returns
        -------
        Tensor

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.contiguous() is t, t.T.contiguous().is_contiguous
        (True, True)
        """
        self.live()
        return self if self.c_contiguous() else self.copy()

    def copy(self, *, threads=None):
        """A new tensor in C order with the same values, which may be written.

        Parameters
        ----------
        threads : int, optional

        Returns
        -------
        Tensor

        Raises
        ------
        MemoryError
            If memory is refused.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> u = t.copy()
        >>> u[0, 0] = 9.0
        >>> t[0, 0]
        1.0
        """
        return converted(self, self.code, thread_count(threads))

    def astype(self, dtype, *, threads=None):
        """A new tensor of the values in another dtype.

        Floats round to nearest, ties to even, as NumPy and ml_dtypes do; integers wrap.
        A float that an integer cannot hold becomes the nearest it can, and NaN 0.

        Parameters
        ----------
        dtype : str, DType, numpy.dtype or type
        threads : int, optional

        Examples
        --------
        >>> import gmemx
        >>> gmemx.Tensor([0.3, 500.0]).astype("float8_e4m3fn").tolist()
        [0.3125, nan]
        """
        return converted(self, code_of(dtype), thread_count(threads))

    def fill(self, value):
        """Set every element to a number.

        Parameters
        ----------
        value : bool, int or float

        Raises
        ------
        TypeError, OverflowError
            If the number does not fit the dtype.
        ValueError
            If the tensor is read-only.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t[:, 0].fill(0)
        >>> t.tolist()
        [[0.0, 2.0], [0.0, 5.0]]
        """
        self.writable()
        fill_with(self, value)

    # ---- what is computed -------------------------------------------------

    def sum(self, axis=None, *, keepdims=False, threads=None):
        """The sum: exact for integers, accumulated in float64 for floats.

        Parameters
        ----------
        axis : int or tuple of int, optional
            The dimensions to sum over; None means all.
        keepdims : bool, optional
            Whether those dimensions stay, with one element.
        threads : int, optional

        Returns
        -------
        int, float or Tensor
            A number where `axis` is None; else int64, uint64 or float64.

        Raises
        ------
        OverflowError
            If an integer sum does not fit in 64 bits.
        IndexError
            If there is no such dimension.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.full(10, 0.5, "float16").sum()
        5.0
        """
        return _tensor_compute.reduced(self, libgmemx.GMEM_REDUCTION_SUM, axis, keepdims, threads)

    def mean(self, axis=None, *, keepdims=False, threads=None):
        """The mean, a float or float64; NaN of nothing. Parameters as `sum`.

        Parameters
        ----------
        axis : int or tuple of int, optional
        keepdims : bool
        threads : int, optional
            As `sum`.

        Returns
        -------
        float or Tensor of float64

        Raises
        ------
        IndexError
            If there is no such dimension.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.mean(), t.mean(0).tolist()
        (2.75, [2.0, 3.5])
        """
        return _tensor_compute.reduced(self, libgmemx.GMEM_REDUCTION_MEAN, axis, keepdims, threads)

    def min(self, axis=None, *, keepdims=False, threads=None):
        """The least value, NaN where there is one; ValueError of nothing. Parameters as `sum`.

        Parameters
        ----------
        axis : int or tuple of int, optional
        keepdims : bool
        threads : int, optional
            As `sum`.

        Returns
        -------
        a number, or Tensor

        Raises
        ------
        ValueError
            If there is nothing to choose from.
        IndexError
            If there is no such dimension.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.min(), t.min(1).tolist()
        (1.0, [1.0, 3.0])
        """
        return _tensor_compute.reduced(self, libgmemx.GMEM_REDUCTION_MIN, axis, keepdims, threads)

    def max(self, axis=None, *, keepdims=False, threads=None):
        """The greatest value, NaN where there is one; ValueError of nothing. As `sum`.

        Parameters
        ----------
        axis : int or tuple of int, optional
        keepdims : bool
        threads : int, optional
            As `sum`.

        Returns
        -------
        a number, or Tensor

        Raises
        ------
        ValueError
            If there is nothing to choose from.
        IndexError
            If there is no such dimension.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.max(), t.max(1, keepdims=True).tolist()
        (5.0, [[2.0], [5.0]])
        """
        return _tensor_compute.reduced(self, libgmemx.GMEM_REDUCTION_MAX, axis, keepdims, threads)

    def count_nonzero(self, axis=None, *, keepdims=False, threads=None):
        """How many values are not zero, as int64. Parameters as `sum`.

        Parameters
        ----------
        axis : int or tuple of int, optional
        keepdims : bool
        threads : int, optional
            As `sum`.

        Returns
        -------
        int or Tensor of int64

        Raises
        ------
        IndexError
            If there is no such dimension.

        Examples
        --------
        >>> Tensor([[0, 1], [2, 3]]).count_nonzero(0).tolist()
        [1, 2]
        """
        return _tensor_compute.reduced(self, libgmemx.GMEM_REDUCTION_COUNT_NONZERO, axis, keepdims, threads)

    def first_difference(self, other, *, threads=None):
        """The index of the first element, in C order, whose values differ; None if none does.

        Values compare by what they are, whatever their types; NaN differs from everything.

        Parameters
        ----------
        other : Tensor, array or number
            Of the same shape.
        threads : int, optional

        Raises
        ------
        ValueError
            If the shapes differ.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.Tensor([[1, 2], [3, 4]]).first_difference([[1, 2], [0, 4]])
        (1, 0)
        """
        return _tensor_compute.first_difference(self, other, threads)

    def equal(self, other, *, threads=None):
        """Whether shapes and all values are the same; see `first_difference`.

        Parameters
        ----------
        other : Tensor, array or number
        threads : int, optional

        Returns
        -------
        bool

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.equal(t.copy()), t.equal(t + 1)
        (True, False)
        """
        cdef Tensor with_this = as_tensor(other, -1)
        self.live()
        return self.shape == with_this.shape and (
            self.first_difference(with_this, threads=threads) is None
        )

    def __eq__(self, other):
        if not isinstance(other, (Tensor, np.ndarray)):
            return NotImplemented
        return self.equal(other)

    def __ne__(self, other):
        if not isinstance(other, (Tensor, np.ndarray)):
            return NotImplemented
        return not self.equal(other)

    __hash__ = None

    def crc32c(self, *, threads=None):
        """The CRC-32C (Castagnoli, RFC 3720) of the elements' bytes in C order, an int.

        Parameters
        ----------
        threads : int, optional

        Examples
        --------
        >>> import gmemx
        >>> hex(gmemx.Tensor.from_buffer(b"123456789").crc32c())
        '0xe3069283'
        """
        return _tensor_compute.crc32c(self, threads)

    def add(self, other, *, out=None, threads=None):
        """Sums element by element, broadcast as NumPy does; integers wrap.

        Parameters
        ----------
        other : Tensor, number or data
            A Python number takes this tensor's dtype where its kind allows.
        out : Tensor, optional
            Where the result goes, of the result's shape and dtype.
        threads : int, optional

        Raises
        ------
        ValueError
            If the shapes do not broadcast, or `out` does not fit.
        TypeError
            If the dtypes have no common one.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.Tensor([[1], [2]]).add([10, 20]).tolist()
        [[11, 21], [12, 22]]
        """
        return _tensor_compute.arithmetic(self, other, libgmemx.GMEM_BINARY_ADD, out, threads)

    def mul(self, other, *, out=None, threads=None):
        """Products element by element; parameters and errors as `add`.

        Parameters
        ----------
        other : Tensor, array or number
        out : Tensor, optional
        threads : int, optional

        Returns
        -------
        Tensor

        Raises
        ------
        ValueError, TypeError
            As `add`.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.mul(2).tolist()
        [[2.0, 4.0], [6.0, 10.0]]
        """
        return _tensor_compute.arithmetic(self, other, libgmemx.GMEM_BINARY_MUL, out, threads)

    def matmul(self, other, *, out=None, threads=None):
        """The product of two matrices; floats are accumulated in float64.

        Parameters
        ----------
        other : Tensor or array
            Of the shape (k, n).
        out : Tensor, optional
            Of the shape (m, n).
        threads : int, optional

        Raises
        ------
        ValueError
            If the shapes are not (m, k) and (k, n), or `out` does not fit or overlaps.

        Examples
        --------
        >>> t = Tensor([[1.0, 2.0], [3.0, 5.0]])
        >>> t.matmul(t).tolist()
        [[7.0, 12.0], [18.0, 31.0]]
        """
        return _tensor_compute.matmul(self, other, out, threads)

    def relu(self, *, out=None, threads=None):
        """The greater of each value and 0; NaN stays NaN.

        Parameters
        ----------
        out : Tensor, optional
            Of the same dtype and shape; it may be this tensor.
        threads : int, optional

        Returns
        -------
        Tensor

        Raises
        ------
        ValueError
            If `out` does not fit.

        Examples
        --------
        >>> Tensor([-1.5, 2.0]).relu().tolist()
        [0.0, 2.0]
        """
        return _tensor_compute.relu(self, out, threads)

    def softmax(self, axis=-1, *, out=None, threads=None):
        """exp(x - max) / sum over one dimension, for floats.

        Parameters
        ----------
        axis : int
        out : Tensor, optional
            Of the same dtype and shape; it may be this tensor.
        threads : int, optional

        Raises
        ------
        ValueError
            For other dtypes.
        IndexError
            If there is no such dimension.

        Examples
        --------
        >>> Tensor([[0.0, 0.0], [5.0, 5.0]]).softmax().tolist()
        [[0.5, 0.5], [0.5, 0.5]]
        """
        return _tensor_compute.softmax(self, axis, out, threads)

    def __add__(self, other):
        return self.add(other) if is_operand(other) else NotImplemented

    def __radd__(self, other):
        return self.__add__(other)

    def __mul__(self, other):
        return self.mul(other) if is_operand(other) else NotImplemented

    def __rmul__(self, other):
        return self.__mul__(other)

    def __matmul__(self, other):
        return self.matmul(other) if is_operand(other) else NotImplemented

    def __rmatmul__(self, other):
        return Tensor(other).matmul(self) if is_operand(other) else NotImplemented

    # NumPy's operators leave the work to those above: they would take bfloat16 and
    # float8 for their bits, which is how these appear as buffers.
    __array_ufunc__ = None

    # ---- copies and pickles -----------------------------------------------

    def __copy__(self):
        cdef Tensor copy = self.copy()
        copy.flags = self.flags & READONLY
        return copy

    def __deepcopy__(self, memo):
        return self.__copy__()

    def __reduce_ex__(self, protocol):
        return _unmade, (), state(self, protocol >= 5)

    def __reduce__(self):
        return self.__reduce_ex__(2)

    def __getstate__(self):
        return state(self, False)

    def __setstate__(self, state):
        if self.extents is not NULL:
            raise TypeError("only a new tensor takes a state")
        become(self, _tensor_data.restored(state))


def _unmade():
    """A tensor still to get its state, for pickle."""
    return Tensor.__new__(Tensor)


cdef tuple state(Tensor self, bint out_of_band):
    """dtype, shape, strides, offset, whether read-only, and the bytes."""
    cdef Tensor kept = self, memory = self
    cdef Geometry whole = geometry(self)
    cdef char* low = self.ptr
    cdef char* high = self.ptr
    self.live()
    if not self.c_contiguous():
        span(&whole, &low, &high)
        if high - low == self.c_nbytes():
            memory = view_of(self, UINT8, 1, low)
            memory.extents[0], memory.steps[0] = high - low, 1
        else:
            # Gaps would travel along, and may hold what is nobody's business.
            kept = memory = self.copy()
            low = kept.ptr
    strides = None if kept.c_contiguous() else kept.strides
    return (
        dtype_of_code(self.code).name, kept.shape, strides, kept.ptr - low, self.c_readonly(),
        PickleBuffer(memory) if out_of_band else memoryview(memory).tobytes(),
    )


cdef bint is_operand(object value):
    return isinstance(value, (Tensor, np.ndarray, bool, int, float, np.generic))


cdef bint f_contiguous(Tensor self) noexcept:
    cdef Py_ssize_t step = GMEMX_DTYPES[self.code].itemsize
    cdef int d
    cdef bint right = True
    for d in range(self.dims):
        if self.extents[d] == 0:
            return True
        if self.extents[d] != 1:
            right = right and self.steps[d] == step
            step *= self.extents[d]
    return right or self.code == INT4


cdef Tensor drop_leading(Tensor self, int ndim):
    """`self` with its first dimensions, of one element each, gone until `ndim` are left."""
    if any([self.extents[d] != 1 for d in range(self.dims - ndim)]):
        return self
    return self.reshape(self.shape[self.dims - ndim:])


# ---- DLPack's other end -------------------------------------------------------------------

cdef _dlpack.Memory exported(Tensor self) noexcept:
    cdef _dlpack.Memory memory
    memory.data = self.ptr
    memory.ndim = self.dims
    memory.dtype = self.code
    memory.shape = self.extents
    memory.strides = self.steps
    memory.readonly = self.c_readonly()
    memory.copied = False
    memory.device_type, memory.device_id = _dlpack.kDLCPU, 0
    return memory


cdef Tensor shared_dlpack(object x, object copy):
    cdef Tensor self = over_dlpack(_dlpack.take(_dlpack.requested(x)))
    return self.copy() if copy else self


cdef Tensor over_dlpack(_dlpack.Managed managed):
    cdef _dlpack.DLTensor* given = managed.tensor
    cdef int code = managed.dtype, d
    cdef Tensor self = blank(code, given.ndim)
    for d in range(given.ndim):
        self.extents[d] = given.shape[d]
    c_order(code, given.ndim, self.extents, self.steps)
    if given.strides is not NULL:
        if code == INT4:
            require_packed(self, given)
        for d in range(given.ndim):
            self.steps[d] = given.strides[d] * GMEMX_DTYPES[code].itemsize
    self.ptr = <char*> given.data
    if self.ptr is not NULL:
        self.ptr += given.byte_offset
    self.flags = READONLY if managed.is_readonly else 0
    self.keeper = managed
    return self


cdef int require_packed(Tensor self, const _dlpack.DLTensor* given) except -1:
    cdef Py_ssize_t step = 1
    cdef int d
    for d in range(given.ndim - 1, -1, -1):
        if given.shape[d] > 1:
            if given.strides[d] != step:
                raise BufferError(f"the capsule's int4 of shape {self.shape} are not packed in C order")
            step *= given.shape[d]
    return 0


# These four are called with the GIL held, and report by a Python exception and -1.
cdef int exchange_allocate(
    _dlpack.DLTensor* like, _dlpack.DLManagedTensorVersioned** out, void* context,
    _dlpack.SetError set_error
) noexcept:
    cdef Py_ssize_t[64] extents
    cdef _dlpack.Memory memory
    cdef Tensor made
    cdef int d
    try:
        if not 0 <= like.ndim <= MAX_NDIM or like.device.device_type != _dlpack.kDLCPU:
            raise BufferError("only CPU memory of at most 64 dimensions can be allocated")
        for d in range(like.ndim):
            extents[d] = like.shape[d]
        made = tensor_new(_dlpack.dtype_of(like), like.ndim, extents, False)
        memory = exported(made)
        out[0] = _dlpack.manage(made, &made.uses, &memory)
        return 0
    except BaseException as error:
        text = str(error).encode("utf-8", "replace")
        set_error(context, type(error).__name__.encode(), text)
        return -1


cdef int exchange_from_object(void* given, _dlpack.DLManagedTensorVersioned** out) noexcept:
    cdef Tensor self
    cdef _dlpack.Memory memory
    try:
        self = <Tensor?> <object> given
        self.live()
        if self.flags & READONLY and not self.flags & SHARED:
            raise BufferError(
                "the tensor is read-only and DLPack consumers may write: say share_readonly() first")
        memory = exported(self)
        out[0] = _dlpack.manage(self, &self.uses, &memory)
        return 0
    except BaseException as error:
        restore(error)
        return -1


cdef int exchange_to_object(_dlpack.DLManagedTensorVersioned* given, void** out) noexcept:
    try:
        made = over_dlpack(_dlpack.own(given))
        Py_INCREF(made)
        out[0] = <void*> made
        return 0
    except BaseException as error:
        restore(error)
        return -1


cdef int exchange_stream(_dlpack.DLDeviceType device, int32_t number, void** out) noexcept:
    out[0] = NULL
    return 0


cdef void restore(object error) noexcept:
    """Makes `error` the exception that the caller of a C function finds."""
    PyErr_SetObject(type(error), error)


EXCHANGE.header.version.major = _dlpack.DLPACK_MAJOR_VERSION
EXCHANGE.header.version.minor = _dlpack.DLPACK_MINOR_VERSION
EXCHANGE.managed_tensor_allocator = exchange_allocate
EXCHANGE.managed_tensor_from_py_object_no_sync = exchange_from_object
EXCHANGE.managed_tensor_to_py_object_no_sync = exchange_to_object
EXCHANGE.current_work_stream = exchange_stream
