"""Arrow C data: schemas and arrays, made and taken."""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memcpy, strcmp

from gmemx._dtypes cimport BOOL, DTYPES, GMEMX_DTYPES, INT8, dtype_of_code

import struct
import sys

from gmemx.errors import UnsupportedError

cdef extern from "Python.h":
    int Py_IsInitialized() noexcept nogil


# Elements of 8 bytes that can be counted in bytes.
cdef int64_t MOST = <int64_t> 1 << 59


ctypedef struct Kept:
    PyObject* keeper
    Py_ssize_t* uses
    # The two buffers of a primitive array: which elements are valid, NULL for all, and they.
    const void* valid
    const void* data


# Arrow's own bool is a bit an element; bool8 is the extension for a byte each. The
# encoding is counts and lengths as int32, native.
cdef bytes _pair(bytes key, bytes value):
    return struct.pack("=i", len(key)) + key + struct.pack("=i", len(value)) + value

cdef bytes BOOL8 = (
    (2).to_bytes(4, sys.byteorder)
    + _pair(b"ARROW:extension:name", b"arrow.bool8")
    + _pair(b"ARROW:extension:metadata", b"")
)


cdef void release_schema(ArrowSchema* self) noexcept nogil:
    self.release = NULL


cdef void release_array(ArrowArray* self) noexcept nogil:
    cdef Kept* kept = <Kept*> self.private_data
    if Py_IsInitialized():
        with gil:
            kept.uses[0] -= 1
            Py_DECREF(<object> kept.keeper)
    PyMem_RawFree(kept)
    self.release = NULL


cdef void drop_schema(object capsule) noexcept:
    cdef ArrowSchema* schema = <ArrowSchema*> PyCapsule_GetPointer(capsule, b"arrow_schema")
    # A consumer that takes it sets release to NULL.
    if schema.release is not NULL:
        schema.release(schema)
    PyMem_RawFree(schema)


cdef void drop_array(object capsule) noexcept:
    cdef ArrowArray* array = <ArrowArray*> PyCapsule_GetPointer(capsule, b"arrow_array")
    if array.release is not NULL:
        array.release(array)
    PyMem_RawFree(array)


cdef object schema_capsule(int dtype):
    if GMEMX_DTYPES[dtype].arrow is NULL:
        raise UnsupportedError(
            f"Arrow has no {dtype_of_code(dtype)}: convert with astype first")
    cdef ArrowSchema* schema = <ArrowSchema*> PyMem_RawCalloc(1, sizeof(ArrowSchema))
    if schema is NULL:
        raise MemoryError("there is no memory for an Arrow schema")
    schema.format = GMEMX_DTYPES[dtype].arrow
    schema.name = b""
    # A module's constant, so it outlives every schema.
    schema.metadata = <const char*> BOOL8 if dtype == BOOL else NULL
    schema.release = release_schema
    try:
        return PyCapsule_New(schema, b"arrow_schema", drop_schema)
    except:
        PyMem_RawFree(schema)
        raise


cdef object array_capsule(
    object keeper, Py_ssize_t* uses, int dtype, const char* data, Py_ssize_t n
):
    cdef ArrowArray* array = <ArrowArray*> PyMem_RawCalloc(1, sizeof(ArrowArray))
    cdef Kept* kept = <Kept*> PyMem_RawCalloc(1, sizeof(Kept))
    if array is NULL or kept is NULL:
        PyMem_RawFree(array)
        PyMem_RawFree(kept)
        raise MemoryError("there is no memory for an Arrow array")
    kept.keeper = <PyObject*> keeper
    kept.uses = uses
    kept.data = data
    array.length = n
    array.n_buffers = 2
    array.buffers = &kept.valid
    array.release = release_array
    array.private_data = kept
    Py_INCREF(keeper)
    uses[0] += 1
    try:
        return PyCapsule_New(array, b"arrow_array", drop_array)
    except:
        release_array(array)
        PyMem_RawFree(array)
        raise


cdef class Imported:
    def __dealloc__(self):
        if self.array.release is not NULL:
            self.array.release(&self.array)


cdef Imported take(object schema, object array):
    cdef ArrowSchema* form
    cdef ArrowArray* given
    cdef Imported imported = Imported.__new__(Imported)
    cdef int code
    if not PyCapsule_IsValid(schema, b"arrow_schema") or not PyCapsule_IsValid(array, b"arrow_array"):
        raise BufferError(
            "__arrow_c_array__ must give capsules named 'arrow_schema' and 'arrow_array'")
    form = <ArrowSchema*> PyCapsule_GetPointer(schema, b"arrow_schema")
    given = <ArrowArray*> PyCapsule_GetPointer(array, b"arrow_array")
    if form.release is NULL or given.release is NULL:
        raise BufferError("the Arrow array was released or taken before")
    imported.dtype = -1
    if form.format is not NULL and form.dictionary is NULL:
        for code in range(1, DTYPES):
            if GMEMX_DTYPES[code].arrow is not NULL and (
                strcmp(GMEMX_DTYPES[code].arrow, form.format) == 0
            ):
                imported.dtype = code
                break
    if imported.dtype < 0:
        shown = "" if form.format is NULL else form.format.decode("utf-8", "replace")
        raise BufferError(f"no dtype of a tensor is Arrow's {shown!r}: only plain numbers are taken")
    if imported.dtype == INT8 and form.metadata is not NULL and _is_bool8(form.metadata):
        imported.dtype = BOOL
    if (
        not 0 <= given.length <= MOST or not 0 <= given.offset <= MOST
        or given.n_buffers != 2 or given.buffers is NULL
    ):
        raise BufferError("the Arrow array is malformed")
    if _has_nulls(given):
        raise BufferError("the Arrow array has nulls, which no tensor has: fill them first")
    if given.buffers[1] is NULL and given.length > 0:
        raise BufferError(f"the Arrow array has {given.length} elements but no memory")
    memcpy(&imported.array, given, sizeof(ArrowArray))
    given.release = NULL
    imported.data = <char*> imported.array.buffers[1]
    if imported.data is not NULL:
        imported.data += imported.array.offset * GMEMX_DTYPES[imported.dtype].itemsize
    return imported


cdef bint _has_nulls(const ArrowArray* given):
    cdef const unsigned char* valid = <const unsigned char*> given.buffers[0]
    cdef int64_t i
    if given.null_count >= 0 or valid is NULL:
        return given.null_count > 0
    # Nobody has counted them yet, as in a slice.
    for i in range(given.offset, given.offset + given.length):
        if not valid[i >> 3] >> (i & 7) & 1:
            return True
    return False


cdef bint _is_bool8(const char* metadata):
    """Whether an ``ARROW:extension:name`` among the pairs says so."""
    cdef int n, i, length
    cdef const char* at = metadata + 4
    cdef bytes key = b""
    memcpy(&n, metadata, 4)
    for i in range(2 * n):
        memcpy(&length, at, 4)
        at += 4
        if length < 0:
            raise BufferError("the Arrow schema's metadata are malformed")
        if i % 2 == 0:
            key = at[:length]
        elif key == b"ARROW:extension:name":
            return at[:length] == b"arrow.bool8"
        at += length
    return False
