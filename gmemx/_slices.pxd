cimport cython
from libc.stdint cimport uint64_t


# A slice of the address space: `n` (a Python int, up to 2**64) addresses `step`
# apart, modulo 2**64.
@cython.final
cdef class Run:
    cdef uint64_t start, step
    cdef object n


# IndexError for a bound outside [0, 2**64], TypeError for one that is no integer.
cdef Run run_of(slice where)
