"""Virtual arrays in xarray, which indexes them without making an element that is not asked for.

``pip install gmemx[xarray]`` brings what this needs.

Examples
--------
>>> import gmemx, gmemx.xarray
>>> virtual = gmemx.GMemContext(seed=42).array((365, 10**5, 10**5), "float32")
>>> field = gmemx.xarray.data_array(virtual, ("time", "y", "x"), name="field")
>>> corner = field.isel(time=0, x=slice(None, None, 50_000))[-1]
>>> corner.dims, bool((corner.values == virtual[0, -1, ::50_000].numpy()).all())
(('x',), True)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import xarray as xr
    from xarray.backends import BackendArray
    from xarray.core import indexing
except ImportError as error:
    raise ImportError(f"gmemx.xarray needs xarray: pip install gmemx[xarray] ({error})") from error

from gmemx.array import VirtualArray

__all__ = ["data_array", "variable"]


class Lazy(BackendArray):
    """A virtual array as xarray's own readers of files are."""

    __slots__ = ("dtype", "shape", "virtual")

    def __init__(self, virtual: VirtualArray) -> None:
        self.virtual, self.shape, self.dtype = virtual, virtual.shape, virtual.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> npt.NDArray[Any]:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._made
        )

    def _made(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        return np.asarray(self.virtual[(*key, ...)])


def variable(
    virtual: VirtualArray, dims: Sequence[Hashable] | None = None, attrs: Any = None
) -> xr.Variable:
    """A variable whose elements are made when they are asked for.

    Parameters
    ----------
    virtual : VirtualArray
    dims : sequence of str, optional
        The names of its axes; ``dim_0`` and so on without them.
    attrs : mapping, optional

    Returns
    -------
    xarray.Variable

    Raises
    ------
    TypeError
        If it is no VirtualArray.
    ValueError
        If there are not as many names as axes.

    Examples
    --------
    >>> import gmemx, gmemx.xarray
    >>> virtual = gmemx.GMemContext(42).array((10**9, 10**9))
    >>> row = gmemx.xarray.variable(virtual, ("y", "x"))[123_456_789]
    >>> row.shape, row[:3].values.round(3)
    ((1000000000,), array([0.563, 0.808, 0.264]))
    """
    if not isinstance(virtual, VirtualArray):
        raise TypeError(f"a VirtualArray is wanted, not a {type(virtual).__name__}")
    names = [f"dim_{d}" for d in range(virtual.ndim)] if dims is None else dims
    return xr.Variable(names, indexing.LazilyIndexedArray(Lazy(virtual)), attrs)


def data_array(
    virtual: VirtualArray,
    dims: Sequence[Hashable] | None = None,
    coords: Mapping[Any, Any] | None = None,
    name: Hashable | None = None,
    attrs: Any = None,
    chunks: Any = None,
) -> xr.DataArray:
    """A DataArray whose elements are made when they are asked for.

    Indexing makes nothing; ``.values`` and arithmetic make what is left, in memory.

    Parameters
    ----------
    virtual : VirtualArray
    dims, coords, name, attrs : optional
        As `xarray.DataArray` takes them.
    chunks : optional
        If given, elements are made by Dask, in such chunks: see `gmemx.dask.array`.

    Returns
    -------
    xarray.DataArray

    Raises
    ------
    TypeError
        If it is no VirtualArray.
    ValueError
        If names or coordinates do not fit.

    Examples
    --------
    >>> import gmemx, gmemx.xarray
    >>> virtual = gmemx.GMemContext(42).array((10**9, 4))
    >>> table = gmemx.xarray.data_array(virtual, ("row", "side"), {"side": list("NESW")})
    >>> float(table.sel(side="W")[10**8]) == virtual[10**8, 3]
    True
    """
    data = variable(virtual, dims, attrs)
    if chunks is not None:
        from gmemx import dask

        data = xr.Variable(data.dims, dask.array(virtual, chunks), attrs)
    return xr.DataArray(data, coords, data.dims, name, data.attrs)
