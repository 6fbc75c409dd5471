"""Numbers as people type them and as JSON has them."""

from __future__ import annotations

import math
from typing import Any


def parse_number(text: str) -> int | float:
    """Parse a number: an integer of any size stays one.

    Parameters
    ----------
    text : str
        ``100``, ``-7``, ``0xff``, ``1_000_000``, ``2.5``, ``1e-3``, ``inf``.

    Returns
    -------
    int or float

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> parse_number("0xff"), parse_number("9007199254740993"), parse_number("2.5")
    (255, 9007199254740993, 2.5)
    """
    for kind in (lambda: int(text, 0), lambda: int(text), lambda: float(text)):
        try:
            return kind()
        except ValueError:
            pass
    raise ValueError(f"{text!r} is not a number (100, -7, 0xff, 1_000 and 2.5 are)")


def parse_address(text: str) -> int:
    """Parse an address: hexadecimal with 0x, decimal without.

    Examples
    --------
    >>> parse_address("0x7f00")
    32512
    """
    try:
        address = int(text, 0)
    except ValueError:
        address = -1
    if not 0 <= address < 1 << 64:
        raise ValueError(f"{text!r} is not an address (0x7ffd1000 and 140725 are)")
    return address


def plain(value: Any) -> int | float | str:
    """Make a NumPy number one that JSON has; NaN and the infinities become strings.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.int64(2**62)), plain(np.float32(0.5)), plain(float("nan"))
    (4611686018427387904, 0.5, 'nan')
    """
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, float) and not math.isfinite(number):
        return str(number)
    return number
