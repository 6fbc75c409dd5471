# cython: language_level=3, boundscheck=False, wraparound=False
"""Another project's extension: calls plugins without Python, linked to nothing of gmemx."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from gmemx.libgmemx cimport gmem_plugin_request, gmem_plugin_response
from gmemx.plugin cimport NativePlugin
from gmemx._plugin_response cimport PluginResponse

cdef enum:
    MOST = 256


def echoes(NativePlugin plugin not None, uint32_t id, uint64_t first, size_t n):
    """Sends numbers and gets them back; how often one was not its own."""
    cdef gmem_plugin_response response
    cdef uint64_t number
    cdef size_t i, wrong = 0
    with nogil:
        for i in range(n):
            number = first + i
            plugin.c_call_raw(id, &number, sizeof(number), &response)
            wrong += response.len != sizeof(number) or memcmp(
                response.data, &number, sizeof(number)) != 0
            plugin.c_free(&response)
    return wrong


def echoes_into(NativePlugin plugin not None, uint32_t id, size_t size, size_t capacity):
    """How long the answer to zeros is; raises where it does not fit."""
    cdef uint8_t request[MOST]
    cdef uint8_t answer[MOST]
    cdef Py_ssize_t found
    cdef size_t i
    assert size <= MOST and capacity <= MOST
    for i in range(size):
        request[i] = <uint8_t> i
    with nogil:
        found = plugin.c_call_into(id, request, size, answer, capacity)
    assert memcmp(request, answer, found) == 0
    return found


def batch(NativePlugin plugin not None, uint32_t id, size_t n):
    """Sends n numbers at once; their sum as it came back, and how many were errors."""
    cdef gmem_plugin_request requests[MOST]
    cdef gmem_plugin_response responses[MOST]
    cdef uint64_t numbers[MOST]
    cdef uint64_t sum = 0
    cdef size_t i, errors = 0
    assert n <= MOST
    for i in range(n):
        numbers[i] = i
        requests[i] = gmem_plugin_request(data=&numbers[i], len=sizeof(uint64_t))
    with nogil:
        plugin.c_call_batch(id, requests, n, responses)
        for i in range(n):
            if responses[i].error_code:
                errors += 1
            else:
                sum += (<const uint64_t*> responses[i].data)[0]
            plugin.c_free(&responses[i])
    return sum, errors


def json(NativePlugin plugin not None, const char* tag, bytes request not None):
    """The payload of a call by tag."""
    cdef gmem_plugin_response response
    cdef const char* data = request
    cdef size_t n = len(request)
    with nogil:
        plugin.c_call(tag, data, n, &response)
    try:
        return bytes(response.data[:response.len])
    finally:
        plugin.c_free(&response)
        # Once more is nothing.
        plugin.c_free(&response)


def total(PluginResponse response not None):
    """The sum of an answer's bytes."""
    cdef uint64_t sum = 0
    cdef size_t i
    response.pin()
    try:
        with nogil:
            for i in range(response.c_size()):
                sum += response.c_data()[i]
    finally:
        response.unpin()
    return sum


def state(NativePlugin plugin not None):
    """What the plugin says of itself."""
    cdef int found
    with nogil:
        found = plugin.c_state()
    return found
