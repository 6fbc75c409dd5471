"""The look of the tables that commands print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Make a table, its first column to the left and the others to the right.

    Parameters
    ----------
    columns : sequence of str
        The heads.
    rows : iterable of sequence of str
        As many cells each as there are columns.

    Returns
    -------
    rich.table.Table
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    return table
