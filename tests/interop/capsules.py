"""DLPack capsules that no library makes: malformed, used twice, unusual and right."""

import ctypes
import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmemx

from .cases import add, case
from .structs import (
    CPU,
    DELETER,
    I64,
    IS_COPIED,
    NAMES,
    PADDED,
    READ_ONLY,
    SET_ERROR,
    DLTensor,
    ExchangeTable,
    Given,
    P,
    Taken,
    capsule,
    capsule_name,
    managed_of,
    object_of,
    table_of,
)

CODE = {"int": 0, "uint": 1, "float": 2}
FLOAT64 = {"code": CODE["float"], "bits": 64}
INT4 = {"code": CODE["int"], "bits": 4}
HUGE = 1 << 62


def numbers(n=24):
    return np.arange(n, dtype="f8")


def floats(**changes):
    """The fields of a right capsule of 24 float64, changed."""
    memory = numbers()
    fields = {"memory": memory, "data": memory.ctypes.data, "shape": (4, 6), "strides": (6, 1)}
    return {**fields, **FLOAT64, **changes}


# What is wrong with a capsule, and a word of what the refusal must say.
MALFORMED = {
    "ndim of -1": ({"ndim": -1}, "-1 dimensions"),
    "ndim of 65": ({"ndim": 65}, "65 dimensions"),
    "the largest ndim": ({"ndim": 2**31 - 1}, "dimensions"),
    "no shape": ({"shape": None, "strides": None, "ndim": 2}, "no shape"),
    "a negative extent": ({"shape": (4, -6)}, "-6 elements"),
    "no data": ({"data": None}, "no memory"),
    "4 lanes": ({"lanes": 4}, "lanes"),
    "no lanes": ({"lanes": 0}, "lanes"),
    "an unknown type code": ({"code": 200}, "type code 200"),
    "complex numbers": ({"code": 5}, "type code 5"),
    "floats of 128 bits": ({"bits": 128}, "128 bits"),
    "elements of no bits": ({"bits": 0}, "0 bits"),
    "memory of a GPU": ({"device_type": 2}, "device type 2"),
    "memory of no device": ({"device_type": 0}, "device type 0"),
    "too many elements": ({"shape": (1 << 40, 1 << 40)}, "too large"),
    "more bytes than addresses": ({"shape": (HUGE, 1)}, "too large"),
    "a stride beyond all memory": ({"strides": (HUGE, 1)}, "too large"),
    "a stride below all memory": ({"strides": (-HUGE, 1)}, "too large"),
    "an offset beyond all memory": ({"byte_offset": (1 << 64) - 8}, "too large"),
    "int4 in another order": ({**INT4, "strides": (1, 4)}, "not packed"),
}
VERSIONED_ONLY = {
    "version 2.0": ({"major": 2, "minor": 0, "ndim": -7, "code": 99}, "2.0"),
    "version 0.8": ({"major": 0, "minor": 8}, "0.8"),
    "padded int4": ({**INT4, "flags": PADDED}, "padded"),
}


def refused(changes, word, versioned):
    """A malformed capsule raises BufferError, and its deleter is called once."""
    made = Given(versioned, **floats(**changes))
    with pytest.raises(BufferError, match=word):
        gmemx.from_dlpack(made)
    assert made.deleted == 1
    it = Given(versioned, **floats(**changes))
    there = it.capsule()
    with pytest.raises(BufferError, match=word):
        gmemx.Tensor.from_dlpack(there)
    assert capsule_name(there).startswith(b"used_")
    del there
    assert it.deleted == 1


for name, (changes, word) in (MALFORMED | VERSIONED_ONLY).items():
    for versioned in (True, False) if name in MALFORMED else (True,):
        add(
            "ctypes",
            f"a {'versioned' if versioned else 'legacy'} capsule with {name} is refused",
            lambda changes=changes, word=word, versioned=versioned: refused(
                changes, word, versioned
            ),
        )


