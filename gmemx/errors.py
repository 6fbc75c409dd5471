"""The exceptions of gmemx.

Each is a `GmemxError` and the built-in exception that a Python programmer
expects, so ``except IndexError`` and ``except gmemx.GmemxError`` both work.
Failures of shared pools are `PoolError` and RuntimeError besides, those of plugins
`PluginException` and RuntimeError.
"""

from typing import Any


class GmemxError(Exception):
    """Any failure of gmemx.

    Attributes
    ----------
    status : int
        The number of the ``gmem_status`` behind it.

    Examples
    --------
    >>> import gmemx
    >>> try:
    ...     gmemx.GMemContext(-1)
    ... except gmemx.GmemxError as error:
    ...     print(type(error).__name__, error.status)
    ValueOverflowError 4
    """

    status: int = 0

    def __reduce__(self) -> str | tuple[Any, ...]:
        # The same as without it. But tblib, which Dask brings along, pickles exceptions that have
        # none of their own in a way that does not suit two built-in bases.
        return super().__reduce__()


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


class LockedError(IoError, BlockingIOError):
    """Another has the file open for writing."""


class UnknownCheckpointError(NotFoundError, KeyError):
    """A scanner has no checkpoint of that name."""

    # A KeyError would print the whole sentence in quotes.
    __str__ = Exception.__str__


class DivisionError(InvalidArgumentError, ZeroDivisionError):
    """Values in memory were to be divided by zero."""


class MergeConflictError(InvalidArgumentError):
    """Cells were changed on both sides.

    Attributes
    ----------
    addresses : numpy.ndarray of uint64
        Where; in ascending order.
    """

    def __init__(self, text: str, addresses: Any) -> None:
        super().__init__(text, addresses)
        self.addresses = addresses

    def __str__(self) -> str:
        return str(self.args[0])


class PoolError(GmemxError, RuntimeError):
    """Any failure of a shared pool; also the exception that belongs to its status.

    Examples
    --------
    >>> import gmemx
    >>> pool = gmemx.BufferPool.anonymous(capacity=1)
    >>> try:
    ...     pool.get(0)
    ... except gmemx.PoolError as error:
    ...     print(type(error).__name__, isinstance(error, LookupError))
    PoolNotFoundError True
    """


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


class PluginException(GmemxError, RuntimeError):  # noqa: N818 (the name plugins' callers know)
    """Any failure of a plugin: it answered with an error, or could not be asked.

    Parameters
    ----------
    message : str
    error_code : int, optional
        By default that of the class.

    Attributes
    ----------
    message : str
    error_code : int
        The number of the subclass: 1 to 13, or one of the plugin's own.

    Examples
    --------
    >>> from gmemx.plugin import PluginException
    >>> str(PluginException("no such user", 7))
    '[7] no such user'
    """

    status = 16
    error_code = 1

    def __init__(self, message: str = "", error_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if error_code is not None:
            self.error_code = error_code

    def __str__(self) -> str:
        return f"[{self.error_code}] {self.message}"


class InvalidStateError(PluginException):
    """The plugin was shut down, has failed, or may not be called from here."""

    error_code = 1


class InitializationFailedError(PluginException):
    """The plugin could not be started."""

    error_code = 2


class ShutdownFailedError(PluginException):
    """The plugin could not be stopped in good order."""

    error_code = 3


class PluginConfigError(PluginException, InvalidArgumentError):
    """A configuration that makes no sense."""

    status = 2
    error_code = 4


class SerializationError(PluginException, ValueError):
    """A request or a response that is not what it should be."""

    error_code = 5


class UnknownMessageTypeError(PluginException, LookupError):
    """The plugin has no handler of that tag or number."""

    error_code = 6


class HandlerError(PluginException):
    """A handler of the plugin failed."""

    error_code = 7


class PluginRuntimeError(PluginException):
    """What the plugin runs on failed."""

    error_code = 8


class PluginCancelledError(PluginException):
    """The plugin gave the call up."""

    error_code = 9


class PluginTimeoutError(PluginException, DeadlineError):
    """The time given ran out."""

    status = 10
    error_code = 10


class PluginInternalError(PluginException):
    """The plugin panicked, or its process ended."""

    error_code = 11


class FfiError(PluginException):
    """A library that is no plugin, or does not have what was asked of it."""

    error_code = 12


class TooManyRequestsError(PluginException):
    """The plugin runs as many calls as it takes at once."""

    error_code = 13


class BundleError(PluginException):
    """A bundle of plugins that is damaged, or has not what was asked for."""

    error_code = 4


class SignatureError(BundleError):
    """A bundle that was not signed by whom the caller trusts."""

    error_code = 12


class BundleExistsError(BundleError, FileExistsError):
    """A file that something should be extracted to is there already, and stays as it is."""


# Failures before a plugin could be asked; each is the exception of its status, too.
class PluginArgumentError(InvalidArgumentError, PluginException):
    """A value that makes no sense to a plugin."""

    error_code = 12


class PluginLibraryError(FfiError, InvalidArgumentError):
    """A file that is no library, or a library that is no plugin."""

    status = 2


class PluginRangeError(OutOfRangeError, PluginException):
    """A response that is larger than the room for it."""

    error_code = 5


class PluginMemoryError(OutOfMemoryError, PluginException):
    """Memory was refused; what existed before is unharmed."""

    error_code = 8


class PluginMissingError(MissingFileError, PluginException):
    """No such library."""

    error_code = 2


class PluginAccessError(AccessDeniedError, PluginException):
    """The system refused permission to read a library."""

    error_code = 2


class PluginIoError(IoError, PluginException):
    """The system reported an error; ``errno`` tells which."""

    error_code = 2
