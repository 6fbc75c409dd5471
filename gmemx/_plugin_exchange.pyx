"""Requests on their way to a plugin, and answers on their way back."""

from cpython.buffer cimport PyBUF_ANY_CONTIGUOUS, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.number cimport PyIndex_Check
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint32_t
from libc.string cimport strlen

from gmemx cimport libgmemx
from gmemx._buffers cimport shown

import operator

from gmemx._plugin_envelope import payload_of
from gmemx.errors import PluginArgumentError, SerializationError

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*) except NULL


cdef int take_buffer(object request, Request* out) except -1:
    if not PyObject_CheckBuffer(request):
        raise TypeError(f"a request is a bytes-like object, not {type(request).__name__}")
    try:
        PyObject_GetBuffer(request, &out.view, PyBUF_ANY_CONTIGUOUS)
    except (BufferError, ValueError) as error:
        if "contiguous" not in str(error):
            raise
        raise PluginArgumentError(
            f"a request must be contiguous memory, which this {type(request).__name__} is not"
        ) from None
    out.held = True
    out.data, out.size = <const char*> out.view.buf, out.view.len
    return 0


cdef int take_text(object request, Request* out) except -1:
    if not isinstance(request, str):
        if PyObject_CheckBuffer(request):
            return take(request, out)
        raise TypeError(
            f"a request is JSON, a string or bytes, not {type(request).__name__}: "
            "call_typed() takes objects")
    out.held = False
    try:
        out.data = PyUnicode_AsUTF8AndSize(request, &out.size)
    except UnicodeEncodeError as error:
        raise SerializationError(f"the request has no form in UTF-8: {error}") from None
    return 0


cdef const char* encoded_tag(object tag) except NULL:
    cdef Py_ssize_t size
    cdef const char* text
    if not isinstance(tag, str):
        raise TypeError(f"a tag is a string, not {type(tag).__name__}")
    try:
        text = PyUnicode_AsUTF8AndSize(tag, &size)
    except UnicodeEncodeError as error:
        raise PluginArgumentError(f"the tag has no form in UTF-8: {error}") from None
    if <Py_ssize_t> strlen(text) != size:
        raise PluginArgumentError(f"a tag has no NUL in it, as {tag!r} has")
    return text


cdef uint32_t index_of(object id) except? 0xFFFF_FFFF:
    if not PyIndex_Check(id) or isinstance(id, bool):
        raise TypeError(f"the id of a message is an integer, not {type(id).__name__}")
    number = operator.index(id)
    if not 0 <= number <= 0xFFFF_FFFF:
        raise PluginArgumentError(
            f"the id of a message is from 0 to 2**32 - 1, not {shown(number)}")
    return number


cdef str text_of(const libgmemx.gmem_plugin_response* response):
    if response.len == 0:
        return "null"
    try:
        text = PyUnicode_DecodeUTF8(<const char*> response.data, response.len, NULL)
    except UnicodeDecodeError as error:
        raise SerializationError(f"the plugin's answer is not UTF-8: {error}") from None
    return text if response.flags & 1 else payload_of(text)


# ---- the same for processes that are not this one -----------------------------------------

def _checked_tag(tag):
    tag_of(tag)
    return tag


def _checked_id(id):
    return number_of(id)


def _bytes_of(request, bint json):
    """The bytes of a request, a memoryview."""
    cdef Request held
    if json and isinstance(request, str):
        take_json(request, &held)
        return memoryview((<str> request).encode())
    if json:
        take_json(request, &held)
    else:
        take(request, &held)
    let_go(&held)
    view = memoryview(request)
    # A cast needs an extent of at least one.
    return view.cast("B") if view.nbytes else memoryview(b"")
