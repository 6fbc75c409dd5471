"""Products with an implicit matrix are those with the stored one."""

import numpy as np
import pytest
from arrays import DISTRIBUTIONS, PAIRS
from hypothesis import given
from hypothesis import strategies as st

import gmemx
from gmemx import GMemContext

sizes = st.integers(1, 40) | st.sampled_from([511, 512, 513, 1030])


def numbers(*shape):
    """Numbers that are no pattern."""
    return np.random.default_rng(5).standard_normal(shape)


def assert_close(made, a, b):
    """Whether a product is right to what rounding may do."""
    np.testing.assert_allclose(made, a @ b, rtol=0, atol=1e-12 * np.max(np.abs(a) @ np.abs(b)))
    assert made.dtype == np.float64


@given(m=sizes, n=sizes, width=st.integers(1, 20), order=st.sampled_from("CF"), gap=st.booleans())
def test_products(m, n, width, order, gap):
    array = GMemContext(7).array((m + gap, n + gap), offset=31, order=order, distribution="normal")
    array = array[gap:, gap:]
    stored = array.numpy().astype(np.float64)
    x, y = numbers(n, width), numbers(m, width)
    assert_close(array.matvec(x[:, 0]), stored, x[:, 0])
    assert_close(array.rmatvec(y[:, 0]), stored.T, y[:, 0])
    assert_close(array.matmat(x), stored, x)
    assert_close(array.rmatmat(y), stored.T, y)
    assert_close(array.T @ y, stored.T, y)
    assert_close(array @ x, stored, x)
    assert_close(array @ x[:, 0], stored, x[:, 0])
    assert_close(y.T @ array, y.T, stored)
    assert_close(y[:, 0] @ array, y[:, 0], stored)
    assert_close(array[::-1, ::-1].matvec(x[:, 0]), stored[::-1, ::-1], x[:, 0])


@pytest.mark.parametrize(("name", "dtype"), PAIRS)
def test_all_distributions_and_dtypes(context, cpu_path, name, dtype):
    array = context.array((60, 70), dtype, distribution=DISTRIBUTIONS[name])
    array[5] = 1
    stored = array.numpy().astype(np.float64)
    assert_close(array.matvec(numbers(70)), stored, numbers(70))
    assert_close(array.rmatvec(numbers(60)), stored.T, numbers(60))
    assert_close(array.matmat(numbers(70, 10)), stored, numbers(70, 10))


@pytest.mark.parametrize(
    "shape", [(3, 100_000), (100_000, 3), (1500, 1700), (1, 40_000), (40_000, 1)]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_same_bits_for_any_number_of_threads(context, shape, order):
    array = context.array(shape, order=order, distribution="normal")
    stored = array.numpy()
    for width in (1, 3):
        x, y = numbers(shape[1], width), numbers(shape[0], width)
        first, back = array.matmat(x, threads=1), array.rmatmat(y, threads=1)
        assert_close(first, stored, x)
        assert_close(back, stored.T, y)
        for threads in (2, 5, None):
            np.testing.assert_array_equal(array.matmat(x, threads), first)
            np.testing.assert_array_equal(array.rmatmat(y, threads), back)
        gmemx.set_cpu_path("portable")
        np.testing.assert_array_equal(array.matmat(x), first)
        gmemx.set_cpu_path("auto")


def test_rows_do_not_depend_on_their_neighbours(context):
    array = context.array((700, 20_000), distribution="normal")
    x = numbers(20_000)
    whole = array.matvec(x)
    np.testing.assert_array_equal(array[100:303].matvec(x), whole[100:303])
    assert array[5] @ x == pytest.approx(whole[5], rel=1e-12)
    assert x @ array[5] == array[5] @ x


def test_a_projection_keeps_distances():
    context = GMemContext(7)
    n, k = 50_000, 400
    projection = context.array((k, n), distribution=gmemx.normal(0, 1 / np.sqrt(k)))
    points = numbers(n, 2)
    image = projection @ points
    before = np.linalg.norm(points[:, 0] - points[:, 1])
    after = np.linalg.norm(image[:, 0] - image[:, 1])
    assert abs(after / before - 1) < 5 / np.sqrt(2 * k)


def test_two_virtual_ones():
    context = GMemContext(7)
    a, b = context.array((20, 30)), context.array((30, 10), offset=10**6)
    assert_close(a @ b, a.numpy(), b.numpy())
    assert_close(np.matmul(a, b), a.numpy(), b.numpy())
    assert_close(np.matmul(a.numpy(), b), a.numpy(), b.numpy())


def test_nothing():
    context = GMemContext(7)
    assert context.array((0, 5)).matvec(np.ones(5)).shape == (0,)
    assert context.array((5, 0)).matvec([]).tolist() == [0] * 5
    assert context.array((5, 4)).matmat(np.empty((4, 0))).shape == (5, 0)


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda a: a.matvec(np.ones(3)), ValueError),
        (lambda a: a.matvec(np.ones((4, 1))), ValueError),
        (lambda a: a.rmatvec(np.ones(4)), ValueError),
        (lambda a: a.matmat(np.ones(4)), ValueError),
        (lambda a: a.matmat(np.ones((3, 4))), ValueError),
        (lambda a: a.matvec(np.ones(4) * 1j), TypeError),
        (lambda a: a.matvec(["a"] * 4), TypeError),
        (lambda a: a.matvec(np.ones(4), threads=0), ValueError),
        (lambda a: a[0].matvec(np.ones(4)), ValueError),
        (lambda a: a[None].matvec(np.ones(4)), ValueError),
        (lambda a: a @ 3, ValueError),
        (lambda a: a @ np.ones((2, 4, 2)), ValueError),
        (lambda a: a @ np.ones(3), ValueError),
        (lambda a: np.ones(4) @ a, ValueError),
    ],
)
def test_what_cannot_be_multiplied(work, error):
    with pytest.raises(error):
        work(GMemContext(7).array((3, 4)))
