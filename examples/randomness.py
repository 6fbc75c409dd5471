"""What the generators pass and fail: tests of randomness, with their p-values.

    python examples/randomness.py [--words N] [--seed S] [--markdown]

A p-value is the probability that true randomness looks at least as odd. Below 1e-6 a test
counts as failed. NumPy and SciPy do the arithmetic; docs/statistics.md explains the rows.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats  # type: ignore[import-untyped, unused-ignore]

import gmemx

FAILED = 1e-6
PRIMES = (
    65447, 65449, 65479, 65497, 65519, 65521, 65437, 65423,
    65419, 65413, 65407, 65393, 65381, 65371, 65357, 65353,
)  # fmt: skip


class Source(NamedTuple):
    """A generator: `cells(seed, start, n)` in a row, `at(seed, addresses)` anywhere."""

    cells: Callable[[int, int, int], np.ndarray]
    at: Callable[[int, np.ndarray], np.ndarray]


def source(generator: str) -> Source:
    """A generator of gmemx."""
    return Source(
        lambda seed, start, n: gmemx.GMemContext(seed, generator)[start : start + n],
        lambda seed, addresses: gmemx.GMemContext(seed, generator).fetch_many(addresses),
    )


class Result(NamedTuple):
    """What one test came to: what was looked at, what was found, how likely that is."""

    test: str
    size: str
    found: str
    p: float

    @property
    def passed(self) -> bool:
        """Whether randomness may look like this."""
        return self.p >= FAILED


def words(cells: np.ndarray) -> np.ndarray:
    """The upper 32 bits of cells."""
    return np.minimum(cells * 2.0**32, 2.0**32 - 1).astype(np.uint32)


def both_sides(below: float, above: float) -> float:
    """The p-value of what may be too small or too large."""
    return min(1.0, 2 * min(float(below), float(above)))


def chi_square(counts: np.ndarray, expected: np.ndarray | float) -> tuple[float, float]:
    """Pearson's statistic and its p-value: counts may be too uneven and too even."""
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    freedom = counts.size - 1
    return statistic, both_sides(
        stats.chi2.cdf(statistic, freedom), stats.chi2.sf(statistic, freedom)
    )


# ---- tests of one stream ----------------------------------------------------


def monobit(cells: np.ndarray) -> Result:
    """As many ones as zeros among the upper 32 bits."""
    bits = cells.size * 32
    ones = int(np.unpackbits(words(cells).view(np.uint8)).sum(dtype=np.int64))
    z = (2 * ones - bits) / math.sqrt(bits)
    return Result("monobit", f"{bits:,} bits", f"z = {z:.2f}", math.erfc(abs(z) / math.sqrt(2)))


def byte_counts(cells: np.ndarray) -> Result:
    """All bytes as often."""
    counts = np.bincount(words(cells).view(np.uint8), minlength=256)
    statistic, p = chi_square(counts, cells.size * 4 / 256)
    return Result("chi-square, bytes", f"{cells.size * 4:,} bytes", f"X² = {statistic:.1f}", p)


def pairs(cells: np.ndarray) -> Result:
    """Neighbours as points of a square: as many in each of 256 by 256 boxes."""
    boxes = (cells * 256).clip(max=255).astype(np.int64).reshape(-1, 2)
    counts = np.bincount(boxes[:, 0] * 256 + boxes[:, 1], minlength=65536)
    statistic, p = chi_square(counts, len(boxes) / 65536)
    return Result("chi-square, pairs", f"{len(boxes):,} pairs", f"X² = {statistic:.0f}", p)


def kolmogorov(cells: np.ndarray) -> Result:
    """The distribution function is a straight line."""
    part = cells[: 1 << 20]
    test = stats.kstest(part, "uniform")
    found = f"D = {test.statistic:.2e}"
    return Result("Kolmogorov-Smirnov", f"{part.size:,} cells", found, float(test.pvalue))


def serial_correlation(cells: np.ndarray) -> Result:
    """No correlation with the next 16 cells (Ljung and Box, 1978)."""
    about_zero, n = cells - cells.mean(), cells.size
    power = about_zero @ about_zero
    r = np.array([about_zero[:-lag] @ about_zero[lag:] for lag in range(1, 17)]) / power
    q = float(n * (n + 2) * np.sum(r**2 / (n - np.arange(1, 17))))
    p = both_sides(stats.chi2.cdf(q, 16), stats.chi2.sf(q, 16))
    return Result("serial correlation, lags 1 to 16", f"{n:,} cells", f"Q = {q:.1f}", p)


