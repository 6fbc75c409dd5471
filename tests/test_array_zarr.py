"""zarr reads virtual arrays as it reads files."""

import asyncio
import json
import pickle

import numpy as np
import pytest
from arrays import DISTRIBUTIONS, HAS_ZARR, NO_ZARR, PAIRS, made, shapes, views
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemx import GMemContext

if not HAS_ZARR:
    pytest.skip(NO_ZARR, allow_module_level=True)

import xarray as xr
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

import gmemx.xarray
import gmemx.zarr


@settings(max_examples=40)
@given(st.data(), shapes, st.sampled_from(PAIRS))
def test_zarr_reads_the_elements(data, shape, pair):
    name, dtype = pair
    context = GMemContext(7)
    view, stored = data.draw(views(context.array(shape, dtype, 5, "C", DISTRIBUTIONS[name])))
    chunks = data.draw(st.one_of(
        st.just("auto"), st.tuples(*[st.integers(1, extent + 2) for extent in view.shape])
    ))  # fmt: skip
    z = zarr.open_array(gmemx.zarr.store(view, chunks), mode="r")
    assert (z.shape, z.dtype) == (stored.shape, stored.dtype)
    np.testing.assert_array_equal(z[...], stored)
    key = tuple(slice(0, data.draw(st.integers(0, extent))) for extent in view.shape)
    np.testing.assert_array_equal(z[key], stored[key])


def test_a_petabyte_is_read_chunk_by_chunk():
    array = GMemContext(7).array((10**5, 10**5, 10**5))
    z = zarr.open_array(gmemx.zarr.store(array), mode="r")
    assert z.nbytes == 8 * 10**15
    np.testing.assert_array_equal(z[5, 10**4, -5:], array[5, 10**4, -5:].numpy())
    # As the array is at that moment.
    array[5, 10**4, -1] = 5.0
    assert z[5, 10**4, -1] == 5.0


def test_what_a_zarr_store_has():
    store = gmemx.zarr.store(made((5, 7)), chunks=(2, 4))

    async def everything():
        folders = {}
        for path in ("", "c", "c/1", "d"):
            folders[path] = {key async for key in store.list_dir(path)}
        keys = ("zarr.json", "c/2/1", "c/3/0", "c/0", "c/00/0")
        there = [await store.exists(key) for key in keys]
        listed = [key async for key in store.list()]
        return listed, [key async for key in store.list_prefix("c/1")], folders, there

    listed, below, folders, there = asyncio.run(everything())
    chunks = [f"c/{i}/{j}" for i in range(3) for j in range(2)]
    assert listed == ["zarr.json", *chunks]
    assert below == ["c/1/0", "c/1/1"]
    assert folders == {"": {"zarr.json", "c"}, "c": {"0", "1", "2"}, "c/1": {"0", "1"}, "d": set()}
    assert there == [True, True, False, False, False]
    assert store == gmemx.zarr.store(store.virtual, (2, 4)) != gmemx.zarr.store(store.virtual, 3)
    again = zarr.open_array(pickle.loads(pickle.dumps(store)), mode="r")
    np.testing.assert_array_equal(again[:], store.virtual.numpy())


def test_bytes_of_a_chunk():
    store = gmemx.zarr.store(made((4, 4), dtype="float32"), chunks=(2, 2))
    expected = store.virtual[2:, :2].numpy().tobytes()
    prototype = default_buffer_prototype()

    async def read(wanted):
        key = "c/1/0"
        (part,) = await store.get_partial_values(prototype, [(key, wanted)])
        assert part.to_bytes() == (await store.get(key, prototype, wanted)).to_bytes()
        return part.to_bytes()

    assert asyncio.run(read(None)) == expected
    assert asyncio.run(read(RangeByteRequest(3, 9))) == expected[3:9]
    assert asyncio.run(read(OffsetByteRequest(5))) == expected[5:]
    assert asyncio.run(read(SuffixByteRequest(6))) == expected[-6:]
    assert asyncio.run(store.get("c/9/9", prototype)) is None


def test_a_zarr_array_of_a_virtual_one_as_data(tmp_path):
    array = made()
    z = zarr.create_array(str(tmp_path / "whole.zarr"), data=np.asarray(array), chunks=(30, 30))
    np.testing.assert_array_equal(z[:], array.numpy())
    z = zarr.create_array(tmp_path / "parts.zarr", shape=array.shape, dtype=array.dtype,
                          chunks=(30, 30))  # fmt: skip
    for key, chunk in array.chunks(500):
        z[key] = chunk
    for start in range(0, 100, 30):
        z[start : start + 30] = array[start : start + 30]
    np.testing.assert_array_equal(z[:], array.numpy())
    # From store to store, by zarr itself.
    source = zarr.open_array(gmemx.zarr.store(array, (40, 40)), mode="r")
    copied = zarr.create_array(tmp_path / "copied.zarr", data=source)
    np.testing.assert_array_equal(copied[:], array.numpy())


def test_a_zarr_store_is_read_only():
    array = made()
    z = zarr.open_array(gmemx.zarr.store(array), mode="r")
    with pytest.raises(NotImplementedError, match="write to the array itself"):
        z[0] = 1
    assert array.context.overlay_count == 200
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(gmemx.zarr.store(array), mode="r+")
    store = gmemx.zarr.store(array)
    with pytest.raises(NotImplementedError, match="write to the array itself"):
        asyncio.run(store.set("c/0/0", None))
    with pytest.raises(NotImplementedError, match="deleted"):
        asyncio.run(store.delete("c/0/0"))
    about = json.loads(store._metadata)
    assert about["attributes"] == {"distribution": "uniform(0.0, 1.0)"}


@pytest.mark.parametrize(
    ("chunks", "error"), [((1,), ValueError), (0, ValueError), ("big", TypeError), (-1, ValueError)]
)
def test_chunks_that_do_not_fit(chunks, error):
    with pytest.raises(error):
        gmemx.zarr.store(made(), chunks)


def test_what_zarr_does_not_take():
    with pytest.raises(TypeError, match="not a ndarray"):
        gmemx.zarr.store(np.ones(3))
    with pytest.raises(ValueError, match="at most"):
        gmemx.zarr.store(GMemContext(7).array(2**63))


def test_a_dataset_goes_to_zarr_and_back(tmp_path):
    array = made()
    table = gmemx.xarray.data_array(array, ("y", "x"), name="field", chunks=50)
    table.to_dataset().to_zarr(tmp_path / "set.zarr")
    with xr.open_zarr(tmp_path / "set.zarr") as again:
        np.testing.assert_array_equal(again["field"].values, array.numpy())
