"""Virtual arrays: generated cells with a shape, a dtype and a distribution."""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport int64_t, uint8_t, uint64_t

from gmemx cimport libgmemx
from gmemx._buffers cimport address_of, shown, thread_count
from gmemx._dtypes cimport BOOL, FLOAT32, FLOAT64, GMEMX_DTYPES, UINT64, code_of, dtype_of_code
from gmemx.generative cimport GMemContext
from gmemx.status cimport check

import math
import operator
import os
import sys

import numpy as np

from gmemx import _array_layout as layout
from gmemx.distributions import distribution_of
from gmemx.errors import (
    InvalidArgumentError, OutOfMemoryError, OutOfRangeError, ValueOverflowError,
)

cdef object CELLS = 2**64
cdef object WORD = 2**64 - 1
# Elements between two looks for Ctrl-C: some tens of milliseconds.
cdef object PATIENCE = 1 << 22
# The same for elements that are folded as they are made.
cdef uint64_t FOLD_PATIENCE = 1 << 23
# Columns of a matrix that are added up in one go: steps must be whole ones.
cdef object SPAN = 1 << 14
# More elements of eight bytes than there is memory for.
cdef object TOO_MANY = 2**60


cdef class VirtualArray:
    """An n-dimensional array whose elements are computed, not stored.

    Element ``[i, j, ...]`` belongs to the cell of the context at ``offset`` plus each index
    times its stride. Where that cell is written, its value is the element; otherwise the
    element is a pure function of the cell's generated value: the distribution. Slices, the
    transpose and most reshapes are views: nothing is computed before it is asked for.

    Parameters
    ----------
    context : GMemContext
    shape : int or tuple of int
        Up to 2**64 cells in all.
    dtype : str or dtype
        bool, an integer type, float32 or float64.
    offset : int
        The first cell.
    order : {'C', 'F'}
        Whether the last index or the first one walks through neighbouring cells.
    distribution : str or Distribution
        ``'uniform'``, ``'normal'`` or what `gmemx.uniform`, `gmemx.normal`, `gmemx.integers`,
        `gmemx.bernoulli` and `gmemx.choice` give.

    Raises
    ------
    IndexError
        If a cell would lie outside [0, 2**64).
    ValueError
        If the dtype cannot hold the distribution's values.

    Notes
    -----
    Any number of threads may read and write one array. `threads` is the most threads a call
    may use; None means one a core. Every result has the same bits for any number of them.

    Examples
    --------
    >>> import gmemx
    >>> a = gmemx.GMemContext(seed=42).array((10**6, 10**9), distribution="normal")
    >>> a.nbytes
    8000000000000000
    >>> a[-1, ::250_000_000].numpy().round(3)
    array([ 0.487,  0.067, -1.067, -0.328])
    >>> a[5, 7] = 0.5
    >>> a[5, 6:9].numpy().round(3)
    array([-0.505,  0.5  , -0.277])
    """

    def __init__(
        self, context, shape, dtype="float64", offset=0, order="C", distribution="uniform"
    ):
        if self.context is not None:
            raise TypeError("a virtual array does not change: make a new one")
        if not isinstance(context, GMemContext):
            raise TypeError(f"context must be a GMemContext, not {type(context).__name__}")
        if not isinstance(order, str):
            raise TypeError(f"order must be 'C' or 'F', not {type(order).__name__}")
        if order not in ("C", "F"):
            raise InvalidArgumentError(f"order must be 'C' or 'F', and it is {order!r}")
        extents = layout.shape_of(shape)
        first = address_of(offset)
        size = math.prod(extents)
        if first + size > CELLS:
            raise OutOfRangeError(
                f"{shown(size)} cells from address {first} on would leave [0, 2**64)")
        set_elements(self, dtype, distribution)
        self.context = context
        self.offset = first
        self.shape = extents
        self.strides = layout.strides_of(extents, order)

    cdef VirtualArray part(self, object offset, tuple shape, tuple strides):
        cdef VirtualArray view = VirtualArray.__new__(VirtualArray)
        view.context = self.context
        view.distribution, view.drawn = self.distribution, self.drawn
        view.values, view.cumulative = self.values, self.cumulative
        view.dtype, view.code = self.dtype, self.code
        view.offset, view.shape, view.strides = offset, shape, strides
        return view

    cdef int describe(
        self, libgmemx.gmem_array* out, uint64_t* shape, int64_t* strides
    ) except -1:
        out.offset = self.offset
        out.ndim = 0
        out.shape, out.strides = shape, strides
        out.dtype = self.code
        out.distribution = self.drawn
        for extent, stride in zip(self.shape, self.strides):
            if extent == CELLS:
                # One more than the C functions can say: as two halves.
                shape[out.ndim] = 2
                strides[out.ndim] = <int64_t> <uint64_t> (stride * 2**63 & WORD)
                out.ndim += 1
                extent = 2**63
            shape[out.ndim] = extent
            strides[out.ndim] = <int64_t> <uint64_t> (stride & WORD)
            out.ndim += 1
        return 0

    # ---- what it is -------------------------------------------------------

    @property
    def ndim(self):
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self):
        """The number of elements, a Python int of any size."""
        return math.prod(self.shape)

    @property
    def itemsize(self):
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self):
        """Bytes that all elements would take."""
        return self.size * self.dtype.itemsize

    @property
    def order(self):
        """'C' or 'F' where cells follow each other in that order, otherwise None."""
        return layout.order_of(self.shape, self.strides)

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of unsized object")
        if self.shape[0] > sys.maxsize:
            raise ValueOverflowError(
                f"len() gives at most {sys.maxsize}: shape[0] is {self.shape[0]}")
        return self.shape[0]

    def __bool__(self):
        if self.size != 1:
            raise InvalidArgumentError(
                "the truth value of an array with other than one element is ambiguous")
        return bool(self.numpy(threads=1).item())

    def __repr__(self):
        shown_distribution = repr(self.distribution)
        about = f"shape={self.shape}, dtype={self.dtype}, distribution={shown_distribution}"
        if 0 in self.shape or self.ndim > 4:
            return f"VirtualArray({about})"
        edge = 3 if self.ndim < 3 else 1
        text = np.array2string(
            corners(self, edge), separator=", ", prefix="VirtualArray(", threshold=0,
            edgeitems=edge,
        )
        # Where there is more than one row, the rest has a line of its own.
        gap = ",\n             " if "\n" in text else ", "
        return f"VirtualArray({text}{gap}{about})"

    # ---- elements and views -----------------------------------------------

    def __getitem__(self, key):
        where = address_in(self, key)
        if where is not None:
            return element(self, where)
        away, shape, strides = layout.select(self.shape, self.strides, key)
        if not shape and is_full(key):
            return element(self, self.offset + away)
        return self.part(self.offset + away, shape, strides)

    def __setitem__(self, key, value):
        cdef uint64_t address
        where = address_in(self, key)
        if where is not None and self.code == FLOAT64 and type(value) is float:
            address = where
            check(libgmemx.gmem_context_write(self.context.ptr, address, value))
            return
        away, shape, strides = layout.select(self.shape, self.strides, key)
        assign(self.part(self.offset + away, shape, strides), value)

    def __iter__(self):
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return walk(self)

    def __contains__(self, value):
        raise TypeError("a virtual array is not searched: look in what numpy() or chunks() give")

    @property
    def T(self):  # noqa: N802 (NumPy's name)
        """The transpose, a view."""
        return self.transpose()

    def transpose(self, *axes):
        """A view with its axes in another order; backwards without one.

        >>> import gmemx
        >>> gmemx.GMemContext(42).array((2, 3, 4)).transpose(1, 0, 2).shape
        (3, 2, 4)
        """
        order = layout.permutation(axes, self.ndim)
        return self.part(
            self.offset, tuple([self.shape[d] for d in order]),
            tuple([self.strides[d] for d in order]))

    def reshape(self, *shape):
        """A view of the same elements in C order with another shape; -1 for what is left.

        Raises
        ------
        ValueError
            If the sizes differ, or no strides give that shape: ``numpy().reshape()`` does then.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.GMemContext(42).array(12).reshape(3, -1).shape
        (3, 4)
        """
        shape, strides = layout.reshaped(self.shape, self.strides, shape)
        return self.part(self.offset, shape, strides)

    # ---- materialised -----------------------------------------------------

    cdef int read(self, void* out, size_t threads) except -1:
        """Reads all elements in C order, in steps."""
        cdef libgmemx.gmem_array spec
        cdef uint64_t[65] shape
        cdef int64_t[65] strides
        cdef size_t n, item = self.dtype.itemsize, done = 0
        cdef VirtualArray step
        cdef const libgmemx.gmem_context* context = self.context.ptr
        for leading, run in layout.parts(self.shape, PATIENCE):
            step = piece(self, leading, run)
            n = step.size
            step.describe(&spec, shape, strides)
            with nogil:
                check(libgmemx.gmem_array_read(
                    context, &spec, <char*> out + done * item, n, threads))
            done += n
            PyErr_CheckSignals()
        return 0

    def numpy(self, threads=None, out=None):
        """All elements as a NumPy array.

        Parameters
        ----------
        threads : int, optional
        out : numpy.ndarray, optional
            Of the same shape and dtype, writable, with any strides.

        Returns
        -------
        numpy.ndarray
            `out`, or a new array whose memory is in the order of the cells, as far as that
            goes: the transpose of a C-ordered array is F-ordered.

        Raises
        ------
        MemoryError
            If there is no room: see `chunks`.
        TypeError, ValueError
            If `out` does not fit. Nothing is written then.

        Examples
        --------
        >>> import gmemx
        >>> gmemx.GMemContext(42).array((2, 2)).numpy().round(3)
        array([[0.078, 0.289],
               [0.868, 0.861]])
        """
        cdef size_t workers = thread_count(threads)
        axes = layout.natural(self.strides)
        if out is None:
            view = <VirtualArray> self.transpose(axes)
            made = room_for(self, view.shape)
            read_into(view, made, workers)
            return made.transpose(np.argsort(axes)) if axes else made
        if not isinstance(out, np.ndarray):
            raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
        if out.shape != self.shape or out.dtype != self.dtype or not out.dtype.isnative:
            raise InvalidArgumentError(
                f"out must have shape {self.shape} and dtype {self.dtype}, "
                f"not {out.shape} and {out.dtype}")
        if not out.flags.writeable:
            raise InvalidArgumentError("out must be writable, and it is read-only")
        view = <VirtualArray> self.transpose(axes)
        turned = out.transpose(axes)
        if turned.flags.c_contiguous and turned.flags.aligned:
            read_into(view, turned, workers)
            return out
        for leading, run in layout.parts(view.shape, PATIENCE):
            key = leading if run is None else (*leading, run)
            turned[key if key else ...] = piece(view, leading, run).numpy(threads)
        return out

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("a virtual array has no memory to share: it cannot avoid a copy")
        made = self.numpy()
        return made if dtype is None else made.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if ufunc is np.matmul and method == "__call__" and out is None and not kwargs:
            a, b = inputs
            return a.__matmul__(b) if isinstance(a, VirtualArray) else b.__rmatmul__(a)
        if out is not None:
            if any([isinstance(one, VirtualArray) for one in out]):
                return NotImplemented
            kwargs["out"] = out
        stored = [one.numpy() if isinstance(one, VirtualArray) else one for one in inputs]
        return getattr(ufunc, method)(*stored, **kwargs)

    def tensor(self, threads=None):
        """All elements as a `gmemx.Tensor` with memory of its own, in C order.

        >>> import gmemx
        >>> gmemx.GMemContext(42).array((2, 3), "float32").tensor().shape
        (2, 3)
        """
        from gmemx.tensor import empty

        thread_count(threads)
        if self.nbytes >= 8 * TOO_MANY:
            raise no_room(self)
        made = empty(self.shape, dtype_of_code(self.code))
        self.numpy(threads, out=made.numpy())
        return made

    def chunks(self, cells=1 << 20, threads=None):
        """Go through all elements in C order, some at a time.

        Parameters
        ----------
        cells : int
            How many at most, at least one of course.
        threads : int, optional

        Yields
        ------
        key : tuple of slice and int
            Where the chunk lies: ``a[key]``.
        chunk : numpy.ndarray

        Examples
        --------
        >>> import gmemx
        >>> a = gmemx.GMemContext(42).array((3, 100))
        >>> [(key, chunk.shape) for key, chunk in a.chunks(200)]
        [((slice(0, 2, None),), (2, 100)), ((slice(2, 3, None),), (1, 100))]
        """
        limit = operator.index(cells)
        if limit < 1:
            raise InvalidArgumentError(f"a chunk has at least one cell, not {shown(limit)}")
        thread_count(threads)
        return chunked(self, limit, threads)

    # ---- folded -----------------------------------------------------------

    def sum(self, axis=None, dtype=None, out=None, threads=None):
        """The sum of all elements, made and added up without being stored.

        Parameters
        ----------
        axis : int, optional
            Only along this one: an array of the sums.
        dtype, out : None
            For `numpy.sum`, which hands them over.
        threads : int, optional

        Returns
        -------
        int, float or numpy.ndarray
            Integers and bools are added up without an error; floats in float64.

        Examples
        --------
        >>> import gmemx
        >>> ctx = gmemx.GMemContext(42)
        >>> ctx.array((1000, 1000)).sum()
        500302.76940728293
        >>> ctx.array((1000, 1000), "bool", distribution=gmemx.bernoulli(0.25)).sum()
        249551
        """
        refuse(dtype, out)
        if axis is not None:
            whole = np.int64 if self.dtype.kind in "bi" else np.uint64
            kind = np.float64 if self.dtype.kind == "f" else whole
            return along(self, axis, lambda part: part.sum(-1, dtype=kind), "sum", kind, threads)
        return folded(self, libgmemx.GMEM_ARRAY_FOLD_SUM, threads)

    def mean(self, axis=None, dtype=None, out=None, threads=None):
        """The mean of all elements, a float; NaN of none. See `sum`."""
        refuse(dtype, out)
        if axis is not None:
            one = lambda part: part.mean(-1, dtype=np.float64)  # noqa: E731
            return along(self, axis, one, "mean", np.float64, threads)
        return folded(self, libgmemx.GMEM_ARRAY_FOLD_MEAN, threads)

    def var(self, axis=None, dtype=None, out=None, ddof=0, threads=None):
        """The variance of all elements, a float; NaN where `ddof` takes all. See `sum`."""
        refuse(dtype, out)
        if axis is not None:
            one = lambda part: part.var(-1, dtype=np.float64, ddof=ddof)  # noqa: E731
            return along(self, axis, one, "var", np.float64, threads, ddof=ddof)
        squares = folded(self, libgmemx.GMEM_ARRAY_FOLD_SQUARES, threads)
        freedom = self.size - ddof
        return squares / freedom if freedom > 0 else math.nan

    def std(self, axis=None, dtype=None, out=None, ddof=0, threads=None):
        """The standard deviation of all elements: the square root of `var`."""
        variance = self.var(axis, dtype, out, ddof, threads)
        return math.sqrt(variance) if axis is None else np.sqrt(variance)

    def min(self, axis=None, out=None, threads=None):
        """The least element, NaN where one is; ValueError of none. See `sum`."""
        refuse(None, out)
        if axis is not None:
            return along(self, axis, lambda part: part.min(-1), "min", self.dtype, threads)
        return folded(self, libgmemx.GMEM_ARRAY_FOLD_MIN, threads)

    def max(self, axis=None, out=None, threads=None):
        """The greatest element, NaN where one is; ValueError of none. See `sum`."""
        refuse(None, out)
        if axis is not None:
            return along(self, axis, lambda part: part.max(-1), "max", self.dtype, threads)
        return folded(self, libgmemx.GMEM_ARRAY_FOLD_MAX, threads)

    def histogram(self, bins=10, range=None, threads=None):
        """How many elements lie between edges, as `numpy.histogram` counts.

        Parameters
        ----------
        bins : int or sequence of float
            The number of bins, all as wide, or their edges, which do not fall.
        range : (float, float), optional
            The outer edges. By default what the distribution can give, as far as that is
            bounded, and what is written beyond; otherwise the least and greatest element.
        threads : int, optional

        Returns
        -------
        counts : numpy.ndarray of int64
        edges : numpy.ndarray of float64

        Examples
        --------
        >>> import gmemx
        >>> counts, edges = gmemx.GMemContext(42).array(10**6).histogram(4)
        >>> counts
        array([249551, 250101, 249991, 250357])
        >>> edges
        array([0.  , 0.25, 0.5 , 0.75, 1.  ])
        """
        thread_count(threads)
        if np.ndim(bins) == 0:
            if operator.index(bins) < 1:
                raise InvalidArgumentError(f"a histogram has at least one bin, not {shown(bins)}")
            low, high = limits(self, threads) if range is None else map(float, range)
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise InvalidArgumentError(
                    f"a histogram needs finite edges that do not fall, not {low} and {high}")
            edges = np.histogram_bin_edges(np.empty(0), bins, (low, high))
        else:
            edges = np.require(bins, np.float64, "C")
            if edges.ndim != 1:
                raise InvalidArgumentError("bins must be a number or one row of edges")
        return counted(self, edges, threads), edges

    # ---- products ---------------------------------------------------------

    def matvec(self, x, threads=None):
        """The product ``self @ x`` with a vector; the matrix is never stored.

        Parameters
        ----------
        x : array_like of float
            As many numbers as there are columns.
        threads : int, optional

        Returns
        -------
        numpy.ndarray of float64

        Raises
        ------
        ValueError
            If this is no matrix, or `x` does not fit.

        Examples
        --------
        >>> import gmemx, numpy as np
        >>> a = gmemx.GMemContext(42).array((3, 1000), distribution="normal")
        >>> np.allclose(a.matvec(np.ones(1000)), a.numpy().sum(axis=1))
        True
        """
        return product(self, operand(x, 1), thread_count(threads))[:, 0]

    def rmatvec(self, y, threads=None):
        """The product ``self.T @ y`` with a vector; see `matvec`."""
        return product(self.T, operand(y, 1), thread_count(threads))[:, 0]

    def matmat(self, x, threads=None):
        """The product ``self @ x`` with a matrix: a random projection, for instance.

        Parameters
        ----------
        x : array_like of float
            As many rows as there are columns here.
        threads : int, optional

        Returns
        -------
        numpy.ndarray of float64

        Examples
        --------
        >>> import gmemx, numpy as np
        >>> a = gmemx.GMemContext(42).array((8, 10**5), distribution="normal")
        >>> a.matmat(np.ones((10**5, 3))).shape
        (8, 3)
        """
        return product(self, operand(x, 2), thread_count(threads))

    def rmatmat(self, y, threads=None):
        """The product ``self.T @ y`` with a matrix; see `matmat`."""
        return product(self.T, operand(y, 2), thread_count(threads))

    def __matmul__(self, other):
        stored = other.numpy() if isinstance(other, VirtualArray) else np.asarray(other)
        if self.ndim == 1:
            result = self.reshape(1, -1).__matmul__(stored)
            return result[0].item() if stored.ndim == 1 else result[0]
        return self.matvec(stored) if stored.ndim == 1 else self.matmat(stored)

    def __rmatmul__(self, other):
        stored = np.asarray(other)
        if self.ndim == 1:
            result = stored @ self.reshape(-1, 1)
            return result[0].item() if stored.ndim == 1 else result[..., 0]
        return self.rmatvec(stored) if stored.ndim == 1 else self.rmatmat(stored.T).T

    # ---- pickles ----------------------------------------------------------

    def __reduce__(self):
        return _restore, (
            self.context, self.dtype.name, self.distribution, self.offset, self.shape,
            self.strides,
        )


