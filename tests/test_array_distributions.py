"""Each element is a pure function of its cell's uniform value, the same however it is read."""

import copy
import math
import pickle
import statistics

import numpy as np
import pytest
from arrays import DISTRIBUTIONS, DTYPES, by_definition, fits
from oracles import GENERATORS
from scipy import special, stats

import gmemx
from gmemx import GMemContext

N = 3000


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name != "normal"])
def test_elements_are_those_of_the_definition(context, cpu_path, name):
    distribution = DISTRIBUTIONS[name]
    array = context.array(N, offset=77, distribution=distribution)
    expected = by_definition(distribution, context[77 : 77 + N])
    np.testing.assert_array_equal(array.numpy(), expected)
    for dtype in DTYPES:
        if fits(distribution, dtype):
            typed = context.array(N, dtype, 77, distribution=distribution).numpy()
            np.testing.assert_array_equal(typed, expected.astype(dtype))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_part_agrees_with_the_whole(context, cpu_path, name):
    array = context.array((40, 50, 60), distribution=DISTRIBUTIONS[name])
    whole = array.numpy()
    gmemx.set_cpu_path("auto")
    for key in [5, (slice(3, 9), 7), (..., 11), (slice(None, None, -3), 2, slice(1, 55, 2))]:
        for threads in (1, 2):
            np.testing.assert_array_equal(array[key].numpy(threads), whole[key])
    assert array[3, 4, 5] == whole[3, 4, 5]
    turned = array.T.numpy(out=np.empty((60, 50, 40)))
    np.testing.assert_array_equal(turned, whole.T)


def quantiles(u):
    """The oracle, which needs probabilities inside (0, 1)."""
    normal = statistics.NormalDist()
    return np.array([normal.inv_cdf(p) for p in u.tolist()])


def ulps(made, expected):
    """How many units in the last place two rows of floats are apart, at most."""
    return np.max(np.abs(made - expected) / np.spacing(np.abs(expected)))


def test_normal_is_the_quantile(context, cpu_path):
    n = 200_000
    made = context.array(n, distribution="normal").numpy()
    cells = context[:n]
    assert ulps(made, quantiles(cells)) <= 8
    scaled = context.array(n, distribution=gmemx.normal(3, 0.25)).numpy()
    np.testing.assert_array_equal(scaled, made * 0.25 + 3)


def test_normal_agrees_with_scipy(context):
    made = context.array(10**6, distribution="normal").numpy()
    expected = special.ndtri(context[: 10**6])
    assert np.max(np.abs(made - expected) / np.maximum(np.abs(expected), 1e-3)) < 1e-14


def test_normal_looks_normal(context):
    array = context.array(4_000_000, distribution=gmemx.normal(-1, 3))
    assert abs(array.mean() + 1) < 5 * 3 / 2000
    assert abs(array.std() - 3) < 5 * 3 / math.sqrt(8e6)
    counts, edges = array.histogram(60, (-13, 11))
    normal = statistics.NormalDist(-1, 3)
    expected = np.diff([normal.cdf(edge) for edge in edges]) * array.size
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 60 + 6 * math.sqrt(120)


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("distribution", "oracle"),
    [
        (gmemx.uniform(-3, 5), stats.uniform(-3, 8)),
        (gmemx.normal(-1, 3), stats.norm(-1, 3)),
        (gmemx.normal(1e3, 0.5), stats.norm(1e3, 0.5)),
    ],
    ids=["uniform", "normal", "far"],
)
def test_kolmogorov_and_smirnov_agree(generator, dtype, distribution, oracle):
    """With fixed seeds: the test is the same in every run."""
    array = gmemx.GMemContext(2024, generator).array(
        200_000, dtype, 10**12, distribution=distribution
    )
    assert stats.kstest(array.numpy(), oracle.cdf).pvalue > 1e-3
    # It would notice a shift by a fiftieth of the deviation.
    assert stats.kstest(array.numpy() + oracle.std() / 50, oracle.cdf).pvalue < 1e-3


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize(
    ("distribution", "values", "shares"),
    [
        (gmemx.integers(-3, 4), range(-3, 4), [1 / 7] * 7),
        (gmemx.bernoulli(0.3), [0, 1], [0.7, 0.3]),
        (gmemx.choice([5, 1, 9]), [1, 5, 9], [1 / 3] * 3),
        (gmemx.choice([5, 1, 9], [0.5, 0.125, 0.375]), [1, 5, 9], [0.125, 0.5, 0.375]),
    ],
    ids=["integers", "bernoulli", "choice", "loaded"],
)
def test_chi_square_agrees(generator, distribution, values, shares):
    """With fixed seeds, as above."""
    array = gmemx.GMemContext(2024, generator).array(
        200_000, "int8", 10**12, distribution=distribution
    )
    found, counts = np.unique(array.numpy(), return_counts=True)
    assert found.tolist() == list(values)
    assert stats.chisquare(counts, np.array(shares) * array.size).pvalue > 1e-3
    shares = np.array(shares) + np.eye(len(shares))[0] * 0.01
    assert stats.chisquare(counts, shares / shares.sum() * array.size).pvalue < 1e-3


