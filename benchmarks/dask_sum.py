"""Sums of virtual arrays on a Dask cluster of one and of two worker processes.

    python benchmarks/dask_sum.py [--quick] [--json FILE]

Workers are processes of one thread each, reached over TCP; scheduler and client run in this
process. Both clusters stand for all rounds, and only one of them works at a time.
benchmarks/README.md says what the rows mean.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import dask
import dask.array as da
from distributed import Client, LocalCluster
from harness import Way, compare, measure
from setting import START, Bench, run

import gmemx
import gmemx.dask

CHUNK = 1 << 27


def started(stack: ExitStack, workers: int) -> Client:
    """The client of a cluster with so many workers."""
    cluster = stack.enter_context(
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            protocol="tcp://",
            dashboard_address=":0",
        )
    )
    return stack.enter_context(Client(cluster, set_as_default=False))


def summing(bench: Bench) -> None:
    """Sums on a cluster."""
    n = 10**10 if not bench.quick else 10**9
    few = n // 10
    rounds = 3
    array = bench.context.array(n, offset=START)
    normal = bench.context.array(few, offset=START, distribution="normal")
    ours = gmemx.dask.array(array, chunks=CHUNK).sum()
    part = gmemx.dask.array(array[:few], chunks=CHUNK // 8).sum()
    drawn = gmemx.dask.array(normal, chunks=CHUNK // 8).sum()
    state = da.random.default_rng(42)
    theirs = state.random(few, chunks=CHUNK // 8).sum()
    theirs_normal = state.standard_normal(few, chunks=CHUNK // 8).sum()
    with ExitStack() as stack, dask.config.set({"distributed.logging.distributed": "error"}):
        one, two = (started(stack, workers) for workers in (1, 2))

        def total(client: Client, of: da.Array) -> float:
            # A sum that was computed before is computed again: nothing holds it.
            return client.compute(of).result()

        if not abs(total(two, ours) - array.sum()) < 1e-9 * n:
            raise SystemExit("the sum on the cluster differs from that in one process")
        sums = [
            Way("two workers", n, lambda: total(two, ours), repeat=False),
            Way("one worker", n, lambda: total(one, ours), repeat=False),
            Way("one process, 1 thread", n, lambda: array.sum(threads=1), repeat=False),
        ]
        rates = measure(sums, rounds)
        title = f"Dask sum of {n:,} cells"
        bench.rows += [
            compare("dask_sum_two", title, rates, "two workers", "one worker", mark=1.7),
            compare("dask_sum_one", title, rates, "one worker", "one process, 1 thread"),
        ]
        draws = [
            Way("gmemx", few, lambda: total(two, part), repeat=False),
            Way("dask.array.random", few, lambda: total(two, theirs), repeat=False),
            Way("gmemx normal", few, lambda: total(two, drawn), repeat=False),
            Way("dask.array.random normal", few, lambda: total(two, theirs_normal), repeat=False),
        ]
        rates = measure(draws, rounds)
        title = f"Dask sum of {few:,}, two workers"
        bench.rows += [
            compare("dask_sum_random", title, rates, "gmemx", "dask.array.random"),
            compare("dask_sum_normal", title, rates, "gmemx normal", "dask.array.random normal"),
        ]


if __name__ == "__main__":
    sys.exit(run(__doc__, (summing,)))
