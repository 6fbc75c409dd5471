"""The memory of a buffer: one for all who see it, in the dtype and shape that they are told."""

import ctypes
import os

import ml_dtypes
import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import linux_only, new_pool

import gmemx
from gmemx import BufferPool, Tensor

pytestmark = linux_only

EXACT = [
    name for name in oracles.DTYPES if gmemx.dtype(name).kind in "biuf" and name in oracles.NATIVE
]


@pytest.fixture
def pool():
    with new_pool() as made:
        yield made
        assert made.stats().used == 0


def address(array):
    return array.__array_interface__["data"][0]


class RawBuffer(ctypes.Structure):
    """gmem_buffer."""

    _fields_ = (
        ("handle", ctypes.c_uint64),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("index", ctypes.c_uint32),
        ("device", ctypes.c_int32),
        ("writable", ctypes.c_bool),
    )


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["acquire", "get", "get", "release"]), st.randoms()), max_size=80
    )
)
def test_handles_in_any_order(library, steps):
    """Of two slots: a handle gives its own buffer as often as it is asked for, and none once
    that was given back, though its slot has another by then."""
    not_found = 6
    with BufferPool.anonymous(capacity=2) as pool:
        raw, held = ctypes.c_void_p(), RawBuffer()
        opened = library.gmem_pool_open_descriptors(*pool.descriptors, False, ctypes.byref(raw))
        assert opened == 0
        sizes, holds = {}, {}
        for step, random in steps:
            handle = random.choice(list(sizes) or [0])
            if step == "acquire" and len(holds) < 2:
                size = random.randint(1, 5000)
                assert library.gmem_pool_acquire(raw, size, 0.0, ctypes.byref(held)) == 0
                assert held.handle not in sizes, "a handle came twice"
                sizes[held.handle], holds[held.handle] = size, 1
                ctypes.memset(held.data, held.handle % 251, size)
            elif step == "get":
                writable = random.random() < 0.3
                status = library.gmem_pool_get(raw, handle, writable, ctypes.byref(held))
                assert status == (0 if handle in holds else not_found)
                if status == 0:
                    holds[handle] += 1
                    assert (held.handle, held.size) == (handle, sizes[handle])
                    assert (held.device, held.writable) == (-1, writable)
                    assert ctypes.string_at(held.data, 1) == bytes([handle % 251])
            elif step == "release":
                status = library.gmem_pool_release(raw, handle)
                assert status == (0 if handle in holds else not_found)
                if status == 0:
                    holds[handle] -= 1
                    holds = {handle: count for handle, count in holds.items() if count}
        for handle, count in holds.items():
            for _ in range(count):
                assert library.gmem_pool_release(raw, handle) == 0
        library.gmem_pool_close(raw)


# ---- bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000, 4095, 4096, 2**20, 2**21 + 1, 10_000_019])
def test_sizes_are_exact(pool, size):
    """Every byte asked for is there and is writable, and none is the neighbour's."""
    with pool.acquire_cpu(size) as one, pool.acquire_cpu(size) as other:
        assert one.size == len(one) == memoryview(one).nbytes == size
        one.numpy()[:] = 1
        other.numpy()[:] = 2
        assert (one.numpy() == 1).all()
        assert (other.numpy() == 2).all()
        assert one.cpu_ptr % 64 == 0


@given(sizes=st.lists(st.integers(1, 300_000), min_size=1, max_size=30), data=st.data())
def test_buffers_never_overlap(sizes, data):
    """Whatever is taken and given back in whatever order."""
    with BufferPool.anonymous() as pool:
        held = []
        for mark, size in enumerate(sizes):
            guard = pool.acquire_cpu(size)
            guard.numpy()[:] = mark
            held.append((guard, mark))
            if data.draw(st.booleans()):
                guard, wanted = held.pop(data.draw(st.integers(0, len(held) - 1)))
                assert (guard.numpy() == wanted).all()
                guard.close()
        for guard, wanted in held:
            assert (guard.numpy() == wanted).all()
            guard.close()
        assert pool.stats().used == 0


