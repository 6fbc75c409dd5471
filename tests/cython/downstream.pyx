# cython: language_level=3, boundscheck=False
"""Another project's extension: loops over a context without Python, linked to nothing of gmemx."""

from libc.stdint cimport uint64_t

from gmemx.generative cimport GMemContext
from gmemx.status cimport check


def total(GMemContext context not None, uint64_t start, size_t n):
    """The sum of n cells, one at a time."""
    cdef double sum = 0.0
    cdef size_t i
    with nogil:
        for i in range(n):
            sum += context.c_fetch(start + i)
    return sum


def double_cells(GMemContext context not None, uint64_t start, size_t n):
    """Writes back twice what each cell holds."""
    cdef size_t i
    with nogil:
        for i in range(n):
            context.c_write(start + i, 2.0 * context.c_fetch(start + i))


def read(GMemContext context not None, uint64_t start, double[::1] out, size_t threads):
    """Consecutive cells, wrapping."""
    with nogil:
        context.c_read(start, &out[0], <size_t> out.shape[0], threads)


def read_many(GMemContext context not None, const uint64_t[::1] addresses, double[::1] out):
    """Cells anywhere."""
    with nogil:
        context.c_read_many(&addresses[0], &out[0], <size_t> addresses.shape[0], 1)


def write_many(
    GMemContext context not None, const uint64_t[::1] addresses, const double[::1] values
):
    """Writes anywhere."""
    with nogil:
        context.c_write_many(&addresses[0], &values[0], <size_t> addresses.shape[0], 2)


def read_to_null(GMemContext context not None):
    """A failure inside a nogil block."""
    with nogil:
        context.c_read(0, NULL, 1, 1)


def write_many_from_null(GMemContext context not None):
    """The same, writing."""
    cdef uint64_t address = 0
    with nogil:
        context.c_write_many(&address, NULL, 1, 1)


def checked(int status):
    """Any status as its exception."""
    with nogil:
        check(status)


def has_handle(GMemContext context not None):
    """The handle is there for the functions of gmemx.h."""
    return context.ptr is not NULL
