"""Many threads use one memory at once: every value they see is one that was written."""

import functools
import gc

import numpy as np
import oracles
import pytest
from concurrency import together

import gmemx
from gmemx import Tensor

THREADS = 4
ROUNDS = 250


class Owner(bytearray):
    """Memory whose end is noticed."""

    ended = 0

    def __del__(self):
        Owner.ended += 1


def slice_and_read(tensor, rng):
    step = int(rng.choice([-3, -1, 1, 2]))
    view = tensor[:: int(rng.choice([-1, 1])), ::step]
    assert np.array_equal(view.tolist(), view.numpy())
    return view


def export(tensor, rng):
    view = memoryview(tensor[int(rng.integers(50)) :])
    array = np.asarray(view)
    assert view.nbytes == array.nbytes
    return array


def compute(tensor, rng):
    threads = int(rng.integers(1, 4))
    assert tensor.sum(threads=threads) == tensor.sum(axis=0, threads=threads).sum()
    assert tensor.equal(tensor.T.copy(threads=threads).T)
    assert (tensor + tensor).sum() == 2 * tensor.sum()
    return tensor.add(tensor, threads=threads)[1:]


def keep_in_a_cycle(tensor, rng):
    holder = [tensor[1:]]
    holder.append(holder)
    return None


def collect(tensor, rng):
    gc.collect(0)


@pytest.mark.parametrize("name", ["int32", "float64"])
def test_slices_exports_and_computations_at_random(name):
    """Each thread takes views, exports and results, and lets go of them at random."""
    shape = (64, 65)
    array = oracles.small_array(name, shape, 1)
    before = Owner.ended
    owner = Owner(array.tobytes())
    tensor = Tensor.from_buffer(owner, name, shape)
    expected = array.sum()
    operations = [slice_and_read, export, compute, keep_in_a_cycle, collect]

    def work(tensor, seed):
        rng = np.random.default_rng(seed)
        kept = [None] * 20
        for _ in range(ROUNDS):
            operation = operations[rng.integers(len(operations))]
            kept[rng.integers(len(kept))] = operation(tensor, rng)
            assert tensor.sum() == expected
        return kept

    results = together(*(functools.partial(work, tensor, seed) for seed in range(THREADS)))
    with pytest.raises(BufferError):
        tensor.close()
    assert np.array_equal(tensor.numpy(), array)
    del owner, tensor
    gc.collect()
    assert Owner.ended == before  # what the threads kept keeps it
    del results
    gc.collect()
    assert Owner.ended == before + 1


def test_writers_of_neighbouring_parts():
    """A part that one thread writes is disturbed by none of the others, odd sizes included."""
    tensor = gmemx.zeros((THREADS, 10_007), "int16")

    def work(lane):
        part = tensor[lane]
        for number in range(1, ROUNDS):
            part.fill(number)
            assert part.min() == part.max() == number
            part[::2] = part[::2] + 1
            part[::-2] = number + 1
            assert part.count_nonzero() == 10_007

    together(*(lambda lane=lane: work(lane) for lane in range(THREADS)))
    assert tensor.min() == ROUNDS - 1


def test_int4_parts_are_written_side_by_side():
    """Parts share no byte, so threads need not know of one another."""
    tensor = gmemx.zeros(4000 * THREADS, "int4")

    def work(lane):
        part = tensor[4000 * lane : 4000 * (lane + 1)]
        values = (np.arange(4000) * (lane + 1)) % 16 - 8
        for number in range(50):
            part.fill(number % 8)
            assert part.sum() == 4000 * (number % 8)
            part[:] = values
        return values.tolist()

    written = together(*(lambda lane=lane: work(lane) for lane in range(THREADS)))
    assert tensor.tolist() == [value for part in written for value in part]


def test_closing_races_with_use():
    """A tensor is used or closed, never both: ValueError or BufferError, and right values."""

    def use(tensor):
        values = set()
        while not tensor.closed:
            try:
                values |= {tensor.sum(), tensor[::2].max() * 20_000, tensor.copy().sum()}
            except ValueError as error:
                values.add(str(error))
        return values - {60_000.0, "the tensor is closed"}

    def close(tensor):
        refused = set()
        while not tensor.closed:
            try:
                tensor.close()
            except BufferError as error:
                refused.add("use its memory" in str(error))
        return refused - {True}

    for _ in range(60):
        tensor = gmemx.full(20_000, 3.0)
        wrong = together(
            lambda t=tensor: use(t), lambda t=tensor: use(t), lambda t=tensor: close(t)
        )
        assert wrong == [set(), set(), set()]


def test_results_on_many_threads_are_those_of_one():
    """Each call shares its own work out; calls at once do not mix."""
    tensor = Tensor(np.random.default_rng(2).normal(size=(400, 500)))
    matrix = tensor[:, :400]
    expected = [
        tensor.sum(threads=1), tensor.mean(threads=1), tensor.crc32c(threads=1),
        tensor.softmax(threads=1).crc32c(), (tensor.T * 3.0).crc32c(),
        matrix.matmul(matrix, threads=1).crc32c(), tensor.astype("float16").crc32c(),
    ]  # fmt: skip

    def work():
        for threads in (1, 2, 3, None):
            assert expected == [
                tensor.sum(threads=threads), tensor.mean(threads=threads),
                tensor.crc32c(threads=threads), tensor.softmax(threads=threads).crc32c(),
                tensor.T.mul(3.0, threads=threads).crc32c(),
                matrix.matmul(matrix, threads=threads).crc32c(),
                tensor.astype("float16", threads=threads).crc32c(),
            ]  # fmt: skip

    together(*[work] * THREADS)
