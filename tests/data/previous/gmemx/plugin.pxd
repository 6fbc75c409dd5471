"""Plugins for other extensions.

``from gmemx.plugin cimport NativePlugin``, then call the ``c_`` methods from nogil code: no
Python, no linking. Hold a reference to the plugin meanwhile: what is shut down or reloaded in
between is an exception, or another instance, and never a dead pointer. The order of the methods
is part of the binary interface: add new ones at the end only.
"""
cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gmemx cimport libgmemx
from gmemx._plugin_async cimport Queue
from gmemx._plugin_instance cimport Instance
from gmemx._plugin_response cimport PluginResponse


@cython.final
cdef class NativePlugin:
    # The handle of the instance that is called, for the functions of gmemx.h. It is good as
    # long as this object, though another may take its place.
    cdef libgmemx.gmem_plugin* ptr
    cdef Instance instance
    # Instances whose places others have taken.
    cdef list former
    cdef object configuration
    cdef size_t concurrency
    # The level that was set since the start, -1 for none.
    cdef int level
    cdef bint is_closed
    # Whether the instance is somebody else's, who ends it.
    cdef bint borrowed
    # Held while it is shut down or reloaded.
    cdef object changing
    # The queues of event loops, by the loop's address, and the one that was used last.
    cdef dict queues
    cdef Queue recent
    cdef object __weakref__

    # Whoever gets a response owes one c_free of it, which may come at any time later. The
    # exception is a PluginException, and then there is nothing to free.
    cdef int c_call(
        self, const char* tag, const void* json, size_t n, libgmemx.gmem_plugin_response* out
    ) except -1 nogil
    cdef int c_call_raw(
        self, uint32_t id, const void* request, size_t n, libgmemx.gmem_plugin_response* out
    ) except -1 nogil
    # How long the response is; IndexError where that is more than `capacity`.
    cdef Py_ssize_t c_call_into(
        self, uint32_t id, const void* request, size_t n, void* out, size_t capacity
    ) except -1 nogil
    # All are made; each response has an error_code of its own, and is freed by itself.
    cdef int c_call_batch(
        self, uint32_t id, const libgmemx.gmem_plugin_request* requests, size_t n,
        libgmemx.gmem_plugin_response* out
    ) except -1 nogil
    cdef void c_free(self, libgmemx.gmem_plugin_response* response) noexcept nogil
    # 2 where it answers calls.
    cdef int c_state(self) noexcept nogil
    # The queue of an event loop; not to be called from outside.
    cdef Queue queue_of(self, object loop)
