"""Values that are looked at again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gmemx._scan_data import Change
from gmemx.errors import InvalidArgumentError, ProcessGoneError

if TYPE_CHECKING:
    from gmemx.scan import Source


def watch(
    source: Source, addresses: Any, type: Any, interval: float, timeout: float | None
) -> Iterator[Change]:
    """`Source.watch`: what is wrong is told now, and what the values are is seen now."""
    if not 0.0 < (interval := float(interval)) <= 3600.0:
        raise InvalidArgumentError(f"interval must be above 0 and at most 3600 s, not {interval}")
    if timeout is not None and not (timeout := float(timeout)) >= 0.0:
        raise InvalidArgumentError(f"timeout must be None or at least 0 seconds, not {timeout}")
    if np.ndim(addresses) == 0:
        addresses = [addresses]
    where = np.ravel(addresses)
    values = source.read_many(where, type)
    end = None if timeout is None else time.monotonic() + timeout
    return changes(source, where, type, values, interval, end)


def changes(
    source: Source, where: Any, type: Any, values: Any, interval: float, end: float | None
) -> Iterator[Change]:
    while True:
        left = interval if end is None else min(interval, end - time.monotonic())
        if left > 0.0:
            time.sleep(left)
        try:
            new, there = source.read_many(where, type, partial=True)
        except ProcessGoneError:
            return
        now = time.time()
        # As bits: NaN is not equal to itself, and the zeros are to each other.
        moved = np.flatnonzero((bits_of(new) != bits_of(values)) & there)
        for i in moved.tolist():
            yield Change(now, int(where[i]), values[i].item(), new[i].item())
        values[moved] = new[moved]
        if end is not None and time.monotonic() >= end:
            return


def bits_of(values: Any) -> Any:
    return values.view(f"u{values.dtype.itemsize}")
