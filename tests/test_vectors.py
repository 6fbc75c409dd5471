"""vrns16 gives the published golden vectors, by every way in, on every CPU path."""

import hashlib
import json
from pathlib import Path

import numpy as np
import oracles
import pytest
from native import NativeContext
from oracles import assert_same_bits

import gmemx

VECTORS = json.loads((Path(__file__).parent / "data" / "vrns16.json").read_text())


def numbers(entry, *names):
    return [int(entry[name], 16) for name in names]


POINTS = [(*numbers(p, "seed", "addr", "u64"), float(p["f64"])) for p in VECTORS["points"]]
RUNS = [(*numbers(r, "seed", "start"), r["count"], r["sha256_le_f64"]) for r in VECTORS["runs"]]
RUNS_INSIDE = [run for run in RUNS if run[1] + run[2] <= 2**64]


def digest(values):
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()


def test_there_are_vectors():
    """An emptied file would pass everything below."""
    assert len(POINTS) >= 20
    assert len(RUNS) >= 5
    assert len(RUNS_INSIDE) < len(RUNS)


def test_the_mixer_has_its_published_value():
    """The finaliser that everything rests on."""
    assert oracles.fmix64(0x1337BEEF) == 14075673083181017210


@pytest.mark.parametrize(("seed", "address", "bits", "value"), POINTS)
def test_the_oracles_give_the_points(seed, address, bits, value):
    """The oracles of the other tests are right themselves."""
    assert oracles.vrns16_bits(seed, address) == bits
    assert oracles.vrns16(seed, address) == value
    assert oracles.vrns16_many(seed, [address])[0] == value


@pytest.mark.parametrize(("seed", "start", "count", "sha256"), RUNS)
def test_the_array_oracle_gives_the_runs(seed, start, count, sha256):
    """As above, for runs, one of which wraps."""
    assert digest(oracles.run("vrns16", seed, start, count)) == sha256


def test_points(cpu_path):
    """fetch, indexing, slices of one, fetch_into and fetch_many give the points."""
    for seed, address, _, value in POINTS:
        context = gmemx.GMemContext(seed)
        out = np.empty(1)
        context.fetch_into(address, out)
        assert context.fetch(address) == value
        assert context[address] == value
        assert context[address : address + 1].tolist() == [value]
        assert out.tolist() == [value]
        assert context.fetch_many([address]).tolist() == [value]


def test_points_repeat_in_one_bulk_call(cpu_path):
    """A point means the same amid others: 4 seeds' worth of lanes and tails."""
    for seed, address, _, value in POINTS:
        addresses = np.full(37, address, dtype=np.uint64)
        assert set(gmemx.GMemContext(seed).fetch_many(addresses).tolist()) == {value}


@pytest.mark.parametrize("threads", [1, 2, None])
@pytest.mark.parametrize(("seed", "start", "count", "sha256"), RUNS_INSIDE)
def test_runs(cpu_path, seed, start, count, sha256, threads):
    """Every bulk way gives the runs, with any number of threads."""
    context = gmemx.GMemContext(seed)
    out = np.empty(count)
    context.fetch_into(start, out, threads=threads)
    assert digest(out) == sha256
    assert digest(context[start : start + count]) == sha256
    addresses = oracles.run_addresses(start, count)
    assert digest(context.fetch_many(addresses, threads=threads)) == sha256
    assert digest(np.array([context[int(a)] for a in addresses])) == sha256


@pytest.mark.parametrize("threads", [0, 1, 2])
@pytest.mark.parametrize(("seed", "start", "count", "sha256"), RUNS)
def test_runs_in_c(library, cpu_path, seed, start, count, sha256, threads):
    """The C bulk calls give the runs, those that wrap too."""
    context = NativeContext(library, seed)
    out = np.full(count, np.nan)
    pointer = context.pointer
    assert library.gmem_context_read(pointer, start, out.ctypes.data, count, threads) == 0
    assert digest(out) == sha256
    out[:] = np.nan
    library.gmem_fill_tensor(pointer, out.ctypes.data, count, start)
    assert digest(out) == sha256
    out[:] = np.nan
    assert (
        library.gmem_context_read_strided(pointer, start, 1, out.ctypes.data, count, threads) == 0
    )
    assert digest(out) == sha256


def test_the_scalar_and_array_oracles_agree():
    """Plain integers against NumPy's uint64, over the whole range."""
    rng = np.random.default_rng(20)
    for _ in range(20):
        seed = int(rng.integers(0, 2**64, dtype=np.uint64))
        addresses = rng.integers(0, 2**64, 50, dtype=np.uint64)
        expected = np.array([oracles.vrns16(seed, int(a)) for a in addresses])
        assert_same_bits(oracles.vrns16_many(seed, addresses), expected)
