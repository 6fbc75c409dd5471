"""Turns a ``gmem_status`` into an exception."""

from gmemx cimport libgmemx

from gmemx._failures import from_status, pool_error


cdef int failed(int32_t status) except -1 nogil:
    with gil:
        text = libgmemx.gmem_last_error().decode("utf-8", "replace")
        raise from_status(status, text, libgmemx.gmem_last_errno())


cdef int failed_pool(int32_t status) except -1 nogil:
    with gil:
        text = libgmemx.gmem_last_error().decode("utf-8", "replace")
        raise pool_error(status, text, libgmemx.gmem_last_errno())


def debug_fail(int status):
    """Fail with a ``gmem_status`` on purpose, for testing what catches it.

    Parameters
    ----------
    status : int
        The number of the status; for ``GMEM_STATUS_PANIC`` the library really panics.

    Raises
    ------
    GmemxError
        The subclass that belongs to `status`.

    Examples
    --------
    >>> import gmemx.status
    >>> gmemx.status.debug_fail(3)
    Traceback (most recent call last):
    gmemx.errors.OutOfRangeError: this failure was asked for
    """
    with nogil:
        check(libgmemx.gmem_debug_fail(status))
