"""What test_pool_cuda.py runs, each function in a process of its own."""

import ctypes
import gc
import itertools
import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager

import native
import numpy as np
import pytest

import gmemx
from gmemx import BufferPool, cuda

PAGE = 2 << 20
counter = itertools.count()
spawn = multiprocessing.get_context("spawn")


def new_pool(capacity=64):
    """A pool that no other test has."""
    return BufferPool(f"test-cuda-{os.getpid()}-{next(counter)}", capacity)


def pattern(n, seed):
    """Bytes that differ from place to place."""
    i = np.arange(n)
    return (i * 31 ^ i >> 8 ^ seed).astype(np.uint8).tobytes()


def copy(target, target_device, source, source_device, n):
    """gmem_cuda_copy, which has to succeed."""
    library = native.load()
    status = library.gmem_cuda_copy(target, target_device, source, source_device, n)
    assert status == 0, library.gmem_last_error()


def put(buffer, data):
    """Write bytes into a buffer of a device."""
    assert len(data) <= buffer.size
    host = (ctypes.c_char * len(data)).from_buffer_copy(data)
    copy(buffer.cuda_ptr_mut, buffer.device, ctypes.addressof(host), -1, len(data))


def fetch(buffer):
    """The bytes of a buffer of a device."""
    host = (ctypes.c_char * buffer.size)()
    copy(ctypes.addressof(host), -1, buffer.cuda_ptr, buffer.device, buffer.size)
    return bytes(host)


@contextmanager
def failing(what):
    """Within this, the stand-in fails."""
    os.environ["CUDA_STANDIN_FAIL"] = what
    try:
        yield
    finally:
        del os.environ["CUDA_STANDIN_FAIL"]


def calls(name):
    """How often this process has called a function of the stand-in."""
    with open(os.environ["CUDA_STANDIN_LOG"]) as log:
        return log.read().splitlines().count(f"{os.getpid()} {name}")


@contextmanager
def another(target, *arguments):
    """A spawned process that runs ``target`` with one end of a pipe; the other end is given.

    The end closed, it ends, and well.
    """
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=target, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        yield ours, process
    finally:
        ours.close()
        process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)


def until_closed(pipe):
    """Wait for the other end to be closed."""
    with pytest.raises(EOFError):
        pipe.recv()


def without_a_driver():
    """Everything about CUDA says what is missing, and all else works."""
    assert cuda.is_available() is False
    sentence = cuda.why_not()
    assert "there is no CUDA driver" in sentence
    assert "libcuda-of-nowhere.so" in sentence
    with new_pool() as pool:
        with pool.acquire_cpu(100) as buffer:
            memoryview(buffer)[:3] = b"abc"
            for attempt in (
                lambda: pool.acquire_cuda(100),
                lambda: pool.preallocate_cuda(100, 3),
                lambda: buffer.copy_to_cuda(),
                cuda.device_count,
                lambda: cuda.device_name(0),
            ):
                with pytest.raises(NotImplementedError, match="there is no CUDA driver"):
                    attempt()
            for attribute in ("cuda_ptr", "cuda_ptr_mut", "__cuda_array_interface__"):
                with pytest.raises((RuntimeError, AttributeError)):
                    getattr(buffer, attribute)
            assert bytes(buffer)[:3] == b"abc"
            assert pool.ref_count(buffer.meta_index) == 1
        assert pool.stats().used == 0


def without_a_device():
    """A driver that finds none is as good as none, and says which it is."""
    assert "there is no CUDA device" in cuda.why_not()
    with new_pool() as pool, pytest.raises(NotImplementedError, match="no CUDA device"):
        pool.acquire_cuda(100)


def devices():
    """Their number and names."""
    assert cuda.is_available() is True
    assert cuda.why_not() is None
    assert cuda.device_count() >= 1
    assert all(cuda.device_name(i) for i in range(cuda.device_count()))
    with new_pool() as pool:
        for absent in (-1, cuda.device_count(), 2**31 - 1):
            for attempt in (
                lambda absent=absent: cuda.device_name(absent),
                lambda absent=absent: pool.acquire_cuda(100, absent),
                lambda absent=absent: pool.preallocate_cuda(100, 1, absent),
            ):
                with pytest.raises(IndexError, match="no CUDA device"):
                    attempt()
        assert pool.stats().used == 0


