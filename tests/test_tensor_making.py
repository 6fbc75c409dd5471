"""Tensors are made of sequences, arrays and numbers by copying, and over buffers without."""

import array
import ctypes
import gc
import mmap
import re

import hypothesis.extra.numpy as hnp
import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import BITS, DTYPES, NATIVE, assert_same_values, numpy_dtype

import gmemx
from gmemx import Tensor


@given(
    hnp.arrays(
        st.sampled_from(["?", "i8", "f8"]), hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)
    )
)
def test_nested_sequences(values):
    """bool, int64 or float64 as the Python numbers are, in the shape of the nesting."""
    for data in (values.tolist(), to_tuples(values.tolist())):
        tensor = Tensor(data)
        assert_same_values(tensor.numpy(), values)
        assert (tensor.owner, tensor.offset, tensor.readonly) == (None, 0, False)
        assert tensor.device == "cpu"


def to_tuples(nested):
    return tuple(map(to_tuples, nested)) if isinstance(nested, list) else nested


NUMBERS = st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.integers(-9, 9), st.floats())


@given(
    st.lists(st.sampled_from(["bool", "int", "float"]), min_size=1, max_size=3),
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=3),
    st.data(),
)
def test_numbers_of_several_kinds(kinds, shape, data):
    """As NumPy's: the widest of what is there, bit for bit, or one error and no tensor."""
    kind = st.one_of(
        *([st.booleans()] if "bool" in kinds else []),
        *([st.integers(-(2**63), 2**63 - 1), st.integers(-9, 9)] if "int" in kinds else []),
        *([st.floats()] if "float" in kinds else []),
    )
    count = int(np.prod(shape))
    flat = data.draw(st.lists(kind, min_size=count, max_size=count))
    values = np.array(flat, dtype=object).reshape(shape).tolist()
    expected = np.array(flat).reshape(shape)
    tensor = Tensor(values)
    assert tensor.dtype == expected.dtype
    assert_same_values(tensor.numpy(), expected)
    for name in ("float64", "float32", "bfloat16"):
        assert_same_values(
            Tensor(to_tuples(values), name).numpy(),
            oracles.converted(expected, expected.dtype.name, name),
        )


@given(st.recursive(NUMBERS, lambda part: st.lists(part, max_size=3), max_leaves=12))
def test_sequences_are_taken_as_numpy_takes_them(data):
    """Whatever the nesting: ragged data and numbers too large are refused where NumPy refuses."""
    try:
        expected = np.asarray(data)
    except ValueError:
        with pytest.raises(ValueError, match="ragged"):
            Tensor(data)
        return
    if expected.dtype == object:
        # Python's integers, some of which no 64 bits hold.
        with pytest.raises((OverflowError, TypeError)):
            Tensor(data)
        return
    tensor = Tensor(data)
    assert tensor.shape == expected.shape
    np.testing.assert_array_equal(tensor.numpy().astype(np.float64), expected.astype(np.float64))


def test_a_list_in_itself():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested without end"):
        Tensor(endless)


def test_lists_that_change_while_they_are_read():
    """Making a tensor may run the garbage collector, and that any code."""
    rng = np.random.default_rng(7)
    rows = [[1.0] * 50 for _ in range(50)]

    def change(phase, details):
        row = rows[rng.integers(50)]
        row[:] = [[1.0] * 50, [], [2] * 50, ["x"] * 50, [[1.0]] * 50][rng.integers(5)]

    before = gc.get_threshold()
    gc.callbacks.append(change)
    # Kept, so that each is allocated anew.
    made, refused = [], 0
    try:
        for _ in range(500):
            # At one allocation or another: those in between come in a regular order.
            gc.set_threshold(int(rng.integers(1, 6)))
            try:
                made.append(Tensor(rows))
            except (ValueError, TypeError):
                refused += 1
            rows[:] = [[1.0] * 50 for _ in range(50)]
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(change)
    assert refused
    assert {tensor.shape for tensor in made} >= {(50, 50)}


@pytest.mark.parametrize("name", DTYPES)
def test_sequences_in_a_given_dtype(name):
    """Each number becomes what the dtype holds."""
    tensor = Tensor([[0, 1, 1], [1, 0, 1]], name)
    assert tensor.dtype == name
    assert tensor.shape == (2, 3)
    assert tensor.astype("int64").tolist() == [[0, 1, 1], [1, 0, 1]]
    assert Tensor([], name).shape == (0,)
    assert Tensor([[], []], name).shape == (2, 0)
    assert Tensor(1, name).shape == ()
    assert Tensor(range(2), name).astype("int8").tolist() == [0, 1]


