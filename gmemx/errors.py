"""The exceptions of gmemx.

Each is a `GmemxError` and the built-in exception that a Python programmer
expects, so ``except IndexError`` and ``except gmemx.GmemxError`` both work.
"""


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
    )
}


def from_status(status: int, text: str, errno: int = 0) -> GmemxError:
    """The exception for a ``gmem_status``, its text and the system's errno (0 for none)."""
    kind = BY_STATUS.get(status, GmemxError)
    error = kind(errno, text) if errno and issubclass(kind, OSError) else kind(text)
    error.status = status
    return error
