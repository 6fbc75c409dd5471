"""The tests of randomness that docs/statistics.md is made by: they pass what is random, and fail
what is not."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
N = 1 << 17


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("randomness", ROOT / "examples" / "randomness.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failed(results):
    return {result.test for result in results if not result.passed}


@pytest.mark.parametrize("seed", [1, 42, 10**6])
def test_philox_passes(script, seed):
    results = script.examine(script.source("philox"), seed, N)
    assert len(results) == len(script.STREAM) + len(script.STRUCTURE)
    assert not failed(results)
    assert all(0 <= result.p <= 1 for result in results)


def test_vrns16_fails_what_the_page_says(script):
    results = script.examine(script.source("vrns16"), 42, 1 << 20)
    assert failed(results) == {
        "seeds, cell by cell", "seeds, values in common", "64-point sets, XOR",
        "64-point sets, rank",
    }  # fmt: skip
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    assert [row[0].removeprefix("| ") for row in rows] == [result.test for result in results]
    for row, result in zip(rows, results, strict=True):
        assert (row[4] == "passes") == result.passed, result.test
        assert row[7].startswith("passes")


def weak(kind, n):
    """Streams each of which has one defect."""
    rng = np.random.default_rng(3)
    cells = rng.random(n)
    if kind == "counter":
        return np.arange(n) / n
    if kind == "biased":
        return cells**1.05
    if kind == "echo":
        return np.where(rng.random(n) < 0.05, np.roll(cells, 5), cells)
    if kind == "far echo":
        return np.where(rng.random(n) < 0.05, np.roll(cells, 9000), cells)
    if kind == "linear":
        # Rows of 32 words, of which the last is the XOR of two others.
        words = (cells * 2**32).astype(np.uint32).reshape(-1, 32)
        words[:, 31] = words[:, 0] ^ words[:, 7]
        return words.ravel() / 2.0**32
    if kind == "lattice":
        return (np.arange(n) * 0.6180339887498949) % 1
    bits = (cells * 2**32).astype(np.uint32) | np.uint32(1 << 9)
    return bits / 2.0**32


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        ("counter", "chi-square, pairs"),
        ("counter", "serial correlation, lags 1 to 16"),
        ("counter", "birthday spacings"),
        ("biased", "Kolmogorov-Smirnov"),
        ("echo", "serial correlation, lags 1 to 16"),
        ("far echo", "autocorrelation"),
        ("linear", "matrix ranks"),
        ("lattice", "birthday spacings"),
        # Too even fails as too uneven does.
        ("lattice", "chi-square, bytes"),
        ("stuck bit", "monobit"),
        ("stuck bit", "chi-square, bytes"),
    ],
)
def test_every_test_can_fail(script, kind, test):
    cells = weak(kind, N)
    assert test in failed([one(cells) for one in script.STREAM])


def test_ranks_are_those_of_plain_elimination(script):
    rng = np.random.default_rng(8)
    matrices = rng.integers(0, 2**32, (200, 32), dtype=np.uint32)
    matrices[::3, 5] = matrices[::3, 6] ^ matrices[::3, 9]
    matrices[::7, :20] = 0
    for matrix, rank in zip(matrices, script.gf2_ranks(matrices), strict=True):
        rows, found = [int(row) for row in matrix], 0
        while rows:
            pivot = rows.pop()
            if pivot:
                found += 1
                low = pivot & -pivot
                rows = [row ^ pivot if row & low else row for row in rows]
        assert found == rank


def test_the_sets_are_what_they_are_said_to_be(script):
    """64 different addresses each; along a step, no residue of the step's own primes changes."""
    sets = script.xor_sets(0, 5)
    assert sets.shape == (5, 64)
    for points in sets.tolist():
        assert len(set(points)) == 64
        for i in range(64):
            for k in range(6):
                group = script.PRIMES[3 * k : 3 * k + 3]
                assert all((points[i] - points[i ^ 1 << k]) % p == 0 for p in group)


def test_it_prints_a_table(script, capsys):
    script.main(["--words", "65536", "--markdown"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(script.STREAM) + len(script.STRUCTURE)
    assert all(line.startswith("| ") for line in lines)
