"""Virtual arrays on many machines: Dask arrays whose tasks carry no data.

A task knows seed, generator, distribution, its range of cells and what is written there; the
worker that runs it makes the cells. ``pip install gmemx[dask]`` brings what this needs.

Examples
--------
>>> import gmemx, gmemx.dask
>>> virtual = gmemx.GMemContext(seed=42).array((10**6, 10**9), distribution="normal")
>>> x = gmemx.dask.array(virtual[:1000, :1000], chunks=(250, 500))
>>> x
dask.array<gmemx, shape=(1000, 1000), dtype=float64, chunksize=(250, 500), chunktype=numpy.ndarray>
>>> float(x.max().compute()) == virtual[:1000, :1000].max()
True
>>> (x @ x.T).shape
(1000, 1000)
"""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np

try:
    import dask.array as da
    from dask.base import tokenize
    from dask.blockwise import blockwise
    from dask.delayed import Delayed, delayed
    from dask.highlevelgraph import HighLevelGraph
    from dask.layers import ArrayBlockwiseDep, CallableLazyImport
except ImportError as error:
    raise ImportError(f"gmemx.dask needs Dask: pip install gmemx[dask] ({error})") from error

from gmemx import _dask_blocks as blocks
from gmemx import _distributed
from gmemx.array import VirtualArray
from gmemx.delta import Delta
from gmemx.errors import InvalidArgumentError
from gmemx.generative import GMemContext

__all__ = ["Array", "array", "store"]

_distributed.register()

# Deltas that one task puts together.
FAN_IN = 16
FLOAT = np.dtype(np.float64)


class Boxes(ArrayBlockwiseDep):
    """The box of each block, by its number."""

    def __init__(self, virtual: VirtualArray, written: Delta, chunks: tuple[Any, ...]) -> None:
        super().__init__(chunks)
        self.offset, self.strides = virtual.offset, virtual.strides
        # Python's integers: cells of one axis may be more than NumPy's hold.
        self.starts = [starts_of(sizes) for sizes in chunks]
        self.shares = {
            number: (delta.digest, delta.__reduce__()[1])
            for number, delta in blocks.shares(virtual, written, chunks).items()
        }

    def __getitem__(self, number: tuple[int, ...]) -> blocks.Box:
        offset = self.offset
        for i, starts, stride in zip(number, self.starts, self.strides, strict=True):
            offset += starts[i] * stride
        shape = tuple(sizes[i] for i, sizes in zip(number, self.chunks, strict=True))
        return offset, shape, *self.shares.get(number, ())


def starts_of(sizes: tuple[int, ...]) -> list[int]:
    """Where chunks begin."""
    starts, start = [], 0
    for size in sizes:
        starts.append(start)
        start += size
    return starts


