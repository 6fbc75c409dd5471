from libc.stdint cimport int32_t, uint64_t

from gmemx.scan cimport Source


def lowest(Source source not None, uint64_t address, uint64_t reads):
    """The least int32 that is seen at an address, and how many reads succeeded, without the GIL."""
    cdef int32_t value, least = 0x7FFFFFFF
    cdef uint64_t good = 0
    source.pin()  # until unpin it is not closed
    try:
        with nogil:
            for _ in range(reads):
                if source.c_read_i32(address, &value) == 0:
                    good += 1
                    least = min(least, value)
    finally:
        source.unpin()
    return least, good
