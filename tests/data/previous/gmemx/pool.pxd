"""Shared pools for other extensions.

``from gmemx.pool cimport BufferPool, BufferGuard``, then call the ``c_`` methods from nogil
code: no Python, no linking. `pin` a pool while nogil code uses it, and a guard while its
pointer is in use: what is pinned is not closed. The order of the methods is part of the
binary interface: add new ones at the end only.
"""
cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gmemx cimport libgmemx


@cython.final
cdef class BufferPool:
    # The handle itself, for the functions of gmemx.h; NULL once closed.
    cdef libgmemx.gmem_pool* ptr
    # Guards that hold a buffer, and calls that run without the GIL; it is not closed before
    # they end.
    cdef Py_ssize_t guards
    cdef Py_ssize_t uses
    cdef size_t slots
    cdef uint64_t budget
    cdef uint8_t[16] uuid
    cdef bint reads_only
    # None without a name.
    cdef str title
    cdef object __weakref__

    # Up to `timeout` seconds (negative: for ever); whoever gets a buffer owes one c_release
    # of its handle, before the pool is closed.
    cdef int c_acquire(
        self, size_t size, double timeout, libgmemx.gmem_buffer* out) except -1 nogil
    cdef int c_get(
        self, uint64_t handle, bint writable, libgmemx.gmem_buffer* out) except -1 nogil
    cdef int c_get_index(
        self, uint32_t index, bint writable, libgmemx.gmem_buffer* out) except -1 nogil
    cdef int c_release(self, uint64_t handle) except -1 nogil
    # The sender's hold stays; a claim with the ticket ends its answer for the buffer.
    cdef int c_send(self, uint64_t handle, uint64_t* ticket) except -1 nogil
    cdef int c_claim(
        self, uint64_t handle, uint64_t ticket, bint writable, libgmemx.gmem_buffer* out
    ) except -1 nogil
    # Raises for a closed pool; needs the GIL, as unpin does.
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
    cdef int live(self) except -1


# No garbage collection: a guard refers to its pool, which refers to nobody.
@cython.final
@cython.no_gc
cdef class BufferGuard:
    # What it holds, or held.
    cdef libgmemx.gmem_buffer buffer
    # None where it holds nothing.
    cdef BufferPool owner
    # Whoever uses the memory now: memoryviews, arrays, tensors, running copies.
    cdef Py_ssize_t exports
    cdef int state
    cdef object __weakref__

    # Good while the guard is pinned.
    cdef char* c_data(self) noexcept nogil
    cdef size_t c_size(self) noexcept nogil
    cdef uint64_t c_handle(self) noexcept nogil
    cdef bint c_writable(self) noexcept nogil
    # A CUDA device, or -1.
    cdef int c_device(self) noexcept nogil
    # Raises for a guard that was released; needs the GIL, as unpin does.
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
    cdef int live(self) except -1


# A guard of the hold that a c_ method gave; from then on the guard owes its release.
cdef BufferGuard guard_over(BufferPool pool, const libgmemx.gmem_buffer* buffer)
