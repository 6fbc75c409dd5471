"""What scans have found: looked at, labelled and changed."""

from __future__ import annotations

import errno
import operator
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from gmemx._scan_data import Match, Skipped
from gmemx._scan_engine import Engine
from gmemx.errors import InvalidArgumentError, IoError

if TYPE_CHECKING:
    import numpy.typing as npt


class Matches:
    """What a `Scanner` has found; see there."""

    _engine: Engine
    _labels: dict[int, str]
    _changing: Callable[[], AbstractContextManager[Engine]]

    # ---- looking ----------------------------------------------------------------------

    def match_count(self) -> int:
        """The number of matches, of all types together.

        Returns
        -------
        int

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner(["int32", "int16"])
        >>> scanner.initial_scan(5)
        4
        >>> scanner.match_count(), len(scanner.values("int16"))
        (4, 2)
        """
        return sum(self._engine.count(i) for i in range(len(self.types)))

    def _arrays(self, index: int, *names: str, limit: int | None = None) -> list[Any]:
        return self._engine.arrays(index, names, limit)

    def addresses(self, type: Any = None) -> npt.NDArray[np.uint64]:
        """Where the matches are, in order.

        Parameters
        ----------
        type : str, numpy.dtype or type, optional
            Which type's; None for all of them, one after the other.

        Returns
        -------
        numpy.ndarray of uint64

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan(5)
        2
        >>> scanner.addresses()
        array([ 4, 12], dtype=uint64)
        """
        if type is not None or len(self.types) == 1:
            return self._arrays(self._engine.index_of(type), "addresses")[0]
        each = range(len(self.types))
        return np.concatenate([self._arrays(i, "addresses")[0] for i in each])

    def values(self, type: Any = None) -> npt.NDArray[Any]:
        """What the last scan read, in the type itself; which must be said where there are several.

        Parameters
        ----------
        type : str, numpy.dtype or type, optional
            Which type's.

        Returns
        -------
        numpy.ndarray of that type

        Raises
        ------
        ValueError
            If the scanner looks for several types, and none is said, or for others.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> scanner = scan.open_buffer(np.array([1, -2, 3], "i2")).scanner("i16")
        >>> scanner.initial_scan(0, compare="gt"), scanner.values()
        (2, array([1, 3], dtype=int16))
        """
        return self._arrays(self._engine.index_of(type), "current")[0]

    def previous(self, type: Any = None) -> npt.NDArray[Any]:
        """What the scan before the last read; see `values`."""
        return self._arrays(self._engine.index_of(type), "previous")[0]

    def first(self, type: Any = None) -> npt.NDArray[Any]:
        """What the initial scan read; see `values`."""
        return self._arrays(self._engine.index_of(type), "first")[0]

    def get_matches(self, limit: int | None = None) -> list[Match]:
        """The matches as objects.

        Parameters
        ----------
        limit : int, optional
            How many at most; None for all of them.

        Returns
        -------
        list of Match

        Raises
        ------
        ValueError
            If `limit` is negative.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan(5)
        2
        >>> scanner.get_matches(limit=1)
        [Match(address=4, value=5, previous=5, type='int32', label=None)]
        """
        if limit is not None and (limit := operator.index(limit)) < 0:
            raise InvalidArgumentError(f"limit must not be negative, and it is {limit}")
        found: list[Match] = []
        for i, name in enumerate(self.types):
            room = None if limit is None else limit - len(found)
            names = ("addresses", "current", "previous")
            rows = (array.tolist() for array in self._arrays(i, *names, limit=room))
            found += [
                Match(address, value, previous, name, self._labels.get(address))
                for address, value, previous in zip(*rows, strict=True)
            ]
        return found

    @property
    def skipped(self) -> list[Skipped]:
        """What the last scan could not read."""
        return self._engine.skipped()

    @property
    def labels(self) -> dict[int, str]:
        """What `label` has said, by address."""
        return dict(self._labels)

    def label(self, address: int, text: str | None) -> None:
        """Say what is at an address.

        Parameters
        ----------
        address : int
            Whether there is a match or not.
        text : str or None
            None forgets what was said.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan(5)
        2
        >>> scanner.label(12, "health")
        >>> scanner.get_matches()[1].label, scanner.labels
        ('health', {12: 'health'})
        """
        address = operator.index(address)
        if text is None:
            self._labels.pop(address, None)
        elif isinstance(text, str):
            self._labels[address] = text
        else:
            raise TypeError(f"a label is a string, not {text.__class__.__name__}")

    # ---- changing the target ----------------------------------------------------------

    def set_value(self, value: Any, *, force: bool = False) -> int:
        """Write a value to all matches; how many could be written.

        Parameters
        ----------
        value : int or float
        force : bool
            Whether to write also where the process itself may only read.

        Returns
        -------
        int

        Raises
        ------
        OverflowError
            If a type cannot hold the value, or for `add_value` and its kin a result. Nothing
            is written then.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan(5)
        2
        >>> scanner.set_value(7), memory.tolist()
        (2, [1, 7, 9, 7])
        """
        return self._edit("set", value, None, None, force)

    def set_value_at(
        self, address: int, value: Any, *, type: Any = None, force: bool = False
    ) -> None:
        """Write a value at an address, whether there is a match or not.

        Parameters
        ----------
        address : int
        value : int or float
        type : str, numpy.dtype or type, optional
            Which of several types it has, where no match or more than one tells.
        force : bool
            See `set_value`.

        Raises
        ------
        ValueError
            If nothing tells the type.
        OSError
            If the memory there cannot be written.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan(5)
        2
        >>> scanner.set_value_at(8, 3)
        >>> memory.tolist()
        [1, 5, 3, 5]
        """
        self._edit("set", value, address, type, force)

    def add_value(
        self, value: Any, address: int | None = None, *, type: Any = None, force: bool = False
    ) -> int:
        """Add to all matches, or at one address; otherwise as `set_value`."""
        return self._edit("add", value, address, type, force)

    def sub_value(
        self, value: Any, address: int | None = None, *, type: Any = None, force: bool = False
    ) -> int:
        """Subtract from all matches, or at one address; otherwise as `set_value`."""
        return self._edit("sub", value, address, type, force)

    def mul_value(
        self, value: Any, address: int | None = None, *, type: Any = None, force: bool = False
    ) -> int:
        """Multiply all matches, or at one address; otherwise as `set_value`."""
        return self._edit("mul", value, address, type, force)

    def div_value(
        self, value: Any, address: int | None = None, *, type: Any = None, force: bool = False
    ) -> int:
        """Divide all matches, or at one address; otherwise as `set_value`.

        Integers are rounded towards 0. DivisionError, a ZeroDivisionError, for a value of 0.
        """
        return self._edit("div", value, address, type, force)

    def _edit(self, operation: str, value: Any, address: Any, type: Any, force: bool) -> int:
        with self._changing() as engine:
            if address is None:
                return engine.edit(operation, value, None, force)
            where = operator.index(address)
            name = self._type_at(where, type)
            written = engine.of_type(name).edit(operation, value, where, force)
        if not written:
            raise IoError(errno.EFAULT, f"the value at {where:#x} cannot be written")
        return written

    def _type_at(self, address: int, type: Any) -> str:
        """The type of what is at an address."""
        if type is not None or len(self.types) == 1:
            return self.types[self._engine.index_of(type)]
        found = [
            name for i, name in enumerate(self.types) if address in self._arrays(i, "addresses")[0]
        ]
        if len(found) == 1:
            return found[0]
        told = f"matches of {', '.join(found)} are" if found else "no match is"
        raise InvalidArgumentError(f"{told} at {address:#x}: say which type is meant by type=")
