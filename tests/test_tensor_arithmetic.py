"""add, mul, relu, softmax and matmul: what NumPy and ml_dtypes compute, rounded once."""

import itertools
import math
import re

import hypothesis.extra.numpy as hnp
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import DTYPES, FLOATS, INTEGERS, NATIVE, assert_same_values, bits_array, numpy_dtype

import gmemx
from gmemx import Tensor

OPERATIONS = {"add": np.add, "mul": np.multiply}


def tensor_of(array, name):
    """A tensor of the array, in its layout."""
    if name == "int4":
        return Tensor.from_buffer(oracles.packed(array), "int4", array.shape)
    return Tensor.from_buffer(bits_array(array), name)


def array_of(tensor):
    """The values of a tensor, in int8 for int4."""
    return tensor.astype("int8").numpy() if tensor.dtype == "int4" else tensor.numpy()


def assert_same_numbers(actual, expected):
    """Bit for bit, but that all NaNs are alike: their sign is the processor's choice."""
    actual, expected = actual.copy(), expected.copy()
    for array in (actual, expected):
        if array.dtype.kind not in "biu":
            array[np.isnan(array)] = np.nan
    assert_same_values(actual, expected)


def combined(operation, a, b, name):
    """The result in that dtype, to which both are converted before."""
    with np.errstate(all="ignore"):
        result = OPERATIONS[operation](a, b)
    if name == "int4":
        return oracles.converted(np.asarray(result), "int8", "int4")
    return np.asarray(result, numpy_dtype(name))


@st.composite
def operands(draw, names):
    """Two arrays of one dtype, in any layout, that broadcast to a third shape."""
    name = draw(st.sampled_from(names))
    shapes = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=5, min_side=0)
    )
    arrays = []
    for shape in shapes.input_shapes:
        make = draw(st.sampled_from([oracles.small_array, oracles.random_array]))
        array = make(name, shape, draw(st.integers(0, 2**32)))
        if name != "int4":
            turn = tuple(slice(None, None, draw(st.sampled_from([1, -1]))) for _ in shape)
            array = np.asarray(array.T.copy().T[turn], array.dtype)
        arrays.append(array)
    return name, *arrays


@pytest.mark.parametrize("operation", OPERATIONS)
@given(pair=operands(DTYPES), threads=st.sampled_from([None, 1, 2]))
def test_broadcast_results(operation, pair, threads):
    """Every dtype; integers wrap, bools are or-ed and and-ed."""
    name, a, b = pair
    expected = combined(operation, a, b, name)
    found = getattr(tensor_of(a, name), operation)(tensor_of(b, name), threads=threads)
    assert (found.dtype, found.shape, found.owner) == (name, expected.shape, None)
    assert_same_numbers(array_of(found), expected)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", FLOATS)
def test_every_pair_of_small_floats_rounds_once(cpu_path, operation, name):
    """All 65,536 pairs of the 8-bit types, and as many of the others."""
    if name.startswith("float8"):
        a = np.arange(256, dtype=np.uint8).view(numpy_dtype(name))
    else:
        a = oracles.random_array(name, (256,), 3)
    expected = combined(operation, a[:, None], a, name)
    found = getattr(tensor_of(a, name).unsqueeze(1), operation)(tensor_of(a, name))
    assert_same_numbers(array_of(found), expected)


@pytest.mark.parametrize(("one", "other"), list(itertools.product(DTYPES, DTYPES)))
def test_the_common_dtype(one, other):
    """NumPy's; bool gives way to anything; else TypeError that names both."""
    a = oracles.small_array(one, (3, 4), 1)
    b = oracles.small_array(other, (4,), 2)
    # Beside NumPy's types int4 is the int8 it is packed from.
    names = [name if name != "int4" else "int8" for name in (one, other)]
    if one == other or "bool" in (one, other):
        common = other if one == "bool" else one
    elif set(names) <= set(NATIVE):
        common = np.promote_types(*names).name
    else:
        with pytest.raises(TypeError, match=f"{one}.* and {other}.*astype"):
            tensor_of(a, one).add(tensor_of(b, other))
        return
    for operation in OPERATIONS:
        found = getattr(tensor_of(a, one), operation)(tensor_of(b, other))
        assert found.dtype == common
        parts = (oracles.converted(x, its, common) for x, its in ((a, one), (b, other)))
        assert_same_numbers(array_of(found), combined(operation, *parts, common))


