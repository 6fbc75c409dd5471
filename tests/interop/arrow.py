"""The Arrow C data interface beyond what pyarrow gives: malformed, sliced, released."""

import ctypes
import struct as packing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmemx

from .cases import add, case
from .structs import DELETER, ArrowArray, ArrowSchema, P, capsule, inside

FORMATS = {
    b"c": "int8",
    b"s": "int16",
    b"i": "int32",
    b"l": "int64",
    b"C": "uint8",
    b"S": "uint16",
    b"I": "uint32",
    b"L": "uint64",
    b"e": "float16",
    b"f": "float32",
    b"g": "float64",
}


def pairs(*names):
    """Arrow's encoding of keys and values, in turn."""
    text = packing.pack("=i", len(names) // 2)
    return text + b"".join(packing.pack("=i", len(name)) + name for name in names)


BOOL8 = pairs(b"ARROW:extension:name", b"arrow.bool8", b"ARROW:extension:metadata", b"")


class Given:
    """An array that a producer written in C hands out, and how often it was released."""

    def __init__(self, memory, form=b"l", metadata=None, buffers=None, valid=None, **changes):
        self.released = self.schema_released = 0
        self.memory, self.valid = memory, valid
        self.release, self.release_schema = DELETER(self._release), DELETER(self._release_schema)
        # By hand, as bytes would end at the first zero.
        self.metadata = None if metadata is None else ctypes.create_string_buffer(metadata)
        self.schema = ArrowSchema(
            format=form, name=b"", release=ctypes.cast(self.release_schema, P)
        )
        if metadata is not None:
            self.schema.metadata = ctypes.cast(self.metadata, ctypes.c_char_p)
        fields = {"length": len(memory), "n_buffers": 2, **changes}
        self.array = ArrowArray(release=ctypes.cast(self.release, P), **fields)
        if buffers is None:
            buffers = (P * 2)(None if valid is None else valid.ctypes.data, memory.ctypes.data)
        if buffers:
            self.array.buffers = ctypes.cast(buffers, ctypes.POINTER(P))
        self.buffers = buffers

    def _release(self, where):
        self.released += 1
        ArrowArray.from_address(where).release = None

    def _release_schema(self, where):
        self.schema_released += 1
        ArrowSchema.from_address(where).release = None

    def __arrow_c_array__(self, requested_schema=None):
        return capsule(self.schema, b"arrow_schema"), capsule(self.array, b"arrow_array")


def longs(n=8):
    return np.arange(n, dtype="i8")


MALFORMED = {
    "a negative length": ({"length": -1}, "malformed"),
    "a negative offset": ({"offset": -1}, "malformed"),
    "a length beyond all memory": ({"length": 1 << 62}, "malformed"),
    "an offset beyond all memory": ({"offset": 1 << 62}, "malformed"),
    "one buffer": ({"n_buffers": 1}, "malformed"),
    "three buffers": ({"n_buffers": 3}, "malformed"),
    "no list of buffers": ({"buffers": ()}, "malformed"),
    "no memory": ({"buffers": (P * 2)()}, "no memory"),
    "nulls": ({"null_count": 1}, "nulls"),
    "no format": ({"form": None}, "plain numbers"),
    "an empty format": ({"form": b""}, "plain numbers"),
    "strings": ({"form": b"u"}, "plain numbers"),
    "a list": ({"form": b"+l"}, "plain numbers"),
    "bits": ({"form": b"b"}, "plain numbers"),
    "decimals": ({"form": b"d:19,10"}, "plain numbers"),
    "a format that goes on": ({"form": b"ll"}, "plain numbers"),
    "metadata of negative length": (
        {"form": b"c", "metadata": packing.pack("=ii", 1, -5)},
        "malformed",
    ),
}


def refused(changes, word):
    """What is malformed raises BufferError, and stays its producer's to release."""
    made = Given(longs(), **changes)
    with pytest.raises(BufferError, match=word):
        gmemx.Tensor.from_arrow(made)
    assert made.released == 0
    assert made.array.release


for name, (changes, word) in MALFORMED.items():
    add(
        "ctypes",
        f"an Arrow array with {name} is refused",
        lambda changes=changes, word=word: refused(changes, word),
    )


@case("ctypes")
def arrow_formats():
    """Every number of Arrow is a dtype, at any offset, and released once."""
    for form, dtype in FORMATS.items():
        memory = np.arange(8).astype(dtype)
        for offset in (0, 3):
            made = Given(memory, form, offset=offset, length=5)
            t = gmemx.Tensor.from_arrow(made)
            assert t.dtype == dtype
            assert t.readonly
            assert t.tolist() == memory[offset : offset + 5].tolist()
            assert made.released == 0
            assert not made.array.release, "a consumer marks what it moved"
            t.close()
            assert made.released == 1


@case("ctypes")
def arrow_bool8():
    """Bytes are bools where the extension's name says so, and only there."""
    memory = np.array([0, 1, 1, 0], "i1")
    assert gmemx.Tensor.from_arrow(Given(memory, b"c", BOOL8)).tolist() == [
        False,
        True,
        True,
        False,
    ]
    others = [
        pairs(),
        pairs(b"", b""),
        pairs(b"comment", b"arrow.bool8"),
        pairs(b"ARROW:extension:name", b"arrow.bool"),
        pairs(b"ARROW:extension:name", b"arrow.uuid", b"note", b"arrow.bool8"),
    ]
    for metadata in others:
        t = gmemx.Tensor.from_arrow(Given(memory, b"c", metadata))
        assert t.dtype == "int8", metadata
    after = pairs(b"note", b"bools", b"ARROW:extension:name", b"arrow.bool8")
    assert gmemx.Tensor.from_arrow(Given(memory, b"c", after)).dtype == "bool"
    assert gmemx.Tensor.from_arrow(Given(longs(), b"l", BOOL8)).dtype == "int64"


@case("ctypes")
def arrow_unknown_nulls():
    """Where nobody counted the nulls, they are looked for in the part that is taken."""
    valid = np.array([0b11101101, 0b1], "u1")
    for offset, length, there in (
        (0, 1, True),
        (0, 2, False),
        (2, 2, True),
        (5, 4, True),
        (4, 2, False),
    ):
        made = Given(longs(9), valid=valid, null_count=-1, offset=offset, length=length)
        nothing_missing = all(valid[i // 8] >> i % 8 & 1 for i in range(offset, offset + length))
        assert nothing_missing == there
        if there:
            t = gmemx.Tensor.from_arrow(made)
            assert t.tolist() == list(range(offset, offset + length))
        else:
            with pytest.raises(BufferError, match="nulls"):
                gmemx.Tensor.from_arrow(made)


@case("ctypes")
def arrow_taken_twice():
    """An array is taken once; one that was released is refused."""
    made = Given(longs())
    t = gmemx.Tensor.from_arrow(made)
    with pytest.raises(BufferError, match="taken before"):
        gmemx.Tensor.from_arrow(made)
    del t
    assert made.released == 1

    class Swapped:
        def __arrow_c_array__(self):
            return Given(longs()).__arrow_c_array__()[::-1]

    class Nothing:
        def __arrow_c_array__(self):
            return None, None

    for wrong in (Swapped(), Nothing()):
        with pytest.raises(BufferError, match="arrow_schema"):
            gmemx.Tensor.from_arrow(wrong)
    with pytest.raises(TypeError, match="__arrow_c_array__"):
        gmemx.Tensor.from_arrow([1, 2])


@case("ctypes")
def arrow_fuzzed():
    """Whatever the fields, an Arrow array is refused or right, and released once."""
    counts = st.one_of(st.integers(-1, 16), st.sampled_from([1 << 59, 1 << 62, (1 << 63) - 1]))
    memory, valid = np.arange(64, dtype="u1").repeat(8), np.full(1024, 0xFF, "u1")

    @settings(max_examples=1000, deadline=None, database=None)
    @given(
        form=st.one_of(st.sampled_from(sorted(FORMATS)), st.binary(max_size=3)),
        length=counts,
        offset=counts,
        null_count=st.integers(-1, 2),
        n_buffers=st.sampled_from([2, 2, 2, 0, 1, -1]),
        with_valid=st.booleans(),
        metadata=st.sampled_from([None, BOOL8, pairs()]),
    )
    def check(form, length, offset, null_count, n_buffers, with_valid, metadata):
        if null_count == -1 and with_valid and not 0 <= max(length, offset) <= 16:
            # A bitmap must reach as far as it says.
            null_count = 0
        made = Given(
            memory,
            form,
            metadata,
            valid=valid if with_valid else None,
            length=length,
            offset=offset,
            null_count=null_count,
            n_buffers=n_buffers,
        )
        form = form.partition(b"\0")[0]
        fits = (
            form in FORMATS
            and 0 <= length <= 1 << 59
            and 0 <= offset <= 1 << 59
            and null_count < 1
            and n_buffers == 2
        )
        if not fits:
            with pytest.raises(BufferError):
                gmemx.Tensor.from_arrow(made)
            assert made.released == 0
            return
        t = gmemx.Tensor.from_arrow(made)
        assert t.shape == (length,)
        if length <= 16 and offset <= 16:
            size = np.dtype(FORMATS[form]).itemsize
            part = memory.tobytes()[offset * size : (offset + length) * size]
            assert memoryview(t).tobytes() == part
        t.close()
        assert made.released == 1

    check()


@case("ctypes")
def arrow_given():
    """What gmemx gives follows the specification, and goes with the last that holds it."""
    for form, dtype in (FORMATS | {b"c ": "bool"}).items():
        t = gmemx.zeros(7, dtype)
        there, array = t.__arrow_c_array__()
        schema = inside(there, b"arrow_schema", ArrowSchema)
        told = inside(array, b"arrow_array", ArrowArray)
        assert schema.format == form.strip()
        assert (schema.n_children, schema.dictionary, schema.flags) == (0, None, 0)
        assert (told.length, told.null_count, told.offset, told.n_buffers) == (7, 0, 0, 2)
        assert not told.buffers[0]
        assert told.buffers[1] == np.asarray(t).ctypes.data
        with pytest.raises(BufferError, match="1 views or exports"):
            t.close()
        del told, array
        t.close()
        assert schema.release
        DELETER(schema.release)(ctypes.addressof(schema))
        assert not schema.release


@case("ctypes")
def arrow_moved():
    """A consumer moves the array out of its capsule and releases it, without the GIL."""
    t = gmemx.zeros(7, "int32")
    _, array = t.__arrow_c_array__(None)
    told = inside(array, b"arrow_array", ArrowArray)
    mine = ArrowArray.from_buffer_copy(told)
    told.release = None
    del array
    with pytest.raises(BufferError, match="1 views or exports"):
        t.close()
    DELETER(mine.release)(ctypes.addressof(mine))
    assert not mine.release
    t.close()


@case("ctypes")
def arrow_refusals():
    """Arrow is for one contiguous dimension of what it has a name for."""
    for t in (gmemx.zeros((2, 3)), gmemx.zeros(6)[::2], gmemx.zeros(6)[::-1], gmemx.full((), 1.0)):
        with pytest.raises(BufferError, match="one dimension"):
            t.__arrow_c_array__()
    for dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"):
        for ask in (
            gmemx.zeros(4, dtype).__arrow_c_array__,
            gmemx.zeros(4, dtype).__arrow_c_schema__,
        ):
            with pytest.raises(NotImplementedError, match=dtype):
                ask()


@case("pyarrow")
def pyarrow_refusals():
    """What pyarrow has and no tensor is raises, and says what it is."""
    import pyarrow as pa

    for array, word in (
        (pa.array([1, None, 3]), "nulls"),
        (pa.array(["a", "b"]), "plain numbers"),
        (pa.array([True, False]), "plain numbers"),
        (pa.array([[1], [2]]), "plain numbers"),
        (pa.array([1, 2]).dictionary_encode(), "plain numbers"),
        (pa.array([1, 2], pa.date32()), "plain numbers"),
        (pa.nulls(3), "plain numbers"),
        (pa.record_batch({"a": [1, 2]}), "plain numbers"),
    ):
        with pytest.raises(BufferError, match=word):
            gmemx.Tensor.from_arrow(array)
    with pytest.raises(TypeError, match="__arrow_c_array__"):
        gmemx.Tensor.from_arrow(pa.chunked_array([[1, 2]]))


@case("pyarrow")
def pyarrow_slices():
    """A slice without nulls of an array with some is taken, and keeps the array's memory."""
    import pyarrow as pa

    array = pa.array([None, 1, 2, 3, None])[1:4]
    t = gmemx.Tensor.from_arrow(array)
    del array
    assert t.tolist() == [1, 2, 3]
    assert t.readonly


@case("pyarrow")
def pyarrow_types():
    """A tensor is a column like any other to pyarrow."""
    import pyarrow as pa

    t = gmemx.Tensor([1, 0, 3], "int32")
    assert pa.array(t).cast(pa.float64()).equals(pa.array([1.0, 0.0, 3.0]))
    table = pa.table({"numbers": pa.array(t), "flags": pa.array(t.astype("bool"))})
    assert table["flags"].type == pa.bool8()
    assert table.to_pydict() == {"numbers": [1, 0, 3], "flags": [True, False, True]}
    with pytest.raises(BufferError):
        t.close()
    del table
    t.close()
