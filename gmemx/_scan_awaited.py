"""Scans to be awaited: `Scanner`'s methods on another thread."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from gmemx.errors import InvalidArgumentError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from gmemx._scan_options import How


class Awaited:
    """The methods of a `Scanner`, awaited; see there."""

    def run_async(self, name: str, *arguments: Any, **options: Any) -> Coroutine[Any, Any, Any]:
        """Await a method, by its name: ``await scanner.run_async("filter_eq", 5)``.

        It runs on another thread. Cancelling the await cancels the scan, and waits for its end.

        Parameters
        ----------
        name : str
            Of a method of this class.
        *arguments, **options
            What it is called with.

        Examples
        --------
        >>> import asyncio
        >>> from gmemx import scan
        >>> scanner = scan.open_buffer(bytes(100)).scanner("u8")
        >>> asyncio.run(scanner.run_async("initial_scan", 0))
        100
        """
        from gmemx._scan_async import awaited

        method = None if name.startswith("_") else getattr(self, name, None)
        if not callable(method):
            raise InvalidArgumentError(f"a scanner has no method {name!r}")
        return awaited(method, *arguments, **options)

    def initial_scan_async(self, value: Any = None, **options: Any) -> Coroutine[Any, Any, int]:
        """`initial_scan` to be awaited; see `run_async`.

        Parameters
        ----------
        value, **options
            As of `initial_scan`.

        Returns
        -------
        awaitable of int

        Examples
        --------
        >>> import asyncio
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> asyncio.run(scanner.initial_scan_async(5))
        2
        """
        return self.run_async("initial_scan", value, **options)

    def rescan_async(self, **how: Unpack[How]) -> Coroutine[Any, Any, int]:
        """`rescan` to be awaited; see `run_async`.

        Parameters
        ----------
        **how
            As of `rescan`.

        Returns
        -------
        awaitable of int

        Examples
        --------
        >>> import asyncio
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan(5)
        2
        >>> asyncio.run(scanner.rescan_async())
        2
        """
        return self.run_async("rescan", **how)
