"""xarray reads virtual arrays as it reads files."""

import numpy as np
import pytest
import xarray as xr
from arrays import DISTRIBUTIONS, PAIRS, keys, made, shapes, views
from hypothesis import given, settings
from hypothesis import strategies as st

import gmemx.xarray
from gmemx import GMemContext


def names_new_axes(key):
    """Whether a key has None, which xarray does not take."""
    return any(part is None for part in (key if isinstance(key, tuple) else (key,)))


@settings(max_examples=40)
@given(st.data(), shapes, st.sampled_from(PAIRS))
def test_xarray_indexes_as_numpy(data, shape, pair):
    name, dtype = pair
    view, stored = data.draw(views(GMemContext(7).array(shape, dtype, 5, "C", DISTRIBUTIONS[name])))
    table = gmemx.xarray.data_array(view)
    assert (table.shape, table.dtype) == (stored.shape, stored.dtype)
    np.testing.assert_array_equal(table.values, stored)
    parts = data.draw(keys(stored.shape).filter(lambda key: not names_new_axes(key)))
    # xarray turns no slices of nothing round.
    if stored[parts].size:
        np.testing.assert_array_equal(table[parts].values, stored[parts])


def test_xarray_makes_only_what_is_asked_for():
    huge = GMemContext(7).array((10**6, 10**6, 10**6), distribution="normal")
    table = gmemx.xarray.data_array(huge, ("t", "y", "x"), name="field")
    assert table.nbytes == 8 * 10**18
    assert "values with dtype=float64" in repr(table)
    part = table.isel(t=5, y=slice(10, 20)).isel(x=[3, 1, 10**5])
    np.testing.assert_array_equal(part.values, huge[5, 10:20].T[: 10**5 + 1].numpy()[[3, 1, -1]].T)
    diagonal = table.isel(t=0, y=xr.DataArray([1, 2], dims="i"), x=xr.DataArray([5, 6], dims="i"))
    assert diagonal.values.tolist() == [huge[0, 1, 5], huge[0, 2, 6]]


def test_xarray_over_dask():
    array = made()
    table = gmemx.xarray.data_array(array, ("y", "x"), {"x": range(70)}, chunks=(25, 35))
    assert table.chunks == ((25,) * 4, (35, 35))
    assert table.sum().compute() == pytest.approx(array.sum())
    mean = (table * 2).sel(x=slice(10, 20)).mean("y")
    np.testing.assert_allclose(mean.values, array.numpy()[:, 10:21].mean(axis=0) * 2)


def test_what_xarray_does_not_take():
    with pytest.raises(TypeError, match="not a ndarray"):
        gmemx.xarray.variable(np.ones(3))
    with pytest.raises(ValueError, match="dim"):
        gmemx.xarray.variable(made(), ("x",))
