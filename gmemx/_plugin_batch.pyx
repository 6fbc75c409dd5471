"""Many requests of one kind, made in one go."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, Py_buffer, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF
from libc.string cimport memset

from gmemx cimport libgmemx
from gmemx._plugin_exchange cimport Request, take_buffer
from gmemx._plugin_response cimport PluginResponse

from gmemx._failures import plugin_error
from gmemx.errors import PluginArgumentError


cdef class Batch:
    def __dealloc__(self):
        cdef size_t i
        if self.responses is not NULL:
            for i in range(self.n):
                libgmemx.gmem_plugin_response_free(&self.responses[i])
        while self.held > 0:
            self.held -= 1
            PyBuffer_Release(&self.views[self.held])
        PyMem_Free(self.views)
        PyMem_Free(self.requests)
        PyMem_Free(self.responses)

    cdef list answers(self, bint return_exceptions):
        cdef list found = PyList_New(self.n)
        cdef PluginResponse made
        cdef size_t i
        cdef object item
        for i in range(self.n):
            if self.responses[i].error_code != 0:
                item = failure(&self.responses[i])
                if not return_exceptions:
                    raise item
            else:
                made = PluginResponse.__new__(PluginResponse)
                made.response = self.responses[i]
                memset(&self.responses[i], 0, sizeof(libgmemx.gmem_plugin_response))
                item = made
            Py_INCREF(item)
            PyList_SET_ITEM(found, i, item)
        return found


cdef object failure(const libgmemx.gmem_plugin_response* response):
    text = (<const char*> response.data)[:response.len]
    return plugin_error(response.error_code, text.rstrip(b"\0").decode("utf-8", "replace"))


cdef Batch batch_of(object requests):
    cdef Batch self = Batch.__new__(Batch)
    if PyObject_CheckBuffer(requests):
        take_rows(self, requests)
    else:
        take_each(self, requests)
    self.responses = <libgmemx.gmem_plugin_response*> PyMem_Calloc(
        max(self.n, 1), sizeof(libgmemx.gmem_plugin_response))
    if self.responses is NULL:
        raise MemoryError("there is no memory for the responses")
    return self


cdef int make_room(Batch self, size_t n) except -1:
    self.requests = <libgmemx.gmem_plugin_request*> PyMem_Malloc(
        max(n, 1) * sizeof(libgmemx.gmem_plugin_request))
    if self.requests is NULL:
        raise MemoryError("there is no memory for the requests")
    self.n = n
    return 0


cdef int make_views(Batch self, size_t n) except -1:
    self.views = <Py_buffer*> PyMem_Malloc(n * sizeof(Py_buffer))
    if self.views is NULL:
        raise MemoryError("there is no memory for the requests")
    return 0


cdef int take_rows(Batch self, object requests) except -1:
    cdef size_t i, step
    make_views(self, 1)
    try:
        PyObject_GetBuffer(requests, self.views, PyBUF_C_CONTIGUOUS)
    except (BufferError, ValueError) as error:
        if "contiguous" not in str(error):
            raise
        raise PluginArgumentError(
            f"the rows of a batch must be C-contiguous, which this {type(requests).__name__} is not"
        ) from None
    self.held = 1
    if self.views.ndim < 2:
        raise TypeError(
            "requests is a sequence of buffers, or one buffer of at least 2 dimensions, whose rows "
            f"they are: this {type(requests).__name__} has {self.views.ndim}")
    make_room(self, self.views.shape[0])
    step = self.views.len // self.views.shape[0] if self.views.shape[0] else 0
    for i in range(self.n):
        self.requests[i].data = <char*> self.views.buf + i * step
        self.requests[i].len = step
    return 0


cdef int take_each(Batch self, object requests) except -1:
    cdef size_t i
    cdef Request held
    cdef object each
    # A tuple, which nobody changes meanwhile.
    self.objects = tuple(requests)
    make_room(self, len(self.objects))
    for i, each in enumerate(self.objects):
        if PyBytes_CheckExact(each):
            self.requests[i].data = PyBytes_AS_STRING(each)
            self.requests[i].len = PyBytes_GET_SIZE(each)
            continue
        if self.views is NULL:
            make_views(self, self.n)
        take_buffer(each, &held)
        self.views[self.held] = held.view
        self.held += 1
        self.requests[i].data = held.data
        self.requests[i].len = held.size
    return 0
