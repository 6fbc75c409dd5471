"""How scans are run, and what counts as equal: the options of a `Scanner`'s methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict


class How(TypedDict, total=False):
    """How a scan is run; see `Scanner`."""

    threads: int | None
    progress: Callable[[int, int], object] | None
    stop: bool


class Equality(How, total=False):
    """What else counts as equal to a value; see `Scanner.initial_scan`."""

    tolerance: Any
    ulps: int | None
    rounded: int | None


SLACK = ("tolerance", "ulps", "rounded")


def checked(how: Any) -> dict[str, Any]:
    """`how` with its defaults; TypeError for a name that is none."""
    whole = {"threads": None, "progress": None, "stop": False} | how
    if len(whole) > 3:
        raise TypeError(f"a scan takes threads, progress and stop, and not {[*whole][3]!r}")
    return whole


def parted(options: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What counts as equal, and how a scan is run."""
    slack = tuple(options.pop(name, None) for name in SLACK)
    return slack, checked(options)
