"""Parts of virtual arrays, for the other modules of arrays."""
from gmemx.array cimport VirtualArray

# The cell that plain integers name, or None; whether a key has nothing but integers.
cdef object address_in(VirtualArray array, object key)
cdef bint is_full(object key)
# An element as a Python number.
cdef object element(VirtualArray array, object address)
# One of the pieces that layout.parts cuts.
cdef VirtualArray piece(VirtualArray array, tuple leading, object run)
# The MemoryError, and memory or that.
cdef object no_room(VirtualArray array)
cdef object room_for(VirtualArray array, tuple shape)
cdef int read_into(VirtualArray array, object out, size_t threads) except -1
