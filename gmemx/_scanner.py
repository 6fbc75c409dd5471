"""Scan after scan: run, undone, kept by a name or in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any

from gmemx._scan_awaited import Awaited
from gmemx._scan_data import Step
from gmemx._scan_engine import Engine
from gmemx._scan_filters import Filters
from gmemx._scan_options import Equality, How, checked, parted
from gmemx.errors import InvalidArgumentError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from gmemx.scan import Source


class Scanner(Filters, Awaited):
    """Finds values in memory by scan after scan.

    The first looks at everything; each later one reads what is left anew, and keeps what fits.
    Scans may be started from several threads, and come one after another; results can be
    looked at meanwhile. A scan that fails or is cancelled changes nothing.

    Parameters
    ----------
    source : Source
        As `open_process` and its kin give it.
    type : str, numpy.dtype, type, or several in a list
        ``i8`` to ``i64``, ``u8`` to ``u64``, ``f32``, ``f64``, or as NumPy has it; also
        'ints', 'floats' and 'all'. Several are looked for in one pass.
    regions : Regions or iterable of Region or (start, end), optional
        Where to look; `Regions` are read anew by each initial scan, and None is all that can
        be read.
    alignment : int, optional
        Addresses are multiples of it, a power of two up to 4096; None for each type's size.
    byteorder : {'little', 'big'}, optional
        Of the values in memory; None for this machine's, or what a dtype says.
    history : int, optional
        How many steps can be undone; 16 by default.
    memory : int, optional
        Bytes of values kept in memory, beyond which they go to disk; None for half of what
        is free.
    folder : path, optional
        Where on disk; None for the folder of temporary files.

    Notes
    -----
    Every scan takes ``threads`` (the most; None for one a core), ``progress`` (called as
    ``progress(done, total)``, in bytes, up to twenty times a second; what it raises ends the
    scan) and ``stop`` (whether to stop the process meanwhile), and gives the number of
    matches. Ctrl-C ends a scan.

    Examples
    --------
    >>> import numpy as np
    >>> from gmemx import scan
    >>> data = np.array([7, 100, 100, 5], dtype="i4")
    >>> scanner = scan.open_buffer(data, address=0x1000).scanner("i32")
    >>> scanner.initial_scan(100)
    2
    >>> data[2] += 1
    >>> scanner.filter_increased()
    1
    >>> scanner.get_matches()
    [Match(address=4104, value=101, previous=100, type='int32', label=None)]
    >>> scanner.set_value(9), data[2]
    (1, np.int32(9))
    """

    def __init__(
        self,
        source: Source,
        type: Any = "int32",
        regions: Any = None,
        *,
        alignment: int | None = None,
        byteorder: str | None = None,
        history: int | None = None,
        memory: int | None = None,
        folder: Any = None,
    ) -> None:
        engine = Engine(
            source,
            type,
            alignment=alignment,
            byteorder=byteorder,
            history=history,
            memory=memory,
            folder=folder,
        )
        self._begin(engine, regions, None, {})

    def _begin(
        self, engine: Engine, regions: Any, path: tuple[Step, ...] | None, labels: dict[int, str]
    ) -> None:
        self._engine, self._regions, self._labels = engine, regions, labels
        # How the matches came to be, None before the first scan; and what `undo` goes back to.
        self._path = path
        self._past: list[tuple[Step, ...]] = []
        # Held while the matches may change, by the thread of that number.
        self._lock, self._owner = Lock(), 0

    @contextmanager
    def _changing(self) -> Iterator[Engine]:
        """Keeps other threads from changing the matches meanwhile."""
        if self._owner == get_ident():
            raise RuntimeError(
                "the scanner is in the midst of a scan, which its progress callback cannot change"
            )
        with self._lock, self._engine.pinned():
            self._owner = get_ident()
            try:
                yield self._engine
            finally:
                self._owner = 0

    # ---- what it is -----------------------------------------------------------

    @property
    def source(self) -> Source:
        """What it scans."""
        return self._engine.source

    @property
    def regions(self) -> Any:
        """Where it looks, as it was told; None for all that can be read."""
        return self._regions

    @property
    def types(self) -> tuple[str, ...]:
        """NumPy's names of the types it looks for."""
        return self._engine.types

    @property
    def byteorder(self) -> str:
        """'little' or 'big'."""
        return "big" if self._engine.big else "little"

    @property
    def alignment(self) -> int | None:
        """What addresses are multiples of; None for each type's size."""
        return self._engine.alignment

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes of values kept in memory, and on disk."""
        return self._engine.used()

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its source was."""
        return self._engine.closed

    def close(self) -> None:
        """Forget everything; scans that run are finished first.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.close()
        >>> scanner.closed
        True
        """
        self._engine.close()

    def __enter__(self) -> Scanner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.match_count()

    def __repr__(self) -> str:
        told = "closed" if self.closed else f"{self.match_count()} matches"
        return f"<Scanner of {', '.join(self.types)} in {self.source!r}, {told}>"

    def set_value_type(self, type: Any, byteorder: str | None = None) -> None:
        """Look for other types from now on; the matches and checkpoints are forgotten.

        Parameters
        ----------
        type : str, numpy.dtype, type, or several
            As of `Scanner`.
        byteorder : {'little', 'big'}, optional
            As it is without it.

        Raises
        ------
        ValueError
            If there is no such type.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.set_value_type("int16")
        >>> scanner.types
        ('int16',)
        """
        self._anew(type, byteorder, self.alignment)

    def set_alignment(self, alignment: int | None) -> None:
        """Look at other addresses from now on; the matches and checkpoints are forgotten.

        Parameters
        ----------
        alignment : int or None
            As of `Scanner`.

        Raises
        ------
        ValueError
            If it is no power of two.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.set_alignment(8)
        >>> scanner.initial_scan()
        2
        """
        self._anew(list(self.types), self.byteorder, alignment)

    def _anew(self, types: Any, byteorder: str | None, alignment: int | None) -> None:
        with self._changing() as old:
            self._engine = Engine(
                old.source,
                types,
                alignment=alignment,
                byteorder=byteorder,
                history=old.history,
                memory=old.memory,
                folder=old.folder,
            )
            self._path = None
            self._past.clear()
        old.close()

    # ---- scans ------------------------------------------------------------------

    def initial_scan(
        self,
        value: Any = None,
        *,
        compare: str = "eq",
        high: Any = None,
        **options: Unpack[Equality],
    ) -> int:
        """Look at everything.

        Parameters
        ----------
        value : int or float, optional
            None keeps every cell: the value is not known yet.
        compare : {'eq', 'ne', 'lt', 'gt', 'le', 'ge', 'between'}
            How cells compare with the value; 'between' includes both bounds.
        high : int or float, optional
            The upper bound of 'between'.
        tolerance : int or float, optional
            How far from the value a cell still counts as equal to it.
        ulps : int, optional
            The same as a number of floats on either side; integers must be equal.
        rounded : int, optional
            Decimals: cells count as equal that round to the value, either way where they lie
            in the middle.
        threads, progress, stop
            See `Scanner`.

        Returns
        -------
        int
            The number of matches.

        Raises
        ------
        OverflowError
            If a value fits none of the types. A type that it does not fit is left out.
        ValueError
            For NaN, and for a fraction that integers should be equal to.
        CancelledError
            If it was cancelled.

        Notes
        -----
        Integers are compared as integers. For floats a value is first made the nearest float
        of their type, so 0.1 finds the float32 that was made of 0.1; 0.0 finds both zeros,
        and NaN equals nothing.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> scanner = scan.open_buffer(np.array([0.5, 1.04, 3.0], "f4")).scanner("f32")
        >>> scanner.initial_scan(1, rounded=1), scanner.initial_scan(0.5, compare="gt")
        (1, 2)
        """
        slack, how = parted(options)
        regions = self._regions
        if value is not None:
            return self._scan(
                Engine.compare, how, True, regions, compare, value, high, slack, is_first=True
            )
        if compare != "eq" or high is not None or any(part is not None for part in slack):
            raise InvalidArgumentError("without a value there is nothing to compare with")
        return self._scan(Engine.first, how, regions, is_first=True)

    def rescan(self, **how: Unpack[How]) -> int:
        """Read the matches anew, and keep all that can still be read.

        Parameters
        ----------
        threads, progress, stop
            See `Scanner`.

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
        >>> scanner.initial_scan(5)
        2
        >>> memory[1] = 7
        >>> scanner.rescan(), scanner.values().tolist()
        (2, [7, 5])
        """
        return self._scan(Engine.rescan, checked(how))

    def _scan(
        self, method: Callable[..., str], how: Any, *arguments: Any, is_first: bool = False
    ) -> int:
        with self._changing() as engine:
            return self._step(method(engine, *arguments, how), is_first)

    def _step(self, told: str, is_first: bool = False) -> int:
        count = self.match_count()
        if self._path is not None:
            self._past.append(self._path)
            del self._past[: max(0, len(self._past) - self._engine.history)]
        before = () if is_first else self._path or ()
        self._path = (*before, Step(told, count))
        return count

    def cancel(self) -> None:
        """Make the scans that run end with CancelledError; from any thread.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.cancel()  # nothing runs
        >>> scanner.initial_scan()
        4
        """
        self._engine.cancel()

    @property
    def history(self) -> list[Step]:
        """The scans that led to the matches, the initial one first."""
        return list(self._path or ())

    def undo(self) -> int:
        """Go back to the matches before the last scan; how many there are.

        Raises
        ------
        NotFoundError
            If there is no step left to undo.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan(5), scanner.filter_eq(1)
        (2, 0)
        >>> scanner.undo()
        2
        """
        with self._changing() as engine:
            engine.undo()
            self._path = self._past.pop()
            return self.match_count()

    # ---- checkpoints ----------------------------------------------------------------

    def save_checkpoint(self, name: str, **how: Unpack[How]) -> None:
        """Read what the matches are now, and keep that by a name.

        What later scans compare with as 'last' stays what it was.

        Parameters
        ----------
        name : str
        threads, progress, stop
            See `Scanner`.

        Raises
        ------
        ValueError
            If the name is empty.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.save_checkpoint("before")
        >>> memory[0] = 2
        >>> scanner.filter_changed("before")
        1
        """
        with self._changing() as engine:
            engine.save_checkpoint(name, checked(how))

    def list_checkpoints(self) -> list[str]:
        """The names of the checkpoints, sorted.

        Returns
        -------
        list of str

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.save_checkpoint("before")
        >>> scanner.list_checkpoints()
        ['before']
        """
        return self._engine.checkpoints()

    def delete_checkpoint(self, name: str) -> None:
        """Forget a checkpoint; UnknownCheckpointError where there is none of that name.

        Parameters
        ----------
        name : str

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> scanner.initial_scan()
        4
        >>> scanner.save_checkpoint("before")
        >>> scanner.delete_checkpoint("before")
        >>> scanner.list_checkpoints()
        []
        """
        with self._changing() as engine:
            engine.delete_checkpoint(name)

    # ---- sessions -------------------------------------------------------------------

    def save(self, path: Any) -> None:
        """Write the matches, checkpoints, labels and history to a file.

        Parameters
        ----------
        path : path

        Raises
        ------
        OSError
            If the file cannot be written; one that was there is whole still.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "session")
        >>> scanner.initial_scan(5)
        2
        >>> scanner.save(path)
        >>> os.path.getsize(path) > 0
        True
        """
        from gmemx._scan_session import save

        notes = {
            "labels": sorted(self._labels.items()),
            "history": [(step.description, step.count) for step in self._path or ()],
        }
        with self._changing() as engine:
            save(engine, os.fsencode(path), json.dumps(notes).encode())

    @staticmethod
    def load(
        path: Any,
        source: Source,
        regions: Any = None,
        *,
        history: int | None = None,
        memory: int | None = None,
        folder: Any = None,
    ) -> Scanner:
        """Go on with a session that was saved.

        Parameters
        ----------
        path : path
        source : Source
            Where the values are read from now on: the same process, or one that has the
            same addresses.
        regions : Regions or iterable of Region or (start, end), optional
            Where another initial scan would look.
        history, memory, folder
            See `Scanner`.

        Returns
        -------
        Scanner

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> scanner = source.scanner("int32")
        >>> import os, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "session")
        >>> scanner.initial_scan(5)
        2
        >>> scanner.save(path)
        >>> scan.Scanner.load(path, source).match_count()
        2
        """
        from gmemx._scan_session import load, notes_of

        where = os.fsencode(path)
        engine = load(source, where, history, memory, folder)
        try:
            notes = json.loads(notes_of(where))
            labels = {int(address): str(text) for address, text in notes["labels"]}
            steps = tuple(Step(str(told), int(count)) for told, count in notes["history"])
        except (ValueError, KeyError, TypeError, RecursionError):
            # Saved by something other than Python.
            labels, steps = {}, ()
        made = Scanner.__new__(Scanner)
        made._begin(engine, regions, steps, labels)
        return made
