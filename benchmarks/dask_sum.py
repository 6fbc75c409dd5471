"""Sums of virtual arrays on a Dask cluster, by one and by two worker processes.

    python benchmarks/dask_sum.py [--quick] [--json FILE]

Workers are processes of one thread each, reached over TCP; scheduler and client run in this
process. There are two of them in all rounds, and what one is to do alone is bound to it.
benchmarks/README.md says what the rows mean.
"""

from __future__ import annotations

import sys

import dask
import dask.array as da
from distributed import Client, LocalCluster
from harness import Way, compare, measure
from setting import START, Bench, run

import gmemx
import gmemx.dask

# As many for each worker.
CHUNK = 125_000_000
SETTINGS = {
    "distributed.logging.distributed": "error",
    # By default every process wakes up fifty times a second to see that it is awake, and a worker
    # a hundred times to look at its own stack. Where workers have all cores, this is their time.
    "distributed.admin.tick.interval": "200 ms",
    "distributed.worker.profile.enabled": False,
}


def started() -> LocalCluster:
    return LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        protocol="tcp://",
        dashboard_address=":0",
    )


def summing(bench: Bench) -> None:
    """Sums on a cluster."""
    n = 10**10 if not bench.quick else 10**9
    few = n // 10
    rounds = 5
    array = bench.context.array(n, offset=START)
    # Of other cells, since tasks of the same ones are the same tasks.
    beside = bench.context.array(n, offset=START + n)
    normal = bench.context.array(few, offset=START, distribution="normal")
    ours, alone = (gmemx.dask.array(each, chunks=CHUNK).sum() for each in (array, beside))
    part = gmemx.dask.array(array[:few], chunks=CHUNK // 8).sum()
    drawn = gmemx.dask.array(normal, chunks=CHUNK // 8).sum()
    state = da.random.default_rng(42)
    theirs = state.random(few, chunks=CHUNK // 8).sum()
    theirs_normal = state.standard_normal(few, chunks=CHUNK // 8).sum()
    settings = dask.config.set(SETTINGS)
    with settings, started() as cluster, Client(cluster, set_as_default=False) as client:
        one = list(client.scheduler_info()["workers"])[:1]

        def total(of: da.Array, workers: list[str] | None = None) -> float:
            # A sum that was computed before is computed again: nothing holds it.
            return client.compute(of, workers=workers).result()

        if not abs(total(ours) - array.sum()) < 1e-9 * n:
            raise SystemExit("the sum on the cluster differs from that in one process")
        sums = [
            Way("two workers", n, lambda: total(ours), repeat=False),
            Way("one worker", n, lambda: total(alone, one), repeat=False),
            Way("one process, 1 thread", n, lambda: array.sum(threads=1), repeat=False),
        ]
        rates = measure(sums, rounds)
        title = f"Dask sum of {n:,} cells"
        bench.rows += [
            compare("dask_sum_two", title, rates, "two workers", "one worker", mark=1.7),
            compare("dask_sum_one", title, rates, "one worker", "one process, 1 thread"),
        ]
        draws = [
            Way("gmemx", few, lambda: total(part), repeat=False),
            Way("dask.array.random", few, lambda: total(theirs), repeat=False),
            Way("gmemx normal", few, lambda: total(drawn), repeat=False),
            Way("dask.array.random normal", few, lambda: total(theirs_normal), repeat=False),
        ]
        rates = measure(draws, rounds)
        title = f"Dask sum of {few:,}, two workers"
        bench.rows += [
            compare("dask_sum_random", title, rates, "gmemx", "dask.array.random"),
            compare("dask_sum_normal", title, rates, "gmemx normal", "dask.array.random normal"),
        ]


if __name__ == "__main__":
    sys.exit(run(__doc__, (summing,)))
