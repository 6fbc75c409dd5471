"""Contexts come, are copied and go: independent copies, and no leak."""

import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from leaks import growth, needs_statm
from oracles import assert_same_bits

import gmemx
from gmemx import FastGMemContext, GMemContext

CELLS = 2**64
COPIES = {
    "fork": lambda context: context.fork(),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda context, protocol=protocol: pickle.loads(
            pickle.dumps(context, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.fixture
def written(context):
    """A context with cells at both ends, a NaN with a payload among them."""
    context[0:100] = np.arange(100.0)
    context.write_many(
        np.array([2**40, 2**63, CELLS - 1], "u8"),
        np.array([0x7FF8_0000_0000_0ABC, 2**63, 1], "u8").view("f8"),
    )
    return context


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES.keys())
def test_copies_are_equal_and_independent(written, make):
    """The same seed, generator and overlay; later writes on either side stay there."""
    made = make(written)
    assert type(made) is GMemContext
    assert made is not written
    assert (made.seed, made.generator) == (written.seed, written.generator)
    for mine, its in zip(written.overlay(), made.overlay(), strict=True):
        assert mine.tobytes() == its.tobytes()
    assert made[12345] == written[12345]

    made[5], written[6] = -5.0, -6.0
    del made[7]
    assert (written[5], made[6], written[7]) == (5.0, 6.0, 7.0)
    made.clear()
    assert written.overlay_count == 103
    written.clear()
    made[1] = 1.0
    assert (written.overlay_count, made.overlay_count) == (0, 1)


def test_a_copy_outlives_its_original():
    """Nothing of the original is borrowed."""
    original = GMemContext(4)
    original[0:1000] = 2.0
    forks = [original.fork(), original.fork().fork()]
    del original
    gc.collect()
    for fork in forks:
        assert (fork[0:1000] == 2.0).all()


def test_arrays_outlive_their_context():
    """Results are copies, not views."""
    context = GMemContext(4)
    context[0:1000] = 2.0
    addresses, values = context.overlay()
    read = context[0:1000]
    context.clear()
    del context
    assert (addresses == np.arange(1000)).all()
    assert (values == 2.0).all()
    assert (read == 2.0).all()
    addresses[0], values[0] = 1, 1.0


def test_a_pickle_crosses_to_another_process(written):
    """As multiprocessing would send it."""
    program = (
        "import pickle, sys\n"
        "context = pickle.load(sys.stdin.buffer)\n"
        "context[1] = 0.0\n"
        "sys.stdout.buffer.write(pickle.dumps(context))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(written),
        capture_output=True,
        check=True,
    )
    back = pickle.loads(done.stdout)
    written[1] = 0.0
    assert_same_bits(back.overlay()[1], written.overlay()[1])


def test_equality_is_identity():
    """Two contexts are never equal, so that they can be keys."""
    a, b = GMemContext(1), GMemContext(1)
    assert a == a
    assert a != b
    assert a != a.fork()
    assert len({a, b, a}) == 2
    assert {a: "kept"}[a] == "kept"
    before = hash(a)
    a[0] = 1.0
    assert hash(a) == before


def test_repr_tells_the_state():
    """Seed, generator and the number of written cells."""
    context = GMemContext(42)
    assert repr(context) == "GMemContext(seed=42, generator='vrns16', overlay_count=0)"
    context[0:7] = 1.0
    assert repr(context) == "GMemContext(seed=42, generator='vrns16', overlay_count=7)"
    last = repr(GMemContext(CELLS - 1, "philox"))
    assert last == f"GMemContext(seed={CELLS - 1}, generator='philox', overlay_count=0)"


def test_what_a_context_tells_of_itself(context):
    """The arguments it was made with, as plain types; any integer type will do as a seed."""
    assert type(context.seed) is int
    assert type(context.overlay_count) is int
    assert GMemContext(np.uint64(CELLS - 1)).seed == CELLS - 1
    assert GMemContext(seed=True).seed == 1
    assert type(context[0]) is float
    assert context.is_written(0) is False


def test_the_seeds_class_is_an_alias():
    """Programs written for the first version import the name they know."""
    assert FastGMemContext is GMemContext
    assert gmemx.FastGMemContext(seed=42).fetch(0) == 0.07779688409536653


def test_no_subclasses():
    """The methods are called without a look-up, so they may not be overridden."""
    with pytest.raises(TypeError):
        type("Mine", (GMemContext,), {})


def test_weak_references():
    """They do not keep a context, and tell when it went."""
    context, gone = GMemContext(1), []
    reference = weakref.ref(context, gone.append)
    cache = weakref.WeakValueDictionary(one=context)
    assert reference() is context
    del context
    gc.collect()
    assert reference() is None
    assert gone == [reference]
    assert "one" not in cache


def test_a_context_may_be_dropped_on_another_thread():
    """Whoever holds the last reference frees it."""
    contexts = [GMemContext(seed) for seed in range(100)]
    for context in contexts:
        context[0:1000] = 1.0
    thread = threading.Thread(target=contexts.clear)
    del context
    thread.start()
    thread.join()
    assert contexts == []


def make_and_drop():
    context = GMemContext(1)
    context[3] = 1.0


def make_clean():
    GMemContext(1, "philox").fetch(5)


def fork_and_copy(context=GMemContext(2)):  # noqa: B008, one for all calls on purpose
    context[0:100] = 1.0
    pickle.loads(pickle.dumps(context.fork())).overlay()


def write_and_erase(context=GMemContext(3)):  # noqa: B008
    context[0:5000] = 1.0
    context.write_many(np.array([2**40, 2**63], "u8"), 1.0)
    del context[100:3000]
    context.clear()


def fail():
    for work in (
        lambda: GMemContext(1, "no such generator"),
        lambda: GMemContext(-1),
        lambda: GMemContext(1)[-1],
        lambda: GMemContext(1).fetch_into(0, [1.0]),
        lambda: GMemContext(1).write_many([1, 2], [1.0]),
    ):
        with pytest.raises((ValueError, OverflowError, IndexError, TypeError)):
            work()


@needs_statm
@pytest.mark.parametrize(
    ("work", "times"),
    [
        (make_and_drop, 120_000),
        (make_clean, 120_000),
        (fork_and_copy, 4000),
        (write_and_erase, 4000),
        (fail, 2000),
    ],
)
def test_nothing_leaks(work, times):
    """The resident size stays flat while contexts come and go."""
    # The least that could be lost, a handle, has 64 bytes; an overlay or an array has hundreds.
    assert growth(work, times) < max(20 * times, 1 << 20)