cdef int set_elements(VirtualArray array, object dtype, object distribution) except -1:
    cdef const double[::1] numbers
    cdef int code = code_of(dtype)
    if code > UINT64 and code != FLOAT32 and code != FLOAT64:
        raise InvalidArgumentError(
            "elements of a virtual array are bool, integers, float32 or float64, "
            f"not {dtype_of_code(code)}")
    drawn = distribution_of(distribution)
    as_numpy = dtype_of_code(code).numpy
    drawn.check(as_numpy)
    array.code = code
    array.dtype = as_numpy
    array.distribution = drawn
    kind, a, b, array.values, array.cumulative = drawn.parameters()
    array.drawn.kind, array.drawn.a, array.drawn.b = kind, a, b
    array.drawn.values = array.drawn.cumulative = NULL
    array.drawn.n = 0
    if array.values is not None:
        numbers = array.values
        array.drawn.values, array.drawn.n = &numbers[0], numbers.shape[0]
    if array.cumulative is not None:
        numbers = array.cumulative
        array.drawn.cumulative = &numbers[0]
    return 0


def _restore(context, dtype, distribution, offset, shape, strides):
    """An array from its pickle."""
    cdef VirtualArray array = VirtualArray(context, (), dtype, 0, "C", distribution)
    return array.part(offset, shape, strides)


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
    if array.nbytes >= 8 * TOO_MANY:
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


