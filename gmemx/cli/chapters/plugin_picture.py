"""The picture of the plugins' chapter: what the plugin computed, and what a call costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from gmemx.cli import drawing
from gmemx.cli.chapters.timing import Entry

WIDTH, HEIGHT = 1280, 800
# The set, and the two charts beside it.
SET = (46, 150, 826, 735)
CHARTS = ((872, 146, 1236, 426), (872, 500, 1236, 760))
# Colours by the share of the steps that a point took; the set itself is dark.
SHARES = (0.0, 0.12, 0.3, 0.55, 0.8, 1.0)
COLOURS = (
    (16, 20, 34),
    (30, 66, 122),
    (70, 150, 190),
    (236, 226, 180),
    (226, 140, 60),
    (120, 40, 40),
)


def draw(
    counts: np.ndarray, limit: int, note: str, charts: Sequence[tuple[str, Sequence[Entry]]]
) -> Image.Image:
    """Draw the set large, and the costs of calls as bars.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (rows, columns): the steps each point took before it left.
    limit : int
        The steps after which a point counts as one of the set.
    note : str
        How it was computed, in a few words.
    charts : sequence of (str, sequence of Entry)
        Two charts' titles, and what was measured.

    Returns
    -------
    PIL.Image.Image
        WIDTH by HEIGHT, in RGB.
    """
    image = drawing.canvas(
        WIDTH,
        HEIGHT,
        "gmemx: a native plugin out of a signed bundle",
        f"{counts.shape[1]} x {counts.shape[0]} points of the Mandelbrot set, {note}.",
    )
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = SET
    note = f"up to {limit:,} steps a point"
    drawing.panel(pen, (28, 96, right + 18, HEIGHT - 20), "rows that a plugin computed", note)
    image.paste(coloured(counts, limit).resize((right - left, bottom - top)), (left, top))
    for (title, entries), box in zip(charts, CHARTS, strict=True):
        ground = (box[0] - 18, box[1] - 50, WIDTH - 28, box[3] + 20)
        drawing.panel(pen, ground, title, "microseconds a call")
        drawing.bars(pen, box, [_bar(entry) for entry in entries])
    return image


def coloured(counts: np.ndarray, limit: int) -> Image.Image:
    """Colour points by how soon they left.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (rows, columns).
    limit : int
        The count of the points that never left.

    Returns
    -------
    PIL.Image.Image
        In RGB, a pixel a point.
    """
    share = np.log1p(counts) / np.log1p(limit)
    channels = [np.interp(share, SHARES, channel) for channel in zip(*COLOURS, strict=True)]
    pixels = np.stack(channels, axis=-1)
    pixels[counts >= limit] = COLOURS[0]
    return Image.fromarray(pixels.round().astype(np.uint8))


def _bar(entry: Entry) -> tuple[str, float, str, drawing.Colour]:
    amount = entry.seconds * 1e6
    label = f"{amount:.1f}" if amount >= 1 else f"{amount:.2f}"
    return entry.name, entry.seconds, label, drawing.ACCENT if entry.ours else drawing.COOL
