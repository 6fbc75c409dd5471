"""Side-by-side measurement: every way in turn, round after round, and the table of ratios."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

HEAD = ("row", "ours", "other", "ratio", "mark", "")


SAMPLE = 0.05
"""Seconds of calls in one sample, so that what a rival left in the caches, and the
waking of a core, weigh the same for all."""


def nothing() -> None:
    """Do nothing: the default for what comes before and after."""


@dataclass(frozen=True)
class Way:
    """One way to do something, as measured in rounds with its rivals.

    Attributes
    ----------
    name : str
        As the table says it.
    cells : int
        How many cells one call handles.
    call : callable
        What is timed.
    before, after : callable
        Run around each sample, untimed.
    repeat : bool
        Whether calls may follow each other without `before` and `after` between them.
    """

    name: str
    cells: int
    call: Callable[[], object]
    before: Callable[[], object] = nothing
    after: Callable[[], object] = nothing
    repeat: bool = True


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes
    ----------
    key : str
        Stable name for readers of the JSON.
    title : str
        What was done.
    ours, other : str
        The two sides.
    ours_value, other_value : float or None
        In `unit`.
    unit : str
        "cells/s" or "B/s", where more is better, or "ns" or "bytes", where less is.
    ratio : float or None
        How many times better ours is. For a row with a limit instead of a rival, how
        many times below the limit.
    mark : float or None
        What the ratio should reach.
    aim : bool
        Whether the mark is an aim and not a promise.
    rate_mark : float or None
        What `ours_value` should reach besides, in cells/s.
    ok : bool or None
        Whether all marks are reached; None where there is none.
    """

    key: str
    title: str
    ours: str
    other: str
    ours_value: float
    other_value: float | None
    unit: str
    ratio: float | None
    mark: float | None = None
    aim: bool = False
    rate_mark: float | None = None
    ok: bool | None = None


def measure(ways: Sequence[Way], rounds: int) -> dict[str, float]:
    """Time all ways in turn, so that a slow moment of the machine hits each alike.

    Parameters
    ----------
    ways : sequence of Way
        The rivals; each is first called once unmeasured.
    rounds : int
        How many samples of each are timed; a sample is as many calls as fill
        `SAMPLE` seconds, at least one.

    Returns
    -------
    dict
        Median rate in cells per second, by name.
    """
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    calls = {way.name: 1 for way in ways}
    for number in range(rounds + 1):
        for way in ways:
            way.before()
            began = time.perf_counter()
            for _ in range(calls[way.name]):
                way.call()
            taken = (time.perf_counter() - began) / calls[way.name]
            way.after()
            if number:
                seconds[way.name].append(taken)
            elif way.repeat:
                calls[way.name] = max(1, round(SAMPLE / taken))
    return {way.name: way.cells / statistics.median(seconds[way.name]) for way in ways}


def compare(
    key: str,
    title: str,
    rates: dict[str, float],
    ours: str,
    other: str,
    *,
    mark: float | None = None,
    aim: bool = False,
    rate_mark: float | None = None,
    unit: str = "cells/s",
) -> Row:
    """Make the row that sets one measured way against another.

    Parameters
    ----------
    key, title : str
        See `Row`.
    rates : dict
        From `measure`.
    ours, other : str
        Keys of `rates`.
    mark, aim, rate_mark, unit : optional
        See `Row`; with "ns" the rates are calls per second.

    Returns
    -------
    Row
        With its ratio and verdict.
    """
    ratio = rates[ours] / rates[other]
    verdicts = [ratio >= mark] if mark is not None else []
    verdicts += [rates[ours] >= rate_mark] if rate_mark is not None else []
    values = {name: 1e9 / rates[name] if unit == "ns" else rates[name] for name in (ours, other)}
    return Row(
        key=key,
        title=title,
        ours=ours,
        other=other,
        ours_value=values[ours],
        other_value=values[other],
        unit=unit,
        ratio=ratio,
        mark=mark,
        aim=aim,
        rate_mark=rate_mark,
        ok=all(verdicts) if verdicts else None,
    )


def limit(key: str, title: str, ours: str, value: float, unit: str, most: float) -> Row:
    """Make the row of a value that must stay below a limit.

    Parameters
    ----------
    key, title, ours, unit : str
        See `Row`.
    value : float
        What was measured.
    most : float
        The limit.

    Returns
    -------
    Row
        Its ratio is the limit over the value, its mark 1.
    """
    other = f"limit {most:,.0f} {unit}"
    ratio = most / value
    return Row(key, title, ours, other, value, most, unit, ratio, 1.0, ok=value < most)


def amount(value: float, unit: str) -> str:
    """Write a value for people: ``"312 M/s"``, ``"85 ns"``, ``"405 ms"``."""
    if unit == "B/s":
        return f"{value / 1e9:.3g} GB/s"
    if unit == "ns" and value >= 1e8:
        return f"{value / 1e6:,.0f} ms"
    if unit == "ns" and value >= 1e6:
        return f"{value / 1e6:.3g} ms"
    if unit == "ns" and value < 10:
        return f"{value:.1f} ns"
    if unit != "cells/s":
        return f"{value:,.0f} {unit}"
    millions = value / 1e6
    return f"{millions:,.0f} M/s" if millions >= 100 else f"{millions:.3g} M/s"


def lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Write rows as the cells of a table with the columns `HEAD`."""
    table = []
    for row in rows:
        marks = [f"{'aim ' if row.aim else ''}{row.mark:.4g}"] if row.mark is not None else []
        marks += [amount(row.rate_mark, "cells/s")] if row.rate_mark is not None else []
        verdict = {None: "", True: "ok", False: "below"}[row.ok]
        ours = f"{row.ours}: {amount(row.ours_value, row.unit)}"
        other = row.other
        if row.other_value is not None and not row.other.startswith("limit "):
            other += f": {amount(row.other_value, row.unit)}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.append((row.title, ours, other, ratio, " and ".join(marks), verdict))
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table, aligned so that it reads as plain text too."""
    table = [HEAD, *lines(rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEAD))]
    text = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |" for r in table
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def show(rows: Sequence[Row], stream: object = None) -> None:
    """Print rows: with rich on a terminal that is wide enough, else as Markdown.

    Parameters
    ----------
    rows : sequence of Row
        What to print.
    stream : file, optional
        Where to; standard output by default.
    """
    stream = stream or sys.stdout
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    except ModuleNotFoundError:
        print(as_markdown(rows), file=stream)
        return
    console = Console(file=stream, markup=False, highlight=False)
    if not console.is_terminal or console.width < 120:
        print(as_markdown(rows), file=stream)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in HEAD:
        table.add_column(column, justify="right" if column in ("ratio", "mark") else "left")
    for row, line in zip(rows, lines(rows), strict=True):
        table.add_row(*line, style="red" if row.ok is False and not row.aim else None)
    console.print(table)


def as_json(head: dict[str, object], rows: Sequence[Row]) -> str:
    """Write the whole result as JSON.

    Parameters
    ----------
    head : dict
        What goes beside ``rows``: the machine, the rounds, what was skipped.
    rows : sequence of Row
        The result.

    Returns
    -------
    str
        One object, with a newline at the end.
    """
    return json.dumps({**head, "rows": [asdict(row) for row in rows]}, indent=2) + "\n"
