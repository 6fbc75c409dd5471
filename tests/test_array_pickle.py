"""A virtual array pickles as its context, its layout and its distribution, and no elements."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from arrays import DISTRIBUTIONS, PAIRS

import gmemx
from gmemx import GMemContext

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("name", "dtype"), PAIRS[::5])
def test_elements_and_layout_survive(context, name, dtype, protocol):
    array = context.array((20, 30, 4), dtype, 2**60, "F", DISTRIBUTIONS[name])
    array[1, 2] = 1
    for view in (array, array.T[::-1, 3], array[None, 5:2:-1, ..., 2], array[0, 0, 0:0]):
        again = pickle.loads(pickle.dumps(view, protocol))
        assert (again.shape, again.strides, again.offset) == (view.shape, view.strides, view.offset)
        assert (again.dtype, again.distribution) == (view.dtype, view.distribution)
        assert (again.context.seed, again.context.generator) == (context.seed, context.generator)
        assert again.context.overlay_count == context.overlay_count
        np.testing.assert_array_equal(again.numpy(), view.numpy())


def test_a_pickle_is_small():
    array = GMemContext(7).array((2**30, 2**30), distribution="normal")
    assert len(pickle.dumps(array)) < 700


def test_a_copy_is_on_its_own():
    array = GMemContext(7).array(10)
    again = pickle.loads(pickle.dumps(array))
    again[0] = 5.0
    assert array[0] != 5.0


def test_arrays_of_one_context_still_share_it():
    context = GMemContext(7)
    a, b = pickle.loads(pickle.dumps([context.array(3), context.array(3, offset=1)]))
    a[1] = 9.0
    assert b[0] == 9.0


def test_another_process_makes_the_same_elements():
    array = GMemContext(7, "philox").array((9, 9), "float32", distribution=gmemx.normal(1, 2))[::2]
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).numpy().tobytes().hex())"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(array), stdout=subprocess.PIPE, check=True
    )
    assert bytes.fromhex(done.stdout.decode().strip()) == array.numpy().tobytes()
