"""A petabyte on a cluster of two processes: summed, sliced, and written back."""

# mypy: allow-untyped-calls

from distributed import Client, LocalCluster

import gmemx
import gmemx.dask


def main() -> None:
    ctx = gmemx.GMemContext(seed=42)
    petabyte = ctx.array((10**6, 125 * 10**6), distribution="normal")
    print(petabyte.nbytes)

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        # Tasks carry the seed and a range of cells: some hundred bytes each, and no data.
        part = petabyte[500_000:501_000, -10_000:]
        x = gmemx.dask.array(part, chunks=(250, 5000))
        print(f"{x.mean().compute():.4f} {x.std().compute():.4f} of {x.size:,} cells")
        print(bool(x.max().compute() == part.max()))

        # Workers compute what changes; it is merged into the context here.
        delta = gmemx.dask.store(x[0].clip(-1, 1), part[0])
        print(f"{len(delta):,} cells written, from {part.min():.2f} to {part[0].max()}")


if __name__ == "__main__":
    main()
