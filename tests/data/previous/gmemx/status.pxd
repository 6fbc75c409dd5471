from libc.stdint cimport int32_t

from gmemx cimport libgmemx

# What raise the exception of a status. Apart from the checks, and only called where there is
# something to raise: a function that may take the GIL takes it when it begins.
cdef int failed(int32_t status) except -1 nogil
cdef int failed_pool(int32_t status) except -1 nogil


# 0 for GMEM_STATUS_OK; any other status raises its exception, taking the GIL to do so.
cdef inline int check(int32_t status) except -1 nogil:
    return 0 if status == libgmemx.GMEM_STATUS_OK else failed(status)


# The same for the functions of pools: the exception is a PoolError besides.
cdef inline int check_pool(int32_t status) except -1 nogil:
    return 0 if status == libgmemx.GMEM_STATUS_OK else failed_pool(status)