def test_everyone_sees_the_same_memory(pool):
    """memoryview, arrays and tensors of one guard, and guards of it in the same process."""
    with pool.acquire_cpu(64) as guard:
        array, tensor, view = guard.numpy(), guard.tensor(), memoryview(guard)
        assert address(array) == address(tensor.numpy()) == guard.cpu_ptr == guard.cpu_ptr_mut
        array[3] = 7
        assert (view[3], tensor[3]) == (7, 7)
        view[4] = 8
        with pool.get_mut(guard.meta_index) as again:
            assert again.numpy()[3:5].tolist() == [7, 8]
            again.numpy()[5] = 9
        assert tensor[3:6].tolist() == [7, 8, 9]
        del array, tensor, view


def test_the_buffer_protocol(pool):
    """Plain bytes of one dimension, whatever the consumer asks for."""
    with pool.acquire_cpu(100) as guard:
        view = memoryview(guard)
        assert (view.format, view.ndim, view.shape, view.strides) == ("B", 1, (100,), (1,))
        assert (view.itemsize, view.nbytes, view.readonly, view.contiguous) == (1, 100, False, True)
        assert view.obj is guard
        view[:5] = b"hello"
        assert bytes(guard)[:5] == b"hello"
        assert bytearray(guard)[:5] == b"hello"
        whole = (ctypes.c_char * 100).from_buffer(guard)
        assert whole.raw[:5] == b"hello"
        with open(os.devnull, "wb") as sink:
            assert sink.write(guard) == 100
        with open("/dev/zero", "rb", buffering=0) as source:
            assert source.readinto(guard) == 100
        assert not any(view)
        del view, whole


def test_freed_memory_is_used_again(pool):
    """Warm: a buffer of the size of one that was just freed is that one."""
    with pool.acquire_cpu(50_000) as guard:
        guard.numpy()[:] = 99
        where, index = guard.cpu_ptr, guard.meta_index
    committed = pool.stats().committed
    for _ in range(100):
        with pool.acquire_cpu(50_000) as guard:
            assert (guard.cpu_ptr, guard.meta_index) == (where, index)
            assert (guard.numpy() == 99).all()
    assert pool.stats().committed == committed


# ---- reading only --------------------------------------------------------------------------


def test_read_only_guards(pool):
    """Nothing that get() gives can be written through, and it sees what others write."""
    with pool.acquire((4,), "int32") as writer, pool.get(writer.meta_index) as reader:
        assert (writer.readonly, reader.readonly) == (False, True)
        array = reader.numpy()
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            array.flags.writeable = True
        assert reader.tensor().readonly
        with pytest.raises(TypeError):
            memoryview(reader)[0] = 1
        with pytest.raises((BufferError, TypeError)):
            ctypes.c_char.from_buffer(reader)
        with pytest.raises(BufferError, match="read-only"):
            reader.__dlpack__()
        with pytest.raises(PermissionError, match="read-only"):
            _ = reader.cpu_ptr_mut
        assert reader.cpu_ptr > 0
        writer.numpy()[:] = [1, 2, 3, 4]
        assert array.tolist() == [1, 2, 3, 4]
        del array


def test_read_only_memory_is_protected_by_the_system(pool):
    """Its pages are another mapping, without the permission to write."""
    with pool.acquire_cpu(8192) as writer, pool.get(writer.meta_index) as reader:
        assert permissions(writer.cpu_ptr) == "rw-s"
        assert permissions(reader.cpu_ptr) == "r--s"


def permissions(pointer):
    with open("/proc/self/maps") as maps:
        for line in maps:
            bounds, what, *_ = line.split()
            low, high = (int(bound, 16) for bound in bounds.split("-"))
            if low <= pointer < high:
                return what
    return None


