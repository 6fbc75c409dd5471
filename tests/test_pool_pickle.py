"""Guards, handles and pools through multiprocessing: nothing is copied, nothing is lost."""

import concurrent.futures
import copy
import gc
import multiprocessing
import os
import pickle
import signal

import numpy as np
import pool_workers
import pytest
from pool_workers import wait_for
from pools import METHODS, files_of, in_child, linux_only, new_pool, run

import gmemx
from gmemx import BufferGuard, BufferPool, PoolError
from gmemx.pool import BufferHandle

pytestmark = linux_only


@pytest.fixture
def pool():
    """A pool in which nothing is left at the end."""
    with new_pool() as made:
        yield made
        gc.collect()
        made.reclaim()
        stats = made.stats()
        assert (stats.used, stats.in_flight) == (0, 0)


@pytest.fixture(params=METHODS)
def context(request):
    """Each way to start a process in turn."""
    return multiprocessing.get_context(request.param)


@pytest.fixture
def spawned():
    """One way to start a process."""
    return multiprocessing.get_context("spawn")


def ended(process, status=0):
    process.join(60)
    assert process.exitcode == status


# ---- each way to send ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_queues(pool, context, kind):
    """Guards go to and fro, with dtype, shape and content, and the memory stays where it is."""
    inbox, outbox = getattr(context, kind)(), getattr(context, kind)()
    process = context.Process(target=pool_workers.square, args=(pool, inbox, outbox))
    process.start()
    guards = [pool.acquire((3, 4), "int32") for _ in range(20)]
    for i, guard in enumerate(guards):
        guard.numpy()[:] = i
        inbox.put(guard)
    for i, guard in enumerate(guards):
        back = outbox.get(timeout=60) if kind != "SimpleQueue" else outbox.get()
        assert isinstance(back, BufferGuard)
        assert (back.meta_index, back.dtype, back.shape) == (guard.meta_index, "int32", (3, 4))
        assert not back.readonly
        assert back.pool is pool
        assert (back.numpy() == i * i).all()
        assert back.cpu_ptr == guard.cpu_ptr
        back.close()
        guard.close()
    inbox.put(None)
    ended(process)


def test_pipes(pool, context):
    """The receiver needs no pool: it opens it by its name."""
    here, there = context.Pipe()
    process = context.Process(target=pool_workers.square_in_pipe, args=(there,))
    process.start()
    for n in range(1, 10):
        with pool.acquire(n, "float64") as guard:
            guard.numpy()[:] = n
            here.send(guard)
            assert here.recv() == "done"
            assert guard.numpy().tolist() == [n * n] * n
            assert pool.stats().in_flight == 0
    here.send(None)
    ended(process)


def test_executors(pool, context):
    """Arguments and results of a ProcessPoolExecutor."""
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        guards = [pool.acquire(100, "int64") for _ in range(16)]
        for i, guard in enumerate(guards):
            guard.numpy()[:] = i
        for i, result in enumerate(executor.map(pool_workers.squared, guards)):
            assert (result.numpy() == i * i).all()
            result.close()
        for guard in guards:
            guard.close()
        future = executor.submit(pool_workers.count, pool.name, 10)
        assert future.result() != os.getpid()


def test_pools_of_processes(pool, context):
    """multiprocessing.Pool."""
    guards = [pool.acquire(10, "int64") for _ in range(8)]
    for guard in guards:
        guard.numpy()[:] = 3
    with context.Pool(2) as workers:
        results = workers.map(pool_workers.squared, guards)
        assert all((result.numpy() == 9).all() for result in results)
        workers.close()
        workers.join()


def test_handles(pool, context):
    """A handle keeps the buffer alive on its way, and through processes that only pass it on."""
    inbox, outbox = context.Queue(), context.Queue()
    process = context.Process(target=pool_workers.relay, args=(pool, inbox, outbox))
    process.start()
    for i in range(10):
        guard = pool.acquire(5, "int16")
        guard.numpy()[:] = i
        inbox.put(guard.send() if i % 2 else guard.handle)
        if i % 2:
            guard.close()
        handle = outbox.get(timeout=60)
        assert isinstance(handle, BufferHandle)
        guard.close()
        with handle.open() as arrived:
            assert arrived.numpy().tolist() == [i] * 5
            assert arrived.pool is pool
    inbox.put(None)
    ended(process)


def test_a_guard_may_end_right_after_it_was_sent(pool, context):
    """send() takes the ticket at once, a Pipe pickles at once; a Queue does it later."""
    queue = context.Queue()
    process = context.Process(target=pool_workers.produce, args=(pool, queue, 40))
    process.start()
    for i in range(40):
        with queue.get(timeout=60).open() as guard:
            assert guard.sequence == i
            assert (guard.numpy() == i).all()
    ended(process)


