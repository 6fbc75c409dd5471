from cpython.buffer cimport Py_buffer, PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport uint32_t
from libc.string cimport strlen

from gmemx cimport libgmemx


# The bytes of a request, good until `let_go`, while its object is referred to.
cdef struct Request:
    const char* data
    Py_ssize_t size
    bint held
    Py_buffer view


# A request of bytes: any contiguous buffer.
cdef inline int take(object request, Request* out) except -1:
    out.held = False
    if PyBytes_CheckExact(request):
        out.data = PyBytes_AS_STRING(request)
        out.size = PyBytes_GET_SIZE(request)
        return 0
    return take_buffer(request, out)


cdef inline void let_go(Request* request) noexcept:
    if request.held:
        request.held = False
        PyBuffer_Release(&request.view)


# A string of ASCII only has its UTF-8 in itself.
cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object) noexcept
    bint PyUnicode_IS_COMPACT_ASCII(object) noexcept
    const char* PyUnicode_DATA(object) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object) noexcept
    long long PyLong_AsLongLongAndOverflow(object, int*) except? -1


# A request of JSON: a string, or the UTF-8 of one.
cdef inline int take_json(object request, Request* out) except -1:
    if PyUnicode_CheckExact(request) and PyUnicode_IS_COMPACT_ASCII(request):
        out.held = False
        out.data = PyUnicode_DATA(request)
        out.size = PyUnicode_GET_LENGTH(request)
        return 0
    return take_text(request, out)


# A tag as the plugin takes it; good as long as the string.
cdef inline const char* tag_of(object tag) except NULL:
    cdef const char* text
    if PyUnicode_CheckExact(tag) and PyUnicode_IS_COMPACT_ASCII(tag):
        text = PyUnicode_DATA(tag)
        if <Py_ssize_t> strlen(text) == PyUnicode_GET_LENGTH(tag):
            return text
    return encoded_tag(tag)


# The number of a binary message.
cdef inline uint32_t number_of(object id) except? 0xFFFF_FFFF:
    cdef long long number
    cdef int overflow = 0
    if PyLong_CheckExact(id):
        number = PyLong_AsLongLongAndOverflow(id, &overflow)
        if 0 <= number < 0xFFFF_FFFF:
            return number
    return index_of(id)


cdef int take_buffer(object request, Request* out) except -1
cdef int take_text(object request, Request* out) except -1
cdef const char* encoded_tag(object tag) except NULL
cdef uint32_t index_of(object id) except? 0xFFFF_FFFF
# The JSON in an answer to a call by tag, out of its envelope.
cdef str text_of(const libgmemx.gmem_plugin_response* response)
