"""A picture of an array: its elements, how they are distributed, and what they have in common.

matplotlib is imported when a picture is drawn, and without a window.
"""

from __future__ import annotations

import math
from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from gmemx.array import VirtualArray
from gmemx.distributions import Bernoulli, Choice, Distribution, Integers, Normal, Uniform
from gmemx.errors import InvalidArgumentError
from gmemx.generative import GMemContext

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = npt.NDArray[np.float64]

# Elements that a picture is made of, at most: 128 MB.
MOST = 1 << 24
# Cells of a context that are drawn when it is handed in as it is.
CELLS = 4096
# Elements up to which a line connects them, and up to which each is a dot by itself.
LINE, DOTS = 400, 20_000
# Pixels of an image along either axis, about.
PIXELS = 1500
# Integers that are counted one by one.
BARS = 64
INK, MADE, MODEL = "#22313f", "#3b7dd8", "#e4572e"


def plot(
    array: VirtualArray | GMemContext,
    output: str | PathLike[str] | None = None,
    *,
    bins: int | None = None,
    lags: int = 64,
    dpi: float = 120,
) -> Figure:
    """Draw an array: its elements, their histogram and their autocorrelation.

    Parameters
    ----------
    array : VirtualArray or GMemContext
        One or two dimensions and at most 2**24 elements; of a context its first 4,096 cells.
    output : path, optional
        The PNG to write; one that is there is replaced.
    bins : int, optional
        Bins of the histogram. By default as many as the number of elements makes sense of.
    lags : int, optional
        The greatest distance of which the autocorrelation is shown.
    dpi : float, optional
        Dots an inch; a picture is 10 inches wide, or 12 for two dimensions.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ModuleNotFoundError
        Without matplotlib, which the extra ``gmemx[plot]`` brings.
    OSError
        If `output` cannot be written.
    ValueError
        For other dimensions, no elements or too many of them; `bins`, `lags` or `dpi` below 1.

    Notes
    -----
    The histogram has the distribution's density drawn over it. The autocorrelation at lag k is
    the sum of products of elements k apart, the mean taken off, over the sum of squares; of
    independent elements 95 in 100 lie within 1.96 over the root of their number, the band shown.

    Examples
    --------
    >>> import gmemx
    >>> figure = gmemx.plot(gmemx.GMemContext(42).array((64, 64), distribution="normal"))
    >>> len(figure.axes)  # elements, their scale, histogram, autocorrelation
    4
    """
    if isinstance(array, GMemContext):
        array = array.array(CELLS)
    if not isinstance(array, VirtualArray):
        raise TypeError(f"plot draws a VirtualArray or a GMemContext, not {type(array).__name__}")
    if array.ndim not in (1, 2):
        raise InvalidArgumentError(
            f"a picture has 1 or 2 dimensions, and this array has {array.ndim}: take a slice of it"
        )
    if not 0 < array.size <= MOST:
        raise InvalidArgumentError(
            f"a picture is made of 1 to {MOST:,} elements, not of {array.size:,}: take a slice"
        )
    for name, value in (("bins", bins), ("lags", lags), ("dpi", dpi)):
        if value is not None and value < 1:
            raise InvalidArgumentError(f"{name} must be at least 1, and it is {value}")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a picture needs matplotlib: pip install 'gmemx[plot]'", name=error.name
        ) from None

    elements = array.numpy().astype(np.float64)
    is_image = array.ndim == 2
    size = (12, 6.5) if is_image else (10, 7.5)
    figure = Figure(figsize=size, dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(heading(array), fontsize=11, color=INK)
    if is_image:
        places = figure.add_gridspec(2, 2, width_ratios=[1.2, 1])
        draw_image(figure, figure.add_subplot(places[:, 0]), elements)
        below = places[0, 1], places[1, 1]
    else:
        places = figure.add_gridspec(2, 2, height_ratios=[1.35, 1])
        draw_line(figure.add_subplot(places[0, :]), elements)
        below = places[1, 0], places[1, 1]
    draw_histogram(figure.add_subplot(below[0]), array.distribution, elements, bins)
    draw_autocorrelation(figure.add_subplot(below[1]), elements, lags)
    if output is not None:
        figure.savefig(output, format="png")
    return figure


def heading(array: VirtualArray) -> str:
    """Where the elements come from."""
    context = array.context
    shape = " x ".join(f"{extent:,}" for extent in array.shape)
    written = context.overlay_count
    more = f", {written:,} of its cells written" if written else ""
    return (
        f"{shape} {array.dtype} elements, {array.distribution!r}\n"
        f"{context.generator}, seed {context.seed}, offset {array.offset:,}{more}"
    )


def tidy(axes: Axes, title: str) -> None:
    """Give axes what all have in common."""
    axes.set_title(title, fontsize=10, loc="left", color=INK)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw_line(axes: Axes, elements: Numbers) -> None:
    """One dimension: a line through few elements, dots for more."""
    places = np.arange(elements.size)
    if elements.size <= LINE:
        axes.plot(places, elements, color=MADE, linewidth=1, marker="o", markersize=2.5)
    else:
        step = -(-elements.size // DOTS)
        shade = min(1.0, 0.25 + 1000 / elements.size)
        axes.plot(places[::step], elements[::step], ".", color=MADE, markersize=3, alpha=shade)
        axes.set_xlabel("index" if step == 1 else f"index, every {step}th", fontsize=8)
    axes.margins(x=0.01)
    tidy(axes, "elements")


def draw_image(figure: Figure, axes: Axes, elements: Numbers) -> None:
    """Two dimensions: an image."""
    steps = [-(-extent // PIXELS) for extent in elements.shape]
    part = elements[:: steps[0], :: steps[1]]
    height, width = elements.shape
    # Pixels are squares unless that made a thin strip of them.
    aspect: Literal["equal", "auto"] = "equal" if 1 / 2 <= width / height <= 2 else "auto"
    image = axes.imshow(
        part, cmap="viridis", interpolation="nearest", aspect=aspect,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.ax.tick_params(labelsize=8)
    tidy(axes, "elements")
    if max(steps) > 1:
        axes.set_xlabel(f"every {steps[0]}th row, every {steps[1]}th column", fontsize=8)


def draw_histogram(
    axes: Axes, distribution: Distribution, elements: Numbers, bins: int | None
) -> None:
    """Counts of elements, and what the distribution expects."""
    finite = elements[np.isfinite(elements)]
    masses = probabilities(distribution)
    if masses is not None and len(masses) <= BARS and bins is None:
        values, counts = np.unique(finite, return_counts=True)
        expected = np.array(list(masses))
        width = 0.8 * (min(np.diff(expected)) if expected.size > 1 else 1)
        axes.bar(values, counts / elements.size, width, color=MADE, alpha=0.6, label="elements")
        axes.plot(expected, list(masses.values()), "_", color=MODEL, markersize=14,
                  markeredgewidth=2, label="distribution")  # fmt: skip
        axes.set_ylabel("share", fontsize=8)
    elif finite.size:
        count = bins or int(np.clip(2 * finite.size ** (1 / 3), 10, 100))
        least, most = float(finite.min()), float(finite.max())
        if isinstance(distribution, Uniform):
            least, most = min(least, distribution.low), max(most, distribution.high)
        axes.hist(finite, count, range=(least, most), density=True, color=MADE, alpha=0.6,
                  label="elements")  # fmt: skip
        places = np.linspace(least, most, 400)
        axes.plot(places, density(distribution, places), color=MODEL, linewidth=1.8,
                  label="distribution")  # fmt: skip
        axes.set_ylabel("density", fontsize=8)
    # Room for the legend.
    axes.set_ylim(0, axes.get_ylim()[1] * 1.2)
    axes.legend(fontsize=8, frameon=False, loc="upper right", ncols=2)
    tidy(axes, "distribution")


def probabilities(distribution: Distribution) -> dict[float, float] | None:
    """The values of a distribution that has only some, in order, with their probabilities."""
    if isinstance(distribution, Bernoulli):
        return {0.0: 1 - distribution.p, 1.0: distribution.p}
    if isinstance(distribution, Integers):
        count = distribution.high - distribution.low
        if count > BARS:
            return None
        return {float(distribution.low + i): 1 / count for i in range(count)}
    if isinstance(distribution, Choice):
        masses: dict[float, float] = {}
        shares = distribution.p or (1 / len(distribution.values),) * len(distribution.values)
        for value, share in sorted(zip(distribution.values, shares, strict=True)):
            masses[value] = masses.get(value, 0.0) + share
        return masses
    return None


def density(distribution: Distribution, places: Numbers) -> Numbers:
    """The density at some places; of many values, about what it would be."""
    if isinstance(distribution, Normal) and distribution.std > 0:
        z = (places - distribution.mean) / distribution.std
        return np.exp(-z * z / 2) / (distribution.std * math.sqrt(2 * math.pi))
    low, high = distribution.support
    inside = (places >= low) & (places <= high)
    if isinstance(distribution, Integers):
        return inside / (high - low + 1)
    if isinstance(distribution, Uniform) and high > low:
        return inside / (high - low)
    return np.full(places.shape, np.nan)


def draw_autocorrelation(axes: Axes, elements: Numbers, lags: int) -> None:
    """The correlation of elements with those some places on, and what chance makes of it."""
    # Across the last axis first.
    names = {1: ["elements"], 2: ["along rows", "along columns"]}[elements.ndim]
    for shade, axis, name in zip((MADE, MODEL), (-1, 0), names, strict=False):
        r = autocorrelation(np.moveaxis(elements, axis, -1), lags)
        places = np.arange(1, r.size + 1)
        shift = 0.15 * (1 if axis == -1 else -1) * (elements.ndim - 1)
        axes.vlines(places + shift, 0, r, color=shade, linewidth=1, alpha=0.7)
        axes.plot(places + shift, r, ".", color=shade, markersize=4, label=name)
    band = 1.96 / math.sqrt(elements.size)
    axes.axhspan(-band, band, color=INK, alpha=0.1, linewidth=0, label="95 in 100 by chance")
    axes.axhline(0, color=INK, linewidth=0.8)
    low, high = axes.get_ylim()
    reach = max(abs(low), abs(high), 1.5 * band)
    axes.set_ylim(-reach, 1.35 * reach)
    axes.set_xlabel("lag", fontsize=8)
    axes.legend(fontsize=8, frameon=False, loc="upper right", ncols=3)
    tidy(axes, "autocorrelation")


def autocorrelation(lines: Numbers, lags: int) -> Numbers:
    """The autocorrelation along the last axis, at distances from 1 on; 0 where nothing varies."""
    finite = np.isfinite(lines)
    mean = lines[finite].mean() if finite.any() else 0.0
    about_zero = np.where(finite, lines - mean, 0.0).reshape(-1, lines.shape[-1])
    power = float(np.sum(about_zero**2))
    most = min(lags, lines.shape[-1] - 1)
    if power == 0:
        return np.zeros(most)
    return np.array([
        np.einsum("ij,ij->", about_zero[:, :-lag], about_zero[:, lag:]) / power
        for lag in range(1, most + 1)
    ])  # fmt: skip
