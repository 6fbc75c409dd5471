"""The picture of the tensor chapter: what each dtype makes of the same terrain."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

import gmemx
from gmemx.cli import drawing
from gmemx.cli.chapters.tensor_terrain import HIGHEST

SHOWN = ("float32", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int4")

WIDTH, HEIGHT = 1260, 826
# Pixels along a side of a map, one an element; every STEP-th element is drawn.
SIDE, STEP = 224, 4
# The left edge of each dtype's column, and the tops of its maps and its profile.
LEFTS = tuple(26 + i * (SIDE + 22) for i in range(len(SHOWN)))
MAP_TOP, ERROR_TOP, PROFILE_TOP = 160, 418, 676
PROFILE_HEIGHT = 112

# Heights and their colours: the sea is blue, the shore bright, the mountains warm.
HEIGHTS = (-7.5, -4.0, -0.5, 0.5, 3.0, 5.0, 7.5)
COLOURS = (
    (10, 16, 48),
    (24, 66, 128),
    (92, 168, 206),
    (232, 220, 160),
    (96, 148, 84),
    (140, 104, 72),
    (255, 250, 244),
)
# Errors and their colours, by their exponents.
DECADES = (-9.0, -7.0, -5.0, -3.0, -1.0, 0.0)
ERROR_COLOURS = (
    (14, 18, 34),
    (38, 32, 84),
    (98, 42, 128),
    (196, 62, 92),
    (250, 150, 58),
    (255, 240, 180),
)


def draw(heights: gmemx.Tensor, seed: int) -> Image.Image:
    """Draw a map, a map of its errors and a profile for each dtype, side by side.

    Parameters
    ----------
    heights : gmemx.Tensor
        Shape (SIDE * STEP, SIDE * STEP), float64.
    seed : int
        Of the terrain.

    Returns
    -------
    PIL.Image.Image
        WIDTH by HEIGHT, in RGB.
    """
    image = drawing.canvas(
        WIDTH,
        HEIGHT,
        "gmemx: one terrain, five dtypes",
        f"{heights.size:,} heights made of the cells of seed {seed}. Where a dtype has few "
        "values, slopes become steps. Errors are dark near 10^-9, bright near 1.",
    )
    pen = ImageDraw.Draw(image)
    exact = heights.numpy()
    part = heights[::STEP, ::STEP]
    drawn = part.numpy()
    highest = int(drawn.argmax()) // SIDE
    for name, left in zip(SHOWN, LEFTS, strict=True):
        converted = heights.astype(name)
        back = converted.astype("float64")
        error = np.abs(back.numpy() - exact)
        size = f"{converted.nbytes / 1e6:.1f} MB"
        drawing.panel(pen, (left - 8, 96, left + SIDE + 8, HEIGHT - 20), name, size)
        small = part.astype(name).astype("float64").numpy()
        values = len(np.unique(back.numpy()))
        _caption(pen, left, MAP_TOP, f"{values:,} different values")
        image.paste(coloured(small, HEIGHTS, COLOURS), (left, MAP_TOP))
        _caption(pen, left, ERROR_TOP, f"error: at most {error.max():.2g}")
        image.paste(error_map(small, drawn), (left, ERROR_TOP))
        _caption(pen, left, PROFILE_TOP, "the row with the highest point")
        _profile(pen, left, drawn[highest], small[highest])
    return image


def coloured(
    values: np.ndarray, stops: tuple[float, ...], colours: tuple[drawing.Colour, ...]
) -> Image.Image:
    """Colour values, one pixel each.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (rows, columns).
    stops, colours
        What is between two stops is between their colours.

    Returns
    -------
    PIL.Image.Image
        In RGB, of the same shape.
    """
    channels = [np.interp(values, stops, channel) for channel in zip(*colours, strict=True)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def error_map(back: np.ndarray, exact: np.ndarray) -> Image.Image:
    """Colour how far values are off, on a logarithmic scale; see `coloured`."""
    error = np.maximum(np.abs(back - exact), 10.0 ** DECADES[0])
    return coloured(np.log10(error), DECADES, ERROR_COLOURS)


def _caption(pen: ImageDraw.ImageDraw, left: int, top: int, text: str) -> None:
    pen.text((left, top - 21), text, fill=drawing.MUTED, font=drawing.font(14))


def _profile(pen: ImageDraw.ImageDraw, left: int, exact: np.ndarray, back: np.ndarray) -> None:
    """Draw a row of heights as a thick line, and what became of them as thin steps."""
    scale = PROFILE_HEIGHT / (2 * HIGHEST)
    middle = PROFILE_TOP + PROFILE_HEIGHT / 2
    pen.line((left, middle, left + SIDE, middle), fill=drawing.GRID)
    xs = np.linspace(left, left + SIDE, len(exact))
    curve = [(x, middle - height * scale) for x, height in zip(xs, exact, strict=True)]
    steps: list[tuple[float, float]] = []
    for x, height in zip(xs, back, strict=True):
        y = middle - height * scale
        if steps:
            steps.append((x, steps[-1][1]))
        steps.append((x, y))
    pen.line(curve, fill=drawing.COOL, width=4)
    pen.line(steps, fill=drawing.ACCENT, width=1)
