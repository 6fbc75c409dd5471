"""What differs between two contexts: small sorted arrays that travel and can be merged.

A cell's state is whether it is written, and if so the 64 bits of its value. A delta holds
the cells whose states differ, before and after. So whoever merges it can tell a cell that was
changed on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gmemx.errors import InvalidArgumentError, MergeConflictError, OutOfRangeError

__all__ = ["Delta"]

Addresses: TypeAlias = npt.NDArray[np.uint64]
Values: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
OnConflict: TypeAlias = (
    Literal["raise", "theirs", "ours"] | Callable[[Addresses, Values, Values], npt.ArrayLike]
)

CELL = np.dtype(
    [("address", "u8"), ("value", "f8"), ("erased", "?"), ("base", "f8"), ("fresh", "?")]
)


class Delta:
    """The cells that differ between two contexts, before and after.

    `GMemContext.diff` makes one and `GMemContext.merge` applies it. It does not change.

    Parameters
    ----------
    seed : int
    generator : str
        Of both contexts.
    addresses : array_like of int
        In any order, none twice.
    values : array_like of float
        What each cell is afterwards.
    erased : array_like of bool, optional
        Where a cell has its generated value afterwards; by default nowhere.
    base : array_like of float, optional
        What each cell was written with before.
    fresh : array_like of bool, optional
        Where a cell had its generated value before; by default everywhere without a `base`,
        and nowhere with one.

    Raises
    ------
    IndexError
        If an address is outside [0, 2**64).
    ValueError
        If lengths differ or an address comes twice.

    Notes
    -----
    Cells that are the same before and after are left out. `values` are 0 where `erased` is
    true, `base` is 0 where `fresh` is. All arrays are sorted by address, and read-only.

    Examples
    --------
    >>> import gmemx
    >>> before = gmemx.GMemContext(42)
    >>> after = before.fork()
    >>> after[10:13] = [1, 2, 3]
    >>> delta = before.diff(after)
    >>> delta.addresses, delta.values
    (array([10, 11, 12], dtype=uint64), array([1., 2., 3.]))
    >>> len(delta), delta.fresh.all()
    (3, np.True_)
    >>> after.merge(delta.inverse())
    3
    >>> after.overlay_count
    0
    """

    __slots__ = (
        *("__weakref__", "addresses", "base", "erased", "fresh", "generator", "seed"),
        "values",
    )

    seed: int
    generator: str
    addresses: Addresses
    values: Values
    erased: Flags
    base: Values
    fresh: Flags

    def __init__(
        self,
        seed: int,
        generator: str,
        addresses: npt.ArrayLike,
        values: npt.ArrayLike,
        erased: npt.ArrayLike | None = None,
        base: npt.ArrayLike | None = None,
        fresh: npt.ArrayLike | None = None,
    ) -> None:
        from gmemx.generative import GMemContext

        # Checks seed and generator as it does its own.
        context = GMemContext(seed, generator)
        where = address_array(addresses)
        n = len(where)
        gone = column(False if erased is None else erased, np.bool_, n, "erased")
        new = column(base is None if fresh is None else fresh, np.bool_, n, "fresh")
        after = column(values, np.float64, n, "values")
        before = column(0.0 if base is None else base, np.float64, n, "base")
        order = np.argsort(where)
        where = where[order]
        twice = np.flatnonzero(where[1:] == where[:-1])
        if twice.size:
            raise InvalidArgumentError(f"address {where[twice[0]]} comes twice")
        self._set(
            *(context.seed, context.generator, where, after[order], gone[order]),
            *(before[order], new[order]),
        )

    def _set(
        self,
        seed: int,
        generator: str,
        addresses: Addresses,
        values: Values,
        erased: Flags,
        base: Values,
        fresh: Flags,
    ) -> None:
        values, base = np.where(erased, 0.0, values), np.where(fresh, 0.0, base)
        columns: list[Any] = [addresses, values, erased, base, fresh]
        differs = ~same(values, ~erased, base, ~fresh)
        if not differs.all():
            columns = [array[differs] for array in columns]
        for array in columns:
            array.flags.writeable = False
        self.seed, self.generator = seed, generator
        self.addresses, self.values, self.erased, self.base, self.fresh = columns

    @classmethod
    def _made(cls, *parts: Any) -> Delta:
        """A delta of arrays that are sorted already."""
        delta = cls.__new__(cls)
        delta._set(*parts)
        return delta

    # ---- what it is -----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def nbytes(self) -> int:
        """Bytes that its arrays take."""
        return sum(array.nbytes for array in self._columns())

    @property
    def digest(self) -> bytes:
        """Sixteen bytes that are the same for equal deltas and, in practice, no others."""
        import hashlib  # here, as it is a large part of what importing gmemx would take

        state = hashlib.blake2b(f"{self.seed} {self.generator}".encode(), digest_size=16)
        for array in self._columns():
            state.update(array.tobytes())
        return state.digest()

    def __repr__(self) -> str:
        erased = int(self.erased.sum())
        return (
            f"Delta(seed={self.seed}, generator={self.generator!r}, "
            f"written={len(self) - erased}, erased={erased})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Delta):
            return NotImplemented
        return (self.seed, self.generator) == (other.seed, other.generator) and all(
            a.tobytes() == b.tobytes()
            for a, b in zip(self._columns(), other._columns(), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def numpy(self) -> npt.NDArray[Any]:
        """All cells as one structured array: address, value, erased, base, fresh.

        >>> import gmemx
        >>> gmemx.Delta(42, "vrns16", [7], [0.5]).numpy()["address"]
        array([7], dtype=uint64)
        """
        table = np.empty(len(self), CELL)
        for name, array in zip(CELL.names or (), self._columns(), strict=True):
            table[name] = array
        return table

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a delta is five arrays: one of all cells is a copy")
        table = self.numpy()
        return table if dtype is None else table.astype(dtype)

    def _columns(self) -> tuple[npt.NDArray[Any], ...]:
        return self.addresses, self.values, self.erased, self.base, self.fresh

    # ---- others made of it ----------------------------------------------------------

    def select(self, cells: range) -> Delta:
        """Only the cells of a range of addresses.

        Parameters
        ----------
        cells : range
            Of addresses; bounds beyond [0, 2**64) leave nothing more out.

        Returns
        -------
        Delta

        Examples
        --------
        >>> import gmemx
        >>> delta = gmemx.Delta(42, "vrns16", [1, 5, 2**63], [0.1, 0.5, 0.9])
        >>> delta.select(range(5, 2**64)).addresses
        array([                  5, 9223372036854775808], dtype=uint64)
        """
        if not isinstance(cells, range):
            raise TypeError(f"cells are selected by a range, not by {type(cells).__name__}")
        if cells.step < 0:
            cells = cells[::-1]
        first = cells.start if cells.start >= 0 else cells.start % cells.step
        if first >= min(cells.stop, 2**64):
            return self._kept(np.zeros(len(self), np.bool_))
        inside = self.addresses >= np.uint64(first)
        if cells.stop < 2**64:
            inside &= self.addresses < np.uint64(cells.stop)
        if 1 < cells.step < 2**64:
            inside &= (self.addresses - np.uint64(first)) % np.uint64(cells.step) == 0
        elif cells.step > 1:
            inside &= self.addresses == np.uint64(first)
        return self._kept(inside)

    def inverse(self) -> Delta:
        """What undoes it: after and before change places.

        Returns
        -------
        Delta

        Examples
        --------
        >>> from gmemx.delta import Delta
        >>> Delta(42, "vrns16", [7], [1.5]).inverse().erased  # written, so it becomes generated
        array([ True])
        """
        return Delta._made(
            self.seed, self.generator, self.addresses, self.base, self.fresh, self.values,
            self.erased,
        )  # fmt: skip

    def __or__(self, other: Delta) -> Delta:
        """This one, and then the other."""
        return Delta.concat([self, other]) if isinstance(other, Delta) else NotImplemented

    @staticmethod
    def concat(deltas: Iterable[Delta]) -> Delta:
        """Deltas that follow each other, as one.

        Merging the result does what merging each in turn does. How they are grouped does not
        matter, nor does the order of those that have no cell in common.

        Parameters
        ----------
        deltas : iterable of Delta
            At least one.

        Returns
        -------
        Delta

        Raises
        ------
        gmemx.errors.MergeConflictError
            If a cell is not in one delta as the one before left it.
        ValueError
            If there is none, or seeds or generators differ.

        Examples
        --------
        >>> import gmemx
        >>> a = gmemx.Delta(42, "vrns16", [1, 2], [0.1, 0.2])
        >>> b = gmemx.Delta(42, "vrns16", [2, 3], [0.5, 0.3], base=[0.2, 0], fresh=[False, True])
        >>> (a | b).values
        array([0.1, 0.5, 0.3])
        """
        parts = list(deltas)
        for part in parts:
            if not isinstance(part, Delta):
                raise TypeError(f"deltas are put together, and one is a {type(part).__name__}")
            demand_same(parts[0], part)
        if not parts:
            raise InvalidArgumentError("there is no delta to put together")
        if len(parts) == 1:
            return parts[0]
        rows = zip(*(part._columns() for part in parts), strict=True)
        columns = [np.concatenate(arrays) for arrays in rows]
        order = np.argsort(columns[0], kind="stable")
        where, values, erased, base, fresh = (array[order] for array in columns)
        again = where[1:] == where[:-1]
        follows = same(values[:-1], ~erased[:-1], base[1:], ~fresh[1:])
        broken = where[1:][again & ~follows]
        if broken.size:
            raise MergeConflictError(
                f"{counted(broken)} not as the delta before left it", np.unique(broken)
            )
        first, last = np.append(True, ~again), np.append(~again, True)
        if not len(where):
            return parts[0]
        return Delta._made(
            *(parts[0].seed, parts[0].generator, where[first], values[last], erased[last]),
            *(base[first], fresh[first]),
        )

    def _kept(self, mask: Flags) -> Delta:
        return Delta._made(self.seed, self.generator, *(array[mask] for array in self._columns()))

    # ---- pickles --------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Arrays that say nothing stay away; addresses in a row go as runs."""
        starts = np.flatnonzero(np.append(True, np.diff(self.addresses) != 1)[: len(self)])
        lengths = np.diff(starts, append=len(self))
        in_runs = 2 * len(starts) < len(self)
        where = (self.addresses[starts], lengths) if in_runs else (self.addresses, None)
        return restored, (
            *(self.seed, self.generator, *where, self.values),
            np.packbits(self.erased) if self.erased.any() else None,
            None if self.fresh.all() else self.base,
            None if self.fresh.all() or not self.fresh.any() else np.packbits(self.fresh),
        )


