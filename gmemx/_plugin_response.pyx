"""What plugins answer: memory of theirs, looked at without a copy."""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release,
    PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

from gmemx cimport libgmemx
from gmemx.tensor cimport Tensor, tensor_over

from gmemx.errors import PluginArgumentError
from gmemx.tensor import dtype as dtype_of

cdef Py_ssize_t ONE = 1
# Where an empty response begins.
cdef uint8_t NOTHING = 0


@cython.freelist(256)
@cython.no_gc  # said in _plugin_response.pxd, but heeded here only
cdef class PluginResponse:
    """The bytes that a plugin answered, read-only, in the plugin's own memory.

    `NativePlugin.call_raw` gives them. They appear through the buffer protocol, as a tensor
    or an array, and are freed by the plugin when nobody uses them any more, even after it was
    shut down.

    Examples
    --------
    >>> import struct
    >>> from gmemx import plugin
    >>> with plugin.load(plugin.sample_library()) as sample:
    ...     response = sample.call_raw(2, struct.pack("=2q", 40, 2))
    >>> response, response.numpy("int64").tolist(), bytes(response[:2])
    (PluginResponse(size=8), [42], b'*\\x00')
    """

    def __init__(self):
        raise TypeError("responses are not made: NativePlugin.call_raw() gives them")

    def __dealloc__(self):
        release(self)

    # ---- for other extensions ---------------------------------------------

    cdef const uint8_t* c_data(self) noexcept nogil:
        return self.response.data

    cdef size_t c_size(self) noexcept nogil:
        return self.response.len

    cdef int pin(self) except -1:
        live(self)
        self.exports += 1
        return 0

    cdef void unpin(self) noexcept:
        self.exports -= 1

    # ---- the end of it ------------------------------------------------------

    def close(self):
        """Free the memory now; closing again does nothing.

        Raises
        ------
        BufferError
            If arrays, tensors or memoryviews still use it.

        Examples
        --------
        >>> import struct
        >>> from gmemx import plugin
        >>> loaded = plugin.load(plugin.sample_library())
        >>> response = loaded.call_raw(2, struct.pack("=2q", 40, 2))
        >>> response.close()
        >>> response.closed
        True
        """
        if self.is_closed:
            return
        if self.exports:
            raise BufferError(
                f"{self!r} cannot be closed: {self.exports} arrays or other exports use its memory")
        self.is_closed = True
        release(self)

    @property
    def closed(self):
        """Whether it was closed."""
        return self.is_closed

    def __enter__(self):
        live(self)
        return self

    def __exit__(self, kind, error, traceback):
        # What went wrong inside matters more than who still looks at the memory.
        if kind is None or not self.exports:
            self.close()

    # ---- the memory -----------------------------------------------------------

    def __getbuffer__(self, Py_buffer* view, int flags):
        live(self)
        if flags & PyBUF_WRITABLE:
            raise BufferError("a plugin's response is read-only")
        view.obj = self
        view.buf = start_of(self)
        view.len = self.response.len
        view.readonly = True
        view.itemsize = 1
        view.format = <char*> b"B" if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = <Py_ssize_t*> &self.response.len if flags & PyBUF_ND else NULL
        view.strides = &ONE if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1

    def __len__(self):
        live(self)
        return self.response.len

    def __getitem__(self, key):
        """A byte, or a memoryview of several."""
        live(self)
        return PyMemoryView_FromObject(self)[key]

    def __bytes__(self):
        return self.tobytes()

    def __eq__(self, other):
        """Whether it has the same bytes as any other buffer."""
        cdef Py_buffer view
        live(self)
        if not PyObject_CheckBuffer(other):
            return NotImplemented
        try:
            PyObject_GetBuffer(other, &view, PyBUF_SIMPLE)
        except (BufferError, ValueError):
            return NotImplemented
        try:
            return view.len == <Py_ssize_t> self.response.len and (
                view.len == 0 or memcmp(view.buf, self.response.data, view.len) == 0)
        finally:
            PyBuffer_Release(&view)

    def tobytes(self):
        """A copy of its bytes.

        Returns
        -------
        bytes

        Examples
        --------
        >>> import struct
        >>> from gmemx import plugin
        >>> loaded = plugin.load(plugin.sample_library())
        >>> response = loaded.call_raw(2, struct.pack("=2q", 40, 2))
        >>> struct.unpack("=q", response.tobytes())
        (42,)
        """
        live(self)
        return PyBytes_FromStringAndSize(<const char*> self.response.data, self.response.len)

    def tensor(self, dtype="uint8", shape=None):
        """The `Tensor` of its memory, read-only, which keeps it.

        Parameters
        ----------
        dtype : str, DType, numpy.dtype or type
        shape : int or tuple of int, optional
            Without it as many elements as there are.

        Raises
        ------
        PluginArgumentError
            If that does not fit its size exactly; a ValueError.

        Returns
        -------
        Tensor

        Examples
        --------
        >>> import struct
        >>> from gmemx import plugin
        >>> loaded = plugin.load(plugin.sample_library())
        >>> response = loaded.call_raw(2, struct.pack("=2q", 40, 2))
        >>> response.tensor("int64").tolist()
        [42]
        """
        kind = dtype_of(dtype)
        cdef Py_ssize_t count = count_of(self, kind)
        made = tensor_over(
            start_of(self), kind.code, 1, &count, NULL, True, PyMemoryView_FromObject(self))
        return made if shape is None else made.reshape(shape)

    def numpy(self, dtype="uint8", shape=None):
        """The NumPy array of its memory, read-only; parameters and errors as `tensor`.

        Parameters
        ----------
        dtype, shape : optional
            As `tensor`.

        Returns
        -------
        numpy.ndarray

        Examples
        --------
        >>> import struct
        >>> from gmemx import plugin
        >>> loaded = plugin.load(plugin.sample_library())
        >>> response = loaded.call_raw(2, struct.pack("=2q", 40, 2))
        >>> response.numpy("int64").tolist()
        [42]
        """
        import numpy as np

        try:
            kind = np.dtype(dtype)
        except TypeError:
            # One that NumPy does not know by that name.
            return self.tensor(dtype, shape).numpy()
        if kind.hasobject or kind.itemsize == 0:
            raise PluginArgumentError(f"bytes are not {kind}")
        count_of(self, kind)
        made = np.asarray(PyMemoryView_FromObject(self)).view(kind)
        return made if shape is None else made.reshape(shape)

    def __repr__(self):
        if self.is_closed:
            return "PluginResponse(closed)"
        return f"PluginResponse(size={self.response.len})"


