"""The look of the tables that commands print."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table


def table_of(
    columns: Sequence[str], rows: Iterable[Sequence[str]], left: Container[int] = (0,)
) -> Table:
    """Make a table, its first column to the left and the others to the right.

    Parameters
    ----------
    columns : sequence of str
        The heads.
    rows : iterable of sequence of str
        As many cells each as there are columns.
    left : container of int, optional
        Which columns are to the left.

    Returns
    -------
    rich.table.Table
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i in left else "right")
    for row in rows:
        table.add_row(*row)
    return table
