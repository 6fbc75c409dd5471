"""Dask arrays of generated cells against NumPy on the same elements, in one process."""

import importlib.util
import pickle
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
from arrays import DISTRIBUTIONS, HAS_ZARR, PAIRS, shapes, views
from hypothesis import given, settings
from hypothesis import strategies as st

import gmemx
import gmemx.dask
from gmemx import Delta, GMemContext, _dask_blocks
from gmemx.delta import restored
from gmemx.errors import MergeConflictError

NAMES = ("sum", "mean", "var", "std", "min", "max")


@pytest.fixture(autouse=True)
def one_process():
    with dask.config.set(scheduler="synchronous"):
        yield


def chunkings(shape):
    """Ways to cut an array of that shape, some of uneven pieces."""
    return st.tuples(*[st.integers(1, max(1, extent)) for extent in shape])


def tasks_of(collection):
    """The tasks that a cluster would be sent, by key."""
    graph = collection.__dask_optimize__(collection.__dask_graph__(), collection.__dask_keys__())
    return dict(graph)


# ---- elements -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.data(), shapes, st.sampled_from(PAIRS), st.sampled_from("CF"))
def test_a_dask_array_has_the_elements(data, shape, pair, order):
    name, dtype = pair
    context = GMemContext(7, "philox")
    # Cells of the array, and cells between and beyond its own.
    context.write_many(data.draw(st.lists(st.integers(990, 1400), max_size=30)), 1.0)
    array = context.array(shape, dtype, 1000, order, DISTRIBUTIONS[name])
    view, stored = data.draw(views(array))
    x = gmemx.dask.array(view, data.draw(chunkings(view.shape)))
    assert (x.shape, x.dtype) == (stored.shape, stored.dtype)
    np.testing.assert_array_equal(x.compute(), stored)
    key = (slice(None, None, -1),) * x.ndim
    assert isinstance(x[key], gmemx.dask.Array)
    np.testing.assert_array_equal(x[key].compute(), stored[key])


@settings(max_examples=60)
@given(st.data(), shapes)
def test_each_written_cell_is_in_the_one_task_that_needs_it(data, shape):
    context = GMemContext(7)
    context.write_many(range(0, 3000, 3), 1.0)
    view, _ = data.draw(views(context.array(shape, offset=500)))
    x = gmemx.dask.array(view, data.draw(chunkings(view.shape)))
    # The cells of an array by its own definition: an index times strides.
    cells = {
        view.offset + sum(i * s for i, s in zip(index, view.strides, strict=True))
        for index in np.ndindex(view.shape)
    }
    boxes = gmemx.dask.Boxes(x.virtual, x.written, x.chunks)
    carried = [
        address
        for number in np.ndindex(x.numblocks)
        for _, parts in [boxes[number][2:]] * (len(boxes[number]) > 2)
        for address in restored(*parts).addresses.tolist()
    ]
    assert len(carried) == len(set(carried))
    assert set(carried) == {cell for cell in cells if context.is_written(cell)}


def test_ends_of_the_space():
    context = GMemContext(7)
    context[2**64 - 1], context[2**64 - 50] = 1.0, 2.0
    array = context.array((2, 50), offset=2**64 - 100)
    for view in (array, array[::-1, ::-1], array.T):
        x = gmemx.dask.array(view, chunks=(2, 20) if view.shape[0] == 2 else (20, 2))
        np.testing.assert_array_equal(x.compute(), view.numpy())
    huge = context.array((2**32, 2**32))
    assert gmemx.dask.array(huge, chunks=2**28)[-1, -1].compute() == 1.0


def test_what_is_written_later_is_not_seen():
    context = GMemContext(7)
    context[0] = 5.0
    x = gmemx.dask.array(context.array(10), chunks=4)
    context[1] = 6.0
    assert x.compute().tolist() == [5.0, *GMemContext(7)[1:10]]


def test_fancy_keys_and_arithmetic_are_dasks():
    array = GMemContext(7).array((20, 30))
    x, stored = gmemx.dask.array(array, chunks=(7, 11)), array.numpy()
    np.testing.assert_array_equal(x[[3, 1, 2]].compute(), stored[[3, 1, 2]])
    np.testing.assert_array_equal(x[x > 0.5].compute(), stored[stored > 0.5])
    np.testing.assert_array_equal((x.T + 1)[3].compute(), (stored.T + 1)[3])
    np.testing.assert_array_equal(x.rechunk((5, 5)).compute(), stored)
    counts, _ = da.histogram(x, bins=5, range=(0, 1))
    np.testing.assert_array_equal(counts.compute(), np.histogram(stored, 5, (0, 1))[0])
    with pytest.raises(IndexError):
        x[20]


