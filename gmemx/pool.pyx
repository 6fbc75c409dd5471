"""Shared pools: buffers in shared memory that processes pass to each other."""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from libcpp cimport bool

from gmemx cimport _dlpack, libgmemx
from gmemx._dtypes cimport DTYPES, GMEMX_DTYPES, INT4, code_of, dtype_of_code
from gmemx._pool_arguments cimport (
    budget_of, device_of, index_of, integer, name_of, seconds_of, size_of,
)
from gmemx._pool_metadata cimport Layout, change, describe, layout, plan, pool_code, told
from gmemx._pool_survey cimport Survey, survey_of
from gmemx.status cimport check_pool
from gmemx.tensor cimport Tensor, tensor_over

import os
import weakref
from time import monotonic

import numpy as np

from gmemx import _pool_pickle
from gmemx._pool_pickle import BufferHandle
from gmemx._pool_survey import gc, list_pools, stat
from gmemx.errors import (
    InvalidArgumentError, PoolAccessError, PoolArgumentError, PoolError, PoolTimeoutError,
)

cdef enum:
    # Bytes from which on a call lets go of the GIL, which costs some 40 ns.
    LONG_WORK = 65536
    CPU = -1

# What became of a guard. Once it is no longer live it may still hold its buffer, until
# whoever uses the memory has gone.
cdef enum:
    UNMADE
    LIVE
    RELEASED
    FORGOTTEN

# Seconds between two looks for Ctrl-C while a call waits.
cdef double PATIENCE = 0.1

cdef Py_ssize_t ONE = 1
cdef object FROM_BUFFER = np.frombuffer
# NumPy's dtypes by code, where it has them.
cdef list NUMPY = [
    dtype_of_code(code).numpy if GMEMX_DTYPES[code].exact else None for code in range(DTYPES)]

# The open pools of this process, weakly, by address.
cdef dict OPEN = {}


# ---- making pools and guards --------------------------------------------------------------

cdef int begin(BufferPool self, object name) except -1:
    """What a pool needs to know of itself once its handle is there."""
    self.title = name
    self.slots = libgmemx.gmem_pool_capacity(self.ptr)
    self.budget = libgmemx.gmem_pool_size(self.ptr)
    check_pool(libgmemx.gmem_pool_id(self.ptr, self.uuid))
    OPEN[<size_t> <void*> self] = weakref.ref(self)
    return 0


cdef BufferGuard guard_over(BufferPool pool, const libgmemx.gmem_buffer* buffer):
    cdef BufferGuard guard = BufferGuard.__new__(BufferGuard)
    guard.buffer = buffer[0]
    adopt(guard, pool)
    return guard


cdef inline void adopt(BufferGuard guard, BufferPool pool) noexcept:
    guard.owner = pool
    guard.state = LIVE
    pool.guards += 1


cdef BufferGuard taken(BufferPool pool, size_t size, int device, object timeout):
    """A guard of a buffer nobody else has."""
    cdef BufferGuard guard = BufferGuard.__new__(BufferGuard)
    cdef double seconds = -1.0 if timeout is None else seconds_of(timeout)
    cdef int32_t status
    pool.live()
    if size < LONG_WORK and device == CPU:
        # The common case takes less time than letting go of the GIL would.
        status = libgmemx.gmem_pool_acquire(pool.ptr, size, 0.0, &guard.buffer)
        if status == libgmemx.GMEM_STATUS_OK:
            adopt(guard, pool)
            return guard
        if status != libgmemx.GMEM_STATUS_TIMEOUT:
            check_pool(status)
    wait(pool, size, device, seconds, &guard.buffer)
    adopt(guard, pool)
    return guard


cdef int wait(
    BufferPool pool, size_t size, int device, double timeout, libgmemx.gmem_buffer* out
) except -1:
    cdef double end = monotonic() + timeout, left = timeout, part
    cdef int32_t status
    pool.uses += 1
    try:
        while True:
            part = PATIENCE if timeout < 0.0 or left > PATIENCE else left
            with nogil:
                if device == CPU:
                    status = libgmemx.gmem_pool_acquire(pool.ptr, size, part, out)
                else:
                    status = libgmemx.gmem_pool_acquire_cuda(pool.ptr, size, device, part, out)
            if status != libgmemx.GMEM_STATUS_TIMEOUT:
                return check_pool(status)
            PyErr_CheckSignals()
            left = max(0.0, end - monotonic())
            if left == 0.0 and timeout >= 0.0:
                raise PoolTimeoutError(
                    f"no buffer of {size} bytes became free within {timeout:g} seconds")
    finally:
        pool.uses -= 1


cdef BufferGuard held(BufferPool pool, object which, bint writable):
    """A guard on a buffer that is there already."""
    cdef BufferGuard guard = BufferGuard.__new__(BufferGuard)
    pool.live()
    if isinstance(which, BufferHandle):
        check_pool(libgmemx.gmem_pool_get(
            pool.ptr, handle_value(pool, which), writable, &guard.buffer))
        adopt(guard, pool)
        if which._claimed:
            # From here on this guard keeps what came with the handle.
            which._guard, which._claimed = None, False
        return guard
    check_pool(libgmemx.gmem_pool_get_index(pool.ptr, index_of(which), writable, &guard.buffer))
    adopt(guard, pool)
    return guard


cdef uint64_t handle_value(BufferPool pool, object handle) except? 0:
    if handle._id != pool.uuid[:16]:
        raise PoolArgumentError(
            f"{handle!r} is of the pool {handle.pool_name or handle.pool_id}, and not of {pool!r}")
    return handle._value


# ---- pools --------------------------------------------------------------------------------

