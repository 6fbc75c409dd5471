"""The sixteen element types: their names, their counterparts, and int4's packing."""

import copy
import pickle

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import BITS, DTYPES, NATIVE, numpy_dtype

import gmemx
from gmemx import DType, Tensor, dtype

SHORT = {
    "bool": "b1", "int4": "i4", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "float16": "f16",
    "float32": "f32", "float64": "f64", "bfloat16": "bf16", "float8_e4m3fn": "f8e4m3",
    "float8_e5m2": "f8e5m2",
}  # fmt: skip


@pytest.mark.parametrize("name", DTYPES)
def test_names(name):
    """Long and short, and the object itself, are one dtype."""
    one = dtype(name)
    assert one.name == str(one) == repr(one) == name
    assert one is dtype(SHORT[name]) is dtype(one) is gmemx.zeros(0, name).dtype
    assert (one == name, one == SHORT[name], one != name) == (True, True, False)
    assert one.bits == BITS[name]
    assert one.itemsize == BITS[name] / 8
    assert one.kind == ("b" if name == "bool" else name.lstrip("b")[0])
    assert isinstance(one, DType)
    assert pickle.loads(pickle.dumps(one)) is one
    assert copy.deepcopy(one) is one


def test_all_are_different():
    """Sixteen numbers, sixteen hashes, no two equal."""
    all_of_them = [dtype(name) for name in DTYPES]
    assert len({one.code for one in all_of_them}) == len(set(all_of_them)) == 16
    for i, one in enumerate(all_of_them):
        assert [other == one for other in all_of_them] == [j == i for j in range(16)]


@pytest.mark.parametrize("name", [name for name in DTYPES if name != "int4"])
def test_numpys_and_ml_dtypes_types(name):
    """A dtype, a scalar type, and back."""
    its = numpy_dtype(name)
    assert dtype(its) is dtype(its.type) is dtype(name)
    assert dtype(name).numpy == its
    assert dtype(name) == its
    assert dtype(name) == its.type
    assert gmemx.zeros(3, its).numpy().dtype == its


def test_other_names_of_the_same_types():
    """Python's own types, and every spelling NumPy has for a C type."""
    assert [dtype(kind).name for kind in (bool, int, float)] == ["bool", "int64", "float64"]
    for code in "?bhilqBHILQefd":
        assert dtype(np.dtype(code)) == np.dtype(code).name
    assert dtype(np.longlong) == "int64"
    assert dtype(ml_dtypes.int4) == "int4"


@pytest.mark.parametrize(
    ("wrong", "error", "mention"),
    [
        ("float31", ValueError, "'float31'.*float32"),
        ("", ValueError, "''"),
        ("int8\0", ValueError, "int8"),
        ("\ud800", ValueError, "unknown"),
        ("FLOAT32", ValueError, "FLOAT32"),
        (np.dtype(">f4"), ValueError, ">f4.*byte order"),
        (np.dtype("c16"), ValueError, "complex128"),
        (np.dtype("U3"), ValueError, "str"),
        (str, ValueError, "str"),
        (object, ValueError, "object"),
        (Tensor, ValueError, "Tensor|object"),
        (None, TypeError, "NoneType"),
        (5, TypeError, "int"),
        (b"float32", TypeError, "bytes"),
        ([], TypeError, "list"),
    ],
    ids=repr,
)
def test_what_is_no_dtype(wrong, error, mention):
    """ValueError for a dtype no tensor has, TypeError for what is none, and no equality."""
    with pytest.raises(error, match=mention):
        dtype(wrong)
    assert dtype("float32") != wrong
    if wrong is not None:  # where None is for the dtype of the data
        with pytest.raises(error, match=mention):
            Tensor([1], wrong)
        with pytest.raises(error, match=mention):
            Tensor.from_buffer(b"12345678", wrong)
    with pytest.raises(error, match=mention):
        gmemx.zeros(3, wrong)
    with pytest.raises(error, match=mention):
        gmemx.zeros(3).astype(wrong)


def test_dtypes_are_not_made():
    """They are named."""
    with pytest.raises(TypeError, match="name one"):
        DType()


# ---- int4 ----------------------------------------------------------------------------------


