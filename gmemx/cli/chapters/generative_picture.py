"""The picture of the generative chapter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

import gmemx
from gmemx.cli import drawing, machine
from gmemx.cli.chapters.generative_race import Entry

WIDTH, HEIGHT = 1240, 720

# The memory is drawn a row of COLUMNS cells at a time, each cell SCALE pixels
# wide; 2^63 is the first cell of row ABOVE.
COLUMNS, ROWS, ABOVE, SCALE = 280, 256, 98, 2
MEMORY: drawing.Box = (46, 148, 46 + COLUMNS * SCALE, 148 + ROWS * SCALE)

HISTOGRAM: drawing.Box = (672, 146, 1194, 276)
BARS: drawing.Box = (672, 376, 1194, 694)

# Values and colours of the memory: generated ones lie in [0, 1] and are cold,
# written ones in (1, 2] and are warm.
STOPS = (0.0, 0.5, 1.0, 1.0001, 1.5, 2.0)
COLOURS = (
    (10, 14, 34),
    (28, 52, 98),
    (66, 112, 172),
    (150, 74, 30),
    (250, 158, 46),
    (255, 236, 170),
)


def draw(
    context: gmemx.GMemContext, written: int, counts: np.ndarray, entries: Sequence[Entry]
) -> Image.Image:
    """Draw the memory around 2^63, the histogram and the measured throughput.

    Parameters
    ----------
    context : gmemx.GMemContext
        With the word written at 2^63; its cells are read again for the picture.
    written : int
        How many cells the word took.
    counts : numpy.ndarray
        The histogram of generated values over [0, 1].
    entries : sequence of Entry
        What was measured.

    Returns
    -------
    PIL.Image.Image
        WIDTH by HEIGHT, in RGB.
    """
    image = drawing.canvas(
        WIDTH,
        HEIGHT,
        "gmemx: generative memory",
        f"2^64 cells from seed {context.seed}. Stored: the {written:,} that were written.",
    )
    pen = ImageDraw.Draw(image)

    left, top, right, bottom = MEMORY
    drawing.panel(pen, (28, 96, right + 18, HEIGHT - 24), "the memory around address 2^63")
    pen.text(
        (right, 111),
        "cold: generated   warm: written",
        fill=drawing.MUTED,
        font=drawing.font(14),
        anchor="ra",
    )
    start = (1 << 63) - ABOVE * COLUMNS
    cells = context[start : start + ROWS * COLUMNS].reshape(ROWS, COLUMNS)
    image.paste(
        heat(cells).resize((right - left, bottom - top), Image.Resampling.NEAREST), (left, top)
    )
    small = drawing.font(13)
    y = top + ABOVE * SCALE
    pen.polygon(((left - 11, y - 6), (left - 11, y + 6), (left - 3, y)), fill=drawing.ACCENT)
    last = start + ROWS * COLUMNS - 1
    pen.text((left, bottom + 9), f"{start:#x}", fill=drawing.MUTED, font=small)
    pen.text((right, bottom + 9), f"{last:#x}", fill=drawing.MUTED, font=small, anchor="ra")

    total = int(counts.sum())
    drawing.panel(
        pen,
        (HISTOGRAM[0] - 18, 96, WIDTH - 28, 312),
        "how the values are spread",
        f"{total:,} cells",
    )
    merged = counts.reshape(64, -1).sum(axis=1)
    drawing.histogram(pen, HISTOGRAM, merged, total / 64)

    box = (BARS[0] - 18, 326, WIDTH - 28, HEIGHT - 24)
    drawing.panel(pen, box, "measured in this run, M cells/s", f"{machine.describe()['cpu']}")
    colours = {False: drawing.ACCENT, True: drawing.COOL}
    drawing.bars(
        pen,
        BARS,
        [
            (e.name, e.rate, f"{e.rate / 1e6:,.{0 if e.rate > 1e7 else 1}f}", colours[e.numpy])
            for e in entries
        ],
    )
    return image


def heat(cells: np.ndarray) -> Image.Image:
    """Colour cells by value, one pixel each.

    Parameters
    ----------
    cells : numpy.ndarray
        Shape (rows, columns), float64; [0, 1] becomes cold, (1, 2] warm.

    Returns
    -------
    PIL.Image.Image
        In RGB, of the same shape.
    """
    channels = [np.interp(cells, STOPS, channel) for channel in zip(*COLOURS, strict=True)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
