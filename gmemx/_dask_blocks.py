"""What tasks carry instead of data, and what workers make of it.

A task has a source, the same for all of an array, and a box, its own part of it with what is
written there. Both are plain tuples and arrays, and functions are named, not sent: so a worker
without gmemx can read its tasks, and each fails with an error that says what is missing. Nothing
here needs Dask.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gmemx.array import VirtualArray, _restore
from gmemx.delta import Delta, restored
from gmemx.generative import GMemContext

Ints: TypeAlias = tuple[int, ...]
# Seed, generator, dtype, pickled distribution, strides.
Source: TypeAlias = tuple[int, str, str, bytes, Ints]
# First cell and shape; where some of its cells are written, a delta's digest and parts too.
Box: TypeAlias = tuple[Any, ...]


def source_of(array: VirtualArray) -> Source:
    """All that says what the elements of an array are, but for what is written."""
    context, distribution = array.context, pickle.dumps(array.distribution)
    return context.seed, context.generator, array.dtype.name, distribution, array.strides


# ---- on a worker --------------------------------------------------------------------------

# The contexts that were used last: nobody writes to them.
_contexts: OrderedDict[tuple[int, str, bytes], GMemContext] = OrderedDict()
_guarded = Lock()
KEPT = 16


def context_of(source: Source, box: Box) -> GMemContext:
    """The context of a box, which is not to be written to."""
    seed, generator = source[:2]
    _, _, *written = box
    key = (seed, generator, written[0] if written else b"")
    with _guarded:
        if key in _contexts:
            _contexts.move_to_end(key)
            return _contexts[key]
    context = GMemContext(seed, generator)
    if written:
        context.merge(restored(*written[1]))
    with _guarded:
        _contexts[key] = context
        while len(_contexts) > KEPT:
            _contexts.popitem(last=False)
    return context


def seen(context: GMemContext, source: Source, box: Box) -> VirtualArray:
    """A box as an array of some context."""
    _, _, dtype, distribution, strides = source
    return _restore(context, dtype, pickle.loads(distribution), *box[:2], strides)


def virtual(source: Source, box: Box) -> VirtualArray:
    """A box as an array that is not stored."""
    return seen(context_of(source, box), source, box)


def stored(source: Source, box: Box) -> npt.NDArray[Any]:
    """A box as an array in memory."""
    return virtual(source, box).numpy(threads=1)


def written(source: Source, box: Box, values: npt.NDArray[Any]) -> Delta:
    """What changes where values are written to a box."""
    before = context_of(source, box)
    after = before.fork()
    seen(after, source, box)[...] = values
    return before.diff(after)


def together(deltas: list[Delta]) -> Delta:
    """Deltas as one."""
    return Delta.concat(deltas)


# ---- folded -------------------------------------------------------------------------------

MOMENTS = np.dtype([("n", "f8"), ("mean", "f8"), ("squares", "f8")])


def fold(block: VirtualArray, name: str, axis: Ints) -> npt.NDArray[Any]:
    """A reduction of a block along some axes, which stay with one element each."""
    if isinstance(block, np.ndarray):
        # Dask asks with an empty array what to expect.
        return getattr(np.ones((1,) * block.ndim, block.dtype), name)(axis=axis, keepdims=True)
    if len(axis) == block.ndim:
        value = getattr(block, name)(threads=1)
        if name == "sum" and block.dtype.kind != "f":
            # Integers wrap around, as NumPy's do.
            return np.full((1,) * block.ndim, value % 2**64, np.uint64).astype(sums(block.dtype))
        kind = block.dtype if name in ("min", "max") else np.float64
        return np.full((1,) * block.ndim, value, kind)
    if len(axis) == 1:
        return np.expand_dims(getattr(block, name)(axis=axis[0], threads=1), axis[0])
    kind = {"sum": sums(block.dtype), "mean": np.float64, "var": np.float64}
    more = {"dtype": kind[name]} if name in kind else {}
    return getattr(block.numpy(threads=1), name)(axis=axis, keepdims=True, **more)


def sums(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of sums."""
    if dtype.kind == "f":
        return np.dtype(np.float64)
    return np.dtype(np.uint64 if dtype.kind == "u" else np.int64)


def sum_of(block: VirtualArray, axis: Ints, keepdims: bool) -> npt.NDArray[Any]:
    """The sum of a block."""
    return fold(block, "sum", axis)


def min_of(block: VirtualArray, axis: Ints, keepdims: bool) -> npt.NDArray[Any]:
    """The least of a block."""
    return fold(block, "min", axis)


def max_of(block: VirtualArray, axis: Ints, keepdims: bool) -> npt.NDArray[Any]:
    """The greatest of a block."""
    return fold(block, "max", axis)


