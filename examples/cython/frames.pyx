from gmemx.libgmemx cimport gmem_buffer
from gmemx.pool cimport BufferGuard, BufferPool, guard_over


def ramp(BufferPool pool not None, size_t size):
    """A buffer with 0, 1, 2, ... in it, taken and filled without Python and the GIL."""
    cdef gmem_buffer buffer
    cdef unsigned char* data
    cdef size_t i
    pool.pin()  # until unpin it cannot be closed
    try:
        with nogil:
            pool.c_acquire(size, -1.0, &buffer)
            data = <unsigned char*> buffer.data
            for i in range(size):
                data[i] = i & 0xFF
    finally:
        pool.unpin()
    return guard_over(pool, &buffer)


def total(BufferGuard guard not None):
    """The sum of a buffer's bytes."""
    cdef size_t i, result = 0
    cdef const unsigned char* data
    guard.pin()
    try:
        with nogil:
            data = <const unsigned char*> guard.c_data()
            for i in range(guard.c_size()):
                result += data[i]
    finally:
        guard.unpin()
    return result