# ---- reductions ---------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.data(), st.sampled_from(PAIRS))
def test_reductions_are_numpys(data, pair):
    name, dtype = pair
    context = GMemContext(7)
    context.write_many(data.draw(st.lists(st.integers(0, 200), max_size=9)), 1.0)
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)))
    array = context.array(shape, dtype, 0, "C", DISTRIBUTIONS[name])
    x, stored = gmemx.dask.array(array, data.draw(chunkings(shape))), array.numpy()
    axis = data.draw(st.sampled_from([None, 0, -1, tuple(range(len(shape)))[:2]]))
    keepdims = data.draw(st.booleans())
    for name in NAMES:
        found = getattr(x, name)(axis=axis, keepdims=keepdims)
        wide = {} if name in ("min", "max") or stored.dtype.kind != "f" else {"dtype": "f8"}
        expected = getattr(stored, name)(axis=axis, keepdims=keepdims, **wide)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        result = found.compute()
        assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
        if name in ("min", "max") or (name == "sum" and stored.dtype.kind != "f"):
            np.testing.assert_array_equal(result, expected)
        else:
            # NumPy rounds variances of large numbers that are all but equal.
            spread = 1e-12 * float(np.square(stored.astype("f8")).max())
            np.testing.assert_allclose(result, expected, rtol=1e-9, atol=spread)


@pytest.mark.parametrize("name", NAMES)
def test_numpys_functions_fold_too(name):
    x = gmemx.dask.array(GMemContext(7).array((40, 50)), chunks=20)
    found = getattr(np, name)(x, axis=0)
    assert found.name == getattr(x, name)(axis=0).name
    np.testing.assert_allclose(found.compute(), getattr(da, name)(x, axis=0).compute())


def test_a_dtype_of_its_own_is_dasks():
    array = GMemContext(7).array((40, 50), "float32")
    x, stored = gmemx.dask.array(array, chunks=20), array.numpy()
    for name in ("sum", "mean", "var", "std"):
        found = getattr(x, name)(0, "f4", True)
        assert (found.dtype, found.shape) == (np.float32, (1, 50))
        np.testing.assert_allclose(found, getattr(stored, name)(0, keepdims=True), rtol=1e-4)
    np.testing.assert_array_equal(np.max(x, 1), stored.max(1))
    np.testing.assert_array_equal(x.min(0, False, 2), stored.min(0))


def test_no_chunk_of_a_sum_is_in_memory():
    """Ten terabytes a chunk: none of them could be."""
    array = GMemContext(7).array(10**13, "bool", distribution=gmemx.bernoulli(0.5))
    x = gmemx.dask.array(array, chunks=10**12)[: 10**6]
    assert int(x.sum().compute()) == array[: 10**6].sum()
    whole = tasks_of(gmemx.dask.array(array, chunks=10**12).max())
    assert all(len(pickle.dumps(task)) < 1000 for task in whole.values())


def test_ddof_and_nan():
    context = GMemContext(7)
    array = context.array(10)
    x = gmemx.dask.array(array, chunks=3)
    assert x.var(ddof=3).compute() == pytest.approx(array.var(ddof=3))
    assert np.isnan(x.std(ddof=10).compute())
    context[4] = np.nan
    x = gmemx.dask.array(array, chunks=3)
    assert all(np.isnan(getattr(x, name)().compute()) for name in NAMES)


def test_empty_and_single():
    context = GMemContext(7)
    empty = gmemx.dask.array(context.array((0, 3)))
    assert (empty.sum().compute(), empty.compute().shape) == (0.0, (0, 3))
    assert np.isnan(empty.mean().compute())
    with pytest.raises(ValueError, match="no elements"):
        empty.max().compute()
    single = gmemx.dask.array(context.array(()))
    assert single.compute() == single.sum().compute() == context[0]


# ---- what travels -------------------------------------------------------------------------


