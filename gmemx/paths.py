"""Where the shared library and the C header are, for those who build on gmemx."""

import os.path
import sys

_PACKAGE = os.path.dirname(os.path.realpath(__file__))
_LIBRARY = {"win32": "gmemx.dll", "darwin": "libgmemx.dylib"}.get(sys.platform, "libgmemx.so")


def library_path() -> str:
    """The shared library's path, for ``ctypes.CDLL``.

    >>> import ctypes, gmemx
    >>> ctypes.CDLL(gmemx.library_path()).gmem_abi_version()
    1
    """
    return os.path.join(_PACKAGE, _LIBRARY)


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
    return _PACKAGE


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
    installed = os.path.join(_PACKAGE, "include")
    # An editable install uses the checkout's own header.
    checkout = os.path.join(os.path.dirname(_PACKAGE), "include")
    return installed if os.path.isdir(installed) else checkout


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
    return os.path.join(_PACKAGE, "pkgconfig")


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
    return os.path.join(_PACKAGE, "cmake")
