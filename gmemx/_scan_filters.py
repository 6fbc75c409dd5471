"""Which matches are kept: by a value, by what they were before, by a mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gmemx._scan_engine import Engine
from gmemx._scan_matches import Matches
from gmemx._scan_options import Equality, How, checked, parted
from gmemx.errors import InvalidArgumentError

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Unpack


class Filters(Matches):
    """What a `Scanner` has found, narrowed down; see there."""

    _scan: Callable[..., int]
    _step: Callable[[str], int]

    def filter_eq(self, value: Any, **options: Unpack[Equality]) -> int:
        """Keep what equals a value; parameters and errors as of `initial_scan`.

        Parameters
        ----------
        value : int or float
        tolerance, ulps, rounded, threads, progress, stop
            As of `initial_scan`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.filter_eq(5), scanner.values().tolist()
        (2, [5, 5])
        """
        return self._compare("eq", value, None, options)

    def filter_ne(self, value: Any, **options: Unpack[Equality]) -> int:
        """Keep what `filter_eq` would not, NaN included.

        Parameters
        ----------
        value : int or float
        tolerance, ulps, rounded, threads, progress, stop
            As of `initial_scan`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.filter_ne(5), scanner.values().tolist()
        (2, [1, 9])
        """
        return self._compare("ne", value, None, options)

    def filter_lt(self, value: Any, **options: Unpack[Equality]) -> int:
        """Keep what is less than all that counts as equal to a value.

        Parameters
        ----------
        value : int or float
        tolerance, ulps, rounded, threads, progress, stop
            As of `initial_scan`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.filter_lt(5), scanner.values().tolist()
        (1, [1])
        """
        return self._compare("lt", value, None, options)

    def filter_gt(self, value: Any, **options: Unpack[Equality]) -> int:
        """Keep what is greater than all that counts as equal to a value.

        Parameters
        ----------
        value : int or float
        tolerance, ulps, rounded, threads, progress, stop
            As of `initial_scan`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.filter_gt(5), scanner.values().tolist()
        (1, [9])
        """
        return self._compare("gt", value, None, options)

    def filter_le(self, value: Any, **options: Unpack[Equality]) -> int:
        """Keep what is less than a value or counts as equal to it.

        Parameters
        ----------
        value : int or float
        tolerance, ulps, rounded, threads, progress, stop
            As of `initial_scan`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.filter_le(5), scanner.values().tolist()
        (3, [1, 5, 5])
        """
        return self._compare("le", value, None, options)

    def filter_ge(self, value: Any, **options: Unpack[Equality]) -> int:
        """Keep what is greater than a value or counts as equal to it.

        Parameters
        ----------
        value : int or float
        tolerance, ulps, rounded, threads, progress, stop
            As of `initial_scan`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.filter_ge(5), scanner.values().tolist()
        (3, [5, 9, 5])
        """
        return self._compare("ge", value, None, options)

    def filter_between(self, low: Any, high: Any, **options: Unpack[Equality]) -> int:
        """Keep what lies between two values, both of them included.

        Parameters
        ----------
        low, high : int or float
        tolerance, ulps, rounded, threads, progress, stop
            As of `initial_scan`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.filter_between(2, 8), scanner.values().tolist()
        (2, [5, 5])
        """
        return self._compare("between", low, high, options)

    def filter_changed(self, against: str = "last", **how: Unpack[How]) -> int:
        """Keep what has other bits than before.

        Parameters
        ----------
        against : str
            What the values are compared with: those of the 'last' scan, of the 'first', or
            of the checkpoint of that name.
        threads, progress, stop
            See `Scanner`.

        Raises
        ------
        UnknownCheckpointError
            If there is no such checkpoint; a KeyError.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> memory[1] = 6
        >>> scanner.filter_changed(), scanner.values().tolist()
        (1, [6])
        """
        return self._scan(Engine.change, checked(how), "changed", against)

    def filter_unchanged(self, against: str = "last", **how: Unpack[How]) -> int:
        """Keep what has the same bits as before; see `filter_changed`.

        Parameters
        ----------
        against : str
            See `filter_changed`.
        threads, progress, stop
            See `Scanner`.

        Returns
        -------
        int
            How many matches are left.

        Raises
        ------
        UnknownCheckpointError
            If there is no such checkpoint; a KeyError.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> memory[1] = 6
        >>> scanner.filter_unchanged(), scanner.values().tolist()
        (3, [1, 9, 5])
        """
        return self._scan(Engine.change, checked(how), "unchanged", against)

    def filter_increased(self, against: str = "last", **how: Unpack[How]) -> int:
        """Keep what is greater than before; see `filter_changed`.

        Parameters
        ----------
        against : str
            See `filter_changed`.
        threads, progress, stop
            See `Scanner`.

        Returns
        -------
        int
            How many matches are left.

        Raises
        ------
        UnknownCheckpointError
            If there is no such checkpoint; a KeyError.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> memory[:2] = 4
        >>> scanner.filter_increased(), scanner.values().tolist()
        (1, [4])
        """
        return self._scan(Engine.change, checked(how), "increased", against)

    def filter_decreased(self, against: str = "last", **how: Unpack[How]) -> int:
        """Keep what is less than before; see `filter_changed`.

        Parameters
        ----------
        against : str
            See `filter_changed`.
        threads, progress, stop
            See `Scanner`.

        Returns
        -------
        int
            How many matches are left.

        Raises
        ------
        UnknownCheckpointError
            If there is no such checkpoint; a KeyError.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> memory[:2] = 4
        >>> scanner.filter_decreased(), scanner.values().tolist()
        (1, [4])
        """
        return self._scan(Engine.change, checked(how), "decreased", against)

    def filter_increased_by(
        self,
        amount: Any,
        high: Any = None,
        *,
        against: str = "last",
        tolerance: Any = None,
        rounded: int | None = None,
        **how: Unpack[How],
    ) -> int:
        """Keep what has grown by an amount.

        Parameters
        ----------
        amount : int or float
            A negative one is a decrease.
        high : int or float, optional
            The greatest amount, where `amount` is the least.
        against : str
            See `filter_changed`.
        tolerance, rounded
            See `initial_scan`. Differences of floats are seldom exact: 1.1 - 1.0 is not 0.1.
        threads, progress, stop
            See `Scanner`.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> data = np.array([250, 250], "u1")
        >>> scanner = scan.open_buffer(data).scanner("u8")
        >>> scanner.initial_scan()
        2
        >>> data += np.array([5, 10], "u1")
        >>> scanner.filter_increased_by(5)
        1
        """
        arguments = (amount, high, tolerance, rounded, against)
        return self._scan(Engine.change_by, checked(how), False, *arguments)

    def filter_decreased_by(
        self,
        amount: Any,
        high: Any = None,
        *,
        against: str = "last",
        tolerance: Any = None,
        rounded: int | None = None,
        **how: Unpack[How],
    ) -> int:
        """Keep what has shrunk by an amount; see `filter_increased_by`.

        Parameters
        ----------
        amount, high, against, tolerance, rounded, threads, progress, stop
            As of `filter_increased_by`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> memory[1:] -= [2, 3, 2]
        >>> scanner.filter_decreased_by(2), scanner.values().tolist()
        (2, [3, 3])
        """
        arguments = (amount, high, tolerance, rounded, against)
        return self._scan(Engine.change_by, checked(how), True, *arguments)

    def filter_increased_by_percent(
        self, low: Any, high: Any = None, *, against: str = "last", **how: Unpack[How]
    ) -> int:
        """Keep what has grown by `low` to `high` percent of what it was.

        Parameters
        ----------
        low, high : int or float
            Without `high`, by `low` percent or more. What was 0 is not kept.
        against : str
            See `filter_changed`.
        threads, progress, stop
            See `Scanner`.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> memory *= [2, 3, 2, 1]
        >>> scanner.filter_increased_by_percent(50, 150), scanner.values().tolist()
        (2, [2, 18])
        """
        return self._scan(Engine.change_by_percent, checked(how), False, low, high, against)

    def filter_decreased_by_percent(
        self, low: Any, high: Any = None, *, against: str = "last", **how: Unpack[How]
    ) -> int:
        """Keep what has shrunk by percents; see `filter_increased_by_percent`.

        Parameters
        ----------
        low, high, against, threads, progress, stop
            As of `filter_increased_by_percent`.

        Returns
        -------
        int
            How many matches are left.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> memory[1:3] = [1, 8]
        >>> scanner.filter_decreased_by_percent(50), scanner.values().tolist()
        (1, [1])
        """
        return self._scan(Engine.change_by_percent, checked(how), True, low, high, against)

    def filter_checkpoint(
        self, a: str, b: str, c: str, margin_percent: float = 1.0, **how: Unpack[How]
    ) -> int:
        """Keep what changed alike between three checkpoints: at a steady rate.

        Parameters
        ----------
        a, b, c : str
            Names of checkpoints.
        margin_percent : float
            With d1 = b - a and d2 = c - b, kept is ``|d1 - d2| / max(|d1|, |d2|) * 100 <=
            margin_percent``; also where both are nearly 0.
        threads, progress, stop
            See `Scanner`.

        Raises
        ------
        UnknownCheckpointError
            If there is no such checkpoint; a KeyError.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> for name in "abc":
        ...     scanner.save_checkpoint(name)
        ...     memory += [1, 2, 3, 4] if name == "a" else [9, 2, 9, 9]
        >>> scanner.filter_checkpoint("a", "b", "c"), scanner.addresses().tolist()
        (1, [4])
        """
        return self._scan(Engine.filter_checkpoint, checked(how), a, b, c, margin_percent)

    def filter_where(self, keep: Any) -> int:
        """Keep what a mask says, or a function that makes one of the values.

        Parameters
        ----------
        keep : array_like of bool or callable
            One for each match, as `addresses` has them. A function is given the values of
            each type, as `values` has them, and gives such a mask.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> scanner = scan.open_buffer(np.arange(10, dtype="i4")).scanner("i32")
        >>> scanner.initial_scan(), scanner.filter_where(lambda values: values % 3 == 0)
        (10, 4)
        """
        with self._changing() as engine:
            if callable(keep):
                each = range(len(self.types))
                values = [self._arrays(i, "current")[0] for i in each]
                masks = [mask_of(keep(array), len(array)) for array in values]
                mask = np.concatenate(masks)
            else:
                mask = mask_of(keep, self.match_count())
            engine.keep(mask.view(np.uint8))
            return self._step("where a mask says")

    def _compare(self, compare: str, value: Any, high: Any, options: Any) -> int:
        slack, how = parted(options)
        return self._scan(Engine.compare, how, False, None, compare, value, high, slack)


def mask_of(mask: Any, count: int) -> npt.NDArray[np.bool_]:
    array = np.ascontiguousarray(mask)
    if array.dtype != np.bool_:
        raise TypeError(f"a mask must be of truth values, not {array.dtype}")
    if array.shape != (count,):
        raise InvalidArgumentError(
            f"a mask must have one truth value for each of {count} matches, "
            f"not the shape {array.shape}"
        )
    return array
