"""Plugins: native libraries that are called at the speed of a function call.

A library is loaded from a copy of its own, told its configuration, and called by tag with
JSON or by number with bytes. No call holds the GIL.

>>> from gmemx.plugin import LogLevel, PluginConfig
>>> PluginConfig(log_level=LogLevel.DEBUG, worker_threads=2).to_dict()["log_level"]
'debug'
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS, PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.number cimport PyIndex_Check
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy, strcmp

from gmemx cimport libgmemx
from gmemx._plugin_async cimport Queue, queue_for
from gmemx._plugin_batch cimport Batch, batch_of
from gmemx._plugin_exchange cimport (
    Request, let_go, number_of, tag_of, take, take_json, text_of,
)
from gmemx._plugin_instance cimport REFUSED, Instance, check_plugin, seconds_of, start
from gmemx._plugin_logs cimport flush, listen
from gmemx._plugin_response cimport PluginResponse

import atexit
import operator
import os
import sys
import weakref
from asyncio import get_running_loop
from threading import RLock

from gmemx import _plugin_typed
from gmemx._platform import not_on_windows, only_on_linux
from gmemx._plugin_loader import NativePluginLoader, sample_library
from gmemx._plugin_types import LifecycleState, LogLevel, PluginConfig, integer_of, level_of
from gmemx.errors import (
    BundleError, BundleExistsError, FfiError, HandlerError, InitializationFailedError,
    InvalidStateError, PluginArgumentError, PluginCancelledError, PluginConfigError,
    PluginException, PluginInternalError, PluginRuntimeError, PluginTimeoutError,
    SerializationError, ShutdownFailedError, SignatureError, TooManyRequestsError,
    UnknownMessageTypeError,
)

# What is only cimported is no attribute.
globals().update(PluginResponse=PluginResponse)

cdef object TYPED_REQUEST = _plugin_typed.encoded
cdef object TYPED_RESPONSE = _plugin_typed.decoded
cdef list STATES = [LifecycleState(number) for number in range(6)]
cdef enum:
    ACTIVE = 2

# The plugins of this process, weakly, by address; and whether it is about to end.
cdef dict LOADED = {}
cdef bint ending = False

# Names that are imported when they are first asked for, and where they are.
cdef dict ELSEWHERE = {
    name: module
    for module, names in {
        "gmemx._plugin_archive": "BundleLimits",
        "gmemx._plugin_bundle": "Bundle BundleLoader",
        "gmemx._plugin_bundle_writer": "generate_keys write_bundle",
        "gmemx._plugin_check": "CheckResult check",
        "gmemx._plugin_isolated": "IsolatedPlugin",
        "gmemx._plugin_manifest": "BundleManifest",
        "gmemx._plugin_minisign": "MinisignKey MinisignVerifier",
        "gmemx._plugin_platforms": "PlatformInfo VariantInfo current_platform",
        "gmemx._plugin_provenance": "BuildInfo PluginInfo SchemaInfo",
    }.items()
    for name in names.split()
}
# What of these rests on Linux, and what on folders as Unix has them.
cdef set ON_UNIX = {"Bundle", "BundleLoader", "write_bundle"}
cdef dict ON_LINUX = {
    "CheckResult": "the checks of a plugin's library",
    "IsolatedPlugin": "plugins with a process of their own",
    "check": "the checks of a plugin's library",
}

__all__ = sorted([
    *ELSEWHERE,
    "BundleError", "BundleExistsError", "FfiError", "HandlerError", "InitializationFailedError",
    "InvalidStateError", "LifecycleState", "LogLevel", "NativePlugin", "NativePluginLoader",
    "PluginArgumentError", "PluginCancelledError", "PluginConfig", "PluginConfigError",
    "PluginException", "PluginInternalError", "PluginResponse", "PluginRuntimeError",
    "PluginTimeoutError", "SerializationError", "ShutdownFailedError", "SignatureError",
    "TooManyRequestsError", "UnknownMessageTypeError", "load", "sample_library",
])


def __getattr__(name):
    """Import bundles, isolation and checks when they are first asked for."""
    if name in ELSEWHERE:
        from importlib import import_module

        if name in ON_LINUX:
            only_on_linux(ON_LINUX[name])
        if name in ON_UNIX:
            not_on_windows("bundles of plugins")
        found = getattr(import_module(ELSEWHERE[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'gmemx.plugin' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)


# ---- loading ------------------------------------------------------------------------------

def load(path, config=None, log_callback=None, *, isolate=False, check=None, concurrency=None):
    """Load a plugin's library and start it.

    Parameters
    ----------
    path : path
        Loading runs its code: name only what you trust.
    config : PluginConfig, optional
    log_callback : callable or False, optional
        Called with (LogLevel, target, message) for all that the plugin logs, on a thread of
        gmemx; it must not call plugins. By default messages go to Python's ``logging``, to
        children of ``gmemx.plugin``. False: nothing is logged.
    isolate : bool
        Run the plugin in a process of its own, whose crash is an exception here. The result is
        an `IsolatedPlugin`.
    check : callable, optional
        Called with the plugin; where it raises, the plugin is shut down.
    concurrency : int, optional
        How many awaited calls of one event loop run at once; by default 32, or as many as
        there are cores. Others wait their turn.

    Returns
    -------
    NativePlugin

    Raises
    ------
    FileNotFoundError, PermissionError, OSError
        If the library cannot be read; a PluginException besides.
    FfiError
        If it is no plugin; a ValueError.
    InitializationFailedError, PluginConfigError
        If it did not start.

    Examples
    --------
    >>> from gmemx import plugin
    >>> with plugin.load(plugin.sample_library()) as sample:
    ...     sample.call("echo", '{"message": "Hello"}')
    '{"message": "Hello"}'
    """
    config = _checked(config, check)
    callback_of(log_callback)
    concurrency = concurrency_of(concurrency)
    if isolate:
        IsolatedPlugin = __getattr__("IsolatedPlugin")
        plugin = IsolatedPlugin(path, config, log_callback, concurrency=concurrency)
    else:
        plugin = plugin_over(
            started(path, config, log_callback), config, concurrency, borrowed=False)
    if check is not None:
        try:
            check(plugin)
        except BaseException:
            abandoned(plugin)
            raise
    return plugin


cdef object config_of(object config):
    if config is None:
        return PluginConfig()
    if not isinstance(config, PluginConfig):
        raise TypeError(f"config is a PluginConfig, not {type(config).__name__}")
    return config


cdef object callback_of(object callback):
    if callback is not None and callback is not False and not callable(callback):
        raise TypeError(
            f"log_callback is a function, None or False, not {type(callback).__name__}")
    return callback


cdef object concurrency_of(object concurrency):
    if concurrency is None:
        return max(32, os.cpu_count() or 1)
    return integer_of("concurrency", concurrency, 1, 4096)


cdef Instance started(object path, object config, object callback):
    cdef Instance instance = start(path, config.to_json_bytes(), callback)
    if instance.logs:
        listen(instance)
    # Said once more: a library that served another plugin may remember that one's level.
    libgmemx.gmem_plugin_set_log_level(
        instance.ptr, LogLevel.from_string(config.to_dict()["log_level"]))
    return instance


cdef int ended(Instance instance, double seconds) except -1:
    """Shuts an instance down that failed; whatever goes wrong then matters less."""
    try:
        instance.stop(seconds)
    except Exception:
        pass
    flush(instance, 1.0)
    return 0


cdef int abandoned(object plugin) except -1:
    try:
        plugin.shutdown()
    except PluginException:
        pass
    return 0


cdef NativePlugin plugin_over(
    Instance instance, object config, size_t concurrency, bint borrowed
):
    cdef NativePlugin self = NativePlugin.__new__(NativePlugin)
    self.ptr, self.instance = instance.ptr, instance
    self.configuration, self.concurrency = config, concurrency
    self.former, self.queues, self.changing = [], {}, RLock()
    self.level, self.borrowed = -1, borrowed
    LOADED[<size_t> <void*> self] = weakref.ref(self)
    return self


cdef class NativePlugin:
    """A plugin that was loaded and started; a context manager, which shuts it down.

    `load` and `NativePluginLoader.load` give it. Every method may be called from several
    threads, and so may the plugin at once.

    Examples
    --------
    >>> from gmemx import plugin
    >>> with plugin.load(plugin.sample_library()) as sample:
    ...     sample.state.name, sample.has_binary_transport, sample.call("echo", "[1]")
    ('ACTIVE', True, '[1]')
    >>> sample.state.name
    'STOPPED'
    """

    def __init__(self):
        raise TypeError("a plugin is made by load() or NativePluginLoader.load()")

    def __dealloc__(self):
        LOADED.pop(<size_t> <void*> self, None)

    def __del__(self):
        if ending or self.instance is None:
            return
        for queue in list(self.queues.values()):
            (<Queue> queue).retire()
        if not self.is_closed and not self.borrowed:
            # Whoever is still inside ends it as the last to leave.
            ended(self.instance, 0.0)

    # ---- for other extensions ---------------------------------------------

    cdef int c_call(
        self, const char* tag, const void* json, size_t n, libgmemx.gmem_plugin_response* out
    ) except -1 nogil:
        cdef libgmemx.gmem_plugin* asked = self.ptr
        cdef int32_t status = libgmemx.gmem_plugin_call(asked, tag, <const uint8_t*> json, n, out)
        while replaced(self, asked, status):
            asked = self.ptr
            status = libgmemx.gmem_plugin_call(asked, tag, <const uint8_t*> json, n, out)
        return check_plugin(status)

    cdef int c_call_raw(
        self, uint32_t id, const void* request, size_t n, libgmemx.gmem_plugin_response* out
    ) except -1 nogil:
        cdef libgmemx.gmem_plugin* asked = self.ptr
        cdef int32_t status = libgmemx.gmem_plugin_call_raw(asked, id, request, n, out)
        while replaced(self, asked, status):
            asked = self.ptr
            status = libgmemx.gmem_plugin_call_raw(asked, id, request, n, out)
        return check_plugin(status)

    cdef Py_ssize_t c_call_into(
        self, uint32_t id, const void* request, size_t n, void* out, size_t capacity
    ) except -1 nogil:
        cdef size_t size = 0
        cdef libgmemx.gmem_plugin* asked = self.ptr
        cdef int32_t status = libgmemx.gmem_plugin_call_into(
            asked, id, request, n, out, capacity, &size)
        while replaced(self, asked, status):
            asked = self.ptr
            status = libgmemx.gmem_plugin_call_into(asked, id, request, n, out, capacity, &size)
        check_plugin(status)
        return size

    cdef int c_call_batch(
        self, uint32_t id, const libgmemx.gmem_plugin_request* requests, size_t n,
        libgmemx.gmem_plugin_response* out
    ) except -1 nogil:
        cdef libgmemx.gmem_plugin* asked = self.ptr
        cdef int32_t status = libgmemx.gmem_plugin_call_batch(asked, id, requests, n, out)
        while replaced(self, asked, status):
            asked = self.ptr
            status = libgmemx.gmem_plugin_call_batch(asked, id, requests, n, out)
        return check_plugin(status)

    cdef void c_free(self, libgmemx.gmem_plugin_response* response) noexcept nogil:
        libgmemx.gmem_plugin_response_free(response)

    cdef int c_state(self) noexcept nogil:
        return libgmemx.gmem_plugin_state(self.ptr)

    # ---- calls by tag -------------------------------------------------------

    @cython.binding(False)  # a plain method descriptor: some 10 ns less a call
    def call(self, tag, json):
        """Call by tag.

        Parameters
        ----------
        tag : str
        json : str or bytes-like
            The request, JSON; bytes are its UTF-8.

        Returns
        -------
        str
            The response, JSON, as the plugin wrote it.

        Raises
        ------
        PluginException
            What the plugin answers instead: the subclass of its ``error_code``.
        InvalidStateError
            After `shutdown`, in a forked child, and from a log callback.
        SerializationError
            If the answer is not what a plugin answers.

        Examples
        --------
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> sample.call("echo", "[1, 2, 3]")
        '[1, 2, 3]'
        """
        cdef Request held
        cdef libgmemx.gmem_plugin_response response
        cdef const char* name = tag_of(tag)
        take_json(json, &held)
        try:
            with nogil:
                self.c_call(name, held.data, held.size, &response)
        finally:
            let_go(&held)
        try:
            return text_of(&response)
        finally:
            libgmemx.gmem_plugin_response_free(&response)

    def call_typed(self, tag, request, response_type=None):
        """Call by tag, with objects in place of JSON.

        Parameters
        ----------
        tag : str
        request : object
            A dataclass, a pydantic model, a msgspec struct, or what `json` takes; made of
            each other, too. Bytes are a request that is JSON already, and are sent as they are.
        response_type : type, optional
            One of these, a TypedDict, or made of them, such as ``list[Point]``. Members that
            a dataclass has no field for are left out. Without it the result is what `json`
            makes of the response.

        Raises
        ------
        SerializationError
            If the request has no form in JSON, or the response does not fit; a ValueError.
        TypeError
            For a `response_type` that cannot be made of JSON.
        PluginException
            As `call`.

        Examples
        --------
        >>> from dataclasses import dataclass
        >>> from gmemx import plugin
        >>> @dataclass
        ... class Point:
        ...     x: int
        ...     y: int
        >>> sample = plugin.load(plugin.sample_library())
        >>> sample.call_typed("echo", {"x": 1, "y": 2, "z": 3}, Point)
        Point(x=1, y=2)
        >>> sample.call_typed("echo", b'{"x": 1}')
        {'x': 1}
        """
        return TYPED_RESPONSE(self.call(tag, TYPED_REQUEST(request)), response_type)

    # ---- calls by number ------------------------------------------------------

    @cython.binding(False)
    def call_raw(self, id, request, response=None):
        """Call by number, with bytes; nothing is copied.

        Parameters
        ----------
        id : int
        request : bytes-like
            Contiguous: bytes, an array, a ctypes structure, a tensor.
        response : None, int or ctypes class
            How many bytes the response has to have; or what it is: then an instance of that
            is made of it.

        Returns
        -------
        PluginResponse or an instance of `response`

        Raises
        ------
        SerializationError
            If the response has another size; a ValueError.
        FfiError
            If the plugin takes no binary calls.
        PluginException
            As `call`.

        Examples
        --------
        >>> import struct
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> struct.unpack("=q", sample.call_raw(2, struct.pack("=2q", 40, 2)))
        (42,)
        """
        cdef PluginResponse made = PluginResponse.__new__(PluginResponse)
        cdef uint32_t number = number_of(id)
        cdef Request held
        take(request, &held)
        try:
            with nogil:
                self.c_call_raw(number, held.data, held.size, &made.response)
        finally:
            let_go(&held)
        return made if response is None else fitted(made, response)

    @cython.binding(False)
    def call_raw_bytes(self, id, request):
        """As `call_raw`; a copy of the response as bytes.

        Parameters
        ----------
        id : int
        request : bytes-like

        Returns
        -------
        bytes

        Examples
        --------
        >>> import struct
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> answer = sample.call_raw_bytes(2, struct.pack("=2q", 40, 2))
        >>> type(answer).__name__, struct.unpack("=q", answer)
        ('bytes', (42,))
        """
        cdef libgmemx.gmem_plugin_response response
        cdef uint32_t number = number_of(id)
        cdef Request held
        take(request, &held)
        try:
            with nogil:
                self.c_call_raw(number, held.data, held.size, &response)
        finally:
            let_go(&held)
        try:
            return PyBytes_FromStringAndSize(<const char*> response.data, response.len)
        finally:
            libgmemx.gmem_plugin_response_free(&response)

    @cython.binding(False)
    def call_into(self, id, request, out):
        """Call by number; the response is written to a buffer of the caller's.

        Parameters
        ----------
        id : int
        request : bytes-like
        out : writable bytes-like
            Contiguous; its first bytes are overwritten. It must not overlap the request.

        Returns
        -------
        int
            How many bytes the response has.

        Raises
        ------
        IndexError
            If there is no room for them: the call was made, and its response is lost.
        PluginException
            As `call_raw`.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> out = np.zeros(1, "int64")
        >>> sample.call_into(2, np.array([40, 2]), out), out.tolist()
        (8, [42])
        """
        cdef uint32_t number = number_of(id)
        cdef Request held
        cdef Py_buffer room
        cdef Py_ssize_t size
        take_room(out, &room)
        try:
            take(request, &held)
            try:
                with nogil:
                    size = self.c_call_into(number, held.data, held.size, room.buf, room.len)
            finally:
                let_go(&held)
        finally:
            PyBuffer_Release(&room)
        return size

    def call_batch(self, id, requests, *, bint return_exceptions=False):
        """Make many calls by one number, one after the other, without Python in between.

        Parameters
        ----------
        id : int
        requests : sequence of bytes-like, or buffer
            A C-contiguous buffer of two or more dimensions is a sequence of its rows.
        return_exceptions : bool
            Whether exceptions stand in the list. Else the first one is raised, after all calls
            were made.

        Returns
        -------
        list of PluginResponse

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> terms = np.arange(6).reshape(3, 2)
        >>> [int(answer.numpy("int64")[0]) for answer in sample.call_batch(2, terms)]
        [1, 5, 9]
        """
        cdef uint32_t number = number_of(id)
        cdef Batch batch = batch_of(requests)
        with nogil:
            self.c_call_batch(number, batch.requests, batch.n, batch.responses)
        return batch.answers(return_exceptions)

    # ---- calls that are awaited -----------------------------------------------

    @cython.binding(False)
    def call_async(self, tag, json, *, timeout=None):
        """`call` to be awaited.

        Parameters
        ----------
        tag : str
        json : str or bytes-like
            A buffer that can be changed must not be changed before there is an answer.
        timeout : float, optional
            Seconds until the call is abandoned.

        Returns
        -------
        asyncio.Future of str
            Cancelling it abandons the call: it never begins, or ends unseen.

        Raises
        ------
        PluginTimeoutError
            From the future, where the time is over; a TimeoutError.
        RuntimeError
            Where no event loop runs in this thread.

        Examples
        --------
        >>> import asyncio
        >>> from gmemx import plugin
        >>> async def many(sample):
        ...     return await asyncio.gather(*[sample.call_async("echo", str(i)) for i in range(5)])
        >>> with plugin.load(plugin.sample_library()) as sample:
        ...     asyncio.run(many(sample))
        ['0', '1', '2', '3', '4']
        """
        tag_of(tag)
        return awaited(self, tag, 0, json, timeout)

    @cython.binding(False)
    def call_raw_async(self, id, request, *, timeout=None):
        """`call_raw` to be awaited; see `call_async`.

        Parameters
        ----------
        id : int
        request : bytes-like
        timeout : float, optional
            As of `call_async`.

        Returns
        -------
        asyncio.Future of PluginResponse

        Examples
        --------
        >>> import asyncio, struct
        >>> from gmemx import plugin
        >>> async def added(sample):
        ...     answer = await sample.call_raw_async(2, struct.pack("=2q", 40, 2))
        ...     return struct.unpack("=q", answer)
        >>> with plugin.load(plugin.sample_library()) as sample:
        ...     asyncio.run(added(sample))
        (42,)
        """
        return awaited(self, None, number_of(id), request, timeout)

    cdef Queue queue_of(self, object loop):
        cdef Queue queue, other
        with self.changing:
            key = id(loop)
            queue = self.queues.get(key)
            if queue is None or queue.loop is not loop:
                # Loops that have ended leave their queues behind.
                for found, other in list(self.queues.items()):
                    if other.loop.is_closed():
                        del self.queues[found]
                        other.free()
                queue = queue_for(self.ptr, self, loop, self.concurrency)
                self.queues[key] = queue
            self.recent = queue
        return queue

    def _again(self, future):
        """Makes a call that another instance refused; in the loop's thread."""
        try:
            self.queue_of(future.get_loop()).enqueue(future)
        except PluginException as error:
            future.set_exception(error)

    # ---- what it is -------------------------------------------------------------

    @property
    def state(self):
        """What the plugin is doing, a `LifecycleState`."""
        cdef int number = self.c_state()
        if number > 5:
            raise InvalidStateError("the plugin has no state: it is invalid, or of another process")
        return STATES[number]

    @property
    def rejected_request_count(self):
        """How many calls the plugin refused because it ran too many at once."""
        return libgmemx.gmem_plugin_rejected_count(self.ptr)

    @property
    def has_binary_transport(self):
        """Whether it takes calls by number."""
        return libgmemx.gmem_plugin_has_binary_transport(self.ptr) != 0

    @property
    def in_flight(self):
        """How many calls run now."""
        return libgmemx.gmem_plugin_in_flight(self.ptr)

    @property
    def closed(self):
        """Whether it was told to shut down."""
        return self.is_closed

    @property
    def path(self):
        """The library."""
        return self.instance.path

    @property
    def dropped_log_count(self):
        """How many messages it logged that found no room, since there were too many at once."""
        return libgmemx.gmem_plugin_log_dropped(self.ptr)

    def __repr__(self):
        cdef int number = self.c_state()
        state = STATES[number].name.lower() if number <= 5 else "invalid"
        return f"NativePlugin({self.path!r}, {state})"

    # ---- logs ---------------------------------------------------------------------

    def set_log_level(self, level):
        """Set how much the plugin logs from now on; nothing once it is shut down.

        Parameters
        ----------
        level : LogLevel, str or int

        Examples
        --------
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> sample.set_log_level("warn")
        >>> sample.set_log_level(plugin.LogLevel.DEBUG)
        """
        cdef uint8_t number = level_of(level)
        cdef libgmemx.gmem_plugin* asked = self.ptr
        cdef int32_t status = libgmemx.gmem_plugin_set_log_level(asked, number)
        while replaced(self, asked, status):
            asked = self.ptr
            status = libgmemx.gmem_plugin_set_log_level(asked, number)
        if not (self.is_closed and refused(status)):
            check_plugin(status)
        self.level = number

    def flush_logs(self, timeout=None):
        """Wait until what the plugin has logged so far was delivered.

        Parameters
        ----------
        timeout : float, optional
            Seconds; None for ever.

        Returns
        -------
        bool
            False where it took longer, and in a log callback.

        Examples
        --------
        >>> from gmemx import plugin
        >>> logged = []
        >>> def log(level, target, message):
        ...     logged.append((level.name, target, message))
        >>> sample = plugin.load(plugin.sample_library(), log_callback=log)
        >>> sample.flush_logs(), logged
        (True, [('INFO', 'mandelbrot', 'ready to compute rows')])
        """
        return flush(self.instance, -1.0 if timeout is None else seconds_of(timeout))

    # ---- the end of it --------------------------------------------------------------

    def shutdown(self, timeout=None):
        """Shut the plugin down: no new calls, those in flight end, then the plugin does.

        What it logged is delivered before this returns.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for calls in flight; by default what the configuration says.

        Returns
        -------
        bool
            Whether the plugin ended in good order; True for one that is shut down already.

        Raises
        ------
        PluginTimeoutError
            If calls are still in flight; a TimeoutError. It can be tried again.

        Examples
        --------
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> sample.shutdown(timeout=5)
        True
        >>> sample.call("echo", "[1]")
        Traceback (most recent call last):
        ...
        gmemx.errors.InvalidStateError: [1] the plugin is shut down
        """
        cdef double seconds = default_seconds(self) if timeout is None else seconds_of(timeout)
        cdef Instance instance
        cdef bint clean
        with self.changing:
            self.is_closed = True
            instance = self.instance
            clean = instance.stop(seconds)
            forget_former(self)
        flush(instance, seconds)
        return clean

    def close(self):
        """`shutdown`, as the end of a ``with`` block does it.

        Examples
        --------
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> sample.close()
        >>> sample.closed
        True
        """
        self.shutdown()

    def __enter__(self):
        if self.is_closed:
            raise InvalidStateError("the plugin is shut down")
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.shutdown()
            return
        # What went wrong inside matters more.
        abandoned(self)

    def reload(self, path=None, *, config=None, check=None, timeout=None):
        """Put another version of the library in the place of this one, while it is in use.

        The new one is loaded and looked at first. Then it takes all new calls, and the old
        one is shut down as soon as its calls have ended. If anything fails before that, all
        stays as it is.

        Parameters
        ----------
        path : path, optional
            By default the same file, which may have changed.
        config : PluginConfig, optional
            By default the same.
        check : callable, optional
            Called with the new plugin; where it raises, the old one stays.
        timeout : float, optional
            Seconds to wait for calls of the old one; by default what its configuration says.

        Returns
        -------
        bool
            Whether the old one ended in good order. Where it is not, calls are still in
            flight: they end as usual, and then it does.

        Raises
        ------
        PluginException
            As `load`; and what `check` raises.

        Examples
        --------
        >>> from gmemx import plugin
        >>> sample = plugin.load(plugin.sample_library())
        >>> def refuse(candidate):
        ...     raise ValueError(f"it answers {candidate.call('echo', '1')}")
        >>> sample.reload(check=refuse)
        Traceback (most recent call last):
        ...
        ValueError: it answers 1
        >>> sample.reload(), sample.call("echo", "2")
        (True, '2')
        """
        cdef double seconds = default_seconds(self) if timeout is None else seconds_of(timeout)
        cdef Instance made, old
        cdef NativePlugin candidate
        cdef bint clean
        config = _checked(self.configuration if config is None else config, check)
        with self.changing:
            if self.is_closed:
                raise InvalidStateError("the plugin is shut down")
            old = self.instance
            made = started(old.path if path is None else path, config, callback_over(old))
            try:
                if self.level >= 0:
                    check_plugin(libgmemx.gmem_plugin_set_log_level(made.ptr, self.level))
                if check is not None:
                    candidate = plugin_over(made, config, self.concurrency, borrowed=True)
                    check(candidate)
                if libgmemx.gmem_plugin_state(made.ptr) != ACTIVE or self.is_closed:
                    raise InitializationFailedError(
                        f"{made.path} is not active after it was loaded: the old one stays")
            except BaseException:
                ended(made, seconds)
                raise
            self.former.append(old)
            self.instance, self.configuration = made, config
            # From here on calls go to the new one.
            self.ptr = made.ptr
            for queue in list(self.queues.values()):
                (<Queue> queue).retire()
            self.queues.clear()
            self.recent = None
            try:
                clean = old.stop(seconds)
            except PluginTimeoutError:
                clean = False
            forget_former(self)
        flush(old, seconds)
        return clean


