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
    """The folder of the shared library, for ``-L`` and ``-rpath``.

    Returns
    -------
    str

    Examples
    --------
    >>> import os, gmemx
    >>> os.path.dirname(gmemx.library_path()) == gmemx.get_library_dir()
    True
    """
    return str(_PACKAGE)


def get_include() -> str:
    """The folder of ``gmemx.h``, for ``-I`` and ``include_dirs``.

    Returns
    -------
    str

    Examples
    --------
    >>> import os, gmemx
    >>> os.path.exists(os.path.join(gmemx.get_include(), "gmemx.h"))
    True
    """
    installed = _PACKAGE / "include"
    # An editable install uses the checkout's own header.
    return str(installed if installed.is_dir() else _PACKAGE.parent / "include")


def get_pkgconfig_dir() -> str:
    """The folder of ``gmemx.pc``, for ``PKG_CONFIG_PATH``.

    Returns
    -------
    str

    Examples
    --------
    >>> import os, gmemx
    >>> os.path.isabs(gmemx.get_pkgconfig_dir())
    True
    """
    return str(_PACKAGE / "pkgconfig")


def get_cmake_dir() -> str:
    """The folder of ``gmemxConfig.cmake``, for ``-Dgmemx_DIR``.

    Returns
    -------
    str

    Examples
    --------
    >>> import os, gmemx
    >>> os.path.isabs(gmemx.get_cmake_dir())
    True
    """
    return str(_PACKAGE / "cmake")