def test_metadata_and_permissions_travel(pool, context):
    """A guard arrives as writable as it was, but for what is sealed."""
    queue, answers = context.Queue(), context.Queue()
    process = context.Process(target=pool_workers.look, args=(pool, queue, answers))
    process.start()
    with pool.acquire(4, "uint8") as guard:
        guard.numpy()[:] = 1, 2, 3, 4
        guard.set_metadata(sequence=9, content_type="a/b", timestamp=5)
        with pool.get(guard.meta_index) as reader:
            for what, readonly in ((guard, False), (reader, True)):
                queue.put(what)
                told = (readonly, guard.metadata(), True, b"\1\2\3\4")
                assert answers.get(timeout=60) == told
        guard.seal()
        queue.put(guard)
        assert answers.get(timeout=60)[0]
        queue.put(None)
        ended(process)


def test_pools_without_a_name(context):
    """Passed as an argument, they are opened by their descriptors."""
    with BufferPool.anonymous() as pool:
        inbox, outbox = context.Queue(), context.Queue()
        process = context.Process(target=pool_workers.square, args=(pool, inbox, outbox))
        process.start()
        with pool.acquire(3, "int64") as guard:
            guard.numpy()[:] = 5
            inbox.put(guard)
            with outbox.get(timeout=60) as back:
                assert back.numpy().tolist() == [25] * 3
        inbox.put(None)
        ended(process)
        pool.reclaim()
        assert (pool.stats().used, pool.stats().processes) == (0, 1)


def test_pools_without_a_name_through_a_pipe(spawned):
    """And not at the start only."""
    here, there = spawned.Pipe()
    process = spawned.Process(target=pool_workers.hold, args=(there,))
    process.start()
    with BufferPool.anonymous() as pool, pool.acquire_cpu(10) as guard:
        here.send(pool)
        assert here.recv() == "kept"
        assert pool.stats().processes == 2
        here.send(guard)
        assert here.recv() == "kept"
        assert pool.ref_count(guard.meta_index) == 2
        here.send(None)
        assert here.recv() == "dropped"
        ended(process)
        assert pool.ref_count(guard.meta_index) == 1


def test_children_of_children(pool, context):
    """Whoever sends, and whoever ends first."""
    queue = context.Queue()
    process = context.Process(target=pool_workers.nested, args=(pool, queue, 2))
    process.start()
    ended(process)
    with queue.get(timeout=60).open() as guard:
        assert guard.numpy().tolist() == [4.0] * 3


# ---- what is in flight ---------------------------------------------------------------------


def test_a_ticket_is_claimed_once(pool):
    """In flight until then; a second time the pickle is a mere handle."""
    guard = pool.acquire(3)
    guard.numpy()[:] = 8.0
    data = pickle.dumps(guard)
    index = guard.meta_index
    assert pool.stats().in_flight == 1
    assert pool.buffers()[0].in_flight
    guard.close()
    assert (pool.stats().used, pool.stats().in_flight) == (1, 1)
    first = pickle.loads(data)
    assert (first.meta_index, first.numpy().tolist()) == (index, [8.0] * 3)
    assert pool.stats().in_flight == 0
    second = pickle.loads(data)
    assert pool.ref_count(index) == 2
    first.close()
    second.close()
    with pytest.raises(LookupError) as caught:
        pickle.loads(data)
    assert isinstance(caught.value, PoolError)


def test_many_tickets_of_one_buffer(pool):
    """Each keeps it by itself."""
    guard = pool.acquire(3, "int8")
    stream = [pickle.dumps(guard, protocol) for protocol in range(2, 6) for _ in range(5)]
    assert pool.stats().in_flight == 20
    guard.close()
    for data in stream:
        assert pool.stats().used == 1
        pickle.loads(data).close()
    assert pool.stats().used == 0


def test_pickles_are_small(pool):
    """Whatever the buffer's size."""
    with pool.acquire_cpu(10_000_000) as guard:
        data = pickle.dumps(guard)
        assert len(data) < 400
        pickle.loads(data).close()


def test_handles_hold_what_they_brought(pool):
    """Until they go, or pool.get has taken it over; at home, a handle is sent by who holds it."""
    guard = pool.acquire(3)
    index = guard.meta_index
    handle = pickle.loads(pickle.dumps(guard.handle))
    assert handle == guard.handle
    guard.close()
    assert pool.ref_count(index) == 1
    with pool.get(handle) as arrived:
        assert arrived.readonly
        assert pool.ref_count(index) == 1
        # Sent on by a process that holds the buffer otherwise.
        again = pickle.loads(pickle.dumps(handle))
    assert pool.ref_count(index) == 1
    assert again.open().size == 24
    del again
    assert pool.ref_count(index) == 0
    stale = pickle.loads(pickle.dumps(handle))
    assert stale == handle
    with pytest.raises(LookupError):
        stale.open()


