"""Guards, references and pools: who holds what, until when, and what is left then."""

import copy
import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
import weakref

import numpy as np
import pytest
from pools import files_of, in_child, linux_only, new_pool, run, unique_name

import gmemx.pool
from gmemx import BufferGuard, BufferPool, PoolError
from gmemx.pool import BufferHandle

pytestmark = linux_only


@pytest.fixture
def pool():
    """A pool with nothing in use, before and afterwards."""
    with new_pool() as made:
        yield made
        made.reclaim()
        assert made.stats().used == 0


# ---- the end of a hold ---------------------------------------------------------------------

ENDS = {
    "close": lambda guard: guard.close(),
    "release": lambda guard: guard.release(),
    "with": lambda guard: guard.__exit__(None, None, None),
    "with an exception": lambda guard: guard.__exit__(KeyError, KeyError(), None),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_a_hold_ends_once(pool, end):
    """However often it is said; what others hold is theirs."""
    guard = pool.acquire_cpu(100)
    index = guard.meta_index
    pool.add_ref(index)
    assert pool.ref_count(index) == 2
    for _ in range(3):
        end(guard)
        assert pool.ref_count(index) == 1
        assert (guard.is_valid, guard.closed) == (False, True)
    del guard
    assert pool.ref_count(index) == 1
    assert pool.release(index) == 0


def test_a_hold_ends_with_its_guard(pool):
    """At once, by counting references; nothing waits for the collector."""
    gc.disable()
    try:
        guard = pool.acquire_cpu(100)
        gone = weakref.ref(guard)
        assert pool.stats().used == 1
        del guard
        assert gone() is None
        assert pool.stats().used == 0
        pool.acquire_cpu(100)
        assert pool.stats().used == 0
    finally:
        gc.enable()


def test_with(pool):
    """The block has the guard, and no exception of its own is lost."""
    with pool.acquire_cpu(10) as guard:
        assert guard.is_valid
        assert isinstance(guard, BufferGuard)
    assert not guard.is_valid
    with pytest.raises(KeyError), pool.acquire_cpu(10) as guard:
        raise KeyError
    assert not guard.is_valid
    with pytest.raises(PoolError, match="released"), guard:
        pass


def test_forget(pool):
    """The hold becomes a pin, which anyone may take away."""
    guard = pool.acquire_cpu(100)
    index = guard.meta_index
    guard.numpy()[:] = 7
    guard.forget()
    assert (guard.is_valid, repr(guard)) == (False, "BufferGuard(forgotten)")
    guard.close()
    guard.__exit__(None, None, None)
    del guard
    assert (pool.ref_count(index), pool.stats().pins) == (1, 1)
    with pool.get(index) as again:
        assert again.numpy()[0] == 7
        assert pool.ref_count(index) == 2
    assert pool.release(index) == 0
    assert pool.ref_count(index) == 0


def test_forgetting_what_is_in_use(pool):
    """The pin stays, and whoever uses the memory keeps it from being reused besides."""
    guard = pool.acquire_cpu(100)
    index = guard.meta_index
    array = guard.numpy()
    guard.forget()
    assert not guard.is_valid
    assert pool.release(index) == 1
    assert pool.acquire_cpu(100).meta_index != index
    array[:] = 3
    del array
    assert pool.ref_count(index) == 0
    assert not guard.is_valid


USES = {
    "an array": lambda guard: guard.numpy(),
    "a part of an array": lambda guard: guard.numpy("int32")[4:].reshape(2, -1),
    "a typed array": lambda guard: guard.numpy("bfloat16"),
    "a tensor": lambda guard: guard.tensor(),
    "a view of a tensor": lambda guard: guard.tensor("int16")[5:],
    "a tensor's array": lambda guard: guard.tensor().numpy(),
    "a memoryview": memoryview,
    "a part of a memoryview": lambda guard: memoryview(guard)[10:].cast("B"),
    "an array over it": np.asarray,
    "a capsule": lambda guard: guard.__dlpack__(),
    "a versioned capsule": lambda guard: guard.__dlpack__(max_version=(1, 0)),
    "an array through DLPack": np.from_dlpack,
    "a tensor through DLPack": gmemx.from_dlpack,
    "a tensor over it": gmemx.Tensor.from_buffer,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_whoever_uses_the_memory_keeps_the_hold(pool, use):
    """close() is refused, a with block ends, and the hold ends with the last use."""
    guard = pool.acquire_cpu(96)
    index = guard.meta_index
    used = use(guard)
    with pytest.raises(BufferError, match="exports use its memory"):
        guard.close()
    assert guard.is_valid
    with guard:
        pass
    assert not guard.is_valid
    assert repr(guard) == "BufferGuard(released)"
    guard.close()
    assert pool.ref_count(index) == 1
    # The memory is not given to another.
    assert pool.acquire_cpu(96).meta_index != index
    with pytest.raises(BufferError, match="1 guards"):
        pool.close()
    del used
    assert pool.ref_count(index) == 0


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_use_outlives_guard_and_pool(use):
    """An array keeps its guard, and a guard its pool."""
    pool = new_pool()
    name, gone = pool.name, weakref.ref(pool)
    guard = pool.acquire_cpu(96)
    guard.numpy()[:] = 5
    used = use(guard)
    del pool, guard
    assert gone() is not None
    assert gone().stats().used == 1
    with BufferPool.open(name) as other:
        assert other.stats().used == 1
        del used
        assert other.stats().used == 0
    assert gone() is None
    assert files_of(name) == []


def test_the_last_of_several_uses_ends_the_hold(pool):
    """In any order."""
    with pool.acquire_cpu(96) as guard:
        uses = [use(guard) for use in USES.values()]
    for _ in range(len(uses)):
        assert pool.stats().used == 1
        uses.pop(len(uses) // 2)
    assert pool.stats().used == 0


def test_a_closed_view_lets_go(pool):
    """memoryview.release and Tensor.close end their use at once."""
    guard = pool.acquire_cpu(64)
    view, tensor = memoryview(guard), guard.tensor()
    view.release()
    with pytest.raises(BufferError, match="1 arrays"):
        guard.close()
    tensor.close()
    guard.close()
    assert pool.stats().used == 0


def test_failed_views_are_no_uses(pool):
    """What was refused keeps nothing."""
    guard = pool.acquire_cpu(10)
    reader = pool.get(guard.meta_index)
    for work in (
        lambda: guard.numpy("float64"),
        lambda: guard.numpy("no such"),
        lambda: guard.numpy("int8", 11),
        lambda: guard.numpy(np.dtype("S3")),
        lambda: guard.tensor("float64"),
        lambda: guard.tensor(shape=(3, 4)),
        lambda: guard.tensor(shape="3"),
        lambda: guard.numpy(5),
        lambda: guard.__dlpack__(dl_device=(2, 0)),
        lambda: reader.__dlpack__(),
        lambda: np.frombuffer(reader, "f8"),
        lambda: bytearray().join([reader, 5]),
    ):
        with pytest.raises((ValueError, TypeError, BufferError)):
            work()
    reader.close()
    guard.close()


SPENT = {
    name: lambda guard, name=name: getattr(guard, name)
    for name in (
        "size", "handle", "pool", "device", "readonly", "cpu_ptr", "cpu_ptr_mut", "cuda_ptr",
        "cuda_ptr_mut", "sealed", "dtype", "shape", "strides", "timestamp", "sequence",
        "content_type", "producer", "__cuda_array_interface__",
    )
} | {
    name: lambda guard, name=name: getattr(guard, name)()
    for name in (
        "numpy", "tensor", "forget", "seal", "metadata", "set_metadata", "send", "copy_to_cpu",
        "copy_to_cuda", "__enter__", "__dlpack__", "__dlpack_device__", "__reduce__", "__len__",
    )
} | {
    "memoryview": memoryview, "bytes": bytes, "asarray": lambda guard: np.frombuffer(guard),
    "set dtype": lambda guard: setattr(guard, "dtype", "int8"), "copy": copy.copy,
}  # fmt: skip


@pytest.mark.parametrize("work", SPENT.values(), ids=SPENT.keys())
def test_a_spent_guard_refuses_everything(pool, work):
    """With a RuntimeError that says what became of it; which slot it had can still be asked."""
    for end, mention in ((BufferGuard.close, "released"), (BufferGuard.forget, "forgotten")):
        guard = pool.acquire_cpu(16)
        index = guard.meta_index
        end(guard)
        with pytest.raises(RuntimeError, match=mention) as caught:
            work(guard)
        assert isinstance(caught.value, (PoolError, ValueError))
        assert guard.meta_index == index
        if pool.ref_count(index):
            pool.release(index)


def test_a_guard_that_no_pool_made(pool):
    """It can be had by __new__ only, and refuses as a spent one does."""
    with pytest.raises(TypeError, match="acquire_cpu"):
        BufferGuard()
    guard = BufferGuard.__new__(BufferGuard)
    for work in (*SPENT.values(), lambda guard: guard.meta_index):
        with pytest.raises(RuntimeError, match="never made"):
            work(guard)
    assert guard.closed
    guard.close()
    guard.__exit__(None, None, None)
    assert repr(guard) == "BufferGuard(released)"


def test_guards_are_what_they_are(pool):
    """No subclasses, no attributes, compared by identity, weakly referenced, copied by a hold."""
    with pytest.raises(TypeError):
        type("Mine", (BufferGuard,), {})
    with pytest.raises(TypeError):
        type("Mine", (BufferPool,), {})
    with pool.acquire_cpu(10) as guard:
        with pytest.raises(AttributeError):
            guard.anything = 1
        assert weakref.ref(guard)() is guard
        with pool.get(guard.meta_index) as other:
            assert other != guard
            assert len({guard, other, guard}) == 2
        again = copy.copy(guard)
        assert (again.meta_index, again.readonly) == (guard.meta_index, False)
        assert pool.ref_count(guard.meta_index) == 2
        del again
        assert guard.pool is pool


def test_guards_may_be_dropped_on_another_thread(pool):
    """Whoever drops the last reference gives the buffer back."""
    guards = [pool.acquire_cpu(100) for _ in range(50)]
    arrays = [guard.numpy() for guard in guards]
    for work in (guards.clear, arrays.clear):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert pool.stats().used == 0


def test_reprs(pool):
    """They tell the state, of the closed too."""
    with pool.acquire_cpu(10) as guard, pool.get(guard.meta_index) as reader:
        assert repr(guard) == "BufferGuard(meta_index=0, size=10)"
        assert repr(reader) == "BufferGuard(meta_index=0, size=10, readonly)"
        assert repr(guard.handle).startswith("BufferHandle(index=0, generation=")
    assert repr(pool) == f"BufferPool({pool.name!r}, capacity=64, size={pool.size})"
    with BufferPool.open(pool.name, read_only=True) as reading:
        assert repr(reading).endswith(", read_only)")
    assert repr(reading).endswith(", closed)")
    with BufferPool.anonymous(3, size=8192) as nameless:
        assert repr(nameless) == "BufferPool(capacity=3, size=8192)"


# ---- handles -------------------------------------------------------------------------------


def test_handles_name_one_buffer_only(pool):
    """A handle never fits the next buffer of its slot, an index does."""
    with pool.acquire_cpu(100) as guard:
        handle = guard.handle
        assert (handle.index, handle.pool_id, handle.pool_name) == (0, pool.id, pool.name)
        assert handle.value > 0
        assert handle == guard.handle
        assert hash(handle) == hash(guard.handle)
        for get, readonly in ((pool.get, True), (pool.get_mut, False)):
            with get(handle) as again:
                assert (again.cpu_ptr > 0, again.readonly) == (True, readonly)
    seen = {handle}
    for _ in range(100):
        with pytest.raises(LookupError) as caught:
            pool.get(handle)
        assert isinstance(caught.value, RuntimeError)
        with pool.acquire_cpu(100) as guard:
            assert guard.meta_index == 0
            assert guard.handle not in seen
            seen.add(guard.handle)
            with pytest.raises(LookupError):
                pool.get(handle)
            assert pool.ref_count(0) == 1
    assert handle != "handle"


def test_a_handle_keeps_its_guard(pool):
    """Until the guard is closed."""
    handle = pool.acquire_cpu(100).handle
    assert pool.stats().used == 1
    assert handle.open().size == 100
    handle.open().close()
    assert pool.stats().used == 0
    with pytest.raises(LookupError):
        handle.open()


def test_handles_of_other_pools(pool):
    """They are told apart, whatever their numbers."""
    with new_pool() as other, other.acquire_cpu(10) as guard, pool.acquire_cpu(10) as mine:
        with pytest.raises(ValueError, match=f"{other.name}.*{pool.name}"):
            pool.get(guard.handle)
        assert guard.handle != mine.handle


# ---- references ----------------------------------------------------------------------------


def test_references_and_holds_are_counted_apart(pool):
    """release() never takes what a guard holds."""
    guard = pool.acquire_cpu(100)
    index = guard.meta_index
    with pytest.raises(LookupError):
        pool.release(index)
    assert [pool.add_ref(index) for _ in range(3)] == [2, 3, 4]
    with pool.get(index), pool.get_mut(index):
        assert pool.ref_count(index) == 6
    guard.close()
    assert [pool.release(index) for _ in range(3)] == [2, 1, 0]
    assert pool.ref_count(index) == 0
    for work in (pool.release, pool.add_ref, pool.get, pool.get_mut):
        with pytest.raises(LookupError):
            work(index)


def test_set_ref_count(pool):
    """It adds and takes pins; holds stay."""
    guard = pool.acquire_cpu(100)
    index = guard.meta_index
    pool.set_ref_count(index, 5)
    assert (pool.ref_count(index), pool.stats().pins) == (5, 4)
    pool.set_ref_count(index, 256)
    assert pool.stats().pins == 255
    with pytest.raises(OverflowError):
        pool.set_ref_count(index, 257)
    with pytest.raises(ValueError, match="0"):
        pool.set_ref_count(index, 0)
    pool.set_ref_count(index, 1)
    assert pool.stats().pins == 0
    pool.set_ref_count(index, 2)
    guard.close()
    assert pool.ref_count(index) == 1
    pool.set_ref_count(index, 0)
    assert pool.ref_count(index) == 0
    with pytest.raises(LookupError):
        pool.set_ref_count(index, 1)


def test_preallocate(pool):
    """All or none; each has one reference, and is found by its index."""
    indices = pool.preallocate_cpu(1000, 60)
    assert len(set(indices)) == 60
    assert all(pool.ref_count(index) == 1 for index in indices)
    with pytest.raises(PoolError):
        pool.preallocate_cpu(1000, 5)
    assert pool.stats().used == 60
    for index in indices:
        with pool.get_mut(index) as guard:
            assert guard.size == 1000
            guard.numpy()[:] = index
    for index in indices:
        with pool.get(index) as guard:
            assert (guard.numpy() == index).all()
        assert pool.release(index) == 0
    assert pool.preallocate_cpu(10, 0) == []


def test_references_go_with_their_process(pool):
    """They are given back when it closes the pool, whichever of its objects took them."""
    with pool.acquire_cpu(10) as guard:
        program = (
            "import sys\n"
            "from gmemx import BufferPool\n"
            "first, second = BufferPool.open(sys.argv[1]), BufferPool.open(sys.argv[1])\n"
            "indices = first.preallocate_cpu(10, 5)\n"
            "print(first.add_ref(0), first.stats().used)\n"
            "first.close()\n"
            "print(second.release(indices[0]), second.stats().used)\n"
            "second.close()\n"
        )
        assert run(program, pool.name) == "2 6\n0 5\n"
        assert pool.stats().used == 1
        assert pool.ref_count(guard.meta_index) == 1


# ---- waiting -------------------------------------------------------------------------------


def test_waiting_for_a_buffer():
    """Not at all, for a while, or until somebody gives one back."""
    with new_pool(capacity=1) as pool:
        guard = pool.acquire_cpu(10)
        for timeout in (0, 0.0, 0.05, 0.25):
            before = time.monotonic()
            with pytest.raises(TimeoutError, match=f"{timeout:g} seconds") as caught:
                pool.acquire_cpu(10, timeout)
            assert time.monotonic() - before >= timeout
            assert isinstance(caught.value, RuntimeError)
        with pytest.raises(TimeoutError):
            pool.acquire(5, "int8", timeout=0)
        for timeout in (None, 60, float("inf")):
            threading.Timer(0.05, guard.close).start()
            guard = pool.acquire_cpu(10, timeout=timeout)
            assert guard.is_valid
        guard.close()


def test_waiting_for_another_process():
    """Who frees a buffer wakes whoever waits for it, in whichever process."""
    with new_pool(capacity=1) as pool:
        program = (
            "import sys, time\n"
            "from gmemx import BufferPool\n"
            "with BufferPool.open(sys.argv[1]) as pool, pool.acquire_cpu(10):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.readline()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, pool.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(TimeoutError):
                pool.acquire_cpu(10, timeout=0.01)
            threading.Timer(0.05, other.stdin.close).start()
            pool.acquire_cpu(10).close()
        assert other.returncode == 0


def test_waiting_for_memory():
    """A budget of bytes is waited for like a slot."""
    with new_pool(size=1 << 20) as pool:
        guard = pool.acquire_cpu(1 << 20)
        with pytest.raises(TimeoutError):
            pool.acquire_cpu(1 << 20, timeout=0.01)
        threading.Timer(0.05, guard.close).start()
        pool.acquire_cpu(1 << 20, timeout=60).close()


def test_a_killed_process_is_not_waited_for():
    """What it held is free for those who wait."""
    with new_pool(capacity=1) as pool:
        child = os.fork()
        if child == 0:
            kept = pool.acquire_cpu(10)
            signal.pause()
            kept.close()
        while pool.stats().used == 0:
            time.sleep(0.001)
        threading.Timer(0.05, os.kill, (child, signal.SIGKILL)).start()
        pool.acquire_cpu(10, timeout=60).close()
        os.waitpid(child, 0)
        assert pool.stats().reclaimed >= 1


def test_ctrl_c_ends_the_waiting():
    """And leaves nothing behind."""
    program = (
        "import os, signal, threading\n"
        "from pools import new_pool\n"
        "with new_pool(capacity=1) as pool:\n"
        "    with pool.acquire_cpu(10):\n"
        "        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "        try:\n"
        "            pool.acquire_cpu(10)\n"
        "        except KeyboardInterrupt:\n"
        "            print('interrupted')\n"
        "    pool.acquire_cpu(10).close()\n"
        "    print(pool.stats().used)\n"
    )
    assert run(program) == "interrupted\n0\n"


# ---- pools ---------------------------------------------------------------------------------


def test_what_a_pool_tells():
    """The arguments it was made with, in every process."""
    name = unique_name()
    with BufferPool(name, 100, size=1 << 20, mode=0o640) as pool:
        assert (pool.name, pool.capacity, pool.size) == (name, 100, 1 << 20)
        assert isinstance(pool.id, uuid.UUID)
        assert (pool.read_only, pool.closed) == (False, False)
        assert pool.stats().mode == 0o640
        with BufferPool.open("/" + name) as again:
            assert again.name == "/" + name
            assert (again.id, again.capacity, again.size) == (pool.id, 100, 1 << 20)
    assert pool.closed
    assert (pool.name, pool.capacity, pool.size) == (name, 100, 1 << 20)


def test_names():
    """Anything of 1 to 200 bytes without a slash inside."""
    for name in ("ä" * 20 + unique_name(), "x" * 190 + str(os.getpid())[-9:], f" {unique_name()}."):
        with BufferPool(name) as pool, BufferPool.open(name) as again:
            assert pool.id == again.id
            assert name in [info.name.lstrip("/") for info in gmemx.pool.list_pools()]
        assert files_of(name) == []


def test_a_name_is_taken_while_the_pool_lives():
    """PoolExistsError is a FileExistsError with its errno."""
    with new_pool() as pool:
        with pytest.raises(FileExistsError, match=pool.name) as caught:
            BufferPool(pool.name)
        assert isinstance(caught.value, PoolError)
        assert caught.value.errno == errno.EEXIST
        with BufferPool.open_or_create(pool.name, 5) as again:
            assert (again.id, again.capacity) == (pool.id, 64)
    with pytest.raises(FileNotFoundError, match=pool.name) as caught:
        BufferPool.open(pool.name)
    assert isinstance(caught.value, PoolError)
    with BufferPool.open_or_create(pool.name, 5) as fresh:
        assert (fresh.id == pool.id, fresh.capacity) == (False, 5)
    assert files_of(pool.name) == []


def test_closing():
    """Refused while guards hold buffers; then every use is refused."""
    pool = new_pool()
    guard = pool.acquire_cpu(10)
    with pytest.raises(BufferError, match=f"{pool.name}.*1 guards"):
        pool.close()
    assert not pool.closed
    guard.close()
    pool.close()
    pool.close()
    for work in (
        lambda: pool.acquire_cpu(10), lambda: pool.acquire(10), lambda: pool.get(0),
        lambda: pool.get_mut(0), lambda: pool.get(BufferHandle(1, pool.id.bytes, None)),
        lambda: pool.add_ref(0), lambda: pool.release(0), lambda: pool.ref_count(0),
        lambda: pool.set_ref_count(0, 1), lambda: pool.preallocate_cpu(1, 1),
        lambda: pool.acquire_cuda(10), lambda: pool.preallocate_cuda(1, 1), pool.reclaim,
        pool.trim, pool.stats, pool.buffers, pool.processes, pool.unlink, pool.settle,
        pool.__enter__, pool.__reduce__, lambda: pool.descriptors,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="the pool is closed") as caught:
            work()
        assert isinstance(caught.value, PoolError)


def test_a_pool_that_was_never_made():
    """By __new__ alone it is a closed one, and is made once."""
    pool = BufferPool.__new__(BufferPool)
    assert pool.closed
    with pytest.raises(PoolError, match="closed"):
        pool.acquire_cpu(10)
    pool.close()
    pool.__init__(unique_name())
    with pytest.raises(TypeError, match="once"):
        pool.__init__(unique_name())
    pool.close()


def test_with_a_pool():
    """It is closed, and an exception of the block is not hidden by what is still in use."""
    with new_pool() as pool:
        pass
    assert pool.closed
    with pytest.raises(BufferError), new_pool() as pool:
        kept = pool.acquire_cpu(10)
    kept.close()
    pool.close()
    kept = []

    def fail(pool):
        kept.append(pool.acquire_cpu(10))
        raise KeyError

    with pytest.raises(KeyError), new_pool() as pool:
        fail(pool)
    assert not pool.closed
    kept.clear()
    name = pool.name
    del pool
    assert files_of(name) == []


def test_unlink(pool):
    """Nobody can open it any more; those who did go on."""
    with BufferPool.open(pool.name) as other, pool.acquire(3) as guard:
        pool.unlink()
        pool.unlink()
        assert files_of(pool.name) == []
        with pytest.raises(FileNotFoundError):
            BufferPool.open(pool.name)
        guard.numpy()[:] = 4.0
        assert other.get(guard.meta_index).numpy().tolist() == [4.0] * 3
        with BufferPool(pool.name) as fresh:
            assert fresh.id != pool.id
            assert fresh.stats().used == 0


def test_pools_without_a_name():
    """They are in no list, and are opened by their descriptors."""
    with BufferPool.anonymous(10) as pool, pool.acquire(4, "int32") as guard:
        assert pool.name is None
        guard.numpy()[:] = 6
        with BufferPool.from_descriptors(*pool.descriptors) as other:
            assert (other.id, other.name) == (pool.id, None)
            assert other.get(guard.meta_index).numpy().tolist() == [6] * 4
        with BufferPool.from_descriptors(*pool.descriptors, read_only=True) as other:
            assert other.get(guard.meta_index).numpy().tolist() == [6] * 4
            with pytest.raises(PermissionError):
                other.acquire_cpu(1)
        # They stay the caller's.
        os.fstat(pool.descriptors[0])
        os.fstat(pool.descriptors[1])


def test_what_is_in_a_pool(pool):
    """stats, buffers and processes agree with each other and with what was done."""
    before = time.time_ns()
    with pool.acquire_cpu(1000) as first, pool.acquire(5, "int8") as second:
        pool.add_ref(first.meta_index)
        pool.set_ref_count(second.meta_index, 4)
        second.seal()
        stats = pool.stats()
        assert (stats.used, stats.used_bytes, stats.pins, stats.in_flight) == (2, 1005, 3, 0)
        assert (stats.capacity, stats.size) == (pool.capacity, pool.size)
        assert stats.committed >= 1005
        assert (stats.processes, stats.max_processes, stats.reclaimed) == (1, 96, 0)
        assert abs(stats.created - before) < 60e9
        infos = pool.buffers()
        assert [info.index for info in infos] == [first.meta_index, second.meta_index]
        assert [info.size for info in infos] == [1000, 5]
        assert [info.handle for info in infos] == [first.handle.value, second.handle.value]
        assert [(info.holders, info.pins) for info in infos] == [(1, 0), (1, 3)]
        assert [info.sealed for info in infos] == [False, True]
        assert {(info.producer, info.on_device, info.in_flight) for info in infos} == {
            (os.getpid(), False, False)
        }
        (process,) = pool.processes()
        assert (process.pid, process.holds, process.alive) == (os.getpid(), 2, True)
        assert abs(process.since - before) < 60e9
        seen = gmemx.pool.stat(pool.name)
        assert (seen.name, seen.alive, seen.problem) == (pool.name, True, None)
        assert (seen.stats, list(seen.buffers), list(seen.processes)) == (
            stats, infos, [process]
        )  # fmt: skip
        pool.release(first.meta_index)
        pool.set_ref_count(second.meta_index, 1)
    assert pool.buffers() == []
    assert pool.stats().free == 2
    assert pool.trim() > 0
    assert pool.stats().free == 0


def test_processes_come_and_go(pool):
    """Each counts once, however often it opens the pool."""
    with BufferPool.open(pool.name), BufferPool.open(pool.name, read_only=True):
        assert pool.stats().processes == 1
    program = (
        "import os, sys\n"
        "from gmemx import BufferPool\n"
        "with BufferPool.open(sys.argv[1]) as pool, pool.acquire_cpu(5):\n"
        "    processes = {process.pid: process.holds for process in pool.processes()}\n"
        "    print(processes == {os.getpid(): 1, os.getppid(): 0})\n"
    )
    assert run(program, pool.name) == "True\n"
    assert [process.pid for process in pool.processes() if process.alive] == [os.getpid()]


def test_a_pool_goes_with_its_last_process():
    """An orderly end removes it, whoever made it; with and without close()."""
    for end in ("pool.close()", "del pool", "", "sys.exit()"):
        program = (
            "import sys\n"
            "from pools import files_of, new_pool\n"
            "pool = new_pool()\n"
            "guard = pool.acquire(10)\n"
            "array = guard.numpy()\n"
            "print(pool.name, len(files_of(pool.name)))\n"
            f"del array, guard\n{end}\n"
        )
        name, count = run(program).split()
        assert count == "1"
        assert files_of(name) == []
    with new_pool() as pool:
        run("import sys; from gmemx import BufferPool; BufferPool.open(sys.argv[1])", pool.name)
        assert len(files_of(pool.name)) == 1


def test_dead_pools():
    """Those whose processes were all killed: seen, never opened, replaced and removed."""
    names = [unique_name() for _ in range(3)]
    program = (
        "import os, signal, sys\n"
        "from gmemx import BufferPool\n"
        "pool = BufferPool(sys.argv[1])\n"
        "guard = pool.acquire_cpu(100_000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for name in names:
        run(program, name, status=-signal.SIGKILL)
    listed = {info.name.lstrip("/"): info for info in gmemx.pool.list_pools()}
    for name in names:
        assert (listed[name].alive, gmemx.pool.stat(name).alive) == (False, False)
    with pytest.raises(FileNotFoundError):
        BufferPool.open(names[0])
    assert files_of(names[0]) == []
    with BufferPool(names[1]) as pool:
        assert pool.stats().used == 0
        removed, size = gmemx.pool.gc()
        assert removed >= 1
        assert size >= 100_000
        assert files_of(names[2]) == []
        assert pool.acquire_cpu(10).is_valid
        with pytest.raises(FileNotFoundError):
            gmemx.pool.stat(names[2])


def test_open_or_create_by_many_at_once():
    """One of them creates it."""
    name = unique_name()
    barrier, identities = threading.Barrier(8), []

    def work():
        barrier.wait()
        pool = BufferPool.open_or_create(name)
        identities.append(pool)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({pool.id for pool in identities}) == 1
    for pool in identities:
        pool.close()
    assert files_of(name) == []


def test_another_process_sees_seals(pool):
    """It gets no more writable holds, until the buffer is free."""
    with pool.acquire_cpu(10) as guard:
        guard.seal()
        index = guard.meta_index

        def work():
            with BufferPool.open(pool.name) as other:
                with pytest.raises(PermissionError, match="sealed"):
                    other.get_mut(index)
                with other.get(index) as reader:
                    assert reader.sealed
                    with pytest.raises(PermissionError):
                        reader.seal()

        program = (
            "import sys, pytest\n"
            "from gmemx import BufferPool\n"
            "index = int(sys.argv[2])\n"
            "with BufferPool.open(sys.argv[1]) as other:\n"
            "    with pytest.raises(PermissionError, match='sealed'):\n"
            "        other.get_mut(index)\n"
            "    with other.get(index) as reader:\n"
            "        assert reader.sealed\n"
            "        with pytest.raises(PermissionError):\n"
            "            reader.seal()\n"
        )
        run(program, pool.name, index)
        in_child(work)