def test_a_pool_opened_to_read(pool):
    """It gives guards to read, and acquires nothing."""
    with pool.acquire((2, 3)) as writer, BufferPool.open(pool.name, read_only=True) as reading:
        assert (reading.read_only, pool.read_only) == (True, False)
        writer.numpy()[:] = 2.5
        with reading.get(writer.meta_index) as reader:
            assert reader.numpy().tolist() == [[2.5] * 3] * 2
            assert permissions(reader.cpu_ptr) == "r--s"
            with pytest.raises(PermissionError):
                reader.set_metadata(sequence=1)
        for work in (
            lambda: reading.acquire_cpu(10),
            lambda: reading.acquire((2, 3)),
            lambda: reading.preallocate_cpu(10, 1),
            lambda: reading.get_mut(writer.meta_index),
            lambda: reading.trim(),
        ):
            with pytest.raises(PermissionError) as caught:
                work()
            assert isinstance(caught.value, RuntimeError)


def test_seal(pool):
    """Its own process goes on writing; what has been sealed stays so until it is free."""
    with pool.acquire_cpu(100) as guard:
        assert not guard.sealed
        guard.seal()
        assert guard.sealed
        with pool.get(guard.meta_index) as reader:
            assert reader.sealed
        with pool.get_mut(guard.meta_index) as writer:
            writer.numpy()[:] = 5
        index = guard.meta_index
    with pool.acquire_cpu(100) as guard:
        assert guard.meta_index == index
        assert not guard.sealed


# ---- arrays --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
def test_typed_arrays(pool, name):
    """acquire() says what it is, so that neither end has to."""
    values = np.arange(24).reshape(2, 3, 4).astype(name)
    with pool.acquire((2, 3, 4), name) as guard:
        assert guard.size == values.nbytes
        assert (guard.dtype, guard.shape, guard.strides) == (name, (2, 3, 4), values.strides)
        guard.numpy()[:] = values
        with pool.get(guard.meta_index) as reader:
            assert np.array_equal(reader.numpy(), values)
            assert reader.numpy().dtype == values.dtype
            assert reader.tensor().tolist() == values.tolist()


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_small_floats(pool, name):
    """By ml_dtypes' types, as for tensors."""
    with pool.acquire(8, name) as guard:
        guard.numpy()[:] = np.arange(8)
        assert guard.numpy().dtype == np.dtype(getattr(ml_dtypes, name))
        assert guard.tensor().tolist() == [float(i) for i in range(8)]
        assert guard.numpy(name, 4).shape == (4,)


def test_int4(pool):
    """Packed two to a byte: a tensor, and no array."""
    with pool.acquire(5, "int4") as guard:
        assert (guard.size, guard.strides) == (3, None)
        guard.tensor()[:] = [-8, 7, 0, 1, -1]
        assert pool.get(guard.meta_index).tensor().tolist() == [-8, 7, 0, 1, -1]
        with pytest.raises(NotImplementedError, match="int4"):
            guard.numpy()


def test_bytes_seen_as_something(pool):
    """A dtype and a shape given win over what was told, and may leave some bytes over."""
    with pool.acquire_cpu(48) as guard:
        assert (guard.numpy().dtype, guard.numpy().shape) == (np.uint8, (48,))
        assert guard.numpy("float64").shape == (6,)
        assert guard.numpy(np.float32, (3, 4)).shape == (3, 4)
        assert guard.numpy(float, 4).shape == (4,)
        assert guard.numpy(shape=(4, 12)).shape == (4, 12)
        assert guard.numpy("int16", ()).shape == ()
        assert guard.numpy("int16", (3, 0)).shape == (3, 0)
        assert guard.tensor("int16", (3, 8)).shape == (3, 8)
        assert guard.tensor("int4").size == 96
        guard.set_metadata(dtype="int32", shape=(3, 4))
        assert guard.numpy().shape == (3, 4)
        assert guard.numpy("int32").shape == (3, 4)
        assert guard.numpy("uint32").shape == (12,)
        assert guard.numpy(shape=12).dtype == np.int32
        for array in (guard.numpy(), guard.numpy("u1", 3), guard.numpy(shape=(2, 2))):
            assert address(array) == guard.cpu_ptr
        del array


