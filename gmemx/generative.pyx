"""Generative memory: a virtual array of 2**64 cells that is computed, not stored."""

from cpython.exc cimport PyErr_CheckSignals, PyErr_WriteUnraisable
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from libcpp cimport bool as c_bool

from gmemx cimport libgmemx
from gmemx._buffers cimport (
    Floats, address_array, address_of, float_array, shown, thread_count, writable_floats,
)
from gmemx._slices cimport Run, run_of
from gmemx.status cimport check

import operator
import os
import warnings

import numpy as np

from gmemx.errors import (
    InvalidArgumentError, OutOfMemoryError, OutOfRangeError, ValueOverflowError,
)

cdef object CELLS = 2**64
# Cells between two looks for Ctrl-C: some tens of milliseconds.
cdef size_t PATIENCE = 1 << 22
# The same for cells that are folded as they are made, which is faster.
cdef uint64_t FOLD_PATIENCE = 1 << 26


cdef uint64_t seed_of(object seed) except? 0xFFFF_FFFF_FFFF_FFFF:
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed must be an integer, not {type(seed).__name__}") from None
    if not 0 <= number < CELLS:
        raise ValueOverflowError(f"seed {shown(number)} is outside [0, 2**64)")
    return number


cdef int check_run(uint64_t start, Py_ssize_t n) except -1:
    """IndexError where a run would leave the address space."""
    if n > 0 and start + <uint64_t> n - 1 < start:
        raise OutOfRangeError(f"{n} cells from address {start} on would leave [0, 2**64)")
    return 0


cdef Py_ssize_t count_of(object n) except -1:
    try:
        number = operator.index(n)
    except TypeError:
        raise TypeError(f"n must be an integer, not {type(n).__name__}") from None
    if number < 0:
        raise InvalidArgumentError(f"n must not be negative, and it is {shown(number)}")
    if number >= 2**63:
        raise OutOfRangeError(f"n must be below 2**63, and it is {shown(number)}")
    return number


cdef object new_array(object n):
    """An uninitialised array of n cells; MemoryError where there is no room."""
    if n > 2**60 - 1:
        raise OutOfMemoryError(f"{n} cells of 8 bytes are more than memory can hold")
    return np.empty(n, dtype=np.float64)