def acquire():
    """A buffer of a device: its addresses, and what it has not."""
    with new_pool() as pool:
        with pool.acquire_cuda(1000) as buffer:
            assert (buffer.size, buffer.device, len(buffer)) == (1000, 0, 1000)
            assert buffer.cuda_ptr == buffer.cuda_ptr_mut > 0
            assert buffer.cuda_ptr % 64 == 0
            put(buffer, pattern(1000, 1))
            assert fetch(buffer) == pattern(1000, 1)
            for attempt in (
                lambda: buffer.cpu_ptr,
                lambda: buffer.cpu_ptr_mut,
                lambda: buffer.numpy(),
                lambda: memoryview(buffer),
            ):
                with pytest.raises((RuntimeError, BufferError)):
                    attempt()
            index = buffer.meta_index
            assert pool.ref_count(index) == 1
            assert [held.on_device for held in pool.buffers()] == [True]
            with pool.get(index) as reader:
                assert (reader.device, reader.readonly) == (0, True)
                assert reader.cuda_ptr == buffer.cuda_ptr
                with pytest.raises(RuntimeError):
                    _ = reader.cuda_ptr_mut
            with pool.get_mut(index) as writer:
                assert writer.cuda_ptr_mut == buffer.cuda_ptr
            with pool.get(buffer.handle) as reader:
                assert fetch(reader) == pattern(1000, 1)
        with pytest.raises(RuntimeError):
            _ = buffer.cuda_ptr
        with pytest.raises(RuntimeError):
            pool.get(index)
        assert pool.stats().used == 0
        for size in (0, -1):
            with pytest.raises(ValueError, match=str(size)):
                pool.acquire_cuda(size)


def buffers_do_not_overlap():
    """Buffers of all sizes, freed and taken again in any order, keep their bytes."""
    sizes = [1, 64, 65, 4096, 100_000, PAGE, PAGE + 1, 5, 70_000, 3]
    with new_pool(256) as pool:
        held = {}
        for turn in range(6):
            for i, size in enumerate(sizes):
                if (i, turn % 2) in held and (i + turn) % 3:
                    held.pop((i, turn % 2))[0].release()
                if (i, turn % 2) not in held:
                    buffer, data = pool.acquire_cuda(size), pattern(size, i + turn)
                    put(buffer, data)
                    held[i, turn % 2] = buffer, data
            ranges = sorted((b.cuda_ptr, b.cuda_ptr + b.size) for b, _ in held.values())
            assert all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))
            assert all(fetch(buffer) == data for buffer, data in held.values())
        for buffer, _ in held.values():
            buffer.release()


def memory_is_used_again():
    """Freed buffers stay ready; the driver is asked seldom, and not for each buffer."""
    with new_pool() as pool:
        for _ in range(50):
            with pool.acquire_cuda(1_000_000) as first, pool.acquire_cuda(3000) as second:
                assert first.cuda_ptr != second.cuda_ptr
        assert calls("cuMemAlloc_v2") == 1
        # More buffers than slots, of sizes that no freed one has.
        for size in range(10_000, 1_010_000, 10_000):
            pool.acquire_cuda(size).release()
        assert calls("cuMemAlloc_v2") <= 3
        with pool.acquire_cuda(200 << 20) as large:
            put(large, b"large")
            assert fetch(large)[:5] == b"large"
        # What the CPU's buffers leave is there for the device's and the other way round.
        for _ in range(3):
            mixed = [pool.acquire_cpu(500) for _ in range(64)]
            del mixed
            mixed = [pool.acquire_cuda(500) for _ in range(64)]
            del mixed
    assert calls("cuMemFree_v2") == calls("cuMemAlloc_v2")


