"""What scans give back: matches, steps, changes, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Match:
    """A place in memory that all scans so far have kept.

    Attributes
    ----------
    address : int
    value : int or float
        As the last scan saw it.
    previous : int or float
        As the scan before that saw it.
    type : str
        NumPy's name of the type.
    label : str or None
        What `Scanner.label` has said about the address.

    Examples
    --------
    >>> import numpy as np
    >>> from gmemx import scan
    >>> memory = np.array([1, 5, 9, 5], "int32")
    >>> source = scan.open_buffer(memory)
    >>> scanner = source.scanner("int32")
    >>> scanner.initial_scan(9)
    1
    >>> scanner.get_matches()[0].value
    9
    """

    address: int
    value: int | float
    previous: int | float
    type: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One of the scans that led to the matches.

    Attributes
    ----------
    description : str
    count : int
        How many matches there were then.

    Examples
    --------
    >>> import numpy as np
    >>> from gmemx import scan
    >>> memory = np.array([1, 5, 9, 5], "int32")
    >>> source = scan.open_buffer(memory)
    >>> scanner = source.scanner("int32")
    >>> scanner.initial_scan(5)
    2
    >>> scanner.history[-1].count
    2
    """

    description: str
    count: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A range of addresses that a scan did not see.

    Attributes
    ----------
    start, end : int
    reason : {'unmapped', 'unreadable', 'not resident', 'not dumped'}
        'not resident' are pages of files that nobody has read yet, and that a scan would
        load into memory; 'not dumped' is what a core dump leaves out.

    Examples
    --------
    >>> from gmemx import scan
    >>> scan.Skipped(0x1000, 0x2000, "unmapped").reason
    'unmapped'
    """

    start: int
    end: int
    reason: str

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


# By the numbers of gmem_skip_reason.
REASONS = ("unmapped", "unreadable", "not resident", "not dumped")


def skipped_of(start: int, end: int, reason: int) -> Skipped:
    """A `Skipped` by the number of its reason."""
    known = reason < len(REASONS)
    return Skipped(start, end, REASONS[reason] if known else f"reason {reason}")


@dataclass(frozen=True, slots=True)
class Change:
    """A value that changed while it was watched.

    Attributes
    ----------
    time : float
        When that was seen, in seconds since 1970.
    address : int
    old, new : int or float

    Examples
    --------
    >>> from gmemx import scan
    >>> scan.Change(time=0.0, address=0x1000, old=100, new=90).new
    90
    """

    time: float
    address: int
    old: int | float
    new: int | float


class Found(np.ndarray):
    """The addresses of a pattern, an array of uint64, with what was not searched.

    Attributes
    ----------
    skipped : list of Skipped
        Ranges that could not be read.

    Examples
    --------
    >>> from gmemx import scan
    >>> source = scan.open_buffer(b"one two one")
    >>> found = source.find("6f 6e 65")
    >>> found.tolist(), found.skipped
    ([0, 8], [])
    """

    skipped: list[Skipped]

    def __array_finalize__(self, base: Any) -> None:
        self.skipped = []


def found_in(addresses: Any, skipped: list[Skipped]) -> Found:
    """`addresses` as a `Found`."""
    found = addresses.view(Found)
    found.skipped = skipped
    return found
