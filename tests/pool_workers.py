"""What test_pool_pickle.py runs in other processes, which import it by name."""

import multiprocessing
import os
import pickle
import signal
import time

import numpy as np

from gmemx import BufferGuard, BufferPool
from gmemx.pool import BufferHandle


def square(pool, inbox, outbox):
    """Squares the arrays of all guards that come, in place, and sends them back."""
    with pool:
        while (guard := inbox.get()) is not None:
            array = guard.numpy()
            np.multiply(array, array, out=array)
            outbox.put(guard)
            del array, guard


def square_in_pipe(pipe):
    """The same without a pool of its own, through a pipe."""
    while (guard := pipe.recv()) is not None:
        assert isinstance(guard, BufferGuard)
        with guard:
            np.multiply(guard.numpy(), guard.numpy(), out=guard.numpy())
        pipe.send("done")


def squared(guard):
    """A task of an executor: it takes one guard and gives another."""
    with guard:
        values = guard.numpy()
        result = guard.pool.acquire(values.shape, values.dtype)
        np.multiply(values, values, out=result.numpy())
    return result


def produce(pool, queue, count):
    """Sends guards and ends at once, while the queue's thread may still be pickling."""
    for i in range(count):
        with pool.acquire(1000, "int64") as guard:
            guard.numpy()[:] = i
            guard.sequence = i
            queue.put(guard.send())


def produce_last(pool, queue):
    """The first pickle of a guard happens when the process is ending already."""
    guard = pool.acquire(1000, "int64")
    guard.numpy()[:] = 5
    queue.put(guard)


def send_and_die(pool, pipe, how):
    """Sends one guard; then ends by a signal, in good order, or by os._exit."""
    guard = pool.acquire(1000, "int64")
    guard.numpy()[:] = 6
    pipe.send(guard)
    if how == "settled":
        pool.settle()
        os._exit(0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


def relay(pool, inbox, outbox):
    """Sends on the handles it gets, unopened, and ends."""
    while (handle := inbox.get()) is not None:
        assert isinstance(handle, BufferHandle)
        outbox.put(handle)


def look(pool, queue, answers):
    """What a receiver sees of the guards that come."""
    while (guard := queue.get()) is not None:
        answers.put((guard.readonly, guard.metadata(), guard.pool.id == pool.id, bytes(guard)))
        guard.close()


def hold(pipe):
    """Takes what comes, says so and keeps it until told otherwise."""
    kept = []
    while (what := pipe.recv()) is not None:
        kept.append(what)
        pipe.send("kept")
    kept.clear()
    pipe.send("dropped")


def count(name, rounds):
    """Opens the pool by its name and uses it, all in one short life."""
    with BufferPool.open(name) as pool:
        for _ in range(rounds):
            with pool.acquire_cpu(100) as guard:
                guard.numpy()[:] = 1
    return os.getpid()


def unpickle(data, answers):
    """Loads a pickle, and tells what came of it."""
    try:
        guard = pickle.loads(data)
    except LookupError as error:
        answers.put(type(error).__name__)
    else:
        answers.put(guard.numpy().tolist())
        guard.close()


def wait_for(condition, seconds=30):
    """Until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def nested(pool, queue, levels):
    """A child of a child of a child sends a guard."""
    if levels == 0:
        guard = pool.acquire(3)
        guard.numpy()[:] = 4.0
        queue.put(guard.send())
        return
    context = multiprocessing.get_context(multiprocessing.get_start_method())
    child = context.Process(target=nested, args=(pool, queue, levels - 1))
    child.start()
    child.join()
    assert child.exitcode == 0
