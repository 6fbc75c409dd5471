"""The shared library about itself."""

import os

from gmemx cimport libgmemx
from gmemx.status cimport check

EXPECTED_ABI = libgmemx.GMEM_ABI_VERSION

if libgmemx.gmem_abi_version() != EXPECTED_ABI:
    raise ImportError(
        f"this gmemx is built for ABI {EXPECTED_ABI} of its shared library, "
        f"but the one found has ABI {libgmemx.gmem_abi_version()}: install gmemx again, "
        "with nothing of another version left in its folder"
    )

__version__ = libgmemx.gmem_version().decode()


cdef int require_abi(uint32_t built_for) except -1:
    """What another extension calls first, with the GMEM_ABI_VERSION it was compiled with."""
    return check(libgmemx.gmem_abi_check(built_for))


def cpu_path():
    """The instruction set in use, one of ``'portable'``, ``'avx2'`` and ``'avx512'``.

    Every one gives the same bits.

    Returns
    -------
    str

    Examples
    --------
    >>> import gmemx
    >>> gmemx.cpu_path() in gmemx.info()["cpu"]["available"]
    True
    """
    return libgmemx.gmem_cpu_path().decode()


def set_cpu_path(str path):
    """Select the instruction set for the whole process, for tests and measurements.

    The environment variable ``GMEMX_CPU_PATH`` does it when gmemx is imported.

    Parameters
    ----------
    path : {'auto', 'portable', 'avx2', 'avx512'}

    Raises
    ------
    ValueError
        For another name.
    NotImplementedError
        Where the CPU lacks it.

    Examples
    --------
    >>> import gmemx
    >>> gmemx.set_cpu_path("portable")
    >>> gmemx.cpu_path()
    'portable'
    >>> gmemx.set_cpu_path("auto")
    """
    name = path.encode()
    check(libgmemx.gmem_cpu_select(name))


def _select_from_environment():
    path = os.environ.get("GMEMX_CPU_PATH", "")
    if path:
        try:
            set_cpu_path(path)
        except (NotImplementedError, ValueError) as error:
            raise ImportError(f"the environment variable GMEMX_CPU_PATH: {error}") from None


_select_from_environment()