class Array(da.Array):
    """A Dask array of generated cells: what `array` gives.

    It is a `dask.array.Array` in all. Indexing with integers, slices, ``...`` and None gives
    one of its kind. ``sum``, ``mean``, ``var``, ``std``, ``min`` and ``max`` fold cells as
    they are made, in chunks that are never stored; ``numpy.sum`` and its like lead there.
    Everything else, `dask.array.sum` too, is Dask's own and makes each chunk in memory.

    Attributes
    ----------
    virtual : VirtualArray
        The same elements, without what is written.
    written : Delta
        What was written to the context when the array was made.

    Examples
    --------
    >>> import gmemx, gmemx.dask
    >>> virtual = gmemx.GMemContext(42).array((100, 100))
    >>> x = gmemx.dask.array(virtual, chunks=50)
    >>> type(x[:10, None]).__name__, x.numblocks
    ('Array', (2, 2))
    """

    __slots__ = ()

    virtual: VirtualArray
    written: Delta

    def __new__(cls, virtual: VirtualArray, written: Delta, chunks: Any = "auto") -> Array:
        chunks = da.core.normalize_chunks(chunks, virtual.shape, dtype=virtual.dtype)
        source = blocks.source_of(virtual)
        token = tokenize(source, virtual.offset, virtual.shape, chunks, written.digest)
        name = f"gmemx-{token}"
        meta = np.empty((0,) * virtual.ndim, virtual.dtype)
        graph = graph_of("stored", name, source, Boxes(virtual, written, chunks))
        self = super().__new__(cls, graph, name, chunks, meta=meta)
        self.virtual, self.written = virtual, written
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Array, (self.virtual, self.written, self.chunks)

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        chosen = super().__getitem__(key)
        for part in parts:
            plain = isinstance(part, (slice, Integral)) and not isinstance(part, bool)
            if not (plain or part is None or part is ...):
                return chosen
        # An ellipsis makes a view of a single element too.
        whole = parts if any(part is ... for part in parts) else (*parts, ...)
        return Array(self.virtual[whole], self.written, chosen.chunks)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", "")
        # NumPy's functions have other parameters in third place and behind.
        if func in FOLDED and 1 <= len(args) <= 2 and args[0] is self:
            return getattr(self, name)(*args[1:], **kwargs)
        return super().__array_function__(func, types, args, kwargs)

    # ---- folded -----------------------------------------------------------------

    def _unstored(self) -> da.Array:
        """The same, of blocks that are not in memory."""
        name = self.name.replace("gmemx-", "gmemx-virtual-")
        boxes = Boxes(self.virtual, self.written, self.chunks)
        graph = graph_of("virtual", name, blocks.source_of(self.virtual), boxes)
        return da.Array(graph, name, self.chunks, meta=self._meta)

    def _folded(self, name: str, dtype: Any, combine: Any, aggregate: Any, **how: Any) -> Any:
        chunk = worker("moments_of" if name in ("var", "std") else f"{name}_of")
        return da.reduction(
            *(self._unstored(), chunk, aggregate),
            combine=combine,
            dtype=dtype,
            name=f"gmemx-{name}",
            **how,
        )

    def sum(
        self,
        axis: Any = None,
        dtype: Any = None,
        keepdims: Any = False,
        split_every: Any = None,
        out: Any = None,
    ) -> Any:
        """The sum: float64 for floats, 64 bits that wrap around for integers and bools.

        Parameters
        ----------
        axis : int or tuple of int, optional
        dtype, out : optional
            If given, the sum is Dask's own.
        keepdims : bool
        split_every : int or dict, optional
            How many parts are combined at a time.

        Returns
        -------
        dask.array.Array

        Examples
        --------
        >>> import gmemx, gmemx.dask
        >>> virtual = gmemx.GMemContext(42).array((100, 100))
        >>> x = gmemx.dask.array(virtual, chunks=50)
        >>> abs(float(x.sum().compute()) - virtual.sum()) < 1e-6
        True
        """
        if dtype is not None or out is not None:
            return super().sum(axis, dtype, keepdims, split_every, out)
        how = {"axis": axis, "keepdims": keepdims, "split_every": split_every}
        return self._folded("sum", blocks.sums(self.dtype), np.sum, np.sum, **how)

    def min(
        self, axis: Any = None, keepdims: Any = False, split_every: Any = None, out: Any = None
    ) -> Any:
        """The least element, NaN where one is; see `sum`."""
        if out is not None:
            return super().min(axis, keepdims, split_every, out)
        how = {"axis": axis, "keepdims": keepdims, "split_every": split_every}
        return self._folded("min", self.dtype, np.min, np.min, **how)

    def max(
        self, axis: Any = None, keepdims: Any = False, split_every: Any = None, out: Any = None
    ) -> Any:
        """The greatest element, NaN where one is; see `sum`."""
        if out is not None:
            return super().max(axis, keepdims, split_every, out)
        how = {"axis": axis, "keepdims": keepdims, "split_every": split_every}
        return self._folded("max", self.dtype, np.max, np.max, **how)

    def mean(
        self,
        axis: Any = None,
        dtype: Any = None,
        keepdims: Any = False,
        split_every: Any = None,
        out: Any = None,
    ) -> Any:
        """The mean, float64; see `sum`."""
        if dtype is not None or out is not None:
            return super().mean(axis, dtype, keepdims, split_every, out)
        how = {"axis": axis, "keepdims": keepdims, "split_every": split_every}
        return self._folded("mean", FLOAT, worker("combined"), worker("mean_from"), **how)

    def var(
        self,
        axis: Any = None,
        dtype: Any = None,
        keepdims: Any = False,
        ddof: Any = 0,
        split_every: Any = None,
        out: Any = None,
    ) -> Any:
        """The variance, float64; NaN where `ddof` takes all; see `sum`."""
        if dtype is not None or out is not None:
            return super().var(axis, dtype, keepdims, ddof, split_every, out)
        how = {"axis": axis, "keepdims": keepdims, "split_every": split_every}
        final = partial(worker("var_from"), ddof=ddof)
        return self._folded("var", FLOAT, worker("combined"), final, **how)

    def std(
        self,
        axis: Any = None,
        dtype: Any = None,
        keepdims: Any = False,
        ddof: Any = 0,
        split_every: Any = None,
        out: Any = None,
    ) -> Any:
        """The standard deviation, float64: the square root of `var`.

        Parameters
        ----------
        axis, dtype, keepdims, ddof, split_every, out
            As of `var`.

        Returns
        -------
        dask.array.Array

        Examples
        --------
        >>> import gmemx, gmemx.dask
        >>> virtual = gmemx.GMemContext(42).array((100, 100))
        >>> x = gmemx.dask.array(virtual, chunks=50)
        >>> abs(float(x.std().compute()) - virtual.std()) < 1e-9
        True
        """
        if dtype is not None or out is not None:
            return super().std(axis, dtype, keepdims, ddof, split_every, out)
        how = {"axis": axis, "keepdims": keepdims, "split_every": split_every}
        final = partial(worker("std_from"), ddof=ddof)
        return self._folded("std", FLOAT, worker("combined"), final, **how)


