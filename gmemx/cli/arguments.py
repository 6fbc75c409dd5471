"""What several sub-commands ask for in the same words."""

from __future__ import annotations

import argparse

U64 = 1 << 64


def u64(text: str) -> int:
    """Parse an unsigned 64-bit integer as Python writes it: ``42``, ``0x1337``, ``1_000``.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    int
        In [0, 2**64).

    Raises
    ------
    argparse.ArgumentTypeError
        For anything else, in a sentence for the user.

    Examples
    --------
    >>> u64("0xBEEF_CACE")
    3203386062
    """
    try:
        value = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an integer (42, 0x2a and 1_000 are)"
        ) from None
    if not 0 <= value < U64:
        raise argparse.ArgumentTypeError(f"{text} is outside [0, 2**64)")
    return value


def positive(text: str) -> int:
    """Parse an integer above zero; see `u64`."""
    value = u64(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is too few")
    return value
