"""diff and merge against a model: a dict of the bits of written cells."""

import copy
import pickle
import struct
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gmemx
from gmemx import Delta, GMemContext
from gmemx.errors import MergeConflictError

SEED = 77

# Few, so that sides meet; pages' ends and the ends of the space among them.
addresses = st.sampled_from([0, 1, 2, 63, 64, 65, 2**32, 2**63, 2**64 - 65, 2**64 - 1])
# Zeros of both signs and NaNs of different payloads: equal or unequal only bit by bit.
bits = st.sampled_from(
    [0, 1 << 63, 0x7FF8_0000_0000_0000, 0x7FF8_0000_0000_0001, 0xFFF0_0000_0000_0000, 1]
)
states = st.dictionaries(addresses, bits)


def number(word):
    return struct.unpack("<d", struct.pack("<Q", word))[0]


def word(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def context_of(model, generator="vrns16"):
    context = GMemContext(SEED, generator)
    for address, word in model.items():
        # Through an array: a float argument would make a signalling NaN quiet.
        context.write_many([address], np.array([word], np.uint64).view(np.float64))
    return context


def model_of(context):
    where, values = context.overlay()
    return dict(zip(where.tolist(), values.view(np.uint64).tolist(), strict=True))


def changed(before, after):
    """Addresses whose state differs."""
    return sorted(a for a in before.keys() | after.keys() if before.get(a) != after.get(a))


# ---- what a delta is ----------------------------------------------------------------------


@given(states, states)
def test_a_delta_holds_what_differs(before, after):
    delta = context_of(before).diff(context_of(after))
    assert delta.addresses.tolist() == changed(before, after)
    assert len(delta) == len(delta.addresses)
    for address, value, erased, base, fresh in zip(*delta._columns(), strict=True):
        assert (None if erased else word(value)) == after.get(int(address))
        assert (None if fresh else word(base)) == before.get(int(address))


@given(states, states)
def test_merging_the_difference_gives_the_other(before, after):
    ours, theirs = context_of(before), context_of(after)
    delta = ours.diff(theirs)
    assert ours.merge(delta) == len(changed(before, after))
    assert model_of(ours) == after
    assert len(ours.diff(theirs)) == 0
    assert ours.merge(delta) == 0
    assert ours.merge(delta.inverse()) == len(delta)
    assert model_of(ours) == before


@given(states, states, st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_deltas_pickle(before, after, protocol):
    delta = context_of(before).diff(context_of(after))
    again = pickle.loads(pickle.dumps(delta, protocol))
    assert again == delta
    assert again.digest == delta.digest
    assert copy.deepcopy(delta) == delta
    assert not again.values.flags.writeable


@given(states, states)
def test_a_structured_array_has_all_cells(before, after):
    delta = context_of(before).diff(context_of(after))
    table = np.asarray(delta)
    for name in ("erased", "fresh", "base"):
        assert table[name].tobytes() == getattr(delta, name).tobytes()
    again = Delta(SEED, "vrns16", table["address"], table["value"], table["erased"],
                  table["base"], table["fresh"])  # fmt: skip
    assert again == delta


@given(states, states, st.integers(-10, 2**64), st.integers(-10, 2**65), st.integers(1, 2**65))
def test_a_range_selects(before, after, start, stop, step):
    delta = context_of(before).diff(context_of(after))
    for cells in (range(start, stop), range(start, stop, step), range(stop, start, -step)):
        expected = [a for a in delta.addresses.tolist() if a in cells]
        assert delta.select(cells).addresses.tolist() == expected


def test_runs_of_cells_travel_as_runs_and_out_of_band():
    context = GMemContext(SEED)
    changed = context.fork()
    changed[2**40 : 2**40 + 100_000] = 1.5
    delta = context.diff(changed)
    frames = []
    stream = pickle.dumps(delta, protocol=5, buffer_callback=frames.append)
    assert len(stream) < 500
    assert sum(frame.raw().nbytes for frame in frames) < 8 * 100_000 + 100
    assert pickle.loads(stream, buffers=frames) == delta


def test_the_repr_counts():
    context = GMemContext(SEED, "philox")
    changed = context.fork()
    context[5] = 1.0
    changed[6:8] = 1.0
    assert repr(context.diff(changed)) == (
        f"Delta(seed={SEED}, generator='philox', written=2, erased=1)"
    )


# ---- three ways ---------------------------------------------------------------------------


@given(states, states, states)
def test_three_way_merges(base, ours, theirs):
    delta = context_of(base).diff(context_of(theirs))
    clashes = [
        a
        for a in changed(base, theirs)
        if ours.get(a) != base.get(a) and ours.get(a) != theirs.get(a)
    ]
    wanted = {a for a in changed(base, theirs) if a not in clashes}
    merged = {a: w for a, w in ours.items() if a not in wanted}
    merged |= {a: theirs[a] for a in wanted if a in theirs}

    context = context_of(ours)
    if clashes:
        with pytest.raises(MergeConflictError) as caught:
            context.merge(delta)
        assert caught.value.addresses.tolist() == clashes
        assert f"{len(clashes)} of {len(delta)} " in str(caught.value)
        assert f"address {clashes[0]}" in str(caught.value)
        assert model_of(context) == ours
    else:
        context.merge(delta)
        assert model_of(context) == merged

    context = context_of(ours)
    context.merge(delta, on_conflict="ours")
    assert model_of(context) == merged

    context = context_of(ours)
    context.merge(delta, on_conflict="theirs")
    taken = {a: w for a, w in merged.items() if a not in clashes}
    assert model_of(context) == taken | {a: theirs[a] for a in clashes if a in theirs}

    seen = []

    def choose(where, here, there):
        seen.append((where.tolist(), here.view(np.uint64), there.view(np.uint64)))
        return np.arange(len(where)) + 0.5

    context = context_of(ours)
    context.merge(delta, on_conflict=choose)
    assert model_of(context) == merged | {a: word(i + 0.5) for i, a in enumerate(clashes)}
    assert bool(seen) == bool(clashes)
    for where, here, there in seen:
        assert where == clashes
        generated = GMemContext(SEED)
        for address, mine, other in zip(where, here.tolist(), there.tolist(), strict=True):
            assert mine == ours.get(address, word(generated[address]))
            assert other == theirs.get(address, word(generated[address]))


@given(states, states, states, states)
def test_deltas_in_a_row_are_one(a, b, c, d):
    contexts = [context_of(model) for model in (a, b, c, d)]
    one, two, three = (contexts[i].diff(contexts[i + 1]) for i in range(3))
    whole = contexts[0].diff(contexts[3])
    assert (one | two) | three == one | (two | three) == Delta.concat([one, two, three]) == whole


@given(st.lists(states, min_size=1, max_size=5), st.randoms())
def test_deltas_of_different_cells_are_one_in_any_order(models, random):
    empty, parts, everything = GMemContext(SEED), [], {}
    for i, model in enumerate(models):
        apart = {(address + 1000 * i) % 2**64: w for address, w in model.items()}
        apart = {address: w for address, w in apart.items() if address not in everything}
        everything |= apart
        parts.append(empty.diff(context_of(apart)))
    random.shuffle(parts)
    empty.merge(Delta.concat(parts))
    assert model_of(empty) == everything


def test_deltas_that_do_not_follow_each_other():
    one = Delta(SEED, "vrns16", [1, 2, 3], [1, 2, 3])
    with pytest.raises(
        MergeConflictError, match="2 cells, first at address 2, are not as"
    ) as caught:
        one | Delta(SEED, "vrns16", [2, 3, 4], [5, 6, 7])
    assert caught.value.addresses.tolist() == [2, 3]
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.addresses.tolist() == [2, 3]


# ---- threads ------------------------------------------------------------------------------


def in_threads(*calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_merges_from_many_threads_all_arrive():
    target, empty, sides = GMemContext(SEED), GMemContext(SEED), []
    for i in range(8):
        side = empty.fork()
        side[1000 * i : 1000 * i + 1000] = float(i)
        sides.append(empty.diff(side))
    in_threads(*[lambda part=part: target.merge(part) for part in sides])
    assert target.overlay_count == 8000
    assert target[0:8000].tolist() == [float(i // 1000) for i in range(8000)]


def test_of_merges_that_clash_one_wins():
    """Each changes all cells or none, whoever comes first."""
    empty = GMemContext(SEED)
    for _ in range(20):
        target, refused = GMemContext(SEED), []

        def attempt(value, target=target, refused=refused):
            side = empty.fork()
            side[0:500] = value
            try:
                target.merge(empty.diff(side))
            except MergeConflictError:
                refused.append(value)

        in_threads(*[lambda v=float(value): attempt(v) for value in range(4)])
        assert len(refused) == 3
        assert len(set(target[0:500].tolist())) == 1
        assert target[0] not in refused


def test_a_merge_from_within_a_merge():
    context = GMemContext(SEED)
    context[1] = 1.0
    outer, inner = Delta(SEED, "vrns16", [1], [2.0]), Delta(SEED, "vrns16", [9], [3.0])

    def choose(where, here, there):
        context.merge(inner)
        return there

    assert context.merge(outer, choose) == 1
    assert (context[1], context[9]) == (2.0, 3.0)


# ---- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("other", [GMemContext(SEED + 1), GMemContext(SEED, "philox")])
def test_seed_and_generator_must_agree(other):
    context = GMemContext(SEED)
    other[0] = 1.0
    with pytest.raises(ValueError, match=r"one seed and generator, not \(77, 'vrns16'\) and"):
        context.diff(other)
    delta = GMemContext(other.seed, other.generator).diff(other)
    with pytest.raises(ValueError, match="one seed and generator"):
        context.merge(delta)
    with pytest.raises(ValueError, match="one seed and generator"):
        Delta(SEED, "vrns16", [], []) | delta
    assert context.overlay_count == 0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda c, d: c.diff(5), TypeError, "must be a GMemContext, not int"),
        (lambda c, d: c.merge({}), TypeError, "a Delta is merged, not a dict"),
        (lambda c, d: c.merge(d, "mine"), ValueError, "or a callable, not 'mine'"),
        (lambda c, d: c.merge(d, lambda *_: [1, 2]), ValueError, r"each of 1 cells, .* \(2,\)"),
        (lambda c, d: c.merge(d, lambda *_: "x"), ValueError, "could not convert"),
        (lambda c, d: c.merge(d, lambda *_: 1 / 0), ZeroDivisionError, "division"),
        (lambda c, d: d.select([1]), TypeError, "by a range, not by list"),
        (lambda c, d: d | 5, TypeError, "unsupported operand"),
        (lambda c, d: Delta.concat([]), ValueError, "no delta"),
        (lambda c, d: Delta.concat([d, 5]), TypeError, "one is a int"),
        (lambda c, d: Delta(-1, "vrns16", [], []), OverflowError, "seed -1"),
        (lambda c, d: Delta(1, "mersenne", [], []), ValueError, "mersenne"),
        (lambda c, d: Delta(1, "vrns16", [3, 3], 0.0), ValueError, "address 3 comes twice"),
        (lambda c, d: Delta(1, "vrns16", [-1], 0.0), IndexError, "address -1"),
        (lambda c, d: Delta(1, "vrns16", [0, 2**64], 0.0), IndexError, f"address {2**64}"),
        (lambda c, d: Delta(1, "vrns16", [0.5], 0.0), TypeError, "integers"),
        (lambda c, d: Delta(1, "vrns16", [[1]], 0.0), ValueError, "one row"),
        (lambda c, d: Delta(1, "vrns16", [1], [1, 2]), ValueError, "values must have one"),
        (lambda c, d: d.__array__(copy=False), ValueError, "copy"),
    ],
)
def test_bad_input_changes_nothing(call, error, text):
    context = GMemContext(SEED)
    context[1] = 1.0
    with pytest.raises(error, match=text):
        call(context, Delta(SEED, "vrns16", [1], [2.0]))
    assert model_of(context) == {1: word(1.0)}


def test_a_delta_does_not_change():
    delta = Delta(SEED, "vrns16", [2**64 - 1, 0], [1.0, 2.0])
    assert delta.addresses.tolist() == [0, 2**64 - 1]
    for name in ("addresses", "values", "erased", "base", "fresh"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(delta, name)[0] = 0
    with pytest.raises(TypeError):
        hash(delta)
    assert delta != 5
    assert gmemx.Delta is Delta
