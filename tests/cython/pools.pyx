# cython: language_level=3, boundscheck=False, wraparound=False
"""Another project's extension: passes buffers around without Python, linked to nothing of gmemx."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gmemx.libgmemx cimport gmem_buffer
from gmemx.pool cimport BufferGuard, BufferPool, guard_over


def churn(BufferPool pool not None, size_t size, size_t rounds, uint8_t mark):
    """Acquires, fills, checks and releases buffers; how often one was not its own."""
    cdef gmem_buffer buffer
    cdef uint8_t* data
    cdef size_t round, i, wrong = 0
    pool.pin()
    try:
        with nogil:
            for round in range(rounds):
                pool.c_acquire(size, 60.0, &buffer)
                data = <uint8_t*> buffer.data
                for i in range(size):
                    data[i] = mark
                for i in range(size):
                    wrong += data[i] != mark
                pool.c_release(buffer.handle)
    finally:
        pool.unpin()
    return wrong


def acquired(BufferPool pool not None, size_t size, double timeout):
    """A guard of a buffer that was acquired without the GIL."""
    cdef gmem_buffer buffer
    pool.pin()
    try:
        with nogil:
            pool.c_acquire(size, timeout, &buffer)
        return guard_over(pool, &buffer)
    finally:
        pool.unpin()


def looked_up(BufferPool pool not None, uint32_t index, bint writable):
    """handle, size, index, device and writable of the buffer in a slot, by both ways to get it."""
    cdef gmem_buffer first, second
    with nogil:
        pool.c_get_index(index, writable, &first)
        pool.c_get(first.handle, writable, &second)
        pool.c_release(first.handle)
        pool.c_release(second.handle)
    assert first.data == second.data
    return (
        second.handle, second.size, second.index, second.device, bool(second.writable))


def get(BufferPool pool not None, uint64_t handle):
    """Raises for a stale handle."""
    cdef gmem_buffer buffer
    with nogil:
        pool.c_get(handle, False, &buffer)
        pool.c_release(buffer.handle)


def release(BufferPool pool not None, uint64_t handle):
    """Raises for what this process does not hold."""
    with nogil:
        pool.c_release(handle)


def passed_on(BufferPool sender not None, BufferPool receiver not None, uint8_t mark):
    """A guard of a buffer that went from one opened pool to another by a ticket."""
    cdef gmem_buffer buffer, arrived
    cdef uint64_t ticket
    cdef size_t i
    with nogil:
        sender.c_acquire(100, 0.0, &buffer)
        for i in range(buffer.size):
            (<uint8_t*> buffer.data)[i] = mark
        sender.c_send(buffer.handle, &ticket)
        sender.c_release(buffer.handle)
        receiver.c_claim(buffer.handle, ticket, True, &arrived)
    return guard_over(receiver, &arrived)


def total(BufferGuard guard not None):
    """The sum of a buffer's bytes."""
    cdef uint64_t sum = 0
    cdef size_t i
    guard.pin()
    try:
        with nogil:
            for i in range(guard.c_size()):
                sum += <uint8_t> guard.c_data()[i]
    finally:
        guard.unpin()
    return sum


def description(BufferGuard guard not None):
    """What the methods for nogil code say."""
    cdef size_t size, data
    cdef uint64_t handle
    cdef bint writable
    cdef int device
    with nogil:
        size, data = guard.c_size(), <size_t> guard.c_data()
        handle, writable, device = guard.c_handle(), guard.c_writable(), guard.c_device()
    return size, data, handle, writable, device


def closes_while_pinned(object closable):
    """What close() says of a pinned guard or pool."""
    cdef BufferPool pool
    cdef BufferGuard guard
    if isinstance(closable, BufferPool):
        pool = closable
        pool.pin()
    else:
        guard = closable
        guard.pin()
    try:
        closable.close()
    except BufferError as error:
        return str(error)
    finally:
        if isinstance(closable, BufferPool):
            pool.unpin()
        else:
            guard.unpin()


def ends_while_pinned(BufferGuard guard not None):
    """A with block that ends while nogil code has the pointer; the first byte afterwards."""
    cdef uint8_t first
    guard.pin()
    with guard:
        pass
    with nogil:
        first = (<uint8_t*> guard.c_data())[0]
    guard.unpin()
    return first


def has_handle(BufferPool pool not None):
    """The handle is there for the functions of gmemx.h."""
    return pool.ptr is not NULL


def live(object it):
    """Raises for what is closed."""
    if isinstance(it, BufferPool):
        (<BufferPool> it).live()
    else:
        (<BufferGuard> it).live()
