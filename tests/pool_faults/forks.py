"""Forks in the middle of everything, multiprocessing of every sort, and 96 processes at once."""

import argparse
import concurrent.futures
import errno
import multiprocessing
import os
import random
import signal
import threading

from pool_faults.stage import Shm, Watch, ended, fork, require, shared

MOST = 96
METHODS = ["fork", "spawn", "forkserver"]


def write(guard, value):
    guard.numpy("uint64")[:] = value


def reads(guard):
    """The one number that a buffer is full of."""
    words = guard.numpy("uint64")
    require((words == words[0]).all(), "a buffer has two writers")
    return int(words[0])


# ---- forks while threads are at work ------------------------------------------------------


class Hammer:
    """Threads that acquire, write, look and release until told to stop."""

    def __init__(self, pool, threads):
        self.pool, self.running, self.failures = pool, True, []
        self.steps = [0] * threads
        numbers = range(threads)
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in numbers]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        rng = random.Random(number)
        try:
            while self.running:
                with self.pool.acquire_cpu(rng.choice([64, 800, 8000, 80_000])) as guard:
                    value = number << 32 | self.steps[number]
                    write(guard, value)
                    other = self.pool.get(guard.handle)
                    require(reads(other) == value, "somebody wrote to a thread's buffer")
                    other.close()
                self.steps[number] += 1
        except BaseException as error:
            self.failures.append(error)

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()
        for failure in self.failures:
            raise failure


def child_of_hammered(pool, guards, values, number, gate, parents):
    """A forked child: its guards are its own, whatever becomes of its parent's."""
    require(pool.ref_count(guards[0].meta_index) >= 2, "a child's hold does not count")
    for guard, value in zip(guards, values, strict=True):
        require(reads(guard) == value, "an inherited buffer was overwritten")
    mine = pool.acquire_cpu(64)
    write(mine, number)
    # The parent gives its hold of the last one back, and takes new ones.
    parents.read(1)
    require(reads(guards[-1]) == values[-1], "a buffer was freed under a child")
    require(reads(mine) == number, "a child's own buffer was overwritten")
    gate.write(b"x")
    if number % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    for guard in guards:
        guard.close()
    if number % 3 == 1:
        # It has guards of threads that did not come along, so it cannot close the pool.
        mine.close()


def forks_while_threads_work(shm, forks):
    """Fork again and again, holding buffers, with threads in the middle of things."""
    from gmemx import BufferPool

    with BufferPool(shm.name("hammered"), 32, size=8 << 20) as pool:
        hammer = Hammer(pool, 3)
        for number in range(forks):
            guards = [pool.acquire_cpu(size) for size in (64, 4096, 100_000)]
            values = [number * 10 + i for i in range(3)]
            for guard, value in zip(guards, values, strict=True):
                write(guard, value)
            (from_child, to_parent), (from_parent, to_child) = os.pipe(), os.pipe()
            with open(to_parent, "wb", 0) as gate, open(from_parent, "rb", 0) as parents:
                child = fork(child_of_hammered, pool, guards, values, number, gate, parents)
            last = guards.pop()
            index, handle = last.meta_index, last.handle
            last.close()
            with pool.acquire_cpu(100_000) as another:
                write(another, 77)
                require(another.meta_index != index, "a child's buffer was given away")
                os.write(to_child, b"x")
                os.read(from_child, 1)
            os.close(from_child)
            os.close(to_child)
            code = ended(child)
            wanted = -signal.SIGKILL if number % 3 == 0 else 0
            require(code == wanted, f"child {number} ended with {code}")
            pool.reclaim()
            for guard in guards:
                count = pool.ref_count(guard.meta_index)
                require(count == 1, f"{count} references after a child's end")
                guard.close()
            try:
                pool.get(handle)
            except LookupError:
                pass
            else:
                require(False, "what nobody holds can still be got")
        hammer.stop()
        pool.reclaim()
        stats = pool.stats()
        require((stats.used, stats.pins, stats.processes) == (0, 0, 1), lambda: f"leaked: {stats}")
        print(
            f"{forks} forks while 3 threads did {sum(hammer.steps)} steps: all holds kept, 0 leaked"
        )


# ---- multiprocessing ----------------------------------------------------------------------


def add_one(guard):
    """A task: the result is a new buffer, the argument is given back."""
    with guard:
        result = guard.pool.acquire(guard.shape, "float64")
        result.numpy()[:] = guard.numpy() + 1
        return result


def add_from_queue(source, target):
    """A process: handles in, handles out, until None."""
    while (handle := source.get()) is not None:
        with add_one(handle.open()) as result:
            target.put(result.send())
    target.put(None)


def only_open(name):
    """A process that comes and goes."""
    from gmemx import BufferPool

    with BufferPool.open(name) as pool, pool.acquire_cpu(100):
        return pool.capacity


