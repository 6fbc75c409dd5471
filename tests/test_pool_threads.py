"""Many threads use one pool at once: no buffer has two owners, and none is lost."""

import gc
import random
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from concurrency import together
from pools import linux_only, new_pool

from gmemx import BufferPool, PoolError

pytestmark = linux_only

THREADS = 4
ROUNDS = 400


@pytest.fixture
def pool():
    """A pool in which nothing is left at the end."""
    with new_pool() as made:
        yield made
        stats = made.stats()
        assert (stats.used, stats.in_flight) == (0, 0)


def acquire_and_drop(pool, mark, rng):
    pool.acquire_cpu(rng.randrange(1, 5000))


def acquire_and_fill(pool, mark, rng):
    with pool.acquire_cpu(rng.randrange(1, 5000)) as guard:
        guard.numpy()[:] = mark
        assert (guard.numpy() == mark).all()


def fill_a_large_one(pool, mark, rng):
    with pool.acquire((rng.randrange(1, 50), 5000), "int32") as guard:
        guard.tensor().fill(mark)
        time.sleep(0)
        assert guard.tensor().min() == guard.tensor().max() == mark


def leave_a_view(pool, mark, rng):
    with pool.acquire(100, "int16") as guard:
        array = guard.numpy()
        array[:] = mark
    assert (array == mark).all()
    return array


def share(pool, mark, rng):
    with pool.acquire_cpu(64) as guard, pool.get(guard.meta_index) as reader:
        guard.set_metadata(sequence=mark)
        assert reader.sequence == mark
        assert pool.ref_count(guard.meta_index) == 2


def refer(pool, mark, rng):
    (index,) = pool.preallocate_cpu(10, 1)
    assert pool.add_ref(index) == 2
    pool.set_ref_count(index, 3)
    assert [pool.release(index) for _ in range(3)] == [2, 1, 0]


def look(pool, mark, rng):
    stats = pool.stats()
    assert 0 <= stats.used <= stats.capacity
    assert all(info.size > 0 for info in pool.buffers())
    assert [process.alive for process in pool.processes()] == [True]


def collect(pool, mark, rng):
    gc.collect(0)
    pool.reclaim()


def trim(pool, mark, rng):
    pool.trim()


def send(pool, mark, rng):
    from pickle import dumps, loads

    with pool.acquire(10, "int64") as guard:
        guard.numpy()[:] = mark
        data = dumps(guard)
    with loads(data) as arrived:
        assert (arrived.numpy() == mark).all()


def reopen(pool, mark, rng):
    with BufferPool.open(pool.name) as other, other.acquire_cpu(10) as guard:
        guard.numpy()[:] = mark


WORKS = [
    acquire_and_drop, acquire_and_fill, fill_a_large_one, leave_a_view, share, refer, look,
    collect, trim, send, reopen,
]  # fmt: skip


def test_everything_at_once(pool):
    """Each thread finds in its buffers what it wrote, and nothing is left."""

    def work(mark):
        rng, kept = random.Random(mark), []
        for _ in range(ROUNDS):
            kept.append(rng.choice(WORKS)(pool, mark, rng))
            if len(kept) > 8:
                kept.pop(rng.randrange(len(kept)))

    together(*[lambda mark=mark: work(mark) for mark in range(1, THREADS + 1)])


