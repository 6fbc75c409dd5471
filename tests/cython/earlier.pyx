# cython: language_level=3, boundscheck=False, wraparound=False
"""Another project's extension over every kind, compiled with what the last release installed."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from gmemx.array cimport VirtualArray
from gmemx.generative cimport GMemContext
from gmemx.libgmemx cimport GMEM_ABI_VERSION, gmem_buffer, gmem_plugin_response
from gmemx.plugin cimport NativePlugin
from gmemx.pool cimport BufferPool, guard_over
from gmemx.runtime cimport require_abi
from gmemx.scan cimport Source
from gmemx.tensor cimport Tensor, tensor_new

require_abi(GMEM_ABI_VERSION)


def requires(uint32_t number):
    """Raises where the library is not of that ABI."""
    require_abi(number)


def cells(GMemContext context not None, uint64_t start, size_t n):
    """The sum of cells."""
    cdef double total = 0.0
    cdef size_t i
    with nogil:
        for i in range(n):
            total += context.c_fetch(start + i)
    return total


def seen(VirtualArray array not None):
    """The context and the shape of an array, out of its fields."""
    return array.context, array.shape


def ramp(int code, Py_ssize_t n):
    """A tensor of 0, 1, 2, ... as float64."""
    cdef Tensor tensor = tensor_new(code, 1, &n, False)
    cdef Py_ssize_t i
    tensor.writable()
    with nogil:
        for i in range(tensor.c_size()):
            (<double*> tensor.c_data())[i] = i
    return tensor


def filled(BufferPool pool not None, size_t size, uint8_t mark):
    """A buffer of a pool."""
    cdef gmem_buffer buffer
    cdef size_t i
    pool.pin()
    try:
        with nogil:
            pool.c_acquire(size, 60.0, &buffer)
            for i in range(size):
                (<uint8_t*> buffer.data)[i] = mark
        return guard_over(pool, &buffer)
    finally:
        pool.unpin()


def read(Source source not None, uint64_t address):
    """An int32 of a source."""
    cdef int32_t value = 0
    cdef int status
    source.pin()
    try:
        with nogil:
            status = source.c_read_i32(address, &value)
    finally:
        source.unpin()
    return status, value


def call(NativePlugin plugin not None, bytes tag, bytes request):
    """What a plugin answers."""
    cdef gmem_plugin_response response
    cdef const char* name = tag
    cdef const char* data = request
    cdef size_t n = len(request)
    with nogil:
        plugin.c_call(name, data, n, &response)
    try:
        return bytes((<const char*> response.data)[:response.len])
    finally:
        plugin.c_free(&response)