cdef class GMemContext:
    """A virtual array of 2**64 float64 cells.

    A cell that nobody wrote has a value in [0, 1] that is a pure function of
    (seed, address); a written cell keeps its value, bit for bit, in a sparse
    overlay. Every method may be called from several threads at once; a read
    sees each cell before or after a concurrent write.

    Parameters
    ----------
    seed : int
        In [0, 2**64).
    generator : {'vrns16', 'philox'}
        ``vrns16`` hashes sixteen residues of ``address ^ seed``: the fastest, but
        different seeds give rearrangements of one stream. ``philox`` is
        Philox4x64-10 (Salmon et al., 2011), the very numbers of
        ``numpy.random.Generator(numpy.random.Philox(key=seed)).random()``, and
        gives independent streams.

    Raises
    ------
    TypeError
        If `seed` is not an integer.
    OverflowError
        If `seed` is outside [0, 2**64).
    ValueError
        If there is no such generator.

    Notes
    -----
    Addresses are integers in [0, 2**64): outside is an IndexError (there is no
    end to count from), anything but an integer a TypeError. `threads` is the
    most threads a call may use; None means one a core.

    Examples
    --------
    >>> from gmemx import GMemContext
    >>> ctx = GMemContext(seed=42)
    >>> ctx[0]
    0.07779688409536653
    >>> ctx[2**40 : 2**40 + 3].shape
    (3,)
    >>> ctx[7] = -1.5
    >>> ctx
    GMemContext(seed=42, generator='vrns16', overlay_count=1)
    """

    def __cinit__(self, seed, generator="vrns16"):
        if not isinstance(generator, str):
            raise TypeError(f"generator must be a string, not {type(generator).__name__}")
        cdef uint64_t number = seed_of(seed)
        cdef bytes name = (<str> generator).encode("utf-8", "replace").replace(b"\0", b"?")
        check(libgmemx.gmem_context_new_with_generator(number, name, &self.ptr))

    @classmethod
    def open(
        cls, path, seed=None, generator=None, *, read_only=False, create=True, autoflush=None
    ):
        """A context whose written cells are kept in a file.

        Everything that was written until the last `flush` is there again. Reading is from
        memory: the file is read once, now.

        Parameters
        ----------
        path : path-like
        seed : int, optional
            By default the file's. A file that is made needs one.
        generator : {'vrns16', 'philox'}, optional
            By default the file's, or ``'vrns16'`` for one that is made.
        read_only : bool
            Open for reading. Any number of contexts may read a file, also while one writes to
            it: each has what the last flush before its opening, or its `refresh`, left.
        create : bool
            Make a file where there is none.
        autoflush : float, optional
            Flush every so many seconds, on a thread of its own. By default only `flush` and
            `close` do.

        Returns
        -------
        GMemContext

        Raises
        ------
        ValueError
            If seed or generator are not the file's, or missing for a new one; if the file is
            damaged or of something else. It stays as it is: see `recover`.
        FileNotFoundError
            If there is no file and none is to be made, or no such folder.
        BlockingIOError
            If another context has it open for writing.
        PermissionError, OSError
            If the system refuses.

        Examples
        --------
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "cells.gmem")
        >>> with GMemContext.open(path, seed=42) as ctx:
        ...     ctx[7] = -1.5
        >>> with GMemContext.open(path) as ctx:
        ...     ctx.seed, ctx[7]
        (42, -1.5)
        """
        from gmemx._durable import opened

        return opened(path, seed, generator, read_only, create, autoflush)

    @staticmethod
    def recover(path, seed=None, generator=None):
        """What can still be read of a damaged file, as a context without a file.

        Every cell that it has is one of the file's last flush, and its checksum holds. The
        file stays as it is.

        Parameters
        ----------
        path : path-like
        seed : int, optional
        generator : {'vrns16', 'philox'}, optional
            Needed only where the file does not tell them any more.

        Returns
        -------
        context : GMemContext
        recovery : gmemx.exchange.Recovery
            How many cells there are and were.

        Raises
        ------
        ValueError
            If nothing can be read, or seed or generator are not the file's.
        FileNotFoundError, BlockingIOError, PermissionError, OSError
            As `open`.

        Examples
        --------
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "cells.gmem")
        >>> with GMemContext.open(path, seed=42) as ctx:
        ...     ctx[0:100] = 1.0
        >>> ctx, recovery = GMemContext.recover(path)
        >>> recovery
        Recovery(cells=100, expected=100, dropped_pages=0, faults=0)
        """
        from gmemx._durable import recovered

        return recovered(path, seed, generator)

    def __del__(self):
        if self.process:
            warn_unclosed(self.ptr, self.process)

    def __dealloc__(self):
        # Nothing here lets go of the GIL: weak references find the object until it is gone.
        libgmemx.gmem_context_free(self.ptr)

    # ---- for other extensions ---------------------------------------------

    cdef double c_fetch(self, uint64_t address) noexcept nogil:
        return libgmemx.gmem_fetch(self.ptr, address)

    cdef int c_write(self, uint64_t address, double value) except -1 nogil:
        return check(libgmemx.gmem_context_write(self.ptr, address, value))

    cdef int c_read(
        self, uint64_t start, double* out, size_t n, size_t threads
    ) except -1 nogil:
        return check(libgmemx.gmem_context_read(self.ptr, start, out, n, threads))

    cdef int c_read_many(
        self, const uint64_t* addresses, double* out, size_t n, size_t threads
    ) except -1 nogil:
        return check(libgmemx.gmem_context_read_many(self.ptr, addresses, out, n, threads))

    cdef int c_write_many(
        self, const uint64_t* addresses, const double* values, size_t n, size_t threads
    ) except -1 nogil:
        return check(
            libgmemx.gmem_context_write_many(self.ptr, addresses, values, n, threads)
        )

    cdef int check_open(self) except -1:
        if self.shut:
            raise InvalidArgumentError("the context is closed")
        return 0

    # ---- what it is -------------------------------------------------------

    @property
    def seed(self):
        """The seed, an int in [0, 2**64)."""
        return libgmemx.gmem_context_seed(self.ptr)

    @property
    def generator(self):
        """The generator's name."""
        return libgmemx.gmem_context_generator(self.ptr).decode()

    @property
    def overlay_count(self):
        """The number of written cells."""
        self.check_open()
        return libgmemx.gmem_overlay_count(self.ptr)

    def __repr__(self):
        kept = "" if self.path is None else f", path={self.path!r}"
        if self.shut:
            state = "closed"
        else:
            state = f"overlay_count={libgmemx.gmem_overlay_count(self.ptr)}"
            if self.read_only:
                kept += ", read_only=True"
        return f"GMemContext(seed={self.seed}, generator={self.generator!r}, {state}{kept})"

    @property
    def path(self):
        """The absolute path of the file that the written cells are kept in, or None."""
        cdef const char* path = libgmemx.gmem_context_path(self.ptr)
        return None if path == NULL else os.fsdecode(path)

    @property
    def read_only(self):
        """Whether the file was opened for reading."""
        return libgmemx.gmem_context_is_read_only(self.ptr)

    @property
    def closed(self):
        """Whether `close` was called."""
        return self.shut

    @property
    def unflushed(self):
        """Whether something was written that the file does not have; False without a file."""
        return libgmemx.gmem_context_has_changes(self.ptr)

    @property
    def autoflush(self):
        """Seconds between two flushes of its own, or None."""
        return None if self.flusher is None else self.flusher.seconds

    # ---- one cell ---------------------------------------------------------

    def fetch(self, addr):
        """The value of one cell, a float.

        Parameters
        ----------
        addr : int
            In [0, 2**64): outside is an IndexError.

        Examples
        --------
        >>> GMemContext(0x1337).fetch(0xBEEFCACE)
        0.8869011942861773
        """
        self.check_open()
        return libgmemx.gmem_fetch(self.ptr, address_of(addr))

    def write(self, addr, value):
        """Write one cell; NaNs, infinities and -0.0 are kept bit for bit.

        Parameters
        ----------
        addr : int
        value : float

        Raises
        ------
        IndexError
            If the address is outside [0, 2**64).
        MemoryError
            If the overlay cannot grow.

        Examples
        --------
        >>> ctx = GMemContext(42)
        >>> ctx.write(7, -0.0)
        >>> ctx[7], ctx.overlay_count
        (-0.0, 1)
        """
        cdef uint64_t address = address_of(addr)
        check(libgmemx.gmem_context_write(self.ptr, address, value))

    def is_written(self, addr):
        """Whether a cell is written.

        Parameters
        ----------
        addr : int

        Returns
        -------
        bool

        Raises
        ------
        IndexError
            If the address is outside [0, 2**64).

        Examples
        --------
        >>> ctx = GMemContext(42)
        >>> ctx[7] = ctx[7]
        >>> ctx.is_written(7), ctx.is_written(8)
        (True, False)
        """
        self.check_open()
        return libgmemx.gmem_context_is_written(self.ptr, address_of(addr))

    # ---- cells and slices -------------------------------------------------

    def __getitem__(self, where):
        if not isinstance(where, slice):
            self.check_open()
            return libgmemx.gmem_fetch(self.ptr, address_of(where))
        cdef Run run = run_of(where)
        out = new_array(run.n)
        cdef double[::1] cells = out
        if cells.shape[0]:
            read_run(self, run.start, run.step, &cells[0], cells.shape[0], 0)
        return out

    def __setitem__(self, where, value):
        if not isinstance(where, slice):
            check(libgmemx.gmem_context_write(self.ptr, address_of(where), value))
            return
        cdef Run run = run_of(where)
        array = float_array(value, "values")
        if array.ndim == 0:
            fill_run(self, run, array[()])
            return
        if array.shape != (run.n,):
            raise InvalidArgumentError(
                f"a slice of {run.n} cells takes a scalar or {run.n} values, "
                f"not an array of shape {array.shape}"
            )
        cdef const double[::1] values = array
        cdef size_t done = 0, part, n = values.shape[0]
        while done < n:
            part = min(PATIENCE, n - done)
            with nogil:
                check(libgmemx.gmem_context_write_strided(
                    self.ptr, run.start + run.step * done, run.step, &values[done], part
                ))
            done += part
            PyErr_CheckSignals()

    def __delitem__(self, where):
        if not isinstance(where, slice):
            check(libgmemx.gmem_context_erase(self.ptr, address_of(where)))
            return
        cdef Run run = run_of(where)
        if run.n == CELLS:
            self.clear()
        elif run.step == 1 or run.step == <uint64_t> -1:
            erase_run(self, run.start if run.step == 1 else run.start - <uint64_t> run.n + 1, run.n)
        elif run.n:
            erase_strided(self, run)

    def __iter__(self):
        raise TypeError("a GMemContext has 2**64 cells: iterate over a slice of it")

    def __contains__(self, value):
        raise TypeError("a GMemContext has 2**64 cells: look for a value in a slice of it")

    # ---- many cells -------------------------------------------------------

    def fetch_into(self, start, out, threads=None):
        """Fill a buffer with consecutive cells.

        Parameters
        ----------
        start : int
            The first address.
        out : buffer
            Any writable C-contiguous float64 buffer, of any shape; filled in C order.
        threads : int, optional

        Raises
        ------
        IndexError
            If the last cell would lie past 2**64 - 1.
        TypeError, ValueError
            If `out` is not such a buffer. Nothing is written then.

        Examples
        --------
        >>> import numpy as np
        >>> out = np.empty((2, 3))
        >>> GMemContext(42).fetch_into(0, out)
        >>> float(out[0, 1])
        0.2894716105507266
        """
        cdef uint64_t first = address_of(start)
        cdef size_t workers = thread_count(threads)
        cdef Floats target = writable_floats(out)
        check_run(first, target.size)
        read_run(self, first, 1, target.data, target.size, workers)

    def fetch_many(self, addresses, out=None, threads=None):
        """The cells at any addresses.

        Parameters
        ----------
        addresses : array_like of int
        out : buffer, optional
            A writable C-contiguous float64 buffer with as many cells.
        threads : int, optional

        Returns
        -------
        numpy.ndarray of float64, or `out`
            In the shape of `addresses`.

        Raises
        ------
        IndexError
            If an address is outside [0, 2**64).
        TypeError
            If the addresses are not integers.
        ValueError
            If `out` has another size or is not such a buffer.

        Examples
        --------
        >>> GMemContext(42).fetch_many([1, 0, 1])
        array([0.28947161, 0.07779688, 0.28947161])
        """
        cdef size_t workers = thread_count(threads)
        array = address_array(addresses)
        result = np.empty(array.shape, dtype=np.float64) if out is None else out
        cdef Floats target = writable_floats(result)
        cdef const uint64_t[::1] where = array.reshape(-1)
        if target.size != where.shape[0]:
            raise InvalidArgumentError(
                f"out must have room for {where.shape[0]} cells, but it has {target.size}"
            )
        if where.shape[0] == 0:
            return result
        if overlap(&where[0], target.data, target.size):
            where = array.reshape(-1).copy()
        cdef size_t done = 0, part, n = where.shape[0]
        while done < n:
            part = min(PATIENCE, n - done)
            with nogil:
                self.c_read_many(&where[done], target.data + done, part, workers)
            done += part
            PyErr_CheckSignals()
        return result

    def write_many(self, addresses, values, threads=None):
        """Write cells at any addresses; where one comes twice, the later value stays.

        Parameters
        ----------
        addresses : array_like of int
        values : array_like of float
            A scalar, or one value for each address, in the same shape.
        threads : int, optional

        Raises
        ------
        IndexError, TypeError, ValueError
            As `fetch_many`, or if the shapes differ; nothing is written then.
        MemoryError
            If the overlay cannot grow; cells written until then stay.

        Examples
        --------
        >>> ctx = GMemContext(42)
        >>> ctx.write_many([3, 2**63], [0.5, 0.25])
        >>> ctx[3], ctx[2**63]
        (0.5, 0.25)
        """
        cdef size_t workers = thread_count(threads)
        array = address_array(addresses)
        given = float_array(values, "values")
        if given.ndim == 0:
            given = np.broadcast_to(given, array.shape)
        elif given.shape != array.shape:
            raise InvalidArgumentError(
                f"values must be a scalar or have the addresses' shape {array.shape}, "
                f"not {given.shape}"
            )
        cdef const uint64_t[::1] where = array.reshape(-1)
        cdef const double[::1] what = np.ascontiguousarray(given).reshape(-1)
        cdef size_t done = 0, part, n = where.shape[0]
        while done < n:
            part = min(PATIENCE, n - done)
            with nogil:
                self.c_write_many(&where[done], &what[done], part, workers)
            done += part
            PyErr_CheckSignals()

    # ---- as a tensor, and reduced ---------------------------------------

    def tensor(self, start, shape, threads=None):
        """Consecutive cells as a tensor of float64 with memory of its own.

        Parameters
        ----------
        start : int
            The first address.
        shape : int or tuple of int
        threads : int, optional

        Returns
        -------
        Tensor
            In C order; later writes on either side are unseen by the other.

        Raises
        ------
        IndexError
            If the last cell would lie past 2**64 - 1.

        Examples
        --------
        >>> GMemContext(42).tensor(0, (2, 3)).shape
        (2, 3)
        """
        from gmemx.tensor import empty

        cells = empty(shape)
        self.fetch_into(start, cells, threads)
        return cells

    def array(
        self, shape, dtype="float64", offset=0, order="C", distribution="uniform"
    ):
        """Cells as an n-dimensional array that is computed, not stored.

        Parameters
        ----------
        shape : int or tuple of int
            Up to 2**64 cells in all.
        dtype : str or dtype
            bool, an integer type, float32 or float64.
        offset : int
            The first cell.
        order : {'C', 'F'}
            Whether the last index or the first one walks through neighbouring cells.
        distribution : str or gmemx.distributions.Distribution
            ``'uniform'``, ``'normal'`` or what `gmemx.uniform`, `gmemx.normal`,
            `gmemx.integers`, `gmemx.bernoulli` and `gmemx.choice` give.

        Returns
        -------
        VirtualArray

        Raises
        ------
        IndexError
            If a cell would lie outside [0, 2**64).
        ValueError
            If the dtype cannot hold the distribution's values.

        Examples
        --------
        >>> a = GMemContext(42).array((10**9, 10**9))
        >>> a[123_456_789, :3].numpy().round(3)
        array([0.563, 0.808, 0.264])
        """
        from gmemx.array import VirtualArray

        return VirtualArray(self, shape, dtype, offset, order, distribution)

    def sum(self, start, n, threads=None):
        """The sum of `n` cells from `start` on, made and added up without being stored.

        Parameters
        ----------
        start, n : int
        threads : int, optional

        Returns
        -------
        float
            The same bits for any number of threads. Of long runs of `vrns16` in which nothing
            is written the leading 48 bits of each cell are added up without an error, the last
            16 taken at their mean: off by at most 2**-49 a cell, and by about the root of `n`
            times 2**-50 as a rule. Elsewhere cells are added in float64, in pairs of pairs.

        Raises
        ------
        IndexError
            If the last cell would lie past 2**64 - 1.

        Examples
        --------
        >>> GMemContext(42).sum(0, 4)
        2.0962923612491453
        """
        return folded(self, libgmemx.GMEM_REDUCTION_SUM, start, n, threads)

    def mean(self, start, n, threads=None):
        """The mean of `n` cells from `start` on, NaN of none; see `sum`.

        Parameters
        ----------
        start, n : int
        threads : int, optional
            As `sum`, as are the errors.

        Returns
        -------
        float

        Examples
        --------
        >>> abs(GMemContext(42).mean(0, 1_000_000) - 0.5) < 0.01
        True
        """
        return folded(self, libgmemx.GMEM_REDUCTION_MEAN, start, n, threads)

    def min(self, start, n, threads=None):
        """The least of `n` cells from `start` on, NaN where one is; ValueError of none.

        Parameters
        ----------
        start, n : int
        threads : int, optional
            As `sum`, as are the errors.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If `n` is 0.

        Examples
        --------
        >>> ctx = GMemContext(42)
        >>> ctx.min(0, 1000) == min(ctx[:1000].tolist())
        True
        """
        return folded(self, libgmemx.GMEM_REDUCTION_MIN, start, n, threads)

    def max(self, start, n, threads=None):
        """The greatest of `n` cells from `start` on, NaN where one is; ValueError of none.

        Parameters
        ----------
        start, n : int
        threads : int, optional
            As `sum`, as are the errors.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If `n` is 0.

        Examples
        --------
        >>> ctx = GMemContext(42)
        >>> ctx[5] = 2.0
        >>> ctx.max(0, 1000)
        2.0
        """
        return folded(self, libgmemx.GMEM_REDUCTION_MAX, start, n, threads)

    # ---- the overlay as a whole -------------------------------------------

    def overlay(self):
        """Everything written, as of one moment.

        Returns
        -------
        addresses : numpy.ndarray of uint64
            In ascending order.
        values : numpy.ndarray of float64

        Examples
        --------
        >>> ctx = GMemContext(42)
        >>> ctx[5:7] = [0.5, 0.25]
        >>> ctx.overlay()
        (array([5, 6], dtype=uint64), array([0.5 , 0.25]))
        """
        cdef libgmemx.gmem_overlay* copy = NULL
        cdef uint64_t[::1] where
        cdef double[::1] what
        with nogil:
            check(libgmemx.gmem_overlay_new(self.ptr, &copy))
        try:
            n = libgmemx.gmem_overlay_len(copy)
            addresses, values = np.empty(n, dtype=np.uint64), np.empty(n, dtype=np.float64)
            if n:
                where, what = addresses, values
                memcpy(&where[0], libgmemx.gmem_overlay_addresses(copy), n * sizeof(uint64_t))
                memcpy(&what[0], libgmemx.gmem_overlay_values(copy), n * sizeof(double))
        finally:
            libgmemx.gmem_overlay_free(copy)
        return addresses, values

    def clear(self):
        """Give every cell its generated value back.

        Examples
        --------
        >>> ctx = GMemContext(42)
        >>> ctx[0:1000] = 0.0
        >>> ctx.clear()
        >>> ctx.overlay_count
        0
        """
        with nogil:
            check(libgmemx.gmem_context_clear(self.ptr))

    def fork(self):
        """An independent copy: same seed, generator and overlay, as of one moment, without a file.

        >>> a = GMemContext(42)
        >>> b = a.fork()
        >>> b[0] = 1.0
        >>> a.is_written(0), b.is_written(0)
        (False, True)
        """
        cdef GMemContext copy = GMemContext.__new__(GMemContext, self.seed, self.generator)
        cdef libgmemx.gmem_context* forked = NULL
        with nogil:
            check(libgmemx.gmem_context_fork(self.ptr, &forked))
        libgmemx.gmem_context_free(copy.ptr)
        copy.ptr = forked
        return copy

    def diff(self, other):
        """What has to be applied to this context to get `other`: a small value that pickles.

        Parameters
        ----------
        other : GMemContext
            Of the same seed and generator; often this one's fork, or this one's later self.

        Returns
        -------
        gmemx.Delta
            All cells that differ, bit for bit: written in only one of both, or otherwise.

        Raises
        ------
        ValueError
            If seeds or generators differ.

        Examples
        --------
        >>> before = GMemContext(42)
        >>> after = before.fork()
        >>> after[3] = 0.5
        >>> delta = before.diff(after)
        >>> delta
        Delta(seed=42, generator='vrns16', written=1, erased=0)
        >>> before.merge(delta)
        1
        >>> before[3]
        0.5
        """
        from gmemx._delta_merge import difference

        return difference(self, other)

    def merge(self, delta, on_conflict="raise"):
        """Apply what `diff` gave, here or on another machine.

        A cell is in conflict if it is neither as it was when the delta was made nor as the
        delta would leave it.

        Parameters
        ----------
        delta : gmemx.Delta
        on_conflict : {'raise', 'theirs', 'ours'} or callable
            ``'theirs'`` takes the delta's cells, ``'ours'`` keeps those that are here. A
            callable is given the addresses in conflict, what is read here and what would be
            read after the delta, and returns the values to write.

        Returns
        -------
        int
            How many cells were changed.

        Raises
        ------
        gmemx.errors.MergeConflictError
            A ValueError with ``.addresses``, where there is a conflict; nothing is changed.
        ValueError
            If seeds or generators differ; nothing is changed.

        Notes
        -----
        All cells are looked at before the first is changed. Of two merges into one context the
        second waits; plain writes of other threads do not: one to the same cell in the
        meantime may be lost. A reader may see some cells changed and others not yet.

        Examples
        --------
        >>> ours, theirs = GMemContext(42), GMemContext(42)
        >>> ours[0:2], theirs[1:3] = 1.0, 2.0
        >>> delta = GMemContext(42).diff(theirs)
        >>> ours.merge(delta)
        Traceback (most recent call last):
        gmemx.errors.MergeConflictError: 1 of 2 cells was changed here as well, first at address 1
        >>> ours.merge(delta, on_conflict=lambda addresses, ours, theirs: ours + theirs)
        2
        >>> ours[0:3]
        array([1., 3., 2.])
        """
        from gmemx._delta_merge import merge

        return merge(self, delta, on_conflict)

    # ---- kept in a file ---------------------------------------------------

    def flush(self):
        """Put everything that was written until now, on any thread, into the file.

        When it returns, that survives the end of the process, by SIGKILL too, and a loss of
        power. A flush is one moment: it is in the file as a whole or not at all. Nothing is
        done for a context without a file.

        Raises
        ------
        OSError
            If the disk is full or fails: the file is as the last flush left it, and the next
            flush tries all of it again.
        ValueError
            If the context is closed, or is that of the parent of this process.

        Examples
        --------
        >>> import os, tempfile
        >>> ctx = GMemContext.open(os.path.join(tempfile.mkdtemp(), "cells.gmem"), seed=42)
        >>> ctx[7] = -1.5
        >>> ctx.unflushed
        True
        >>> ctx.flush()
        >>> ctx.unflushed
        False
        >>> ctx.close()
        """
        with nogil:
            check(libgmemx.gmem_context_flush(self.ptr))

    def compact(self):
        """Flush, and make the file as small as it can be.

        Returns
        -------
        int
            By how many bytes it shrank; 0 without a file.

        Raises
        ------
        OSError, ValueError
            As `flush`; PermissionError where the file was opened for reading.

        Examples
        --------
        >>> import os, tempfile
        >>> with GMemContext.open(os.path.join(tempfile.mkdtemp(), "cells.gmem"), seed=42) as ctx:
        ...     ctx[0:100_000] = 1.0
        ...     ctx.flush()
        ...     del ctx[0:100_000]
        ...     ctx.compact() > 0
        True
        """
        cdef uint64_t saved
        with nogil:
            check(libgmemx.gmem_context_compact(self.ptr, &saved))
        return saved

    def refresh(self):
        """Read the file of a context that was opened for reading again.

        Returns
        -------
        bool
            Whether there was anything new.

        Raises
        ------
        ValueError
            If the context was not opened for reading, or the file is damaged by now; the
            context is as it was.
        OSError
            As `open`.

        Examples
        --------
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "cells.gmem")
        >>> ctx = GMemContext.open(path, seed=42)
        >>> reader = GMemContext.open(path, read_only=True)
        >>> ctx[7] = -1.5
        >>> ctx.close()
        >>> reader.refresh(), reader[7]
        (True, -1.5)
        """
        cdef c_bool changed
        with nogil:
            check(libgmemx.gmem_context_refresh(self.ptr, &changed))
        return changed

    def close(self):
        """Flush, and give the file up. Every other use is a ValueError then.

        Where the flush fails the context stays open. Closing again is nothing.

        Examples
        --------
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "cells.gmem")
        >>> ctx = GMemContext.open(path, seed=42)
        >>> ctx[7] = -1.5
        >>> ctx.close()
        >>> ctx.closed, GMemContext.open(path, read_only=True)[7]
        (True, -1.5)
        """
        self.shut = True
        try:
            with nogil:
                check(libgmemx.gmem_context_close(self.ptr))
        except BaseException:
            self.shut = False
            raise
        if self.flusher is not None:
            self.flusher.stop()

    def __enter__(self):
        self.check_open()
        return self

    def __exit__(self, *exception):
        self.close()

    def export(self, path, format=None):
        """Write all written cells to a Parquet or NPZ file, which is there as a whole or not.

        See `gmemx.exchange.export`.

        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "cells.npz")
        >>> ctx = GMemContext(42)
        >>> ctx[0:3] = 1.0
        >>> ctx.export(path)
        3
        >>> copy = GMemContext(42)
        >>> copy.import_(path)
        Imported(cells=3, dropped_bytes=0)
        """
        from gmemx.exchange import export

        return export(self, path, format)

    def import_(self, path, format=None):
        """Write the cells of a file that `export` or the original's append log made.

        See `gmemx.exchange.import_`.
        """
        from gmemx.exchange import import_

        return import_(self, path, format)

    def __copy__(self):
        return self.fork()

    def __deepcopy__(self, memo):
        return self.fork()

    def __reduce__(self):
        return _restore, (self.seed, self.generator, *self.overlay())


