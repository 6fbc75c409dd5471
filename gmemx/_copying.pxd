from gmemx cimport libgmemx


cdef enum:
    # Bytes from which on a call lets go of the GIL, which costs some 40 ns.
    LONG_WORK = 4096


# Copies elements with conversion and broadcasting to a target of `nbytes` bytes, which the
# source does not overlap. Both are pinned, or nobody else knows of them: long copies let go of
# the GIL.
cdef int copy_elements(
    const libgmemx.gmem_view* source, const libgmemx.gmem_view* target, Py_ssize_t nbytes,
    size_t threads) except -1
