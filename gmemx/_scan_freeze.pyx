"""Values that stay what they are, because a thread of the library's writes them again."""

from libc.stdint cimport int32_t, uint64_t
from libcpp cimport bool

from gmemx cimport libgmemx
from gmemx._buffers cimport address_of
from gmemx._scan_source cimport Source
from gmemx._scan_values cimport NAMES, SIZES, bits_of, swapped, type_of
from gmemx.status cimport check

import sys

from gmemx.errors import InvalidArgumentError

# By what callers say.
cdef dict DIRECTIONS = {None: 0, "up": 1, "down": -1}


class Freeze:
    """A value that is kept as it is; a context manager that lets it go.

    Made by `Source.freeze`. It goes on without this object, until the source is closed.

    Attributes
    ----------
    address : int
    value : int or float
    type : str
        NumPy's name of the type.
    direction : {None, 'up', 'down'}
        Changes that are let be.

    Examples
    --------
    >>> import time
    >>> from gmemx import scan
    >>> data = bytearray(4)
    >>> with scan.open_buffer(data) as source, source.freeze(1, 7, "u8") as frozen:
    ...     data[1] = 0
    ...     while not data[1]:
    ...         time.sleep(0.001)
    ...     frozen.writes >= 2, frozen.active
    (True, True)
    """

    __slots__ = ("__weakref__", "_number", "_source", "_told")

    def __init__(self, source, number, told):
        self._source, self._number, self._told = source, number, told

    @property
    def address(self):
        return self._told[0]

    @property
    def value(self):
        return self._told[1]

    @property
    def type(self):
        return self._told[2]

    @property
    def direction(self):
        return self._told[3]

    @property
    def writes(self):
        """How often it was written."""
        return state_of(self._source, self._number)[0]

    @property
    def active(self):
        """Whether it is still kept: not once it was let go, or the process has ended."""
        return state_of(self._source, self._number)[1]

    @property
    def errno(self):
        """The system's number for why it could not be written last; 0 where it could."""
        return state_of(self._source, self._number)[2]

    def stop(self):
        """Let it go; it is not written any more when this returns. Again does nothing.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> frozen = source.freeze(4, 5, "int32")
        >>> frozen.stop()
        >>> memory[1] = 6
        >>> memory[1].item()
        6
        """
        remove(self._source, self._number)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.stop()

    def __repr__(self):
        address, value, type, direction = self._told
        way = "" if direction is None else f", {direction}"
        state = "" if self.active else ", ended"
        return f"<Freeze of {address:#x} at {value} ({type}{way}){state}>"


def freeze(Source source not None, address, value, type, direction, interval):
    """`Source.freeze`."""
    cdef uint64_t at = address_of(address), number = 0, pause
    cdef bint big = False
    cdef int kind = type_of(type, &big)
    cdef uint64_t bits = bits_of(value, kind)
    cdef int32_t way
    if direction not in DIRECTIONS:
        raise InvalidArgumentError(f"direction must be None, 'up' or 'down', not {direction!r}")
    way = DIRECTIONS[direction]
    if big != (sys.byteorder == "big"):
        if way:
            raise InvalidArgumentError(
                f"a direction needs values of this machine's byte order, and {type!r} has not")
        bits = swapped(bits, SIZES[kind])
    if not 1e-6 <= float(interval) <= 3600.0:
        raise InvalidArgumentError(
            f"interval must be from a microsecond to 3600 seconds, not {interval}")
    pause = <uint64_t> (float(interval) * 1e6)
    source.pin()
    try:
        if source.freezer is NULL:
            check(libgmemx.gmem_freezer_new(source.ptr, &source.freezer))
        check(libgmemx.gmem_freezer_add(source.freezer, at, kind, bits, way, pause, &number))
    finally:
        source.unpin()
    source.frozen[number] = (int(at), value, NAMES[kind], direction)
    return Freeze(source, number, source.frozen[number])


def freezes(Source source not None):
    """`Source.freezes`."""
    return [Freeze(source, number, told) for number, told in source.frozen.items()]


cdef tuple state_of(Source source, object number):
    """How often it was written, whether it is kept, and the last errno."""
    cdef uint64_t writes = 0
    cdef bool active = False
    cdef int32_t error = 0
    if number not in source.frozen:
        return 0, False, 0
    check(libgmemx.gmem_freezer_state(source.freezer, number, &writes, &active, &error))
    return writes, active, error


cdef int remove(Source source, object number) except -1:
    if source.frozen.pop(number, None) is not None:
        check(libgmemx.gmem_freezer_remove(source.freezer, number))
    return 0
