"""A process that stands still for a while."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from gmemx.errors import GmemxError

if TYPE_CHECKING:
    from gmemx.scan import Source


class Stopped:
    """A process that stands still; a context manager that lets it go on.

    ``process.stop()`` makes one. Several may overlap: it goes on after the last of them.

    Examples
    --------
    >>> import subprocess, sys
    >>> from gmemx import scan
    >>> command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    >>> child = subprocess.Popen(command, stdin=subprocess.PIPE)
    >>> with scan.open_process(child.pid) as process, process.stop():
    ...     process.stopped
    True
    >>> _ = child.communicate()
    """

    def __init__(self, source: Source) -> None:
        self._source: Source | None = None
        source._stop()
        self._source = source

    def resume(self) -> None:
        """Let it go on; again does nothing.

        Examples
        --------
        >>> import subprocess, sys
        >>> from gmemx import scan
        >>> program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        >>> child = subprocess.Popen(program, stdin=subprocess.PIPE)
        >>> process = scan.open_process(child.pid)
        >>> stopped = process.stop()
        >>> stopped.resume()
        >>> child.communicate()[0] is None
        True
        """
        source, self._source = self._source, None
        if source is not None:
            source._resume()

    def __enter__(self) -> Stopped:
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()

    def __del__(self) -> None:
        # It may have ended.
        with suppress(GmemxError):
            self.resume()