cdef class BufferPool:
    """A pool of buffers in shared memory that several processes use at once.

    A buffer belongs to whoever refers to it. It is free when nobody does, and what a
    killed process held is taken back. The last process out removes the pool.

    Parameters
    ----------
    name : str
        1 to 200 bytes, without a slash but perhaps in front.
    capacity : int
        How many buffers there can be at once, up to 2**20.
    size : int, optional
        How many bytes they may take together; None for what the system can lend.
    mode : int
        Permissions of the pool's files.

    Raises
    ------
    PoolExistsError
        If a pool that is in use has that name; a FileExistsError.
    PoolArgumentError
        For a bad name, capacity, size or mode; a ValueError.
    NotImplementedError
        On systems other than Linux.

    Notes
    -----
    Failures are `PoolError`, and so RuntimeError, and the built-in exception besides
    that a Python programmer expects. Every method may be called from several threads.
    ``meta_index`` is the slot a buffer is in; free slots are used again, so what is kept or
    sent should be a guard or a handle, which fits no later buffer.

    Examples
    --------
    >>> from gmemx import BufferPool
    >>> with BufferPool.anonymous(capacity=8) as pool:
    ...     with pool.acquire((2, 3), "float32") as buffer:
    ...         buffer.numpy()[:] = 1.0
    ...         print(buffer.meta_index, buffer.size, pool.ref_count(0))
    0 24 1
    """

    def __init__(self, name, capacity=1024, *, size=None, mode=0o600):
        if self.ptr is not NULL:
            raise TypeError("a BufferPool is made once")
        cdef bytes title = name_of(name)
        cdef const char* text = title
        cdef size_t slots = integer(capacity, "capacity", 1, 2**20)
        cdef uint64_t budget = budget_of(size)
        cdef uint32_t permissions = integer(mode, "mode", 0, 0o777)
        cdef libgmemx.gmem_pool* made = NULL
        with nogil:
            check_pool(libgmemx.gmem_pool_create(text, slots, budget, permissions, &made))
        self.ptr = made
        begin(self, name)

    def __dealloc__(self):
        if self.ptr is not NULL:
            OPEN.pop(<size_t> <void*> self, None)
            libgmemx.gmem_pool_close(self.ptr)

    # ---- for other extensions ---------------------------------------------

    cdef int c_acquire(
        self, size_t size, double timeout, libgmemx.gmem_buffer* out
    ) except -1 nogil:
        return check_pool(libgmemx.gmem_pool_acquire(self.ptr, size, timeout, out))

    cdef int c_get(
        self, uint64_t handle, bint writable, libgmemx.gmem_buffer* out
    ) except -1 nogil:
        return check_pool(libgmemx.gmem_pool_get(self.ptr, handle, writable, out))

    cdef int c_get_index(
        self, uint32_t index, bint writable, libgmemx.gmem_buffer* out
    ) except -1 nogil:
        return check_pool(libgmemx.gmem_pool_get_index(self.ptr, index, writable, out))

    cdef int c_release(self, uint64_t handle) except -1 nogil:
        return check_pool(libgmemx.gmem_pool_release(self.ptr, handle))

    cdef int c_send(self, uint64_t handle, uint64_t* ticket) except -1 nogil:
        return check_pool(libgmemx.gmem_pool_send(self.ptr, handle, ticket))

    cdef int c_claim(
        self, uint64_t handle, uint64_t ticket, bint writable, libgmemx.gmem_buffer* out
    ) except -1 nogil:
        return check_pool(libgmemx.gmem_pool_claim(self.ptr, handle, ticket, writable, out))

    cdef int pin(self) except -1:
        self.live()
        self.uses += 1
        return 0

    cdef void unpin(self) noexcept:
        self.uses -= 1

    cdef int live(self) except -1:
        if self.ptr is NULL:
            raise PoolArgumentError("the pool is closed")
        return 0

    # ---- opening and closing ------------------------------------------------

    @staticmethod
    def open(name, *, bint read_only=False):
        """Open the pool of a name.

        Parameters
        ----------
        name : str
        read_only : bool
            Buffers can then be looked at only, through memory without permission to write.

        Returns
        -------
        BufferPool

        Raises
        ------
        PoolMissingError
            If there is none, or all its processes are dead; a FileNotFoundError.
        PoolAccessError
            If its mode does not let this user; a PermissionError.
        PoolArgumentError
            If what has that name is no pool.

        Examples
        --------
        >>> import os
        >>> from gmemx import BufferPool
        >>> name = f"open-{os.getpid()}"
        >>> with BufferPool(name, capacity=8), BufferPool.open(name) as again:
        ...     again.capacity
        8
        """
        cdef BufferPool self = BufferPool.__new__(BufferPool)
        cdef bytes title = name_of(name)
        cdef const char* text = title
        with nogil:
            check_pool(libgmemx.gmem_pool_open(text, read_only, &self.ptr))
        self.reads_only = read_only
        begin(self, name)
        return self

    @staticmethod
    def open_or_create(name, capacity=1024, *, size=None, mode=0o600):
        """Open the pool of a name, or create it; parameters as of the class.

        Of any number of processes that do so at once one creates it; the others' `capacity`,
        `size` and `mode` mean nothing.

        Parameters
        ----------
        name : str
        capacity, size, mode : optional
            As of the class.

        Returns
        -------
        BufferPool

        Raises
        ------
        PoolArgumentError
            If the name or a number makes no sense; a ValueError.
        PoolAccessError
            If the pool is somebody else's; a PermissionError.

        Examples
        --------
        >>> import os
        >>> name = f"example-{os.getpid()}"
        >>> with BufferPool.open_or_create(name, 8) as first:
        ...     second = BufferPool.open_or_create(name)
        ...     first.id == second.id, second.capacity
        (True, 8)
        >>> second.close()
        """
        cdef BufferPool self = BufferPool.__new__(BufferPool)
        cdef bytes title = name_of(name)
        cdef const char* text = title
        cdef size_t slots = integer(capacity, "capacity", 1, 2**20)
        cdef uint64_t budget = budget_of(size)
        cdef uint32_t permissions = integer(mode, "mode", 0, 0o777)
        with nogil:
            check_pool(libgmemx.gmem_pool_open_or_create(
                text, slots, budget, permissions, &self.ptr))
        begin(self, name)
        return self

    @staticmethod
    def anonymous(capacity=1024, *, size=None):
        """Create a pool without a name, for this process and those it hands the pool to.

        Forked children have it; `multiprocessing` passes it to others, and `descriptors` to
        whoever gets them.

        Parameters
        ----------
        capacity, size : int, optional
            As of the class.

        Returns
        -------
        BufferPool

        Raises
        ------
        PoolMemoryError
            If the system has no shared memory left; a MemoryError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> pool.name is None, pool.capacity
        (True, 4)
        """
        cdef BufferPool self = BufferPool.__new__(BufferPool)
        cdef size_t slots = integer(capacity, "capacity", 1, 2**20)
        cdef uint64_t budget = budget_of(size)
        with nogil:
            check_pool(libgmemx.gmem_pool_create_anonymous(slots, budget, &self.ptr))
        begin(self, None)
        return self

    @staticmethod
    def from_descriptors(control, data, *, bint read_only=False):
        """Open a pool by the two `descriptors` of another process, which stay the caller's.

        Parameters
        ----------
        control, data : int
            Open file descriptors, as ``descriptors`` gives them.
        read_only : bool
            Whether to map nothing writable.

        Returns
        -------
        BufferPool

        Raises
        ------
        PoolArgumentError
            If they are not those of a pool; a ValueError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> BufferPool.from_descriptors(*pool.descriptors).id == pool.id
        True
        """
        cdef BufferPool self = BufferPool.__new__(BufferPool)
        cdef int32_t first = integer(control, "control", 0, 2**31 - 1)
        cdef int32_t second = integer(data, "data", 0, 2**31 - 1)
        with nogil:
            check_pool(libgmemx.gmem_pool_open_descriptors(first, second, read_only, &self.ptr))
        self.reads_only = read_only
        begin(self, None)
        return self

    def close(self):
        """Leave the pool. What is on its way to others stays claimable.

        References of `add_ref` and the like are given back when the process closes the last
        of its objects of this pool. Closing again does nothing.

        Raises
        ------
        BufferError
            If guards still hold buffers, or calls are running.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> pool.close()
        >>> pool.closed
        True
        """
        cdef libgmemx.gmem_pool* ptr = self.ptr
        if ptr is NULL:
            return
        if self.guards or self.uses:
            raise BufferError(
                f"{self!r} cannot be closed: {self.guards} guards hold buffers of it, and "
                f"{self.uses} calls are running"
            )
        self.ptr = NULL
        OPEN.pop(<size_t> <void*> self, None)
        with nogil:
            libgmemx.gmem_pool_close(ptr)

    def __enter__(self):
        self.live()
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except BufferError:
            # What went wrong inside matters more; the last guard to go closes the pool.
            pass

    def unlink(self):
        """Take the pool's name away now: nobody can open it any more, those who did go on.

        Examples
        --------
        >>> import os
        >>> pool = BufferPool(f"example-{os.getpid()}", capacity=4)
        >>> pool.unlink()
        >>> pool.acquire_cpu(10).size
        10
        >>> try:
        ...     BufferPool.open(pool.name)
        ... except FileNotFoundError as error:
        ...     print(type(error).__name__)
        PoolMissingError
        """
        self.pin()
        try:
            with nogil:
                check_pool(libgmemx.gmem_pool_unlink(self.ptr))
        finally:
            self.unpin()

    def settle(self):
        """Make the pool itself answerable for what was sent and not yet claimed.

        Happens by itself when a pool is closed and when Python ends. To be called before
        ``os._exit`` and the like.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> handle = guard.send()
        >>> guard.close()
        >>> pool.settle()
        >>> pool.stats().used
        1
        """
        self.pin()
        try:
            with nogil:
                check_pool(libgmemx.gmem_pool_settle(self.ptr))
        finally:
            self.unpin()

    # ---- what it is -----------------------------------------------------------

    @property
    def name(self):
        """The name it was opened by; None without one."""
        return self.title

    @property
    def capacity(self):
        """How many buffers there can be at once."""
        return self.slots

    @property
    def size(self):
        """How many bytes they may take together."""
        return self.budget

    @property
    def id(self):
        """A `uuid.UUID` that no other pool has."""
        from uuid import UUID

        return UUID(bytes=self.uuid[:16])

    @property
    def descriptors(self):
        """The file descriptors of its two segments, control and data; the pool's own."""
        cdef int32_t control = -1, data = -1
        self.live()
        check_pool(libgmemx.gmem_pool_descriptors(self.ptr, &control, &data))
        return control, data

    @property
    def read_only(self):
        """Whether it was opened to look at buffers only."""
        return self.reads_only

    @property
    def closed(self):
        """Whether it was closed."""
        return self.ptr is NULL

    def __repr__(self):
        told = f"{self.title!r}, " if self.title is not None else ""
        tail = ", closed" if self.ptr is NULL else ", read_only" if self.reads_only else ""
        return f"BufferPool({told}capacity={self.slots}, size={self.budget}{tail})"

    def __reduce__(self):
        self.live()
        return _pool_pickle.reduced_pool(self)

    # ---- buffers ----------------------------------------------------------------

    @cython.binding(False)  # a plain method descriptor: some 10 ns less a call
    def acquire_cpu(self, size, timeout=None):
        """Take a buffer, whose content is whatever was in it last.

        Parameters
        ----------
        size : int
            Bytes.
        timeout : float, optional
            How many seconds to wait for one: None for ever, 0 not at all.

        Returns
        -------
        BufferGuard

        Raises
        ------
        PoolTimeoutError
            If none became free in that time; a TimeoutError.
        PoolMemoryError
            If the system has no shared memory left; a MemoryError.
        PoolAccessError
            In a pool opened read-only.
        PoolArgumentError
            If `size` is 0, or more than the pool's.

        Examples
        --------
        >>> from gmemx import BufferPool
        >>> pool = BufferPool.anonymous()
        >>> with pool.acquire_cpu(1024) as buffer:
        ...     memoryview(buffer)[:5] = b"hello"
        """
        return taken(self, size_of(size), CPU, timeout)

    @cython.binding(False)
    def acquire(self, shape, dtype="float64", timeout=None):
        """Take a buffer for an array, which tells everyone that gets it what it is.

        Parameters
        ----------
        shape : int or tuple of int
            At most 8 dimensions.
        dtype : str, DType, numpy.dtype or type, optional
            See `gmemx.dtype`.
        timeout : float, optional
            As `acquire_cpu`, as are the errors.

        Examples
        --------
        >>> from gmemx import BufferPool
        >>> pool = BufferPool.anonymous()
        >>> buffer = pool.acquire((480, 640, 3), "uint8")
        >>> pool.get(buffer.meta_index).numpy().shape
        (480, 640, 3)
        """
        cdef Layout planned
        cdef libgmemx.gmem_buffer_meta meta
        # An array of nothing still needs a buffer to be one.
        cdef size_t size = max(plan(dtype, shape, &planned), 1)
        cdef BufferGuard guard = taken(self, size, CPU, timeout)
        memset(&meta, 0, sizeof(meta))
        describe(&meta, &planned)
        check_pool(libgmemx.gmem_pool_set_meta(self.ptr, guard.buffer.handle, &meta))
        return guard

    def acquire_cuda(self, size, device_id=0, timeout=None):
        """Take a buffer on a CUDA device; otherwise as `acquire_cpu`.

        Raises
        ------
        PoolUnsupportedError
            Without a CUDA driver: the text tells what is missing; a NotImplementedError.
        PoolRangeError
            If there is no such device; an IndexError.

        Parameters
        ----------
        size : int
            In bytes.
        device_id : int
            As this process counts its devices.
        timeout : float, optional
            As `acquire_cpu`.

        Returns
        -------
        BufferGuard
        """
        return taken(self, size_of(size), device_of(device_id), timeout)

    def preallocate_cpu(self, size, count):
        """Take several buffers at once, all or none, without waiting.

        Parameters
        ----------
        size : int
            Bytes of each.
        count : int

        Returns
        -------
        list of int
            A ``meta_index`` for each, with one reference of this process: `release` gives
            it back.

        Raises
        ------
        PoolTimeoutError
            If there are not as many free buffers; a TimeoutError.
        PoolMemoryError
            If the system has no shared memory left; a MemoryError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> indices = pool.preallocate_cpu(1000, 3)
        >>> len(indices), pool.stats().used
        (3, 3)
        >>> [pool.release(index) for index in indices]
        [0, 0, 0]
        """
        return preallocated(self, size, count, CPU)

    def preallocate_cuda(self, size, count, device_id=0):
        """As `preallocate_cpu`, on a CUDA device.

        Parameters
        ----------
        size, count : int
            As there.
        device_id : int

        Returns
        -------
        list of int

        Raises
        ------
        PoolUnsupportedError
            Without a CUDA driver; a NotImplementedError.
        """
        return preallocated(self, size, count, device_of(device_id))

    @cython.binding(False)
    def get(self, meta_index):
        """A guard on a buffer that is there, to read it.

        Parameters
        ----------
        meta_index : int or BufferHandle
            An index finds whatever is in that slot now, a handle its own buffer only.

        Returns
        -------
        BufferGuard

        Raises
        ------
        PoolNotFoundError
            If the slot is free, or the handle's buffer is; a LookupError.
        PoolRangeError
            If the pool has no such slot; an IndexError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> pool.get(guard.handle).readonly
        True
        """
        return held(self, meta_index, False)

    @cython.binding(False)
    def get_mut(self, meta_index):
        """As `get`, to write it too; PoolAccessError where it is sealed or the pool read-only.

        Parameters
        ----------
        meta_index : int or BufferHandle
            As `get`.

        Returns
        -------
        BufferGuard

        Raises
        ------
        PoolAccessError
            If it is sealed or the pool read-only; a PermissionError.
        PoolNotFoundError, PoolRangeError
            As `get`.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> pool.get_mut(guard.meta_index).numpy()[0] = 7
        >>> guard.numpy()[0].item()
        7
        """
        return held(self, meta_index, True)

    # ---- references -----------------------------------------------------------

    def add_ref(self, meta_index):
        """Add a reference of this process to a buffer; how many there are then.

        It goes with `release`, or when this process closes the pool or ends.

        Parameters
        ----------
        meta_index : int
            The slot of the buffer.

        Returns
        -------
        int
            All references, as `ref_count` counts them.

        Raises
        ------
        PoolNotFoundError
            If the slot has no buffer in use; a LookupError.
        PoolRangeError
            If the pool has no such slot; an IndexError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> pool.add_ref(guard.meta_index), pool.release(guard.meta_index)
        (2, 1)
        """
        cdef uint64_t count = 0
        self.live()
        check_pool(libgmemx.gmem_pool_add_ref(self.ptr, index_of(meta_index), &count))
        return count

    def release(self, meta_index):
        """Take a reference away that this process added, or else a pin; how many are left.

        Parameters
        ----------
        meta_index : int
            The slot of the buffer.

        Raises
        ------
        PoolNotFoundError
            If there is neither: what guards hold is not taken from them.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.forget()  # its hold becomes a pin
        >>> pool.release(0)
        0
        """
        cdef uint64_t count = 0
        self.live()
        check_pool(libgmemx.gmem_pool_release_ref(self.ptr, index_of(meta_index), &count))
        return count

    def ref_count(self, meta_index):
        """How many references a buffer has.

        Every hold of this process counts, one for each other process that holds it, and
        every pin. A free slot has none.

        Parameters
        ----------
        meta_index : int
            The slot of the buffer.

        Returns
        -------
        int

        Raises
        ------
        PoolRangeError
            If the pool has no such slot; an IndexError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> pool.ref_count(guard.meta_index)
        1
        >>> guard.close()
        >>> pool.ref_count(0)
        0
        """
        cdef uint64_t count = 0
        self.live()
        check_pool(libgmemx.gmem_pool_ref_count(self.ptr, index_of(meta_index), &count))
        return count

    def set_ref_count(self, meta_index, count):
        """Add or take pins, which are nobody's, until a buffer has `count` references.

        Parameters
        ----------
        meta_index : int
            The slot of the buffer.
        count : int
            All references, holds and pins together.

        Raises
        ------
        PoolArgumentError
            If that is less than the holds, which stay.
        PoolOverflowError
            If it would take more than 255 pins; an OverflowError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> pool.set_ref_count(0, 3)
        >>> guard.close()
        >>> pool.ref_count(0)
        2
        """
        cdef uint32_t index = index_of(meta_index)
        cdef uint64_t wanted = integer(count, "count", 0, 2**63 - 1)
        self.live()
        check_pool(libgmemx.gmem_pool_set_ref_count(self.ptr, index, wanted))

    def reclaim(self):
        """Take back what dead processes held; how many references that were.

        It happens by itself wherever a buffer is wanted and none is free.

        Returns
        -------
        int

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> pool.reclaim()  # nobody has died
        0
        """
        cdef uint64_t count = 0
        self.pin()
        try:
            with nogil:
                check_pool(libgmemx.gmem_pool_reclaim(self.ptr, &count))
        finally:
            self.unpin()
        return count

    def trim(self):
        """Give the memory of free buffers back to the system; how many bytes that were.

        Returns
        -------
        int

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.close()
        >>> pool.trim() > 0, pool.trim()
        (True, 0)
        """
        cdef uint64_t count = 0
        self.pin()
        try:
            with nogil:
                check_pool(libgmemx.gmem_pool_trim(self.ptr, &count))
        finally:
            self.unpin()
        return count

    # ---- what is in it --------------------------------------------------------

    def stats(self):
        """The figures of this moment, a `PoolStats`.

        >>> from gmemx import BufferPool
        >>> pool = BufferPool.anonymous(capacity=16)
        >>> buffers = [pool.acquire_cpu(100), pool.acquire_cpu(200)]
        >>> stats = pool.stats()
        >>> stats.used, stats.used_bytes, stats.processes
        (2, 300, 1)
        """
        return surveyed(self).stats()

    def buffers(self):
        """The buffers that somebody refers to, a list of `BufferInfo` in order of slots.

        Returns
        -------
        list of BufferInfo

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> [(buffer.index, buffer.size) for buffer in pool.buffers()]
        [(0, 100)]
        """
        return surveyed(self).buffers()

    def processes(self):
        """The processes that use the pool, a list of `ProcessInfo`.

        Returns
        -------
        list of ProcessInfo

        Examples
        --------
        >>> import os
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> [process.pid == os.getpid() for process in pool.processes()]
        [True]
        """
        return surveyed(self).processes()


