"""The picture of the scanner's chapter: how the matches of a scan become fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from gmemx.cli import drawing

if TYPE_CHECKING:
    from gmemx import scan
    from gmemx.cli.chapters.scan_race import Entry

WIDTH, HEIGHT = 1260, 760
# The maps of the memory, side by side in rows, of so many cells of so many pixels each way.
CELLS, SCALE, GAP, ACROSS = 128, 2, 12, 3
SIDE = CELLS * SCALE
MAPS_LEFT, MAPS_TOP = 46, 148
COUNTER: drawing.Box = (904, 168, 1214, 400)
RATES: drawing.Box = (904, 500, 1214, 690)

# Regions, by kind: dark, so that matches can be seen on them.
GROUND: dict[str, drawing.Colour] = {
    "heap": (30, 52, 92),
    "stack": (60, 40, 84),
    "anonymous": (24, 38, 70),
    "file": (28, 62, 66),
    "shared": (56, 56, 40),
}
OTHER: drawing.Colour = (40, 40, 48)


@dataclass(frozen=True)
class Step:
    """A scan.

    Attributes
    ----------
    name : str
    count : int
        Matches that it left.
    seconds : float
    kept : numpy.ndarray or None
        Their addresses; None for all there are.
    """

    name: str
    count: int
    seconds: float
    kept: np.ndarray | None


@dataclass
class Story:
    """How the counter was found.

    Attributes
    ----------
    pid : int
    regions : list of gmemx.scan.Region
        Which were scanned.
    steps : list of Step
    address : int
        Of the counter.
    samples : list of (float, int, bool)
        The counter at moments, and whether it was held still then.
    """

    pid: int
    regions: list[scan.Region]
    steps: list[Step]
    address: int
    samples: list[tuple[float, int, bool]] = field(default_factory=list)


def draw(story: Story, entries: Sequence[Entry]) -> Image.Image:
    """Draw a map for each of six scans, the counter over time, and the rates.

    Parameters
    ----------
    story : Story
    entries : sequence of Entry
        From `scan_race`.

    Returns
    -------
    PIL.Image.Image
        WIDTH by HEIGHT, in RGB.
    """
    total = sum(region.size for region in story.regions)
    image = drawing.canvas(
        WIDTH,
        HEIGHT,
        "gmemx: one counter among all numbers of a process",
        f"Process {story.pid}: {total / 1e6:,.0f} MB in {len(story.regions)} regions, from the top "
        "left on, each with room by the square root of its size. Bright is what is left.",
    )
    pen = ImageDraw.Draw(image)
    right = MAPS_LEFT + ACROSS * SIDE + (ACROSS - 1) * GAP
    drawing.panel(
        pen, (28, 96, right + 18, HEIGHT - 20), "the search", f"at last {story.address:#x}"
    )
    shown = [story.steps[0], *story.steps[-5:]]
    ground = coloured(story.regions)
    for number, step in enumerate(shown):
        row, column = divmod(number, ACROSS)
        corner = (MAPS_LEFT + column * (SIDE + GAP), MAPS_TOP + row * (SIDE + GAP + 26))
        _map(image, pen, corner, ground, story, step)
    drawing.panel(pen, (886, 96, WIDTH - 28, 432), "the counter", "held still in the middle")
    _counter(pen, story.samples)
    drawing.panel(pen, (886, 448, WIDTH - 28, HEIGHT - 20), "a first scan", "GB/s")
    drawing.bars(
        pen,
        RATES,
        [
            (
                entry.name,
                entry.rate,
                f"{entry.rate / 1e9:.1f}",
                drawing.ACCENT if entry.ours else drawing.COOL,
            )
            for entry in entries
        ],
    )
    return image


def cells(regions: Sequence[scan.Region], addresses: np.ndarray) -> np.ndarray:
    """Say in which cell of a map each address is.

    Parameters
    ----------
    regions : sequence of Region
        All of the map, in order.
    addresses : numpy.ndarray of uint64
        In these.

    Returns
    -------
    numpy.ndarray of int64
        In [0, CELLS * CELLS), row by row.
    """
    starts = np.array([region.start for region in regions], np.uint64)
    sizes = np.array([region.size for region in regions], float)
    ends = _ends(regions)
    which = np.searchsorted(starts, addresses, side="right") - 1
    within = (addresses - starts[which]).astype(float) / sizes[which]
    before = np.concatenate([[0.0], ends[:-1]])
    place = before[which] + within * (ends - before)[which]
    return np.minimum(place, CELLS * CELLS - 1).astype(np.int64)


def coloured(regions: Sequence[scan.Region]) -> np.ndarray:
    """Colour the cells of a map by the kind of region in them.

    Parameters
    ----------
    regions : sequence of Region

    Returns
    -------
    numpy.ndarray of uint8
        Shape (CELLS * CELLS, 3).
    """
    which = np.searchsorted(_ends(regions), np.arange(CELLS * CELLS) + 0.5)
    colours = np.array([GROUND.get(region.kind, OTHER) for region in regions], float)
    # Neighbours of one kind can be told apart.
    shade = np.where(np.arange(len(regions)) % 2, 1.0, 1.35)[:, None]
    return (colours * shade).astype(np.uint8)[which]


def _ends(regions: Sequence[scan.Region]) -> np.ndarray:
    """Where each region ends, in cells."""
    ends = np.cumsum(np.sqrt([region.size for region in regions]))
    return ends / ends[-1] * (CELLS * CELLS)


def _map(
    image: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    ground: np.ndarray,
    story: Story,
    step: Step,
) -> None:
    x, y = corner
    lit = ground.copy()
    if step.kept is None:
        lit[:] = (lit.astype(int) + np.array(drawing.ACCENT)) // 2
    else:
        lit[cells(story.regions, step.kept)] = drawing.ACCENT
    picture = Image.fromarray(lit.reshape(CELLS, CELLS, 3))
    image.paste(picture.resize((SIDE, SIDE), Image.Resampling.NEAREST), corner)
    if step.count == 1 and step.kept is not None:
        row, column = divmod(int(cells(story.regions, step.kept)[0]), CELLS)
        x0, y0 = x + column * SCALE, y + row * SCALE
        pen.ellipse((x0 - 9, y0 - 9, x0 + 11, y0 + 11), outline=drawing.TEXT, width=2)
    label = f"{step.count:,}"
    pen.text((x, y + SIDE + 4), label, fill=drawing.TEXT, font=drawing.font(14))
    pen.text(
        (x + SIDE, y + SIDE + 4), step.name, fill=drawing.MUTED, font=drawing.font(12), anchor="ra"
    )


def _counter(pen: ImageDraw.ImageDraw, samples: Sequence[tuple[float, int, bool]]) -> None:
    left, top, right, bottom = COUNTER
    times = np.array([sample[0] for sample in samples])
    values = np.array([sample[1] for sample in samples], float)
    across = left + (times - times[0]) / max(float(np.ptp(times)), 1e-9) * (right - left)
    up = bottom - (values - values.min()) / max(float(np.ptp(values)), 1.0) * (bottom - top)
    for x, y, (_, _, held) in zip(across, up, samples, strict=True):
        colour = drawing.ACCENT if held else drawing.COOL
        pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=colour)
    pen.line((left, bottom + 6, right, bottom + 6), fill=drawing.MUTED)
    for x, text, anchor in ((left, "0", "la"), (right, f"{times[-1]:.1f} s", "ra")):
        pen.text((x, bottom + 10), text, fill=drawing.MUTED, font=drawing.font(13), anchor=anchor)
    for at, value, anchor in (
        ((left, top - 4), values.max(), "ls"),
        ((right, bottom), values.min(), "rs"),
    ):
        pen.text(at, f"{value:,.0f}", fill=drawing.MUTED, font=drawing.font(13), anchor=anchor)