def restored(
    seed: int,
    generator: str,
    where: Addresses,
    lengths: npt.NDArray[np.int64] | None,
    values: Values,
    erased: npt.NDArray[np.uint8] | None,
    base: Values | None,
    fresh: npt.NDArray[np.uint8] | None,
) -> Delta:
    """A delta from its pickle."""
    n = len(values)
    if lengths is not None:
        skipped = np.repeat(np.cumsum(lengths) - lengths, lengths)
        where = np.repeat(where, lengths) + (np.arange(n) - skipped).astype(np.uint64)
    return Delta._made(
        *(seed, generator, where, values, unpacked(erased, n, False)),
        np.zeros(n) if base is None else base,
        unpacked(fresh, n, base is None),
    )


def unpacked(bits: npt.NDArray[np.uint8] | None, n: int, default: bool) -> Flags:
    """Flags of so many cells."""
    if bits is None:
        return np.full(n, default)
    return np.unpackbits(bits, count=n).view(np.bool_)


# ---- columns ------------------------------------------------------------------------------


def same(a: Values, a_written: Flags, b: Values, b_written: Flags) -> Flags:
    """Where two states of cells are the same, to the bit."""
    bits = a.view(np.uint64) == b.view(np.uint64)
    return (a_written == b_written) & (bits | ~a_written)


