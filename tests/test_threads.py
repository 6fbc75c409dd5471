"""Readers and writers at once: no torn cell, no lost write, one moment for every copy.

A written cell holds a checkable pattern: the round it was written in, in the
upper half of its bits, and in the lower half the same round mixed with the
address. A value from two rounds, or from another cell, does not check.
"""

import os
import subprocess
import sys

import numpy as np
import oracles
import pytest
from concurrency import together

from gmemx import GMemContext

CELLS = 2**64
N = 3 * 512 + 37
# Runs that straddle pages of 64 and 512 cells (4 KiB), and the far ends of the range.
STARTS = {
    "zero": 0,
    "page of 512": 512 * 1000 - 300,
    "2**40": 2**40 - 700,
    "2**63": 2**63 - 700,
    "the end": CELLS - N,
}
ROUNDS = 60
MIXER = np.uint64(0x9E37_79B9_7F4A_7C15)
HALF = np.uint64(32)


@pytest.fixture(params=STARTS.values(), ids=STARTS.keys())
def start(request):
    """The first address of a run in each delicate place in turn."""
    return request.param


def pattern(where, number):
    """What the cells at ``where`` hold after round ``number``."""
    number = np.uint64(number)
    return (number << HALF | (where * MIXER >> HALF ^ number)).view(np.float64)


def rounds(where, values, generated):
    """The round of each value, -1 for one never written; fails on any other value."""
    bits = values.view(np.uint64)
    number = bits >> HALF
    valid = bits == pattern(where, 0).view(np.uint64) ^ (number << HALF | number)
    fresh = bits == generated.view(np.uint64)
    assert (valid | fresh).all(), "a value that nobody wrote"
    return np.where(fresh, -1, number.astype(np.int64))


def write_by_slice(context, start, where, values):
    context[start : start + len(values)] = values


def write_by_many(context, start, where, values):
    context.write_many(where, values)


def write_by_many_backwards(context, start, where, values):
    context.write_many(where[::-1], values[::-1], threads=2)


def write_one_by_one(context, start, where, values):
    for address, value in zip(where.tolist(), values.tolist(), strict=True):
        context[address] = value


def read_by_slice(context, start, where):
    return context[start : start + len(where)]


def read_into(context, start, where):
    out = np.empty(len(where))
    context.fetch_into(start, out, threads=2)
    return out


def read_many(context, start, where):
    return context.fetch_many(where)


def read_one_by_one(context, start, where):
    return np.array([context[address] for address in where.tolist()])


def read_fork(context, start, where):
    return context.fork().fetch_many(where)


WRITERS = [write_by_slice, write_by_many, write_by_many_backwards, write_one_by_one]
READERS = [read_by_slice, read_into, read_many, read_one_by_one, read_fork]


@pytest.mark.parametrize("write", WRITERS, ids=lambda f: f.__name__)
def test_reads_see_old_or_new_and_all_that_came_before(generator, start, write):
    """Each cell is of a round that had begun, and no earlier than the last one finished."""
    context = GMemContext(0x5EED, generator)
    where = oracles.run_addresses(start, N)
    generated = context[start : start + N]
    begun, finished = [-1], [-1]
    count = ROUNDS if write is not write_one_by_one else ROUNDS // 4

    def writer():
        for number in range(count):
            begun[0] = number
            write(context, start, where, pattern(where, number))
            finished[0] = number

    def reader(read):
        def work():
            latest = np.full(N, -1)
            while finished[0] < count - 1:
                at_least = finished[0]
                seen = rounds(where, read(context, start, where), generated)
                assert seen.min() >= at_least
                assert seen.max() <= begun[0]
                assert (seen >= latest).all(), "a cell went back in time"
                latest = seen

        return work

    together(writer, *map(reader, READERS))
    assert (rounds(where, context.fetch_many(where), generated) == count - 1).all()
    assert context.overlay_count == N


@pytest.mark.parametrize("read", READERS, ids=lambda f: f.__name__)
def test_reads_beside_erasing(start, read):
    """A cell that is written and erased in turns is read as the one or the other."""
    context = GMemContext(77)
    where = oracles.run_addresses(start, N)
    generated = context[start : start + N]
    running = [True]

    def writer():
        for number in range(ROUNDS):
            context[start : start + N] = pattern(where, number)
            del context[start + number : start + N]
            if number % 8 == 7:
                context.clear()
        running[0] = False

    def reader():
        while running[0]:
            rounds(where, read(context, start, where), generated)

    together(writer, reader, reader)
    context.clear()
    assert context.overlay_count == 0
    assert (read(context, start, where) == generated).all()


