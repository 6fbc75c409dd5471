from libc.stdint cimport int32_t, uint64_t

from gmemx cimport libgmemx


# One loaded copy of a plugin's library, started; freed with the last who refers to it.
cdef class Instance:
    cdef libgmemx.gmem_plugin* ptr
    # What is called with its messages; None for Python's logging.
    cdef object callback
    cdef bint logs
    cdef readonly str path
    # Held by whoever delivers its messages, and how many dropped ones were told of.
    cdef object delivery
    cdef uint64_t told
    cdef object __weakref__

    # Refuses new calls, waits for those in flight and ends the plugin; what the plugin said
    # of that. Negative seconds are for ever.
    cdef bint stop(self, double seconds) except -1


# What the core says, with code 1, where an instance is shut down.
cdef const char* REFUSED
# Loads and starts a plugin; messages are kept where `callback` is not False.
cdef Instance start(object path, bytes config, object callback)
# Raises the PluginException of a status, taking the GIL to do so.
cdef int fail(int32_t status) except -1 nogil


# 0 for GMEM_STATUS_OK. Apart from `fail`, which takes the GIL as soon as it is called.
cdef inline int check_plugin(int32_t status) except -1 nogil:
    if status == libgmemx.GMEM_STATUS_OK:
        return 0
    return fail(status)


# Seconds from a timeout as callers give it, negative for ever.
cdef double seconds_of(object timeout) except? -2.0
