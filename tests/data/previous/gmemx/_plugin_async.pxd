from libc.stdint cimport uint32_t, uint64_t

from gmemx cimport libgmemx


# The calls that one event loop has made of one instance. Used by that loop's thread alone, but
# for `retire`.
cdef class Queue:
    cdef libgmemx.gmem_plugin_queue* ptr
    cdef readonly object loop
    # The plugin it is of, weakly; and whether that has gone, or has another instance by now.
    cdef object owner
    cdef bint replaced
    cdef bint retired
    # The futures that the core knows, by token, and those that it had no room for.
    cdef dict running
    cdef object waiting
    cdef uint64_t last
    cdef object __weakref__

    cdef object submit(self, str tag, uint32_t id, object request, object timeout)
    cdef int enqueue(self, object future) except -1
    cdef bint begin(self, object future, Call call) except -1
    cdef int refill(self) except -1
    cdef int finish(self, libgmemx.gmem_plugin_completion* done) except -1
    cdef int fail(self, object future, Call call, object error) except -1
    # It is not needed any more: leaves its loop as soon as nothing is under way. Any thread.
    cdef int retire(self) except -1
    # Frees what the core has; the loop is closed, or does not watch it any more.
    cdef void free(self) noexcept


# One call, until there is an answer to it.
cdef class Call:
    cdef Queue queue
    # None for a call by number.
    cdef str tag
    cdef uint32_t id
    cdef object request
    cdef object timer
    # Its name in the core; 0 while it waits.
    cdef uint64_t token


cdef Queue queue_for(libgmemx.gmem_plugin* plugin, object owner, object loop, size_t concurrency)
