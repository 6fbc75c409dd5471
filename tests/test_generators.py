"""Every way of reading gives the same bits as the formula: any address, seed, size, alignment."""

from functools import cache

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native import NativeContext
from oracles import GENERATORS, assert_same_bits

import gmemx
from gmemx import GMemContext

LAST = 2**64 - 1
generators = st.sampled_from(GENERATORS)
cpu_paths = st.sampled_from(["auto", "portable"])
threads = st.sampled_from([None, 1, 2, 3])
whole = st.integers(0, LAST)
# Near powers of two, where carries, blocks and tables begin and end.
edges = st.builds(
    lambda power, offset: (2**power + offset) % 2**64, st.integers(0, 64), st.integers(-600, 600)
)
addresses = whole | edges
seeds = addresses


@pytest.fixture(autouse=True)
def restore_cpu_path():
    """The properties choose their path themselves."""
    yield
    gmemx.set_cpu_path("auto")


def test_auto_takes_the_best_path_there_is():
    """Otherwise half of these tests would test the portable path twice."""
    for expected in ("avx512", "avx2", "portable"):
        try:
            gmemx.set_cpu_path(expected)
        except NotImplementedError:
            continue
        break
    assert gmemx.cpu_path() == expected
    gmemx.set_cpu_path("auto")
    assert gmemx.cpu_path() == expected
    gmemx.set_cpu_path("portable")
    assert gmemx.cpu_path() == "portable"


@given(generators, cpu_paths, seeds, addresses)
def test_one_cell(generator, path, seed, address):
    """fetch and indexing give the formula anywhere."""
    gmemx.set_cpu_path(path)
    context = GMemContext(seed, generator)
    expected = oracles.run(generator, seed, address, 1)[0]
    if generator == "vrns16":
        assert expected == oracles.vrns16(seed, address)
    assert context.fetch(address) == expected
    assert context[address] == expected
    assert context[np.uint64(address)] == expected


@given(generators, cpu_paths, threads, seeds, addresses, st.integers(0, 3000))
def test_consecutive_cells(generator, path, threads, seed, start, n):
    """Slices, fetch_into and fetch_many give what the formula gives cell by cell."""
    gmemx.set_cpu_path(path)
    start = min(start, 2**64 - n) if n else start
    context = GMemContext(seed, generator)
    expected = oracles.run(generator, seed, start, n)
    assert_same_bits(context[start : start + n], expected)
    out = np.full(n, np.nan)
    context.fetch_into(start, out, threads=threads)
    assert_same_bits(out, expected)
    assert_same_bits(context.fetch_many(oracles.run_addresses(start, n), threads=threads), expected)
    if n:
        assert context[start] == expected[0]
        assert context[start + n - 1] == expected[-1]


@given(generators, cpu_paths, seeds, st.lists(addresses, max_size=40), threads)
def test_scattered_cells(generator, path, seed, where, threads):
    """fetch_many takes addresses in any order, repeated or not, of any count."""
    gmemx.set_cpu_path(path)
    context = GMemContext(seed, generator)
    array = np.array(where, dtype=np.uint64)
    expected = oracles.many(generator, seed, array)
    assert_same_bits(context.fetch_many(array, threads=threads), expected)
    assert_same_bits(np.array([context[a] for a in where], dtype=np.float64), expected)


steps = st.integers(-20, 20) | st.integers(-(2**65), 2**65) | edges | edges.map(lambda s: -s)


@given(generators, cpu_paths, seeds, addresses, steps.filter(bool), st.integers(0, 700))
def test_slices_with_steps(generator, path, seed, start, step, n):
    """A slice gives the cells that Python's range gives, forwards and backwards."""
    gmemx.set_cpu_path(path)
    context = GMemContext(seed, generator)
    stop = min(max(start + step * n, 0), 2**64)
    where = slice(start, stop, step)
    expected_addresses = range(start, stop, step)
    expected = oracles.many(generator, seed, np.array(list(expected_addresses), dtype=np.uint64))
    assert_same_bits(context[where], expected)