def by_method(shm, method, tasks):
    """Buffers as arguments and results of other processes, without a copy and none lost."""
    from gmemx import BufferPool

    context = multiprocessing.get_context(method)
    with BufferPool(shm.name(method), 64, size=32 << 20) as pool:

        def made(number):
            guard = pool.acquire((1000,), "float64")
            guard.numpy()[:] = number
            return guard

        with context.Pool(2) as workers:
            results = workers.imap(add_one, (made(number) for number in range(tasks)))
            for number, result in enumerate(results):
                with result:
                    require((result.numpy() == number + 1).all(), "a wrong result came back")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as workers:
            futures = [workers.submit(add_one, made(number)) for number in range(10)]
            for number, future in enumerate(futures):
                with future.result() as result:
                    require((result.numpy() == number + 1).all(), "a wrong result came back")
        source, target = context.Queue(), context.Queue()
        process = context.Process(target=add_from_queue, args=(source, target))
        process.start()
        for number in range(10):
            with made(number) as guard:
                source.put(guard.send())
        source.put(None)
        # It has ended before anything that it sent is claimed.
        received = list(iter(target.get, None))
        process.join()
        require(process.exitcode == 0, f"a {method} process ended with {process.exitcode}")
        for number, handle in enumerate(received):
            with handle.open() as result:
                require((result.numpy() == number + 1).all(), "a wrong result came back")
        # Python's resource tracker deletes what processes leave behind, but no pool.
        for _ in range(3):
            process = context.Process(target=only_open, args=(pool.name,))
            process.start()
            process.join()
            require(process.exitcode == 0, f"a {method} process ended with {process.exitcode}")
            with BufferPool.open(pool.name) as again:
                require(again.id == pool.id, "the pool is another one now")
        del received, handle, results, result, futures, future, guard
        pool.reclaim()
        stats = pool.stats()
        require(
            (stats.used, stats.in_flight) == (0, 0), lambda: f"leaked: {stats}, {pool.buffers()}"
        )
        print(
            f"multiprocessing with {method}: {tasks + 20} buffers there and back, 0 lost, 0 leaked"
        )


# ---- as many processes as there can be ----------------------------------------------------


class Crowd:
    """Processes that open one pool, all at once, until told to go."""

    def __init__(self, name):
        self.name = name
        self.attached, self.go = shared(MOST + 1), shared(2)

    def member(self, number, handle, inherited=None):
        from gmemx import BufferPool

        pool = inherited.pool if inherited else BufferPool.open(self.name)
        mine = pool.acquire_cpu(64)
        write(mine, number)
        common = pool.get(handle)
        if inherited:
            inherited.close()
        self.attached[number] = 1
        while not self.go[0]:
            require(reads(common) == 12345, "the common buffer was overwritten")
            os.sched_yield()
        require(reads(mine) == number, "a process's own buffer was overwritten")
        common.close()
        mine.close()
        self.attached[number] = 2
        while not self.go[1]:
            os.sched_yield()
        pool.close()

    def nursery(self, numbers, handle):
        """They are forked from a process without the pool, and open it."""
        watch = Watch()
        for number in numbers:
            watch.add(f"process {number}", fork(self.member, number, handle))
        watch.wait()


def refused(work):
    """The error of a process too many, which says what is wrong."""
    try:
        work()
    except OSError as error:
        require(error.errno == errno.EUSERS, f"not an error of too many: {error!r}")
        require(str(MOST) in str(error), f"it does not say how many: {error}")
        return
    require(False, "one process more than there can be was let in")


def crowd(shm):
    """The most processes there can be, half of them forked from one that has the pool."""
    from gmemx import BufferPool

    name = shm.name("crowd")
    crowd = Crowd(name)
    ready, over = shared(1), shared(1)
    common = shared(1)

    def owner():
        with BufferPool(name, 256, size=4 << 20) as pool:
            guard = pool.acquire_cpu(64)
            write(guard, 12345)
            common[0] = guard.handle.value
            watch = Watch()
            for number in range(1, MOST // 2):
                watch.add(f"process {number}", fork(crowd.member, number, guard.handle, guard))
            ready[0] = 1
            while not all(crowd.attached[1:MOST]):
                watch.look()
                os.sched_yield()
            index = guard.meta_index
            count = pool.ref_count(index)
            require(count == MOST, lambda: f"{count} references of {MOST} processes")
            stats = pool.stats()
            require(stats.processes == MOST, lambda: f"{stats.processes} processes")
            # One more cannot: not by opening the pool, and a forked one can do nothing with it.
            watch.add("one more by fork", fork(refused, lambda: pool.acquire_cpu(64)))
            watch.wait(["one more by fork"])
            ready[0] = 2
            while ready[0] != 3:
                watch.look()
                os.sched_yield()
            crowd.go[0] = 1
            while not all(crowd.attached[1:MOST] == 2):
                watch.look()
                os.sched_yield()
            count = pool.ref_count(index)
            require(count == 1, lambda: f"{count} references when all others are given back")
            crowd.go[1] = 1
            watch.wait()
            guard.close()
            while not over[0]:
                os.sched_yield()

    def handle_of_common():
        from gmemx.pool import BufferHandle

        with BufferPool.open(name) as pool:
            return BufferHandle(int(common[0]), pool.id.bytes, name)

    watch = Watch()
    watch.add("owner", fork(owner))
    while ready[0] != 1:
        watch.look()
        os.sched_yield()
    handle = handle_of_common()
    watch.add("nursery", fork(crowd.nursery, range(MOST // 2, MOST), handle))
    while ready[0] != 2:
        watch.look()
        os.sched_yield()
    refused(lambda: BufferPool.open(name))
    ready[0] = 3
    watch.wait(["nursery"])
    # There is room again.
    with BufferPool.open(name) as pool:
        over[0] = 1
        watch.wait()
        pool.reclaim()
        stats = pool.stats()
        require((stats.used, stats.processes) == (0, 1), lambda: f"leaked: {stats}")
    print(f"{MOST} processes attached at once, number {MOST + 1} refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forks", type=int, default=150)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    times = 20 if options.long else 1
    shm = Shm()
    crowd(shm)
    forks_while_threads_work(shm, options.forks * times)
    for method in METHODS:
        by_method(shm, method, options.tasks * times)
    shm.require_clean()
    print("/dev/shm is clean" + shm.remark())


if __name__ == "__main__":
    main()
