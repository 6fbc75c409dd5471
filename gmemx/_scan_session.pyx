"""Scanners in files."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libcpp cimport bool

from gmemx cimport libgmemx
from gmemx._scan_engine cimport Engine
from gmemx._scan_source cimport Source
from gmemx._scan_values cimport TYPES
from gmemx.status cimport check


def save(Engine engine not None, bytes path, bytes notes):
    """Write everything to a file."""
    cdef const char* file = path
    cdef const char* data = notes
    cdef size_t n = len(notes)
    with nogil:
        check(libgmemx.gmem_scanner_save(engine.ptr, file, data, n))


def load(Source source not None, bytes path, history, memory, folder):
    """An engine as it was saved."""
    cdef Engine engine = Engine.__new__(Engine)
    cdef libgmemx.gmem_scanner_options options
    cdef libgmemx.gmem_scanner* made = NULL
    cdef int32_t[TYPES] kinds
    cdef size_t n = 0
    cdef uint32_t alignment = 0
    cdef bool big = False
    cdef const char* file = path
    engine.prepare(source, history, memory, folder)
    engine.kinds = ()
    engine.fill(&options)
    source.pin()
    try:
        with nogil:
            check(libgmemx.gmem_scanner_load(source.ptr, file, &options, &made))
        engine.adopt(made)
    finally:
        source.unpin()
    # What is in the file counts: by it the arrays for its values are made.
    check(libgmemx.gmem_scanner_types(engine.ptr, kinds, TYPES, &n))
    check(libgmemx.gmem_scanner_layout(engine.ptr, &alignment, &big))
    engine.kinds = tuple([kinds[i] for i in range(n)])
    engine.alignment, engine.big = alignment or None, big
    return engine


def notes_of(bytes path):
    """The notes in a file, without the rest."""
    cdef const char* file = path
    cdef bytes notes = b""
    cdef uint8_t* room
    cdef size_t length = 0, size = 0
    while True:
        room = <uint8_t*> PyBytes_AS_STRING(notes)
        with nogil:
            check(libgmemx.gmem_scanner_notes(file, room, size, &length))
        if length <= size:
            return notes[:length]
        notes, size = PyBytes_FromStringAndSize(NULL, length), length
