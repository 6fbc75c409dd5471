"""Where the shared library and the C header are, for those who build on gmemx."""

import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_LIBRARY = {"win32": "gmemx.dll", "darwin": "libgmemx.dylib"}.get(sys.platform, "libgmemx.so")


def library_path() -> str:
    """The shared library's path, for ``ctypes.CDLL``.

    >>> import ctypes, gmemx
    >>> ctypes.CDLL(gmemx.library_path()).gmem_abi_version()
    1
    """
    return str(_PACKAGE / _LIBRARY)


def get_library_dir() -> str:
    """The folder of the shared library, for ``-L`` and ``-rpath``."""
    return str(_PACKAGE)


def get_include() -> str:
    """The folder of ``gmemx.h``, for ``-I`` and ``include_dirs``."""
    installed = _PACKAGE / "include"
    # An editable install uses the checkout's own header.
    return str(installed if installed.is_dir() else _PACKAGE.parent / "include")


def get_pkgconfig_dir() -> str:
    """The folder of ``gmemx.pc``, for ``PKG_CONFIG_PATH``."""
    return str(_PACKAGE / "pkgconfig")


def get_cmake_dir() -> str:
    """The folder of ``gmemxConfig.cmake``, for ``-Dgmemx_DIR``."""
    return str(_PACKAGE / "cmake")
