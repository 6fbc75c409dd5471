"""What the elements of a virtual array are distributed like.

Each distribution is a pure function of a cell's uniform value, so a part of an array agrees
with the whole, bit for bit. They are small values: immutable, hashable, and they pickle.

Examples
--------
>>> import gmemx
>>> ctx = gmemx.GMemContext(seed=42)
>>> dice = ctx.array((2, 5), dtype="uint8", distribution=gmemx.integers(1, 7))
>>> dice.numpy()
array([[1, 2, 6, 6, 2],
       [5, 3, 3, 1, 3]], dtype=uint8)
"""

import math
import operator
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np

from gmemx.errors import InvalidArgumentError, ValueOverflowError

__all__ = [
    "Bernoulli",
    "Choice",
    "Distribution",
    "Integers",
    "Normal",
    "Uniform",
    "bernoulli",
    "choice",
    "integers",
    "normal",
    "uniform",
]

# Integers up to this are all float64 numbers.
EXACT = 2**53


@dataclass(frozen=True, repr=False)
class Distribution:
    """The base of all distributions.

    Examples
    --------
    >>> isinstance(uniform(0, 1), Distribution)
    True
    """

    # Which one it is for the C functions; whether all values are integers.
    number: ClassVar[int]
    whole: ClassVar[bool] = False

    @property
    def support(self) -> tuple[float, float]:
        """The least and the greatest value there can be."""
        raise NotImplementedError

    def is_whole(self) -> bool:
        """Whether all values are integers."""
        return self.whole

    def parameters(self) -> tuple[int, float, float, np.ndarray | None, np.ndarray | None]:
        """What the C functions take: number, two parameters, values and their probabilities."""
        a, b = (*astuple(self), 0.0)[:2]
        return self.number, float(a), float(b), None, None

    def check(self, dtype: np.dtype[Any]) -> None:
        """ValueError where elements of a dtype cannot hold the values."""
        if dtype.kind == "f":
            return
        low, high = self.support
        least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if not self.is_whole() or low < least or high > most:
            raise InvalidArgumentError(f"{dtype} elements cannot hold the values of {self!r}")

    def __repr__(self) -> str:
        return f"{type(self).__name__.lower()}({', '.join(map(repr, astuple(self)))})"


@dataclass(frozen=True, repr=False)
class Uniform(Distribution):
    """Evenly between two ends, both of which may occur.

    Examples
    --------
    >>> uniform(2, 3).support
    (2.0, 3.0)
    """

    number = 0
    low: float
    high: float

    @property
    def support(self) -> tuple[float, float]:
        """The least and the greatest value there can be."""
        return self.low, self.high


@dataclass(frozen=True, repr=False)
class Normal(Distribution):
    """The normal distribution, by inversion (algorithm AS241).

    Examples
    --------
    >>> normal(10, 2).support
    (-inf, inf)
    """

    number = 1
    mean: float
    std: float

    @property
    def support(self) -> tuple[float, float]:
        """The least and the greatest value there can be."""
        return -math.inf, math.inf


@dataclass(frozen=True, repr=False)
class Integers(Distribution):
    """Integers from `low` on and below `high`, all as likely.

    Examples
    --------
    >>> integers(1, 7).support
    (1, 6)
    """

    number, whole = 2, True
    low: int
    high: int

    @property
    def support(self) -> tuple[float, float]:
        """The least and the greatest value there can be."""
        return self.low, self.high - 1


@dataclass(frozen=True, repr=False)
class Bernoulli(Distribution):
    """1 with a probability, otherwise 0.

    Examples
    --------
    >>> bernoulli(0.25).support
    (0, 1)
    """

    number, whole = 3, True
    p: float

    @property
    def support(self) -> tuple[float, float]:
        """The least and the greatest value there can be."""
        return 0, 1


@dataclass(frozen=True, repr=False)
class Choice(Distribution):
    """One of some values, all as likely or with given probabilities.

    Examples
    --------
    >>> choice([3, 1, 2]).support
    (1.0, 3.0)
    """

    number = 4
    values: tuple[float, ...]
    p: tuple[float, ...] | None = None

    @property
    def support(self) -> tuple[float, float]:
        """The least and the greatest value there can be."""
        return min(self.values), max(self.values)

    def is_whole(self) -> bool:
        """Whether all values are integers."""
        return all(value == int(value) for value in self.values)

    def parameters(self) -> tuple[int, float, float, np.ndarray, np.ndarray | None]:
        """What the C functions take."""
        values = np.array(self.values, dtype=np.float64)
        if self.p is None:
            return self.number, 0.0, 0.0, values, None
        cumulative = np.array(list(accumulate(self.p)), dtype=np.float64)
        cumulative /= cumulative[-1]
        # The last value that can be takes all that is left, 1.0 itself too.
        cumulative[np.flatnonzero(self.p)[-1] :] = math.inf
        return self.number, 0.0, 0.0, values, cumulative

    def __repr__(self) -> str:
        shown = [f"{value:.17g}" for value in self.values[:6]]
        if len(self.values) > 6:
            shown.append(f"... {len(self.values)} in all")
        p = "" if self.p is None else ", p=..." if len(self.p) > 6 else f", p={list(self.p)}"
        return f"choice([{', '.join(shown)}]{p})"