def refused_by_table():
    """What is no capsule's is no exchange table's either."""
    for changes, _ in (MALFORMED | VERSIONED_ONLY).values():
        made = Given(True, **floats(**changes))
        with pytest.raises(BufferError):
            object_of(gmemx.Tensor, ctypes.addressof(made.struct))
        assert made.deleted == 1


add("ctypes", "the exchange table refuses malformed tensors and deletes them", refused_by_table)


@case("ctypes")
def used_twice():
    """A capsule is taken once, and its memory deleted once."""
    for versioned in (True, False):
        made = Given(versioned, **floats())
        there = made.capsule()
        t = gmemx.from_dlpack(there)
        with pytest.raises(BufferError, match="taken once"):
            gmemx.from_dlpack(there)
        assert made.deleted == 0
        assert t.tolist() == numbers().reshape(4, 6).tolist()
        del there
        assert made.deleted == 0
        t.close()
        assert made.deleted == 1
        del t
        assert made.deleted == 1


@case("ctypes")
def other_names():
    """A capsule of another name, or none, is refused and left alone."""
    made = Given(True, **floats())
    for name in (b"something_else", b"used_dltensor", b"used_dltensor_versioned", None):
        there = capsule(made.struct, name)
        with pytest.raises(BufferError, match="named 'dltensor'"):
            gmemx.from_dlpack(there)
        assert capsule_name(there) == name
    assert made.deleted == 0


@case("ctypes")
def no_capsules():
    """What gives no capsule raises BufferError, what has none to give TypeError."""

    class Gives:
        def __dlpack__(self, **_):
            return 7

    class Raises:
        def __dlpack__(self, **_):
            raise RuntimeError("it is elsewhere")

    with pytest.raises(BufferError, match="capsule"):
        gmemx.from_dlpack(Gives())
    with pytest.raises(RuntimeError, match="elsewhere"):
        gmemx.from_dlpack(Raises())
    with pytest.raises(TypeError, match="DLPack"):
        gmemx.from_dlpack([1.0])


def right(expected, versioned=True, readonly=False, **changes):
    made = Given(versioned, **floats(**changes))
    t = gmemx.from_dlpack(made)
    assert t.shape == np.shape(expected)
    assert t.tolist() == np.asarray(expected).tolist()
    assert t.readonly == (readonly or not versioned)
    assert made.deleted == 0
    del t
    assert made.deleted == 1


GRID = numbers().reshape(4, 6)
# What is unusual and right, and the values it must give.
UNUSUAL = {
    "without strides": ({"strides": None}, GRID),
    "with an offset": ({"byte_offset": 8, "shape": (23,), "strides": None}, GRID.ravel()[1:]),
    "without dimensions": ({"shape": None, "strides": None, "ndim": 0}, GRID[0, 0]),
    "with negative strides": ({"byte_offset": 23 * 8, "strides": (-6, -1)}, GRID[::-1, ::-1]),
    "with a stride of 0": ({"shape": (4, 6), "strides": (0, 1)}, np.broadcast_to(GRID[0], (4, 6))),
    "of nothing": ({"data": None, "shape": (4, 0, 6), "strides": None}, np.empty((4, 0, 6))),
    "of one element and any stride": ({"shape": (1, 2), "strides": (HUGE, 1)}, GRID[:1, :2]),
    "of 64 dimensions": (
        {"shape": (1,) * 63 + (3,), "strides": None},
        GRID.ravel()[:3].reshape((1,) * 63 + (3,)),
    ),
}
for name, (changes, expected) in UNUSUAL.items():
    for versioned in (True, False):
        add(
            "ctypes",
            f"a {'versioned' if versioned else 'legacy'} capsule {name} is right",
            lambda changes=changes, expected=expected, versioned=versioned: right(
                expected, versioned, **changes
            ),
        )
add(
    "ctypes",
    "a capsule of a later 1.x with flags nobody knows yet is right",
    lambda: right(GRID, minor=99, flags=1 << 40),
)
add(
    "ctypes",
    "a capsule that says it is read-only stays so",
    lambda: right(GRID, readonly=True, flags=READ_ONLY),
)


