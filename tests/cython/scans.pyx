# cython: language_level=3, boundscheck=False, wraparound=False
"""Another project's extension: follows values of a process without Python, linked to nothing."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from gmemx.scan cimport Process, Source


def total(Source source not None, uint64_t start, size_t count):
    """The sum of doubles from an address on; the number of those that could not be read."""
    cdef double value, sum = 0.0
    cdef size_t i, missing = 0
    source.pin()
    try:
        with nogil:
            for i in range(count):
                if source.c_read_f64(start + 8 * i, &value) == 0:
                    sum += value
                else:
                    missing += 1
    finally:
        source.unpin()
    return sum, missing


def every_type(Source source not None, uint64_t address):
    """What lies at an address, read as each type that has a method of its own."""
    cdef int32_t i32 = 0
    cdef uint32_t u32 = 0
    cdef int64_t i64 = 0
    cdef uint64_t u64 = 0
    cdef float f32 = 0
    cdef double f64 = 0
    cdef char[3] raw
    cdef int status = 0
    source.pin()
    try:
        with nogil:
            status |= source.c_read_i32(address, &i32)
            status |= source.c_read_u32(address, &u32)
            status |= source.c_read_i64(address, &i64)
            status |= source.c_read_u64(address, &u64)
            status |= source.c_read_f32(address, &f32)
            status |= source.c_read_f64(address, &f64)
            status |= source.c_read(address, raw, 3)
    finally:
        source.unpin()
    return status, i32, u32, i64, u64, f32, f64, raw[:3]


def climbs(Source source not None, uint64_t address, size_t wanted, size_t most):
    """Reads a counter until it was seen to rise so often, without the GIL; how often it fell."""
    cdef uint64_t before = 0, now = 0
    cdef size_t rises = 0, falls = 0, i
    source.pin()
    try:
        with nogil:
            if source.c_read_u64(address, &before) == 0:
                for i in range(most):
                    if source.c_read_u64(address, &now) != 0 or rises == wanted:
                        break
                    rises += now > before
                    falls += now < before
                    before = now
    finally:
        source.unpin()
    return rises, falls


def write(Source source not None, uint64_t address, int32_t value):
    """The status of writing; the value read back."""
    cdef int32_t back = 0
    cdef int status
    source.pin()
    try:
        with nogil:
            status = source.c_write(address, &value, sizeof(value))
            source.c_read_i32(address, &back)
    finally:
        source.unpin()
    return status, back


def closes_while_pinned(Source source not None, uint64_t address):
    """A source that is closed in the middle of a loop; a value read afterwards."""
    cdef int32_t value = 0
    cdef int status
    source.pin()
    try:
        source.close()
        with nogil:
            status = source.c_read_i32(address, &value)
    finally:
        source.unpin()
    return status, value


def live(Source source not None):
    """Raises for what is closed."""
    source.pin()
    source.unpin()


def pid_of(Process process not None):
    """Only of a process."""
    return process.pid
