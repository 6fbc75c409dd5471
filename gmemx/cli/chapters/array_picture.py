"""The picture of the arrays' chapter: what was painted into a petabyte, and how fast it adds up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from gmemx.cli import drawing
from gmemx.cli.chapters.timing import Entry

WIDTH, HEIGHT = 1056, 760
LARGE: drawing.Box = (46, 148, 46 + 580, 148 + 580)
SMALL: drawing.Box = (680, 148, 680 + 330, 148 + 330)
SUMS: drawing.Box = (680, 560, 1010, 730)

# Values in standard deviations, and their colours.
VALUES = (-3.0, -1.5, 0.0, 1.5, 3.0)
COLOURS = ((70, 150, 220), (36, 74, 130), (18, 22, 38), (150, 84, 40), (255, 196, 110))


def draw(
    torn: np.ndarray,
    whole: np.ndarray,
    flushed: int,
    size: int,
    cells: int,
    entries: Sequence[Entry],
) -> Image.Image:
    """Draw the finished painting large, the one of the killed writer small, and the sums.

    Parameters
    ----------
    torn, whole : numpy.ndarray
        A window of the array after the kill and in the end.
    flushed : int
        How many rows the killed writer had flushed.
    size : int
        How many rows there are.
    cells : int
        How many were added up.
    entries : sequence of Entry
        What that took.

    Returns
    -------
    PIL.Image.Image
        WIDTH by HEIGHT, in RGB.
    """
    image = drawing.canvas(
        WIDTH,
        HEIGHT,
        "gmemx: a window into a petabyte",
        "Normal numbers that nobody stored, and in their midst what was written to a file.",
    )
    pen = ImageDraw.Draw(image)
    _window(image, pen, whole, LARGE, "painted to the end", "reopened read-only")
    note = f"{flushed} of {size} rows"
    _window(image, pen, torn, SMALL, "after SIGKILL", note)
    ground = (SUMS[0] - 18, SUMS[1] - 50, WIDTH - 28, HEIGHT - 14)
    drawing.panel(pen, ground, f"the sum of {cells:,} cells", "M cells/s")
    drawing.bars(pen, SUMS, [_bar(cells, entry) for entry in entries])
    return image


def _window(
    image: Image.Image,
    pen: ImageDraw.ImageDraw,
    cells: np.ndarray,
    box: drawing.Box,
    title: str,
    note: str,
) -> None:
    left, top, right, bottom = box
    drawing.panel(pen, (left - 18, top - 50, right + 18, bottom + 18), title, note)
    channels = [np.interp(cells, VALUES, channel) for channel in zip(*COLOURS, strict=True)]
    pixels = Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
    image.paste(pixels.resize((right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))


def _bar(cells: int, entry: Entry) -> tuple[str, float, str, drawing.Colour]:
    rate = cells / entry.seconds / 1e6
    return entry.name, rate, f"{rate:,.0f}", drawing.ACCENT