cdef inline void release(PluginResponse self) noexcept:
    if self.keeper is None:
        libgmemx.gmem_plugin_response_free(&self.response)
    else:
        self.response.data, self.response.len = NULL, 0
        self.keeper = None


cdef void* start_of(PluginResponse self) noexcept:
    if self.response.data is NULL:
        return &NOTHING
    return <void*> self.response.data


cdef int live(PluginResponse self) except -1:
    if self.is_closed:
        raise PluginArgumentError("the response is closed: its memory is the plugin's again")
    return 0


cdef Py_ssize_t count_of(PluginResponse self, object kind) except -1:
    """How many elements of some kind all its bytes are."""
    live(self)
    count, rest = divmod(self.response.len, kind.itemsize)
    if rest:
        raise PluginArgumentError(f"{self.response.len} bytes are no whole number of {kind}")
    return int(count)


def _over(memory):
    """A response that lies in memory of somebody else's, a memoryview of bytes, which it keeps."""
    cdef PluginResponse self = PluginResponse.__new__(PluginResponse)
    cdef Py_buffer view
    PyObject_GetBuffer(memory, &view, PyBUF_SIMPLE)
    self.response.data, self.response.len = <const uint8_t*> view.buf, view.len
    self.keeper = memory
    # The memoryview holds it from here on.
    PyBuffer_Release(&view)
    return self
