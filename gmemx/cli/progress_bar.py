"""A bar for what takes long, drawn by rich."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

# What takes less is over before a bar could be read.
SOON = 0.3


@contextmanager
def bar(label: str, file: TextIO) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar where something turns out to take long, and wipe it out afterwards.

    Parameters
    ----------
    label : str
        What is being done.
    file : file
        A terminal.

    Yields
    ------
    callable
        To be called with the bytes done and their total.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(file=file)
    drawn = Progress(*columns, TransferSpeedColumn(), console=console, transient=True)
    task = drawn.add_task(label, total=None)
    began, shown = time.monotonic(), False

    def tick(done: int, total: int) -> None:
        nonlocal shown
        drawn.update(task, completed=done, total=total)
        if not shown and time.monotonic() - began > SOON:
            shown = True
            drawn.start()

    try:
        yield tick
    finally:
        drawn.stop()
