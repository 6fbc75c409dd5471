"""Contexts kept in files, against SQLite and against contexts without a file.

    python benchmarks/store.py [--quick] [--json FILE]

Both sides of every row run in this process, in turn, several rounds; the table shows
the ratio of their medians. benchmarks/README.md says what the rows mean. Files lie in the
folder of temporary files: TMPDIR chooses the disk.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from harness import Way, compare, limit, measure
from setting import SEED, Bench, run

from gmemx import GMemContext


def runs(bench: Bench) -> None:
    """Neighbouring cells, written and flushed: new ones in each round."""
    with tempfile.TemporaryDirectory() as folder:
        n = bench.size(1 << 22)
        values = np.random.default_rng(SEED).random(n)
        starts = itertools.count(0, 2 * n)
        with GMemContext.open(os.path.join(folder, "runs"), seed=SEED) as kept:
            plain = GMemContext(SEED)

            def durable() -> None:
                start = next(starts)
                kept[start : start + n] = values
                kept.flush()

            def in_memory() -> None:
                start = next(starts)
                plain[start : start + n] = values

            rates = measure(
                [Way("durable", n, durable), Way("in memory", n, in_memory)], bench.rounds
            )
        title = "a run of new cells, written and flushed"
        bench.rows.append(compare("store_runs", title, rates, "durable", "in memory"))
        bench.rows.append(
            limit("store_run_cost", title, "a cell", 1e9 / rates["durable"], "ns", 1000)
        )


def scattered(bench: Bench) -> None:
    """Cells at random addresses in one transaction: a flush, and SQLite's with FULL."""
    with tempfile.TemporaryDirectory() as folder:
        n = bench.size(200_000)
        generator = np.random.default_rng(SEED)
        cells: Iterator[tuple[np.ndarray, np.ndarray]] = (
            (generator.integers(0, 2**62, n), generator.random(n)) for _ in itertools.count()
        )
        database = sqlite3.connect(os.path.join(folder, "sqlite"), isolation_level=None)
        database.execute("pragma synchronous = full")
        database.execute("create table cells (address integer primary key, value real)")
        wanted = {}
        with GMemContext.open(os.path.join(folder, "scattered"), seed=SEED) as kept:

            def durable() -> None:
                addresses, values = next(cells)
                kept.write_many(addresses, values)
                kept.flush()
                wanted["ours"] = addresses, values

            def sqlite() -> None:
                addresses, values = next(cells)
                rows = zip(addresses.tolist(), values.tolist(), strict=True)
                database.execute("begin")
                database.executemany("insert or replace into cells values (?, ?)", rows)
                database.execute("commit")

            ways = [
                Way("durable", n, durable, repeat=False),
                Way("SQLite", n, sqlite, repeat=False),
            ]
            rates = measure(ways, bench.rounds)
        addresses, values = wanted["ours"]
        reader = GMemContext.open(os.path.join(folder, "scattered"), read_only=True)
        if not (reader.fetch_many(addresses) == values).all():
            raise SystemExit("the file does not have what was flushed")
        database.close()
        title = "new cells at random addresses, one transaction"
        bench.rows.append(compare("store_scattered", title, rates, "durable", "SQLite", mark=1))


def reopening(bench: Bench) -> None:
    """Ten million cells: neighbours, and every one on a page of its own."""
    with tempfile.TemporaryDirectory() as folder:
        n = bench.size(10_000_000)
        for name, step in (("runs", 1), ("scattered", 64)):
            path = os.path.join(folder, f"ten_million_{name}")
            with GMemContext.open(path, seed=SEED) as ctx:
                ctx[0 : n * step : step] = 0.5
            for how in ("write", "read"):
                begun = time.perf_counter()
                ctx = GMemContext.open(path, read_only=how == "read")
                taken = (time.perf_counter() - begun) * 1e3
                if ctx.overlay_count != n:
                    raise SystemExit(f"{path} has {ctx.overlay_count} cells, not {n}")
                ctx.close()
                title = f"opening {n / 1e6:g} million cells to {how}"
                bench.rows.append(limit(f"store_open_{name}_{how}", title, name, taken, "ms", 3000))
                del ctx
            os.unlink(path)


def unchanged(bench: Bench) -> None:
    """Writing to a context that takes notes for a file, against one that takes none."""
    n = bench.size(1 << 20)
    where = np.random.default_rng(SEED).integers(0, 2**62, n)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notes")
        with GMemContext.open(path, seed=SEED) as kept:
            plain = GMemContext(SEED)
            for ctx in (kept, plain):
                ctx.write_many(where, 0.5, threads=1)
            ways = [
                Way("with notes", n, lambda: kept.write_many(where, 0.25, threads=1)),
                Way("without", n, lambda: plain.write_many(where, 0.25, threads=1)),
            ]
            rates = measure(ways, bench.rounds)
    title = "writing to memory, random addresses, 1 thread"
    bench.rows.append(compare("store_notes", title, rates, "with notes", "without"))


GROUPS = (runs, scattered, reopening, unchanged)


if __name__ == "__main__":
    sys.exit(run(__doc__, GROUPS))