@case("ctypes")
def without_deleter():
    """A capsule without a deleter is nobody's to delete."""
    for versioned in (True, False):
        memory = numbers()
        made = Given(versioned, **floats(memory=memory, data=memory.ctypes.data, no_deleter=True))
        t = gmemx.from_dlpack(made)
        assert t.tolist() == GRID.tolist()
        t.close()
        assert made.deleted == 0


@case("ctypes")
def int4():
    """Packed int4 come with and without strides, the low half of a byte first."""
    for strides in (None, (4, 1)):
        memory = np.array([0x21, 0x43, 0x65, 0xF8], "u1")
        fields = {"memory": memory, "data": memory.ctypes.data, "shape": (2, 4), **INT4}
        made = Given(True, strides=strides, **fields)
        t = gmemx.from_dlpack(made)
        assert t.dtype == "int4"
        assert t.tolist() == [[1, 2, 3, 4], [5, 6, -8, -1]]
        t[1, 3] = 7
        assert memory.tolist() == [0x21, 0x43, 0x65, 0x78]
        t.close()
        assert made.deleted == 1


@case("ctypes")
def fuzzed():
    """Whatever the fields, a capsule is refused or right, and deleted once."""
    extents = st.one_of(st.integers(-2, 8), st.sampled_from([2**31, 2**40, 2**62, -(2**63)]))
    steps = st.one_of(st.integers(-8, 8), st.sampled_from([2**40, 2**62, -(2**63), 2**63 - 1]))
    memory = np.zeros(512, "f8")

    @settings(max_examples=1500, deadline=None, database=None)
    @given(
        versioned=st.booleans(),
        shape=st.lists(extents, max_size=5),
        strides=st.one_of(st.none(), st.lists(steps, min_size=5, max_size=5)),
        code=st.sampled_from([0, 1, 2, 4, 6, 10, 12, 255]),
        bits=st.sampled_from([4, 8, 16, 32, 64, 255]),
        lanes=st.sampled_from([1, 1, 1, 0, 65535]),
        device_type=st.sampled_from([1, 1, 1, 2, -1]),
        flags=st.integers(0, 15),
        major=st.sampled_from([1, 1, 1, 0, 2]),
        offset=st.sampled_from([0, 8, 2048, 2**63]),
    )
    def check(versioned, shape, strides, code, bits, lanes, device_type, flags, major, offset):
        made = Given(
            versioned,
            data=memory.ctypes.data,
            shape=shape,
            strides=None if strides is None else strides[: len(shape)],
            code=code,
            bits=bits,
            lanes=lanes,
            device_type=device_type,
            byte_offset=offset,
            **({"flags": flags, "major": major} if versioned else {}),
        )
        try:
            t = gmemx.from_dlpack(made)
        except BufferError:
            assert made.deleted == 1
            return
        assert made.deleted == 0
        assert (lanes, device_type) == (1, CPU)
        assert major == 1 or not versioned
        assert t.shape == tuple(shape)
        assert t.dtype.bits == bits
        assert t.size == np.prod(shape, dtype=object)
        if strides is not None and t.strides is not None:
            for mine, theirs, extent in zip(t.strides, strides, shape, strict=False):
                assert mine == theirs * bits // 8 or extent < 2
        repr(t.strides), t.nbytes, t.is_contiguous
        t.close()
        assert made.deleted == 1

    check()


# ---- given up ----------------------------------------------------------------------------


@case("ctypes")
def unconsumed():
    """A capsule that nobody takes gives back what it held when it goes."""
    for keywords in (
        {},
        {"max_version": (1, 3)},
        {"copy": True},
        {"copy": True, "max_version": (1, 0)},
    ):
        t = gmemx.Tensor(numbers())
        there = t.__dlpack__(**keywords)
        if "copy" not in keywords:
            with pytest.raises(BufferError, match="1 views or exports"):
                t.close()
        del there
        t.close()