@pytest.mark.parametrize("name", oracles.INTEGERS)
def test_integers_written_out_must_fit(name):
    """The limits do; one beyond is an OverflowError that names it, whatever else is there."""
    low, high = oracles.limits(name)
    assert Tensor([low, high], name).tolist() == [low, high]
    for outside in (low - 1, high + 1, -(2**200), 2**200):
        for data in ([outside], [0, outside, 1], outside, [low, outside], [outside, high]):
            with pytest.raises(OverflowError, match=name):
                Tensor(data, name)
        with pytest.raises(OverflowError, match=name):
            gmemx.full(2, outside, name)
        with pytest.raises(OverflowError, match=name):
            gmemx.zeros(2, name).fill(outside)


def test_integers_of_64_bits_keep_every_bit():
    """Also where NumPy would go by way of a float; what fits in neither type is refused."""
    assert Tensor([2**64 - 1, 1], "uint64").tolist() == [2**64 - 1, 1]
    assert Tensor([-1, 2**63 - 1], "int64").tolist() == [-1, 2**63 - 1]
    assert gmemx.full(1, 2**64 - 1).tolist() == [2**64 - 1]
    for name in ("int64", "uint64"):
        with pytest.raises(OverflowError):
            Tensor([-1, 2**63 + 1], name)


@given(oracles.strided(DTYPES), st.sampled_from(DTYPES))
def test_arrays_are_copied(source, target):
    """NumPy's, ml_dtypes' and tensors: of the same dtype or another, in C order, never shared."""
    name, values = source
    tensor = Tensor(values)
    assert tensor.dtype == ("int8" if name == "int4" else name)
    assert tensor.is_contiguous
    assert_same_values(tensor.numpy(), np.ascontiguousarray(values).reshape(values.shape))
    again = Tensor(tensor, target)
    assert again.owner is None
    expected = oracles.converted(values, name, target)
    mine = again.astype("int8").numpy() if target == "int4" else again.numpy()
    assert_same_values(mine, expected)
    if values.size:
        assert not np.shares_memory(tensor.numpy(), values)
        assert not np.shares_memory(again.numpy() if target != "int4" else mine, tensor.numpy())


def test_buffers_of_others_are_copied():
    """Of ctypes, which gives no strides; of array, mmap and memoryview; without dimensions."""
    grid = ((ctypes.c_int16 * 3) * 2)((1, 2, 3), (4, 5, 6))
    assert Tensor(grid).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert Tensor(grid, "float32").tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert Tensor(ctypes.c_double(2.5)).item() == 2.5
    assert Tensor(array.array("f", [1.5, 2.5])).dtype == "float32"
    assert Tensor(array.array("f")).shape == (0,)
    assert Tensor(memoryview(bytes(range(6))).cast("B", (2, 3))[::-1]).tolist() == [
        [3, 4, 5],
        [0, 1, 2],
    ]
    assert Tensor(memoryview(np.array(7.0))).shape == ()
    assert Tensor(b"ab").tolist() == [97, 98]
    with mmap.mmap(-1, 4) as memory:
        memory[1] = 9
        tensor = Tensor(memory)
        # Nothing holds the memory any more: closing it would be refused.
    assert tensor.tolist() == [0, 9, 0, 0]


@pytest.mark.parametrize("data", [np.zeros(2, "M8[s]"), np.zeros(2, ">f8"), np.zeros(2, "i4,f4")])
def test_buffers_of_other_things_are_refused(data):
    for make in (Tensor, Tensor.from_buffer):
        with pytest.raises(ValueError, match="dtype"):
            make(data)


def test_ml_dtypes_int4_arrays():
    """A byte an element there: the values come over, into int8 or packed."""
    values = np.array([[-8, -1], [0, 7]], ml_dtypes.int4)
    assert Tensor(values).tolist() == [[-8, -1], [0, 7]]
    assert Tensor(values, "int4").tolist() == [[-8, -1], [0, 7]]


