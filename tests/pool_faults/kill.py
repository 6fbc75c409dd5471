"""Processes killed at random instants while they acquire, write, hand over and release.

Afterwards no reference has leaked, no buffer was ever given to two owners, nobody who lives
was blocked, and /dev/shm is clean. The killed ones come in four sorts:

- ``open native``, ``open python``: forked from a process without the pool, they open it; the
  first work in C (``kill.c``), where the instants between two instructions are, the
  others with guards that are pickled.
- ``inherit``: forked from a process that holds a buffer of the pool, half of them in C.
- ``make``: they create, open and close pools of a few names all the while.
"""

import argparse
import ctypes
import os
import pickle
import random
import signal
import socket
import tempfile
import time

from pool_faults.stage import Shm, Watch, compiled, ended, fork, require, shared

# More than survivors can have on their way to one another, which would block them all.
CAPACITY, BUDGET = 24, 24 << 20
# What kill.c has too.
PEEKED = 64
MIXER = 0x9E37_79B9_7F4A_7C15
SIZES = [64, 64, 64, 192, 4096, 40_000, 300_000, 2_500_000]
SMALL = SIZES[:6]
SURVIVORS = 3
ALIVE_AT_ONCE = 3
LONGEST_LIFE = 0.06


class Shared:
    """What all processes share; addresses of it are what kill.c gets."""

    def __init__(self, serials):
        self.doomed = shared(serials, "u1")
        self.progress = shared(serials)
        self.owners = shared(CAPACITY)
        self.handles = shared(PEEKED)
        self.stop = shared(1)

    def in_c(self):
        arrays = self.doomed, self.progress, self.owners, self.handles, self.stop
        return (ctypes.c_void_p * 5)(*(array.ctypes.data for array in arrays))


