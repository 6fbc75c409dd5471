"""What the tests of virtual arrays share: layouts, distributions, and the definition."""

import math
import sys

import numpy as np
from hypothesis import strategies as st

import gmemx

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = ("bool", *INTEGERS, "float32", "float64")

DISTRIBUTIONS = {
    "uniform": gmemx.uniform(),
    "stretched": gmemx.uniform(-3, 7.5),
    "normal": gmemx.normal(2, 0.5),
    "integers": gmemx.integers(0, 2),
    "many": gmemx.integers(-(2**40), 2**50),
    "bernoulli": gmemx.bernoulli(0.3),
    "choice": gmemx.choice([1, 0, 1, 0]),
    "weighted": gmemx.choice([3.5, -2, 9], [0.2, 0.0, 0.8]),
    "wide": gmemx.choice(range(100), [0.01] * 100),
}

# Before Python 3.11 there is no zarr 3, and so no gmemx.zarr.
HAS_ZARR = sys.version_info >= (3, 11)
NO_ZARR = "zarr 3 needs Python 3.11 or newer"

shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple)


def fits(distribution, dtype):
    """Whether elements of that dtype can hold the distribution."""
    try:
        distribution.check(np.dtype(dtype))
    except ValueError:
        return False
    return True


PAIRS = [
    (name, dtype)
    for name, distribution in DISTRIBUTIONS.items()
    for dtype in DTYPES
    if fits(distribution, dtype)
]


def by_definition(distribution, u):
    """Elements of uniform values, one by one in Python; normal ones to a few ulp."""
    return np.array([one(distribution, value) for value in u.ravel().tolist()]).reshape(u.shape)


def one(distribution, u):
    """An element of one uniform value."""
    kind = type(distribution).__name__
    if kind == "Uniform":
        return min(distribution.low + (distribution.high - distribution.low) * u, distribution.high)
    if kind == "Integers":
        count = distribution.high - distribution.low
        return float(distribution.low + min(math.floor(u * count), count - 1))
    if kind == "Bernoulli":
        return float(u < distribution.p or distribution.p == 1)
    if kind == "Choice":
        _, _, _, values, cumulative = distribution.parameters()
        if cumulative is None:
            return float(values[min(int(u * len(values)), len(values) - 1)])
        return float(values[min(np.searchsorted(cumulative, u, "right"), len(values) - 1)])
    raise AssertionError(kind)


@st.composite
def keys(draw, shape):
    """A basic index of that shape."""
    parts = []
    for extent in shape[: draw(st.integers(0, len(shape)))]:
        choices = [st.slices(extent)]
        if extent:
            choices.append(st.integers(-extent, extent - 1))
        parts.append(draw(st.one_of(choices)))
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):
        rest = len(shape) - sum(part is not None for part in parts)
        after = draw(st.integers(0, rest))
        parts.append(Ellipsis)
        for extent in shape[len(shape) - after :] if after else ():
            parts.append(draw(st.slices(extent)))
    if len(parts) == 1 and draw(st.booleans()):
        return parts[0]
    return tuple(parts)


@st.composite
def views(draw, array):
    """The same view of a virtual array and of its elements."""
    stored = array.numpy()
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["index", "transpose", "newaxis"])):
            case "index":
                key = draw(keys(array.shape))
                if np.ndim(stored[key]) == 0 and not isinstance(stored[key], np.ndarray):
                    continue
                array, stored = array[key], stored[key]
            case "transpose":
                axes = draw(st.permutations(range(array.ndim)))
                array, stored = array.transpose(axes), stored.transpose(axes)
            case "newaxis":
                array, stored = array[None], stored[None]
    return array, stored


def made(shape=(100, 70), **more):
    """A virtual array with some elements written."""
    array = gmemx.GMemContext(7).array(shape, **more)
    array[..., :2] = 1
    return array