@pytest.mark.parametrize("name", DTYPES)
def test_python_numbers_take_the_dtype_of_the_tensor(name):
    """Where their kind allows; they stand on either side, as operators and as methods."""
    tensor = Tensor([[0, 1], [1, 0]], name)
    number = True if name == "bool" else 1
    for found in (tensor + number, number + tensor, tensor.add(number)):
        assert found.dtype == name
        assert found.astype("int8").tolist() == (
            [[1, 1]] * 2 if name == "bool" else [[1, 2], [2, 1]]
        )
    for found in (tensor * number, number * tensor, tensor.mul(number)):
        assert found.dtype == name
        assert found == tensor
    assert (tensor + 1.0).dtype == (name if name in FLOATS else "float64")
    if name in INTEGERS:
        with pytest.raises(OverflowError, match=name):
            tensor + (oracles.limits(name)[1] + 1)
    assert (Tensor([True]) + 1).dtype == "int64"
    assert (Tensor([1], "int8") + True).dtype == "int8"


def test_numpy_on_the_left():
    """Its operators leave the work to the tensor, which knows what its bytes mean."""
    tensor = Tensor([[1.0, 2.0], [3.0, 4.0]], "float32")
    array = tensor.numpy().copy()
    for found, expected in (
        (array + tensor, array + array),
        (array * tensor, array * array),
        (array @ tensor, array @ array),
    ):
        assert isinstance(found, Tensor)
        assert_same_values(found.numpy(), expected)
    assert (array == tensor, array != tensor, array + 1 == tensor) == (True, False, False)
    with pytest.raises(TypeError):
        np.add(array, tensor)
    for name in FLOATS[3:]:
        assert (np.array(True) + tensor.astype(name)).dtype == name
        with pytest.raises(TypeError, match=name):
            array + tensor.astype(name)


