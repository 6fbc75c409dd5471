"""What can be scanned: processes, buffers, files and core dumps.

``from gmemx.scan cimport Source, Process``, then call the ``c_`` methods from nogil code: no
Python, no linking. `pin` a source while nogil code uses it: what is pinned is not freed. The
order of the methods is part of the binary interface: add new ones at the end only.
"""
cimport cython
from cpython.buffer cimport Py_buffer
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from gmemx cimport libgmemx


cdef class Source:
    # The handle itself, for the functions of gmemx.h; NULL once closed and no longer used.
    cdef libgmemx.gmem_source* ptr
    # The memory of a buffer, while `has_view`.
    cdef Py_buffer view
    cdef bint has_view
    # Calls that run, and what was made from it and lives; its memory stays until they end.
    cdef Py_ssize_t uses
    cdef bint is_closed
    cdef str title
    # What cancels the operations that run.
    cdef set running
    # Scanners and pointer maps, weakly.
    cdef object dependents
    # What freezes values, NULL before the first; and by their numbers what it freezes.
    cdef libgmemx.gmem_freezer* freezer
    cdef dict frozen
    cdef object __weakref__

    # Each gives a gmem_status, and none raises: GMEM_STATUS_OUT_OF_RANGE where not all bytes
    # are there, of which the first may be read or written then; of other failures the text is
    # in gmem_last_error() of the thread.
    cdef int c_read(self, uint64_t address, void* out, size_t n) noexcept nogil
    cdef int c_write(self, uint64_t address, const void* data, size_t n) noexcept nogil
    # Values in the byte order of this machine.
    cdef int c_read_i32(self, uint64_t address, int32_t* out) noexcept nogil
    cdef int c_read_u32(self, uint64_t address, uint32_t* out) noexcept nogil
    cdef int c_read_i64(self, uint64_t address, int64_t* out) noexcept nogil
    cdef int c_read_u64(self, uint64_t address, uint64_t* out) noexcept nogil
    cdef int c_read_f32(self, uint64_t address, float* out) noexcept nogil
    cdef int c_read_f64(self, uint64_t address, double* out) noexcept nogil
    # Raises for a closed source; needs the GIL, as unpin does.
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
    # Not to be called from outside.
    cdef void release(self) noexcept


@cython.final
cdef class Process(Source):
    cdef readonly int pid


# An integer above 0, by the name that the caller knows.
cdef object positive(object value, str name)
# The errors for memory that is not there, or may not be written.
cdef object unreadable(object start, size_t got, size_t n)
cdef object unwritable(object address, bint force)