def preallocate():
    """References without a buffer; all or none."""
    with new_pool(8) as pool:
        indices = pool.preallocate_cuda(5000, 5, 0)
        assert len(set(indices)) == 5
        assert [pool.ref_count(i) for i in indices] == [1] * 5
        for i in indices:
            with pool.get_mut(i) as buffer:
                put(buffer, pattern(5000, i))
        for i in indices:
            with pool.get(i) as buffer:
                assert (buffer.device, buffer.size) == (0, 5000)
                assert fetch(buffer) == pattern(5000, i)
        with pytest.raises(RuntimeError):
            pool.preallocate_cuda(5000, 4)
        assert pool.stats().used == 5
        for i in indices:
            assert pool.release(i) == 0
        assert pool.stats().used == 0


def full():
    """Without a slot, acquire waits for one; a release of another thread gives it."""
    with new_pool(2) as pool:
        first, second = pool.acquire_cuda(100), pool.acquire_cpu(100)
        with pytest.raises(TimeoutError):
            pool.acquire_cuda(100, timeout=0)
        with pytest.raises(TimeoutError):
            pool.acquire_cuda(100, 0, 0.05)
        for held in (first, second):
            threading.Timer(0.1, held.release).start()
            got = pool.acquire_cuda(100, timeout=60)
            assert got.device == 0
            got.release()
            first = pool.acquire_cpu(100)
        first.release()


def copies():
    """copy_to_cuda and copy_to_cpu, with what is told about the buffer."""
    with new_pool() as pool:
        data = pattern(12_000, 7)
        with pool.acquire((30, 100), "float32") as host:
            memoryview(host)[:] = data
            host.set_metadata(sequence=5, content_type="image/raw")
            for device in range(cuda.device_count()):
                with host.copy_to_cuda(device) as there:
                    assert (there.device, there.size) == (device, 12_000)
                    assert fetch(there) == data
                    assert (there.dtype, there.shape) == (host.dtype, (30, 100))
                    with there.copy_to_cpu() as back:
                        assert back.device in (None, -1)
                        assert bytes(back) == data
                        assert (back.sequence, back.content_type) == (5, "image/raw")
                    for target in range(cuda.device_count()):
                        with there.copy_to_cuda(target) as elsewhere:
                            assert elsewhere.device == target
                            assert elsewhere.cuda_ptr != there.cuda_ptr
                            assert fetch(elsewhere) == data
            with host.copy_to_cpu() as beside:
                assert bytes(beside) == data
                assert beside.cpu_ptr != host.cpu_ptr
        assert pool.stats().used == 0


def array_interface():
    """__cuda_array_interface__, with and without a dtype."""
    with new_pool() as pool, pool.acquire_cuda(48) as buffer:
        plain = buffer.__cuda_array_interface__
        assert plain["shape"] == (48,)
        assert plain["typestr"] == "|u1"
        assert plain["data"] == (buffer.cuda_ptr, False)
        assert plain["version"] in (2, 3)
        assert plain.get("strides") is None
        buffer.set_metadata(dtype="float32", shape=(3, 4))
        typed = buffer.__cuda_array_interface__
        assert (typed["shape"], typed["typestr"]) == ((3, 4), "<f4")
        assert typed.get("strides") in (None, (16, 4))
        with pool.get(buffer.meta_index) as reader:
            assert reader.__cuda_array_interface__["data"] == (buffer.cuda_ptr, True)


class DLTensor(ctypes.Structure):
    """As dlpack.h has it."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class DLManagedTensorVersioned(ctypes.Structure):
    """As dlpack.h has it."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    )


