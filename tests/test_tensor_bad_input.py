"""Wrong arguments raise the documented exception, say what is wrong, and change nothing."""

import numpy as np
import pytest

import gmemx
from gmemx import Tensor
from gmemx.errors import GmemxError


@pytest.fixture
def tensor():
    """A tensor that must be the same afterwards."""
    made = Tensor(np.arange(24).reshape(2, 3, 4))
    yield made
    assert made.tolist() == np.arange(24).reshape(2, 3, 4).tolist()
    made.close()


@pytest.mark.parametrize(
    "data", [[[1, 2], [3]], [[1, 2], 3], [1, [2]], [[[1], [2]], [[3], [4, 5]]], [[], [1]]]
)
def test_ragged_data(data):
    """Sequences beside each other must have one length."""
    with pytest.raises(ValueError, match="ragged"):
        Tensor(data)
    with pytest.raises(ValueError, match="ragged"):
        Tensor(data, "int8")


@pytest.mark.parametrize(
    "data",
    ["text", ["a"], None, [None], Ellipsis, 1j, [1j], {1: 2}, {1}, [np.datetime64(0, "s")], [b"a"]],
    ids=repr,
)
def test_data_that_are_no_numbers(data):
    """A TypeError, with a dtype given or not."""
    for dtype in (None, "float32", "bool"):
        with pytest.raises(TypeError, match="real numbers"):
            Tensor(data, dtype)


MAKERS = [gmemx.empty, gmemx.zeros, lambda shape: gmemx.full(shape, 1.0)]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("shape", "error", "mention"),
    [
        (-1, ValueError, "-1"),
        ((2, -3), ValueError, "-3"),
        ((2**40, 2**40), ValueError, r"\(1099511627776, 1099511627776\)"),
        ((2**31, 2**31, 2), ValueError, r"\(2147483648, 2147483648, 2\)"),
        (2**61, ValueError, r"\(2305843009213693952,\)"),
        (2**63, ValueError, str(2**63)),
        (2**64, ValueError, str(2**64)),
        (10**5000, ValueError, "bits"),
        (-(10**5000), ValueError, "bits"),
        ((1,) * 65, ValueError, "64.*65"),
        (2.0, TypeError, "float"),
        ((2, 2.0), TypeError, "float"),
        ("23", TypeError, "str"),
        (None, TypeError, "NoneType"),
        ((None,), TypeError, "NoneType"),
        ({2, 3}, TypeError, "set"),
        (2**45, MemoryError, "memory"),
    ],
    ids=lambda value: repr(value)[:30] if not isinstance(value, int) else "integer",
)
def test_shapes_that_cannot_be(make, shape, error, mention):
    """No overflow makes a small tensor of a large shape."""
    with pytest.raises(error, match=mention):
        make(shape)


def test_shapes_of_nothing_may_be_large():
    """Where one extent is zero there is no memory to be had."""
    assert gmemx.zeros((2**40, 0, 2**40)).shape == (2**40, 0, 2**40)
    with pytest.raises(ValueError, match=r"\(1099511627776, 1099511627776\)"):
        gmemx.zeros((2**40, 0, 2**40)).sum(1)


KEYS = {
    "past the end": ((2,), IndexError, r"index 2 .*dimension 0 of shape \(2, 3, 4\)"),
    "before the start": ((0, -4), IndexError, r"index -4 .*dimension 1 of shape \(2, 3, 4\)"),
    "single": ((0, 0, 4), IndexError, r"index 4 .*dimension 2 of shape \(2, 3, 4\)"),
    "huge": ((2**70,), IndexError, str(2**70)),
    "enormous": ((10**5000,), IndexError, "bits"),
    "too many": ((0, 0, 0, 0), IndexError, r"4 indices.*\(2, 3, 4\)"),
    "too many slices": ((slice(None),) * 4, IndexError, r"4 indices.*\(2, 3, 4\)"),
    "two ellipses": ((..., ...), IndexError, "ellipsis"),
    "too many dimensions": ((None,) * 62, ValueError, "64"),
    "float": (1.0, TypeError, "float"),
    "text": ("0", TypeError, "str"),
    "bool": (True, TypeError, "bool"),
    "NumPy's bool": (np.True_, TypeError, "bool"),
    "list": ([0, 1], TypeError, "list"),
    "array": (np.array([0, 1]), TypeError, "integer"),
    "float in a tuple": ((0, 1.0), TypeError, "float"),
    "step of zero": (slice(None, None, 0), ValueError, "zero"),
    "float in a slice": (slice(0.0, 1), TypeError, "integers"),
    "text in a later slice": ((0, slice("a", None)), TypeError, "integers"),
}


