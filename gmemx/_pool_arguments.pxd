"""What callers hand to a pool, checked. Wrong types are TypeErrors, wrong values PoolErrors."""

from libc.stdint cimport uint32_t, uint64_t

# An integer from `low` to `high`, by the name that the caller knows.
cdef object integer(object value, str name, object low, object high)
# Bytes of a buffer, above 0.
cdef size_t size_of(object size) except? 0
# A slot; whether a pool has it the core knows.
cdef uint32_t index_of(object meta_index) except? 0xFFFF_FFFF
# A CUDA device; whether it is there the core knows.
cdef int device_of(object device_id) except? -1
# A timeout that is not None; negative for ever.
cdef double seconds_of(object timeout) except? -2.0
# A pool's name in UTF-8.
cdef bytes name_of(object name)
# Bytes of a pool, 0 for None.
cdef uint64_t budget_of(object size) except? 0
