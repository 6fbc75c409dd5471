"""Element types: names, NumPy's and ml_dtypes' counterparts, promotion."""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t
from libc.string cimport strlen

from gmemx cimport libgmemx
from gmemx.status cimport check

import sys

import numpy as np

from gmemx.errors import InvalidArgumentError, UnsupportedError

cdef extern from "Python.h":
    PyObject* PyDict_GetItemWithError(dict, object) except? NULL

cdef list NAMES = [libgmemx.gmem_dtype_name(code).decode() for code in range(DTYPES)]
cdef list ALL = []
# The mark of this machine's byte order in a buffer's format.
cdef char NATIVE = ord("<" if sys.byteorder == "little" else ">")
# What names a dtype, by value: its names; NumPy's scalar types and dtypes. Apart, because
# looking a string up among strings is quick.
cdef dict BY_NAME = {}
cdef dict BY_TYPE = {}


cdef class DType:
    """The type of a tensor's elements.

    Compares equal to its names, to NumPy's dtype and scalar type, and to those of
    ml_dtypes, so ``t.dtype == "float32"`` and ``t.dtype == np.float32`` both work.

    Examples
    --------
    >>> import gmemx
    >>> dtype = gmemx.zeros(3, "bf16").dtype
    >>> dtype
    bfloat16
    >>> dtype == "bfloat16", dtype.itemsize, dtype.bits
    (True, 2, 16)
    """

    def __init__(self):
        raise TypeError("dtypes are not made: name one, such as 'float32'")

    @property
    def name(self):
        """The name NumPy or ml_dtypes gives it, such as ``'float32'``."""
        return NAMES[self.code]

    @property
    def bits(self):
        """Bits of one element: 4 for int4."""
        return GMEMX_DTYPES[self.code].bits

    @property
    def itemsize(self):
        """Bytes of one element; 0.5 for int4, which is packed two to a byte."""
        return 0.5 if self.code == INT4 else GMEMX_DTYPES[self.code].itemsize

    @property
    def kind(self):
        """``'b'`` for bool, ``'i'`` signed, ``'u'`` unsigned, ``'f'`` floating."""
        return chr(GMEMX_DTYPES[self.code].kind)

    @property
    def numpy(self):
        """The NumPy dtype of the same elements.

        Raises
        ------
        NotImplementedError
            For int4, and without ml_dtypes for bfloat16 and float8.
        """
        if GMEMX_DTYPES[self.code].exact:
            return np.dtype(self.name)
        if self.code == INT4:
            raise UnsupportedError("NumPy has no packed int4: convert with astype('int8') first")
        try:
            import ml_dtypes
        except ImportError:
            raise UnsupportedError(
                f"NumPy has no {self.name} of its own: install ml_dtypes, "
                "or convert with astype('float32') first"
            ) from None
        return np.dtype(getattr(ml_dtypes, self.name))

    def __repr__(self):
        return self.name

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        if isinstance(other, DType):
            return self is other
        try:
            return code_of(other) == self.code
        except (TypeError, ValueError):
            return NotImplemented

    def __reduce__(self):
        return dtype, (self.name,)


def dtype(name):
    """The dtype of a name, a NumPy or ml_dtypes dtype or scalar type, or a Python type.

    Parameters
    ----------
    name : str, DType, numpy.dtype or type
        ``'float32'`` or ``'f32'``; `bool`, `int` and `float` are bool, int64 and float64.

    Returns
    -------
    DType

    Raises
    ------
    ValueError
        If a tensor has no such elements.
    TypeError
        If `name` is none of those.

    Examples
    --------
    >>> import gmemx
    >>> gmemx.dtype("f8e4m3"), gmemx.dtype(float)
    (float8_e4m3fn, float64)
    """
    return dtype_of_code(code_of(name))


cdef DType dtype_of_code(int code):
    return <DType> ALL[code]


cdef int code_of(object dtype) except -1:
    cdef PyObject* found
    if type(dtype) is str:
        found = PyDict_GetItemWithError(BY_NAME, dtype)
        if found is not NULL:
            return <object> found
    elif isinstance(dtype, DType):
        return (<DType> dtype).code
    elif isinstance(dtype, (type, np.dtype)):
        found = PyDict_GetItemWithError(BY_TYPE, dtype)
        if found is not NULL:
            return <object> found
    cdef int32_t code = -1
    if isinstance(dtype, str):
        encoded = (<str> dtype).encode("utf-8", "replace").replace(b"\0", b"?")
        check(libgmemx.gmem_dtype_from_name(encoded, &code))
        return code
    if not isinstance(dtype, (type, np.dtype)):
        raise TypeError(
            f"a dtype is a name such as 'float32', a DType or a NumPy dtype, "
            f"not {type(dtype).__name__}"
        )
    try:
        as_numpy = np.dtype(dtype)
    except TypeError:
        raise InvalidArgumentError(f"unknown dtype {dtype!r}") from None
    if not as_numpy.isnative:
        raise InvalidArgumentError(f"dtype {as_numpy.str!r} has foreign byte order")
    check(libgmemx.gmem_dtype_from_name(as_numpy.name.encode(), &code))
    return code


cdef int code_of_format(const char* format, Py_ssize_t itemsize) except -1:
    cdef char item = b"B" if format is NULL else format[0]
    cdef Py_ssize_t length = 1 if format is NULL else strlen(format)
    if length == 2 and (item == b"@" or item == b"=" or item == NATIVE):
        item = format[1]
        length = 1
    cdef int code = -1
    if length == 1:
        if item == b"?":
            code = BOOL
        elif item == b"e":
            code = FLOAT16
        elif item == b"f":
            code = FLOAT32
        elif item == b"d":
            code = FLOAT64
        elif item in b"bhilqn":
            code = INT8 if itemsize == 1 else INT16 if itemsize == 2 else (
                INT32 if itemsize == 4 else INT64)
        elif item in b"cBHILQN":
            code = UINT8 if itemsize == 1 else UINT16 if itemsize == 2 else (
                UINT32 if itemsize == 4 else UINT64)
    if code < 0 or GMEMX_DTYPES[code].itemsize != itemsize:
        shown = "B" if format is NULL else format.decode("latin-1")
        raise InvalidArgumentError(
            f"the buffer's items are {shown!r} of {itemsize} bytes, which no dtype of a tensor is: "
            "name the dtype to see the bytes as"
        )
    return code


cdef int common(int a, int b) except -1:
    if a == b:
        return a
    if b == BOOL:
        return a
    if a == BOOL:
        return b
    # Beside NumPy's types int4 is what it is packed from.
    if a == INT4 and GMEMX_DTYPES[b].exact:
        a = INT8
    elif b == INT4 and GMEMX_DTYPES[a].exact:
        b = INT8
    if GMEMX_DTYPES[a].exact and GMEMX_DTYPES[b].exact:
        return code_of(np.promote_types(
            (<DType> ALL[a]).numpy, (<DType> ALL[b]).numpy))
    raise TypeError(f"{ALL[a]} and {ALL[b]} have no common dtype: convert one of them with astype")


cdef int _make() except -1:
    cdef int code
    cdef DType dtype
    for code in range(DTYPES):
        dtype = DType.__new__(DType)
        dtype.code = code
        ALL.append(dtype)
        # Interned as the names that programs spell out, which are then known by their address.
        BY_NAME[sys.intern(dtype.name)] = code
        if GMEMX_DTYPES[code].exact:
            BY_TYPE[np.dtype(dtype.name)] = code
            BY_TYPE[np.dtype(dtype.name).type] = code
    BY_TYPE.update({bool: BOOL, int: INT64, float: FLOAT64})
    return 0


_make()