@pytest.mark.parametrize(("key", "error", "mention"), KEYS.values(), ids=KEYS.keys())
def test_indices_that_name_nothing(tensor, key, error, mention):
    """For reading and for writing alike."""
    with pytest.raises(error, match=mention):
        tensor[key]
    with pytest.raises(error, match=mention):
        tensor[key] = 0


def test_integers_of_other_types_are_indices(tensor):
    """Whatever has __index__."""
    assert tensor[np.int8(1), np.uint64(2), Tensor(3)] == tensor[1, 2, 3] == 23
    assert tensor[np.int64(-1)] == tensor[1]


def test_elements_cannot_be_deleted(tensor):
    """As NumPy has it."""
    with pytest.raises((TypeError, ValueError, NotImplementedError)):
        del tensor[0]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("int64", 1.0, TypeError),
        ("int8", 128, OverflowError),
        ("uint8", -1, OverflowError),
        ("uint64", 2**64, OverflowError),
        ("int4", 8, OverflowError),
        ("int4", -9, OverflowError),
        ("int16", 10**5000, OverflowError),
        ("int16", "1", TypeError),
        ("int16", None, TypeError),
        ("bool", 1, TypeError),
        ("bool", None, TypeError),
        ("float32", "1.0", TypeError),
        ("float32", b"1.0", TypeError),
        ("float32", None, TypeError),
        ("float32", 1j, TypeError),
        ("float8_e5m2", 10**400, OverflowError),
    ],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) else "integer",
)
def test_numbers_that_do_not_fit(name, value, error):
    """The dtype is named; nothing is written, in whatever way it is tried."""
    tensor = gmemx.full((2, 2), True, name)
    for work in (
        lambda: tensor.__setitem__((0, 0), value),
        lambda: tensor.fill(value),
        lambda: gmemx.full(2, value, name),
    ):
        with pytest.raises(error, match=name):
            work()
    with pytest.raises((error, ValueError)):  # bytes are a buffer of three elements
        tensor[...] = value
    assert tensor.count_nonzero() == 4


def test_values_that_do_not_fit(tensor):
    """Both shapes are named."""
    for shape in [(3,), (2, 3), (3, 2, 4), (2, 2, 3, 4), (0,)]:
        with pytest.raises(ValueError, match=r"shape \(.*\).*\(2, 3, 4\)"):
            tensor[...] = np.zeros(shape)
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        tensor[0, 0] = [1, 2, 3]
    with pytest.raises(ValueError, match="ragged"):
        tensor[0] = [[1, 2], [3]]
    for wrong in ("text", None, [None], object()):
        with pytest.raises(TypeError):
            tensor[0] = wrong


RESHAPES = [
    ((5,), ValueError, r"\(2, 3, 4\) has 24 elements.*\(5,\)"),
    ((-1, 5), ValueError, r"24.*\(-1, 5\)"),
    ((-1, -1), ValueError, r"\(-1, -1\)"),
    ((-1, 0), ValueError, r"\(-1, 0\)"),
    ((-2, -12), ValueError, r"\(-2, -12\)"),
    ((2**40, 2**40), ValueError, r"24"),
    ((2**64, -1), ValueError, r"24"),
    ((1,) * 64 + (24,), ValueError, "64"),
    ((24.0,), TypeError, "float"),
    (("24",), TypeError, "str"),
    ((None,), TypeError, "NoneType"),
    ((), ValueError, r"\(\)"),
]


@pytest.mark.parametrize(("shape", "error", "mention"), RESHAPES, ids=lambda v: repr(v)[:25])
def test_reshapes_that_do_not_fit(tensor, shape, error, mention):
    """The tensor's shape and the wanted one are named."""
    with pytest.raises(error, match=mention):
        tensor.reshape(*shape)
    with pytest.raises(error, match=mention):
        tensor.reshape(shape)
    with pytest.raises(error, match=mention):
        tensor.reshape(list(shape))