class Post:
    """Messages of any number of senders to any number of receivers, whole or not at all."""

    def __init__(self):
        self.outbox, self.inbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A few messages only: what waits here cannot be acquired.
        self.outbox.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def send(self, message):
        """Whether there was room."""
        try:
            self.outbox.send(message, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def receive(self):
        """A message, or None."""
        try:
            return self.inbox.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None


def content(handle, serial):
    return ((handle ^ serial << 40) * MIXER & 2**64 - 1) | 1


class Worker:
    """One process, in Python."""

    def __init__(self, shared, pool, serial, inboxes, outbox):
        self.shared, self.pool, self.serial = shared, pool, serial
        self.inboxes, self.outbox = inboxes, outbox
        self.random = random.Random(serial)

    def stamp(self, guard):
        words = guard.numpy("uint64")
        handle = guard.handle.value
        words[0], words[1] = handle, self.serial
        words[2:] = content(handle, self.serial)

    def verify(self, guard):
        """Whose stamp a buffer has, having looked at all of it."""
        words, handle = guard.numpy("uint64"), guard.handle.value
        found, serial = int(words[0]), int(words[1])
        require(found == handle, lambda: f"buffer {handle:#x} has the content of {found:#x}")
        wrong = (words[2:] != content(handle, serial)).sum()
        require(wrong == 0, lambda: f"{wrong} words of buffer {handle:#x} are somebody else's")
        return serial

    def acquire(self, sizes=SIZES):
        size = self.random.choice(sizes) - 8 * self.random.randrange(3)
        guard = self.pool.acquire_cpu(max(64, size))
        owners, index = self.shared.owners, guard.meta_index
        before = int(owners[index])
        require(
            before == 0 or self.shared.doomed[before - 1],
            lambda: f"slot {index}, which {self.serial} acquired, is {before - 1}'s",
        )
        owners[index] = self.serial + 1
        self.stamp(guard)
        self.shared.handles[self.serial % PEEKED] = guard.handle.value
        return guard

    def give_back(self, guard):
        require(self.verify(guard) == self.serial, "a buffer was given to another")
        self.shared.owners[guard.meta_index] = 0
        guard.close()

    def receive(self, message):
        """Claim what was sent; it may be gone where the sender was killed."""
        from gmemx.errors import NotFoundError

        sender, pickled = int.from_bytes(message[:8], "little"), message[8:]
        try:
            came = pickle.loads(pickled)
        except NotFoundError:
            require(self.shared.doomed[sender], lambda: f"what {sender} sent was lost")
            return
        guard = came.open() if hasattr(came, "open") else came
        require(self.verify(guard) == sender, lambda: f"what {sender} sent is another's")
        self.verify(guard)
        guard.close()

    def send(self, guard):
        """As a guard, as its handle, or as a handle that was made for sending."""
        way = self.random.randrange(3)
        what = guard if way == 0 else guard.handle if way == 1 else guard.send()
        message = self.serial.to_bytes(8, "little") + pickle.dumps(what)
        sent = self.outbox.send(message)
        self.give_back(guard)
        if not sent:
            self.receive(message)

    def peek(self):
        """A handle that may be stale by now gives its own buffer or none."""
        from gmemx.errors import NotFoundError
        from gmemx.pool import BufferHandle

        value = int(self.shared.handles[self.random.randrange(PEEKED)])
        try:
            guard = value and self.pool.get(BufferHandle(value, self.pool.id.bytes, self.pool.name))
        except NotFoundError:
            return
        if guard:
            self.verify(guard)
            guard.close()

    def step(self):
        choice = self.random.randrange(6)
        if choice < 2:
            self.give_back(self.acquire())
        elif choice == 2:
            self.send(self.acquire(SMALL if self.serial < SURVIVORS else SIZES))
        elif choice == 3:
            self.peek()
        else:
            for post in self.inboxes:
                if message := post.receive():
                    self.receive(message)
        self.shared.progress[self.serial] += 1

    def work(self, idle=0.0):
        while not self.shared.stop[0]:
            self.step()
            if idle and self.random.randrange(4) == 0:
                time.sleep(idle)


class Run:
    """One run: its pool, the means to reach it, and who takes part."""

    def __init__(self, kills, seed, folder):
        self.shm = Shm()
        self.library = ctypes.CDLL(str(compiled("kill.c", folder, shared_library=True)))
        self.library.kill_worker.restype = None
        self.kills, self.random = kills, random.Random(seed)
        self.name = self.shm.name("kill")
        self.shared = Shared(SURVIVORS + kills)
        # Who lives must not send to who may be killed before the claim: nobody could tell
        # that such a buffer has no owner.
        self.post = {
            (kind, to): Post() for kind in ("native", "python") for to in ("any", "survivors")
        }

    def in_c(self, serial, survivor):
        to_any, to_survivors = (self.post["native", to] for to in ("any", "survivors"))
        self.library.kill_worker(
            self.name.encode(),
            self.shared.in_c(),
            ctypes.c_uint64(serial),
            ctypes.c_uint64(self.random.getrandbits(64) ^ serial * MIXER & 2**64 - 1),
            to_any.inbox.fileno(),
            to_survivors.inbox.fileno() if survivor else -1,
            (to_survivors if survivor else to_any).outbox.fileno(),
            ctypes.c_bool(survivor),
        )

    def in_python(self, serial, survivor, pool=None):
        from gmemx import BufferPool

        to_any, to_survivors = (self.post["python", to] for to in ("any", "survivors"))
        with pool or BufferPool.open(self.name) as pool:
            inboxes = [to_any, to_survivors] if survivor else [to_any]
            outbox = to_survivors if survivor else to_any
            worker = Worker(self.shared, pool, serial, inboxes, outbox)
            worker.work(idle=0.0002 if survivor else 0.0)

    # ---- those that are killed -----------------------------------------------------------

    def victim(self, sort, serial, pool):
        native = sort == "open native" or (sort == "inherit" and serial % 2)
        if sort == "make":
            self.make(serial)
        elif native:
            self.in_c(serial, False)
        else:
            self.in_python(serial, False, pool)

    def make(self, serial):
        """Create, open and close pools of a few names."""
        from gmemx import BufferPool

        rng = random.Random(serial)
        ways = [BufferPool, BufferPool.open, BufferPool.open_or_create]
        pools = []
        while not self.shared.stop[0]:
            way = rng.choice(ways)
            size = {} if way == BufferPool.open else {"capacity": 4, "size": 1 << 20}
            try:
                pools.append(way(self.shm.name(f"made{rng.randrange(3)}"), **size))
            except FileExistsError:
                require(way == BufferPool, "only create may find a pool")
            except FileNotFoundError:
                require(way == BufferPool.open, "only open may miss a pool")
            else:
                pools[-1].acquire_cpu(1000)
            if len(pools) > 2:
                pools.pop(rng.randrange(len(pools))).close()
            self.shared.progress[serial] += 1
        for pool in pools:
            pool.close()

    def stage(self, sort, serials, progress):
        """Fork, let live for a while, and kill, until all of these were."""
        from gmemx import BufferPool

        pool = guard = None
        if sort == "inherit":
            pool = BufferPool.open(self.name)
            guard = pool.acquire_cpu(4096)
            guard.numpy("uint8")[:] = 0xA5
        rng = random.Random(serials[0])
        # Times at which they are to die, in order: some when they have hardly begun.
        living, waiting = [], list(serials)
        while living or waiting:
            if waiting and len(living) < ALIVE_AT_ONCE:
                serial = waiting.pop()
                pid = fork(self.victim, sort, serial, pool)
                life = LONGEST_LIFE * rng.random() ** 2
                living.append((time.monotonic() + life, pid, serial))
                continue
            living.sort()
            due, pid, serial = living.pop(0)
            time.sleep(max(0.0, due - time.monotonic()))
            self.shared.doomed[serial] = 1
            os.kill(pid, signal.SIGKILL)
            code = ended(pid)
            require(code == -signal.SIGKILL, f"{sort} {serial} ended with {code}")
            progress[0] += 1
            if guard:
                require((guard.numpy("uint8") == 0xA5).all(), "an inherited buffer was overwritten")
        if guard:
            guard.close()
            pool.close()

    # ---- all together --------------------------------------------------------------------

    def run(self):
        from gmemx import BufferPool

        # Nothing of the pool in this process while it forks those who are to open it.
        watch = Watch()
        keeper, running = shared(1), shared(1)
        watch.add("keeper", fork(self.keep, keeper, running))
        while not running[0]:
            watch.look()
            time.sleep(0.01)
        begin = time.monotonic()
        for serial in range(SURVIVORS):
            work = self.in_c if serial == 0 else self.in_python
            pid = fork(work, serial, True)
            watch.add(f"survivor {serial}", pid, lambda s=serial: int(self.shared.progress[s]))
        sorts = ["open native", "open python", "inherit", "make"]
        counts = {}
        for number, sort in enumerate(sorts):
            serials = range(SURVIVORS + number, SURVIVORS + self.kills, len(sorts))
            counts[sort] = shared(1)
            pid = fork(self.stage, sort, list(serials), counts[sort])
            watch.add(sort, pid, lambda count=counts[sort]: int(count[0]))
        watch.wait(sorts)
        took = time.monotonic() - begin

        pool = self.shm.knows(BufferPool.open(self.name))
        self.shared.stop[0] = 1
        watch.wait([f"survivor {serial}" for serial in range(SURVIVORS)])
        survived = [int(self.shared.progress[serial]) for serial in range(SURVIVORS)]
        steps = [int(self.shared.progress[i]) for i in range(SURVIVORS, SURVIVORS + self.kills)]
        self.collect(pool)
        pool.reclaim()
        keeper[0] = 1
        watch.wait()
        self.examine(pool)
        stats = pool.stats()
        pool.close()
        self.collect_litter()
        self.shm.require_clean()

        print(f"{self.kills} processes killed in {took:.0f} s:", end=" ")
        print(", ".join(f"{int(counts[sort][0])} {sort}" for sort in sorts))
        print(f"{sum(steps)} steps done by them, {sum(survived)} by {SURVIVORS} that lived")
        print(f"{steps.count(0)} killed before their first step was done")
        print(f"{stats.reclaimed} references reclaimed, 0 leaked, 0 buffers with two owners")
        print("/dev/shm is clean" + self.shm.remark())
        require(stats.reclaimed > 0, "nobody was killed while holding anything: not much of a test")
        require(all(survived), "a survivor did nothing")

    def keep(self, keeper, running):
        """The pool's creator, which lives from the first to the last."""
        from gmemx import BufferPool

        with BufferPool(self.name, CAPACITY, size=BUDGET):
            running[0] = 1
            while not keeper[0]:
                time.sleep(0.05)

    def collect(self, pool):
        """Claim what is still on its way: all that those who live have sent is there."""
        worker = Worker(self.shared, pool, SURVIVORS, [], None)
        for (kind, _), post in self.post.items():
            while message := post.receive():
                if kind == "python":
                    worker.receive(message)
                else:
                    words = [int.from_bytes(message[i : i + 8], "little") for i in (0, 8, 16)]
                    self.claim_native(worker, *words)

    def claim_native(self, worker, value, ticket, sender):
        from gmemx._pool_pickle import restored_guard
        from gmemx.errors import NotFoundError

        pool = worker.pool
        try:
            guard = restored_guard(value, pool.id.bytes, pool.name, ticket, False)
        except NotFoundError:
            require(self.shared.doomed[sender], lambda: f"what {sender} sent was lost")
            return
        require(worker.verify(guard) == sender, lambda: f"what {sender} sent is another's")
        guard.close()

    def examine(self, pool):
        """Nothing is referred to, and every slot and byte can be had."""
        stats = pool.stats()
        require(
            (stats.used, stats.pins, stats.in_flight, stats.processes) == (0, 0, 0, 1),
            lambda: f"leaked: {stats}, {pool.buffers()}, {pool.processes()}",
        )
        guards = [pool.acquire_cpu(64, timeout=0) for _ in range(CAPACITY)]
        indices = sorted(guard.meta_index for guard in guards)
        require(indices == list(range(CAPACITY)), lambda: f"slots were lost: {indices}")
        for guard in guards:
            guard.close()
        pool.trim()
        committed = pool.stats().committed
        require(committed == 0, lambda: f"{committed} bytes leaked")
        with pool.acquire_cpu(BUDGET, timeout=0) as all_of_it:
            require(all_of_it.size == BUDGET, "the memory is in pieces")

    def collect_litter(self):
        """Pools of the killed are removed when they are created anew, or by gc."""
        from gmemx import BufferPool
        from gmemx.pool import gc, list_pools

        with BufferPool(self.shm.name("made0"), 4, size=1 << 20):
            pass
        gc()
        left = [info.name for info in list_pools() if info.name.startswith(self.shm.prefix)]
        require(not left, lambda: f"gc left {left}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--long", action="store_const", dest="kills", const=10_000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        Run(options.kills, seed, folder).run()


if __name__ == "__main__":
    main()
