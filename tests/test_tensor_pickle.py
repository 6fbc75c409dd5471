"""Pickles and copies hold the values, the layout and the right to write, and nothing else."""

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import DTYPES, assert_same_values, bits_array

import gmemx
from gmemx import Tensor

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def tensor_of(array, name):
    """A tensor of the array, in its layout."""
    if name == "int4":
        return Tensor.from_buffer(oracles.packed(array), "int4", array.shape)
    return Tensor.from_buffer(bits_array(array), name)


def values_of(tensor):
    """The values by their bits."""
    return tensor.astype("int8").numpy() if tensor.dtype == "int4" else tensor.numpy()


def out_of_band(tensor):
    """A tensor pickled with its memory beside, the pickle, and that memory."""
    buffers = []
    data = pickle.dumps(tensor, 5, buffer_callback=buffers.append)
    return data, buffers


def span(array):
    """Bytes from the first to behind the last of an array's elements."""
    if array.size == 0:
        return 0
    reach = sum((n - 1) * abs(step) for n, step in zip(array.shape, array.strides, strict=True))
    return reach + array.itemsize


@given(oracles.strided(DTYPES), st.sampled_from([*PROTOCOLS, "out of band"]), st.booleans())
def test_every_layout_comes_back(source, protocol, writable):
    """Shape, dtype, values by their bits, and whether it may be written."""
    name, array = source
    tensor = tensor_of(array, name)
    if not writable:
        tensor = (
            Tensor.from_buffer(tensor, writable=False)
            if name in oracles.NATIVE
            else (tensor.share_readonly())
        )
    if protocol == "out of band":
        data, buffers = out_of_band(tensor)
        back = pickle.loads(data, buffers=buffers)
    else:
        back = pickle.loads(pickle.dumps(tensor, protocol))
    assert (back.shape, back.dtype, back.readonly) == (array.shape, name, not writable)
    assert_same_values(values_of(back), values_of(tensor))
    if writable and array.size and protocol != "out of band":
        before = values_of(tensor).copy()
        back.fill(True)
        assert back.count_nonzero() == array.size
        assert_same_values(values_of(tensor), before)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("layout", ["rows", "columns", "backwards"])
def test_out_of_band_shares_the_memory(name, layout):
    """One buffer of all the elements, whose bytes are not in the pickle and not copied."""
    array = oracles.random_array(name, (300, 500), 2)
    if name != "int4":
        array = {"rows": array, "columns": array.T, "backwards": array[::-1, ::-1]}[layout]
    tensor = tensor_of(array, name)
    data, buffers = out_of_band(tensor)
    assert len(data) < 400
    assert [len(buffer.raw()) for buffer in buffers] == [tensor.nbytes]
    back = pickle.loads(data, buffers=buffers)
    assert back.strides == tensor.strides
    assert_same_values(values_of(back), values_of(tensor))
    back[:] = False
    assert tensor.count_nonzero() == 0  # the same memory


def test_gaps_do_not_travel():
    """A view of a part takes the part along, and no byte of what lies between."""
    secret = np.full((1000, 1000), 0x5E, np.uint8)
    secret[::10, ::10] = 1
    view = Tensor.from_buffer(secret)[::10, ::10]
    for protocol in PROTOCOLS:
        data = pickle.dumps(view, protocol)
        assert len(data) < 10_000 + 400
        assert b"\x5e\x5e\x5e\x5e" not in data
        assert pickle.loads(data) == view
    data, buffers = out_of_band(view)
    assert len(data) < 400
    assert sum(len(buffer.raw()) for buffer in buffers) == 10_000
    back = pickle.loads(data, buffers=buffers)
    assert back == view
    back[:] = 0
    assert view.sum() == 10_000


@pytest.mark.parametrize("n", [10, 1000, 100_000])
def test_the_pickle_does_not_grow_out_of_band(n):
    """Nor by much in band."""
    data, buffers = out_of_band(gmemx.zeros((n, 3)))
    assert len(data) < 300
    assert len(buffers) == 1
    for protocol in PROTOCOLS:
        extra = len(pickle.dumps(gmemx.zeros(n, "uint8"), protocol)) - n
        assert extra < (300 if protocol > 2 else 300 + n)


def test_read_only_stays_read_only():
    """Whether the bytes that arrive could be written or not."""
    tensor = Tensor.from_buffer(bytes(64))
    for protocol in PROTOCOLS:
        assert pickle.loads(pickle.dumps(tensor, protocol)).readonly
    data, buffers = out_of_band(tensor)
    assert pickle.loads(data, buffers=buffers).readonly
    assert pickle.loads(data, buffers=[bytearray(64)]).readonly
    # Memory that may be written arrives as bytes that may not.
    data, _ = out_of_band(gmemx.zeros(8))
    arrived = pickle.loads(data, buffers=[bytes(64)])
    assert arrived == gmemx.zeros(8)
    if not arrived.readonly:
        arrived[0] = 1.0
        assert arrived[0] == 1.0


def test_a_pickle_crosses_to_another_process():
    """As multiprocessing would send it."""
    program = (
        "import pickle, sys\n"
        "tensor = pickle.load(sys.stdin.buffer)\n"
        "tensor[1] = 7\n"
        "sys.stdout.buffer.write(pickle.dumps(tensor.T))\n"
    )
    tensor = Tensor(np.arange(12).reshape(3, 4), "bfloat16")
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(tensor), capture_output=True, check=True
    )
    tensor[1] = 7
    assert pickle.loads(done.stdout) == tensor.T


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
@given(source=oracles.strided(DTYPES))
def test_copies_have_memory_of_their_own(make, source):
    """In C order, with the values' bits; a read-only one's copy is read-only too."""
    name, array = source
    tensor = tensor_of(array, name)
    made = make(tensor)
    assert (made.shape, made.dtype, made.owner, made.readonly) == (array.shape, name, None, False)
    assert_same_values(values_of(made), values_of(tensor))
    made.fill(True)
    assert_same_values(values_of(tensor), array)
    assert make(tensor.share_readonly()).readonly