@pytest.mark.parametrize("one", [work for work in WORKS if work not in (look, collect)])
def test_the_same_at_once(pool, one):
    """Threads that all do the same thing."""

    def work(mark):
        rng = random.Random(mark)
        for _ in range(ROUNDS // 4):
            one(pool, mark, rng)

    together(*[lambda mark=mark: work(mark) for mark in range(1, THREADS + 1)])


def test_few_buffers_for_many_threads():
    """Those who find none wait, and everyone gets one in the end."""
    with new_pool(capacity=2) as pool:
        owners, most = [], []

        def work(mark):
            for _ in range(60):
                with pool.acquire_cpu(100, timeout=60) as guard:
                    owners.append(guard.meta_index)
                    most.append(len(owners))
                    guard.numpy()[:] = mark
                    time.sleep(0)
                    assert (guard.numpy() == mark).all()
                    owners.remove(guard.meta_index)

        together(*[lambda mark=mark: work(mark) for mark in range(6)])
        assert max(most) <= 2
        assert owners == []


def test_a_guard_that_one_thread_ends_and_others_use(pool):
    """Uses either get the memory, which then stays, or a clear error."""

    def use(guard, wrong):
        while True:
            try:
                array = guard.numpy()
                tensor = guard.tensor()
                if not ((array == 7).all() and tensor.min() == 7):
                    wrong.append(array.copy())
            except PoolError as error:
                if "released" not in str(error):
                    wrong.append(error)
                return

    for turn in range(100):
        guard, wrong = pool.acquire_cpu(3000), []
        guard.numpy()[:] = 7

        def end(guard=guard, turn=turn):
            for _ in range(turn % 2 * 20):
                with suppress(BufferError):
                    guard.close()
                time.sleep(0)
            # Sure to end it, whoever uses it now.
            guard.__exit__(None, None, None)

        def disturb():
            for _ in range(20):
                with pool.acquire_cpu(3000) as other:
                    other.numpy()[:] = 9

        together(
            lambda guard=guard, wrong=wrong: use(guard, wrong),
            lambda guard=guard, wrong=wrong: use(guard, wrong),
            end,
            disturb,
        )
        assert wrong == []


def test_views_end_on_many_threads(pool):
    """The last one to go ends the hold, on whichever thread."""
    for _ in range(100):
        with pool.acquire_cpu(800) as guard:
            index = guard.meta_index
            views = [[guard.numpy(), memoryview(guard), guard.tensor()] for _ in range(THREADS)]
        assert pool.ref_count(index) == 1
        together(*[view.clear for view in views])
        assert pool.ref_count(index) == 0


def test_one_guard_closed_by_many(pool):
    """It is given back once."""
    for _ in range(200):
        guard = pool.acquire_cpu(10)
        pool.add_ref(guard.meta_index)
        together(*[guard.close] * THREADS)
        assert pool.ref_count(guard.meta_index) == 1
        assert pool.release(guard.meta_index) == 0


def test_a_pool_is_not_closed_while_a_call_waits():
    """Nor is it lost: the call goes on, and then it is closed."""
    pool = new_pool(capacity=1)
    guard = pool.acquire_cpu(10)
    got = []
    waiting = threading.Thread(target=lambda: got.append(pool.acquire_cpu(10, timeout=60)))
    waiting.start()
    time.sleep(0.05)
    with pytest.raises(BufferError, match="1 calls are running"):
        pool.close()
    guard.close()
    waiting.join()
    assert got.pop().is_valid
    pool.close()
    assert pool.closed


def test_closing_while_others_use_it():
    """Whoever comes later gets a clear error, and nobody crashes."""
    for _ in range(50):
        pool = new_pool()

        def use(pool=pool):
            seen = set()
            while True:
                try:
                    with pool.acquire_cpu(70_000) as guard:
                        guard.numpy()[::4096] = 1
                    pool.stats()
                except PoolError as error:
                    return seen | {str(error)}

        def close(pool=pool):
            while not pool.closed:
                try:
                    pool.close()
                except BufferError:
                    time.sleep(0)

        *seen, _ = together(use, use, close)
        assert seen == [{"the pool is closed"}] * 2


def test_waiting_lets_other_threads_run():
    """A call that waits keeps nobody from running Python."""
    with new_pool(capacity=1) as pool, pool.acquire_cpu(10) as guard:
        waiting = threading.Thread(target=lambda: pool.acquire_cpu(10, timeout=60).close())
        waiting.start()
        total = sum(range(100_000))
        assert total == 4_999_950_000
        assert waiting.is_alive()
        guard.close()
        waiting.join()


def test_metadata_are_seen_whole(pool):
    """A reader never sees one half of a change and one of another."""
    stop = threading.Event()
    with pool.acquire_cpu(4096) as guard, pool.get(guard.meta_index) as reader:
        guard.set_metadata(sequence=1, timestamp=1, content_type="1" * 60, shape=(1,))

        def write():
            for i in range(2, 1500):
                digit = str(i % 10)
                guard.set_metadata(
                    sequence=i, timestamp=i, content_type=digit * 60, shape=(i % 8 + 1,)
                )
            stop.set()

        def read():
            while not stop.is_set():
                told = reader.metadata()
                i = told["sequence"]
                assert told["timestamp"] == i
                assert told["content_type"] == str(i % 10) * 60
                assert i == 1 or told["shape"] == (i % 8 + 1,)

        together(write, read, read)


def test_buffers_reach_other_threads_whole(pool):
    """Through a queue of guards, as images of a pipeline go."""
    from queue import Queue

    queue = Queue(8)

    def produce(mark):
        for i in range(100):
            guard = pool.acquire(500, "int32")
            guard.numpy()[:] = mark * 1000 + i
            guard.sequence = mark * 1000 + i
            queue.put(guard)
        queue.put(None)

    def consume():
        seen = []
        while (guard := queue.get()) is not None:
            with guard:
                assert (guard.numpy() == guard.sequence).all()
                seen.append(guard.sequence)
        return seen

    *_, first, second = together(lambda: produce(1), lambda: produce(2), consume, consume)
    assert sorted(first + second) == [*range(1000, 1100), *range(2000, 2100)]
    assert np.all(np.diff([number for number in first if number < 2000]) > 0)
