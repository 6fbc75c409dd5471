"""A reaction and its diffusion: the field that the processes of the pool chapter compute.

The model of P. Gray and S. K. Scott (*Chemical Engineering Science* 39, 1984) in the form of
J. E. Pearson (*Complex patterns in a simple system*, Science 261, 1993): a substance V eats U,
which is fed to it, and is taken away. How fast decides whether V makes spots, worms or a net; here
that changes from place to place, so that all of them grow in one field.
"""

from __future__ import annotations

import numpy as np

import gmemx

# Of what diffuses in a step; U diffuses twice as fast as V.
DIFFUSION = (np.float32(1.0), np.float32(0.5))
# A cell's neighbours: those beside it, and those at its corners.
BESIDE, CORNER = np.float32(0.2), np.float32(0.05)
# One drop of V for so many cells, of so many cells along a side.
CELLS_A_DROP, DROP = 1000, 8


def first(context: gmemx.GMemContext, start: int, side: int) -> np.ndarray:
    """Make the field before the first step: drops of V in a sea of U.

    Parameters
    ----------
    context : gmemx.GMemContext
        Where the drops lie is taken from its cells.
    start : int
        The address of the first cell that is taken.
    side : int
        Of the field, in cells.

    Returns
    -------
    numpy.ndarray of float32
        Shape (2, side, side): U and V.
    """
    field = np.zeros((2, side, side), np.float32)
    field[0] = 1.0
    drops = side * side // CELLS_A_DROP
    corners = context[start : start + 2 * drops].reshape(drops, 2) * (side - DROP)
    for row, column in corners.astype(int).tolist():
        part = np.s_[row : row + DROP, column : column + DROP]
        field[0][part], field[1][part] = 0.5, 0.25
    return field


def rates(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Say how fast U is fed and V is taken away, in each cell.

    Parameters
    ----------
    side : int
        Of the field, in cells.

    Returns
    -------
    feed, kill : numpy.ndarray of float32
        Shape (side, side).
    """
    angle = np.arange(side) * (2 * np.pi / side)
    feed = 0.042 + 0.014 * np.cos(angle)
    kill = 0.0618 + 0.0012 * np.cos(angle)
    shape = (side, side)
    return tuple(
        np.ascontiguousarray(np.broadcast_to(rate, shape), np.float32)
        for rate in (feed[:, None], kill[None, :])
    )


def advance(field: np.ndarray, feed: np.ndarray, kill: np.ndarray, steps: int) -> np.ndarray:
    """Take some rows of the field some steps further.

    A step needs a row more on either side, so `steps` rows at the top and at the bottom are
    used up. Columns wrap around. A cell comes out the same, bit for bit, however the rows are
    cut into parts.

    Parameters
    ----------
    field : numpy.ndarray of float32
        Shape (2, rows, columns), unchanged.
    feed, kill : numpy.ndarray of float32
        Of these rows.
    steps : int
        Fewer than half of the rows.

    Returns
    -------
    numpy.ndarray of float32
        Shape (2, rows - 2 * steps, columns).

    Examples
    --------
    >>> import numpy as np
    >>> still = np.stack([np.ones((6, 4)), np.zeros((6, 4))]).astype(np.float32)
    >>> rate = np.full((6, 4), 0.05, np.float32)
    >>> bool((advance(still, rate, rate, 2) == still[:, 2:4]).all())
    True
    """
    for step in range(1, steps + 1):
        wrapped = np.concatenate([field[:, :, -1:], field, field[:, :, :1]], axis=2)
        above, below = wrapped[:, :-2], wrapped[:, 2:]
        middle = wrapped[:, 1:-1]
        field = field[:, 1:-1]
        u, v = field

        spread = (above + below)[:, :, 1:-1]
        spread += middle[:, :, :-2]
        spread += middle[:, :, 2:]
        spread *= BESIDE
        corners = above[:, :, :-2] + above[:, :, 2:]
        corners += below[:, :, :-2]
        corners += below[:, :, 2:]
        corners *= CORNER
        spread += corners
        spread -= field
        spread[0] *= DIFFUSION[0]
        spread[1] *= DIFFUSION[1]

        eaten = u * v * v
        rows = slice(step, len(feed) - step)
        spread[0] += feed[rows] * (1 - u) - eaten
        spread[1] += eaten - (feed[rows] + kill[rows]) * v
        spread += field
        field = spread
    return field


def around(field: np.ndarray, begin: int, end: int, margin: int) -> np.ndarray:
    """Copy rows with a margin on either side; the rows of a field wrap around.

    Parameters
    ----------
    field : numpy.ndarray
        Shape (..., rows, columns).
    begin, end : int
        The rows, in [0, rows].
    margin : int
        How many more on each side.

    Returns
    -------
    numpy.ndarray
        Shape (..., end - begin + 2 * margin, columns).

    Examples
    --------
    >>> import numpy as np
    >>> around(np.arange(4)[:, None], 0, 2, 1)[:, 0].tolist()
    [3, 0, 1, 2]
    """
    rows = np.arange(begin - margin, end + margin)
    return np.take(field, rows, axis=-2, mode="wrap")