@pytest.mark.parametrize("copy", ["fork", "overlay"])
def test_copies_are_of_one_moment(copy):
    """Of two cells written in turns, a copy never has the later without the earlier."""
    context = GMemContext(3)
    # Far apart, so that they are kept in different places.
    pairs = [(5, 2**63 + 5), (2**40, 64), (CELLS - 1, 0), (1000, 2**20)]
    running = [True]

    def writer(first, second):
        def work():
            for number in range(3000):
                context[first] = number
                context[second] = number
            running[0] = False

        return work

    def copier():
        while running[0]:
            if copy == "fork":
                forked = context.fork()
                written = {a: forked[a] for pair in pairs for a in pair if forked.is_written(a)}
                assert forked.overlay_count == len(written)
            else:
                where, values = context.overlay()
                assert (where[1:] > where[:-1]).all()
                written = dict(zip(where.tolist(), values.tolist(), strict=True))
            for first, second in pairs:
                ahead, behind = written.get(first, -1.0), written.get(second, -1.0)
                assert behind <= ahead <= behind + 1

    together(*(writer(*pair) for pair in pairs), copier, copier)


def test_a_fork_made_during_writes_stays_as_it_was():
    """Writes that go on do not reach a fork, nor the fork's the original."""
    context = GMemContext(8)
    where = oracles.run_addresses(2**40 - 700, N)
    generated = context.fetch_many(where)
    context.write_many(where, pattern(where, 0))
    running = [True]

    def writer():
        for number in range(1, ROUNDS):
            context.write_many(where, pattern(where, number))
        running[0] = False

    def forker():
        while running[0]:
            fork = context.fork()
            before = fork.fetch_many(where)
            rounds(where, before, generated)
            fork[0] = 1.0
            assert (fork.fetch_many(where) == before).all()
            assert fork.overlay_count == N + 1

    together(writer, forker, forker)
    assert not context.is_written(0)


@pytest.mark.parametrize("threads", [1, 2, 3, None])
@pytest.mark.parametrize("spread", [1, 64, 2**40])
def test_parallel_write_many_keeps_the_order_of_duplicates(threads, spread):
    """Where an address comes many times, its last value stays, with any number of threads."""
    rng = np.random.default_rng(9)
    index = rng.integers(0, 5000, 300_000)
    values = np.arange(index.size, dtype=np.float64)
    context = GMemContext(1)
    context.write_many(index.astype(np.uint64) * np.uint64(spread), values, threads=threads)
    last = np.full(5000, -1.0)
    last[index] = values  # NumPy too lets the last one stay
    written = np.flatnonzero(last >= 0)
    where, found = context.overlay()
    assert (where == written.astype(np.uint64) * np.uint64(spread)).all()
    assert (found == last[written]).all()


def test_two_bulk_writes_to_the_same_cells():
    """Every cell ends with the value of the one or of the other, and is counted once."""
    where = np.random.default_rng(4).integers(0, CELLS, 100_000, dtype=np.uint64)
    context = GMemContext(2)
    together(
        lambda: context.write_many(where, 1.0, threads=2),
        lambda: context.write_many(where[::-1], 2.0, threads=2),
    )
    assert set(context.fetch_many(where).tolist()) <= {1.0, 2.0}
    assert context.overlay_count == np.unique(where).size


def test_counts_are_exact_after_racing_writes_and_erasures():
    """overlay_count is what overlay() finds, whatever happened at once in the same pages."""
    context = GMemContext(6)

    def work(lane):
        def run():
            for _ in range(5):
                context[lane:40_000:4] = float(lane)
                del context[lane:20_000:4]
                context.write_many(np.arange(lane, 20_000, 8), float(lane), threads=2)

        return run

    together(*map(work, range(4)))
    where, values = context.overlay()
    expected = sorted(
        address
        for lane in range(4)
        for address in {*range(lane, 20_000, 8), *range(20_000 + lane, 40_000, 4)}
    )
    assert where.tolist() == expected
    assert (values == where % 4).all()
    assert context.overlay_count == len(expected)


def test_every_operation_at_once_comes_to_an_end():
    """Copies and clears, which hold still the whole overlay, do not lock one another out."""
    context = GMemContext(12)
    where = np.random.default_rng(1).integers(0, CELLS, 2000, dtype=np.uint64)
    operations = [
        context.fork,
        context.overlay,
        context.clear,
        lambda: context.write_many(where, 1.0, threads=2),
        lambda: context.fetch_many(where, threads=2),
        lambda: context.__setitem__(slice(0, 2000), 1.0),
        lambda: context.__delitem__(slice(0, CELLS - 1)),
        lambda: context[0:2000],
    ]

    def repeat(operation):
        return lambda: [operation() for _ in range(40)] and None

    together(*map(repeat, operations))
    context.clear()
    assert context.overlay_count == 0


def test_the_first_bulk_reads_may_race(library):
    """Contexts on many threads at once give what one alone gives."""
    expected = oracles.run("vrns16", 99, 2**40 - 5000, 10_000)

    def work():
        return GMemContext(99)[2**40 - 5000 : 2**40 + 5000]

    for values in together(*[work] * 8):
        assert (values == expected).all()


FORK = """
import os
import gmemx

context = gmemx.GMemContext(5)
expected = context[0 : 1 << 20].tobytes()  # the parent's workers exist from here on
for generation in range(3):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        break
    assert gmemx.GMemContext(5)[0 : 1 << 20].tobytes() == expected
assert context[0 : 1 << 20].tobytes() == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_workers_of_its_own():
    """A child that waited for its parent's threads would never end."""
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)
