"""One loaded copy of a plugin's library: starting it, ending it, and what can fail."""

from cpython.exc cimport PyErr_CheckSignals
from cpython.float cimport PyFloat_AsDouble
from libc.stdint cimport int32_t, uint64_t
from libcpp cimport bool

from gmemx cimport libgmemx

import os
from threading import Lock
from time import monotonic

from gmemx._failures import plugin_error, plugin_failure
from gmemx.errors import PluginArgumentError, PluginLibraryError, PluginTimeoutError

cdef const char* REFUSED = "the plugin is shut down"

# Seconds between two looks for Ctrl-C while calls in flight are waited for.
cdef double PATIENCE = 0.1


cdef int fail(int32_t status) except -1 nogil:
    with gil:
        text = libgmemx.gmem_last_error().decode("utf-8", "replace")
        if status == libgmemx.GMEM_STATUS_PLUGIN:
            raise plugin_error(libgmemx.gmem_last_plugin_code(), text)
        raise plugin_failure(status, text, libgmemx.gmem_last_errno())


cdef double seconds_of(object timeout) except? -2.0:
    cdef double seconds
    if timeout is True or timeout is False:
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    try:
        seconds = PyFloat_AsDouble(timeout)
    except TypeError:
        raise TypeError(
            f"timeout must be a number of seconds, not {type(timeout).__name__}") from None
    if not seconds >= 0.0:
        raise PluginArgumentError(f"timeout must be at least 0 seconds, not {timeout}")
    return -1.0 if seconds > 1e9 else seconds


cdef Instance start(object path, bytes config, object callback):
    cdef bytes encoded = os.fsencode(path)
    cdef const char* name = encoded
    cdef const unsigned char* data = config
    cdef size_t size = len(config)
    cdef Instance self = Instance.__new__(Instance)
    if b"\0" in encoded:
        raise PluginArgumentError(f"a path has no NUL in it, as {path!r} has")
    self.path = os.fsdecode(path)
    self.logs = callback is not False
    self.callback = callback if self.logs else None
    self.delivery = Lock()
    cdef bool logs = self.logs
    cdef int32_t status
    with nogil:
        status = libgmemx.gmem_plugin_load(name, data, size, logs, &self.ptr)
    if status == libgmemx.GMEM_STATUS_INVALID_ARGUMENT:
        raise PluginLibraryError(libgmemx.gmem_last_error().decode("utf-8", "replace"))
    check_plugin(status)
    return self


cdef class Instance:
    def __dealloc__(self):
        # It may be ended here, which takes as long as the plugin takes.
        if self.ptr is not NULL:
            with nogil:
                libgmemx.gmem_plugin_free(self.ptr)

    cdef bint stop(self, double seconds) except -1:
        cdef double end = monotonic() + seconds, left = seconds, part
        cdef int32_t status
        cdef uint64_t wait
        cdef bool clean = False
        while True:
            part = PATIENCE if seconds < 0.0 or left > PATIENCE else left
            wait = <uint64_t> (part * 1e9)
            with nogil:
                status = libgmemx.gmem_plugin_shutdown(self.ptr, wait, &clean)
            if status != libgmemx.GMEM_STATUS_TIMEOUT:
                check_plugin(status)
                return clean
            PyErr_CheckSignals()
            left = max(0.0, end - monotonic())
            if left == 0.0 and seconds >= 0.0:
                calls = libgmemx.gmem_plugin_in_flight(self.ptr)
                raise PluginTimeoutError(
                    f"{calls} {'call' if calls == 1 else 'calls'} of the plugin did not end "
                    f"within {seconds:g} seconds: it takes no new ones, and shutdown() can be "
                    "tried again")
