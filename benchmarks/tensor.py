"""Tensors against NumPy and ml_dtypes.

    python benchmarks/tensor.py [--quick] [--json FILE]

Both sides of every row run in this process, in turn, several rounds; the table shows
the ratio of their medians. benchmarks/README.md says what the rows mean.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
import timeit
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from harness import Way, compare, limit, measure
from setting import SEED, START, Bench, compiled, run

import gmemx

CALLS = 20_000
SUMS = {  # dtype: how many times NumPy, or ml_dtypes, it should be
    "float32": 2.3,
    "float64": 1.0,
    "float16": 20.0,
    "bfloat16": 50.0,
    "int32": 3.0,
    "uint8": 10.0,
}


def calls(bench: Bench) -> None:
    """Small calls: what sharing, slicing and making cost."""
    array = np.arange(1000.0)
    tensor = gmemx.Tensor(array)
    rows = np.arange(20.0).reshape(4, 5).tolist()
    names = {"t": tensor, "a": array, "rows": rows, "np": np, "gmemx": gmemx}
    n = bench.size(CALLS)
    for key, ours, theirs, mark in (
        ("memoryview", "memoryview(t)", "memoryview(a)", 1),
        ("asarray", "np.asarray(t)", "np.asarray(memoryview(a))", 1),
        ("from_dlpack", "np.from_dlpack(t)", "np.from_dlpack(a)", 1),
        ("dlpack", "t.__dlpack__()", "a.__dlpack__()", 1 / 0.8),
        ("dlpack_versioned", "t.__dlpack__(max_version=(1, 0))",
         "a.__dlpack__(max_version=(1, 0))", 1 / 0.8),
        ("slice", "t[10:500]", "a[10:500]", 1),
        ("element", "t[7]", "a[7]", None),
        ("assign", "t[7] = 1.5", "a[7] = 1.5", None),
        ("reshape", "t.reshape(10, 100)", "a.reshape(10, 100)", None),
        ("create", "gmemx.empty((3, 4))", "np.empty((3, 4))", 1),
        ("create_list", "gmemx.Tensor(rows)", "np.array(rows)", 1),
        ("create_copy", "gmemx.Tensor(a)", "np.array(a)", 1),
        ("create_over", "gmemx.Tensor.from_buffer(a)", "np.asarray(memoryview(a))", 1),
        ("create_dlpack", "gmemx.from_dlpack(a)", "np.from_dlpack(a)", 1),
        ("copy", "t.copy()", "a.copy()", None),
    ):  # fmt: skip
        ways = [
            Way(text, n, partial(timeit.Timer(text, globals=names).timeit, n))
            for text in (ours, theirs)
        ]
        rates = measure(ways, bench.rounds)
        bench.rows.append(compare(key, "a small call", rates, ours, theirs, mark=mark, unit="ns"))


def pickling(bench: Bench) -> None:
    """Pickle of 100 MB, the bytes out of band."""
    array = np.zeros(100_000_000, np.uint8)
    tensor = gmemx.Tensor.from_buffer(array)
    strided = gmemx.Tensor.from_buffer(array.reshape(10_000, 10_000).T)
    n = 2000

    def send(what: object) -> None:
        for _ in range(n):
            buffers: list[pickle.PickleBuffer] = []
            pickle.dumps(what, 5, buffer_callback=buffers.append)

    ways = [
        Way("out of band", n, lambda: send(tensor)),
        Way("transposed", n, lambda: send(strided)),
        Way("NumPy's", n, lambda: send(array)),
    ]
    rates = measure(ways, bench.rounds)
    title = "pickle of 100 MB"
    bench.rows += [
        compare("pickle_numpy", title, rates, "out of band", "NumPy's", unit="ns"),
        limit("pickle", title, "out of band", 1e9 / rates["out of band"], "ns", 3000),
        limit("pickle_strided", title, "transposed", 1e9 / rates["transposed"], "ns", 3000),
    ]


def reader(bench: Bench) -> ctypes.CDLL | None:
    """The compiled read_bandwidth.c, or None where it cannot be."""
    keys = [f"read_{name}_{threads}" for name in SUMS for threads in (1, 2)]
    flags = ("-O3", "-march=native", "-Wno-psabi")
    library = compiled(bench, "read_bandwidth.c", flags, keys)
    if library is None:
        return None
    library.read_all.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    library.read_all.restype = ctypes.c_uint64
    return library


def sums(bench: Bench) -> None:
    """Sums of 10^8 elements, beside the memory's bandwidth."""
    library = reader(bench)
    n = bench.size(100_000_000)
    workers = ThreadPoolExecutor(2)
    for name, mark in SUMS.items():
        ones = gmemx.full(n, 1, name) if name in ("int32", "uint8") else gmemx.full(n, 1.0, name)
        if ones.sum() != n:
            raise SystemExit(f"the sum of {n} ones in {name} is {ones.sum()}")
        try:
            array = ones.numpy()
        except NotImplementedError as error:
            bench.skipped[f"sum_{name}"] = str(error)
            continue
        address, size = ones.__array_interface__["data"][0], ones.nbytes

        def read(parts: int, address: int = address, size: int = size) -> None:
            part = size // parts // (1 << 17) * (1 << 17)
            starts = [address + i * part for i in range(parts)]
            list(workers.map(lambda start: library.read_all(start, part), starts))

        ways = [
            Way("1 thread", size, lambda t=ones: t.sum(threads=1)),
            Way("all threads", size, lambda t=ones: t.sum()),
            Way("NumPy" if name != "bfloat16" else "ml_dtypes", size, lambda a=array: a.sum()),
        ]
        if library is not None:
            ways.append(Way("read, 1 thread", size, lambda read=read: read(1)))
            ways.append(Way("read, 2 threads", size, lambda read=read: read(2)))
        rates = measure(ways, bench.rounds)
        rates["best"] = max(rates["1 thread"], rates["all threads"])
        title, peer = f"sum of 10^8 {name}", ways[2].name
        bench.rows += [
            compare(f"sum_{name}_one", title, rates, "1 thread", peer, unit="B/s"),
            compare(f"sum_{name}", title, rates, "all threads", peer, mark=mark, unit="B/s"),
        ]
        for threads, ours in ((1, "1 thread"), (2, "all threads")):
            if library is not None:
                other, key = (
                    f"read, {threads} thread{'s' * (threads > 1)}",
                    f"read_{name}_{threads}",
                )
                bench.rows.append(compare(key, title, rates, ours, other, mark=0.9, unit="B/s"))