def test_deepcopies_in_containers():
    """A tensor that is there twice is there twice afterwards too."""
    tensor = Tensor([1, 2])
    made = copy.deepcopy([tensor, {"same": tensor}])
    assert made[0] is made[1]["same"]
    made[0][0] = 5
    assert tensor.tolist() == [1, 2]


def restored(state):
    """A tensor of a state."""
    tensor = Tensor.__new__(Tensor)
    tensor.__setstate__(state)
    return tensor


@given(oracles.strided(DTYPES))
def test_the_state(source):
    """dtype, shape, strides, offset, read-only and bytes make the tensor again."""
    name, array = source
    tensor = tensor_of(array, name)
    state = tensor.__getstate__()
    dtype, shape, strides, offset, readonly, body = state
    assert (dtype, shape, readonly) == (name, array.shape, False)
    assert strides is None or len(strides) == len(shape)
    assert 0 <= offset <= len(body) == tensor.nbytes
    assert type(body) is bytes
    assert_same_values(values_of(restored(state)), values_of(tensor))


GOOD = ("float64", (2, 3), (24, 8), 0, False, bytes(48))


def changed(**parts):
    names = ("dtype", "shape", "strides", "offset", "readonly", "body")
    return tuple(parts.get(name, part) for name, part in zip(names, GOOD, strict=True))


@pytest.mark.parametrize(
    "state",
    [
        None,
        (),
        GOOD[:5],
        (*GOOD, 1),
        changed(dtype="float31"),
        changed(dtype=5),
        changed(dtype=None),
        changed(shape=(3, 3)),
        changed(shape=(2, 4)),
        changed(shape=(-2, -3)),
        changed(shape=(-1, 6)),
        changed(shape=(2**40, 2**40)),
        changed(shape=(2**40, 2**40), strides=(0, 2**62)),
        changed(shape=(2**70, 3)),
        changed(shape=(2,)),
        changed(shape=(2, 3, 1)),
        changed(shape=None),
        changed(shape=(2.0, 3)),
        changed(shape=(1,) * 65, strides=(8,) * 65),
        changed(strides=(24, 16)),
        changed(strides=(24, -8)),
        changed(strides=(2**62, 8)),
        changed(strides=(-(2**63), 8)),
        changed(strides=(2**70, 8)),
        changed(strides=("a", "b")),
        changed(strides=(24,)),
        changed(strides=None, shape=(2, 4)),
        changed(strides=None, shape=(1000,)),
        changed(strides=None, shape=(6,), offset=1),
        changed(offset=1),
        changed(offset=-8),
        changed(offset=2**70),
        changed(offset="0"),
        changed(body=bytes(47)),
        changed(body=b""),
        changed(body=None),
        changed(body="x" * 48),
        changed(dtype="int4", strides=None, body=bytes(2)),
        changed(dtype="int4", strides=None, offset=46),
        changed(dtype="int4", strides=None, offset=-1),
    ],
    ids=lambda state: repr(state)[:70],
)
def test_corrupted_states_are_refused(state):
    """Nothing reaches outside the bytes that came along; no tensor comes of it."""
    tensor = Tensor.__new__(Tensor)
    with pytest.raises((ValueError, TypeError, OverflowError)):
        tensor.__setstate__(state)
    with pytest.raises(ValueError, match="closed"):
        tensor.sum()


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(-1, 6) | st.integers(-(2**64), 2**64), max_size=3),
    st.none() | st.lists(st.integers(-20, 20) | st.integers(-(2**64), 2**64), max_size=3),
    st.integers(-3, 70) | st.integers(-(2**64), 2**64),
    st.integers(0, 64),
)
def test_any_state_is_safe(name, shape, strides, offset, size):
    """It is refused, or every element lies inside the bytes that came along."""
    body = np.zeros(3 * 64, np.uint8)
    body[:64] = body[128:] = 0xA5
    inside = memoryview(body)[64 : 64 + size]
    strides = None if strides is None else tuple(strides)
    try:
        tensor = restored((name, tuple(shape), strides, offset, False, inside))
    except (ValueError, TypeError, OverflowError):
        return
    if tensor.size == 0:
        return
    if name != "int4":
        low = high = 0
        for extent, step in zip(tensor.shape, tensor.strides, strict=True):
            low += min(0, (extent - 1) * step)
            high += max(0, (extent - 1) * step)
        assert offset + low >= 0
        assert offset + high + tensor.itemsize <= size
    else:
        assert 0 <= offset <= offset + math.ceil(tensor.size / 2) <= size


def test_a_state_is_for_a_new_tensor():
    """A tensor that is in use is not made over."""
    tensor = Tensor([1.0])
    with pytest.raises(TypeError, match="new"):
        tensor.__setstate__(GOOD)
    with pytest.raises(TypeError, match="once"):
        tensor.__init__([2.0])
    assert tensor.tolist() == [1.0]


def test_a_closed_tensor_has_no_state():
    """There is nothing left to keep."""
    tensor = gmemx.zeros(3)
    tensor.close()
    for work in (pickle.dumps, copy.copy, copy.deepcopy, Tensor.__getstate__):
        with pytest.raises(ValueError, match="closed"):
            work(tensor)
