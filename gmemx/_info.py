"""What this gmemx is, and what it finds on this machine."""

from __future__ import annotations

import os
import sys
from typing import Any

CPU_PATHS = ("avx512", "avx2", "portable")
KINDS = ("generative", "array", "tensor", "pool", "scan", "plugin")


def info() -> dict[str, Any]:
    """Tell what this gmemx is, and what it finds on this machine.

    ``gmemx info`` prints it. A report of a defect should have it.

    Returns
    -------
    dict
        Plain values that ``json.dumps`` takes: ``gmemx`` (version, ABI, where library and
        headers are, which kinds of memory there are), ``python``, ``numpy``, ``system``, ``cpu``
        (the paths available and the one in use), ``cuda`` (whether, else why not),
        ``kernel`` (what the system offers; empty where it is not Linux) and ``extras`` (what
        is installed of the packages that each extra of gmemx names; None for one that is not).

    Examples
    --------
    >>> import gmemx
    >>> found = gmemx.info()
    >>> found["gmemx"]["version"] == gmemx.__version__
    True
    >>> found["cpu"]["used"] in found["cpu"]["available"]
    True
    """
    import platform

    import numpy as np

    return {
        "gmemx": _package(),
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        },
        "numpy": np.__version__,
        "system": {
            "name": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip() or None,
            "cores": len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count(),
        },
        "cpu": _cpu(),
        "cuda": _cuda(),
        "kernel": _kernel() if sys.platform == "linux" else {},
        "extras": _extras(),
    }


def _package() -> dict[str, Any]:
    from importlib.util import find_spec

    from gmemx.paths import get_include, library_path
    from gmemx.runtime import EXPECTED_ABI, __version__

    return {
        "version": __version__,
        "abi": EXPECTED_ABI,  # the library's own, or the import would have failed
        "library": library_path(),
        "headers": get_include(),
        "kinds": [name for name in KINDS if find_spec(f"gmemx.{name}") is not None],
    }


def _cpu() -> dict[str, Any]:
    from gmemx.runtime import cpu_path, set_cpu_path

    used = cpu_path()
    available = []
    for path in CPU_PATHS:
        # Every path gives the same bits, so nobody notices that they are tried.
        try:
            set_cpu_path(path)
        except (NotImplementedError, ValueError):
            continue
        available.append(path)
    set_cpu_path(used)
    return {"used": used, "available": available}


def _cuda() -> dict[str, Any]:
    try:
        from gmemx import cuda
    except ImportError:
        return {"available": False, "why_not": "gmemx has no CUDA on this system", "devices": []}
    if not cuda.is_available():
        return {"available": False, "why_not": cuda.why_not(), "devices": []}
    names = [cuda.device_name(number) for number in range(cuda.device_count())]
    return {"available": True, "why_not": None, "devices": names}


def _kernel() -> dict[str, Any]:
    return {
        "memfd": _works(_memfd),
        "pidfd": _works(_pidfd),
        "ofd_locks": _works(_lock),
        "process_vm_readv": _works(_read_memory),
        "pagemap_scan": _works(_scan_pages),
        "yama_ptrace_scope": _yama(),
        "shared_memory_free": _free("/dev/shm"),
    }


def _works(attempt: Any) -> bool:
    try:
        attempt()
    except (OSError, AttributeError):
        return False
    return True


def _memfd() -> None:
    os.close(os.memfd_create("gmemx-info"))


def _pidfd() -> None:
    os.close(os.pidfd_open(os.getpid()))


def _lock() -> None:
    import fcntl
    import struct

    descriptor = os.memfd_create("gmemx-info")
    try:
        # struct flock of a 64-bit system: type, whence, start, length, process.
        lock = struct.pack("hh4xqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
    finally:
        os.close(descriptor)


def _read_memory() -> None:
    """Read 8 bytes of this process as if they were another's; a sandbox may forbid that."""
    import ctypes

    class Piece(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    source, target = ctypes.c_uint64(1), ctypes.c_uint64(0)
    pieces = [Piece(ctypes.addressof(cell), 8) for cell in (target, source)]
    function = ctypes.CDLL(None, use_errno=True).process_vm_readv
    function.restype = ctypes.c_ssize_t
    there, here = (ctypes.byref(piece) for piece in reversed(pieces))
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if function(os.getpid(), here, one, there, one, none) != 8:
        raise OSError(ctypes.get_errno(), "process_vm_readv")


def _scan_pages() -> None:
    import fcntl
    import struct

    # struct pm_scan_arg of linux/fs.h, twelve numbers of 64 bits, about no page at all.
    argument = struct.pack("12Q", 96, *[0] * 11)
    with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
        fcntl.ioctl(pagemap, 0xC0606610, argument)


def _yama() -> int | None:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _free(folder: str) -> int | None:
    try:
        system = os.statvfs(folder)
    except OSError:
        return None
    return system.f_bavail * system.f_frsize


def _extras() -> dict[str, dict[str, str | None]]:
    import re
    from importlib import metadata

    try:
        about = metadata.metadata("gmemx")
    except metadata.PackageNotFoundError:
        return {}
    extras: dict[str, dict[str, str | None]] = {
        name: {} for name in about.get_all("Provides-Extra") or () if name != "all"
    }
    for line in about.get_all("Requires-Dist") or ():
        extra = re.search(r"""extra == ['"]([\w.-]+)['"]""", line)
        package = re.match(r"[\w.-]+", line)
        if extra and package and extra[1] in extras:
            try:
                version = metadata.version(package[0])
            except metadata.PackageNotFoundError:
                version = None
            extras[extra[1]][package[0]] = version
    return extras