def test_writable_handles(pool):
    """What a handle brings may be written if its sender could."""
    with pool.acquire(3) as guard, pool.get(guard.meta_index) as reader:
        for held, readonly in ((guard, False), (reader, True)):
            with pickle.loads(pickle.dumps(held.handle)).open() as arrived:
                assert arrived.readonly is readonly


def test_what_was_sent_and_not_pickled(pool):
    """A handle of send() gives its ticket back when it goes, in the process that took it."""
    guard = pool.acquire_cpu(10)
    sent = guard.send()
    guard.close()
    assert (pool.stats().used, pool.stats().in_flight) == (1, 1)

    def work():
        nonlocal sent
        sent = None

    in_child(work)
    assert pool.stats().in_flight == 1
    del sent
    assert (pool.stats().used, pool.stats().in_flight) == (0, 0)


def test_a_released_guard_is_not_sent(pool):
    """The error names the way out."""
    guard = pool.acquire_cpu(10)
    guard.close()
    with pytest.raises(ValueError, match=r"guard\.send\(\)"):
        pickle.dumps(guard)
    assert pool.stats().in_flight == 0


@pytest.mark.parametrize("how", ["in good order", "settled"])
def test_a_sender_that_ends_leaves_its_buffers(pool, context, how):
    """The pool itself is answerable for what nobody has claimed yet."""
    here, there = context.Pipe()
    process = context.Process(target=pool_workers.send_and_die, args=(pool, there, how))
    process.start()
    ended(process)
    pool.reclaim()
    assert (pool.stats().used, pool.stats().in_flight) == (1, 1)
    with here.recv() as guard:
        assert (guard.numpy() == 6).all()


def test_a_sender_that_is_killed_takes_its_buffers_along(pool, context):
    """The pickle is stale then, and says so."""
    here, there = context.Pipe()
    process = context.Process(target=pool_workers.send_and_die, args=(pool, there, "killed"))
    process.start()
    ended(process, -signal.SIGKILL)
    pool.reclaim()
    assert (pool.stats().used, pool.stats().in_flight) == (0, 0)
    with pytest.raises(LookupError):
        here.recv()
    with pool.acquire(1000, "int64") as guard:
        assert guard.is_valid


def test_a_guard_that_is_pickled_while_the_process_ends(pool, context):
    """The thread of a queue pickles at the very end; that is in good order still."""
    for _ in range(5):
        queue = context.Queue()
        process = context.Process(target=pool_workers.produce_last, args=(pool, queue))
        process.start()
        ended(process)
        pool.reclaim()
        with queue.get(timeout=60) as guard:
            assert (guard.numpy() == 5).all()


def test_a_receiver_that_is_killed(pool, spawned):
    """What it had claimed is taken back."""
    here, there = spawned.Pipe()
    process = spawned.Process(target=pool_workers.hold, args=(there,))
    process.start()
    guard = pool.acquire_cpu(10)
    here.send(guard)
    assert here.recv() == "kept"
    index = guard.meta_index
    assert pool.ref_count(index) == 2
    guard.close()
    assert pool.ref_count(index) == 1
    process.kill()
    ended(process, -signal.SIGKILL)
    pool.reclaim()
    assert pool.ref_count(index) == 0


def test_sealed_on_its_way(pool, spawned):
    """Sent to be written, sealed before it arrived: it may be read."""
    answers = spawned.Queue()
    with pool.acquire(3, "int8") as guard:
        guard.numpy()[:] = 1
        data = pickle.dumps(guard)
        guard.seal()
        process = spawned.Process(target=pool_workers.unpickle, args=(data, answers))
        process.start()
        assert answers.get(timeout=60) == [1, 1, 1]
        ended(process)
        assert pool.stats().in_flight == 0


# ---- pools as pickles ----------------------------------------------------------------------


def test_pools_are_reopened(pool):
    """By name; the same pool or none."""
    with pickle.loads(pickle.dumps(pool)) as again:
        assert again is not pool
        assert (again.id, again.name, again.read_only) == (pool.id, pool.name, False)
    with BufferPool.open(pool.name, read_only=True) as reading:
        with pickle.loads(pickle.dumps(reading)) as again:
            assert again.read_only
        with pool.acquire(3) as guard:
            # Who opened the pool to read only gets no more, in whichever way.
            data = pickle.dumps(guard)
            pool_of_two = [pickle.loads(data).readonly]
            assert pool_of_two == [False]
    data = pickle.dumps(pool)
    name = pool.name
    with new_pool() as other:
        stale = pickle.dumps(other)
    with pytest.raises(FileNotFoundError):
        pickle.loads(stale)
    with BufferPool(other.name), pytest.raises(LookupError, match="another"):
        pickle.loads(stale)
    assert pickle.loads(data).name == name
    with copy.copy(pool) as again:
        assert again.id == pool.id


