from gmemx cimport libgmemx

# The dtype of a Python or NumPy number.
cdef int dtype_of_scalar(object value) except -1
# The element at `p` as a Python number; for int4 the one `nibble` half bytes on.
cdef object load(int code, const char* p, Py_ssize_t nibble)
# Writes a Python number to the element at `p`; nothing is changed where it does not fit.
cdef int store(int code, char* p, Py_ssize_t nibble, object value) except -1
# A view of one element.
cdef libgmemx.gmem_view point(char* p, int code) noexcept
