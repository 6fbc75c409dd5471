"""Long operations: how they are told to stop, and tell how far they are."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, uint64_t

from gmemx._buffers cimport thread_count
from gmemx.status cimport check

from contextvars import ContextVar

from gmemx.errors import CancelledError


cdef class Canceller:
    """Stops operations from another thread."""

    def cancel(self):
        """Tell them to stop."""
        self.told = 1


# Whoever runs an operation elsewhere sets here what cancels it.
cancelled_by = ContextVar("cancelled_by", default=None)


cdef int32_t on_progress(void* user, uint64_t done, uint64_t total) noexcept with gil:
    """Tells the caller's callback, and looks for Ctrl-C."""
    cdef Operation operation = <Operation> user
    if operation.canceller.told:
        return 1
    try:
        PyErr_CheckSignals()
        if operation.progress is not None:
            operation.progress(done, total)
    except BaseException as error:
        operation.error = error
        return 1
    return 0


cdef class Operation:
    cdef int end(self, int32_t status) except -1:
        self.running.discard(self.canceller)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return check(status)


cdef Operation begin(set running, object threads, object progress):
    cdef Operation operation = Operation()
    cdef Canceller canceller = cancelled_by.get()
    operation.canceller = Canceller() if canceller is None else canceller
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable, not {type(progress).__name__}")
    operation.control.threads = thread_count(threads)
    operation.progress = progress
    operation.control.progress = on_progress
    operation.control.user = <void*> operation
    operation.control.cancel = &operation.canceller.told
    operation.running = running
    if operation.canceller.told:
        raise CancelledError("the operation was cancelled before it began")
    running.add(operation.canceller)
    return operation
