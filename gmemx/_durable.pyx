"""Contexts that come from a file: opened, or what can still be read of a damaged one."""

from libc.stdint cimport uint64_t

from gmemx cimport libgmemx
from gmemx.generative cimport GMemContext
from gmemx.status cimport check

import os

from gmemx._autoflush import Autoflush, flush_interval
from gmemx.errors import InvalidArgumentError
from gmemx.exchange import Recovery


cdef class Source:
    """A file, and the seed and generator it should have, as the library takes them."""

    cdef bytes path
    # Has what is given; it gets the file's cells.
    cdef GMemContext context
    cdef uint64_t seed
    cdef bint any_seed, any_generator

    def __cinit__(self, path, seed, generator):
        self.path = os.fsencode(path)
        if b"\0" in self.path:
            raise InvalidArgumentError(f"path {path!r} has a NUL in it")
        self.any_seed, self.any_generator = seed is None, generator is None
        self.context = GMemContext.__new__(
            GMemContext, 0 if seed is None else seed, "vrns16" if generator is None else generator
        )
        self.seed = self.context.seed

    cdef const uint64_t* seed_pointer(self) noexcept:
        return NULL if self.any_seed else &self.seed

    cdef const char* generator_pointer(self) noexcept:
        if self.any_generator:
            return NULL
        return libgmemx.gmem_context_generator(self.context.ptr)

    cdef GMemContext filled(self, libgmemx.gmem_context* cells):
        # The generator's name, which was the old one's, lives for ever.
        libgmemx.gmem_context_free(self.context.ptr)
        self.context.ptr = cells
        return self.context


def opened(path, seed, generator, read_only, create, autoflush):
    """See `GMemContext.open`."""
    cdef Source source = Source(path, seed, generator)
    cdef libgmemx.gmem_context* cells = NULL
    cdef const char* name = source.path
    cdef const uint64_t* seed_pointer = source.seed_pointer()
    cdef const char* generator_pointer = source.generator_pointer()
    cdef int mode = libgmemx.GMEM_OPEN_MODE_CREATE if create else libgmemx.GMEM_OPEN_MODE_WRITE
    if read_only:
        mode = libgmemx.GMEM_OPEN_MODE_READ
        if autoflush is not None:
            raise InvalidArgumentError("autoflush is of no use to a context that is only read")
    seconds = None if autoflush is None else flush_interval(autoflush)
    with nogil:
        check(libgmemx.gmem_context_open(name, seed_pointer, generator_pointer, mode, &cells))
    cdef GMemContext context = source.filled(cells)
    context.process = os.getpid()
    if seconds is not None:
        context.flusher = Autoflush(context, seconds)
    return context


def recovered(path, seed, generator):
    """See `GMemContext.recover`."""
    cdef Source source = Source(path, seed, generator)
    cdef libgmemx.gmem_context* cells = NULL
    cdef libgmemx.gmem_recovery told
    cdef const char* name = source.path
    cdef const uint64_t* seed_pointer = source.seed_pointer()
    cdef const char* generator_pointer = source.generator_pointer()
    with nogil:
        check(libgmemx.gmem_context_recover(name, seed_pointer, generator_pointer, &told, &cells))
    expected = None if told.expected == <uint64_t> -1 else told.expected
    return source.filled(cells), Recovery(told.cells, expected, told.dropped_pages, told.faults)