def mean_of(block: VirtualArray, axis: Ints, keepdims: bool) -> npt.NDArray[Any]:
    """The mean of a block, and how many it is of."""
    return moments(block, fold(block, "mean", axis), 0.0, axis)


def moments_of(block: VirtualArray, axis: Ints, keepdims: bool) -> npt.NDArray[Any]:
    """The mean of a block, how many it is of, and the squares of their distances from it."""
    mean = fold(block, "mean", axis)
    return moments(block, mean, fold(block, "var", axis), axis)


def moments(block: VirtualArray, mean: Any, variance: Any, axis: Ints) -> npt.NDArray[Any]:
    """Figures of a block, as they are combined."""
    if isinstance(block, np.ndarray):
        return mean
    parts = np.empty(mean.shape, MOMENTS)
    parts["n"] = n = float(np.prod([float(block.shape[d]) for d in axis]))
    # The mean of nothing is NaN, and weighs nothing.
    parts["mean"] = mean if n else 0.0
    parts["squares"] = variance * n if n else 0.0
    return parts


def combined(parts: npt.NDArray[Any], axis: Ints, keepdims: bool) -> npt.NDArray[Any]:
    """Moments of several blocks as those of one (Chan, Golub and LeVeque, 1979)."""
    if parts.dtype != MOMENTS:
        # What Dask expects, made of what it was told of blocks.
        return parts.sum(axis=axis, keepdims=keepdims)
    n = parts["n"].sum(axis=axis, keepdims=True)
    with np.errstate(invalid="ignore"):
        mean = (parts["n"] * parts["mean"]).sum(axis=axis, keepdims=True) / n
        distances = parts["n"] * (parts["mean"] - mean) ** 2
    whole = np.empty(n.shape, MOMENTS)
    whole["n"], whole["mean"] = n, mean
    whole["squares"] = (parts["squares"] + distances).sum(axis=axis, keepdims=True)
    return whole if keepdims else whole.squeeze(axis)


def mean_from(parts: npt.NDArray[Any], axis: Ints, keepdims: bool) -> npt.NDArray[Any]:
    """The mean of moments."""
    whole = combined(parts, axis, keepdims)
    return whole["mean"] if whole.dtype == MOMENTS else whole


def var_from(
    parts: npt.NDArray[Any], axis: Ints, keepdims: bool, ddof: float = 0
) -> npt.NDArray[Any]:
    """The variance of moments; NaN where `ddof` takes all."""
    whole = combined(parts, axis, keepdims)
    if whole.dtype != MOMENTS:
        return whole
    freedom = whole["n"] - ddof
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(freedom > 0, whole["squares"] / freedom, np.nan)


def std_from(
    parts: npt.NDArray[Any], axis: Ints, keepdims: bool, ddof: float = 0
) -> npt.NDArray[Any]:
    """The standard deviation of moments."""
    return np.sqrt(var_from(parts, axis, keepdims, ddof))


# ---- which written cells are in which box -------------------------------------------------


def shares(array: VirtualArray, written: Delta, chunks: tuple[Ints, ...]) -> dict[Ints, Delta]:
    """The written cells of an array by the chunk they are in; chunks without any are left out."""
    if not len(written) or 0 in array.shape:
        return {}
    axes = [d for d in range(array.ndim) if array.shape[d] > 1]
    lowest = array.offset + sum(min(0, array.strides[d]) * (array.shape[d] - 1) for d in axes)
    at = np.flatnonzero(written.addresses >= np.uint64(lowest))
    distance = written.addresses[at] - np.uint64(lowest)
    # Each stride is beyond all that smaller ones reach, so an index is a quotient.
    numbers = [np.zeros(len(at), np.int64)] * array.ndim
    for d in sorted(axes, key=lambda d: -abs(array.strides[d])):
        index, distance = np.divmod(distance, np.uint64(abs(array.strides[d])))
        inside = index <= np.uint64(array.shape[d] - 1)
        at, distance, index = at[inside], distance[inside], index[inside]
        if array.strides[d] < 0:
            index = np.uint64(array.shape[d] - 1) - index
        numbers = [number[inside] for number in numbers]
        ends = np.array(chunks[d], np.uint64).cumsum(dtype=np.uint64)
        numbers[d] = np.searchsorted(ends, index, "right")
    inside = distance == 0
    at, numbers = at[inside], [number[inside] for number in numbers]
    if not len(at):
        return {}
    if not numbers:
        return {(): written._kept(at)}
    order = np.lexsort(numbers[::-1])
    table = np.stack(numbers, axis=1)[order]
    starts = np.flatnonzero(np.append(True, (table[1:] != table[:-1]).any(axis=1)))
    return {
        tuple(table[start].tolist()): written._kept(np.sort(group))
        for start, group in zip(starts, np.split(at[order], starts[1:]), strict=True)
    }
