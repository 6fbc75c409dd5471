"""The regions of an address space, and which of them are meant."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gmemx.errors import InvalidArgumentError, OutOfRangeError

if TYPE_CHECKING:
    import numpy.typing as npt

# By the numbers of gmem_region_kind.
KINDS = ("heap", "stack", "anonymous", "file", "shared", "special", "image")
# What the letters of a permission filter stand for, and where they are in `Region.permissions`.
LETTERS = {"r": 0, "w": 1, "x": 2, "s": 3, "p": 3}
# How many regions a repr lists.
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an address space that was mapped as one.

    Attributes
    ----------
    start, end : int
        The first address, and the first behind it.
    permissions : str
        As the kernel writes them: ``rw-p``, with an ``s`` last where it is shared.
    kind : {'heap', 'stack', 'anonymous', 'file', 'shared', 'special', 'image'}
        'image' is all that is in a buffer, a file or a core dump.
    offset : int
        Where in the file it begins.
    name : str
        The path of the file, or the kernel's name in brackets; empty without one.
    inode : int
    device : tuple of int
        The major and minor numbers of the file's device.

    Examples
    --------
    >>> import numpy as np
    >>> from gmemx import scan
    >>> memory = np.array([1, 5, 9, 5], "int32")
    >>> source = scan.open_buffer(memory)
    >>> (region,) = source.regions()
    >>> region.start, region.end, region.kind
    (0, 16, 'image')
    """

    start: int
    end: int
    permissions: str
    kind: str
    offset: int = 0
    name: str = ""
    inode: int = 0
    device: tuple[int, int] = (0, 0)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start

    @property
    def module(self) -> str | None:
        """The name of the mapped file without its folder; None where there is none."""
        if self.kind != "file" or not self.name:
            return None
        return os.path.basename(self.name.removesuffix(" (deleted)"))

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self.start <= address < self.end

    def __str__(self) -> str:
        return (
            f"{self.start:012x}-{self.end:012x} {self.permissions} {self.kind:9} "
            f"{short_size(self.size):>9} {self.name}"
        ).rstrip()


