"""The core's scanner as an object: handles, arrays and bounds."""
cimport cython

from gmemx cimport libgmemx
from gmemx._scan_source cimport Source


# The garbage collector must not take its source away first, whose memory the scanner uses.
@cython.final
@cython.no_gc_clear
cdef class Engine:
    cdef libgmemx.gmem_scanner* ptr
    cdef readonly Source source
    # Numbers of its types.
    cdef tuple kinds
    cdef readonly bint big
    cdef readonly object alignment, history, memory, folder
    cdef set running
    # Calls that run; and whether it is freed when they have ended.
    cdef Py_ssize_t uses
    cdef bint is_closed
    cdef object __weakref__

    cdef void fill(self, libgmemx.gmem_scanner_options* options) noexcept
    # Takes a handle of the source over.
    cdef int adopt(self, libgmemx.gmem_scanner* made) except -1
    cdef int pin(self) except -1
    cdef void unpin(self) noexcept
    cdef void release(self) noexcept
    cdef int run_against(
        self, libgmemx.gmem_scan_test* test, object against, dict how
    ) except -1
    cdef int run(
        self, const libgmemx.gmem_scan_test* test, bint is_first, object regions, dict how
    ) except -1
