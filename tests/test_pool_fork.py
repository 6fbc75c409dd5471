"""os.fork() while buffers are held: the child has its own holds, and the parent loses nothing."""

import os
import signal
import threading
import time

import pytest
from pools import files_of, in_child, linux_only, new_pool, run

import gmemx.pool
from gmemx import BufferPool, PoolError

pytestmark = linux_only


@pytest.fixture
def pool():
    """A pool that this process has to itself again in the end."""
    with new_pool() as made:
        yield made
        made.reclaim()
        assert made.stats().used == 0
        assert made.stats().processes == 1


def test_a_child_inherits_guards(pool):
    """Each is a hold of its own on the same memory."""
    guard = pool.acquire_cpu(100)
    index = guard.meta_index
    array = guard.numpy()

    def work():
        assert pool.ref_count(index) == 2
        assert pool.stats().processes == 2
        array[0] = 41
        guard.numpy()[1] = 42
        with pool.get(index) as again:
            assert again.numpy()[:2].tolist() == [41, 42]

    in_child(work)
    assert array[:2].tolist() == [41, 42]
    pool.reclaim()
    assert pool.ref_count(index) == 1
    array = None
    guard.close()


def test_the_childs_hold_is_its_own(pool):
    """Whichever lets go first, the other goes on."""
    guard = pool.acquire_cpu(100)
    index = guard.meta_index
    there, here = os.pipe()
    back, reply = os.pipe()

    def work():
        os.write(reply, b"x")
        assert os.read(there, 1) == b"x"
        assert pool.ref_count(index) == 1
        guard.numpy()[:] = 5
        with pool.acquire_cpu(100) as other:
            assert other.meta_index != index
        guard.close()
        assert pool.ref_count(index) == 0
        pool.close()

    thread = threading.Thread(target=in_child, args=(work,))
    thread.start()
    assert os.read(back, 1) == b"x"
    guard.close()
    os.write(here, b"x")
    thread.join()
    for descriptor in (there, here, back, reply):
        os.close(descriptor)
    assert pool.ref_count(index) == 0


def test_a_child_closes_its_own_part(pool):
    """Guards and pool; the parent's are as before."""
    guard = pool.acquire(3)

    def work():
        with pytest.raises(BufferError):
            pool.close()
        guard.close()
        pool.close()
        with pytest.raises(PoolError, match="closed"):
            pool.acquire_cpu(1)

    in_child(work)
    guard.numpy()[:] = 1.0
    assert pool.ref_count(guard.meta_index) == 1
    assert len(files_of(pool.name)) == 1
    guard.close()


def test_references_and_pins_are_not_inherited(pool):
    """What add_ref and preallocate took is the parent's; a pin is nobody's."""
    index, other = pool.preallocate_cpu(10, 2)
    pool.add_ref(index)
    pool.set_ref_count(other, 2)

    def work():
        # One for the parent, who holds it, however often.
        assert (pool.ref_count(index), pool.ref_count(other)) == (1, 2)
        with pytest.raises(LookupError):
            pool.release(index)
        assert pool.release(other) == 1
        with pytest.raises(LookupError):
            pool.release(other)

    in_child(work)
    assert [pool.release(index), pool.release(index), pool.release(other)] == [1, 0, 0]


def test_buffers_of_a_child(pool):
    """What it acquires is taken back when it ends without a word."""
    there, here = os.pipe()

    def work():
        kept = [pool.acquire_cpu(1000) for _ in range(10)]
        kept[3].forget()
        os.write(here, bytes([kept[3].meta_index]))
        os._exit(0)

    in_child(work)
    (index,) = os.read(there, 1)
    pool.reclaim()
    assert (pool.stats().used, pool.ref_count(index)) == (1, 1)
    assert pool.release(index) == 0
    assert pool.stats().reclaimed == 9
    os.close(there)
    os.close(here)


def test_grandchildren(pool):
    """Each generation has its own."""
    guard = pool.acquire_cpu(10)

    def work(generation):
        guard.numpy()[generation] = generation
        assert pool.ref_count(guard.meta_index) == generation + 1
        if generation < 5:
            in_child(lambda: work(generation + 1))

    in_child(lambda: work(1))
    assert guard.numpy()[1:6].tolist() == [1, 2, 3, 4, 5]
    guard.close()


