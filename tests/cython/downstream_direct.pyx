# cython: language_level=3
"""Another project's extension that calls the functions of gmemx.h, and so links to the library."""

from libc.stdint cimport uint64_t

from gmemx cimport libgmemx
from gmemx.generative cimport GMemContext
from gmemx.status cimport check


def fetch(GMemContext context not None, uint64_t address):
    """A context made by Python, read by C."""
    return libgmemx.gmem_fetch(context.ptr, address)


def first_of(uint64_t seed, bytes generator):
    """A context made and freed here."""
    cdef libgmemx.gmem_context* context = NULL
    cdef const char* name = generator
    cdef double value
    with nogil:
        check(libgmemx.gmem_context_new_with_generator(seed, name, &context))
        value = libgmemx.gmem_fetch(context, 0)
        libgmemx.gmem_context_free(context)
    return value


def fail(int status):
    """A failure on purpose."""
    with nogil:
        check(libgmemx.gmem_debug_fail(status))


def cpu_path():
    """The state of the one library that the package uses too."""
    return libgmemx.gmem_cpu_path().decode()