def real(value: Any, name: str) -> float:
    """A finite number as a float."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        if not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be a real number, not {type(value).__name__}")
        value = operator.index(value)
    number = float(value)
    if not math.isfinite(number):
        raise InvalidArgumentError(f"{name} must be finite, and it is {number}")
    return number


def uniform(low: float = 0.0, high: float = 1.0) -> Uniform:
    """Evenly from `low` to `high`: ``low + (high - low) * u`` of a cell's value u in [0, 1].

    Parameters
    ----------
    low, high : float
        Both ends may occur. From 0 to 1 an element is its cell.

    Returns
    -------
    Uniform

    Raises
    ------
    ValueError
        If an end is not finite, or `high` is below `low`.

    Examples
    --------
    >>> import gmemx
    >>> gmemx.GMemContext(42).array(2, distribution=gmemx.uniform(-1, 1)).numpy()
    array([-0.84440623, -0.42105678])
    """
    low, high = real(low, "low"), real(high, "high")
    if not low <= high or not math.isfinite(high - low):
        raise InvalidArgumentError(f"low must not be above high: {low} and {high}")
    return Uniform(low, high)


def normal(mean: float = 0.0, std: float = 1.0) -> Normal:
    """The normal distribution of that mean and standard deviation.

    An element is the quantile of its cell's value, right to a few units in the last place. The
    two ends stand for quantiles of 2**-54, so all values lie within 8.3 deviations.

    Parameters
    ----------
    mean, std : float

    Returns
    -------
    Normal

    Raises
    ------
    ValueError
        If one is not finite, or `std` is negative.

    Examples
    --------
    >>> import gmemx
    >>> gmemx.GMemContext(42).array(2, distribution=gmemx.normal()).numpy().round(6)
    array([-1.420048, -0.554929])
    """
    mean, std = real(mean, "mean"), real(std, "std")
    if std < 0:
        raise InvalidArgumentError(f"std must not be negative, and it is {std}")
    return Normal(mean, std)


def integers(low: int, high: int) -> Integers:
    """Integers from `low` on and below `high`, all as likely.

    Parameters
    ----------
    low, high : int
        At most 2**53 of them, none beyond 2**53 from zero.

    Returns
    -------
    Integers

    Raises
    ------
    TypeError
        If one is not an integer.
    ValueError
        If there are none, or too many.

    Examples
    --------
    >>> import gmemx
    >>> gmemx.GMemContext(42).array(4, "int8", distribution=gmemx.integers(-5, 6)).numpy()
    array([-5, -2,  4,  4], dtype=int8)
    """
    low, high = operator.index(low), operator.index(high)
    if not low < high:
        raise InvalidArgumentError("integers(low, high) needs a low below its high")
    if low < -EXACT or high > EXACT or high - low > EXACT:
        raise InvalidArgumentError("integers(low, high) has at most 2**53 values within 2**53")
    return Integers(low, high)


def bernoulli(p: float) -> Bernoulli:
    """1 (or True) with probability `p`, otherwise 0.

    Parameters
    ----------
    p : float
        From 0 to 1.

    Returns
    -------
    Bernoulli

    Raises
    ------
    ValueError
        If `p` is no probability.

    Examples
    --------
    >>> import gmemx
    >>> gmemx.GMemContext(42).array(4, "bool", distribution=gmemx.bernoulli(0.25)).numpy()
    array([ True, False, False, False])
    """
    p = real(p, "p")
    if not 0 <= p <= 1:
        raise InvalidArgumentError(f"p must be from 0 to 1, and it is {p}")
    return Bernoulli(p)


def choice(values: Iterable[float], p: Iterable[float] | None = None) -> Choice:
    """One of some values.

    Parameters
    ----------
    values : iterable of float
    p : iterable of float, optional
        Their probabilities, which add up to 1; without them all are as likely.

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        If there is no value, one is not finite, or `p` is no probability for each.
    OverflowError
        If an integer is one that float64 cannot hold exactly.

    Examples
    --------
    >>> import gmemx
    >>> loaded = gmemx.choice([0, 10], p=[0.75, 0.25])
    >>> gmemx.GMemContext(42).array(5, "int16", distribution=loaded).numpy()
    array([ 0,  0, 10, 10,  0], dtype=int16)
    """
    numbers = []
    for value in values:
        number = real(value, "a value")
        if number != value:
            raise ValueOverflowError(f"float64 cannot hold {value} exactly")
        numbers.append(number)
    if not numbers:
        raise InvalidArgumentError("a choice needs at least one value")
    if p is None:
        return Choice(tuple(numbers))
    shares = tuple(real(share, "a probability") for share in p)
    if len(shares) != len(numbers):
        raise InvalidArgumentError(f"{len(numbers)} values and {len(shares)} probabilities")
    if min(shares) < 0 or abs(math.fsum(shares) - 1) > 1e-8:
        raise InvalidArgumentError("probabilities are not negative and add up to 1")
    return Choice(tuple(numbers), shares)


# What strings may stand for.
NAMED = {"uniform": Uniform(0.0, 1.0), "normal": Normal(0.0, 1.0)}


def distribution_of(distribution: object) -> Distribution:
    """A distribution, or what a string names."""
    if isinstance(distribution, Distribution):
        return distribution
    if not isinstance(distribution, str):
        raise TypeError(
            "a distribution is a name or what gmemx.normal() and its like give, "
            f"not {type(distribution).__name__}"
        )
    if distribution not in NAMED:
        known = " or ".join(map(repr, NAMED))
        raise InvalidArgumentError(f"unknown distribution {distribution!r}: expected {known}")
    return NAMED[distribution]
