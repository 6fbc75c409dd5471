"""Whatever is done with pools, and however it fails, memory and descriptors go back."""

import copy
import os
import pickle

import numpy as np
import pytest
from leaks import growth, needs_statm, resident
from pools import files_of, linux_only, new_pool, unique_name

import gmemx.pool
from gmemx import BufferPool, PoolError

pytestmark = [linux_only, needs_statm]


@pytest.fixture(scope="module")
def pool():
    """One for all tests, in which nothing is left at the end."""
    with new_pool() as made:
        yield made
        assert made.stats().used == 0


def acquire_and_drop(pool):
    pool.acquire_cpu(100)
    with pool.acquire((3, 4), "int8"):
        pass


def views(pool):
    with pool.acquire(64, "float32") as guard:
        kept = [
            guard.numpy(), guard.tensor(), memoryview(guard), guard.__dlpack__(),
            guard.numpy("int16", (4, 8)), guard.tensor("int4")[2:].shape,
            guard.numpy(np.dtype("c8")), np.from_dlpack(guard),
        ]  # fmt: skip
    kept.clear()


def get(pool):
    with pool.acquire_cpu(100) as guard:
        pool.get(guard.meta_index)
        pool.get_mut(guard.handle).close()
        copy.copy(guard)


def references(pool):
    indices = pool.preallocate_cpu(10, 5)
    pool.add_ref(indices[0])
    pool.set_ref_count(indices[1], 7)
    pool.set_ref_count(indices[1], 1)
    for index in [indices[0], *indices]:
        pool.release(index)
    guard = pool.acquire_cpu(10)
    guard.forget()
    pool.release(guard.meta_index)


def forget_in_use(pool):
    guard = pool.acquire_cpu(10)
    array = guard.numpy()
    guard.forget()
    del array
    pool.release(guard.meta_index)


def metadata(pool):
    with pool.acquire_cpu(100) as guard:
        guard.set_metadata(dtype="int16", shape=(5, 10), sequence=5, content_type="text/plain")
        guard.metadata()
        guard.shape = (2, 25)
        guard.seal()


def look(pool):
    with pool.acquire_cpu(100):
        pool.stats()
        pool.buffers()
        pool.processes()
        gmemx.pool.stat(pool.name)
        gmemx.pool.list_pools()
        repr(pool)


def send(pool):
    with pool.acquire(10) as guard:
        pickle.loads(pickle.dumps(guard)).close()
        pickle.loads(pickle.dumps(guard.handle)).open()
        guard.send()
        pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(guard.send()))))
        pickle.loads(pickle.dumps(pool)).close()


def make_and_close(pool):
    with new_pool(capacity=8) as other, other.acquire_cpu(10_000) as guard:
        guard.numpy()[:] = 1
        BufferPool.open(other.name).close()
        BufferPool.open(other.name, read_only=True)
    dropped = BufferPool.anonymous(capacity=8)
    BufferPool.from_descriptors(*dropped.descriptors)
    array = dropped.acquire(100).numpy()
    del dropped, array


def fail(pool):
    guard = pool.acquire_cpu(10)
    spent = pool.acquire_cpu(10)
    spent.close()
    with new_pool(capacity=1) as full, full.acquire_cpu(1):
        for work in (
            lambda: pool.acquire_cpu(0),
            lambda: pool.acquire_cpu(2**62),
            lambda: pool.acquire((-1,)),
            lambda: pool.get(63),
            lambda: pool.get(64),
            lambda: pool.get(spent.meta_index),
            lambda: pool.release(guard.meta_index),
            lambda: pool.set_ref_count(guard.meta_index, 400),
            lambda: pool.preallocate_cpu(10, 64),
            lambda: full.acquire_cpu(1, timeout=0),
            lambda: full.close(),
            lambda: guard.numpy("float64"),
            lambda: guard.set_metadata(shape=(100,)),
            lambda: spent.numpy(),
            lambda: pickle.dumps(spent),
            lambda: pool.acquire_cuda(10, -1),
            lambda: BufferPool(pool.name),
            lambda: BufferPool("a/b"),
            lambda: BufferPool.open(f"{pool.name}-not"),
            lambda: gmemx.pool.stat(f"{pool.name}-not"),
            lambda: BufferPool.from_descriptors(987_654, 987_655),
        ):
            with pytest.raises((PoolError, BufferError)):
                work()
    guard.close()


@pytest.mark.parametrize(
    ("work", "times"),
    [
        (acquire_and_drop, 50_000),
        (views, 5000),
        (get, 10_000),
        (references, 10_000),
        (forget_in_use, 10_000),
        (metadata, 20_000),
        (look, 500),
        (send, 2000),
        (make_and_close, 500),
        (fail, 500),
    ],
)
def test_nothing_leaks(pool, work, times):
    """The resident size stays flat while buffers and pools come and go."""
    work(pool)
    descriptors = os.listdir("/proc/self/fd")
    mappings = mapped()
    # The least that could be lost, a guard, has some 100 bytes.
    assert growth(lambda: work(pool), times) < max(30 * times, 1 << 20)
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
    assert mapped() <= mappings + 2
    assert pool.stats().used == 0


def mapped():
    """How many mappings of pools this process has."""
    with open("/proc/self/maps") as maps:
        return sum("gmemx" in line for line in maps)


def shared():
    """Bytes of shared memory that the system has lent."""
    statistics = os.statvfs("/dev/shm")
    return (statistics.f_blocks - statistics.f_bfree) * statistics.f_frsize


def test_shared_memory_goes_back():
    """With the pool, and on trim(); until then it is ready for the next buffer."""
    size = 64 << 20
    before = shared()
    with new_pool() as pool:
        with pool.acquire_cpu(size) as guard:
            guard.numpy()[:] = 1
            assert shared() - before > size // 2
        assert shared() - before > size // 2
        assert pool.trim() >= size
        assert shared() - before < size // 2
        with pool.acquire_cpu(size) as guard:
            guard.numpy()[:] = 2
            array = guard.numpy()
        assert (array[::4096] == 2).all()
        del array
    assert shared() - before < size // 2


def test_memory_is_unmapped_with_the_last_opened_pool():
    """And not before, though the pool that made it has gone."""
    size = 64 << 20
    pool = new_pool()
    array = pool.acquire(size, "uint8").numpy()
    array[:] = 1
    name, used = pool.name, resident()
    del pool
    assert array[-1] == 1
    del array
    assert used - resident() > size // 2
    assert files_of(name) == []


def test_many_pools_at_once():
    """Each takes little until it is used, and all of it goes."""
    descriptors = len(os.listdir("/proc/self/fd"))
    before = shared()
    pools = [BufferPool(unique_name(), 16) for _ in range(50)]
    guards = [pool.acquire_cpu(1000) for pool in pools]
    assert len({pool.id for pool in pools}) == 50
    assert shared() - before < 50 * (4 << 20)
    for number, guard in enumerate(guards):
        guard.numpy()[:] = number
    for number, guard in enumerate(guards):
        assert (guard.numpy() == number).all()
    del guards, guard, pools
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert shared() - before < 1 << 20