def short_size(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    power = min((size.bit_length() - 1) // 10, 4)
    return f"{size / 1024**power:.1f} {'KMGT'[power - 1]}iB"


def flags_of(permissions: int) -> str:
    """The four letters for the bits of ``gmem_region.permissions``."""
    return "".join(
        (
            "r" if permissions & 1 else "-",
            "w" if permissions & 2 else "-",
            "x" if permissions & 4 else "-",
            "s" if permissions & 8 else "p",
        )
    )


class Filter:
    """Which regions are meant; see `Source.regions` for the parameters."""

    __slots__ = ("_told", "forbidden", "kinds", "limits", "modules", "needed", "span")

    def __init__(
        self,
        permissions: Any = None,
        kind: Any = None,
        module: Any = None,
        start: Any = None,
        end: Any = None,
        max_size: Any = None,
        min_size: Any = None,
    ) -> None:
        told = {
            "permissions": permissions,
            "kind": kind,
            "module": module,
            "start": start,
            "end": end,
            "max_size": max_size,
            "min_size": min_size,
        }
        self._told = {name: value for name, value in told.items() if value is not None}
        self.needed, self.forbidden = letters_of(permissions)
        self.kinds = None if kind is None else kinds_of(kind)
        self.modules = None if module is None else names_of(module)
        self.span = (
            0 if start is None else whole(start, "start"),
            2**64 if end is None else whole(end, "end"),
        )
        if self.span[0] >= self.span[1]:
            raise InvalidArgumentError(
                f"start must lie before end, and {self.span[0]:#x} does not lie before "
                f"{self.span[1]:#x}"
            )
        self.limits = (
            0 if min_size is None else whole(min_size, "min_size"),
            2**64 if max_size is None else whole(max_size, "max_size"),
        )

    def __call__(self, regions: Iterable[Region]) -> Iterator[Region]:
        low, high = self.span
        for region in regions:
            if region.end > low and region.start < high and self.fits(region):
                yield cut(region, low, high)

    def fits(self, region: Region) -> bool:
        return (
            all(region.permissions[LETTERS[letter]] == letter for letter in self.needed)
            and not any(region.permissions[LETTERS[letter]] == letter for letter in self.forbidden)
            and (self.kinds is None or region.kind in self.kinds)
            and self.limits[0] <= region.size <= self.limits[1]
            and (self.modules is None or any(is_of(region, name) for name in self.modules))
        )

    def __repr__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._told.items())


def letters_of(permissions: Any) -> tuple[str, str]:
    """The letters that must be there, and those that must not."""
    if permissions is None:
        return "", ""
    if not isinstance(permissions, str):
        raise TypeError(f"permissions must be a string, not {type(permissions).__name__}")
    needed = forbidden = ""
    negated = False
    for letter in permissions:
        if letter == "!" and not negated:
            negated = True
        elif letter == "-" and not negated:
            continue
        elif letter in LETTERS:
            needed, forbidden = (
                (needed, forbidden + letter) if negated else (needed + letter, forbidden)
            )
            negated = False
        else:
            raise InvalidArgumentError(
                f"permissions are made of r, w, x, s, p, and ! before what must not be, "
                f"and {permissions!r} has {letter!r}"
            )
    if negated:
        raise InvalidArgumentError(f"a letter must follow the ! of {permissions!r}")
    return needed, forbidden


def kinds_of(kind: Any) -> frozenset[str]:
    kinds = (kind,) if isinstance(kind, str) else tuple(kind)
    for each in kinds:
        if each not in KINDS:
            raise InvalidArgumentError(f"a kind is one of {', '.join(KINDS)}, and not {each!r}")
    return frozenset(kinds)


def names_of(module: Any) -> tuple[str, ...]:
    names = (module,) if isinstance(module, (str, os.PathLike)) else tuple(module)
    return tuple(os.fsdecode(name) for name in names)


def is_of(region: Region, name: str) -> bool:
    """Whether a region is of a file, by its path or its name, or by a glob of either."""
    path = region.name.removesuffix(" (deleted)")
    base = os.path.basename(path)
    return bool(path) and (
        name in (path, base, region.name) or fnmatchcase(path, name) or fnmatchcase(base, name)
    )


def cut(region: Region, low: int, high: int) -> Region:
    if low <= region.start and region.end <= high:
        return region
    start = max(low, region.start)
    offset = region.offset + (start - region.start) if region.inode else region.offset
    return replace(region, start=start, end=min(high, region.end), offset=offset)


def whole(value: Any, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if not 0 <= number <= 2**64:
        raise OutOfRangeError(f"{name} must be from 0 to 2**64, not {number}")
    return number


class Regions(Sequence[Region]):
    """The regions of a source that fit a filter, as they were at one moment.

    A sequence of `Region` in order of addresses. Whoever scans it has it read anew first, by
    the same filter; a slice, or a sum of two, is a plain list, which stays as it is.

    Examples
    --------
    >>> from gmemx import scan
    >>> with scan.open_buffer(bytes(100), address=0x1000) as source:
    ...     regions = source.regions()
    ...     print(regions[0])
    000000001000-000000001064 r--p image         100 B
    """

    def __init__(
        self, read: Callable[[], Iterable[Region]], chosen: Filter, of: str = "regions"
    ) -> None:
        self._read, self._filter, self._of = read, chosen, of
        self._regions = tuple(chosen(read()))

    def refresh(self) -> Regions:
        """The regions that fit the same filter now.

        Returns
        -------
        Regions

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> len(source.regions().refresh())
        1
        """
        return Regions(self._read, self._filter, self._of)

    @property
    def size(self) -> int:
        """Of all together, in bytes."""
        return sum(region.size for region in self._regions)

    def at(self, address: int) -> Region | None:
        """The region an address is in, None where there is none.

        Parameters
        ----------
        address : int

        Returns
        -------
        Region or None

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> source.regions().at(4).size, source.regions().at(16)
        (16, None)
        """
        return next((region for region in self._regions if address in region), None)

    @overload
    def __getitem__(self, index: int) -> Region: ...
    @overload
    def __getitem__(self, index: slice) -> list[Region]: ...
    def __getitem__(self, index: int | slice) -> Region | list[Region]:
        if isinstance(index, slice):
            return list(self._regions[index])
        return self._regions[index]

    def __len__(self) -> int:
        return len(self._regions)

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions)

    def __add__(self, other: Iterable[Region]) -> list[Region]:
        return [*self._regions, *other]

    def __radd__(self, other: Iterable[Region]) -> list[Region]:
        return [*other, *self._regions]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Regions, list, tuple)):
            return NotImplemented
        return self._regions == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        told = f" with {self._filter}" if self._filter._told else ""
        head = f"{len(self)} regions of {self._of}{told}, {short_size(self.size)}"
        lines = [str(region) for region in self._regions[:SHOWN]]
        if len(self) > SHOWN:
            lines.append(f"... and {len(self) - SHOWN} more")
        return "\n".join([head, *lines])


def ranges_of(regions: Any) -> npt.NDArray[np.uint64]:
    """What a scan is to go through, a row of start and end each, sorted.

    Parameters
    ----------
    regions : Regions, Region, or an iterable of Region or (start, end)

    Raises
    ------
    InvalidArgumentError
        For none at all, for one that is empty, and for two that overlap.
    """
    if isinstance(regions, Regions):
        regions = regions.refresh()
        if not regions:
            raise InvalidArgumentError(f"there is nothing to scan: {regions!r}")
        spans = [(region.start, region.end) for region in regions]
    else:
        spans = sorted(span_of(region) for region in each_of(regions))
        if not spans:
            raise InvalidArgumentError(f"there is nothing to scan: no regions in {regions!r}")
    for (_, end), (start, behind) in pairwise(spans):
        if start < end:
            raise InvalidArgumentError(
                f"regions must not overlap: {start:#x} to {behind:#x} begins before {end:#x}, "
                "where the one before it ends"
            )
    return np.array(spans, dtype=np.uint64)


def each_of(regions: Any) -> list[Any]:
    if isinstance(regions, Region):
        return [regions]
    try:
        found = list(regions)
    except TypeError:
        raise TypeError(
            f"regions must be Regions, or Region or (start, end) in a list, "
            f"not {type(regions).__name__}"
        ) from None
    # One pair by itself.
    if len(found) == 2 and not any(isinstance(part, (Region, Sequence)) for part in found):
        return [tuple(found)]
    return found


def span_of(region: Any) -> tuple[int, int]:
    if isinstance(region, Region):
        return region.start, region.end
    try:
        start, end = region
    except (TypeError, ValueError):
        raise TypeError(f"a region is a Region or a pair (start, end), not {region!r}") from None
    start, end = whole(start, "start"), whole(end, "end")
    if start >= end:
        raise InvalidArgumentError(f"a region from {start:#x} to {end:#x} is empty")
    # The last byte of all has no address behind it, and is never mapped.
    return start, min(end, 2**64 - 1)