@pytest.mark.parametrize("step", [1, 2, 7, 8, 9, 64, 511, 65537])
@pytest.mark.parametrize("generator", GENERATORS)
def test_long_slices_with_steps(generator, cpu_path, step):
    """Strided slices of more than a buffer, both ways, ending at either end of the range."""
    n = 3001
    context = GMemContext(0x9E3779B97F4A7C15, generator)
    for first in (0, 2**40 - 5, 2**64 - 1 - (n - 1) * step):
        where = oracles.run_addresses(first, n, step)
        expected = context.fetch_many(where)
        spots = [0, 1, n // 2, n - 2, n - 1]
        assert_same_bits(expected[spots], oracles.many(generator, context.seed, where[spots]))
        assert_same_bits(context[first : first + (n - 1) * step + 1 : step], expected)
        stop = first - 1 if first else None
        assert_same_bits(context[first + (n - 1) * step : stop : -step], expected[::-1].copy())


@pytest.mark.parametrize("seed", [0, 1, 0x1337, 0xFFFF_FFFF_FFFF_FFFF])
@pytest.mark.parametrize("generator", GENERATORS)
def test_every_alignment(generator, cpu_path, seed):
    """Every start within two blocks, and buffers at every multiple of 8 bytes in a cache line."""
    context = GMemContext(seed, generator)
    length = 700
    expected = oracles.run(generator, seed, 2**32 - 40, 80 + length)
    memory = np.zeros(length + 24)
    first_aligned = -memory.ctypes.data // 8 % 8
    for offset in range(80):
        at = first_aligned + offset % 8
        n = length - offset % 33
        out = memory[at : at + n]
        memory[:] = -1.0
        context.fetch_into(2**32 - 40 + offset, out, threads=1)
        assert_same_bits(out, expected[offset : offset + n])
        # What lies on either side of the buffer is left alone.
        assert (memory[:at] == -1.0).all()
        assert (memory[at + n :] == -1.0).all()


@cache
def large_run(generator, seed, start, n):
    values = oracles.run(generator, seed, start, n)
    values.flags.writeable = False
    return values


LARGE = [
    # (start, cells, how many doubles past a cache line the buffer begins)
    (5, (1 << 17) - 9, 0),
    ((1 << 40) - 3, (1 << 17) + 5, 1),
    ((1 << 63) - 100_001, (1 << 18) + 77, 3),
    (2**64 - (1 << 20) - 77, (1 << 20) + 77, 0),
    ((1 << 20) - 17, (1 << 21) + 333, 5),
    (0x0123_4567_89AB_CDEF, (1 << 22) + 12_345, 1),
    ((1 << 32) - (1 << 21) + 16, (1 << 22) + 16, 0),
]


@pytest.mark.parametrize(("start", "n", "misalignment"), LARGE)
@pytest.mark.parametrize("generator", GENERATORS)
def test_large_runs(generator, cpu_path, start, n, misalignment):
    """Runs long enough for tiles and for stores around the caches, on one thread and on many."""
    seed = 0xC0FF_EE00_5EED_0F37
    expected = large_run(generator, seed, start, n)
    context = GMemContext(seed, generator)
    memory = np.empty(n + 16)
    at = -memory.ctypes.data // 8 % 8 + misalignment
    out = memory[at : at + n]
    for threads in (1, 2, 3):
        memory[:] = -1.0
        context.fetch_into(start, out, threads=threads)
        assert_same_bits(out, expected)
        assert (memory[:at] == -1.0).all()
        assert (memory[at + n :] == -1.0).all()


@given(generators, cpu_paths, seeds, st.integers(0, 200_000), st.integers(1, 200_000), st.data())
def test_wrap_around_in_c(library, generator, path, seed, before, after, data):
    """The C bulk calls go on at address 0 after 2^64 - 1."""
    gmemx.set_cpu_path(path)
    native = NativeContext(library, seed, generator)
    start, n = (2**64 - before) % 2**64, before + after
    threads = data.draw(st.integers(0, 3))
    out = np.full(n, np.nan)
    assert library.gmem_context_read(native.pointer, start, out.ctypes.data, n, threads) == 0
    context = GMemContext(seed, generator)
    assert_same_bits(out[:before], context[2**64 - before : 2**64])
    assert_same_bits(out[before:], context[0:after])
    spots = np.array([0, n - 1, max(before - 1, 0), min(before, n - 1)])
    where = oracles.run_addresses(start, n)[spots]
    assert_same_bits(out[spots], oracles.many(generator, seed, where))


@given(generators, cpu_paths, seeds, addresses, addresses, st.integers(0, 2500))
def test_strides_in_c(library, generator, path, seed, start, step, n):
    """Strides of any size, 0 and 2^64 - 1 included, are taken modulo 2^64."""
    gmemx.set_cpu_path(path)
    native = NativeContext(library, seed, generator)
    where = oracles.run_addresses(start, n, step)
    out, expected = np.full(n, np.nan), np.full(n, np.nan)
    status = library.gmem_context_read_strided(native.pointer, start, step, out.ctypes.data, n, 1)
    assert status == 0
    status = library.gmem_context_read_many(
        native.pointer, where.ctypes.data, expected.ctypes.data, n, 1
    )
    assert status == 0
    assert_same_bits(out, expected)
    assert_same_bits(out[:3], oracles.many(generator, seed, where[:3]))


@given(seeds, st.integers(0, 2**62), st.integers(0, 3), st.integers(0, 500))
def test_philox_is_numpys(seed, block, within, n):
    """philox continues NumPy's own stream from wherever it is advanced to."""
    start = min(4 * block + within, 2**64 - n)
    bit_generator = np.random.Philox(key=seed)
    bit_generator.advance(start // 4)
    stream = np.random.Generator(bit_generator)
    stream.random(start % 4)
    assert_same_bits(GMemContext(seed, "philox")[start : start + n], stream.random(n))


def test_philox_from_the_start_needs_no_advance():
    """The line of the documentation, as a user would write it."""
    expected = np.random.Generator(np.random.Philox(key=42)).random(100_000)
    assert_same_bits(GMemContext(42, generator="philox")[:100_000], expected)


def test_many_random_addresses(context):
    """A long fetch_many over the whole range, on any number of threads, agrees with the formula."""
    where = np.random.default_rng(7).integers(0, 2**64, 200_003, dtype=np.uint64)
    values = context.fetch_many(where, threads=1)
    for threads in (2, 3, None):
        assert_same_bits(context.fetch_many(where, threads=threads), values)
    spots = slice(None, None, 401)
    expected = oracles.many(context.generator, context.seed, where[spots])
    assert_same_bits(values[spots].copy(), expected)


@given(generators, seeds, addresses)
def test_values_lie_in_the_unit_interval(generator, seed, start):
    """[0, 1] for vrns16, whose largest hashes round to 1.0, and [0, 1) for philox."""
    start = min(start, 2**64 - 1000)
    values = GMemContext(seed, generator)[start : start + 1000]
    assert values.min() >= 0.0
    assert values.max() <= 1.0 if generator == "vrns16" else values.max() < 1.0
