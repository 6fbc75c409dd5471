"""The shared library about itself."""

from gmemx cimport libgmemx
from gmemx.status cimport check

# Raised together with ABI_VERSION in rustlib/src/ffi/runtime.rs.
EXPECTED_ABI = 1

if libgmemx.gmem_abi_version() != EXPECTED_ABI:
    raise ImportError(
        f"this gmemx is built for ABI {EXPECTED_ABI} of its shared library, "
        f"but the one found has ABI {libgmemx.gmem_abi_version()}"
    )

__version__ = libgmemx.gmem_version().decode()


def cpu_path():
    """The instruction set in use: ``'avx2'`` or ``'portable'``. Every one gives the same bits."""
    return libgmemx.gmem_cpu_path().decode()


def set_cpu_path(str path):
    """Select the instruction set for the whole process, for tests and measurements.

    Parameters
    ----------
    path : {'auto', 'portable', 'avx2'}

    Raises
    ------
    ValueError
        For another name.
    NotImplementedError
        Where the CPU lacks it.
    """
    name = path.encode()
    check(libgmemx.gmem_cpu_select(name))