def test_a_reshape_that_needs_a_copy(tensor):
    """It is refused, with the way out."""
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*contiguous\(\)") as caught:
        tensor.permute(2, 1, 0).reshape(2, 3, 4)
    assert isinstance(caught.value, GmemxError)
    with pytest.raises(ValueError, match="copy"):
        tensor[:, ::2].flatten()


AXES = {
    "permute twice": (lambda t: t.permute(0, 0, 1), ValueError, r"\(0, 0, 1\).*\(2, 3, 4\)"),
    "permute few": (lambda t: t.permute(1, 0), ValueError, r"\(1, 0\).*\(2, 3, 4\)"),
    "permute none": (lambda t: t.permute(), ValueError, r"\(2, 3, 4\)"),
    "permute far": (lambda t: t.permute(0, 1, 3), IndexError, r"3.*\(2, 3, 4\)"),
    "permute float": (lambda t: t.permute(0, 1, 2.0), TypeError, "float"),
    "transpose far": (lambda t: t.transpose(0, -4), IndexError, r"-4.*\(2, 3, 4\)"),
    "transpose text": (lambda t: t.transpose("0"), TypeError, "str"),
    "transpose one": (lambda t: t[0, 0].transpose(), IndexError, r"1.*\(4,\)"),
    "squeeze far": (lambda t: t.squeeze(3), IndexError, r"3.*\(2, 3, 4\)"),
    "squeeze more": (lambda t: t.squeeze(1), ValueError, r"axis 1.*\(2, 3, 4\).*3"),
    "squeeze float": (lambda t: t.squeeze(1.0), TypeError, "float"),
    "unsqueeze far": (lambda t: t.unsqueeze(4), IndexError, r"4.*\(2, 3, 4\)"),
    "unsqueeze before": (lambda t: t.unsqueeze(-5), IndexError, r"-5.*\(2, 3, 4\)"),
    "unsqueeze huge": (lambda t: t.unsqueeze(2**80), IndexError, str(2**80)),
    "unsqueeze float": (lambda t: t.unsqueeze(1.0), TypeError, "float"),
    "unsqueeze none": (lambda t: t.unsqueeze(None), TypeError, "NoneType"),
    "unsqueeze text": (lambda t: t.unsqueeze("0"), TypeError, "str"),
}


@pytest.mark.parametrize(("work", "error", "mention"), AXES.values(), ids=AXES.keys())
def test_dimensions_that_are_none(tensor, work, error, mention):
    """The shape is named, and the dimension asked for."""
    with pytest.raises(error, match=mention):
        work(tensor)


def test_objects_that_are_no_buffers():
    """A TypeError that names the type."""
    for wrong in (1, "text", None, [1], object()):
        with pytest.raises(TypeError, match=type(wrong).__name__):
            Tensor.from_buffer(wrong)


def test_numbers_of_many(tensor):
    """Only one element is a number, and only an integer an index."""
    for work in (bool, float, int, Tensor.item):
        with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
            work(tensor)
    with pytest.raises(TypeError, match=r"\(2, 3, 4\)"):
        [1][tensor]
    with pytest.raises(TypeError, match="float64"):
        [1][Tensor(0.0)]
    assert [1, 2][Tensor(1)] == 2


@pytest.mark.parametrize("threads", [0, -1, 4097, 2**70, 1.0, "1"])
def test_threads_that_cannot_be(tensor, threads):
    """From 1 to 4096, or None for one a core; checked before anything is done."""
    for work in (
        tensor.copy, tensor.sum, tensor.crc32c, tensor.relu,
        lambda threads: tensor.astype("int8", threads=threads),
        lambda threads: tensor.equal(tensor, threads=threads),
        lambda threads: tensor.first_difference(tensor, threads=threads),
        lambda threads: tensor.add(tensor, out=tensor, threads=threads),
        lambda threads: tensor[0].matmul(tensor[0].T, threads=threads),
        lambda threads: tensor.astype("f32").softmax(threads=threads),
    ):  # fmt: skip
        error = ValueError if isinstance(threads, int) else TypeError
        with pytest.raises(error, match="threads"):
            work(threads=threads)