@case("ctypes")
def renamed():
    """A capsule that was taken leaves the memory to whoever took it."""
    for keywords in ({}, {"max_version": (1, 3)}):
        t = gmemx.Tensor(numbers())
        there = t.__dlpack__(**keywords)
        taken = Taken(there)
        del there
        gc.collect()
        with pytest.raises(BufferError, match="1 views or exports"):
            t.close()
        taken.drop()
        t.close()


@case("ctypes")
def borrowed_back():
    """gmemx takes its own capsule: the memory is one, and goes with the last."""
    t = gmemx.Tensor(numbers())
    u = gmemx.from_dlpack(t)
    v = gmemx.from_dlpack(u)
    v[3] = -1.0
    assert t[3] == -1.0
    with pytest.raises(BufferError):
        t.close()
    del u
    with pytest.raises(BufferError):
        t.close()
    del v
    t.close()


@case("ctypes")
def deleted_without_the_gil():
    """A consumer may call the deleter with the GIL, without it, and on a thread of C's own."""
    libc = ctypes.CDLL(None)
    with_gil = ctypes.PYFUNCTYPE(None, P)
    for way in ("with", "without", "foreign thread"):
        for keywords in ({}, {"max_version": (1, 0)}):
            t = gmemx.Tensor(numbers())
            taken = Taken(t.__dlpack__(**keywords))
            struct, taken.struct = taken.struct, None
            where = ctypes.addressof(struct)
            if way == "foreign thread":
                thread = ctypes.c_ulong()
                assert (
                    libc.pthread_create(ctypes.byref(thread), None, P(struct.deleter), P(where))
                    == 0
                )
                assert libc.pthread_join(thread, None) == 0
            else:
                (with_gil if way == "with" else DELETER)(struct.deleter)(where)
            t.close()


# ---- the exchange table ------------------------------------------------------------------


@case("ctypes")
def table():
    """The exchange table is DLPack 1.3's, on the type, and everything it must have is there."""
    there = table_of(gmemx.Tensor)
    assert (there.major, there.minor, there.previous) == (1, 3, None)
    for name in ("allocate", "from_object", "to_object", "stream"):
        assert ctypes.cast(getattr(there, name), P).value, name
    assert isinstance(there, ExchangeTable)
    stream = P(7)
    assert there.stream(CPU, 0, ctypes.byref(stream)) == 0
    assert stream.value is None


@case("ctypes")
def borrowed_by_table():
    """The table lends a tensor for the time of a call, if it lends at all."""
    lend = table_of(gmemx.Tensor).borrow
    if not lend:
        return
    t = gmemx.Tensor(numbers().reshape(4, 6))
    out = DLTensor()
    assert lend(t, ctypes.byref(out)) == 0
    assert out.data == np.asarray(t).ctypes.data
    assert (out.ndim, out.shape[:2], out.strides[:2]) == (2, [4, 6], [6, 1])
    t.close()


@case("ctypes")
def table_refuses():
    """The table's functions raise for other objects, closed tensors and read-only ones."""
    with pytest.raises(TypeError):
        table_of(gmemx.Tensor).from_object([1.0], ctypes.byref(P()))
    t = gmemx.Tensor(numbers())
    t.close()
    with pytest.raises(ValueError, match="closed"):
        managed_of(t)
    with pytest.raises(BufferError, match="read-only"):
        managed_of(gmemx.Tensor.from_buffer(b"12345678"))
    taken = Taken(managed=managed_of(gmemx.Tensor.from_buffer(b"12345678").share_readonly()))
    assert taken.flags & READ_ONLY


