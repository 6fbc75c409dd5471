"""Virtual arrays are read, written and reduced from many threads at once."""

import threading

import numpy as np
import pytest
from concurrency import together

import gmemx
from gmemx import GMemContext


def test_many_readers(context):
    array = context.array((300, 400), distribution="normal")
    stored, total = array.numpy(), array.sum()
    product = array.matvec(np.ones(400))

    def read():
        for i in range(20):
            np.testing.assert_array_equal(array[i::7].numpy(threads=2), stored[i::7])
            assert array.sum(threads=2) == total
            np.testing.assert_array_equal(array.matvec(np.ones(400), threads=2), product)
            assert array[i, -i] == stored[i, -i]

    together(*[read] * 4)


def test_writers_of_different_parts(context):
    array = context.array((64, 1000), "int32", distribution=gmemx.integers(0, 5))

    def write(k):
        def work():
            for row in range(k, 64, 4):
                array[row] = row + 100
                assert (array[row].numpy() == row + 100).all()

        return work

    together(*[write(k) for k in range(4)])
    np.testing.assert_array_equal(array[:, 0].numpy(), np.arange(64) + 100)
    assert context.overlay_count == 64_000


def test_a_reader_sees_each_element_before_or_after_a_write(context):
    array = context.array((10, 500), distribution="normal")
    before = array.numpy()
    done = threading.Event()

    def write():
        for _ in range(30):
            array[...] = 7.0
            context.clear()
        done.set()

    def read():
        while not done.is_set():
            seen = array.numpy()
            assert ((seen == before) | (seen == 7.0)).all()
            counts, _ = array.histogram(3, (-100, 100))
            assert counts.sum() == 5000

    together(write, read, read)


@pytest.mark.parametrize("threads", [0, -1, 5000, 1.5, "2"])
def test_threads_that_make_no_sense(threads):
    array = GMemContext(7).array((5, 5))
    error = TypeError if isinstance(threads, (float, str)) else ValueError
    for work in (
        lambda: array.numpy(threads=threads),
        lambda: array.tensor(threads=threads),
        lambda: array.sum(threads=threads),
        lambda: array.mean(0, threads=threads),
        lambda: array.histogram(threads=threads),
        lambda: array.chunks(threads=threads),
        lambda: array.matvec(np.ones(5), threads=threads),
    ):
        with pytest.raises(error, match="threads"):
            work()
