from libc.stdint cimport uint64_t

from gmemx.generative cimport GMemContext


def walk(GMemContext context, uint64_t start, uint64_t steps):
    """Where a walk ends in which each cell tells how far the next one is."""
    cdef uint64_t address = start
    with nogil:
        for _ in range(steps):
            address += 1 + <uint64_t> (1000 * context.c_fetch(address))
    return address