@case("ctypes")
def allocated():
    """The table allocates a tensor like another, and says what it cannot."""
    told = []
    report = SET_ERROR(lambda _, kind, message: told.append((kind, message)))
    like = DLTensor(device_type=CPU, ndim=2, code=4, bits=16, lanes=1)
    like.shape = (I64 * 2)(3, 5)
    out = P()
    allocate = table_of(gmemx.Tensor).allocate
    assert allocate(ctypes.byref(like), ctypes.byref(out), None, report) == 0
    taken = Taken(managed=out.value)
    assert (taken.shape, taken.strides, taken.type) == ((3, 5), (5, 1), (4, 16, 1))
    assert taken.address % 64 == 0
    assert not taken.flags & READ_ONLY
    ctypes.memset(taken.address, 0xFF, 30)
    taken.drop()
    assert told == []
    for field, value in {"ndim": 65, "device_type": 2, "code": 99}.items():
        wrong = DLTensor.from_buffer_copy(like)
        setattr(wrong, field, value)
        out = P()
        assert allocate(ctypes.byref(wrong), ctypes.byref(out), None, report) == -1
        assert out.value is None
    wrong = DLTensor.from_buffer_copy(like)
    wrong.shape = (I64 * 2)(-1, 5)
    assert allocate(ctypes.byref(wrong), ctypes.byref(P()), None, report) == -1
    wrong.shape = (I64 * 2)(1 << 50, 1 << 50)
    assert allocate(ctypes.byref(wrong), ctypes.byref(P()), None, report) == -1
    kinds = [kind for kind, _ in told]
    assert kinds[:3] == [b"BufferError"] * 3
    assert len(kinds) == 5
    assert all(message for _, message in told)


# ---- the four keywords -------------------------------------------------------------------


@case("ctypes")
def keywords():
    """`stream`, `max_version`, `dl_device` and `copy` mean what the standard says."""
    t = gmemx.Tensor(numbers().reshape(4, 6))
    assert t.__dlpack_device__() == (1, 0)
    for given_version, name in {
        None: b"dltensor",
        (0, 8): b"dltensor",
        (1, 0): b"dltensor_versioned",
        (1, 3): b"dltensor_versioned",
        (2, 0): b"dltensor_versioned",
    }.items():
        there = t.__dlpack__(max_version=given_version)
        assert capsule_name(there) == name
        if name == b"dltensor_versioned":
            struct = Taken(there).struct
            assert (struct.major, struct.minor) == (1, 3)
    for stream in (None, -1):
        assert capsule_name(t.__dlpack__(stream=stream)) in NAMES
    for stream in (0, 1, 7):
        with pytest.raises(BufferError, match="stream"):
            t.__dlpack__(stream=stream)
    assert capsule_name(t.__dlpack__(dl_device=(1, 0))) in NAMES
    for device in ((2, 0), (1, 1)):
        with pytest.raises(BufferError, match="device"):
            t.__dlpack__(dl_device=device)
    for copy in (None, False, True):
        taken = Taken(t.__dlpack__(max_version=(1, 0), copy=copy))
        assert (taken.address == np.asarray(t).ctypes.data) == (not copy)
        assert taken.flags == (IS_COPIED if copy else 0)
    with pytest.raises(TypeError):
        t.__dlpack__(None)
    with pytest.raises(TypeError):
        t.__dlpack__(version=(1, 0))
    t.close()
    for wanted in ({}, {"max_version": (1, 0)}, {"copy": True}):
        with pytest.raises(ValueError, match="closed"):
            t.__dlpack__(**wanted)


@case("ctypes")
def readonly_keywords():
    """Read-only memory leaves as a copy, or through share_readonly and marked."""
    t = gmemx.Tensor.from_buffer(bytes(numbers()), "float64")
    for wanted in ({}, {"max_version": (1, 3)}, {"copy": False, "max_version": (1, 3)}):
        with pytest.raises(BufferError, match="copy=True"):
            t.__dlpack__(**wanted)
    for wanted in ({"copy": True}, {"copy": True, "max_version": (1, 0)}):
        taken = Taken(t.__dlpack__(**wanted))
        assert not taken.flags & READ_ONLY
        ctypes.memset(taken.address, 0, 8)
        assert t.tolist() == numbers().tolist()
    shared = t.share_readonly()
    assert Taken(shared.__dlpack__(max_version=(1, 0))).flags == READ_ONLY
    # So do views of what may be shared.
    assert Taken(shared[1:3].__dlpack__(max_version=(1, 0))).flags == READ_ONLY
    for wanted in ({}, {"max_version": (0, 9)}):
        with pytest.raises(BufferError, match="read-only"):
            shared.__dlpack__(**wanted)
