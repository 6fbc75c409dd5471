"""A real cluster: worker processes that are reached over TCP, and killed."""

import os
import signal
import sys
import time
from uuid import uuid4

import dask
import dask_tasks
import numpy as np
import pytest
from dask.sizeof import sizeof
from distributed import Client, LocalCluster, wait
from distributed.protocol import deserialize, serialize

import gmemx
import gmemx.dask
from gmemx import GMemContext, _distributed

linux = pytest.mark.skipif(sys.platform != "linux", reason="pools are for Linux")


@pytest.fixture(scope="module")
def cluster():
    with (
        dask.config.set({"distributed.admin.low-level-log-length": 0}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            protocol="tcp://",
            dashboard_address=":0",
            memory_limit=0,
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture
def workers(client):
    """The addresses of both workers."""
    client.wait_for_workers(2)
    # Those that answer: the scheduler's list may name one that was just killed.
    return list(client.run(dask_tasks.pid))


def in_one_process(collection):
    with dask.config.set(scheduler="synchronous"):
        return collection.compute()


def written_array(dtype="float64", **more):
    context = GMemContext(7)
    array = context.array((1000, 700), dtype, 12345, **more)
    array[10:20, ::7] = 1
    array[-1, -1] = 0
    return array


def test_workers_are_processes_of_their_own(client):
    pids = set(client.run(dask_tasks.pid).values())
    assert len(pids) == 2
    assert os.getpid() not in pids


# ---- the same answers ---------------------------------------------------------------------


def test_elements_and_slices(client):
    array = written_array(distribution="normal")
    x, stored = gmemx.dask.array(array, chunks=(300, 200)), array.numpy()
    np.testing.assert_array_equal(x.compute(), stored)
    np.testing.assert_array_equal(x[5:15, ::-70].compute(), stored[5:15, ::-70])
    np.testing.assert_array_equal(x[[3, 999], :][:, 5].compute(), stored[[3, 999], 5])


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_reductions(client, dtype):
    choices = {"int64": gmemx.integers(-(2**40), 2**40), "bool": gmemx.bernoulli(0.3)}
    array = written_array(dtype, distribution=choices.get(dtype, "normal"))
    x = gmemx.dask.array(array, chunks=(300, 200))
    names = ("sum", "mean", "std", "min", "max")
    whole = dask.compute(*(getattr(x, name)() for name in names))
    for name, found in zip(names, whole, strict=True):
        expected = getattr(array, name)()
        if name in ("min", "max") or (name == "sum" and array.dtype.kind != "f"):
            assert found == expected
        else:
            assert found == pytest.approx(expected, rel=1e-12)
        # The order of additions follows from the chunks, not from who adds.
        assert found == in_one_process(getattr(x, name)())
    np.testing.assert_array_equal(x.max(axis=0).compute(), array.numpy().max(axis=0))


def test_products_are_dasks(client):
    array = written_array()
    x = gmemx.dask.array(array, chunks=(300, 200))
    np.testing.assert_allclose(
        (x.T @ x)[:3, :3].compute(), (array.numpy().T @ array.numpy())[:3, :3], rtol=1e-12
    )


def test_two_clients_share_what_is_computed(cluster, client):
    array = written_array()
    with Client(cluster, set_as_default=False) as second:
        first = client.persist(gmemx.dask.array(array, chunks=500))
        wait(first)
        # The same seed, cells and distribution, made anew by somebody else.
        again = gmemx.dask.array(written_array(), chunks=500)
        assert again.name == first.name
        np.testing.assert_array_equal(second.compute(again, sync=True), array.numpy())
        futures = [c.compute(again.sum()) for c in (client, second)]
        assert futures[0].result() == futures[1].result() == in_one_process(again.sum())


def test_writing_back(client):
    array = written_array()
    expected = array.numpy() * 2
    before = array.context.fork()
    x = gmemx.dask.array(array, chunks=(300, 200))
    delta = gmemx.dask.store(x * 2, array)
    np.testing.assert_array_equal(array.numpy(), expected)
    assert before.diff(array.context) == delta
    assert len(delta) == array.size - int((array.numpy() == 0).sum())


# ---- when workers die ---------------------------------------------------------------------


def killed_in_mid_computation(client, victim, collection):
    """What a collection comes to if a worker is killed once it has begun."""
    pid = client.run(dask_tasks.pid, workers=[victim])[victim]
    future = client.compute(collection)
    deadline = time.monotonic() + 30
    while not client.processing().get(victim) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert future.status == "pending"
    os.kill(pid, signal.SIGKILL)
    result = future.result(timeout=120)
    client.wait_for_workers(2, timeout=60)
    pids = client.run(dask_tasks.pid)
    assert pid not in pids.values()
    return result


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is for POSIX")
def test_a_killed_worker_changes_nothing(client, workers):
    array = written_array()
    x = gmemx.dask.array(array, chunks=(100, 350))
    slow = x.map_blocks(dask_tasks.slowly, 0.1, dtype=x.dtype)
    total = killed_in_mid_computation(client, workers[0], slow.sum())
    assert total == in_one_process(x.map_blocks(dask_tasks.slowly, 0, dtype=x.dtype).sum())
    assert total == pytest.approx(array.sum(), rel=1e-12)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is for POSIX")
def test_a_worker_killed_while_it_folds(client, workers):
    array = GMemContext(7).array(2 * 10**8, "int64", distribution=gmemx.integers(0, 1000))
    array[:: 10**7] = -(2**40)
    x = gmemx.dask.array(array, chunks=10**7)
    total = killed_in_mid_computation(client, workers[1], x.sum())
    assert int(total) == array.sum()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is for POSIX")
def test_a_worker_killed_while_it_writes_back(client, workers):
    array = written_array()
    values = gmemx.dask.array(array, chunks=(100, 350)).map_blocks(dask_tasks.slowly, 0.1) + 1
    expected = array.numpy() + 1
    late = gmemx.dask.store(values, array, compute=False)
    delta = killed_in_mid_computation(client, workers[0], late)
    array.context.merge(delta)
    np.testing.assert_array_equal(array.numpy(), expected)


def test_a_worker_without_gmemx_says_so(client, workers):
    x = gmemx.dask.array(written_array(), chunks=500)
    client.run(dask_tasks.without_gmemx, workers=workers[:1])
    try:
        blocks = x.map_blocks(dask_tasks.moments, chunks=(1, 3))
        with pytest.raises(ModuleNotFoundError, match="gmemx"):
            client.compute(blocks, workers=workers[:1]).result(timeout=60)
    finally:
        client.restart_workers(workers[:1], timeout=60)


# ---- tensors ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_tensors_travel(client, workers, dtype):
    made = client.submit(dask_tasks.tensor, 1000, dtype, workers=workers[:1])
    expected = dask_tasks.tensor(1000, dtype)
    assert made.result().tolist() == expected.tolist()
    # From worker to worker.
    both = client.submit(dask_tasks.doubled, made.result().astype("float64"), workers=workers[1:])
    assert both.result() == [2 * one for one in expected.astype("float64").tolist()]
    sent = client.scatter(expected, workers=workers[1:])
    assert client.submit(lambda t: t.size, sent, pure=False).result() == 1000


def test_a_tensors_memory_is_a_frame_of_its_own():
    tensor = GMemContext(7).tensor(0, 100_000)
    header, frames = serialize(tensor)
    where = [np.frombuffer(frame, np.uint8).ctypes.data for frame in frames if len(frame) > 1000]
    assert where == [tensor.numpy().ctypes.data]
    # And what arrives is used where it lies.
    arrived = [bytearray(frame) for frame in frames]
    again = deserialize(header, arrived)
    assert again.tolist() == tensor.tolist()
    inside = [np.frombuffer(frame, np.uint8).ctypes.data for frame in arrived if len(frame) > 1000]
    assert again.numpy().ctypes.data == inside[0]
    assert sizeof(tensor) >= tensor.nbytes


# ---- pool buffers -------------------------------------------------------------------------


@pytest.fixture
def pool():
    """A pool that goes with the last of its guards, which a cluster may hold for a while."""
    pool = gmemx.BufferPool(f"gmemx-test-{uuid4().hex[:12]}", capacity=100)
    yield pool
    pool.unlink()


@linux
def test_a_buffer_is_the_same_memory_on_a_worker(client, pool):
    guard = pool.acquire(10**6, "float64")
    mine = guard.numpy()
    mine[:] = 1.0
    pid, index, total = client.submit(dask_tasks.marked, guard, 5, 42.0, pure=False).result()
    assert pid != os.getpid()
    assert (index, total) == (guard.meta_index, 10**6 + 41.0)
    assert mine[5] == 42.0


@linux
def test_a_buffer_from_worker_to_worker(client, pool, workers):
    made = client.submit(dask_tasks.held, pool.name, 1000, 2.0, workers=workers[:1], pure=False)
    wait(made)
    pid, index, total = client.submit(
        dask_tasks.marked, made, 7, 100.0, workers=workers[1:], pure=False
    ).result()
    assert pid == client.run(dask_tasks.pid, workers=workers[1:])[workers[1]]
    assert total == 2 * 999 + 100.0
    assert pool.get(index).numpy()[7] == 100.0
    # And back to the client, who gets a hold of its own.
    guard = made.result()
    assert (guard.meta_index, guard.numpy()[7]) == (index, 100.0)


LOOPBACK = {"address": "tcp://127.0.0.1:40000"}
HERE = {"address": "tcp://10.0.0.1:40000"}
THERE = {"address": "tcp://10.0.0.2:40000"}


@linux
@pytest.mark.parametrize(
    ("context", "copied", "bytes_sent"),
    [
        ({"sender": LOOPBACK, "recipient": LOOPBACK}, False, False),
        ({"sender": HERE, "recipient": HERE}, False, True),
        ({"sender": HERE, "recipient": THERE}, True, True),
        (None, False, True),
    ],
    ids=["one host", "perhaps beyond", "another host", "unknown"],
)
def test_where_a_buffer_goes(pool, context, copied, bytes_sent):
    guard = pool.acquire((300, 400), "int16")
    guard.numpy()[:] = 7
    guard.set_metadata(sequence=11, content_type="image/raw")
    header, frames = serialize(guard, context=context, on_error="raise")
    assert (sum(memoryview(frame).nbytes for frame in frames) >= guard.size) == bytes_sent
    # A frame may arrive in parts, and read-only.
    arrived = deserialize(header, [bytes(frame) for frame in frames])
    assert (arrived.shape, arrived.dtype, arrived.sequence) == ((300, 400), guard.dtype, 11)
    assert (arrived.numpy() == 7).all()
    arrived.numpy()[0, 0] = 9
    assert guard.numpy()[0, 0] == (7 if copied else 9)
    assert sizeof(guard) >= guard.size
    assert pool.stats().in_flight == 0


@linux
def test_a_buffer_whose_pool_is_gone_arrives_as_a_copy():
    context = {"sender": HERE, "recipient": HERE}
    name = f"gmemx-test-{uuid4().hex[:12]}"
    with gmemx.BufferPool(name) as pool, pool.acquire(10, "float64") as guard:
        guard.numpy()[:] = 3.0
        guard.seal()
        header, frames = serialize(guard, context=context, on_error="raise")
        # As they arrive; and what is large may arrive in parts.
        frames = [bytearray(frame) for frame in frames]
    half = memoryview(frames[0])
    arrived = [deserialize(header, frames)]
    arrived.append(_distributed.received(header["sub-header"], [half[:37], half[37:]]))
    for guard in arrived:
        assert guard.numpy().tolist() == [3.0] * 10
        assert guard.sealed


@linux
def test_a_buffer_of_a_pool_without_a_name_is_copied():
    context = {"sender": HERE, "recipient": HERE}
    with gmemx.BufferPool.anonymous() as pool, pool.acquire(5, "uint8") as guard:
        guard.numpy()[:] = range(5)
        header, frames = serialize(guard, context=context, on_error="raise")
        arrived = deserialize(header, [bytearray(frame) for frame in frames])
        arrived.numpy()[0] = 99
        assert guard.numpy().tolist() == [0, 1, 2, 3, 4]
        del frames
