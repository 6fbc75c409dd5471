"""Pools seen from outside. Knows nothing of BufferPool."""

cimport cython

from gmemx cimport libgmemx


# A pool at one moment.
@cython.final
cdef class Survey:
    cdef libgmemx.gmem_survey* ptr

    cdef libgmemx.gmem_pool_stats figures(self) except *
    cdef object stats(self)
    cdef list buffers(self)
    cdef list processes(self)


# Of an open pool, which the caller keeps open meanwhile.
cdef Survey survey_of(const libgmemx.gmem_pool* pool)