def address_array(addresses: npt.ArrayLike) -> Addresses:
    """One row of addresses, each checked."""
    given = np.asarray(addresses)
    if given.ndim != 1:
        raise InvalidArgumentError(f"addresses are one row, not of {given.ndim} dimensions")
    if given.size == 0:
        return np.empty(0, np.uint64)
    if given.dtype.kind not in "iu":
        # NumPy makes floats or objects of integers on both sides of 2**63.
        given = np.asarray(addresses, object)
        if not all(isinstance(one, (int, np.integer)) for one in given):
            raise TypeError("addresses must be integers")
    bad = (given < 0) | (given >= 2**64 if given.dtype.kind == "O" else False)
    if bad.any():
        raise OutOfRangeError(f"address {given[bad][0]} is outside [0, 2**64)")
    return given.astype(np.uint64)


def column(given: npt.ArrayLike, dtype: Any, n: int, name: str) -> npt.NDArray[Any]:
    """A value for each cell."""
    array = np.asarray(given, dtype)
    if array.shape not in ((), (n,)):
        raise InvalidArgumentError(
            f"{name} must have one element for each of {n} addresses, not shape {array.shape}"
        )
    return np.broadcast_to(array, (n,))


def demand_same(one: Any, other: Any) -> None:
    """ValueError where two things are not of one seed and generator."""
    if (one.seed, one.generator) != (other.seed, other.generator):
        raise InvalidArgumentError(
            "both must have one seed and generator, not "
            f"({one.seed}, {one.generator!r}) and ({other.seed}, {other.generator!r})"
        )


def counted(addresses: Addresses) -> str:
    """The beginning of a sentence about some cells."""
    n = len(np.unique(addresses))
    return (
        f"{n} cells, first at address {addresses[0]}, are"
        if n > 1
        else (f"the cell at address {addresses[0]} is")
    )
