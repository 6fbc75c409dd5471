"""Which exception a failure of the core or of a plugin is: by its number, its text and errno."""

from errno import EAGAIN, EEXIST, ESRCH
from typing import TypeVar

from gmemx.errors import (
    AbiMismatchError,
    AccessDeniedError,
    CancelledError,
    DeadlineError,
    DeviceError,
    FfiError,
    GmemxError,
    HandlerError,
    InitializationFailedError,
    InvalidArgumentError,
    InvalidStateError,
    IoError,
    LockedError,
    MissingFileError,
    NotFoundError,
    NullArgumentError,
    OutOfMemoryError,
    OutOfRangeError,
    PanicError,
    PluginAccessError,
    PluginArgumentError,
    PluginCancelledError,
    PluginConfigError,
    PluginException,
    PluginInternalError,
    PluginIoError,
    PluginMemoryError,
    PluginMissingError,
    PluginRangeError,
    PluginRuntimeError,
    PluginTimeoutError,
    PoolAbiMismatchError,
    PoolAccessError,
    PoolArgumentError,
    PoolDeviceError,
    PoolError,
    PoolExistsError,
    PoolIoError,
    PoolMemoryError,
    PoolMissingError,
    PoolNotFoundError,
    PoolOverflowError,
    PoolPanicError,
    PoolRangeError,
    PoolTimeoutError,
    PoolUnsupportedError,
    ProcessGoneError,
    SerializationError,
    ShutdownFailedError,
    TooManyRequestsError,
    UnknownMessageTypeError,
    UnsupportedError,
    ValueOverflowError,
)

Failure = TypeVar("Failure", bound=GmemxError)

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
        PluginException,
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

PLUGIN_BY_CODE: dict[int, type[PluginException]] = {
    kind.error_code: kind
    for kind in (
        InvalidStateError,
        InitializationFailedError,
        ShutdownFailedError,
        PluginConfigError,
        SerializationError,
        UnknownMessageTypeError,
        HandlerError,
        PluginRuntimeError,
        PluginCancelledError,
        PluginTimeoutError,
        PluginInternalError,
        FfiError,
        TooManyRequestsError,
    )
}

PLUGIN_BY_STATUS: dict[int, type[PluginException]] = {
    NullArgumentError.status: PluginArgumentError,
    PluginTimeoutError.status: PluginTimeoutError,
    UnsupportedError.status: FfiError,
    PanicError.status: PluginInternalError,
} | {
    kind.status: kind
    for kind in (
        PluginArgumentError,
        PluginRangeError,
        PluginMemoryError,
        PluginMissingError,
        PluginAccessError,
        PluginIoError,
    )
}


def from_status(status: int, text: str, errno: int = 0) -> GmemxError:
    """The exception for a ``gmem_status``, its text and the system's errno (0 for none).

    Parameters
    ----------
    status : int
    text : str
    errno : int

    Returns
    -------
    GmemxError

    Examples
    --------
    >>> from_status(3, "too far")
    OutOfRangeError('too far')
    """
    kind = BY_STATUS.get(status, GmemxError)
    if kind is IoError and errno == ESRCH:
        kind = ProcessGoneError
    elif kind is IoError and errno == EAGAIN:
        kind = LockedError
    return _made(kind, status, text, errno)


def pool_error(status: int, text: str, errno: int = 0) -> PoolError:
    """As `from_status`, for the failure of a pool.

    >>> pool_error(10, "too late")
    PoolTimeoutError('too late')
    """
    kind = POOL_BY_STATUS.get(status, PoolError)
    if kind is PoolIoError and errno == EEXIST:
        kind = PoolExistsError
    return _made(kind, status, text, errno)


def plugin_error(code: int, text: str) -> PluginException:
    """The exception for an error that a plugin answered with.

    Its text is a sentence, or a JSON envelope with the sentence in it.

    Parameters
    ----------
    code : int
        The plugin's number for it.
    text : str

    Returns
    -------
    PluginException

    Examples
    --------
    >>> plugin_error(7, '{"error_message": "no such user"}').message
    'no such user'
    """
    message = text
    if text.startswith("{"):
        import json  # here, as importing gmemx need not wait for it

        try:
            message = json.loads(text)["error_message"]
        except (ValueError, LookupError, TypeError, RecursionError):
            message = text
        if not isinstance(message, str):
            message = text
    message = message or "the plugin gave no reason"
    return PLUGIN_BY_CODE.get(code, PluginException)(message, code)


def plugin_failure(status: int, text: str, errno: int = 0) -> PluginException:
    """As `from_status`, for a plugin that could not be asked.

    >>> type(plugin_failure(2, "no name")).__name__
    'PluginArgumentError'
    """
    error = PLUGIN_BY_STATUS.get(status, PluginException)(text)
    error.status = status
    if errno and isinstance(error, OSError):
        error.errno, error.strerror = errno, text
    return error


def _made(kind: type[Failure], status: int, text: str, errno: int) -> Failure:
    error = kind(errno, text) if errno and issubclass(kind, OSError) else kind(text)
    error.status = status
    return error
