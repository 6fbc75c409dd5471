"""Deltas between contexts: what differs, and what becomes of it in another."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from gmemx.delta import Addresses, Delta, Flags, OnConflict, Values, demand_same, same
from gmemx.errors import InvalidArgumentError, MergeConflictError

if TYPE_CHECKING:
    from gmemx.generative import GMemContext


def difference(before: GMemContext, after: GMemContext) -> Delta:
    """What has to be applied to `before` to get `after`: see `GMemContext.diff`."""
    from gmemx.generative import GMemContext

    if not isinstance(after, GMemContext):
        raise TypeError(f"other must be a GMemContext, not {type(after).__name__}")
    demand_same(before, after)
    old, new = before.overlay(), after.overlay()
    addresses = np.union1d(old[0], new[0])
    base, was = looked_up(addresses, *old)
    values, is_now = looked_up(addresses, *new)
    return Delta._made(before.seed, before.generator, addresses, values, ~is_now, base, ~was)


# Merges into one context follow each other.
_merging: WeakKeyDictionary[GMemContext, RLock] = WeakKeyDictionary()
_entering = RLock()


def merge(context: GMemContext, delta: Delta, on_conflict: OnConflict = "raise") -> int:
    """Apply a delta to a context: see `GMemContext.merge`."""
    from gmemx.generative import _erase, _states

    if not isinstance(delta, Delta):
        raise TypeError(f"a Delta is merged, not a {type(delta).__name__}")
    if not callable(on_conflict) and on_conflict not in ("raise", "theirs", "ours"):
        raise InvalidArgumentError(
            f"on_conflict must be 'raise', 'theirs', 'ours' or a callable, not {on_conflict!r}"
        )
    demand_same(context, delta)
    with _entering:
        lock = _merging.setdefault(context, RLock())
    with lock:
        here, written = _states(context, delta.addresses)
        done = same(here, written, delta.values, ~delta.erased)
        clash = ~done & ~same(here, written, delta.base, ~delta.fresh)
        values, erased, chosen = delta.values, delta.erased, ~done
        if clash.any() and on_conflict != "theirs":
            where = delta.addresses[clash]
            if on_conflict == "raise":
                verb = "were" if len(where) > 1 else "was"
                raise MergeConflictError(
                    f"{len(where)} of {len(delta)} cells {verb} changed here as well, "
                    f"first at address {where[0]}",
                    where,
                )
            if on_conflict == "ours":
                chosen &= ~clash
            else:
                values, erased = values.copy(), erased & ~clash
                theirs = read(delta, clash)
                values[clash] = answer(on_conflict(where, here[clash], theirs), len(where))
        put, gone = chosen & ~erased, chosen & erased
        context.write_many(delta.addresses[put], values[put])
        _erase(context, delta.addresses[gone])
    return int(chosen.sum())


def read(delta: Delta, mask: Flags) -> Values:
    """What is read of some cells after a delta."""
    from gmemx.generative import GMemContext

    generated = GMemContext(delta.seed, delta.generator).fetch_many(delta.addresses[mask])
    return np.where(delta.erased[mask], generated, delta.values[mask])


def answer(values: npt.ArrayLike, n: int) -> Values:
    """What a caller makes of conflicts, checked."""
    array = np.asarray(values, np.float64)
    if array.shape not in ((), (n,)):
        raise InvalidArgumentError(
            f"on_conflict must return a value for each of {n} cells, "
            f"not an array of shape {array.shape}"
        )
    return array


def looked_up(addresses: Addresses, where: Addresses, values: Values) -> tuple[Values, Flags]:
    """The state of some cells in an overlay: values, 0 where not written, and which are."""
    found = np.zeros(len(addresses))
    written = np.zeros(len(addresses), np.bool_)
    at = np.searchsorted(addresses, where)
    found[at], written[at] = values, True
    return found, written
