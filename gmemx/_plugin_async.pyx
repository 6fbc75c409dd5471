"""Calls that are awaited.

The core runs them on threads of its own and tells of what came of them by one descriptor,
which the event loop watches: however many end at once, the loop wakes up once.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from libcpp cimport bool

from gmemx cimport libgmemx
from gmemx._plugin_exchange cimport Request, let_go, tag_of, take, take_json, text_of
from gmemx._plugin_instance cimport REFUSED, check_plugin, seconds_of
from gmemx._plugin_response cimport PluginResponse

import asyncio
import weakref
from collections import deque

from gmemx._failures import plugin_error, plugin_failure
from gmemx.errors import InvalidStateError, PluginTimeoutError

cdef enum:
    # Completions taken at once, and in one turn of the loop.
    BURST = 64
    BURSTS = 16
    # Bytes from which on a request is copied without the GIL.
    LONG_WORK = 65536

cdef object CANCEL = asyncio.Future.cancel
cdef object SHUT_DOWN = REFUSED.decode()


class CallFuture(asyncio.Future):
    """What will come of a call; cancelling it abandons the call."""

    __slots__ = ("_call",)

    def cancel(self, msg=None):
        """Abandon the call: it never begins, or nobody waits for its end."""
        cdef bint cancelled = CANCEL(self, msg)
        if cancelled:
            abandon(self)
        return cancelled


@cython.freelist(64)
cdef class Call:
    pass


cdef class Queue:
    def __dealloc__(self):
        libgmemx.gmem_plugin_queue_free(self.ptr)

    cdef object submit(self, str tag, uint32_t id, object request, object timeout):
        cdef Call call = Call.__new__(Call)
        cdef double seconds = -1.0 if timeout is None else seconds_of(timeout)
        future = CallFuture(loop=self.loop)
        call.tag, call.id, call.request = tag, id, request
        future._call = call
        self.enqueue(future)
        if seconds >= 0.0 and not future.done():
            call.timer = self.loop.call_later(seconds, _expired, future, seconds)
        return future

    cdef int enqueue(self, object future) except -1:
        cdef Call call = future._call
        cdef Request held
        call.queue = self
        if not self.waiting and self.begin(future, call):
            return 0
        # It is looked at later, but refused now.
        take_request(call, &held)
        let_go(&held)
        self.waiting.append(future)
        return 0

    cdef bint begin(self, object future, Call call) except -1:
        """Hands a call to the core; False where that has no room for it."""
        cdef Request held
        cdef libgmemx.gmem_status status
        cdef const char* tag = NULL
        cdef uint64_t token = self.last + 1
        if call.tag is not None:
            tag = tag_of(call.tag)
        take_request(call, &held)
        if held.size < LONG_WORK:
            status = libgmemx.gmem_plugin_queue_submit(
                self.ptr, token, tag, call.id, held.data, held.size)
        else:
            with nogil:
                status = libgmemx.gmem_plugin_queue_submit(
                    self.ptr, token, tag, call.id, held.data, held.size)
        if status == libgmemx.GMEM_STATUS_OK:
            self.last = call.token = token
            self.running[token] = future
        elif status != libgmemx.GMEM_STATUS_TIMEOUT:
            try:
                check_plugin(status)
            except Exception as error:
                self.fail(future, call, error)
        let_go(&held)
        return status != libgmemx.GMEM_STATUS_TIMEOUT

    cdef int refill(self) except -1:
        """Begins what waits, as far as there is room."""
        cdef Call call
        while self.waiting:
            future = self.waiting[0]
            call = future._call
            if call is not None:
                try:
                    if not self.begin(future, call):
                        return 0
                except Exception as error:
                    # A buffer that is not what it was when it was given.
                    self.fail(future, call, error)
            self.waiting.popleft()
        return 0

    def _ready(self):
        """Takes what has come; the loop calls it."""
        cdef libgmemx.gmem_plugin_completion[BURST] done
        cdef size_t i, n
        cdef int burst
        for burst in range(BURSTS):
            n = libgmemx.gmem_plugin_queue_take(self.ptr, done, BURST)
            for i in range(n):
                self.finish(&done[i])
            if n < BURST:
                break
        if self.waiting:
            self.refill()
        if self.retired:
            self._leave()

    cdef int finish(self, libgmemx.gmem_plugin_completion* done) except -1:
        cdef PluginResponse made
        cdef Call call
        future = self.running.pop(done.token, None)
        if future is None:
            libgmemx.gmem_plugin_response_free(&done.response)
            return 0
        call = future._call
        try:
            if done.status != libgmemx.GMEM_STATUS_OK:
                text = (<const char*> done.response.data)[:done.response.len]
                self.fail(future, call, failed(done.status, done.code, text))
            elif call.tag is None:
                made = PluginResponse.__new__(PluginResponse)
                made.response = done.response
                memset(&done.response, 0, sizeof(done.response))
                settle(future, call)
                future.set_result(made)
            else:
                text = text_of(&done.response)
                settle(future, call)
                future.set_result(text)
        except Exception as error:
            self.fail(future, call, error)
        finally:
            libgmemx.gmem_plugin_response_free(&done.response)
        return 0

    cdef int fail(self, object future, Call call, object error) except -1:
        if self.replaced and type(error) is InvalidStateError and error.message == SHUT_DOWN:
            # Another instance has taken the place of the one that was asked.
            owner = self.owner()
            if owner is not None:
                call.token = 0
                owner._again(future)
                return 0
        settle(future, call)
        if not future.done():
            future.set_exception(error)
        return 0

    cdef int retire(self) except -1:
        self.retired = True
        self.replaced = True
        try:
            self.loop.call_soon_threadsafe(self._leave)
        except RuntimeError:
            # The loop is closed, and watches nothing.
            self.free()
        return 0

    def _leave(self):
        """Ends watching, once nothing is under way; in the loop's thread."""
        if not self.running and not self.waiting and self.ptr is not NULL:
            self.loop.remove_reader(libgmemx.gmem_plugin_queue_descriptor(self.ptr))
            self.free()

    cdef void free(self) noexcept:
        cdef libgmemx.gmem_plugin_queue* ptr = self.ptr
        self.ptr = NULL
        libgmemx.gmem_plugin_queue_free(ptr)


