"""Whether there is CUDA, and on which devices. The driver is opened at run time."""

from libc.stdint cimport int32_t

from gmemx cimport libgmemx
from gmemx._pool_arguments cimport device_of
from gmemx.status cimport check_pool


def is_available():
    """Whether there is a CUDA driver with at least one device.

    >>> import gmemx.cuda
    >>> gmemx.cuda.is_available() == (gmemx.cuda.why_not() is None)
    True

    Returns
    -------
    bool
    """
    cdef int32_t status
    with nogil:
        status = libgmemx.gmem_cuda_check()
    return status == libgmemx.GMEM_STATUS_OK


def why_not():
    """What is missing where CUDA is not available, a sentence; None where it is.

    Returns
    -------
    str or None

    Examples
    --------
    >>> import gmemx.cuda
    >>> gmemx.cuda.is_available() or len(gmemx.cuda.why_not()) > 10
    True
    """
    if is_available():
        return None
    return libgmemx.gmem_last_error().decode("utf-8", "replace")


def device_count():
    """How many CUDA devices there are.

    Raises
    ------
    NotImplementedError
        Where CUDA is not available; the text is that of `why_not`.

    Returns
    -------
    int

    Examples
    --------
    >>> import gmemx.cuda
    >>> try:
    ...     there = gmemx.cuda.device_count() > 0
    ... except NotImplementedError:
    ...     there = False
    >>> there == gmemx.cuda.is_available()
    True
    """
    cdef int32_t count = 0
    with nogil:
        check_pool(libgmemx.gmem_cuda_device_count(&count))
    return count


def device_name(device_id=0):
    """The name of a CUDA device.

    Parameters
    ----------
    device_id : int

    Raises
    ------
    NotImplementedError
        Where CUDA is not available.
    IndexError
        If there is no such device.

    Returns
    -------
    str

    Examples
    --------
    >>> import gmemx.cuda
    >>> try:
    ...     found = gmemx.cuda.device_name(0) != ""
    ... except NotImplementedError:
    ...     found = False
    >>> found == gmemx.cuda.is_available()
    True
    """
    cdef char[256] name
    cdef int32_t device = device_of(device_id)
    with nogil:
        check_pool(libgmemx.gmem_cuda_device_name(device, name, sizeof(name)))
    return (<const char*> name).decode("utf-8", "replace")