def test_types_that_only_numpy_has(pool):
    """Complex numbers, records, dates: what has no Python objects in it."""
    point = np.dtype([("x", "f4"), ("n", "i8")])
    with pool.acquire_cpu(48) as guard:
        guard.numpy(point)["x"] = 1.5
        assert guard.numpy(point).shape == (4,)
        assert guard.numpy(point, (2, 2))["x"].tolist() == [[1.5, 1.5]] * 2
        assert guard.numpy("complex64", 3).shape == (3,)
        assert guard.numpy(np.dtype(">i4")).dtype == np.dtype(">i4")
        with pytest.raises(ValueError, match="object"):
            guard.numpy(np.dtype(object))
        with pytest.raises(ValueError, match="48 bytes"):
            guard.numpy(np.dtype("S5"))
        with pytest.raises(ValueError, match=r"\(7,\)"):
            guard.numpy("complex64", 7)


def test_arrays_without_elements(pool):
    """They hold a buffer, so that they can be sent."""
    for shape in (0, (0, 5), (3, 0, 2)):
        with pool.acquire(shape) as guard:
            assert guard.numpy().shape == np.zeros(shape).shape
            assert guard.tensor().size == 0
            assert guard.size == 1


def test_strides(pool):
    """Metadata may tell of a layout of its own, within the buffer."""
    with pool.acquire((4, 6), "int16") as guard:
        guard.numpy()[:] = np.arange(24).reshape(4, 6)
        for shape, strides in [((6, 4), (2, 12)), ((2, 3), (24, 4)), ((4, 6, 3), (12, 2, 0))]:
            expected = np.lib.stride_tricks.as_strided(guard.numpy("int16", 24), shape, strides)
            expected = expected.copy()
            guard.set_metadata(shape=shape, strides=strides)
            assert (guard.shape, guard.strides) == (shape, strides)
            assert np.array_equal(guard.numpy(), expected)
            assert guard.tensor().tolist() == expected.tolist()
            guard.set_metadata(shape=(4, 6))
            assert guard.strides == (12, 2)


def test_arrays_made_in_the_pool(pool):
    """NumPy's results go straight into a buffer."""
    a = np.arange(1000.0)
    with pool.acquire(1000) as guard:
        np.multiply(a, a, out=guard.numpy())
        assert guard.tensor().sum() == (a * a).sum()
        assert Tensor.from_buffer(guard, "float64")[10] == 100.0
        assert gmemx.from_dlpack(guard)[10] == 100.0
        assert np.from_dlpack(guard)[10] == 100.0
        assert tuple(guard.__dlpack_device__()) == (1, 0)


def test_writing_through_a_tensor_of_a_guard_of_another_opened_pool(pool):
    """Two pools of one name in a process are the same memory."""
    with BufferPool.open(pool.name) as other, pool.acquire(3) as guard:
        assert (other.id, other.capacity, other.size) == (pool.id, pool.capacity, pool.size)
        with other.get_mut(guard.meta_index) as again:
            again.tensor()[:] = [1.0, 2.0, 3.0]
        assert guard.numpy().tolist() == [1.0, 2.0, 3.0]


# ---- metadata ------------------------------------------------------------------------------


def test_metadata_of_a_fresh_buffer(pool):
    """Nothing is told, but who acquired it; what was told of the slot before is gone."""
    fresh = {
        "dtype": None, "shape": None, "strides": None, "timestamp": 0, "sequence": 0,
        "content_type": "", "producer": os.getpid(),
    }  # fmt: skip
    with pool.acquire_cpu(100) as guard:
        assert guard.metadata() == fresh
        guard.set_metadata(
            dtype="uint8", shape=(10, 10), timestamp=5, sequence=6, content_type="image/raw"
        )
        index = guard.meta_index
    with pool.acquire_cpu(100) as guard:
        assert guard.meta_index == index
        assert guard.metadata() == fresh