def test_integers_are_all_as_likely(context):
    array = context.array(700_000, "int8", distribution=gmemx.integers(-3, 4))
    counts, _ = array.histogram(np.arange(-3.5, 4))
    chi2 = ((counts - 100_000.0) ** 2 / 100_000).sum()
    assert chi2 < 30
    assert (array.min(), array.max()) == (-3, 3)


def test_choices_have_their_probabilities(context):
    p = [0.5, 0.125, 0, 0.375]
    array = context.array(800_000, distribution=gmemx.choice([4, 3, 2, 1], p))
    counts, _ = array.histogram([0.5, 1.5, 2.5, 3.5, 4.5])
    expected = 800_000 * np.array(p[::-1])
    assert counts[1] == 0
    keep = expected > 0
    assert ((counts[keep] - expected[keep]) ** 2 / expected[keep]).sum() < 30


def test_certain_and_impossible_events(context):
    assert context.array(10**5, "bool", distribution=gmemx.bernoulli(1)).sum() == 10**5
    assert context.array(10**5, "bool", distribution=gmemx.bernoulli(0)).sum() == 0


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_elements_lie_in_the_support(context, name):
    distribution = DISTRIBUTIONS[name]
    low, high = distribution.support
    array = context.array(10**5, distribution=distribution)
    assert low <= array.min() <= array.max() <= high


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_are_values(name):
    distribution = DISTRIBUTIONS[name]
    again = pickle.loads(pickle.dumps(distribution))
    assert again == distribution
    assert hash(again) == hash(distribution)
    assert copy.deepcopy(distribution) == distribution
    others = [other for key, other in DISTRIBUTIONS.items() if key != name]
    assert distribution not in others
    with pytest.raises(AttributeError):
        distribution.low = 5
    if "..." not in repr(distribution):
        assert eval(repr(distribution), vars(gmemx)) == distribution


def test_names():
    context = GMemContext(7)
    assert context.array(3, distribution="normal").distribution == gmemx.normal()
    assert context.array(3).distribution == gmemx.uniform() == gmemx.uniform(0, 1)
    with pytest.raises(ValueError, match="unknown distribution 'gauss'"):
        context.array(3, distribution="gauss")
    with pytest.raises(TypeError, match="not type"):
        context.array(3, distribution=gmemx.distributions.Normal)


@pytest.mark.parametrize(
    ("dtype", "distribution"),
    [
        ("int32", "normal"),
        ("int8", "uniform"),
        ("bool", "uniform"),
        ("uint8", gmemx.integers(0, 300)),
        ("uint8", gmemx.integers(-1, 2)),
        ("int8", gmemx.integers(0, 129)),
        ("bool", gmemx.integers(0, 3)),
        ("int64", gmemx.choice([0.5, 1])),
        ("bool", gmemx.choice([0, 2])),
        ("uint16", gmemx.choice([0, 2**16])),
    ],
)
def test_dtypes_that_cannot_hold_it(dtype, distribution):
    with pytest.raises(ValueError, match="cannot hold"):
        GMemContext(7).array(3, dtype, distribution=distribution)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: gmemx.uniform(2, 1), ValueError),
        (lambda: gmemx.uniform(0, math.inf), ValueError),
        (lambda: gmemx.uniform(math.nan, 1), ValueError),
        (lambda: gmemx.uniform(-1.7e308, 1.7e308), ValueError),
        (lambda: gmemx.uniform("0", 1), TypeError),
        (lambda: gmemx.uniform(0, 1j), TypeError),
        (lambda: gmemx.normal(0, -1), ValueError),
        (lambda: gmemx.normal(0, math.nan), ValueError),
        (lambda: gmemx.normal(None, 1), TypeError),
        (lambda: gmemx.integers(3, 3), ValueError),
        (lambda: gmemx.integers(0, 2**53 + 1), ValueError),
        (lambda: gmemx.integers(-(2**53), 2), ValueError),
        (lambda: gmemx.integers(2**60, 2**60 + 5), ValueError),
        (lambda: gmemx.integers(0.5, 3), TypeError),
        (lambda: gmemx.bernoulli(1.01), ValueError),
        (lambda: gmemx.bernoulli(-0.01), ValueError),
        (lambda: gmemx.bernoulli(math.nan), ValueError),
        (lambda: gmemx.choice([]), ValueError),
        (lambda: gmemx.choice([1, math.inf]), ValueError),
        (lambda: gmemx.choice([1, 2**53 + 1]), OverflowError),
        (lambda: gmemx.choice(["a"]), TypeError),
        (lambda: gmemx.choice([1, 2], [0.5]), ValueError),
        (lambda: gmemx.choice([1, 2], [0.5, 0.6]), ValueError),
        (lambda: gmemx.choice([1, 2], [1.5, -0.5]), ValueError),
        (lambda: gmemx.choice(5), TypeError),
    ],
)
def test_what_makes_no_sense(make, error):
    with pytest.raises(error):
        make()
