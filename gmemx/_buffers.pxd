from cpython.buffer cimport Py_buffer
from libc.stdint cimport uint64_t


# A C-contiguous float64 buffer that somebody else owns, held while this lives.
cdef class Floats:
    cdef Py_buffer view
    cdef double* data
    cdef Py_ssize_t size


# `out` as a writable buffer; one clear TypeError or ValueError says what it lacks.
cdef Floats writable_floats(object out)
# `values` as contiguous float64; `name` is what the caller calls them.
cdef object float_array(object values, str name)
# `addresses` as contiguous uint64 of the same shape.
cdef object address_array(object addresses)
# One address; IndexError outside [0, 2**64), TypeError for what is no integer.
cdef uint64_t address_of(object value) except? 0xFFFF_FFFF_FFFF_FFFF
# The `threads` argument as the C functions take it: 0 for None.
cdef size_t thread_count(object threads) except? 0
# An integer for an error message, however long.
cdef str shown(object value)
