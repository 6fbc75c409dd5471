from cpython.buffer cimport Py_buffer

from gmemx cimport libgmemx


# Many requests, held until the batch goes, and room for what is answered.
cdef class Batch:
    cdef size_t n
    cdef libgmemx.gmem_plugin_request* requests
    cdef libgmemx.gmem_plugin_response* responses
    # The requests' objects; and the buffers among them that are no bytes.
    cdef tuple objects
    cdef Py_buffer* views
    cdef Py_ssize_t held

    # A PluginResponse for each; the first error is raised, or each stands in its place.
    cdef list answers(self, bint return_exceptions)


# From a sequence of buffers, or one buffer whose rows they are.
cdef Batch batch_of(object requests)
