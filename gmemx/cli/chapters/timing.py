"""What the chapters tell of ways they have timed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One measured way.

    Attributes
    ----------
    name : str
        What was done.
    seconds : float
        For doing it once, the median of the rounds.
    ours : bool
        Whether it goes through gmemx.
    """

    name: str
    seconds: float
    ours: bool
