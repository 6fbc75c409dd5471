"""The look that the tour's pictures share, and the few charts they are made of.

All boxes are ``(left, top, right, bottom)`` in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]

BACKGROUND: Colour = (13, 16, 28)
PANEL: Colour = (22, 27, 45)
GRID: Colour = (48, 56, 84)
TEXT: Colour = (232, 236, 246)
MUTED: Colour = (150, 160, 188)
ACCENT: Colour = (255, 176, 59)
COOL: Colour = (88, 148, 232)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Get Pillow's own font, so that pictures look alike on every machine.

    Parameters
    ----------
    size : int
        In pixels.

    Returns
    -------
    PIL.ImageFont.FreeTypeFont
        One object per size.
    """
    return ImageFont.load_default(size=size)


def canvas(width: int, height: int, title: str, subtitle: str) -> Image.Image:
    """Begin a picture.

    Parameters
    ----------
    width, height : int
        In pixels.
    title, subtitle : str
        Drawn at the top, within the first 84 pixels.

    Returns
    -------
    PIL.Image.Image
        In RGB.
    """
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((28, 16), title, fill=TEXT, font=font(30))
    draw.text((28, 56), subtitle, fill=MUTED, font=font(16))
    return image


def panel(draw: ImageDraw.ImageDraw, box: Box, title: str, note: str = "") -> None:
    """Draw a panel's ground and head.

    Parameters
    ----------
    draw : PIL.ImageDraw.ImageDraw
        Of the picture.
    box : Box
        The whole panel; its head takes the first 40 pixels.
    title, note : str
        To the left, and to the right in a quieter colour.
    """
    draw.rounded_rectangle(box, radius=10, fill=PANEL)
    draw.text((box[0] + 18, box[1] + 13), title, fill=TEXT, font=font(17))
    if note:
        draw.text((box[2] - 18, box[1] + 15), note, fill=MUTED, font=font(14), anchor="ra")


def histogram(draw: ImageDraw.ImageDraw, box: Box, counts: np.ndarray, expected: float) -> None:
    """Draw a histogram with the height it should have.

    Parameters
    ----------
    draw : PIL.ImageDraw.ImageDraw
        Of the picture.
    box : Box
        The plot without its labels, which go 22 pixels below it.
    counts : numpy.ndarray
        One count a bin, over [0, 1].
    expected : float
        The height of an even distribution, drawn as a line.
    """
    left, top, right, bottom = box
    scale = (bottom - top) / (1.25 * max(expected, float(counts.max())))
    edges = np.linspace(left, right, len(counts) + 1).round().astype(int).tolist()
    for count, a, b in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        height = round(count * scale)
        if height:
            draw.rectangle((a, bottom - height, max(a, b - 2), bottom), fill=COOL)
    level = bottom - round(expected * scale)
    draw.line((left, level, right, level), fill=ACCENT, width=2)
    draw.text((right, level - 6), "expected", fill=ACCENT, font=font(13), anchor="rs")
    draw.line((left, bottom, right, bottom), fill=MUTED)
    for value, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        x = left + round(value * (right - left))
        draw.text((x, bottom + 6), f"{value:g}", fill=MUTED, font=font(13), anchor=anchor)


def bars(
    draw: ImageDraw.ImageDraw, box: Box, items: Sequence[tuple[str, float, str, Colour]]
) -> None:
    """Draw a horizontal bar for each item, its name above and its number beside it.

    Parameters
    ----------
    draw : PIL.ImageDraw.ImageDraw
        Of the picture.
    box : Box
        The whole chart.
    items : sequence of (name, value, label, colour)
        Values are drawn in proportion from zero; labels say them in words.
    """
    left, top, right, bottom = box
    step = (bottom - top) / len(items)
    room = 96
    longest = max(value for _, value, _, _ in items)
    for i, (name, value, label, colour) in enumerate(items):
        y = round(top + i * step)
        draw.text((left, y), name, fill=TEXT, font=font(14))
        end = left + max(2, round(value / longest * (right - left - room)))
        draw.rounded_rectangle((left, y + 19, end, y + 30), radius=2, fill=colour)
        draw.text((end + 8, y + 25), label, fill=MUTED, font=font(14), anchor="lm")