def autocorrelation(cells: np.ndarray) -> Result:
    """The largest correlation at any distance up to 2^17: vrns16's tables are half as long."""
    most, n = min(1 << 17, cells.size // 8), cells.size
    about_zero = cells - cells.mean()
    spectrum = np.fft.rfft(about_zero, 2 * n)
    r = np.fft.irfft(spectrum * spectrum.conj(), 2 * n)[: most + 1]
    z = np.abs(r[1:] / r[0]) * n / np.sqrt(n - np.arange(1, most + 1))
    lag, largest = int(z.argmax()) + 1, float(z.max())
    p = -math.expm1(most * math.log1p(-math.erfc(largest / math.sqrt(2))))
    found = f"z = {largest:.2f} at {lag:,}"
    return Result("autocorrelation", f"{most:,} lags", found, p)


def matrix_ranks(cells: np.ndarray) -> Result:
    """Ranks of 32 by 32 matrices of bits (Marsaglia, 1985)."""
    rows = words(cells[: 32 * 40_000])
    ranks = gf2_ranks(rows[: rows.size // 32 * 32].reshape(-1, 32))
    full = math.prod(1 - 2.0**-k for k in range(1, 33))
    one_less = 2 * full * (1 - 2.0**-32) ** 2
    shares = np.array([full, one_less, 1 - full - one_less])
    counts = np.array([(ranks == 32).sum(), (ranks == 31).sum(), (ranks < 31).sum()])
    statistic, p = chi_square(counts, shares * ranks.size)
    return Result("matrix ranks", f"{ranks.size:,} matrices", f"X² = {statistic:.2f}", p)


def gf2_ranks(rows: np.ndarray) -> np.ndarray:
    """The ranks of many matrices over GF(2), whose rows are words: shape (matrices, rows)."""
    rows, count = rows.copy(), rows.shape[1]
    one, everyone = rows.dtype.type(1), np.arange(len(rows))
    ranks = np.zeros(len(rows), np.int64)
    for bit in range(rows.dtype.itemsize * 8):
        column = (rows >> rows.dtype.type(bit) & one).astype(bool)
        open_rows = column & (np.arange(count) >= ranks[:, None])
        found, pivot = open_rows.any(axis=1), open_rows.argmax(axis=1)
        chosen, some = rows[everyone, pivot], everyone[found]
        rows[some, pivot[found]] = rows[some, ranks[found]]
        rows[some, ranks[found]] = chosen[found]
        below = (rows >> rows.dtype.type(bit) & one).astype(bool)
        below &= (np.arange(count) > ranks[:, None]) & found[:, None]
        rows ^= np.where(below, chosen[:, None], rows.dtype.type(0))
        ranks += found
    return ranks


def birthdays(cells: np.ndarray) -> Result:
    """Spacings of 4,096 birthdays in a year of 2^32 days that come twice (Marsaglia)."""
    days = np.sort(words(cells[: cells.size // 4096 * 4096]).reshape(-1, 4096)[:512], axis=1)
    gaps = np.sort(np.diff(days.astype(np.int64), axis=1), axis=1)
    twice = int((np.diff(gaps, axis=1) == 0).sum())
    mean = len(days) * 4096**3 / 2**34
    p = both_sides(stats.poisson.cdf(twice, mean), stats.poisson.sf(twice - 1, mean))
    return Result("birthday spacings", f"{len(days)} years", f"{twice:,} of {mean:,.0f}", p)


STREAM = (
    monobit, byte_counts, pairs, kolmogorov, serial_correlation, autocorrelation, matrix_ranks,
    birthdays,
)  # fmt: skip


# ---- tests of structure -----------------------------------------------------


def seed_correlation(source: Source, seed: int, n: int) -> Result:
    """Contexts of 16 seeds that follow each other, two by two, cell by cell."""
    n = min(n, 1 << 20)
    streams = np.array([source.cells(seed + i, 0, n) for i in range(16)])
    r = np.corrcoef(streams)[np.triu_indices(16, 1)]
    q = float(n * np.sum(r**2))
    p = both_sides(stats.chi2.cdf(q, r.size), stats.chi2.sf(q, r.size))
    return Result("seeds, cell by cell", f"{r.size} pairs, {n:,} cells", f"Q = {q:.1f}", p)


def seed_permutation(source: Source, seed: int, n: int) -> Result:
    """Values that contexts of two seeds share: cell i of one, and i XOR both seeds of the other."""
    n = min(n, 1 << 16)
    first, second = source.cells(seed % n, 0, n), source.cells((seed + 1) % n, 0, n)
    mean = n * n / 2.0**53
    shared = np.intersect1d(first, second).size
    p = 1.0 if shared == 0 else float(stats.poisson.sf(shared - 1, mean))
    found = f"{shared:,} shared values"
    return Result("seeds, values in common", f"2 contexts, {n:,} cells", found, p)


def xor_sets(seed: int, count: int) -> np.ndarray:
    """Addresses of sets of 64 points, shape (count, 64), whose 64 hashes XOR to 0 in vrns16.

    The primes are dealt out to six groups of at most three. A point adds up the products of
    some of the groups to one base: 2^6 points. A channel does not change with its own group,
    so each is a function of five choices, and such a function XORs to 0 over all six.
    """
    groups = [math.prod(PRIMES[k : k + 3]) for k in range(0, 16, 3)]
    offsets = [sum(g for k, g in enumerate(groups) if i >> k & 1) for i in range(64)]
    bases = np.random.default_rng(seed).integers(0, 2**60, count, dtype=np.uint64)
    points = bases[:, None] + np.array(offsets, dtype=np.uint64)
    return points ^ np.uint64(seed)


def xor_linearity(source: Source, seed: int, _: int) -> Result:
    """How often the upper 32 bits of a set's 64 cells XOR to 0."""
    sets = xor_sets(seed, 1000)
    found = words(source.at(seed, sets.ravel())).reshape(sets.shape)
    zero = int((np.bitwise_xor.reduce(found, axis=1) == 0).sum())
    p = 1.0 if zero == 0 else float(stats.binom.sf(zero - 1, len(sets), 2.0**-32))
    return Result("64-point sets, XOR", f"{len(sets):,} sets", f"{zero:,} are 0", p)


def xor_rank(source: Source, seed: int, _: int) -> Result:
    """The rank over GF(2) of 64 points, each a row of 4,096 bits from 128 sets."""
    sets = xor_sets(seed, 128)
    rows = words(source.at(seed, sets.ravel())).reshape(sets.shape).T
    # The other way round a row fits into a word: 4,096 rows of 64 bits have the same rank.
    bits = np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1)
    packed = np.packbits(np.ascontiguousarray(bits.T), axis=1).view(np.uint64).ravel()
    rank = int(gf2_ranks(packed[None])[0])
    # That 64 random rows of 4,096 bits are dependent has a probability below 2^-4032.
    p = 1.0 if rank == 64 else 0.0
    return Result("64-point sets, rank", "64 rows of 4,096 bits", f"rank {rank}", p)


STRUCTURE = (seed_correlation, seed_permutation, xor_linearity, xor_rank)


# ---- all of them ------------------------------------------------------------


def examine(source: Source, seed: int, n: int) -> list[Result]:
    """All tests, of `n` cells from address 0 on."""
    cells = source.cells(seed, 0, n)
    results = [test(cells) for test in STREAM]
    return results + [test(source, seed, n) for test in STRUCTURE]


def shown(p: float) -> str:
    """A p-value as text."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 0 else "0"


def table(columns: dict[str, list[Result]], markdown: bool) -> str:
    """The results of several generators side by side."""
    names = list(columns)
    head = ["test", "of", *(name for one in names for name in (one, "p", ""))]
    lines = [head]
    for row in zip(*columns.values(), strict=True):
        cells = [row[0].test, row[0].size]
        for result in row:
            verdict = "passes" if result.passed else "**fails**" if markdown else "FAILS"
            cells += [result.found, shown(result.p), verdict]
        lines.append(cells)
    if markdown:
        lines.insert(1, ["---"] * len(head))
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in padded)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--words", type=int, default=1 << 24, help="cells of a stream")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args(argv)
    columns = {name: examine(source(name), args.seed, args.words) for name in ("vrns16", "philox")}
    print(table(columns, args.markdown))


if __name__ == "__main__":
    main()