@pytest.mark.parametrize("name", NATIVE)
def test_numpy_scalars_have_a_dtype_of_their_own(name):
    """On either side, as NumPy promotes them."""
    array = oracles.small_array(name, (3,), 1)
    for other in NATIVE:
        scalar = numpy_dtype(other).type(1)
        for found in (Tensor(array) + scalar, scalar + Tensor(array)):
            assert_same_values(found.numpy(), array + scalar)
        assert_same_values((scalar * Tensor(array)).numpy(), scalar * array)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_integers_wrap(operation):
    """At the limits, in both directions."""
    for name in INTEGERS:
        low, high = oracles.limits(name)
        array = np.array([low, high, low + 1, high // 2], numpy_dtype(name))
        found = getattr(tensor_of(array, name), operation)(tensor_of(array[::-1].copy(), name))
        assert_same_values(array_of(found), combined(operation, array, array[::-1], name))


@pytest.mark.parametrize("threads", [1, 2, None])
@pytest.mark.parametrize("name", ["int4", "uint8", "float16", "float64"])
def test_large_operands(cpu_path, name, threads):
    """In rows, in columns, and one of them a single column."""
    a, b = (oracles.small_array(name, (601, 703), seed) for seed in (1, 2))
    x, y = tensor_of(a, name), tensor_of(b, name)
    assert_same_values(array_of(x.add(y, threads=threads)), combined("add", a, b, name))
    if name != "int4":
        found = x.mul(y[:, 5:6], threads=threads)
        assert_same_values(array_of(found), combined("mul", a, b[:, 5:6], name))
        assert_same_values(array_of(x.T.add(y.T, threads=threads)), combined("add", a, b, name).T)


# ---- out= ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_out_may_be_or_overlap_an_operand(operation):
    """The operands are read as they were before."""
    start = np.arange(1, 50, dtype=np.int32)
    for a, b, out in [
        (np.s_[:], np.s_[:], np.s_[:]),
        (np.s_[:-1], np.s_[:-1], np.s_[1:]),
        (np.s_[1:], np.s_[:-1], np.s_[:-1]),
        (np.s_[::-1], np.s_[:], np.s_[:]),
        (np.s_[5:6], np.s_[:], np.s_[:]),
        (np.s_[:24], np.s_[24:48], np.s_[:48:2]),
    ]:
        array, tensor = start.copy(), Tensor(start)
        target = tensor[out]
        assert getattr(tensor[a], operation)(tensor[b], out=target) is target
        array[out] = OPERATIONS[operation](start[a], start[b])
        assert_same_values(tensor.numpy(), array)
    square = Tensor(np.arange(16).reshape(4, 4))
    expected = OPERATIONS[operation](square.copy().numpy(), square.copy().numpy().T)
    assert getattr(square, operation)(square.T, out=square) == expected


@pytest.mark.parametrize("name", DTYPES)
def test_out_takes_the_result(name):
    """In any layout, int4 too; nothing beside it is touched."""
    tensor = Tensor([[0, 1, 1], [1, 1, 0]], name)
    out = gmemx.full((2, 6), False, name)
    target = out if name == "int4" else out[:, ::-2]
    if name == "int4":
        target = gmemx.empty((2, 3), name)
    assert tensor.mul(tensor, out=target) is target
    assert target == tensor
    assert tensor.relu(out=target) is target
    assert target == tensor
    if name != "int4":
        assert out.astype("int8")[:, ::2].sum() == 0


def test_out_that_does_not_fit():
    """ValueError that names shapes and dtypes, TypeError for what is no tensor."""
    a = gmemx.zeros((2, 3), "float32")
    calls = [
        lambda out: a.add(a, out=out),
        lambda out: a.mul(2.0, out=out),
        lambda out: a.relu(out=out),
        lambda out: a.softmax(out=out),
        lambda out: a.matmul(gmemx.zeros((3, 3), "float32"), out=out),
    ]
    for call in calls:
        for wrong in (gmemx.zeros((3, 2), "float32"), gmemx.zeros((1, 2, 3), "float32")):
            with pytest.raises(ValueError, match=r"\(2, 3\) and dtype float32.*\(.*\) and float32"):
                call(wrong)
        with pytest.raises(ValueError, match=r"float32.*float64"):
            call(gmemx.zeros((2, 3)))
        for wrong in (np.zeros((2, 3), np.float32), [[0.0] * 3] * 2, 1.0):
            with pytest.raises(TypeError, match="Tensor"):
                call(wrong)
        readonly = Tensor.from_buffer(bytes(24), "float32", (2, 3))
        with pytest.raises(ValueError, match=r"read-only"):
            call(readonly)


def test_operands_that_do_not_fit():
    """Both shapes are named."""
    a = gmemx.zeros((2, 3))
    for shape in [(2,), (3, 2), (2, 3, 2), (0,), (4, 1, 2)]:
        for work in (a.add, a.mul, a.__add__, a.__mul__):
            with pytest.raises(ValueError, match=rf"\(2, 3\).*{re.escape(str(shape))}"):
                work(gmemx.zeros(shape))
    for wrong in ("text", None, object(), 1j):
        for work in (lambda w: a + w, lambda w: w + a, lambda w: a * w, lambda w: a @ w, a.add):
            with pytest.raises(TypeError):
                work(wrong)


# ---- relu, softmax, matmul -----------------------------------------------------------------


@given(oracles.strided(DTYPES), st.sampled_from([None, 1, 2]))
def test_relu(source, threads):
    """The greater of each and 0; NaN stays, and -0.0 becomes 0.0."""
    name, array = source
    expected = array.copy()
    if name != "bool":
        expected[array.astype(np.float64) <= 0] = 0
    assert_same_numbers(array_of(tensor_of(array, name).relu(threads=threads)), expected)


def assert_rounded(found, exact, name, slack):
    """`exact`, give or take `slack`, rounded to the dtype."""
    low = oracles.converted(exact - slack, "float64", name).astype(np.float64)
    high = oracles.converted(exact + slack, "float64", name).astype(np.float64)
    value = found.astype(np.float64)
    assert ((low <= value) & (value <= high)).all()


@given(st.data(), oracles.strided(FLOATS, make=oracles.small_array), st.sampled_from([None, 1, 2]))
def test_softmax(data, source, threads):
    """exp(x - max) / sum along any dimension, in float64 and rounded once."""
    name, array = source
    if array.ndim == 0:
        return
    axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
    wide = array.astype(np.float64)
    powers = np.exp(wide - wide.max(axis, keepdims=True, initial=-9.0))
    exact = powers / powers.sum(axis, keepdims=True)
    tensor = tensor_of(array, name)
    found = tensor.softmax(axis, threads=threads)
    assert (found.dtype, found.shape) == (name, array.shape)
    assert_rounded(array_of(found), exact, name, exact * 1e-14)
    target = tensor_of(array.copy(), name)
    assert target.softmax(axis, out=target) is target
    assert_same_values(array_of(target), array_of(found))


def test_softmax_of_extremes():
    """Nothing overflows; a NaN or an infinity makes its lane NaN, and no other."""
    tensor = Tensor([[1e308, -1e308], [1e308, 1e308], [0.0, -math.inf], [math.nan, 1.0]])
    rows = tensor.softmax().tolist()
    assert rows[:3] == [[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]
    assert all(map(math.isnan, rows[3]))
    assert all(map(math.isnan, Tensor([math.inf, 0.0]).softmax().tolist()))
    long = gmemx.zeros((2, 70_000)).softmax()
    assert long.tolist() == [[1 / 70_000] * 70_000] * 2


def test_softmax_of_what_has_none():
    """ValueError for integers, IndexError for a dimension that is not there."""
    for name in ("bool", *INTEGERS):
        with pytest.raises(ValueError, match=f"{name}"):
            gmemx.zeros(3, name).softmax()
    for axis in (1, -2, 2**80):
        with pytest.raises(IndexError, match=r"\(3,\)"):
            gmemx.zeros(3).softmax(axis)
    with pytest.raises(IndexError, match=r"\(\)"):
        gmemx.zeros(()).softmax()
    for axis in (None, "0", 1.0, (0,)):
        with pytest.raises(TypeError):
            gmemx.zeros(3).softmax(axis)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize(
    "form", [(3, 4, 5), (1, 1, 1), (0, 3, 2), (3, 0, 2), (2, 3, 0), (65, 130, 70)]
)
def test_matmul_of_whole_numbers(cpu_path, name, form):
    """Exact where the dtype holds the result; integers wrap, bools are or-ed."""
    m, k, n = form
    a, b = oracles.small_array(name, (m, k), 1), oracles.small_array(name, (k, n), 2)
    exact = a.astype(np.int64) @ b.astype(np.int64)
    expected = oracles.converted(exact, "int64", name) if name != "bool" else exact != 0
    x, y = tensor_of(a, name), tensor_of(b, name)
    for found in (x @ y, x.matmul(y, threads=1), x.matmul(y, threads=2)):
        assert found.dtype == name
        assert_same_values(array_of(found), expected)
    if name != "int4":
        turned = tensor_of(a.T.copy(), name).T, tensor_of(b[::-1, ::-1].copy(), name)[::-1, ::-1]
        assert_same_values(array_of(turned[0] @ turned[1]), expected)


@pytest.mark.parametrize("name", FLOATS)
def test_matmul_rounds_once(name):
    """Products are accumulated in float64."""
    rng = np.random.default_rng(3)
    a, b = (rng.normal(size=(33, 33)).astype(numpy_dtype(name)) for _ in "ab")
    x, y = a.astype(np.float64), b.astype(np.float64)
    exact = np.array([[math.fsum(row * column) for column in y.T] for row in x])
    found = array_of(tensor_of(a, name) @ tensor_of(b, name))
    assert_rounded(found, exact, name, (np.abs(x) @ np.abs(y)) * 1e-14)


def test_matmul_of_what_does_not_fit():
    """Shapes are named; out must be memory of its own."""
    a = gmemx.zeros((3, 3))
    for wrong in (gmemx.zeros((2, 3)), gmemx.zeros(3), gmemx.zeros((1, 3, 3)), [[1.0, 2.0]]):
        with pytest.raises(ValueError, match=r"\(3, 3\).*\("):
            a.matmul(wrong)
    with pytest.raises(ValueError, match=r"\(3,\)"):
        gmemx.zeros(3).matmul(a)
    for out in (a, a.T):
        with pytest.raises(ValueError, match="share memory"):
            a.matmul(gmemx.zeros((3, 3)), out=out)
    with pytest.raises(TypeError, match="bfloat16 and float64"):
        a.astype("bfloat16").matmul(a)
