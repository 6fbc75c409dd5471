"""Memory of every kind at native speed.

Generative memory, a virtual array of 2**64 cells that is computed, not stored:

>>> import gmemx
>>> ctx = gmemx.GMemContext(seed=42)
>>> ctx[0]
0.07779688409536653
>>> ctx[2**63] = 1.5
>>> ctx[2**63], ctx.overlay_count
(1.5, 1)

Shared pools, buffers that processes pass to each other:

>>> pool = gmemx.BufferPool.anonymous()
>>> with pool.acquire((2, 3), "float32") as buffer:
...     buffer.numpy().fill(1.5)
...     buffer.tensor().sum()
9.0
"""

import sys
from typing import TYPE_CHECKING

from gmemx import _requirements  # noqa: F401 (first, as the others need what it looks for)
from gmemx._info import info
from gmemx._platform import ON_LINUX, only_on_linux
from gmemx.array import VirtualArray
from gmemx.delta import Delta
from gmemx.errors import GmemxError, PluginException, PoolError
from gmemx.generative import GMemContext
from gmemx.paths import (
    get_cmake_dir,
    get_include,
    get_library_dir,
    get_pkgconfig_dir,
    library_path,
)
from gmemx.runtime import __version__, cpu_path, set_cpu_path
from gmemx.tensor import DType, Tensor, dtype, empty, from_dlpack, full, zeros

if TYPE_CHECKING:
    from gmemx._plot import plot
    from gmemx.distributions import bernoulli, choice, integers, normal, uniform

FastGMemContext = GMemContext

__all__ = [
    "DType",
    "Delta",
    "FastGMemContext",
    "GMemContext",
    "GmemxError",
    "PluginException",
    "PoolError",
    "Tensor",
    "VirtualArray",
    "__version__",
    "bernoulli",
    "choice",
    "cpu_path",
    "dtype",
    "empty",
    "from_dlpack",
    "full",
    "get_cmake_dir",
    "get_include",
    "get_library_dir",
    "get_pkgconfig_dir",
    "info",
    "integers",
    "library_path",
    "normal",
    "plot",
    "set_cpu_path",
    "uniform",
    "zeros",
]

if ON_LINUX:
    from gmemx.pool import BufferGuard, BufferPool

    __all__ += ["BufferGuard", "BufferPool"]

# Imported when they are first asked for; the first three need extras.
_LATER = ("dask", "xarray", "zarr", "distributions", "plugin", "scan")
# So are the modules of these.
_PARTS = {
    "plot": "gmemx._plot",
    "bernoulli": "gmemx.distributions",
    "choice": "gmemx.distributions",
    "integers": "gmemx.distributions",
    "normal": "gmemx.distributions",
    "uniform": "gmemx.distributions",
}
_LINUX = {
    "BufferGuard": "shared pools",
    "BufferPool": "shared pools",
    "cuda": "shared pools",
    "pool": "shared pools",
    "scan": "the scanner",
}


def __getattr__(name: str) -> object:
    """Import what is seldom needed; say what is not here."""
    if name in _LINUX:
        only_on_linux(_LINUX[name])
    if name in _LATER or name in _PARTS:
        from importlib import import_module

        if name in _LATER:
            return import_module(f"gmemx.{name}")
        part: object = getattr(import_module(_PARTS[name]), name)
        return globals().setdefault(name, part)
    raise AttributeError(f"module 'gmemx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "distributed" in sys.modules:
    # A process of a Dask cluster is to know gmemx's objects however it came to import this.
    from gmemx import _distributed

    _distributed.register()