def fused(bench: Bench) -> None:
    """Generated cells folded as they are made, against filled into a new array and summed."""
    context, n = gmemx.GMemContext(SEED), bench.size(100_000_000)

    def fill_then_sum(threads: int | None) -> float:
        cells = np.empty(n)
        context.fetch_into(START, cells, threads=threads)
        return float(cells.sum())

    ours, theirs = context.sum(START, n), fill_then_sum(None)
    if abs(ours - theirs) > 1e-9 * theirs:
        raise SystemExit(f"the fused sum is {ours}, and that of the array {theirs}")
    ways = [
        Way("fused, all threads", n, lambda: context.sum(START, n)),
        Way("fill then sum, all threads", n, lambda: fill_then_sum(None)),
        Way("fused, 1 thread", n, lambda: context.sum(START, n, threads=1)),
        Way("fill then sum, 1 thread", n, lambda: fill_then_sum(1)),
    ]
    rates = measure(ways, bench.rounds)
    title = "sum of 10^8 generated cells"
    bench.rows += [
        compare("fused", title, rates, "fused, all threads", "fill then sum, all threads", mark=4),
        compare("fused_one", title, rates, "fused, 1 thread", "fill then sum, 1 thread", mark=4),
    ]


GROUPS = (calls, pickling, sums, fused)


if __name__ == "__main__":
    sys.exit(run(__doc__, GROUPS))
