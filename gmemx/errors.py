"""The exceptions of gmemx.

Each is a `GmemxError` and the built-in exception that a Python programmer
expects, so ``except IndexError`` and ``except gmemx.GmemxError`` both work.
Failures of shared pools are `PoolError` and RuntimeError besides.
"""

from errno import EEXIST, ESRCH
from typing import TypeVar

Failure = TypeVar("Failure", bound="GmemxError")


class GmemxError(Exception):
    """Any failure of gmemx.

    Attributes
    ----------
    status : int
        The number of the ``gmem_status`` behind it.
    """

    status: int = 0


class InvalidArgumentError(GmemxError, ValueError):
    """A value that makes no sense."""

    status = 2


class NullArgumentError(InvalidArgumentError):
    """A NULL pointer where an object was wanted."""

    status = 1


class OutOfRangeError(GmemxError, IndexError):
    """An index or address outside what there is."""

    status = 3


class ValueOverflowError(GmemxError, OverflowError):
    """A number that does not fit where it should go."""

    status = 4


class OutOfMemoryError(GmemxError, MemoryError):
    """Memory was refused; what existed before is unharmed."""

    status = 5


class NotFoundError(GmemxError, LookupError):
    """Nothing of that name or key."""

    status = 6


class MissingFileError(GmemxError, FileNotFoundError):
    """No such file."""

    status = 7


class AccessDeniedError(GmemxError, PermissionError):
    """The system refused permission."""

    status = 8


class IoError(GmemxError, OSError):
    """The system reported an error; ``errno`` tells which."""

    status = 9


class DeadlineError(GmemxError, TimeoutError):
    """The time given ran out."""

    status = 10


class UnsupportedError(GmemxError, NotImplementedError):
    """Not available on this system."""

    status = 11


class AbiMismatchError(GmemxError, RuntimeError):
    """Built for another version of the shared library."""

    status = 12


class DeviceError(GmemxError, RuntimeError):
    """A device failed."""

    status = 13


class PanicError(GmemxError, RuntimeError):
    """A defect in gmemx: please report it."""

    status = 14


class CancelledError(GmemxError, RuntimeError):
    """A long operation was told to stop, and changed nothing."""

    status = 15


class ProcessGoneError(IoError, ProcessLookupError):
    """The process has ended, or there never was one."""


class UnknownCheckpointError(NotFoundError, KeyError):
    """A scanner has no checkpoint of that name."""

    # A KeyError would print the whole sentence in quotes.
    __str__ = Exception.__str__


class DivisionError(InvalidArgumentError, ZeroDivisionError):
    """Values in memory were to be divided by zero."""


class PoolError(GmemxError, RuntimeError):
    """Any failure of a shared pool; also the exception that belongs to its status."""


# The other base comes first: an OSError keeps its errno only where its own __init__ is found.
class PoolArgumentError(InvalidArgumentError, PoolError):
    """A value that makes no sense to a pool, or the use of what was closed or released."""


class PoolRangeError(OutOfRangeError, PoolError):
    """An index of no buffer."""


class PoolOverflowError(ValueOverflowError, PoolError):
    """More references than can be counted."""


class PoolMemoryError(OutOfMemoryError, PoolError):
    """The system has no shared memory left."""


class PoolNotFoundError(NotFoundError, PoolError):
    """A buffer that is free by now, or a reference that is not there."""


class PoolMissingError(MissingFileError, PoolError):
    """No pool of that name, or one whose processes are all dead."""


class PoolAccessError(AccessDeniedError, PoolError):
    """Writing what may only be read, or a pool of somebody else's."""


class PoolIoError(IoError, PoolError):
    """The system reported an error; ``errno`` tells which."""


class PoolExistsError(PoolIoError, FileExistsError):
    """A live pool has that name."""


class PoolTimeoutError(DeadlineError, PoolError):
    """No buffer became free in the time given."""


class PoolUnsupportedError(UnsupportedError, PoolError):
    """Not available on this system."""


class PoolAbiMismatchError(AbiMismatchError, PoolError):
    """Built for another version of the shared library."""


class PoolDeviceError(DeviceError, PoolError):
    """A device failed."""


class PoolPanicError(PanicError, PoolError):
    """A defect in gmemx: please report it."""


BY_STATUS: dict[int, type[GmemxError]] = {
    kind.status: kind
    for kind in (
        NullArgumentError,
        InvalidArgumentError,
        OutOfRangeError,
        ValueOverflowError,
        OutOfMemoryError,
        NotFoundError,
        MissingFileError,
        AccessDeniedError,
        IoError,
        DeadlineError,
        UnsupportedError,
        AbiMismatchError,
        DeviceError,
        PanicError,
        CancelledError,
    )
}

POOL_BY_STATUS: dict[int, type[PoolError]] = {NullArgumentError.status: PoolArgumentError} | {
    kind.status: kind
    for kind in (
        PoolArgumentError,
        PoolRangeError,
        PoolOverflowError,
        PoolMemoryError,
        PoolNotFoundError,
        PoolMissingError,
        PoolAccessError,
        PoolIoError,
        PoolTimeoutError,
        PoolUnsupportedError,
        PoolAbiMismatchError,
        PoolDeviceError,
        PoolPanicError,
    )
}


def from_status(status: int, text: str, errno: int = 0) -> GmemxError:
    """The exception for a ``gmem_status``, its text and the system's errno (0 for none)."""
    kind = BY_STATUS.get(status, GmemxError)
    if kind is IoError and errno == ESRCH:
        kind = ProcessGoneError
    return _made(kind, status, text, errno)


def pool_error(status: int, text: str, errno: int = 0) -> PoolError:
    """As `from_status`, for the failure of a pool."""
    kind = POOL_BY_STATUS.get(status, PoolError)
    if kind is PoolIoError and errno == EEXIST:
        kind = PoolExistsError
    return _made(kind, status, text, errno)


def _made(kind: type[Failure], status: int, text: str, errno: int) -> Failure:
    error = kind(errno, text) if errno and issubclass(kind, OSError) else kind(text)
    error.status = status
    return error