def test_tensors_in_a_sequence():
    """Refused: NumPy would take those of some dtypes for their bits."""
    tensor = Tensor([1.0, 2.0], "bfloat16")
    for data in ([tensor, tensor], (tensor,), [[tensor], [tensor]]):
        with pytest.raises(TypeError, match="tensors"):
            Tensor(data)
    with pytest.raises(TypeError, match="tensors"):
        tensor.add([tensor])
    with pytest.raises(TypeError, match="tensors"):
        tensor[:] = [tensor[0:1], tensor[1:2]]


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(), 0, 7, (3,), [2, 5], (0, 3), (4, 3, 2, 1, 5)])
def test_empty_zeros_and_full(name, shape):
    """Of any shape; memory of its own begins at a multiple of 64 bytes."""
    full_shape = (shape,) if isinstance(shape, int) else tuple(shape)
    size = int(np.prod(full_shape))
    made = {
        0: gmemx.zeros(shape, name),
        1: gmemx.full(shape, True, name),
        None: gmemx.empty(shape, name),
    }
    for value, tensor in made.items():
        assert (tensor.shape, tensor.size, tensor.ndim) == (full_shape, size, len(full_shape))
        assert tensor.dtype == name
        assert tensor.itemsize == BITS[name] / 8
        assert tensor.nbytes == (size * BITS[name] + 7) // 8
        assert (tensor.owner, tensor.readonly, tensor.is_contiguous) == (None, False, True)
        if size:
            view = np.asarray(tensor)
            assert view.__array_interface__["data"][0] % 64 == 0
        if value is not None:
            assert tensor.astype("int8").tolist() == np.full(full_shape, value).tolist()


def test_full_takes_the_dtype_of_the_value():
    """bool, int64 or float64, as Python has them, or a NumPy scalar's."""
    assert gmemx.full(1, True).dtype == "bool"
    assert gmemx.full(1, 1).dtype == "int64"
    assert gmemx.full(1, 1.0).dtype == "float64"
    assert gmemx.zeros(1).dtype == gmemx.empty(1).dtype == "float64"


BUFFERS = {
    "bytearray": lambda: bytearray(range(16)),
    "memoryview": lambda: memoryview(bytearray(range(16))),
    "array": lambda: array.array("B", range(16)),
    "numpy": lambda: np.arange(16, dtype=np.uint8),
    "ctypes": lambda: (ctypes.c_uint8 * 16)(*range(16)),
    "mmap": lambda: mmap.mmap(-1, 16),
    "tensor": lambda: Tensor(range(16), "uint8"),
}


@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS.keys())
def test_buffers_are_shared(make):
    """Writes go both ways; owner is the object, except that a memoryview is seen through."""
    data = make()
    tensor = Tensor.from_buffer(data)
    assert tensor.dtype == "uint8"
    assert tensor.owner is (data.obj if isinstance(data, memoryview) else data)
    tensor[3] = 99
    memoryview(data).cast("B")[4] = 77
    assert memoryview(data).cast("B")[3] == 99
    assert tensor[4] == 77
    assert Tensor.from_buffer(data, "uint16", (2, 4)).shape == (2, 4)
    assert Tensor.from_buffer(data, shape=(4, 4))[0, 3] == 99
    tensor.close()


@pytest.mark.parametrize("code", "?bBhHiIlLqQfd")
def test_formats_of_buffers(code):
    """Every native code is the dtype NumPy takes it for."""
    values = np.array([0, 1, 1], code)
    tensor = Tensor.from_buffer(values)
    assert tensor.dtype == values.dtype
    assert_same_values(tensor.numpy(), values)
    if code not in "?":
        assert Tensor.from_buffer(array.array(code, [0, 1, 1])).tolist() == [0, 1, 1]
    assert Tensor.from_buffer(memoryview(values)).dtype == values.dtype


@given(oracles.strided())
def test_a_strided_buffer_keeps_its_strides(source):
    """No copy is made for them."""
    _, values = source
    tensor = Tensor.from_buffer(values)
    assert tensor.shape == values.shape
    for extent, mine, its in zip(values.shape, tensor.strides, values.strides, strict=True):
        assert mine == its or extent < 2 or values.size == 0
    assert tensor.owner is values
    assert tensor.is_contiguous == values.flags.c_contiguous