cdef Survey surveyed(BufferPool pool):
    pool.pin()
    try:
        return survey_of(pool.ptr)
    finally:
        pool.unpin()


cdef list preallocated(BufferPool pool, object size, object count, int device):
    cdef size_t each = size_of(size)
    cdef size_t n = integer(count, "count", 0, pool.slots)
    cdef uint32_t* indices
    pool.live()
    indices = <uint32_t*> PyMem_Malloc(max(n, 1) * sizeof(uint32_t))
    if indices is NULL:
        raise MemoryError("there is no memory for the indices")
    pool.uses += 1
    try:
        with nogil:
            if device == CPU:
                check_pool(libgmemx.gmem_pool_preallocate(pool.ptr, each, n, indices))
            else:
                check_pool(libgmemx.gmem_pool_preallocate_cuda(pool.ptr, each, n, device, indices))
        return [indices[i] for i in range(n)]
    finally:
        pool.uses -= 1
        PyMem_Free(indices)


# ---- guards ---------------------------------------------------------------------------------

@cython.freelist(64)
@cython.no_gc  # said in pool.pxd, but heeded here only
cdef class BufferGuard:
    """A hold on one buffer: while it lasts, the buffer is nobody else's to reuse.

    `BufferPool.acquire_cpu`, `BufferPool.get` and their kin make guards. The hold ends
    with `close`, at the end of a ``with`` block, or with the guard. Arrays, tensors and
    memoryviews of the memory keep it: then `close` is refused, and a ``with``
    block ends at once while the hold lasts until they have gone.

    Pickled, a guard sends its buffer: at the other end there is a guard on the same
    memory. Nothing is copied, and the buffer is not lost on its way.

    Examples
    --------
    >>> from gmemx import BufferPool
    >>> pool = BufferPool.anonymous()
    >>> with pool.acquire_cpu(8) as buffer:
    ...     cells = buffer.numpy("int32")
    ...     cells[:] = 7
    >>> buffer.is_valid, cells.tolist()
    (False, [7, 7])
    """

    def __init__(self):
        raise TypeError("guards are not made: BufferPool.acquire_cpu() and get() give them")

    def __dealloc__(self):
        if self.owner is not None:
            self.owner.guards -= 1
            libgmemx.gmem_pool_release(self.owner.ptr, self.buffer.handle)

    # ---- for other extensions ---------------------------------------------

    cdef char* c_data(self) noexcept nogil:
        return <char*> self.buffer.data

    cdef size_t c_size(self) noexcept nogil:
        return self.buffer.size

    cdef uint64_t c_handle(self) noexcept nogil:
        return self.buffer.handle

    cdef bint c_writable(self) noexcept nogil:
        return self.buffer.writable

    cdef int c_device(self) noexcept nogil:
        return self.buffer.device

    cdef int pin(self) except -1:
        self.live()
        self.exports += 1
        return 0

    cdef void unpin(self) noexcept:
        self.exports -= 1
        if self.exports == 0 and self.state != LIVE and self.owner is not None:
            give_back(self)

    cdef int live(self) except -1:
        if self.state != LIVE:
            raise PoolArgumentError(
                "the buffer was forgotten: its guard is of no use any more"
                if self.state == FORGOTTEN else
                "the buffer was released: its guard is of no use any more"
                if self.state == RELEASED else "this guard was never made by a pool"
            )
        return 0

    # ---- what it is -----------------------------------------------------------

    @property
    def meta_index(self):
        """The slot its buffer is in."""
        if self.state == UNMADE:
            self.live()
        return self.buffer.index

    @property
    def handle(self):
        """The `BufferHandle` of its buffer, which keeps this guard."""
        self.live()
        return BufferHandle(self.buffer.handle, self.owner.uuid[:16], self.owner.title, self)

    @property
    def pool(self):
        """The `BufferPool` it is of."""
        self.live()
        return self.owner

    @property
    def is_valid(self):
        """Whether it still stands for its buffer."""
        return self.state == LIVE

    @property
    def closed(self):
        """Whether it was released or forgotten."""
        return self.state != LIVE

    @property
    def size(self):
        """Bytes, as they were asked for."""
        self.live()
        return self.buffer.size

    @property
    def device(self):
        """The CUDA device of its memory, -1 for the CPU's."""
        self.live()
        return self.buffer.device

    @property
    def readonly(self):
        """Whether the memory must not be written."""
        self.live()
        return not self.buffer.writable

    @property
    def cpu_ptr(self):
        """The address of its memory, an int; RuntimeError on a CUDA device."""
        on_cpu(self)
        return <size_t> self.buffer.data

    @property
    def cpu_ptr_mut(self):
        """As `cpu_ptr`, for writing; PoolAccessError where it is read-only."""
        on_cpu(self)
        writable(self)
        return <size_t> self.buffer.data

    @property
    def cuda_ptr(self):
        """The address of its memory on the device, an int; RuntimeError on the CPU."""
        on_cuda(self)
        return <size_t> self.buffer.data

    @property
    def cuda_ptr_mut(self):
        """As `cuda_ptr`, for writing; PoolAccessError where it is read-only."""
        on_cuda(self)
        writable(self)
        return <size_t> self.buffer.data

    def __len__(self):
        self.live()
        return self.buffer.size

    def __repr__(self):
        if self.state != LIVE:
            return "BufferGuard(forgotten)" if self.state == FORGOTTEN else "BufferGuard(released)"
        where = "" if self.buffer.device == CPU else f", device={self.buffer.device}"
        tail = "" if self.buffer.writable else ", readonly"
        return (
            f"BufferGuard(meta_index={self.buffer.index}, size={self.buffer.size}{where}{tail})")

    # ---- the end of it ----------------------------------------------------------

    def close(self):
        """Give the buffer back; closing again does nothing.

        Raises
        ------
        BufferError
            If arrays, tensors, memoryviews or running calls still use the memory.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.close()
        >>> guard.is_valid
        False
        """
        end(self)

    @cython.binding(False)
    def release(self):
        """The same as `close`.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.release()
        >>> guard.closed
        True
        """
        end(self)

    @cython.binding(False)
    def __enter__(self):
        self.live()
        return self

    @cython.binding(False)
    def __exit__(self, kind, error, traceback):
        if self.state == LIVE:
            self.state = RELEASED
            if self.exports == 0:
                give_back(self)

    def forget(self):
        """Let the buffer stay without this guard, for `BufferPool.get` to find.

        The hold becomes a pin: a reference that is nobody's and outlives this process.
        `BufferPool.release` takes it away.

        Raises
        ------
        PoolOverflowError
            If the buffer has 255 pins; an OverflowError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.forget()
        >>> guard.is_valid, pool.stats().pins, pool.get(0).size
        (False, 1, 100)
        """
        cdef libgmemx.gmem_buffer again
        self.live()
        if self.exports == 0:
            check_pool(libgmemx.gmem_pool_forget(self.owner.ptr, self.buffer.handle))
            self.owner.guards -= 1
            self.owner = None
        else:
            # Whoever uses the memory keeps a hold of its own, since anyone may take the pin.
            check_pool(libgmemx.gmem_pool_get(
                self.owner.ptr, self.buffer.handle, False, &again))
            try:
                check_pool(libgmemx.gmem_pool_forget(self.owner.ptr, self.buffer.handle))
            except PoolError:
                libgmemx.gmem_pool_release(self.owner.ptr, self.buffer.handle)
                raise
        self.state = FORGOTTEN

    # ---- the memory -------------------------------------------------------------

    def __getbuffer__(self, Py_buffer* view, int flags):
        if self.state != LIVE or self.buffer.device != CPU:
            on_cpu(self)
        if flags & PyBUF_WRITABLE and not self.buffer.writable:
            raise BufferError(f"{self!r} is read-only")
        view.obj = self
        view.buf = self.buffer.data
        view.len = self.buffer.size
        view.readonly = not self.buffer.writable
        view.itemsize = 1
        view.format = <char*> b"B" if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = <Py_ssize_t*> &self.buffer.size if flags & PyBUF_ND else NULL
        view.strides = &ONE if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.unpin()

    @cython.binding(False)
    def numpy(self, dtype=None, shape=None):
        """The NumPy array of its memory, which keeps the hold.

        Parameters
        ----------
        dtype : str, DType, numpy.dtype or type, optional
            Without it what the metadata say, or bytes.
        shape : int or tuple of int, optional
            Without it what the metadata say, or as many elements as there are. It may take
            less than the whole buffer.

        Returns
        -------
        numpy.ndarray
            Read-only where the hold is.

        Raises
        ------
        PoolArgumentError
            If that does not fit in the buffer, or the guard was released.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> cells = guard.numpy("int32", (5, 5))
        >>> cells[:] = 7
        >>> int(guard.numpy("int32").sum())
        175
        """
        cdef libgmemx.gmem_buffer_meta meta
        cdef Layout seen
        cdef Py_ssize_t count = 1
        cdef int code = -1, d
        on_cpu(self)
        if dtype is not None:
            try:
                code = code_of(dtype)
            except InvalidArgumentError:
                from gmemx._pool_data import array

                return array(self, dtype, shape)
        read_meta(self, &meta)
        layout(&meta, self.buffer.size, code, shape, &seen)
        if not seen.contiguous or NUMPY[seen.code] is None:
            return tensor_of(self, &seen).numpy()
        for d in range(seen.ndim):
            count *= seen.shape[d]
        if count == 0:
            # NumPy makes no array of nothing from a buffer of something.
            return tensor_of(self, &seen).numpy()
        if count * GMEMX_DTYPES[seen.code].itemsize == <Py_ssize_t> self.buffer.size:
            array = FROM_BUFFER(self, NUMPY[seen.code])
        else:
            array = FROM_BUFFER(self, NUMPY[seen.code], count)
        if seen.ndim == 1:
            return array
        return array.reshape(tuple([seen.shape[d] for d in range(seen.ndim)]))

    def tensor(self, dtype=None, shape=None):
        """The `Tensor` of its memory, which keeps the hold; parameters and errors as `numpy`.

        Parameters
        ----------
        dtype, shape : optional
            As `numpy`.

        Returns
        -------
        Tensor

        Raises
        ------
        PoolArgumentError
            As `numpy`.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.tensor("float32", (5, 5)).shape
        (5, 5)
        """
        cdef libgmemx.gmem_buffer_meta meta
        cdef Layout seen
        on_cpu(self)
        cdef int code = -1 if dtype is None else pool_code(dtype)
        read_meta(self, &meta)
        layout(&meta, self.buffer.size, code, shape, &seen)
        return tensor_of(self, &seen)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A DLPack capsule of the memory, seen as the metadata say; as `Tensor.__dlpack__`.

        Of memory on a CUDA device too, where `stream` means nothing: no work is under way
        on it that the pool knows of.
        """
        cdef libgmemx.gmem_buffer_meta meta
        cdef _dlpack.Memory memory
        cdef Layout seen
        cdef _Lease lease
        cdef long major
        self.live()
        if self.buffer.device == CPU:
            return self.tensor().__dlpack__(
                stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(
                f"the buffer is on DLPack device {self.__dlpack_device__()}, "
                f"not {tuple(dl_device)}")
        if copy is not None and copy:
            raise BufferError("a buffer on a CUDA device is shared, not copied: use copy_to_cpu()")
        major = 0 if max_version is None else max_version[0]
        if not self.buffer.writable and major < 1:
            raise BufferError("the buffer is read-only, which no DLPack before 1.0 can say")
        read_meta(self, &meta)
        layout(&meta, self.buffer.size, -1, None, &seen)
        lease = _Lease.__new__(_Lease)
        self.exports += 1
        lease.guard = self
        memory.data = <char*> self.buffer.data
        memory.ndim, memory.dtype = seen.ndim, seen.code
        memory.shape, memory.strides = seen.shape, seen.strides
        memory.readonly, memory.copied = not self.buffer.writable, False
        memory.device_type, memory.device_id = _dlpack.kDLCUDA, self.buffer.device
        return _dlpack.capsule(lease, &lease.uses, &memory, major >= 1)

    def __dlpack_device__(self):
        """DLPack's numbers of the kind of device and of the device: ``(1, 0)`` is the CPU."""
        self.live()
        if self.buffer.device == CPU:
            return (1, 0)
        return (2, self.buffer.device)

    @property
    def __cuda_array_interface__(self):
        """Version 3 of the interface, for memory on a CUDA device.

        Whoever takes it must keep this guard as long as the memory is used.
        """
        cdef libgmemx.gmem_buffer_meta meta
        cdef Layout seen
        self.live()
        if self.buffer.device == CPU:
            raise AttributeError("the memory is the CPU's and has no __cuda_array_interface__")
        read_meta(self, &meta)
        layout(&meta, self.buffer.size, -1, None, &seen)
        if seen.code == INT4:
            raise AttributeError("int4 has no __cuda_array_interface__: it is packed two to a byte")
        kind = NUMPY[seen.code]
        return {
            "version": 3,
            "shape": tuple([seen.shape[d] for d in range(seen.ndim)]),
            "strides": (
                None if seen.contiguous
                else tuple([seen.strides[d] for d in range(seen.ndim)])),
            "typestr": f"|V{GMEMX_DTYPES[seen.code].itemsize}" if kind is None else kind.str,
            "data": (<size_t> self.buffer.data, not self.buffer.writable),
            "stream": None,
        }

    def copy_to_cuda(self, device_id=0, timeout=None):
        """A new buffer on a CUDA device with the same content and metadata.

        Parameters
        ----------
        device_id : int
        timeout : float, optional
            As `BufferPool.acquire_cuda`, as are the errors.

        Returns
        -------
        BufferGuard
        """
        return copied(self, device_of(device_id), timeout)

    def copy_to_cpu(self, timeout=None):
        """A new buffer of the CPU's memory with the same content and metadata.

        Parameters
        ----------
        timeout : float, optional
            As `BufferPool.acquire_cpu`, as are the errors.

        Returns
        -------
        BufferGuard

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.numpy()[:] = 7
        >>> with guard.copy_to_cpu() as copy:
        ...     copy.meta_index != guard.meta_index, int(copy.numpy()[0])
        (True, 7)
        """
        return copied(self, CPU, timeout)

    # ---- what its holders tell each other ---------------------------------------

    def metadata(self):
        """What is told about the buffer, a dict of the seven properties that follow.

        >>> from gmemx import BufferPool
        >>> buffer = BufferPool.anonymous().acquire(3, "int16")
        >>> buffer.set_metadata(sequence=7, content_type="audio/L16")
        >>> told = buffer.metadata()
        >>> told["dtype"], told["shape"], told["sequence"]
        (int16, (3,), 7)
        """
        cdef libgmemx.gmem_buffer_meta meta
        read_meta(self, &meta)
        return told(&meta)

    def set_metadata(self, **values):
        """Tell several things at once; readers see all of them or none.

        Parameters
        ----------
        dtype : str, DType, numpy.dtype, type or None
        shape : int or tuple of int
            At most 8 dimensions. Without it a new dtype keeps the shape, or takes the
            whole buffer where there is none.
        strides : tuple of int
            Bytes between neighbours, not negative; by default those of C order.
        timestamp : int
            Nanoseconds since 1970.
        sequence : int
            In [0, 2**64).
        content_type : str
            At most 60 bytes of UTF-8.

        Raises
        ------
        PoolArgumentError
            If that does not fit; nothing is changed then.
        PoolAccessError
            Where the hold is read-only.
        TypeError
            For any other name.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.set_metadata(dtype="int32", shape=(5, 5), sequence=7)
        >>> guard.shape, guard.sequence
        ((5, 5), 7)
        """
        write_meta(self, values)

    @property
    def dtype(self):
        """The type of its elements, a `DType`, or None."""
        return self.metadata()["dtype"]

    @dtype.setter
    def dtype(self, value):
        write_meta(self, {"dtype": value})

    @property
    def shape(self):
        """Its extents, a tuple, or None."""
        return self.metadata()["shape"]

    @shape.setter
    def shape(self, value):
        write_meta(self, {"shape": value})

    @property
    def strides(self):
        """Bytes between neighbours, a tuple, or None."""
        return self.metadata()["strides"]

    @strides.setter
    def strides(self, value):
        write_meta(self, {"strides": value})

    @property
    def timestamp(self):
        """Nanoseconds since 1970, an int; 0 until somebody sets it."""
        return self.metadata()["timestamp"]

    @timestamp.setter
    def timestamp(self, value):
        write_meta(self, {"timestamp": value})

    @property
    def sequence(self):
        """A counter of the producer's, an int; 0 until somebody sets it."""
        return self.metadata()["sequence"]

    @sequence.setter
    def sequence(self, value):
        write_meta(self, {"sequence": value})

    @property
    def content_type(self):
        """What the content is, a string such as ``"image/png"``."""
        return self.metadata()["content_type"]

    @content_type.setter
    def content_type(self, value):
        write_meta(self, {"content_type": value})

    @property
    def producer(self):
        """The process id of whoever acquired the buffer."""
        return self.metadata()["producer"]

    def seal(self):
        """Make the buffer read-only for every other process until it is free again.

        What they hold for writing already cannot be taken from them.

        Raises
        ------
        PoolAccessError
            If this hold is read-only; a PermissionError.

        Examples
        --------
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.seal()
        >>> guard.sealed, guard.readonly
        (True, False)
        """
        self.live()
        check_pool(libgmemx.gmem_pool_seal(self.owner.ptr, self.buffer.handle))

    @property
    def sealed(self):
        """Whether somebody has sealed it."""
        cdef bool found = False
        self.live()
        check_pool(libgmemx.gmem_pool_is_sealed(self.owner.ptr, self.buffer.handle, &found))
        return True if found else False

    # ---- sending ------------------------------------------------------------------

    def send(self):
        """A `BufferHandle` that keeps the buffer alive without this guard, until it is claimed.

        For queues that pickle later, in a thread of their own, when the guard may have been
        released: ``queue.put(guard.send())``. It can be claimed once, by whoever unpickles
        it first.

        Returns
        -------
        BufferHandle

        Examples
        --------
        >>> import pickle
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.numpy()[0] = 7
        >>> stream = pickle.dumps(guard.send())
        >>> guard.close()
        >>> int(pickle.loads(stream).open().numpy()[0])
        7
        """
        self.live()
        return _pool_pickle.sent(self)

    def __reduce__(self):
        if self.state == RELEASED:
            raise PoolArgumentError(
                "the buffer was released before it was pickled, which a multiprocessing.Queue "
                "does later, in a thread of its own: put guard.send() instead"
            )
        self.live()
        # Who gets a sealed buffer may read it only.
        writable = self.buffer.writable and not self.sealed
        return _pool_pickle.restored_guard, (
            self.buffer.handle, self.owner.uuid[:16], self.owner.title,
            _send(self.owner, self.buffer.handle), writable,
        )