cdef int warn_unclosed(const libgmemx.gmem_context* context, long process) noexcept:
    """A ResourceWarning for a file that nobody closed; the destructor it is for never raises."""
    if libgmemx.gmem_context_is_closed(context) or libgmemx.gmem_context_is_read_only(context):
        return 0
    try:
        # A forked child leaves its parent's file alone, and need not close it.
        if process == os.getpid():
            text = f"the context of {os.fsdecode(libgmemx.gmem_context_path(context))} was not closed"
            if libgmemx.gmem_context_has_changes(context):
                text += "; what was written since its last flush is lost"
            warnings.warn(text, ResourceWarning, stacklevel=1)
    except BaseException:
        PyErr_WriteUnraisable(None)
    return 0


cdef int read_run(
    GMemContext context, uint64_t start, uint64_t step, double* out, size_t n, size_t threads
) except -1:
    cdef size_t done = 0, part
    while done < n:
        part = min(PATIENCE, n - done)
        with nogil:
            check(libgmemx.gmem_context_read_strided(
                context.ptr, start + step * done, step, out + done, part, threads
            ))
        done += part
        PyErr_CheckSignals()
    return 0


cdef double folded(
    GMemContext context, int reduction, object start, object n, object threads
) except? -1.0:
    cdef uint64_t first = address_of(start), left
    cdef Py_ssize_t count = count_of(n)
    cdef size_t workers = thread_count(threads)
    cdef libgmemx.gmem_folding* folding = NULL
    cdef double value
    check_run(first, count)
    left = count
    check(libgmemx.gmem_folding_new(reduction, first, left, &folding))
    try:
        while left:
            with nogil:
                check(libgmemx.gmem_folding_carry_on(
                    folding, context.ptr, FOLD_PATIENCE, workers, &left))
            PyErr_CheckSignals()
        check(libgmemx.gmem_folding_value(folding, &value))
    finally:
        libgmemx.gmem_folding_free(folding)
    return value


