from libc.stdint cimport uint32_t, uint64_t

from gmemx.libgmemx cimport gmem_plugin_response
from gmemx.plugin cimport NativePlugin


def longest(NativePlugin plugin not None, uint32_t id, bytes request, uint64_t calls):
    """The longest of many answers to a request, without the GIL."""
    cdef gmem_plugin_response response
    cdef const char* data = request
    cdef size_t n = len(request), most = 0
    with nogil:
        for _ in range(calls):
            plugin.c_call_raw(id, data, n, &response)  # what fails is an exception
            most = max(most, response.len)
            plugin.c_free(&response)
    return most
