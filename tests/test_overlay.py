"""Writing and erasing behave like a dict laid over the generated cells."""

import pickle

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from oracles import GENERATORS, assert_same_bits, bits_of, float_of

from gmemx import GMemContext

CELLS = 2**64
# Both ends, page boundaries of 64 and 512, and far-out powers of two.
CENTRES = (0, 512, 2**20 + 64, 2**40, 2**63, CELLS - 1)
SPECIAL_BITS = (
    0x0000_0000_0000_0000,
    0x8000_0000_0000_0000,  # -0.0
    0x0000_0000_0000_0001,  # the least subnormal
    0x800F_FFFF_FFFF_FFFF,  # the greatest negative subnormal
    0x7FF0_0000_0000_0000,  # infinity
    0xFFF0_0000_0000_0000,
    0x7FF8_0000_0000_0000,  # NaNs: quiet, with payloads, negative
    0x7FF8_DEAD_BEEF_0001,
    0xFFFF_FFFF_FFFF_FFFF,
)

addresses = st.builds(
    lambda centre, offset: min(max(centre + offset, 0), CELLS - 1),
    st.sampled_from(CENTRES),
    st.integers(-70, 70) | st.integers(-600, 600),
)


def calm(bits):
    """The bits of a double, a signalling NaN made quiet: passing one by value may do that."""
    signalling = bits & 0x7FF8_0000_0000_0000 == 0x7FF0_0000_0000_0000 and bits & (2**51 - 1)
    return bits | 0x0008_0000_0000_0000 if signalling else bits


value_bits = st.sampled_from(SPECIAL_BITS) | st.integers(0, CELLS - 1).map(calm)
lengths = st.integers(0, 5) | st.integers(0, 200) | st.sampled_from([63, 64, 65, 512, 1024, 1300])
steps = st.sampled_from([1, 1, 1, -1, 2, -2, 3, 8, 9, -9, 64, 100, -513, 2**40, 2**63, -(2**64)])
threads = st.sampled_from([None, 1, 2])


@st.composite
def slices(draw):
    """A slice inside the range, with the addresses it means."""
    start, step, n = draw(addresses), draw(steps), draw(lengths)
    stop = start + step * n
    if stop > CELLS:
        stop = CELLS
    where = slice(start, stop if stop >= 0 else None, step)
    return where, range(start, max(stop, -1), step)


def doubles(bits):
    return np.array(bits, dtype=np.uint64).view(np.float64)