cdef int take_request(Call call, Request* out) except -1:
    return take(call.request, out) if call.tag is None else take_json(call.request, out)


cdef object failed(int status, uint32_t code, bytes text):
    message = text.decode("utf-8", "replace")
    if status == libgmemx.GMEM_STATUS_PLUGIN:
        return plugin_error(code, message)
    return plugin_failure(status, message)


cdef int settle(object future, Call call) except -1:
    """The call is over: nothing refers to anything any more."""
    future._call = None
    call.request = None
    if call.timer is not None:
        call.timer.cancel()
        call.timer = None
    return 0


cdef int abandon(object future) except -1:
    cdef Call call = future._call
    cdef Queue queue
    cdef bool unstarted = False
    if call is None:
        return 0
    queue, call.queue = call.queue, None
    settle(future, call)
    if call.token and queue.ptr is not NULL:
        queue.running.pop(call.token, None)
        libgmemx.gmem_plugin_queue_cancel(queue.ptr, call.token, &unstarted)
        if queue.waiting:
            queue.refill()
        if queue.retired:
            queue._leave()
    return 0


def _expired(future, double seconds):
    """The deadline of a call; the loop calls it."""
    if not future.done():
        abandon(future)
        future.set_exception(PluginTimeoutError(
            f"the plugin did not answer within {seconds:g} seconds: the call was abandoned"))


cdef Queue queue_for(libgmemx.gmem_plugin* plugin, object owner, object loop, size_t concurrency):
    cdef Queue self = Queue.__new__(Queue)
    check_plugin(libgmemx.gmem_plugin_queue_new(
        plugin, concurrency, 4 * concurrency, &self.ptr))
    self.loop, self.owner = loop, weakref.ref(owner)
    self.running, self.waiting = {}, deque()
    try:
        loop.add_reader(libgmemx.gmem_plugin_queue_descriptor(self.ptr), self._ready)
    except NotImplementedError:
        raise plugin_failure(
            11, f"{type(loop).__name__} cannot watch descriptors: calls cannot be awaited on it"
        ) from None
    return self