@pytest.mark.parametrize("name", DTYPES)
def test_bytes_seen_as_any_dtype(name):
    """The size says how many; a shape must agree with it."""
    data = bytes(48)
    n = 48 * 8 // BITS[name]
    assert Tensor.from_buffer(data, name).shape == (n,)
    assert Tensor.from_buffer(data, name, (2, n // 2)).shape == (2, n // 2)
    for shape in ((n + 2,), (n - 2,), (2, n), (), (0,)):
        with pytest.raises(ValueError, match=rf"48 bytes.*{name}.*\("):
            Tensor.from_buffer(data, name, shape)
    if BITS[name] > 8:
        with pytest.raises(ValueError, match=f"7 bytes.*{name}"):
            Tensor.from_buffer(bytes(7), name)


@pytest.mark.parametrize("name", oracles.FLOATS[3:])
def test_arrays_of_ml_dtypes_are_shared(name):
    """With their dtype named or not; any layout."""
    values = np.arange(12).astype(numpy_dtype(name)).reshape(3, 4)[:, ::-1]
    for tensor in (Tensor.from_buffer(values), Tensor.from_buffer(values, name)):
        assert tensor.dtype == name
        assert tensor.strides == values.strides
        assert_same_values(tensor.numpy(), values)
        tensor[0, 0] = 5.0
        assert values[0, 0] == 5.0


def test_writable_is_asked_for_or_given_up():
    """True insists, False gives it up, None takes what there is."""
    for data, allowed in ((bytearray(8), True), (bytes(8), False)):
        assert Tensor.from_buffer(data).readonly != allowed
        assert Tensor.from_buffer(data, writable=False).readonly
        if allowed:
            assert not Tensor.from_buffer(data, writable=True).readonly
        else:
            with pytest.raises(BufferError, match="read-only"):
                Tensor.from_buffer(data, writable=True)


def test_seeing_other_bytes_needs_contiguous_memory():
    """A gap cannot be seen through; the strides are named."""
    values = np.zeros((4, 4))[:, ::2]
    for again in ({"dtype": "int32"}, {"shape": (8,)}, {"dtype": "int4"}):
        with pytest.raises(BufferError, match=r"\(4, 2\).*strides \(32, 16\)"):
            Tensor.from_buffer(values, **again)
    assert Tensor.from_buffer(values, "int64").strides == (32, 16)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(2, ">f4"),
        np.zeros(2, "c16"),
        np.zeros(2, "M8[s]"),
        np.zeros(2, "U3"),
        np.zeros(2, [("a", "i4"), ("b", "f4")]),
        np.zeros(2, "g"),
        np.zeros(2, ml_dtypes.float8_e4m3b11fnuz),
    ],
    ids=lambda values: str(values.dtype),
)
def test_buffers_of_what_no_tensor_holds(values):
    """Foreign byte orders, complex numbers, dates, texts and records are refused."""
    for make in (Tensor.from_buffer, Tensor):
        with pytest.raises((ValueError, TypeError), match=r"dtype|buffer|real numbers"):
            make(values)
    if values.dtype.isnative and values.dtype.kind in "cg":
        assert Tensor.from_buffer(values, "uint8").size == values.nbytes


@pytest.mark.parametrize("name", NATIVE)
def test_repr_is_as_numpys(name):
    """The values as NumPy prints them, and the dtype always."""
    for values in (
        oracles.small_array(name, (3, 4), 1),
        oracles.small_array(name, (2, 2, 2), 2),
        oracles.small_array(name, (5,), 3),
        oracles.small_array(name, (), 4),
        oracles.small_array(name, (60, 30), 5),  # not all of it is shown
    ):
        # The rows move along with the opening, which is longer by a letter.
        shown = re.sub(r"\n(?=.)", "\n ", repr(values)).replace("array(", "Tensor(")
        shown = shown.replace(", shape=(60, 30)", "")
        if "dtype=" not in shown:
            shown = f"{shown[:-1]}, dtype={name})"
        assert re.sub(r",\s+dtype", ", dtype", repr(Tensor(values))) == re.sub(
            r",\s+dtype", ", dtype", shown
        )


def test_repr_tells_what_is_unusual():
    """Read-only, closed, or empty."""
    assert repr(Tensor.from_buffer(b"\1\2")) == "Tensor([1, 2], dtype=uint8, readonly)"
    assert repr(gmemx.zeros((0, 3))) == "Tensor([], shape=(0, 3), dtype=float64)"
    assert repr(Tensor([-8, 7], "int4")) == "Tensor([-8, 7], dtype=int4)".replace("7]", " 7]")
    assert repr(Tensor([1.5], "float8_e5m2")) == "Tensor([1.5], dtype=float8_e5m2)"
    tensor = gmemx.zeros(1)
    tensor.close()
    assert repr(tensor) == "Tensor(closed)"
