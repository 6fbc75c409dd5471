"""Long operations: how they are told to stop, and tell how far they are."""
from libc.stdint cimport int32_t, uint8_t

from gmemx cimport libgmemx


# Stops the operations that look at it, from any thread; once told it stays told.
cdef class Canceller:
    cdef uint8_t told


# One long operation, to be kept until it has ended. The object's `running` is the set of
# Cancellers of whoever it runs for.
cdef class Operation:
    cdef libgmemx.gmem_scan_control control
    cdef Canceller canceller
    cdef object progress, error
    cdef set running

    # Raises what its progress callback raised, or what a status stands for.
    cdef int end(self, int32_t status) except -1


# CancelledError where it is cancelled already.
cdef Operation begin(set running, object threads, object progress)
