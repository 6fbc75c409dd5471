"""Whatever is done with tensors, and however it fails, memory goes back."""

import pickle

import numpy as np
import pytest
from leaks import growth, needs_statm, resident

import gmemx
from gmemx import GMemContext, Tensor

pytestmark = needs_statm


def make_and_drop():
    gmemx.zeros((3, 4))[1:].T.reshape(4, 2).unsqueeze(0)


def export(tensor=gmemx.zeros((8, 8))):  # noqa: B008, one for all calls on purpose
    np.asarray(tensor[::2])
    memoryview(tensor)
    tensor.__dlpack__()
    gmemx.from_dlpack(tensor)[0].tolist()
    tensor[0].__arrow_c_array__()


def compute(tensor=gmemx.zeros((8, 8))):  # noqa: B008
    (tensor + 1.0).sum(axis=0)
    tensor.astype("int4").astype("bfloat16").equal(tensor)
    (tensor @ tensor).softmax().crc32c()
    tensor.fill(0.0)
    tensor[:, 1:] = tensor[:, :-1]


def many_dimensions():
    gmemx.zeros((1,) * 64).T.squeeze()


def pickles(tensor=gmemx.zeros((8, 8))):  # noqa: B008
    pickle.loads(pickle.dumps(tensor[::2, ::2]))
    buffers = []
    data = pickle.dumps(tensor, 5, buffer_callback=buffers.append)
    pickle.loads(data, buffers=buffers)


def reduce_cells(context=GMemContext(1)):  # noqa: B008
    context.sum(0, 100)
    context.tensor(0, 10)


def fail(tensor=gmemx.zeros((3, 3))):  # noqa: B008
    for work in (
        lambda: tensor.reshape(5),
        lambda: tensor + gmemx.zeros(4),
        lambda: tensor.sum(7),
        lambda: tensor[::-1].__dlpack__(),
        lambda: Tensor([[1], [1, 2]]),
        lambda: Tensor.from_buffer(bytes(7), "int64"),
        lambda: gmemx.full(2, 2**62).sum(),
        lambda: Tensor.__new__(Tensor).__setstate__(("int8", (9,), (1,), 0, False, b"")),
    ):
        with pytest.raises((ValueError, IndexError, OverflowError, BufferError)):
            work()


@pytest.mark.parametrize(
    ("work", "times"),
    [
        (make_and_drop, 20_000),
        (export, 10_000),
        (compute, 5000),
        (many_dimensions, 10_000),
        (pickles, 5000),
        (reduce_cells, 20_000),
        (fail, 2000),
    ],
)
def test_nothing_leaks(work, times):
    """The resident size stays flat while tensors come and go."""
    # The least that could be lost, a tensor, has more than 200 bytes.
    assert growth(work, times) < max(50 * times, 1 << 20)


def test_large_memory_goes_back_at_once():
    """Not when the collector runs, and not when the thread ends."""
    size = 64 << 20
    gmemx.full(size, 1, "uint8").close()
    before = resident()
    for _ in range(5):
        tensor = gmemx.full(size, 1, "uint8")
        assert resident() - before > size // 2
        del tensor
        assert resident() - before < size // 2
    with gmemx.full(size, 1, "uint8"):
        assert resident() - before > size // 2
    assert resident() - before < size // 2
