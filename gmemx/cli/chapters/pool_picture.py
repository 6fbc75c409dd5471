"""The picture of the pool chapter: a field that several processes computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from gmemx.cli import drawing
from gmemx.cli.chapters.pool_workers import Strip
from gmemx.cli.chapters.timing import Entry

WIDTH, HEIGHT = 1260, 760
# The last field, and the sides of the small ones.
FIELD: drawing.Box = (46, 148, 46 + 560, 148 + 560)
SMALL, GAP = 176, 10
SMALL_LEFT, SMALL_TOP = 668, 148
HANDED: drawing.Box = (668, 586, 914, 730)
TAKEN: drawing.Box = (964, 586, 1214, 730)

# How much V there is, and its colours: the sea is dark, what lives in it bright.
AMOUNTS = (0.0, 0.08, 0.16, 0.24, 0.32, 0.42)
COLOURS = (
    (10, 14, 34),
    (24, 52, 110),
    (60, 140, 190),
    (240, 190, 90),
    (255, 232, 180),
    (255, 255, 255),
)


@dataclass(frozen=True)
class Story:
    """What the processes did.

    Attributes
    ----------
    seed : int
        The drops are cells of this seed.
    fields : sequence of numpy.ndarray
        From the first to the last; shape (2, side, side).
    steps : sequence of int
        How far each of them is.
    strips : sequence of (int, int)
        The rows that a process took.
    done : int
        How many strips were computed.
    killed : int
        At which step a process was killed.
    """

    seed: int
    fields: Sequence[np.ndarray]
    steps: Sequence[int]
    strips: Sequence[Strip]
    done: int
    killed: int


def draw(story: Story, size: int, handed: Sequence[Entry], taken: Sequence[Entry]) -> Image.Image:
    """Draw the last field large, the ones before it small, and both measurements.

    Parameters
    ----------
    story : Story
        Six fields.
    size : int
        How many bytes were handed over.
    handed, taken : sequence of Entry
        From `pool_race`.

    Returns
    -------
    PIL.Image.Image
        WIDTH by HEIGHT, in RGB.
    """
    side = story.fields[-1].shape[-1]
    image = drawing.canvas(
        WIDTH,
        HEIGHT,
        "gmemx: one field, many processes, no copy",
        f"A reaction and its diffusion, {side} x {side} cells, from drops of seed {story.seed}. "
        "A process was killed half-way, and left no trace.",
    )
    pen = ImageDraw.Draw(image)
    _last(image, pen, story)
    _growth(image, pen, story)
    box = (HANDED[0] - 18, 544, HANDED[2] + 18, HEIGHT - 20)
    drawing.panel(pen, box, f"{size / 1e6:.0f} MB to another process", "ms")
    drawing.bars(pen, HANDED, [_bar(entry, 1e-3) for entry in handed])
    box = (TAKEN[0] - 18, 544, WIDTH - 28, HEIGHT - 20)
    drawing.panel(pen, box, "a small buffer, and back", "ns")
    drawing.bars(pen, TAKEN, [_bar(entry, 1e-9) for entry in taken])
    return image


def coloured(field: np.ndarray, side: int) -> Image.Image:
    """Colour a field by V.

    Parameters
    ----------
    field : numpy.ndarray
        Shape (2, rows, columns): U and V.
    side : int
        Of the picture, in pixels; values between cells are interpolated.

    Returns
    -------
    PIL.Image.Image
        In RGB, `side` by `side`.
    """
    amounts = Image.fromarray(field[1]).resize((side, side), Image.Resampling.BICUBIC)
    channels = [
        np.interp(np.asarray(amounts), AMOUNTS, channel) for channel in zip(*COLOURS, strict=True)
    ]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def _last(image: Image.Image, pen: ImageDraw.ImageDraw, story: Story) -> None:
    """The last field, with the strips of the processes beside it."""
    left, top, right, bottom = FIELD
    rows = story.fields[-1].shape[-1]
    drawing.panel(
        pen, (28, 96, right + 18, HEIGHT - 20), f"after {story.steps[-1]:,} steps", "V, by amount"
    )
    image.paste(coloured(story.fields[-1], right - left), (left, top))
    for number, (begin, end) in enumerate(story.strips):
        y0, y1 = (top + round(row / rows * (bottom - top)) for row in (begin, end))
        colour = drawing.ACCENT if number % 2 else drawing.COOL
        pen.rectangle((left - 9, y0 + 1, left - 5, y1 - 2), fill=colour)
    pen.text(
        (left, bottom + 9),
        f"at the left the strips of rows; {story.done:,} were computed, each by one process",
        fill=drawing.MUTED,
        font=drawing.font(13),
    )


def _growth(image: Image.Image, pen: ImageDraw.ImageDraw, story: Story) -> None:
    """All fields, from the drops on."""
    box = (SMALL_LEFT - 18, 96, WIDTH - 28, 528)
    note = f"a process was killed at step {story.killed:,}"
    drawing.panel(pen, box, "as it grew", note)
    for number, (field, steps) in enumerate(zip(story.fields, story.steps, strict=True)):
        row, column = divmod(number, 3)
        x = SMALL_LEFT + column * (SMALL + GAP)
        y = SMALL_TOP + row * (SMALL + GAP)
        image.paste(coloured(field, SMALL), (x, y))
        label = f"{steps:,}"
        width = pen.textlength(label, font=drawing.font(13))
        pen.rectangle((x, y, x + width + 10, y + 19), fill=drawing.BACKGROUND)
        pen.text((x + 5, y + 2), label, fill=drawing.TEXT, font=drawing.font(13))


def _bar(entry: Entry, unit: float) -> tuple[str, float, str, drawing.Colour]:
    amount = entry.seconds / unit
    label = f"{amount:,.0f}" if amount >= 10 else f"{amount:.2g}"
    return entry.name, entry.seconds, label, drawing.ACCENT if entry.ours else drawing.COOL