# An export through DLPack, which tells the guard when it ends.
@cython.final
@cython.no_gc
cdef class _Lease:
    cdef BufferGuard guard
    cdef Py_ssize_t uses

    def __dealloc__(self):
        if self.guard is not None:
            self.guard.unpin()


cdef int32_t give_back(BufferGuard guard) noexcept:
    """Ends the hold; the status."""
    cdef BufferPool pool = guard.owner
    guard.owner = None
    pool.guards -= 1
    return libgmemx.gmem_pool_release(pool.ptr, guard.buffer.handle)


cdef int end(BufferGuard guard) except -1:
    if guard.state != LIVE:
        return 0
    if guard.exports:
        raise BufferError(
            f"{guard!r} cannot be closed: {guard.exports} arrays or other exports use its memory")
    guard.state = RELEASED
    return check_pool(give_back(guard))


cdef int on_cpu(BufferGuard guard) except -1:
    guard.live()
    if guard.buffer.device != CPU:
        raise PoolArgumentError(
            f"{guard!r} is on a CUDA device, where the CPU cannot reach it: use copy_to_cpu()")
    return 0


cdef int on_cuda(BufferGuard guard) except -1:
    guard.live()
    if guard.buffer.device == CPU:
        raise PoolArgumentError(
            f"{guard!r} is memory of the CPU, and of no CUDA device: use copy_to_cuda()")
    return 0


