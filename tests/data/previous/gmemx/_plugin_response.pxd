"""What plugins answer; see ``plugin.pxd``."""
cimport cython
from libc.stdint cimport uint8_t

from gmemx cimport libgmemx


# No garbage collection: what it may refer to refers to nobody.
@cython.final
@cython.no_gc
cdef class PluginResponse:
    # Freed by the plugin's own function, which stays as long as the process does.
    cdef libgmemx.gmem_plugin_response response
    # What the memory is part of, where it is not the plugin's.
    cdef object keeper
    # Whoever uses the memory now.
    cdef Py_ssize_t exports
    cdef bint is_closed
    cdef object __weakref__

    # Good while the response is pinned; NULL where it is empty.
    cdef const uint8_t* c_data(self) noexcept nogil
    cdef size_t c_size(self) noexcept nogil
    # Raises for a closed response; needs the GIL, as unpin does.
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