def expanded(draw_bits, n):
    """n values from a few drawn ones: long lists of draws would only be slow."""
    return [calm(draw_bits[i % len(draw_bits)] ^ (i // len(draw_bits) << 3)) for i in range(n)]


few_bits = st.lists(value_bits, min_size=1, max_size=4)


class Model(RuleBasedStateMachine):
    """A context, a dict of bits, and random operations on both."""

    @initialize(seed=st.integers(0, CELLS - 1), generator=st.sampled_from(GENERATORS))
    def start(self, seed, generator):
        self.context = GMemContext(seed, generator)
        self.model = {}
        self.left_behind = []

    def expected(self, where):
        where = np.array(where, dtype=np.uint64)
        values = oracles.many(self.context.generator, self.context.seed, where)
        for i, address in enumerate(where.tolist()):
            if address in self.model:
                values[i] = float_of(self.model[address])
        return values

    @rule(address=addresses, bits=value_bits)
    def write(self, address, bits):
        self.context.write(address, float_of(bits))
        self.model[address] = bits

    @rule(address=addresses, bits=value_bits)
    def set_item(self, address, bits):
        self.context[address] = float_of(bits)
        self.model[address] = bits

    @rule(where=st.lists(addresses, max_size=30), bits=few_bits, threads=threads)
    def write_many(self, where, bits, threads):
        bits = expanded(bits, len(where))
        self.context.write_many(np.array(where, dtype=np.uint64), doubles(bits), threads=threads)
        self.model.update(zip(where, bits, strict=True))

    @rule(where=st.lists(addresses, max_size=30), bits=value_bits)
    def write_many_scalar(self, where, bits):
        self.context.write_many(np.array(where, dtype=np.uint64), float_of(bits))
        self.model.update((address, bits) for address in where)

    @rule(where=slices(), bits=few_bits)
    def assign_slice(self, where, bits):
        where, meant = where
        bits = expanded(bits, len(meant))
        self.context[where] = doubles(bits)
        self.model.update(zip(meant, bits, strict=True))

    @rule(where=slices(), bits=value_bits)
    def fill_slice(self, where, bits):
        where, meant = where
        self.context[where] = float_of(bits)
        self.model.update((address, bits) for address in meant)

    @rule(address=addresses)
    def erase(self, address):
        del self.context[address]
        self.model.pop(address, None)

    @rule(where=slices())
    def erase_slice(self, where):
        where, meant = where
        del self.context[where]
        for address in meant:
            self.model.pop(address, None)

    @rule(a=addresses, b=addresses, step=st.sampled_from([1, 2, 3, -1, -2, 64, 2**63, 2**64]))
    def erase_huge_slice(self, a, b, step):
        a, b = min(a, b), max(a, b)
        if step > 0:
            where, meant = slice(a, b, step), range(a, b, step)
        else:
            where, meant = slice(b, a, step), range(b, a, step)
        del self.context[where]
        self.model = {k: v for k, v in self.model.items() if k not in meant}

    @rule()
    def clear(self):
        self.context.clear()
        self.model.clear()

    @rule(stay=st.booleans())
    def fork(self, stay):
        copy = self.context.fork()
        old, new = (copy, self.context) if stay else (self.context, copy)
        self.left_behind.append((old, dict(self.model)))
        self.context = new

    @rule()
    def pickle(self):
        self.context = pickle.loads(pickle.dumps(self.context))

    @rule(address=addresses)
    def read_one(self, address):
        expected = bits_of(self.expected([address])[0])
        assert bits_of(self.context[address]) == expected
        assert bits_of(self.context.fetch(address)) == expected
        assert self.context.is_written(address) == (address in self.model)

    @rule(where=slices())
    def read_slice(self, where):
        where, meant = where
        assert_same_bits(self.context[where], self.expected(list(meant)))

    @rule(address=addresses, n=lengths, threads=threads)
    def read_into(self, address, n, threads):
        address = min(address, CELLS - max(n, 1))
        out = np.empty(n)
        self.context.fetch_into(address, out, threads=threads)
        assert_same_bits(out, self.expected(range(address, address + n)))

    @rule(where=st.lists(addresses, max_size=60), threads=threads)
    def read_many(self, where, threads):
        array = np.array(where, dtype=np.uint64)
        assert_same_bits(self.context.fetch_many(array, threads=threads), self.expected(where))

    @rule()
    def read_what_is_written(self):
        where = sorted(self.model)
        found, values = self.context.overlay()
        assert found.dtype == np.uint64
        assert found.tolist() == where
        assert_same_bits(values, doubles([self.model[address] for address in where]))
        assert_same_bits(self.context.fetch_many(found), values)

    @invariant()
    def counts_agree(self):
        if hasattr(self, "context"):
            assert self.context.overlay_count == len(self.model)

    def teardown(self):
        for context, model in getattr(self, "left_behind", []):
            found, values = context.overlay()
            assert dict(zip(found.tolist(), values.view(np.uint64).tolist(), strict=True)) == model


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase


@pytest.mark.parametrize("bits", SPECIAL_BITS)
def test_every_bit_is_kept(context, bits):
    """NaN payloads, -0.0, infinities and subnormals come back by every way out."""
    value = float_of(bits)
    for address in (0, 63, 64, 511, 512, 2**40, 2**63 - 1, 2**63, CELLS - 1):
        context[address] = value
        assert bits_of(context[address]) == bits
        assert context[address : address + 1].view(np.uint64).tolist() == [bits]
        assert context.fetch_many([address]).view(np.uint64).tolist() == [bits]
    assert set(context.overlay()[1].view(np.uint64).tolist()) == {bits}
    for copy in (context.fork(), pickle.loads(pickle.dumps(context))):
        assert set(copy.overlay()[1].view(np.uint64).tolist()) == {bits}


@given(st.lists(st.integers(0, CELLS - 1), min_size=1, max_size=50))
def test_bulk_writes_keep_every_bit(bits):
    """Arrays keep even signalling NaNs, by slices and by write_many."""
    context, values = GMemContext(1), doubles(bits)
    context[100 : 100 + len(bits)] = values
    assert_same_bits(context[100 : 100 + len(bits)], values)
    where = np.arange(len(bits)) * 1000 + 2**50
    context.write_many(where, values)
    assert_same_bits(context.fetch_many(where), values)
    assert_same_bits(context.overlay()[1], np.concatenate([values, values]))


def test_writing_the_generated_value_still_counts(context):
    """A cell is written once it was assigned, whatever the value."""
    context[9] = context[9]
    assert context.is_written(9)
    assert context.overlay_count == 1


def test_values_of_other_types_are_converted(context):
    """Integers, other floats, lists, strided and byte-swapped arrays become float64."""
    context[0:4] = [1, 2, 3, 4]
    context[4:8] = np.arange(8, dtype=np.float32)[::2]
    context[8:10] = np.array([0.5, 0.25], dtype=">f8")
    context[10:12] = np.array([True, False])
    context[12:14] = 7
    context.write_many([14, 15], range(2))
    context.write_many(np.array([[20, 21], [22, 23]]), np.array([[1.0, 2.0], [3.0, 4.0]]).T)
    expected = [1, 2, 3, 4, 0, 2, 4, 6, 0.5, 0.25, 1, 0, 7, 7, 0, 1]
    assert context[0:16].tolist() == expected
    assert context[20:24].tolist() == [1, 3, 2, 4]
    context[30] = np.float32(0.5)
    context[31] = 3
    assert context[30:32].tolist() == [0.5, 3.0]


@pytest.mark.parametrize("start", [0, 3, 2**40 - 100, 2**63 - 65, CELLS - 300_000])
def test_long_overlays(context, start):
    """Hundreds of thousands of cells: written by slice, thinned, read on several threads."""
    n = 300_000
    values = np.random.default_rng(start).random(n)
    clean = context[start : start + n]
    context[start : start + n] = values
    assert context.overlay_count == n
    assert_same_bits(context[start : start + n], values)
    del context[start : start + n : 3]
    expected = values.copy()
    expected[::3] = clean[::3]
    assert context.overlay_count == n - len(range(0, n, 3))
    for threads in (1, 2):
        out = np.empty(n)
        context.fetch_into(start, out, threads=threads)
        assert_same_bits(out, expected)
        where = oracles.run_addresses(start, n)
        assert_same_bits(context.fetch_many(where, threads=threads), expected)
    context[start : start + n : 7] = -1.0
    expected[::7] = -1.0
    assert_same_bits(context[start : start + n], expected)
    del context[start : start + n]
    assert context.overlay_count == 0
    assert_same_bits(context[start : start + n], clean)


def test_bulk_reads_show_sparse_writes_in_c(library):
    """The C bulk calls lay the overlay on across the wrap too."""
    context = library.gmem_context_new(5)
    values = np.arange(1000.0)
    start = CELLS - 500
    assert library.gmem_context_write_strided(context, start, 1, values.ctypes.data, 1000) == 0
    assert library.gmem_overlay_count(context) == 1000
    out = np.empty(1200)
    assert library.gmem_context_read(context, CELLS - 600, out.ctypes.data, 1200, 1) == 0
    assert_same_bits(out[100:1100].copy(), values)
    assert library.gmem_context_erase_range(context, CELLS - 10, 20) == 0
    assert library.gmem_overlay_count(context) == 980
    assert library.gmem_context_fill(context, CELLS - 2, CELLS - 1, 5, 7.5) == 0
    assert library.gmem_overlay_count(context) == 985
    assert [library.gmem_fetch(context, CELLS - back) for back in range(2, 7)] == [7.5] * 5
    library.gmem_context_free(context)