FOLDED = {np.sum, np.mean, np.var, np.std, np.min, np.max}


def worker(name: str) -> CallableLazyImport:
    """A function of gmemx, to be found by the worker."""
    return CallableLazyImport(f"gmemx._dask_blocks.{name}")


def graph_of(make: str, name: str, source: blocks.Source, boxes: Boxes) -> HighLevelGraph:
    """A graph with a task for each box."""
    axes = tuple(range(len(boxes.chunks)))
    layer = blockwise(
        *(worker(make), name, axes, source, None, boxes, axes), numblocks={}, _data_producer=True
    )
    return HighLevelGraph.from_collections(name, layer)


def taken(virtual: Any) -> tuple[VirtualArray, Delta]:
    """An array of an unwritten context, and what is written to its own."""
    if not isinstance(virtual, VirtualArray):
        raise TypeError(f"a VirtualArray is wanted, not a {type(virtual).__name__}")
    blank = GMemContext(virtual.context.seed, virtual.context.generator)
    whole = (virtual.offset, virtual.shape)
    return blocks.seen(blank, blocks.source_of(virtual), whole), blank.diff(virtual.context)


def array(virtual: VirtualArray, chunks: Any = "auto") -> Array:
    """A Dask array of the elements of a virtual array.

    Its tasks carry no data, but for the written cells of their chunks, as they are at this
    moment: what is written later is not seen. Equal arrays have equal keys, so that clients of
    one cluster share results.

    Parameters
    ----------
    virtual : VirtualArray
    chunks : int, tuple, dict or str
        As `dask.array.from_array` takes them.

    Returns
    -------
    gmemx.dask.Array

    Raises
    ------
    TypeError
        If it is no VirtualArray.

    Examples
    --------
    >>> import gmemx, gmemx.dask
    >>> dice = gmemx.GMemContext(42).array(10**7, "int8", distribution=gmemx.integers(1, 7))
    >>> x = gmemx.dask.array(dice, chunks=2_000_000)
    >>> int(x.sum().compute()) == dice.sum()
    True
    >>> bool(((x == 6)[-4:].compute() == (dice[-4:].numpy() == 6)).all())
    True
    """
    return Array(*taken(virtual), chunks)


def store(
    values: da.Array, virtual: VirtualArray, on_conflict: Any = "raise", compute: bool = True
) -> Delta | Delayed:
    """Write a Dask array to a virtual array: workers compute what changes, and it is merged here.

    Parameters
    ----------
    values : dask.array.Array
        Of the same shape.
    virtual : VirtualArray
        Its context is written to, by `GMemContext.merge`.
    on_conflict : {'raise', 'theirs', 'ours'} or callable
        What becomes of cells that were written here in the meantime.
    compute : bool
        Otherwise nothing is written: what is given back computes the delta, to be merged by the
        caller.

    Returns
    -------
    Delta or dask.delayed.Delayed
        What was merged, or computes it.

    Raises
    ------
    TypeError
        If one is no such array.
    ValueError
        If the shapes differ.
    gmemx.errors.MergeConflictError
        As `GMemContext.merge`; nothing is written then.

    Examples
    --------
    >>> import gmemx, gmemx.dask
    >>> virtual = gmemx.GMemContext(42).array((1000, 1000))
    >>> x = gmemx.dask.array(virtual, chunks=(500, 500))
    >>> gmemx.dask.store(x[:10] * 100, virtual[:10])
    Delta(seed=42, generator='vrns16', written=10000, erased=0)
    >>> virtual[3, 3] == 100 * float(x[3, 3].compute())
    True
    """
    blank, written = taken(virtual)
    if not isinstance(values, da.Array):
        raise TypeError(f"a Dask array is stored, not a {type(values).__name__}")
    if values.shape != virtual.shape:
        raise InvalidArgumentError(
            f"an array of shape {values.shape} cannot be stored to one of shape {virtual.shape}"
        )
    source = blocks.source_of(blank)
    boxes = Boxes(blank, written, values.chunks)
    parts = values.to_delayed()
    write = delayed(worker("written"), name="gmemx-written", pure=True)
    concat = delayed(worker("together"), name="gmemx-together", pure=True)
    nothing = Delta(blank.context.seed, blank.context.generator, [], [])
    deltas = [write(source, boxes[number], parts[number]) for number in np.ndindex(parts.shape)]
    while len(deltas) > 1:
        deltas = [concat(deltas[i : i + FAN_IN]) for i in range(0, len(deltas), FAN_IN)]
    change = deltas[0] if deltas else delayed(nothing)
    if not compute:
        return change
    delta = change.compute()
    virtual.context.merge(delta, on_conflict)
    return delta
