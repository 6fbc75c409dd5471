"""For other extensions: is the gmemx that is installed one they were compiled for?

At the top of a module, ``from gmemx.libgmemx cimport GMEM_ABI_VERSION``, ``from gmemx.runtime
cimport require_abi``, and then ``require_abi(GMEM_ABI_VERSION)``.
"""
from libc.stdint cimport uint32_t


# AbiMismatchError where the ABI that a module was compiled for is not the library's.
cdef int require_abi(uint32_t built_for) except -1
