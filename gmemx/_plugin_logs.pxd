from gmemx._plugin_instance cimport Instance


# From now on its messages are delivered, by a thread of this module's.
cdef int listen(Instance instance) except -1
# Delivers now what waits; False where that could not be done in that many seconds (negative:
# for ever), or where this thread is delivering already.
cdef bint flush(Instance instance, double seconds) except -1
