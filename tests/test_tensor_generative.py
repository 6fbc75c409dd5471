"""Cells of generative memory as tensors, and reduced without being stored."""

import math

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import GENERATORS, assert_same_bits

from gmemx import GMemContext, Tensor
from gmemx.errors import GmemxError

CELLS = 2**64
OPERATIONS = ("sum", "mean", "min", "max")

starts = st.builds(
    lambda centre, offset: min(max(centre + offset, 0), CELLS - 1),
    st.sampled_from([0, 512, 2**40, 2**63, CELLS - 1]),
    st.integers(-1200, 1200),
)


def check(context, start, values, **options):
    """The four reductions of the run that holds these values."""
    n = len(values)
    assert context.min(start, n, **options) == values.min()
    assert context.max(start, n, **options) == values.max()
    total = math.fsum(values)
    slack = 1e-13 * math.fsum(abs(values)) + 1e-300
    assert abs(context.sum(start, n, **options) - total) <= slack
    assert abs(context.mean(start, n, **options) - total / n) <= slack / n


@given(st.sampled_from(GENERATORS), starts, st.integers(1, 3000), st.data())
def test_reductions_of_written_and_generated_cells(generator, start, n, data):
    """What NumPy makes of the same cells, anywhere in the range."""
    n = min(n, CELLS - start)
    context = GMemContext(7, generator)
    expected = oracles.run(generator, 7, start, n)
    for _ in range(data.draw(st.integers(0, 3))):
        at, length = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, 600))
        value = data.draw(st.floats(-1e6, 1e6))
        context[start + at : min(start + at + length, start + n)] = value
        expected[at : at + length] = value
    check(context, start, expected, threads=data.draw(st.sampled_from([None, 1, 2])))
    for operation in OPERATIONS:
        results = {getattr(context, operation)(start, n, threads=t).hex() for t in (1, 2, 3)}
        assert len(results) == 1


@pytest.mark.parametrize("start", [0, 2**63 - 5_000_001, CELLS - 10**7])
def test_ten_million_cells(generator, start):
    """Some of them written, in pages of every kind; the same bits with any number of threads."""
    context = GMemContext(99, generator)
    n = 10**7
    context[start + 1000 : start + 9000 : 3] = -2.0
    context[start + n - 1] = 5.0
    context[start + 5 * 10**6 : start + 5 * 10**6 + 70_000] = 0.25
    context.write_many(np.uint64(start) + np.arange(0, n, 997, dtype=np.uint64), 3.0)
    values = context[start : start + n]
    assert context.min(start, n) == values.min() == -2.0
    assert context.max(start, n) == values.max() == 5.0
    assert math.isclose(context.sum(start, n), values.sum(), rel_tol=1e-12)
    assert math.isclose(context.mean(start, n), values.mean(), rel_tol=1e-12)
    for operation in OPERATIONS:
        assert len({getattr(context, operation)(start, n, t) for t in (1, 2, None)}) == 1


def test_an_overlay_decides(context):
    """NaN wins, infinities add up, and erasing gives the generated cells back."""
    before = [getattr(context, operation)(100, 5000) for operation in OPERATIONS]
    context[2000] = math.nan
    assert all(math.isnan(getattr(context, operation)(100, 5000)) for operation in OPERATIONS)
    assert not math.isnan(context.sum(2001, 100))
    context[2000] = -math.inf
    assert [getattr(context, operation)(100, 5000) for operation in OPERATIONS] == [
        -math.inf, -math.inf, -math.inf, before[3],
    ]  # fmt: skip
    context[2001] = math.inf
    assert math.isnan(context.sum(100, 5000))
    del context[2000:2002]
    assert [getattr(context, operation)(100, 5000) for operation in OPERATIONS] == before


def test_nothing_is_stored(context):
    """Reductions leave the overlay as it is, and so does tensor()."""
    context[5] = 1.0
    context.sum(0, 1000)
    context.tensor(0, (10, 10))[:] = 3.0
    assert context.overlay_count == 1


def test_none_and_one(context):
    """The sum of no cells is 0.0 and their mean NaN; one cell is itself."""
    for start in (0, 2**40, CELLS - 1):
        assert repr(context.sum(start, 0)) == "0.0"
        assert math.isnan(context.mean(start, 0))
        for operation in ("min", "max"):
            with pytest.raises(ValueError, match=operation):
                getattr(context, operation)(start, 0)
        assert {getattr(context, name)(start, 1) for name in OPERATIONS} == {context[start]}


@given(starts, st.lists(st.integers(0, 12), max_size=3), st.sampled_from([None, 1, 2]))
def test_cells_as_a_tensor(start, shape, threads):
    """float64 in C order, with memory of its own, the same as the slice."""
    context = GMemContext(3)
    context[start] = -5.0
    n = math.prod(shape)
    start = min(start, CELLS - n)
    tensor = context.tensor(start, tuple(shape), threads)
    assert isinstance(tensor, Tensor)
    assert (tensor.dtype, tensor.shape, tensor.owner) == ("float64", tuple(shape), None)
    assert not tensor.readonly
    assert_same_bits(tensor.numpy(), context[start : start + n].reshape(shape))
    if n:
        tensor.fill(9.0)
        assert context[start] != 9.0
        context[start] = 8.0
        assert tensor.flatten()[0] == 9.0


def test_shapes_of_tensors(context):
    """An integer is one dimension."""
    assert context.tensor(5, 3).shape == (3,)
    assert context.tensor(5, [1, 3]).shape == (1, 3)
    assert context.tensor(5, ()).item() == context[5]


WORKS = {name: lambda c, *a, name=name, **k: getattr(c, name)(*a, **k) for name in OPERATIONS} | {
    "tensor": lambda c, *a, **k: c.tensor(*a, **k)
}


@pytest.fixture(params=WORKS.values(), ids=WORKS.keys())
def work(request):
    """tensor and each reduction in turn."""
    return request.param


def test_runs_do_not_wrap(context, work):
    """A run past the last cell is refused; one that ends with it is not."""
    work(context, CELLS - 10, 10)
    for start, n in [(CELLS - 10, 11), (CELLS - 1, 2), (CELLS - 1, 10_000)]:
        with pytest.raises(IndexError) as caught:
            work(context, start, n)
        assert isinstance(caught.value, GmemxError)


def test_bad_arguments(context, work):
    """Each is an exception that names what is wrong; none is a crash."""
    for start in (-1, CELLS, 2**80):
        with pytest.raises(IndexError, match=str(start)):
            work(context, start, 1)
    for start in (1.0, "0", None):
        with pytest.raises(TypeError, match=type(start).__name__):
            work(context, start, 1)
    for n in (-1, -(2**70)):
        with pytest.raises(ValueError, match=str(n)):
            work(context, 0, n)
    for n in (1.5, "3", None):
        with pytest.raises(TypeError, match=type(n).__name__):
            work(context, 0, n)
    for n in (2**64, 2**200):
        with pytest.raises((IndexError, ValueError, OverflowError)):
            work(context, 0, n)
    for threads in (0, -1, 5000):
        with pytest.raises(ValueError, match="threads"):
            work(context, 0, 1, threads=threads)
    with pytest.raises(TypeError, match="threads"):
        work(context, 0, 1, threads="2")
    assert context.overlay_count == 0