def test_metadata_is_seen_by_everyone(pool):
    """All of what a set_metadata tells, or one property at a time."""
    with pool.acquire_cpu(96) as guard, pool.get(guard.meta_index) as reader:
        guard.set_metadata(
            dtype="float32", shape=(2, 3, 4), timestamp=-(2**63), sequence=2**64 - 1,
            content_type="x" * 60,
        )  # fmt: skip
        assert reader.metadata() == {
            "dtype": "float32", "shape": (2, 3, 4), "strides": (48, 16, 4),
            "timestamp": -(2**63), "sequence": 2**64 - 1, "content_type": "x" * 60,
            "producer": os.getpid(),
        }  # fmt: skip
        guard.sequence = 1
        guard.timestamp = 2
        guard.content_type = "größe"
        guard.shape = (6, 4)
        assert (reader.sequence, reader.timestamp, reader.content_type) == (1, 2, "größe")
        assert (reader.shape, reader.strides, reader.dtype) == ((6, 4), (16, 4), "float32")
        guard.strides = (4, 24)
        assert reader.strides == (4, 24)
        guard.dtype = "int32"
        assert (reader.dtype, reader.shape, reader.strides) == ("int32", (6, 4), (16, 4))
        guard.dtype = None
        assert (reader.dtype, reader.shape, reader.strides) == (None, None, None)
        assert reader.sequence == 1


def test_a_dtype_alone_takes_the_whole_buffer(pool):
    """And follows, until there is a shape."""
    with pool.acquire_cpu(64) as guard:
        guard.dtype = "int32"
        assert (guard.shape, guard.numpy().shape) == ((16,), (16,))
        guard.dtype = "float64"
        assert (guard.shape, guard.strides) == ((8,), (8,))
        guard.shape = (2, 2)
        guard.dtype = "int16"
        assert (guard.shape, guard.strides) == ((2, 2), (4, 2))
        guard.shape = None
        assert guard.shape == (32,)
        guard.dtype = None
        guard.shape = (4, 16)
        assert guard.dtype == "uint8"


WRONG = {
    "dtype": ({"dtype": "float31"}, ValueError, "float31"),
    "dtype type": ({"dtype": 5}, TypeError, "int"),
    "too many elements": ({"dtype": "float64", "shape": (13,)}, ValueError, r"\(13,\).*104.*100"),
    "no whole number": ({"dtype": "float64", "shape": None}, ValueError, "100 bytes.*float64"),
    "too large for the shape": ({"dtype": "float64"}, ValueError, r"float64.*\(5, 10\).*100"),
    "too many dimensions": ({"shape": (1,) * 9}, ValueError, "8 dimensions.*9"),
    "negative shape": ({"shape": (-1,)}, ValueError, "-1"),
    "shape type": ({"shape": "3"}, TypeError, "str"),
    "shape huge": ({"shape": (2**40, 2**40)}, ValueError, "1099511627776"),
    "strides outside": ({"shape": (2, 3), "strides": (99, 1)}, ValueError, r"\(99, 1\)"),
    "strides overflow": ({"shape": (5, 3), "strides": (2**62, 1)}, ValueError, "inside"),
    "strides negative": ({"shape": (2, 3), "strides": (-3, 1)}, ValueError, "-3"),
    "strides few": ({"shape": (2, 3), "strides": (1,)}, ValueError, r"\(1,\).*\(2, 3\)"),
    "strides type": ({"shape": (2,), "strides": 1}, TypeError, "int"),
    "strides of int4": ({"dtype": "int4", "shape": (2,), "strides": (1,)}, ValueError, "int4"),
    "nothing of a shape": ({"dtype": None, "shape": (2,)}, ValueError, "dtype"),
    "timestamp": ({"timestamp": 2**63}, ValueError, "timestamp"),
    "timestamp type": ({"timestamp": 1.0}, TypeError, "timestamp.*float"),
    "sequence": ({"sequence": -1}, ValueError, "sequence.*-1"),
    "sequence huge": ({"sequence": 2**64}, ValueError, "sequence"),
    "content type long": ({"content_type": "ü" * 31}, ValueError, "60 bytes"),
    "content type NUL": ({"content_type": "a\0b"}, ValueError, "NUL"),
    "content type type": ({"content_type": b"a"}, TypeError, "bytes"),
    "producer": ({"producer": 5}, TypeError, "producer"),
    "unknown": ({"sequence": 1, "colour": "red"}, TypeError, "colour"),
}


