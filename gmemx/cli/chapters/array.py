"""Virtual arrays: a petabyte that is sliced, written, killed, reopened and summed."""

from __future__ import annotations

import importlib.util
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gmemx import GMemContext, VirtualArray
from gmemx.cli.chapters import array_picture
from gmemx.cli.chapters.array_writer import COLUMN, ROW, painted, rows_until_killed, view
from gmemx.cli.chapters.timing import Entry
from gmemx.cli.stage import Stage

TITLE = "virtual arrays: a petabyte sliced, written, killed, reopened and summed on a cluster"

# A side of what is painted, and of what is drawn of the array around it.
SIZE, AROUND = 480, 720
# Rows of an array of this many columns that are summed.
COLUMNS = 1_000_000


def run(stage: Stage) -> None:
    """Use an array that no disk holds in place of a file.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    """
    _slice(stage)
    with tempfile.TemporaryDirectory(prefix="gmemx-tour-") as folder:
        torn, whole, flushed = _paint(stage, Path(folder) / "petabyte.gmem")
    entries, cells = _sum(stage)
    picture = array_picture.draw(torn, whole, flushed, SIZE, cells, entries)
    picture.save(stage.picture_path("array.png"))


def _slice(stage: Stage) -> None:
    """Look into an array of 10^15 bytes."""
    virtual = view(GMemContext(stage.seed))
    rows, columns = virtual.shape
    stage.say(
        f"An array of {rows:,} x {columns:,} normal numbers is {virtual.nbytes / 1e15:g} PB; "
        "cells are made when they are looked at:"
    )
    began = time.perf_counter()
    block = virtual[-2000:, ::500].numpy()
    seconds = time.perf_counter() - began
    stage.table(
        ("what", "cells", "M cells/s"),
        [("the last 2,000 rows, one column in 500", f"{block.size:,}", _rate(block.size, seconds))],
    )
    corner = virtual[rows - 1, columns - 500]
    stage.check("a cell alone and in a slice are the same", corner == block[-1, -1])
    deviation = abs(block.mean()) * np.sqrt(block.size)
    stage.check("the mean is as of normal numbers", deviation < 5, f"{deviation:.2f} sigma from 0")
    matrix = view(GMemContext(stage.seed))[:2000, :1500]
    vector = np.cos(np.arange(1500))
    stage.check(
        "a matrix product without the matrix",
        np.allclose(matrix.matvec(vector), matrix.numpy() @ vector),
        "as NumPy's of the stored one",
    )


def _paint(stage: Stage, path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Paint into the array, killed half-way; what it was like then and in the end."""
    stage.say(f"A process paints {SIZE} x {SIZE} cells into it, kept in a file, and is killed:")
    last = SIZE * 5 // 9
    began = time.perf_counter()
    flushed, code = rows_until_killed(path, stage.seed, SIZE, last)
    seconds = time.perf_counter() - began
    rings = painted(SIZE)
    with GMemContext.open(path, seed=stage.seed) as context:
        written = context.overlay_count
        torn = _around(view(context))
        inside = _inside(torn)
        stage.table(
            ("the writer", ""),
            [
                ("rows it said were flushed", f"{flushed:,}"),
                ("cells in the file", f"{written:,}"),
                ("bytes of the file", f"{path.stat().st_size:,}"),
                ("seconds", f"{seconds:.2f}"),
            ],
        )
        stage.check("it was killed", code == -signal.SIGKILL, f"exit code {code}")
        stage.check("every flushed row is there", np.array_equal(inside[:flushed], rings[:flushed]))
        # One more may have been flushed when it could not tell any more.
        plain = _inside(_around(view(GMemContext(stage.seed))))
        stage.check(
            "no row is there in part",
            written % SIZE == 0
            and written // SIZE - flushed in (0, 1)
            and np.array_equal(inside[written // SIZE :], plain[written // SIZE :]),
        )
        began = time.perf_counter()
        view(context)[ROW : ROW + SIZE, COLUMN : COLUMN + SIZE] = rings
        context.flush()
        seconds = time.perf_counter() - began
    with GMemContext.open(path, read_only=True) as context:
        whole = _around(view(context))
    stage.check(
        "reopened, painted to the end, and reopened again",
        np.array_equal(_inside(whole), rings),
        f"{_rate(rings.size, seconds)} M cells/s to the disk",
    )
    return torn, whole, flushed


def _around(virtual: VirtualArray) -> np.ndarray:
    """The picture and the cells around it."""
    edge = (AROUND - SIZE) // 2
    top, left = ROW - edge, COLUMN - edge
    return virtual[top : top + AROUND, left : left + AROUND].numpy()


def _inside(cells: np.ndarray) -> np.ndarray:
    edge = (AROUND - SIZE) // 2
    return cells[edge : edge + SIZE, edge : edge + SIZE]


def _sum(stage: Stage) -> tuple[list[Entry], int]:
    """Add cells up here and on a cluster; what was measured, and of how many cells."""
    rows = 300 if stage.quick else 4000
    context = GMemContext(stage.seed)
    context[COLUMNS : 2 * COLUMNS] = 0.5
    virtual = context.array((rows, COLUMNS))
    stage.say(f"The sum of {virtual.size:,} cells, here and by processes of a Dask cluster:")
    entries, sums = [], []

    def timed(name: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        sums.append(float(work()))
        entries.append(Entry(name, time.perf_counter() - began, ours=True))

    timed("here, one thread", lambda: virtual.sum(threads=1))
    if importlib.util.find_spec("distributed"):
        _on_cluster(virtual, timed)
    else:
        stage.say("Dask is not installed, so no cluster: pip install 'gmemx[dask]'")
    stage.table(
        ("where", "s", "M cells/s"),
        [(e.name, f"{e.seconds:.2f}", _rate(virtual.size, e.seconds)) for e in entries],
    )
    spread = max(sums) - min(sums)
    stage.check(
        "all have the same sum",
        spread <= 1e-13 * virtual.size,
        f"{sums[0]:.6f}, to {spread:.1g}",
    )
    return entries, virtual.size


def _on_cluster(virtual: VirtualArray, timed: Callable[[str, Callable[[], object]], None]) -> None:
    """Time the sum on one and on two workers of a cluster."""
    from distributed import Client, LocalCluster

    import gmemx.dask

    height = virtual.shape[0] // 50
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        LocalCluster(**options, processes=True, protocol="tcp") as cluster,
        Client(cluster) as client,
    ):
        # The workers import what they need.
        gmemx.dask.array(virtual[:4], chunks=(1, COLUMNS)).sum().compute()
        # In chunks of two shapes, since a cluster remembers what it has added up.
        one = gmemx.dask.array(virtual, chunks=(height, COLUMNS)).sum()
        two = gmemx.dask.array(virtual, chunks=(height, COLUMNS - 1)).sum()
        worker = sorted(client.scheduler_info(n_workers=-1)["workers"])[:1]
        timed("a worker of the cluster", lambda: client.compute(one, workers=worker).result())
        timed("two workers", lambda: client.compute(two).result())


def _rate(cells: int, seconds: float) -> str:
    return f"{cells / seconds / 1e6:,.1f}"