cdef int fill_run(GMemContext context, Run run, double value) except -1:
    # A written cell takes 8 bytes and more: what cannot be had is refused before the first.
    new_array(run.n)
    cdef size_t done = 0, part, n = run.n
    while done < n:
        part = min(PATIENCE, n - done)
        with nogil:
            check(libgmemx.gmem_context_fill(
                context.ptr, run.start + run.step * done, run.step, part, value
            ))
        done += part
        PyErr_CheckSignals()
    return 0


cdef int erase_run(GMemContext context, uint64_t start, uint64_t n) except -1:
    with nogil:
        check(libgmemx.gmem_context_erase_range(context.ptr, start, n))
    return 0


cdef int erase_strided(GMemContext context, Run run) except -1:
    # Only written cells can be erased, so what is written bounds the work.
    addresses, _ = context.overlay()
    back = run.step > 2**63
    distance = np.uint64(CELLS - run.step if back else run.step)
    origin = np.uint64(run.start)
    offset = origin - addresses if back else addresses - origin
    hit = (offset % distance == 0) & (offset // distance < np.uint64(run.n))
    _erase(context, np.ascontiguousarray(addresses[hit]))
    return 0


def _states(GMemContext context, const uint64_t[::1] addresses):
    """What is read at some addresses, and whether each is written."""
    cdef Py_ssize_t i, n = addresses.shape[0]
    values, written = np.empty(n), np.empty(n, np.bool_)
    cdef double[::1] read = values
    cdef uint8_t[::1] flags = written.view(np.uint8)
    with nogil:
        for i in range(n):
            flags[i] = libgmemx.gmem_context_is_written(context.ptr, addresses[i])
            read[i] = libgmemx.gmem_fetch(context.ptr, addresses[i])
    return values, written


def _erase(GMemContext context, const uint64_t[::1] addresses):
    """Give some cells their generated values back."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(addresses.shape[0]):
            check(libgmemx.gmem_context_erase(context.ptr, addresses[i]))


def _restore(seed, generator, addresses, values):
    """A context from its pickle."""
    context = GMemContext(seed, generator)
    context.write_many(addresses, values)
    return context


cdef bint overlap(const uint64_t* addresses, const double* out, Py_ssize_t n) noexcept nogil:
    """Whether two runs of n eight-byte items share memory."""
    cdef size_t a = <size_t> addresses, b = <size_t> out
    return a < b + <size_t> n * 8 and b < a + <size_t> n * 8