def pointer_of(capsule, name, kind):
    """What a capsule has."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return kind.from_address(get(capsule, name))


def dlpack():
    """A capsule of a device, of both versions; it keeps the hold."""
    with new_pool() as pool:
        device = cuda.device_count() - 1
        with pool.acquire_cuda(48, device) as buffer:
            index = buffer.meta_index
            buffer.set_metadata(dtype="float32", shape=(3, 4))
            assert tuple(buffer.__dlpack_device__()) == (2, device)
            old = buffer.__dlpack__()
            new = buffer.__dlpack__(max_version=(1, 0))
            managed = pointer_of(new, b"dltensor_versioned", DLManagedTensorVersioned)
            assert (managed.major, managed.flags & 1) == (1, 0)
            for tensor in (pointer_of(old, b"dltensor", DLTensor), managed.tensor):
                assert tensor.data + tensor.byte_offset == buffer.cuda_ptr
                assert (tensor.device_type, tensor.device_id) == (2, device)
                assert (tensor.code, tensor.bits, tensor.lanes) == (2, 32, 1)
                assert tensor.shape[: tensor.ndim] == [3, 4]
                assert not tensor.strides or tensor.strides[:2] == [4, 1]
            with pool.get(index) as reader:
                new = reader.__dlpack__(max_version=(1, 0))
                managed = pointer_of(new, b"dltensor_versioned", DLManagedTensorVersioned)
                assert managed.flags & 1 == 1
                del new
                with pytest.raises(BufferError):
                    reader.__dlpack__()
        assert pool.ref_count(index) == 1
        del old, managed, tensor
        gc.collect()
        assert pool.ref_count(index) == 0


def torch_shares():
    """torch sees the buffer's memory, by DLPack and by the array interface."""
    import torch

    with new_pool() as pool, pool.acquire_cuda(48) as buffer:
        buffer.set_metadata(dtype="float32", shape=(3, 4))
        for tensor in (torch.from_dlpack(buffer), torch.as_tensor(buffer, device="cuda:0")):
            assert (tensor.data_ptr(), tuple(tensor.shape)) == (buffer.cuda_ptr, (3, 4))
            tensor.fill_(1.5)
            torch.cuda.synchronize()
            with buffer.copy_to_cpu() as host:
                assert (host.numpy() == 1.5).all()
            tensor.zero_()
            del tensor
            gc.collect()


def _reads_and_writes(pipe):
    while True:
        try:
            buffer = pipe.recv()
        except EOFError:
            return
        seen, device = fetch(buffer), buffer.device
        put(buffer, seen[::-1])
        buffer.release()
        pipe.send((seen, device))


def another_process_shares():
    """Buffers of a device, sent to another process, are the same memory there."""
    last = cuda.device_count() - 1
    with new_pool() as pool, another(_reads_and_writes) as (pipe, _):
        for turn, device in enumerate([0, last, 0, last]):
            size = 1000 * turn + 17
            data = pattern(size, turn)
            with pool.acquire_cuda(size, device) as buffer:
                put(buffer, data)
                pipe.send(buffer)
                assert pipe.recv() == (data, device)
                assert fetch(buffer) == data[::-1]
        # One that its sender has let go of while it is on its way.
        buffer = pool.acquire_cuda(100)
        put(buffer, pattern(100, 9))
        pipe.send(buffer)
        buffer.release()
        assert pipe.recv() == (pattern(100, 9), 0)
        assert pool.stats().used == 0


def _counts_backwards(pipe, name):
    os.environ["CUDA_STANDIN_REVERSED"] = "1"
    with BufferPool.open(name) as pool:
        for index in pipe.recv():
            with pool.get(index) as buffer:
                pipe.send((buffer.device, fetch(buffer), cuda.device_name(buffer.device)))
    until_closed(pipe)


def devices_are_told_by_uuid():
    """A process that counts the devices otherwise finds the buffer on the right one."""
    with new_pool() as pool:
        held = [pool.acquire_cuda(100, device) for device in (0, 1)]
        for buffer in held:
            put(buffer, pattern(100, buffer.device))
        with another(_counts_backwards, pool.name) as (pipe, _):
            pipe.send([buffer.meta_index for buffer in held])
            for buffer in held:
                name = cuda.device_name(buffer.device)
                assert pipe.recv() == (1 - buffer.device, fetch(buffer), name)
        del buffer, held


def _imports(pipe, name):
    with BufferPool.open(name) as pool:
        for index in pipe.recv():
            pool.get(index).release()
        assert calls("cuIpcOpenMemHandle_v2") == 1
    assert calls("cuIpcCloseMemHandle") == 1
    pipe.send("done")
    until_closed(pipe)


def memory_is_opened_once():
    """However many buffers another process gets, it opens their allocation once."""
    with new_pool() as pool:
        indices = pool.preallocate_cuda(1000, 20)
        with another(_imports, pool.name) as (pipe, _):
            pipe.send(indices)
            assert pipe.recv() == "done"


