"""Virtual arrays: generated cells with a shape, a dtype and a distribution."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport UINT64_MAX, int64_t, uint64_t

from gmemx cimport libgmemx
from gmemx._array_fold cimport along, folded, histogram_of, refuse
from gmemx._array_parts cimport address_in, element, is_full, no_room, piece, read_into, room_for
from gmemx._array_product cimport operand, product
from gmemx._array_write cimport assign
from gmemx._buffers cimport address_of, shown, thread_count
from gmemx._dtypes cimport FLOAT32, FLOAT64, UINT64, code_of, dtype_of_code
from gmemx.generative cimport GMemContext
from gmemx.status cimport check

import math
import operator
import sys

import numpy as np

from gmemx import _array_layout as layout
from gmemx._array_parts import chunked, corners, walk
from gmemx.errors import InvalidArgumentError, OutOfRangeError, ValueOverflowError

cdef object CELLS = layout.CELLS
cdef object WORD = CELLS - 1


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

        Parameters
        ----------
        *axes : int
            A permutation of the axes; also as one tuple.

        Examples
        --------
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

        Parameters
        ----------
        *shape : int
            Also as one tuple; at most one is -1.

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
        for leading, run in layout.parts(self.shape, layout.PATIENCE):
            step = piece(self, leading, run)
            n = step.size
            step.describe(&spec, shape, strides)
            with nogil:
                self.c_read(&spec, <char*> out + done * item, n, threads)
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
        for leading, run in layout.parts(view.shape, layout.PATIENCE):
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

        Parameters
        ----------
        threads : int, optional

        Examples
        --------
        >>> import gmemx
        >>> gmemx.GMemContext(42).array((2, 3), "float32").tensor().shape
        (2, 3)
        """
        from gmemx.tensor import empty

        thread_count(threads)
        if self.nbytes >= 8 * layout.TOO_MANY:
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
            Integers and bools are added up without an error; floats in float64, or closer: see
            `GMemContext.sum`.

        Examples
        --------
        >>> import gmemx
        >>> ctx = gmemx.GMemContext(42)
        >>> ctx.array((1000, 1000)).sum()
        500302.7694072829
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
        """The standard deviation of all elements: the square root of `var`.

        Parameters
        ----------
        axis, out, ddof, threads : optional
            As of `var`.

        Examples
        --------
        >>> import gmemx
        >>> a = gmemx.GMemContext(42).array(1000, distribution=gmemx.normal(0, 2))
        >>> abs(a.std() - 2) < 0.2
        True
        """
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
        return histogram_of(self, bins, range, threads)

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

    # ---- for nogil callers ------------------------------------------------

    cdef int c_read(
        self, const libgmemx.gmem_array* described, void* out, size_t n, size_t threads
    ) except -1 nogil:
        return check(libgmemx.gmem_array_read(self.context.ptr, described, out, n, threads))

    cdef int c_write(
        self, const libgmemx.gmem_array* described, const double* values, size_t n
    ) except -1 nogil:
        return check(libgmemx.gmem_array_write(self.context.ptr, described, values, n))

    cdef int c_fold(
        self, const libgmemx.gmem_array* described, int fold, size_t threads, double* value
    ) except -1 nogil:
        cdef libgmemx.gmem_array_folding* folding
        cdef uint64_t left = 1
        check(libgmemx.gmem_array_folding_new(described, fold, &folding))
        try:
            while left:
                check(libgmemx.gmem_array_folding_carry_on(
                    folding, self.context.ptr, UINT64_MAX, threads, &left))
            return check(libgmemx.gmem_array_folding_value(folding, value))
        finally:
            libgmemx.gmem_array_folding_free(folding)

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
    # Here, as making its dataclasses would be a large part of importing gmemx.
    from gmemx.distributions import distribution_of
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