def test_tasks_are_small_whatever_the_chunks():
    array = GMemContext(7).array((2000, 2000), distribution=gmemx.normal(1, 2))
    for make in (lambda x: x, lambda x: x.sum(), lambda x: (x + 1).mean(axis=0)):
        sizes = {}
        for extent in (100, 500, 1000):
            tasks = tasks_of(make(gmemx.dask.array(array, chunks=extent)))
            # Those that combine name what they combine.
            sizes[extent] = max(
                len(pickle.dumps(task))
                for key, task in tasks.items()
                if not ("partial" in key[0] or "aggregate" in key[0])
            )
        assert max(sizes.values()) < 1250, sizes
        assert max(sizes.values()) - min(sizes.values()) < 50, sizes


def test_equal_arrays_have_equal_keys():
    def made(seed=7, written=0.0, **more):
        context = GMemContext(seed)
        context[3] = written
        return gmemx.dask.array(context.array(10, **more), chunks=5).name

    assert made() == made()
    others = [made(8), made(written=-0.0), made(distribution="normal"), made(offset=1)]
    assert len({made(), *others}) == 5


def test_an_array_pickles():
    context = GMemContext(7)
    context[3] = 1.0
    x = gmemx.dask.array(context.array((10, 10)), chunks=5)[2:]
    again = pickle.loads(pickle.dumps(x))
    assert (again.name, again.chunks) == (x.name, x.chunks)
    np.testing.assert_array_equal(again.compute(), x.compute())


def test_contexts_are_kept_and_bounded():
    source = _dask_blocks.source_of(GMemContext(7).array(10))
    box = (0, (10,))
    assert _dask_blocks.context_of(source, box) is _dask_blocks.context_of(source, box)
    for i in range(3 * _dask_blocks.KEPT):
        delta = Delta(7, "vrns16", [i], [1.0])
        full = (*box, delta.digest, delta.__reduce__()[1])
        assert _dask_blocks.context_of(source, full).is_written(i)
    assert len(_dask_blocks._contexts) == _dask_blocks.KEPT


# ---- writing back -------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data(), shapes)
def test_storing_writes_what_numpy_would(data, shape):
    context = GMemContext(7)
    context.write_many(data.draw(st.lists(st.integers(0, 300), max_size=30)), 1.0)
    view, stored = data.draw(views(context.array(shape)))
    x = gmemx.dask.array(view, data.draw(chunkings(view.shape)))
    before = context.fork()
    delta = gmemx.dask.store(x * 2 + 1, view)
    np.testing.assert_array_equal(view.numpy(), stored * 2 + 1)
    assert before.diff(context) == delta


def test_arrays_of_any_origin_are_stored():
    view = GMemContext(7).array((100, 100), "int16", distribution=gmemx.integers(0, 9))
    values = da.arange(10_000, chunks=999).reshape(100, 100)
    gmemx.dask.store(values, view)
    assert (view.numpy().ravel() == np.arange(10_000)).all()
    with pytest.raises(OverflowError, match="int16"):
        gmemx.dask.store(values + 30_000, view)
    assert view[99, 99] == 9999


def test_cells_that_were_written_meanwhile():
    context = GMemContext(7)
    view = context.array(10)
    late = gmemx.dask.store(gmemx.dask.array(view, chunks=4) * 0, view, compute=False)
    assert context.overlay_count == 0
    context[5] = 3.0
    delta = late.compute()
    with pytest.raises(MergeConflictError, match="first at address 5"):
        context.merge(delta)
    context.merge(delta, "ours")
    assert context[0:10].tolist() == [0, 0, 0, 0, 0, 3, 0, 0, 0, 0]


# ---- bad input, and a missing extra -------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda v: gmemx.dask.array(np.ones(3)), TypeError, "wanted, not a ndarray"),
        (lambda v: gmemx.dask.store(np.ones(10), v), TypeError, "stored, not a ndarray"),
        (lambda v: gmemx.dask.store(da.ones(10), 5), TypeError, "wanted, not a int"),
        (lambda v: gmemx.dask.store(da.ones(9), v), ValueError, r"\(9,\) cannot .* \(10,\)"),
    ],
)
def test_bad_input(call, error, text):
    context = GMemContext(7)
    with pytest.raises(error, match=text):
        call(context.array(10))
    assert context.overlay_count == 0


@pytest.mark.parametrize("name", ["dask", "xarray", "zarr"])
def test_a_missing_extra_is_one_sentence(name):
    assert importlib.util.find_spec(name) or (name == "zarr" and not HAS_ZARR)
    code = f"import sys; sys.modules[{name!r}] = None\nimport gmemx\ngmemx.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: gmemx.{name} needs ")
    assert f"pip install gmemx[{name}]" in last