def _exports(pipe, name):
    pool = BufferPool.open(name)
    sent, kept = pool.acquire_cuda(1000), pool.acquire_cuda(2000)
    pinned = pool.acquire_cuda(3000)
    put(sent, pattern(1000, 1))
    pipe.send(sent)
    pipe.send((kept.meta_index, pinned.meta_index))
    pinned.forget()
    pipe.send("ready")
    until_closed(pipe)


def exporter_is_killed():
    """Buffers of a killed process: errors and no crash; what it held is taken back."""
    with new_pool() as pool:
        with another(_exports, pool.name) as (pipe, process):
            held = pipe.recv()
            kept, pinned = pipe.recv()
            assert pipe.recv() == "ready"
            assert fetch(held) == pattern(1000, 1)
            pool.get(kept).release()
            process.kill()
            process.join()
        # Before and after what it had is taken back.
        for _ in range(2):
            for index in (held.meta_index, pinned):
                with pytest.raises(gmemx.errors.PoolDeviceError, match="is gone"):
                    pool.get(index)
            pool.reclaim()
        assert (pool.ref_count(held.meta_index), pool.ref_count(pinned)) == (1, 1)
        with pytest.raises(RuntimeError):
            pool.get(kept)
        assert pool.release(pinned) == 0
        held.release()
        assert pool.stats().used == 0
        many = [pool.acquire_cuda(1000) for _ in range(64)]
        for i, buffer in enumerate(many):
            put(buffer, pattern(1000, i))
        assert all(fetch(buffer) == pattern(1000, i) for i, buffer in enumerate(many))
        del many, buffer


def _exports_and_closes(pipe, name):
    with BufferPool.open(name) as pool, pool.acquire_cuda(1000) as buffer:
        put(buffer, pattern(1000, 4))
        pipe.send(buffer)
        assert pipe.recv() == "claimed"
    assert "CUDA_STANDIN_LOG" not in os.environ or calls("cuMemFree_v2") == 0
    pipe.send("closed")
    until_closed(pipe)


def exporter_closes():
    """Memory that others hold stays while its process lives; they get no new holds of it."""
    with new_pool() as pool:
        with another(_exports_and_closes, pool.name) as (pipe, _):
            held = pipe.recv()
            pipe.send("claimed")
            assert pipe.recv() == "closed"
            assert fetch(held) == pattern(1000, 4)
            with pytest.raises(gmemx.errors.PoolDeviceError, match="is gone"):
                pool.get(held.meta_index)
            held.release()
        assert pool.stats().used == 0
        pool.acquire_cuda(1000).release()


def failures():
    """An error of the driver is an exception that names it, and leaves nothing behind."""
    with new_pool(4) as pool:
        for fail in ("cuDevicePrimaryCtxRetain:999", "cuMemAlloc_v2:700", "cuIpcGetMemHandle:304"):
            code = fail.partition(":")[2]
            with failing(fail), pytest.raises(RuntimeError, match=rf"\({code}\)"):
                pool.acquire_cuda(100)
            with failing(fail), pytest.raises(RuntimeError, match=rf"\({code}\)"):
                pool.preallocate_cuda(100, 2)
            assert pool.stats().used == 0
        # What could not be exported was freed again.
        assert calls("cuMemFree_v2") == 2
        with failing("cuMemAlloc_v2:2"), pytest.raises(MemoryError, match="device has no room"):
            pool.acquire_cuda(100)
        with pytest.raises(MemoryError, match="device has no room"):
            pool.acquire_cuda(2 << 30)
        assert pool.stats().used == 0
        with pool.acquire_cuda(100) as buffer:
            put(buffer, pattern(100, 0))
            for fail in ("cuMemcpyDtoH_v2:700", "cuCtxPushCurrent_v2:700"):
                with failing(fail), pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
                    buffer.copy_to_cpu()
            for fail in ("cuMemcpyDtoD_v2:700", "cuStreamSynchronize:700"):
                with failing(fail), pytest.raises(RuntimeError, match="ILLEGAL_ADDRESS"):
                    buffer.copy_to_cuda()
            assert pool.stats().used == 1
            assert fetch(buffer) == pattern(100, 0)
        many = [pool.acquire_cuda(100) for _ in range(4)]
        del many