def test_a_pool_without_a_name_is_inherited():
    """By a fork, and by nothing else."""
    with BufferPool.anonymous() as pool, pool.acquire(3) as guard:

        def work():
            guard.numpy()[:] = 7.0
            with pool.acquire(3) as mine:
                mine.numpy()[:] = 8.0
            assert gmemx.pool._opened(pool.id.bytes, True) is pool

        in_child(work)
        assert guard.numpy().tolist() == [7.0] * 3


def test_views_of_the_parent_keep_the_childs_hold(pool):
    """A with block that the child leaves ends with the last view of its own."""
    guard = pool.acquire_cpu(10)
    array = guard.numpy()

    def work():
        nonlocal array
        with guard:
            pass
        assert pool.ref_count(guard.meta_index) == 2
        array = None
        assert pool.ref_count(guard.meta_index) == 1

    in_child(work)
    array[:] = 1
    del array
    guard.close()


def test_a_fork_while_another_thread_waits():
    """The child has no such call running, so that it can close the pool."""
    with new_pool(capacity=1) as pool:
        guard = pool.acquire_cpu(10)
        got = []
        waiting = threading.Thread(target=lambda: got.append(pool.acquire_cpu(10, timeout=60)))
        waiting.start()
        time.sleep(0.05)

        def work():
            guard.close()
            pool.close()

        in_child(work)
        with pytest.raises(BufferError, match="1 calls are running"):
            pool.close()
        guard.close()
        waiting.join()
        assert got[0].is_valid
        got.clear()


def test_forks_while_threads_work(pool):
    """At whatever moment, the child finds every buffer whole."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            with pool.acquire_cpu(3000) as guard:
                guard.numpy()[:] = 1
                with pool.get(guard.meta_index) as reader:
                    assert (reader.numpy() == 1).all()

    def child():
        for _ in range(20):
            with pool.acquire_cpu(3000) as guard:
                guard.numpy()[:] = 2
                assert (guard.numpy() == 2).all()
        pool.stats()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            in_child(child)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_many_children_at_once(pool):
    """All of them exchange buffers through the pool, and none is lost."""
    total = pool.acquire(1, "int64")
    total.numpy()[:] = 0
    children = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(50):
                    with pool.acquire_cpu(500) as guard:
                        guard.numpy()[:] = os.getpid() & 255
                        assert (guard.numpy() == os.getpid() & 255).all()
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
    total.close()


def test_as_many_processes_as_there_can_be(pool):
    """One more than 96 cannot open the pool, and a forked one says so when it uses it."""
    children, there_here = [], os.pipe()
    for _ in range(95):
        child = os.fork()
        if child == 0:
            os.read(there_here[0], 1)
            os._exit(0)
        children.append(child)
    try:
        while pool.stats().processes < 96:
            time.sleep(0.001)
        program = (
            "import errno, sys\n"
            "from gmemx import BufferPool\n"
            "try:\n"
            "    BufferPool.open(sys.argv[1])\n"
            "except OSError as error:\n"
            "    print(error.errno == errno.EUSERS, '96' in str(error))\n"
        )
        assert run(program, pool.name) == "True True\n"
    finally:
        os.write(there_here[1], b"x" * 95)
        statuses = [os.waitpid(child, 0)[1] for child in children]
        os.close(there_here[0])
        os.close(there_here[1])
    assert statuses == [0] * 95
    run("import sys; from gmemx import BufferPool; BufferPool.open(sys.argv[1])", pool.name)


def test_the_parent_is_killed():
    """What its children inherited stays theirs."""
    program = (
        "import os, signal, sys, time\n"
        "from pools import new_pool\n"
        "pool = new_pool()\n"
        "guard = pool.acquire(4, 'int32')\n"
        "guard.numpy()[:] = 9\n"
        "parent = os.getpid()\n"
        "if os.fork():\n"
        "    time.sleep(60)\n"
        "os.kill(parent, signal.SIGKILL)\n"
        "while os.getppid() == parent:\n"
        "    time.sleep(0.001)\n"
        "pool.reclaim()\n"
        "print(pool.ref_count(guard.meta_index), guard.numpy().tolist(), pool.name)\n"
    )
    count, *values, name = run(program, status=-signal.SIGKILL).split()
    assert (count, " ".join(values)) == ("1", "[9, 9, 9, 9]")
    assert files_of(name) == []