cdef object awaited(
    NativePlugin self, str tag, uint32_t id, object request, object timeout
):
    loop = get_running_loop()
    cdef Queue queue = self.recent
    if queue is None or queue.loop is not loop:
        try:
            queue = self.queue_of(loop)
        except InvalidStateError as error:
            future = loop.create_future()
            future.set_exception(error)
            return future
    return queue.submit(tag, id, request, timeout)


cdef inline bint replaced(
    NativePlugin self, libgmemx.gmem_plugin* asked, int32_t status
) noexcept nogil:
    """Whether a call was refused by an instance whose place another has taken."""
    return self.ptr is not asked and refused(status)


cdef inline bint refused(int32_t status) noexcept nogil:
    """Whether a call failed because the instance is shut down."""
    return (
        status == libgmemx.GMEM_STATUS_PLUGIN and libgmemx.gmem_last_plugin_code() == 1
        and strcmp(libgmemx.gmem_last_error(), REFUSED) == 0)


cdef double default_seconds(NativePlugin self) except -2.0:
    return min(self.configuration.to_dict()["shutdown_timeout_ms"] / 1000, 1e9)


cdef object callback_over(Instance instance):
    return instance.callback if instance.logs else False


cdef int forget_former(NativePlugin self) except -1:
    """Tries again to end former instances that had calls in flight."""
    cdef Instance instance
    for instance in self.former:
        try:
            instance.stop(0.0)
        except PluginException:
            pass
    return 0


