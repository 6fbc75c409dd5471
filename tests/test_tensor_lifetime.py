"""Memory lives as long as something uses it, and not longer."""

import array
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import gmemx
from gmemx import Tensor


class Bytes(bytearray):
    """A buffer that can refer to others, and be referred to weakly."""


class Doubles(array.array):
    """Another."""


OWNERS = {"bytearray": lambda: Bytes(64), "array": lambda: Doubles("d", range(8))}


@pytest.fixture(autouse=True)
def without_automatic_collection():
    """What goes away is then due to counting references, or to the test's own gc.collect()."""
    gc.disable()
    yield
    gc.enable()


# ---- who keeps whom ------------------------------------------------------------------------


@pytest.mark.parametrize("make", OWNERS.values(), ids=OWNERS.keys())
def test_a_tensor_keeps_the_owner_of_its_memory(make):
    """Until it, the last view and the last export have gone."""
    owner = make()
    gone = weakref.ref(owner)
    tensor = Tensor.from_buffer(owner)
    del owner
    view = tensor[1:][::-1]
    del tensor
    export = memoryview(view)
    numpy_array = np.asarray(view)
    del view
    assert gone() is not None
    del export
    assert numpy_array.size
    assert gone() is not None
    del numpy_array
    assert gone() is None


@pytest.mark.parametrize("make", OWNERS.values(), ids=OWNERS.keys())
@pytest.mark.parametrize(
    "through", [lambda t: t, lambda t: t[::2].T, lambda t: [memoryview(t), memoryview(t[1:])]]
)
def test_a_cycle_through_the_owner_is_collected(make, through):
    """An owner that refers back to its tensor, a view or an export of it is garbage."""
    owner = make()
    tensor = Tensor.from_buffer(owner)
    owner.back = through(tensor)
    gone = [weakref.ref(owner), weakref.ref(tensor)]
    del owner, tensor
    assert None not in [reference() for reference in gone]
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_tensor_in_use_survives_a_collection():
    """Only garbage is collected."""
    owner = Bytes(range(16))
    owner.back = tensor = Tensor.from_buffer(owner)
    del owner
    gc.collect()
    assert tensor.owner.back is tensor
    assert tensor.tolist() == list(range(16))


def test_views_keep_the_memory_of_a_tensor():
    """A view of a view belongs to the first tensor, whose memory it keeps."""
    tensor = gmemx.full((100, 100), 5, "int32")
    gone = weakref.ref(tensor)
    views = [tensor[50:], tensor.T, tensor.reshape(-1), tensor[None, 3], tensor.share_readonly()]
    assert all(view.owner is tensor for view in views)
    assert views[0][1:].owner is tensor
    assert views[0][1:].offset == 51 * 400
    last = views[2][::-1].reshape(50, 200)[:, 3]
    del tensor, views
    assert gone() is last.owner
    assert last.tolist() == [5] * 50
    del last
    assert gone() is None


def test_iterators_and_elements_keep_nothing():
    """A Python number is a copy."""
    tensor = gmemx.zeros((3, 2))
    gone = weakref.ref(tensor)
    rows = iter(tensor)
    element = tensor[0, 0]
    del tensor
    assert [row.tolist() for row in rows] == [[0.0, 0.0]] * 3
    del rows
    assert gone() is None
    assert element == 0.0


def test_a_weak_reference_tells_when_a_tensor_went():
    """As for any object."""
    tensor, gone = gmemx.zeros(3), []
    reference = weakref.ref(tensor, gone.append)
    assert reference() is tensor
    del tensor
    assert gone == [reference]


def test_no_subclasses():
    """The methods are called without a look-up, so they may not be overridden."""
    with pytest.raises(TypeError):
        type("Mine", (Tensor,), {})
    with pytest.raises(AttributeError):
        gmemx.zeros(1).anything = 1


# ---- close() -------------------------------------------------------------------------------