# ---- writing --------------------------------------------------------------

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
    if array.size >= TOO_MANY:
        raise no_room(array)
    try:
        spread = np.broadcast_to(numbers, array.shape)
    except ValueError:
        raise InvalidArgumentError(
            f"could not broadcast values of shape {numbers.shape} to shape {array.shape}"
        ) from None
    # A written cell takes 8 bytes and more: what cannot be had is refused before the first.
    room_for(array, (array.size * (8 // array.dtype.itemsize),))
    for leading, run in layout.parts(array.shape, PATIENCE // 4):
        step = piece(array, leading, run)
        key = leading if run is None else (*leading, run)
        part = np.ascontiguousarray(spread[key if key else ...], np.float64).reshape(-1)
        cells = part
        n = cells.shape[0]
        step.describe(&spec, shape, strides)
        with nogil:
            check(libgmemx.gmem_array_write(array.context.ptr, &spec, &cells[0], n))
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


# ---- folding --------------------------------------------------------------

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
    if math.prod(kept) >= TOO_MANY:
        raise no_room(array)
    try:
        result = np.empty(kept, dtype)
    except (MemoryError, ValueError):
        raise no_room(array) from None
    whole_rows = extent <= PATIENCE
    for leading, run in layout.parts(kept, max(1, PATIENCE // max(extent, 1)) if whole_rows else 1):
        key = leading if run is None else (*leading, run)
        some = piece(rows, leading, run)
        if whole_rows:
            result[key if key else ...] = one(some.numpy(threads))
            continue
        more = {} if ddof is None else {"ddof": ddof}
        result[key if key else ...] = getattr(some, name)(threads=threads, **more)
    return result if kept else result[()]


# ---- products -------------------------------------------------------------

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
    if m * max(width, 1) >= TOO_MANY:
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
