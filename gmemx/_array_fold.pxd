"""Reductions of virtual arrays, for their class."""
from gmemx.array cimport VirtualArray

# TypeError for what numpy.sum and its like may hand over and this does not take.
cdef int refuse(object dtype, object out) except -1
cdef object folded(VirtualArray array, int fold, object threads)
cdef object histogram_of(VirtualArray array, object bins, object range, object threads)
cdef object along(
    VirtualArray array, object axis, object one, str name, object dtype, object threads,
    object ddof=*)