@pytest.mark.parametrize(("values", "error", "mention"), WRONG.values(), ids=WRONG.keys())
def test_metadata_that_make_no_sense(pool, values, error, mention):
    """Refused, and nothing of them is told."""
    with pool.acquire_cpu(100) as guard:
        guard.set_metadata(dtype="int16", shape=(5, 10), sequence=3)
        before = guard.metadata()
        with pytest.raises(error, match=mention) as caught:
            guard.set_metadata(timestamp=9, **values) if "timestamp" not in values else (
                guard.set_metadata(**values)
            )
        assert error is TypeError or isinstance(caught.value, gmemx.PoolError)
        assert guard.metadata() == before


def test_readers_do_not_tell(pool):
    """Metadata are written by who may write the buffer."""
    with pool.acquire_cpu(100) as guard, pool.get(guard.meta_index) as reader:
        for name, value in {
            "dtype": "uint8",
            "shape": 5,
            "sequence": 1,
            "content_type": "x",
        }.items():
            with pytest.raises(PermissionError, match="read-only"):
                setattr(reader, name, value)
        with pytest.raises(AttributeError):
            guard.producer = 5


class RawMeta(ctypes.Structure):
    """gmem_buffer_meta."""

    _fields_ = (
        ("dtype", ctypes.c_int32), ("ndim", ctypes.c_int32), ("shape", ctypes.c_int64 * 8),
        ("strides", ctypes.c_int64 * 8), ("timestamp", ctypes.c_int64),
        ("sequence", ctypes.c_uint64), ("producer", ctypes.c_uint32),
        ("content_type", ctypes.c_char * 60),
    )  # fmt: skip


LIES = {
    "beyond the end": (11, (2,), (101 - 8,)),
    "huge extent": (5, (2**62,), (1,)),
    "huge extents": (5, (2**31, 2**31, 2**31), (1, 1, 1)),
    "overflowing product": (11, (2**61, 8), (8, 8)),
    "negative extent": (5, (-1,), (1,)),
    "negative stride": (5, (5,), (-1,)),
    "overflowing stride": (5, (3,), (2**63 - 1,)),
    "overflowing sum": (5, (2, 2, 2), (2**62, 2**62, 2**62)),
    "unknown dtype": (16, (1,), (1,)),
    "dtype of another world": (-7, (1,), (1,)),
    "int4 beyond the end": (15, (201,), (0,)),
}


@pytest.mark.parametrize(("dtype", "shape", "strides"), LIES.values(), ids=LIES.keys())
def test_metadata_of_liars(pool, library, dtype, shape, strides):
    """What another process tells is checked before memory is looked at."""
    raw, held = ctypes.c_void_p(), (ctypes.c_char * 64)()
    assert library.gmem_pool_open(pool.name.encode(), False, ctypes.byref(raw)) == 0
    with pool.acquire_cpu(100) as guard:
        handle = guard.handle.value
        assert library.gmem_pool_get(raw, handle, True, held) == 0
        told = RawMeta(dtype, len(shape), shape, strides, content_type=b"\xff\xfe" * 30)
        assert library.gmem_pool_set_meta(raw, handle, ctypes.byref(told)) == 0
        for see in (guard.numpy, guard.tensor, guard.__dlpack__):
            with pytest.raises(ValueError, match=r"inside|make no sense|bytes|address space"):
                see()
        assert guard.numpy("uint8", 100).shape == guard.tensor("uint8", 100).shape == (100,)
        guard.set_metadata(dtype="uint8", shape=100)
        assert (guard.shape, guard.content_type) == ((100,), "\ufffd" * 60)
        assert library.gmem_pool_release(raw, handle) == 0
    library.gmem_pool_close(raw)
