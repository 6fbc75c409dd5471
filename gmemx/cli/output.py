"""Where a command that looks at memory speaks: in text, or in JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO

Progress = Callable[[int, int], None]

# What a pipe takes in is not cut at the width of a terminal.
WIDE = 1000


class Output:
    """Two voices for one command: sentences and tables for a person, JSON lines for a program.

    Parameters
    ----------
    as_json : bool
        One JSON object a line, and no sentences.
    verbose : int, optional
        How much `note` says.
    out, err : file, optional
        By default those of the process.

    Examples
    --------
    >>> Output(as_json=True).say("7 left", count=7)
    {"count": 7}
    """

    def __init__(
        self,
        *,
        as_json: bool,
        verbose: int = 0,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.verbose = verbose
        self._out = out
        self._err = err

    # Looked up late: a test may have replaced them.
    @property
    def out(self) -> TextIO:
        """Where results go."""
        return self._out or sys.stdout

    @property
    def err(self) -> TextIO:
        """Where errors, notes and bars go."""
        return self._err or sys.stderr

    def say(self, text: str, **record: Any) -> None:
        """Say a sentence; in JSON its `record`, or the sentence where there is none."""
        if self.as_json:
            self.emit(record or {"message": text})
        else:
            self.out.write(text + "\n")

    def emit(self, record: Mapping[str, Any]) -> None:
        """Write one JSON line."""
        self.out.write(json.dumps(record) + "\n")

    def fail(self, text: str) -> None:
        """Say what went wrong."""
        if self.as_json:
            self.emit({"error": text})
        else:
            self.out.flush()
            self.err.write(text + "\n")
        self.err.flush()

    def note(self, level: int, text: str) -> None:
        """Say something to whoever asked for as many -v."""
        if self.verbose >= level:
            self.err.write(text + "\n")

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        records: Iterable[Mapping[str, Any]],
        left: Container[int] = (0,),
    ) -> None:
        """Print a table, or that there is none; in JSON a line for each record.

        Parameters
        ----------
        columns : sequence of str
            The heads.
        rows : sequence of sequence of str
            As many cells each as there are columns.
        records : iterable of mapping
            The same for programs.
        left : container of int, optional
            Which columns are to the left; the others are to the right.
        """
        if self.as_json:
            for record in records:
                self.emit(record)
            return
        if not rows:
            self.say("none")
            return
        # Not at the top: JSON needs no extra.
        from rich.console import Console

        from gmemx.cli.tables import table_of

        width = None if self.out.isatty() else WIDE
        console = Console(file=self.out, markup=False, highlight=False, width=width)
        console.print(table_of(columns, rows, left))

    def progress(self, label: str) -> AbstractContextManager[Progress | None]:
        """Give what a long operation tells how far it is: a bar, or None where nobody looks.

        Parameters
        ----------
        label : str
            What is being done.

        Returns
        -------
        context manager
            Around the operation; of a callable that is given the bytes done and their total.
        """
        if self.err.isatty():
            try:
                from gmemx.cli.progress_bar import bar
            except ModuleNotFoundError:
                pass
            else:
                return bar(label, self.err)
        return nullcontext()


def amount(size: int) -> str:
    """Say a number of bytes in a few letters.

    Parameters
    ----------
    size : int
        In bytes.

    Returns
    -------
    str

    Examples
    --------
    >>> amount(4096), amount(3_500_000), amount(12 << 30)
    ('4,096 B', '3.5 MB', '12.9 GB')
    """
    if size < 10_000:
        return f"{size:,} B"
    for unit, bytes_of in (("kB", 1e3), ("MB", 1e6)):
        if size < 1000 * bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size / 1e9:,.1f} GB"
