"""Products of virtual arrays, for their class."""
from gmemx.array cimport VirtualArray

# What a matrix is multiplied by, as a C-contiguous matrix of float64.
cdef object operand(object x, int ndim)
cdef object product(VirtualArray matrix, object x, size_t threads)