@given(st.lists(st.integers(-8, 7), max_size=40))
def test_int4_is_packed_low_half_first(values):
    """Two to a byte, half a byte left over where the count is odd."""
    tensor = Tensor(values, "int4")
    assert tensor.nbytes == (len(values) + 1) // 2
    assert tensor.strides is None
    assert tensor.is_contiguous
    data = bytes(memoryview(tensor))
    assert data == bytes(oracles.packed(np.array(values, np.int8)))
    assert tensor.tolist() == values
    assert Tensor.from_buffer(data, "int4", len(values)) == tensor
    assert list(tensor) == values


@given(st.integers(1, 20), st.integers(0, 19), st.integers(-8, 7))
def test_int4_elements_are_written_one_by_one(n, i, value):
    """Its neighbour in the byte stays as it was."""
    values = [j % 16 - 8 for j in range(n)]
    tensor = Tensor(values, "int4")
    tensor[i % n], values[i % n] = value, value
    assert tensor.tolist() == values


@given(st.data(), st.integers(0, 3), st.integers(0, 2**32))
def test_int4_parts(data, ndim, seed):
    """A part is a view where it is bytes of its own in a row; else it is refused."""
    shape = tuple(data.draw(st.integers(0, 5)) for _ in range(ndim))
    array = oracles.random_array("int4", shape, seed)
    memory = oracles.packed(array)
    tensor = Tensor.from_buffer(memory, "int4", shape)
    places = np.arange(array.size).reshape(shape)
    index = tuple(
        data.draw(
            st.integers(0, extent - 1) if extent and data.draw(st.booleans()) else st.slices(extent)
        )
        for extent in shape
    )
    part = places[index].reshape(-1)
    if isinstance(places[index], np.generic):
        assert tensor[index] == array[index]
        return
    alone = part.size == 0 or (
        (np.diff(part) == 1).all()
        and part[0] % 2 == 0
        and (part.size % 2 == 0 or part[-1] == array.size - 1)
    )
    if not alone:
        with pytest.raises(ValueError, match=r"int4 tensor of shape \(.*astype\('int8'\)"):
            tensor[index]
        with pytest.raises(ValueError, match=r"int4 tensor of shape \("):
            tensor[index] = 1
        return
    view = tensor[index]
    assert view.shape == array[index].shape
    assert view.tolist() == array[index].tolist()
    view[...] = 5
    array[index] = 5
    assert bytes(memory) == bytes(oracles.packed(array))


def test_int4_changes_of_shape():
    """What keeps the order of the elements is a view; what does not is refused."""
    tensor = Tensor(np.arange(12) % 8, "int4").reshape(3, 4)
    assert tensor.reshape(2, 1, 6).tolist() == (np.arange(12) % 8).reshape(2, 1, 6).tolist()
    assert tensor.unsqueeze(0).permute(1, 0, 2).shape == (3, 1, 4)
    assert tensor.flatten()[2] == 2
    for turn in (lambda: tensor.T, lambda: tensor.permute(1, 0), lambda: tensor.transpose()):
        with pytest.raises(ValueError, match=r"int4 tensor of shape \(3, 4\).*int8"):
            turn()
    assert tensor.astype("int8").T.astype("int4").shape == (4, 3)


def test_int4_has_no_numpy_array():
    """NotImplementedError that says what to do; the bytes are there for who wants them."""
    tensor = Tensor([1, 2, 3], "int4")
    with pytest.raises(NotImplementedError, match="int8"):
        tensor.numpy()
    with pytest.raises(NotImplementedError, match="int8"):
        tensor.dtype.numpy  # noqa: B018
    assert not hasattr(tensor, "__array_interface__")
    assert bytes(tensor) == b"\x21\x03"


@pytest.mark.parametrize("name", NATIVE)
def test_buffers_that_tensors_give(name):
    """The format is NumPy's for that dtype, the layout the tensor's own."""
    array = oracles.random_array(name, (3, 4), 1)
    view = memoryview(Tensor.from_buffer(array)[::-1, ::2])
    assert view.format == memoryview(array).format
    assert (view.shape, view.strides) == ((3, 2), array[::-1, ::2].strides)
    assert view.tobytes() == array[::-1, ::2].tobytes()
