"""Virtual arrays against reading flat cells, and against NumPy on stored ones.

    python benchmarks/virtual_array.py [--quick] [--json FILE]

Both sides of every row run in this process, in turn, several rounds; the table shows
the ratio of their medians. benchmarks/README.md says what the rows mean.
"""

from __future__ import annotations

import re
import sys

import numpy as np
from harness import Way, compare, measure
from setting import SEED, START, Bench, run, same

import gmemx

NORMAL = gmemx.normal()


def reading(bench: Bench) -> None:
    """Slices into one reused buffer, against as many cells in a row."""
    context = bench.context
    rows, columns = bench.size(2048), 2048
    n = rows * columns
    out, flat = np.empty((rows, columns)), np.empty(n)
    wide = context.array((2 * rows, 3 * columns), offset=START)
    parts = {
        "whole rows": context.array((3 * rows, columns), offset=START)[rows : 2 * rows],
        "a box": wide[rows : 2 * rows, columns : 2 * columns],
        "a box, transposed": wide.T[columns : 2 * columns, rows : 2 * rows],
    }
    ways = [Way("fetch_into", n, lambda: context.fetch_into(START, flat, threads=1))]
    for name, part in parts.items():
        target = out.T if part.shape == (columns, rows) and "transposed" in name else out
        same(part.numpy(out=target)[3, ::5], [part[3, i] for i in range(0, part.shape[1], 5)], name)
        ways.append(Way(name, n, lambda p=part, t=target: p.numpy(threads=1, out=t)))
    single = np.empty((rows, columns), "float32")
    typed = context.array((rows, columns), "float32", START)
    ways.append(Way("float32", n, lambda: typed.numpy(threads=1, out=single)))
    boxed = context.array((2 * rows, 3 * columns), "float32", START)[rows:, columns : 2 * columns]
    ways.append(Way("a box of float32", n, lambda: boxed.numpy(threads=1, out=single)))
    for width in (2000, 100):
        odd = context.array((n // width, 3 * width + 1), offset=START + 1)[:, 1 : 1 + width]
        room = np.empty(odd.shape)
        same(odd.numpy(out=room)[3, ::5], [odd[3, i] for i in range(0, width, 5)], "an odd box")
        read = Way(f"rows of {width:,}", odd.size, lambda b=odd, o=room: b.numpy(threads=1, out=o))
        ways.append(read)
    rates = measure(ways, bench.rounds)
    title = "a slice of an array, 1 thread"
    for key, name in [("slice_rows", "whole rows"), ("slice_box", "a box")]:
        bench.rows.append(compare(key, title, rates, name, "fetch_into", mark=1 / 1.2))
    bench.rows.append(compare("slice_turned", title, rates, "a box, transposed", "fetch_into"))
    bench.rows.append(compare("slice_2000", title, rates, "rows of 2,000", "fetch_into"))
    bench.rows.append(compare("slice_100", title, rates, "rows of 100", "fetch_into"))
    bench.rows.append(compare("slice_float32", title, rates, "float32", "fetch_into"))
    bench.rows.append(compare("slice_box_float32", title, rates, "a box of float32", "float32"))


def drawing(bench: Bench) -> None:
    """Distributions, against NumPy's generator of the same."""
    n = bench.size(1 << 22)
    generator = np.random.Generator(np.random.PCG64(SEED))
    out, whole = np.empty(n), np.empty(n, "int64")
    flags = np.empty(n, "bool")
    normal = bench.context.array(n, offset=START, distribution=NORMAL)
    stretched = bench.context.array(n, offset=START, distribution=gmemx.uniform(-1, 1))
    dice = bench.context.array(n, "int64", START, distribution=gmemx.integers(1, 7))
    coins = bench.context.array(n, "bool", START, distribution=gmemx.bernoulli(0.25))
    loaded = bench.context.array(
        n, offset=START, distribution=gmemx.choice([1, 2, 3], [0.5, 0.25, 0.25])
    )
    p = [0.5, 0.25, 0.25]
    ways = [
        Way("normal", n, lambda: normal.numpy(threads=1, out=out)),
        Way("PCG64 standard_normal", n, lambda: generator.standard_normal(out=out)),
        Way("uniform(-1, 1)", n, lambda: stretched.numpy(threads=1, out=out)),
        Way("PCG64 uniform", n, lambda: generator.uniform(-1, 1, n)),
        Way("integers(1, 7)", n, lambda: dice.numpy(threads=1, out=whole)),
        Way("PCG64 integers", n, lambda: generator.integers(1, 7, n)),
        Way("bernoulli(0.25)", n, lambda: coins.numpy(threads=1, out=flags)),
        Way("PCG64 random() < p", n, lambda: generator.random(n) < 0.25),
        Way("choice of 3", n, lambda: loaded.numpy(threads=1, out=out)),
        Way("PCG64 choice", n, lambda: generator.choice([1.0, 2.0, 3.0], n, p=p)),
    ]
    rates = measure(ways, bench.rounds)
    title = "a distribution, 1 thread"
    bench.rows += [
        compare("draw_normal", title, rates, "normal", "PCG64 standard_normal", mark=1),
        compare("draw_uniform", title, rates, "uniform(-1, 1)", "PCG64 uniform"),
        compare("draw_integers", title, rates, "integers(1, 7)", "PCG64 integers"),
        compare("draw_bernoulli", title, rates, "bernoulli(0.25)", "PCG64 random() < p"),
        compare("draw_choice", title, rates, "choice of 3", "PCG64 choice"),
    ]


def folding(bench: Bench) -> None:
    """Reductions of what is not stored, against making an array and NumPy's reduction of it."""
    rows, columns = bench.size(4096), 8192
    n = rows * columns
    distributions = {
        "uniform": ("float64", gmemx.uniform()),
        "uniform(-1, 1)": ("float64", gmemx.uniform(-1, 1)),
        "integers(1, 7)": ("int64", gmemx.integers(1, 7)),
        "bernoulli(0.25)": ("bool", gmemx.bernoulli(0.25)),
        "normal": ("float64", NORMAL),
    }
    folds = {
        "sum": (lambda a, t: a.sum(threads=t), lambda s: s.sum()),
        "std": (lambda a, t: a.std(threads=t), lambda s: s.std()),
        "max": (lambda a, t: a.max(threads=t), lambda s: s.max()),
        "histogram": (
            lambda a, t: a.histogram(50, (-3, 3), threads=t),
            lambda s: np.histogram(s, 50, (-3, 3)),
        ),
    }
    for kind, (dtype, distribution) in distributions.items():
        array = bench.context.array((rows, columns), dtype, START, distribution=distribution)
        stored = array.numpy()
        for name in folds if kind in ("uniform", "normal") else ("sum", "std"):
            fused, plain = folds[name]
            if name == "histogram":
                same(fused(array, None)[0], plain(stored)[0], f"histogram of {kind} cells")
            elif not np.isclose(fused(array, None), plain(stored), rtol=1e-9, atol=1e-6):
                raise SystemExit(f"{name} of {kind} cells differs from NumPy's")
            for threads, title in ((1, "fused, 1 thread"), (None, "fused, all threads")):
                ours, other = f"{kind} {name}", f"numpy(), then {name}"
                ways = [
                    Way(ours, n, lambda a=array, f=fused, t=threads: f(a, t)),
                    Way(other, n, lambda a=array, p=plain, t=threads: p(a.numpy(threads=t))),
                ]
                rates = measure(ways, max(3, bench.rounds // 2))
                word = re.sub(r"\W+", "_", kind).rstrip("_")
                key = f"fold_{word}_{name}_{threads or 'all'}"
                aim = kind == "normal"
                bench.rows.append(compare(key, title, rates, ours, other, mark=4, aim=aim))


def multiplying(bench: Bench) -> None:
    """Products with a matrix that is never stored, against making it and NumPy's product."""
    m = bench.size(20_000)
    n = 20_000
    rng = bench.rng
    x, wide = rng.standard_normal(n), rng.standard_normal((n, 32))
    band = 2000 if not bench.quick else m
    uniform = bench.context.array((m, n), offset=START)
    normal = bench.context.array((m, n), offset=START, distribution=NORMAL)

    def by_bands(array: gmemx.VirtualArray, factor: np.ndarray) -> np.ndarray:
        """NumPy's product of bands of rows that are made one after the other: as fits memory."""
        return np.concatenate([
            array[top : top + band].numpy() @ factor for top in range(0, m, band)
        ])  # fmt: skip

    cases = [
        ("uniform matvec", uniform, lambda: uniform.matvec(x), lambda: by_bands(uniform, x)),
        ("normal matvec", normal, lambda: normal.matvec(x), lambda: by_bands(normal, x)),
        ("normal rmatvec", normal, lambda: normal.rmatvec(x[:m]), lambda: by_bands(normal, x)),
        ("normal matmat, 32", normal, lambda: normal.matmat(wide), lambda: by_bands(normal, wide)),
    ]
    for name, _, ours, other in cases:
        if "rmatvec" not in name and not np.allclose(ours(), other(), rtol=1e-9, atol=1e-9):
            raise SystemExit(f"{name} differs from NumPy's")
        rival = "numpy() in bands, then @"
        ways = [Way(name, m * n, ours, repeat=False), Way(rival, m * n, other, repeat=False)]
        rates = measure(ways, 3)
        key = "product_" + name.replace(" ", "_").replace(",", "")
        bench.rows.append(compare(key, f"{m:,} by {n:,}", rates, name, rival))


GROUPS = (reading, drawing, folding, multiplying)


if __name__ == "__main__":
    sys.exit(run(__doc__, GROUPS))