cdef int writable(BufferGuard guard) except -1:
    guard.live()
    if not guard.buffer.writable:
        raise PoolAccessError(f"{guard!r} is read-only: use BufferPool.get_mut() to write")
    return 0


cdef int read_meta(BufferGuard guard, libgmemx.gmem_buffer_meta* out) except -1:
    guard.live()
    return check_pool(libgmemx.gmem_pool_meta(guard.owner.ptr, guard.buffer.handle, out))


cdef int write_meta(BufferGuard guard, dict values) except -1:
    cdef libgmemx.gmem_buffer_meta meta
    writable(guard)
    read_meta(guard, &meta)
    change(&meta, guard.buffer.size, values)
    return check_pool(libgmemx.gmem_pool_set_meta(guard.owner.ptr, guard.buffer.handle, &meta))


cdef Tensor tensor_of(BufferGuard guard, const Layout* seen):
    return tensor_over(
        guard.buffer.data, seen.code, seen.ndim, seen.shape, seen.strides,
        not guard.buffer.writable, PyMemoryView_FromObject(guard))


cdef BufferGuard copied(BufferGuard guard, int device, object timeout):
    cdef libgmemx.gmem_buffer_meta meta
    cdef BufferGuard made
    read_meta(guard, &meta)
    guard.pin()
    try:
        made = taken(guard.owner, guard.buffer.size, device, timeout)
        with nogil:
            if device == CPU and guard.buffer.device == CPU:
                memcpy(made.buffer.data, guard.buffer.data, guard.buffer.size)
            else:
                check_pool(libgmemx.gmem_cuda_copy(
                    made.buffer.data, device, guard.buffer.data, guard.buffer.device,
                    guard.buffer.size))
        check_pool(libgmemx.gmem_pool_set_meta(guard.owner.ptr, made.buffer.handle, &meta))
    finally:
        guard.unpin()
    return made


