"""Reductions of virtual arrays are those of their elements, without storing them."""

import math
import os
import signal
import threading
import time

import numpy as np
import pytest
from arrays import DISTRIBUTIONS, PAIRS, shapes, views
from hypothesis import given
from hypothesis import strategies as st

import gmemx
from gmemx import GMemContext

LONG = [(3_000_000,), (3, 700_001), (700, 1100), (200_000, 3)]


def check(array, stored):
    """Compares everything there is."""
    if stored.size:
        assert array.min() == stored.min()
        assert array.max() == stored.max()
    wide = stored.astype(np.float64)
    if stored.dtype.kind == "f":
        np.testing.assert_allclose(array.sum(), wide.sum(), rtol=1e-11, atol=1e-9 * stored.size)
        assert type(array.sum()) is float
    else:
        assert array.sum() == int(stored.astype(object).sum() if stored.size else 0)
        assert type(array.sum()) is int
    if stored.size:
        np.testing.assert_allclose(array.mean(), wide.mean(), rtol=1e-10, atol=1e-9)
        np.testing.assert_allclose(array.var(), wide.var(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(array.std(), wide.std(), rtol=1e-9, atol=1e-12)
    if stored.size > 1:
        np.testing.assert_allclose(array.var(ddof=1), wide.var(ddof=1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "dtype"), PAIRS)
def test_all_distributions_and_dtypes(context, cpu_path, name, dtype):
    for shape in [(700,), (50, 40, 7)]:
        array = context.array(shape, dtype, 12345, distribution=DISTRIBUTIONS[name])
        check(array, array.numpy())
    context[12400] = 1
    context[12500] = 0
    check(array, array.numpy())


@pytest.mark.parametrize("shape", LONG)
@pytest.mark.parametrize("name", ["uniform", "normal", "integers"])
def test_long_arrays(context, shape, name):
    array = context.array(shape, offset=999, distribution=DISTRIBUTIONS[name])
    check(array, array.numpy())
    check(array[..., ::2], array[..., ::2].numpy())
    check(array[..., 1:-1], array[..., 1:-1].numpy())


@given(data=st.data(), shape=shapes, order=st.sampled_from("CF"))
def test_views(data, shape, order):
    array, stored = data.draw(views(GMemContext(7).array(shape, order=order)))
    check(array, stored)


def test_a_run_of_cells_is_the_contexts_own_sum(context):
    array = context.array((3000, 1000), offset=777)
    for name in ("sum", "mean", "min", "max"):
        assert getattr(array, name)() == getattr(context, name)(777, 3_000_000)
        assert getattr(array.T[::-1], name)() == getattr(array, name)()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_same_bits_for_any_number_of_threads(context, name):
    array = context.array((1200, 1100), distribution=DISTRIBUTIONS[name])
    for part in (array, array[:, :-1], array[::3, ::2], array[:, :5]):
        for fold in ("sum", "mean", "std", "min", "max"):
            results = {getattr(part, fold)(threads=threads) for threads in (1, 2, 3, None)}
            for path in gmemx.info()["cpu"]["available"]:
                gmemx.set_cpu_path(path)
                results.add(getattr(part, fold)())
            gmemx.set_cpu_path("auto")
            assert len(results) == 1


def test_nothing():
    array = GMemContext(7).array((3, 0))
    assert array.sum() == 0.0
    assert GMemContext(7).array(0, "int8", distribution=gmemx.bernoulli(1)).sum() == 0
    assert math.isnan(array.mean())
    assert math.isnan(array.var())
    assert math.isnan(GMemContext(7).array(1).var(ddof=1))
    for name in ("min", "max"):
        with pytest.raises(ValueError, match="no elements"):
            getattr(array, name)()
        with pytest.raises(ValueError, match="no elements"):
            getattr(array, name)(axis=1)
    counts, edges = array.histogram(3)
    assert counts.tolist() == [0, 0, 0]
    assert len(edges) == 4


def test_nan_and_infinities():
    context = GMemContext(7)
    array = context.array(1000, distribution="normal")
    array[3] = np.inf
    assert array.sum() == array.max() == np.inf
    array[4] = np.nan
    for name in ("sum", "mean", "min", "max", "std"):
        assert math.isnan(getattr(array, name)())
    counts, _ = array.histogram(10, (-9, 9))
    assert counts.sum() == 998


def test_integers_are_summed_without_an_error():
    context = GMemContext(7)
    array = context.array(10, "int64", distribution=gmemx.bernoulli(0))
    array[:3] = [2**62, 2**62 + 2**10, 2**62]
    assert array.sum() == 3 * 2**62 + 2**10
    assert array.max() == 2**62 + 2**10
    large = context.array(3 * 10**6, "uint64", 100, distribution=gmemx.integers(0, 2**53))
    assert large.sum() == sum(large.numpy().tolist())
    context[0] = 1e300
    assert array[0] == array.max() == 2**63 - 1


@pytest.mark.parametrize(("name", "dtype"), PAIRS)
def test_along_an_axis(name, dtype):
    array = GMemContext(7).array((6, 5, 4), dtype, distribution=DISTRIBUTIONS[name])
    stored = array.numpy()
    for axis in (0, 1, -1):
        for fold in ("min", "max"):
            made = getattr(array, fold)(axis=axis)
            np.testing.assert_array_equal(made, getattr(stored, fold)(axis=axis))
            assert made.dtype == stored.dtype
        np.testing.assert_allclose(array.sum(axis), stored.sum(axis, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(
            array.mean(axis), stored.mean(axis, dtype=np.float64), rtol=1e-12
        )
        deviation = stored.std(axis, dtype=np.float64, ddof=1)
        np.testing.assert_allclose(array.std(axis, ddof=1), deviation, rtol=1e-12)
    kinds = {"b": np.int64, "i": np.int64, "u": np.uint64, "f": np.float64}
    assert array.sum(0).dtype == kinds[stored.dtype.kind]


def test_along_a_long_axis():
    array = GMemContext(7).array((2, 5_000_000), "float32")
    np.testing.assert_allclose(array.mean(1), array.numpy().mean(1, dtype=np.float64), rtol=1e-10)
    np.testing.assert_allclose(array[0].sum(0), array[0].sum())
    assert array.sum(0).shape == (5_000_000,)


def test_numpys_functions_are_fused():
    array = GMemContext(7).array((10**4, 10**4))
    assert np.sum(array) == array.sum()
    assert np.mean(array) == array.mean()
    assert np.std(array, ddof=1) == array.std(ddof=1)
    assert np.max(array) == array.max()
    with pytest.raises(TypeError, match="neither dtype nor out"):
        np.sum(array, dtype=np.float32)


# ---- histograms ---------------------------------------------------------------


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("bins", [1, 10, 333])
def test_histograms_count_as_numpy(context, cpu_path, name, bins):
    array = context.array((300, 200), distribution=DISTRIBUTIONS[name])
    stored = array.numpy()
    for limits in [None, (0, 1), (-2.5, 3.25), (1, 1)]:
        counts, edges = array.histogram(bins, limits)
        expected, _ = np.histogram(stored, edges)
        np.testing.assert_array_equal(counts, expected)
        assert counts.dtype == np.int64
        if limits is not None:
            expected, edges_of_numpy = np.histogram(stored, bins, limits)
            np.testing.assert_array_equal(edges, edges_of_numpy)
            np.testing.assert_array_equal(counts, expected)
        else:
            assert counts.sum() == stored.size
    uneven = np.array([-5, 0, 0, 0.1, 0.5, 0.75, 9])
    np.testing.assert_array_equal(array.histogram(uneven)[0], np.histogram(stored, uneven)[0])


@given(
    st.integers(1, 40) | st.sampled_from([5000]),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.sampled_from(["linspace", "uneven", "nearly"]),
    st.integers(0, 2**32),
)
def test_histograms_at_the_edges(bins, low, width, kind, seed):
    """On an edge, a step of a float beside it, in between, outside, infinite, NaN."""
    rng = np.random.default_rng(seed)
    edges = np.linspace(low, low + width, bins + 1)
    if kind == "uneven":
        edges = np.sort(rng.uniform(low, low + width, bins + 1))
    elif kind == "nearly":
        edges += rng.uniform(-0.4, 0.4, bins + 1) * width / bins
    values = rng.choice(edges, 400)
    values[100:200] = np.nextafter(values[100:200], np.inf)
    values[200:300] = np.nextafter(values[200:300], -np.inf)
    values[300:380] = rng.uniform(low - width, low + 2 * width, 80)
    values[380:] = rng.choice([np.nan, np.inf, -np.inf, edges[0], edges[-1]], 20)
    array = GMemContext(7).array(400)
    array[:] = rng.permutation(values)
    expected, _ = np.histogram(values[~np.isnan(values)], edges)
    try:
        for path in ("auto", "portable"):
            gmemx.set_cpu_path(path)
            np.testing.assert_array_equal(array.histogram(edges)[0], expected)
    finally:
        gmemx.set_cpu_path("auto")


def test_a_bin_without_an_end():
    array = GMemContext(7).array(4)
    array[:] = [np.inf, 5.0, -np.inf, 0.5]
    assert array.histogram([0, 1, np.inf])[0].tolist() == [1, 2]
    assert array.histogram([-np.inf, 1, 2])[0].tolist() == [2, 0]


def test_histograms_have_the_support_as_their_range():
    context = GMemContext(7)
    array = context.array(1000, distribution=gmemx.uniform(2, 6))
    assert array.histogram(4)[1].tolist() == [2, 3, 4, 5, 6]
    array[0] = 10
    counts, edges = array.histogram(4)
    assert edges.tolist() == [2, 4, 6, 8, 10]
    assert counts[-1] == 1
    dice = GMemContext(7).array(1000, "uint8", distribution=gmemx.integers(1, 7))
    assert dice.histogram(5)[1].tolist() == [1, 2, 3, 4, 5, 6]
    normal = GMemContext(7).array(1000, distribution="normal")
    assert normal.histogram()[1][[0, -1]].tolist() == [normal.min(), normal.max()]


@pytest.mark.parametrize(
    ("bins", "limits"),
    [(0, None), (-1, None), (10, (1, 0)), (10, (0, np.inf)), (10, (np.nan, 1)), ([1], None),
     ([2, 1], None), ([0, np.nan], None), ([[0, 1], [2, 3]], None), ([], None)],
)  # fmt: skip
def test_histograms_that_make_no_sense(bins, limits):
    with pytest.raises(ValueError, match=r"bin|edges"):
        GMemContext(7).array(10).histogram(bins, limits)


# ---- steps --------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of POSIX")
@pytest.mark.parametrize(
    "work",
    [
        lambda a: a.sum(),
        lambda a: a.std(threads=1),
        lambda a: a.histogram(5, (0, 1)),
        lambda a: a[:, :1].T.max(),
        lambda a: a[: 2**20].matvec(np.ones(2**20)),
        lambda a: a[: 2**20].matmat(np.ones((2**20, 9))),
        lambda a: a[: 2**20, : 2**18].sum(axis=0),
    ],
)
def test_ctrl_c_answers_at_once(work):
    class StoppedError(Exception):
        pass

    def stop(*_):
        raise StoppedError

    array = GMemContext(7).array((2**38, 2**20), distribution="normal")
    before = signal.signal(signal.SIGUSR1, stop)
    sent = []

    def send():
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGUSR1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(StoppedError):
            work(array)
        # An answer takes 0.2 s; a busy machine may take longer.
        assert time.perf_counter() - sent[0] < 2
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.3), (0.3, 0.3 + 1e-9), (0, 1e-6), (0, 1)])
def test_elements_close_together_keep_their_digits(low, high):
    """Also where they lie in [0, 1], whose middle is not their mean."""
    array = GMemContext(3).array(300_000, offset=77, distribution=gmemx.uniform(low, high))
    elements = array.numpy().astype(np.longdouble)
    assert array.var() == pytest.approx(float(elements.var()), rel=1e-6, abs=1e-33)
    context = GMemContext(3)
    context[1000:200_000] = 0.3
    assert context.array(199_000, offset=1000).std() < 1e-16
    whole = context.array(2**20 + 5)
    assert whole.var() == pytest.approx(whole.numpy().astype(np.longdouble).var(), rel=1e-12)
