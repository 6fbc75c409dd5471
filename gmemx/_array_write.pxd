"""Writing to virtual arrays, for their class."""
from gmemx.array cimport VirtualArray

cdef int assign(VirtualArray array, object value) except -1