# ---- for pickles, and forks ---------------------------------------------------------------------

def _all_open():
    """The open pools of this process."""
    pools = [reference() for reference in list(OPEN.values())]
    return [pool for pool in pools if pool is not None]


def _opened(bytes pool_id, bint writable):
    """A pool of that id which is open here, for writing if that is wanted and there is one."""
    cdef BufferPool pool
    found = None
    for pool in _all_open():
        if pool.ptr is not NULL and memcmp(pool.uuid, <const char*> pool_id, 16) == 0:
            if not (writable and pool.reads_only):
                return pool
            found = pool
    return found


def _send(BufferPool pool not None, uint64_t handle):
    """A ticket for a buffer that this process holds."""
    cdef uint64_t ticket = 0
    pool.live()
    check_pool(libgmemx.gmem_pool_send(pool.ptr, handle, &ticket))
    _pool_pickle.answer_at_exit(pool)
    return ticket


def _claim(BufferPool pool not None, uint64_t handle, uint64_t ticket, bint writable):
    """A guard of a buffer that was sent."""
    cdef BufferGuard guard = BufferGuard.__new__(BufferGuard)
    pool.live()
    check_pool(libgmemx.gmem_pool_claim(pool.ptr, handle, ticket, writable, &guard.buffer))
    adopt(guard, pool)
    return guard


def _forked():
    """The calls that other threads of the parent were in do not run in the child."""
    cdef BufferPool pool
    for pool in _all_open():
        pool.uses = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def __getattr__(name):
    """The types of figures, which few ask for: their module takes long to import."""
    if name in ("BufferInfo", "PoolInfo", "PoolStats", "ProcessInfo"):
        from gmemx import _pool_data

        return getattr(_pool_data, name)
    raise AttributeError(f"module 'gmemx.pool' has no attribute {name!r}")
