"""A terrain made of the cells of generative memory: a signal worth converting."""

from __future__ import annotations

import numpy as np

import gmemx

# Cells along a side of each octave's grid; each counts half as much as the one before.
OCTAVES = (3, 6, 12, 24, 48)
# Heights go from -HIGHEST to HIGHEST: int4 holds -8 to 7.
HIGHEST = 7.5


def terrain(context: gmemx.GMemContext, start: int, side: int) -> gmemx.Tensor:
    """Make smooth heights of rough cells: value noise in several octaves.

    Parameters
    ----------
    context : gmemx.GMemContext
        Where the cells are read.
    start : int
        The first of their addresses.
    side : int
        Of the square map.

    Returns
    -------
    gmemx.Tensor
        Shape (side, side), float64, in [-`HIGHEST`, `HIGHEST`], both reached.

    Examples
    --------
    >>> heights = terrain(gmemx.GMemContext(42), 0, 64)
    >>> heights.min(), heights.max()
    (-7.5, 7.5)
    """
    heights = gmemx.zeros((side, side))
    # What NumPy computes here lands in the tensor.
    shared = heights.numpy()
    for octave, cells in enumerate(OCTAVES):
        grid = context.tensor(start, (cells + 1, cells + 1)).numpy()
        start += grid.size
        at = np.arange(side) * (cells / side)
        whole = at.astype(int)
        weight = (at - whole) ** 2 * (3 - 2 * (at - whole))
        rows = grid[whole] * (1 - weight[:, None]) + grid[whole + 1] * weight[:, None]
        shared += 0.5**octave * (rows[:, whole] * (1 - weight) + rows[:, whole + 1] * weight)
    low, high = heights.min(), heights.max()
    shared -= low
    shared *= 2 * HIGHEST / (high - low)
    shared -= HIGHEST
    np.clip(shared, -HIGHEST, HIGHEST, out=shared)
    shared.flat[shared.argmin()], shared.flat[shared.argmax()] = -HIGHEST, HIGHEST
    return heights