cdef object fitted(PluginResponse made, object wanted):
    """The response, if it has the size that is wanted, or an instance of a ctypes class."""
    cdef Py_ssize_t size = made.response.len
    cdef Py_buffer room
    if PyIndex_Check(wanted) and not isinstance(wanted, type):
        if operator.index(wanted) != size:
            raise SerializationError(f"the response has {size} bytes, not {wanted}")
        return made
    if not isinstance(wanted, type) or not hasattr(wanted, "from_buffer_copy"):
        raise TypeError(f"response is None, a size or a ctypes class, not {wanted!r}")
    instance = wanted()
    PyObject_GetBuffer(instance, &room, PyBUF_ANY_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        if room.len != size:
            raise SerializationError(
                f"the response has {size} bytes, and {wanted.__name__} has {room.len}")
        memcpy(room.buf, made.response.data, size)
    finally:
        PyBuffer_Release(&room)
    return instance


# ---- the same for plugins in other processes ------------------------------------------------

def _seconds(timeout):
    return seconds_of(timeout)


def _checked(config, check):
    if check is not None and not callable(check):
        raise TypeError(f"check is a function of the plugin, not {check!r}")
    return config_of(config)


def _fitted(PluginResponse made not None, wanted):
    return made if wanted is None else fitted(made, wanted)


cdef int take_room(object out, Py_buffer* room) except -1:
    if not PyObject_CheckBuffer(out):
        raise TypeError(f"out is a writable bytes-like object, not {type(out).__name__}")
    try:
        PyObject_GetBuffer(out, room, PyBUF_ANY_CONTIGUOUS | PyBUF_WRITABLE)
    except (BufferError, ValueError) as error:
        raise PluginArgumentError(
            f"out must be writable, contiguous memory: {error}") from None
    return 0


def _end():
    """Before the interpreter ends, plugins are shut down in which nobody is."""
    global ending
    ending = True
    for reference in list(LOADED.values()):
        plugin = reference()
        if plugin is not None and not plugin.closed:
            end_now(plugin)


cdef int end_now(NativePlugin plugin) except -1:
    if not plugin.borrowed:
        ended(plugin.instance, 0.0)
    return 0


def _forked():
    """Plugins from before the fork are not the child's to shut down."""
    LOADED.clear()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