USES = {
    "a view": lambda t: t[1:],
    "a view of a view": lambda t: t[1:][::-1],
    "a memoryview": memoryview,
    "an array": np.asarray,
    "a row of an array": lambda t: np.asarray(t)[0],
    "a read-only view": lambda t: t.share_readonly(),
    "a capsule": lambda t: t.__dlpack__(),
    "a versioned capsule": lambda t: t.__dlpack__(max_version=(1, 0)),
    "a pickle's buffer": lambda t: t.__reduce_ex__(5),
    "a tensor over it": Tensor.from_buffer,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_tensor_in_use_is_not_closed(use):
    """BufferError while anything uses its memory; afterwards it can be closed."""
    tensor = gmemx.full((4, 4), 7.0)
    used = use(tensor)
    with pytest.raises(BufferError, match=r"shape \(4, 4\).*1 views or exports"):
        tensor.close()
    assert not tensor.closed
    assert tensor.sum() == 112.0
    del used
    tensor.close()
    assert tensor.closed


def test_closing_gives_the_owner_back():
    """A bytearray with a tensor over it cannot grow; afterwards it can."""
    owner = bytearray(8)
    tensor = Tensor.from_buffer(owner)
    view = tensor[2:]
    with pytest.raises(BufferError):
        owner.append(1)
    view.close()
    assert view.closed
    assert not tensor.closed
    tensor.close()
    tensor.close()
    owner.append(1)
    assert tensor.owner is None


def test_closing_a_view_leaves_the_rest():
    """It lets go of its own part only."""
    tensor = gmemx.zeros(4)
    views = [tensor[i:] for i in range(3)]
    for view in views:
        view.close()
    assert tensor.tolist() == [0.0] * 4
    tensor.close()


def test_the_context_manager_closes():
    """Also after an exception; what is closed cannot be entered."""
    with gmemx.zeros(3) as tensor:
        assert tensor.sum() == 0.0
    assert tensor.closed
    with pytest.raises(ValueError, match="closed"), tensor:
        pass
    with pytest.raises(KeyError), gmemx.zeros(3) as tensor:
        raise KeyError
    assert tensor.closed
    with pytest.raises(BufferError), gmemx.zeros(3) as tensor:
        view = tensor[1:]
    assert view.tolist() == [0.0, 0.0]


CLOSED = {
    name: lambda t, name=name: getattr(t, name)()
    for name in (
        "sum", "mean", "min", "max", "count_nonzero", "item", "tolist", "numpy", "copy",
        "contiguous", "flatten", "squeeze", "crc32c", "relu", "softmax", "share_readonly",
        "transpose", "__array__", "__dlpack__", "__arrow_c_array__", "__enter__", "__getstate__",
    )
} | {
    "index": lambda t: t[0], "slice": lambda t: t[:1], "set": lambda t: t.__setitem__(0, 1.0),
    "set slice": lambda t: t.__setitem__(slice(None), 1.0), "set all": lambda t: t.fill(1.0),
    "iterate": list, "buffer": memoryview, "interface": lambda t: t.__array_interface__,
    "T": lambda t: t.T, "permute": lambda t: t.permute(0, 1), "reshape": lambda t: t.reshape(-1),
    "unsqueeze": lambda t: t.unsqueeze(0), "astype": lambda t: t.astype("int8"),
    "add": lambda t: t + t, "add a number": lambda t: t + 1, "mul": lambda t: t * t,
    "matmul": lambda t: t @ t, "out": lambda t: gmemx.zeros((2, 2)).add(1.0, out=t),
    "operand": lambda t: gmemx.zeros((2, 2)).add(t), "right": lambda t: gmemx.zeros((2, 2)) @ t,
    "equal": lambda t: t.equal(t), "==": lambda t: t == gmemx.zeros((2, 2)),
    "== of another shape": lambda t: t == gmemx.zeros(3), "!=": lambda t: t != t,
    "compared": lambda t: gmemx.zeros((2, 2)) == t,
    "first_difference": lambda t: t.first_difference(t), "bool": bool, "float": float, "int": int,
    "source": lambda t: gmemx.zeros((2, 2)).__setitem__(..., t), "new": Tensor,
    "over": Tensor.from_buffer, "from_dlpack": gmemx.from_dlpack, "pickle": pickle.dumps,
}  # fmt: skip


@pytest.mark.parametrize("work", CLOSED.values(), ids=CLOSED.keys())
def test_a_closed_tensor_refuses_everything(work):
    """ValueError; what it was can still be asked."""
    tensor = gmemx.full((2, 2), 3.0)
    tensor.close()
    with pytest.raises(ValueError, match=r"closed|neither true nor false"):
        work(tensor)
    assert (tensor.shape, tensor.dtype, tensor.nbytes) == ((2, 2), "float64", 32)
    assert repr(tensor) == "Tensor(closed)"
    tensor.close()


def test_an_empty_tensor_is_closed_like_any_other():
    """Though it has no memory to lose."""
    tensor = gmemx.zeros((0, 2))
    tensor.close()
    for work in (list, Tensor.tolist, Tensor.sum, Tensor.contiguous, lambda t: t == t):
        with pytest.raises(ValueError, match="closed"):
            work(tensor)


def test_a_tensor_that_was_never_made_is_safe():
    """__new__ alone gives a tensor of nothing, which refuses as a closed one does."""
    tensor = Tensor.__new__(Tensor)
    for work in CLOSED.values():
        with pytest.raises((ValueError, TypeError, IndexError)):
            work(tensor)
    tensor.close()
    tensor.__init__([1.0])
    assert tensor.tolist() == [1.0]


STATE = gmemx.zeros((2,) * 6).__getstate__()


@pytest.mark.parametrize(
    "work",
    [
        lambda tensor, data, kind: tensor.__init__(data),
        lambda tensor, data, kind: tensor.__init__(np.zeros((2,) * 6), kind),
        lambda tensor, data, kind: tensor.__setstate__((kind, *STATE[1:])),
    ],
    ids=["data", "dtype", "state"],
)
def test_a_tensor_is_made_once_even_by_its_own_data(work):
    """What would make it again from inside is refused; what was made first stays as it is."""
    tensor = Tensor.__new__(Tensor)
    views = []

    def make():
        if not views:
            tensor.__init__([1.0, 2.0])
            views.append(memoryview(tensor))

    class Data:
        def __array__(self, *_, **__):
            make()
            return np.zeros((2,) * 6)

    class Kind(type):
        @property
        def dtype(cls):
            make()
            return np.dtype("float64")

    with pytest.raises(TypeError, match="made once"):
        work(tensor, Data(), Kind("Float", (), {}))
    assert views[0].tolist() == tensor.tolist() == [1.0, 2.0]


def test_a_failure_leaves_no_use_behind():
    """After refused calls of every kind a tensor can still be closed."""
    tensor, closed = gmemx.zeros((2, 2)), gmemx.zeros((2, 2))
    closed.close()
    for work in (
        lambda: tensor + closed,
        lambda: tensor.add(1.0, out=closed),
        lambda: tensor @ closed,
        lambda: tensor.first_difference(closed),
        lambda: tensor.first_difference(gmemx.zeros(3)),
        lambda: tensor.__setitem__(slice(None), closed),
        lambda: tensor.__setitem__(slice(None), gmemx.zeros(3)),
        lambda: tensor.softmax(5),
        lambda: tensor.reshape(3),
        lambda: tensor.T.flatten(),
        lambda: tensor[5],
        lambda: gmemx.zeros(0).min(),
        lambda: gmemx.full(2, 2**62).sum(),
        lambda: tensor.astype("no such"),
        lambda: tensor.T.__arrow_c_array__(),
        lambda: tensor[::-1].__dlpack__(),
        lambda: memoryview(tensor.share_readonly()).__setitem__((0, 0), 1.0),
    ):
        with pytest.raises((ValueError, IndexError, OverflowError, TypeError, BufferError)):
            work()
    tensor.close()


def test_a_panic_leaves_tensors_usable():
    """A defect in the library arrives as RuntimeError; memory and locks are as before."""
    tensor = Tensor([[1.0, 2.0], [3.0, 4.0]])
    for _ in range(3):
        with pytest.raises(RuntimeError, match="panic"):
            gmemx.status.debug_fail(14)
        assert (tensor.sum(), (tensor @ tensor).tolist()) == (10.0, [[7.0, 10.0], [15.0, 22.0]])
        tensor[0, 0] += 1.0
        tensor[0, 0] -= 1.0
    tensor.close()


def test_tensors_may_be_dropped_on_another_thread():
    """Whoever holds the last reference frees the memory."""
    tensors = [gmemx.zeros(1000)[i:] for i in range(100)]
    thread = threading.Thread(target=tensors.clear)
    thread.start()
    thread.join()
    assert tensors == []