def test_a_guard_of_a_pool_that_is_gone():
    """The pool was closed everywhere, or is another of the same name."""
    with new_pool() as pool:
        with pool.acquire_cpu(10) as guard:
            data = pickle.dumps(guard)
        nameless = BufferPool.anonymous()
        lost = pickle.dumps(nameless.acquire_cpu(10))
        nameless.close()
    with pytest.raises(FileNotFoundError):
        pickle.loads(data)
    with BufferPool(pool.name), pytest.raises(LookupError, match="another"):
        pickle.loads(data)
    with pytest.raises(LookupError, match="without a name"):
        pickle.loads(lost)


def test_a_process_that_opened_the_pool_to_read(pool):
    """Gets guards to read, though they were sent to be written."""
    program = (
        "import pickle, sys\n"
        "from gmemx import BufferPool\n"
        "with BufferPool.open(sys.argv[1], read_only=True) as pool:\n"
        "    guard = pickle.loads(bytes.fromhex(sys.argv[2]))\n"
        "    print(guard.readonly, guard.pool is pool, guard.numpy().tolist())\n"
        "    guard.close()\n"
    )
    with pool.acquire(2, "int8") as guard:
        guard.numpy()[:] = 3
        output = run(program, pool.name, pickle.dumps(guard).hex())
        assert output == "True True [3, 3]\n"
        assert pool.stats().in_flight == 0


# ---- the end of processes ------------------------------------------------------------------


def test_the_resource_tracker_removes_no_pool(pool, spawned):
    """It cleans up after others' shared memory; a pool lives while anyone uses it."""
    from multiprocessing import resource_tracker, shared_memory

    segment = shared_memory.SharedMemory(create=True, size=10)
    try:
        with pool.acquire(4) as guard:
            guard.numpy()[:] = 1.0
            for _ in range(3):
                process = spawned.Process(target=pool_workers.count, args=(pool.name, 5))
                process.start()
                ended(process)
            program = (
                "import sys\n"
                "from multiprocessing import shared_memory\n"
                "from gmemx import BufferPool\n"
                "segment = shared_memory.SharedMemory(create=True, size=10)\n"
                "pool = BufferPool.open(sys.argv[1])\n"
                "guard = pool.get(0)\n"
                "print('seen', guard.numpy()[0])\n"
            )
            assert run(program, pool.name).startswith("seen 1.0")
            assert len(files_of(pool.name)) == 1
            with BufferPool.open(pool.name) as again:
                assert again.get(guard.meta_index).numpy().tolist() == [1.0] * 4
            assert resource_tracker._resource_tracker._pid is not None
    finally:
        segment.close()
        segment.unlink()


def test_daemons_that_are_killed(pool, context):
    """Ended with their parent or by terminate(), what they held is taken back."""
    here, there = context.Pipe()
    process = context.Process(target=pool_workers.hold, args=(there,), daemon=True)
    process.start()
    with pool.acquire_cpu(10) as guard:
        here.send(guard)
        assert here.recv() == "kept"
        process.terminate()
        ended(process, -signal.SIGTERM)
        pool.reclaim()
        assert pool.ref_count(guard.meta_index) == 1


def test_children_alone_keep_a_pool():
    """The maker may go first; the last process removes the files, or gc does after a kill."""
    program = (
        "import os, sys\n"
        "from pools import new_pool\n"
        "pool = new_pool()\n"
        "print(pool.name, flush=True)\n"
        "if os.fork():\n"
        "    pool.close()\n"
        "    sys.exit()\n"
        "parent = os.getppid()\n"
        "while os.getppid() == parent:\n"
        "    pass\n"
        "with pool.acquire_cpu(10) as guard:\n"
        "    print(guard.size, pool.stats().processes)\n"
        "pool.close()\n"
    )
    name, size, processes = run(program).split()
    assert (size, processes) == ("10", "1")
    wait_for(lambda: files_of(name) == [])


def test_arrays_are_not_copied(spawned):
    """100 MB go to another process and come back within a few hundred bytes."""
    with new_pool() as pool:
        here, there = spawned.Pipe()
        process = spawned.Process(target=pool_workers.square_in_pipe, args=(there,))
        process.start()
        with pool.acquire(12_500_000) as guard:
            values = guard.numpy()
            values[:] = 3.0
            here.send(guard)
            assert here.recv() == "done"
            assert values.min() == values.max() == 9.0
            assert isinstance(guard.tensor(), gmemx.Tensor)
            assert np.shares_memory(values, guard.numpy())
            del values
        here.send(None)
        ended(process)
