"""Paths of pointers: from a module, by way of pointers, to an address."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gmemx.errors import InvalidArgumentError

if TYPE_CHECKING:
    import numpy.typing as npt

    from gmemx.scan import Source

FORMAT = "gmemx pointer paths"


@dataclass(frozen=True, slots=True)
class PointerPath:
    """A way to an address that holds as long as the program stays the same.

    Attributes
    ----------
    module : str
        The path of the mapped file it begins in.
    offset : int
        Where in it the first pointer lies, from the lowest address of the file's.
    offsets : tuple of int
        What is added to each pointer: to find the next, and to the last to find the address.

    Examples
    --------
    >>> from gmemx import scan
    >>> print(scan.PointerPath("/usr/bin/game", 0x40, (0x10, 0x8)))
    game+0x40 -> +0x10 -> +0x8
    """

    module: str
    offset: int
    offsets: tuple[int, ...]

    def resolve(self, source: Source) -> int | None:
        """Where it leads now; None where the module or a pointer is missing.

        Parameters
        ----------
        source : Source

        Returns
        -------
        int or None

        Examples
        --------
        >>> import os
        >>> from gmemx import scan
        >>> with scan.open_process(os.getpid()) as process:
        ...     scan.PointerPath("game", 0x4A10, (0x28,)).resolve(process) is None
        True
        """
        (address,), (there,) = follow(source, [self])
        return int(address) if there else None

    def __str__(self) -> str:
        steps = "".join(f" -> +{offset:#x}" for offset in self.offsets)
        return f"{os.path.basename(self.module)}+{self.offset:#x}{steps}"


class PointerPaths(Sequence[PointerPath]):
    """Paths that a search has found, to be saved and tried again.

    Parameters
    ----------
    paths : iterable of PointerPath
    target : int
        The address they led to.

    Examples
    --------
    >>> from gmemx import scan
    >>> paths = scan.PointerPaths([scan.PointerPath("game", 0x4A10, (0x28,))])
    >>> len(paths), paths[0].module
    (1, 'game')
    """

    def __init__(self, paths: Iterable[PointerPath], target: int = 0) -> None:
        self._paths = tuple(paths)
        self._target = operator.index(target)

    @property
    def target(self) -> int:
        """The address they led to when they were found."""
        return self._target

    def resolve(self, source: Source) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
        """Where each leads now, and whether it leads anywhere.

        Parameters
        ----------
        source : Source
            The same program, in this run or a later one.

        Returns
        -------
        numpy.ndarray of uint64
            0 where it leads nowhere.
        numpy.ndarray of bool

        Examples
        --------
        >>> import os
        >>> from gmemx import scan
        >>> paths = scan.PointerPaths([scan.PointerPath("game", 0x4A10, (0x28,))])
        >>> with scan.open_process(os.getpid()) as process:
        ...     ends, there = paths.resolve(process)
        >>> there.tolist()  # this process has no module of that name
        [False]
        """
        return follow(source, self._paths)

    def leading_to(self, source: Source, address: int) -> PointerPaths:
        """Those that lead to an address now: in a later run, to where the value is then.

        Parameters
        ----------
        source : Source
        address : int

        Returns
        -------
        PointerPaths

        Examples
        --------
        >>> import os
        >>> from gmemx import scan
        >>> paths = scan.PointerPaths([scan.PointerPath("game", 0x4A10, (0x28,))])
        >>> with scan.open_process(os.getpid()) as process:
        ...     len(paths.leading_to(process, 0x1000))
        0
        """
        address = operator.index(address)
        ends, there = self.resolve(source)
        good = np.flatnonzero(there & (ends == np.uint64(address)))
        return PointerPaths([self._paths[i] for i in good.tolist()], address)

    def __and__(self, other: Iterable[PointerPath]) -> PointerPaths:
        """Those that were found both times: in runs of the same program the ones that hold."""
        others = set(other)
        return PointerPaths([path for path in self._paths if path in others], self._target)

    def save(self, path: Any) -> None:
        """Write them to a file, as JSON.

        Parameters
        ----------
        path : path

        Raises
        ------
        OSError
            If it cannot be written.

        Examples
        --------
        >>> from gmemx import scan
        >>> paths = scan.PointerPaths([scan.PointerPath("game", 0x4A10, (0x28,))])
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "health.paths")
        >>> paths.save(path)
        >>> os.path.getsize(path) > 0
        True
        """
        modules = list(dict.fromkeys(each.module for each in self._paths))
        number = {module: i for i, module in enumerate(modules)}
        rows = [[number[each.module], each.offset, *each.offsets] for each in self._paths]
        document = {"format": FORMAT, "target": self._target, "modules": modules, "paths": rows}
        text = json.dumps(document, separators=(",", ":"))
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)

    @staticmethod
    def load(path: Any) -> PointerPaths:
        """Read what `save` has written; ValueError where that is something else.

        Parameters
        ----------
        path : path

        Returns
        -------
        PointerPaths

        Raises
        ------
        ValueError
            If the file is something else.

        Examples
        --------
        >>> from gmemx import scan
        >>> paths = scan.PointerPaths([scan.PointerPath("game", 0x4A10, (0x28,))])
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "health.paths")
        >>> paths.save(path)
        >>> list(scan.PointerPaths.load(path)) == list(paths)
        True
        """
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                document = json.load(file)
            if document["format"] != FORMAT:
                raise ValueError
            modules = document["modules"]
            paths = [
                PointerPath(str(modules[module]), int(offset), tuple(map(int, offsets)))
                for module, offset, *offsets in document["paths"]
            ]
            return PointerPaths(paths, int(document["target"]))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise InvalidArgumentError(
                f"{os.fsdecode(path)!r} has no pointer paths in it"
            ) from error

    @overload
    def __getitem__(self, index: int) -> PointerPath: ...
    @overload
    def __getitem__(self, index: slice) -> PointerPaths: ...
    def __getitem__(self, index: int | slice) -> PointerPath | PointerPaths:
        if isinstance(index, slice):
            return PointerPaths(self._paths[index], self._target)
        return self._paths[index]

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[PointerPath]:
        return iter(self._paths)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PointerPaths):
            return NotImplemented
        return self._paths == other._paths

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} pointer paths to {self._target:#x}>"


def follow(
    source: Source, paths: Sequence[PointerPath]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Where paths lead, step by step for all at once."""
    bases: dict[str, int] = {}
    for region in source.regions(kind="file"):
        bases.setdefault(region.name, region.start)
    at = np.zeros(len(paths), np.uint64)
    there = np.zeros(len(paths), np.bool_)
    for i, path in enumerate(paths):
        base = bases.get(path.module)
        if base is not None:
            at[i], there[i] = (base + path.offset) % 2**64, True
    for step in range(max((len(path.offsets) for path in paths), default=0)):
        rows = [i for i, path in enumerate(paths) if there[i] and step < len(path.offsets)]
        pointers, readable = source.read_many(at[rows], "u64", partial=True)
        more = np.array([paths[i].offsets[step] % 2**64 for i in rows], np.uint64)
        at[rows], there[rows] = pointers + more, readable
    at[~there] = 0
    return at, there