def _cannot_import(pipe, name):
    os.environ["CUDA_STANDIN_FAIL"] = "cuIpcOpenMemHandle_v2:205"
    with BufferPool.open(name) as pool:
        index = pipe.recv()
        for get in (pool.get, pool.get_mut):
            with pytest.raises(RuntimeError, match=r"another process .*MAP_FAILED \(205\)"):
                get(index)
        assert pool.ref_count(index) == 1
        del os.environ["CUDA_STANDIN_FAIL"]
        with pool.get(index) as buffer:
            pipe.send(fetch(buffer))
    until_closed(pipe)


def import_fails():
    """A process that cannot open another's memory gets an error, and no hold."""
    with new_pool() as pool, pool.acquire_cuda(100) as buffer:
        put(buffer, pattern(100, 3))
        with another(_cannot_import, pool.name) as (pipe, _):
            pipe.send(buffer.meta_index)
            assert pipe.recv() == pattern(100, 3)
        assert pool.ref_count(buffer.meta_index) == 1


def _has_no_driver(pipe, name):
    os.environ["GMEMX_CUDA_DRIVER"] = "/nowhere/libcuda-of-nowhere.so"
    with BufferPool.open(name) as pool:
        index = pipe.recv()
        with pytest.raises(NotImplementedError, match="there is no CUDA driver"):
            pool.get(index)
        # References need no memory.
        assert pool.add_ref(index) == 2
        assert pool.release(index) == 1
    pipe.send("done")
    until_closed(pipe)


def process_without_a_driver():
    """A process without CUDA can count a device's buffers, though not see them."""
    with new_pool() as pool, pool.acquire_cuda(100) as buffer:
        with another(_has_no_driver, pool.name) as (pipe, _):
            pipe.send(buffer.meta_index)
            assert pipe.recv() == "done"
        assert pool.ref_count(buffer.meta_index) == 1


def forked_child():
    """A forked child is told to be spawned; what it has inherited goes with it."""
    with new_pool() as pool:
        buffer = pool.acquire_cuda(100)
        put(buffer, pattern(100, 6))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert pool.ref_count(buffer.meta_index) == 2
                for attempt in (
                    lambda: pool.acquire_cuda(100),
                    lambda: pool.get(buffer.meta_index),
                    buffer.copy_to_cpu,
                ):
                    with pytest.raises(NotImplementedError, match="'spawn'"):
                        attempt()
                with pool.acquire_cpu(100) as host:
                    assert host.size == 100
                buffer.release()
                pool.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert pool.ref_count(buffer.meta_index) == 1
        assert fetch(buffer) == pattern(100, 6)
        buffer.release()
        pool.acquire_cuda(100).release()


def trim():
    """trim gives a device's memory back where no buffer is in it, and nobody has it open."""
    with new_pool() as pool:
        with pool.acquire_cuda(1000) as buffer:
            pool.trim()
            put(buffer, pattern(1000, 2))
            assert fetch(buffer) == pattern(1000, 2)
            assert calls("cuMemFree_v2") == 0
        assert pool.trim() >= 1000
        assert calls("cuMemFree_v2") == 1
        with pool.acquire_cuda(1000) as buffer:
            put(buffer, pattern(1000, 3))
            assert fetch(buffer) == pattern(1000, 3)


def threads():
    """Threads take, fill, check and release buffers of all devices at once."""
    wrong = []

    def work(seed):
        try:
            for turn in range(40):
                device = (seed + turn) % cuda.device_count()
                data = pattern(3000 + 64 * turn, seed * turn)
                with pool.acquire_cuda(len(data), device) as buffer:
                    put(buffer, data)
                    with pool.get(buffer.meta_index) as reader:
                        assert fetch(reader) == data
        except BaseException as error:
            wrong.append(error)

    with new_pool() as pool:
        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert wrong == []
        assert pool.stats().used == 0


def left_open():
    """Pools and buffers that are never closed: the process ends, without calls at the end."""
    global kept
    pool = new_pool()
    kept = pool, pool.acquire_cuda(1000)
