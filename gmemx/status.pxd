from libc.stdint cimport int32_t

# 0 for GMEM_STATUS_OK; any other status raises its exception, taking the GIL to do so.
cdef int check(int32_t status) except -1 nogil
# The same for the functions of pools: the exception is a PoolError besides.
cdef int check_pool(int32_t status) except -1 nogil
