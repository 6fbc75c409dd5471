"""A full /dev/shm: an error, and never a signal in the middle of writing to a buffer.

It needs a /dev/shm of its own, of a few megabytes, which root can mount, and on most
systems anybody as root of a namespace of users; elsewhere it says why it cannot run and
ends with status 77. The real one is not filled: everything on the machine would notice.
"""

import os
import random
import sys

from pool_faults.stage import SHM, Shm, ended, fork, require, shared

MEGABYTES = 8
CANNOT_RUN = 77
BUDGET = 64 << 20


class Counts:
    """What happened in the children, for the last line."""

    def __init__(self):
        self.acquired, self.refused, self.bytes = (shared(1) for _ in range(3))


def fill():
    """Take all memory that is left; the file that has it."""
    path = SHM / f"filler{os.getpid()}"
    with path.open("wb", buffering=0) as file:
        chunk = bytes(4096)
        try:
            while True:
                file.write(chunk)
        except OSError:
            return path


def stamp(guard, value):
    guard.numpy("uint8")[:] = value


def require_stamp(guard, value):
    require((guard.numpy("uint8") == value).all(), "a buffer was overwritten")


def exhaust(counts, pool, sizes, rng):
    """Acquire and write to every byte until that is refused; what was acquired."""
    guards = []
    while True:
        try:
            guard = pool.acquire_cpu(rng.choice(sizes), timeout=0)
        except (MemoryError, OSError) as error:
            require(not isinstance(error, TimeoutError), "it was not the memory that ran out")
            counts.refused[0] += 1
            break
        stamp(guard, len(guards) % 251)
        counts.acquired[0] += 1
        counts.bytes[0] += guard.size
        guards.append(guard)
    for number, guard in enumerate(guards):
        require_stamp(guard, number % 251)
    return guards


def until_full_and_on(counts, shm):
    """Buffers until there is no memory, of several sizes; then the pool goes on working."""
    from gmemx import BufferPool

    for seed, sizes in enumerate(
        [[64], [4096], [100_000], [3_000_000], [64, 5000, 100_000, 10**6]]
    ):
        rng = random.Random(seed)
        with BufferPool(shm.name(f"until{seed}"), 2**16, size=BUDGET) as pool:
            guards = exhaust(counts, pool, sizes, rng)
            require(guards, "nothing could be acquired at all")
            size = guards[0].size
            guards.pop(0).close()
            # What was freed is there, though the system has nothing more.
            again = pool.acquire_cpu(size, timeout=0)
            stamp(again, 255)
            for guard in [again, *guards]:
                guard.close()
            pool.trim()
            stats = pool.stats()
            require((stats.used, stats.committed) == (0, 0), f"leaked: {stats}")


def full_before(counts, shm):
    """Nothing is left when a pool is made, opened, or acquired from."""
    from gmemx import BufferPool

    filler = fill()
    for way in (BufferPool, BufferPool.open_or_create):
        try:
            way(shm.name("before"), 256, size=BUDGET).close()
        except (MemoryError, OSError):
            counts.refused[0] += 1
        else:
            require(False, "a pool was made of nothing")
    require(shm.left() == [filler.name], "a pool that could not be made left something")
    filler.unlink()
    with BufferPool(shm.name("before"), 256, size=BUDGET) as pool:
        filler = fill()
        require(not exhaust(counts, pool, [100_000], random.Random(0)), "memory came from nothing")
        BufferPool.open(shm.name("before")).close()
        filler.unlink()
        for guard in exhaust(counts, pool, [100_000], random.Random(0)):
            guard.close()


def taken_back(counts, shm):
    """What was given back to the system is gone when somebody else has taken it."""
    from gmemx import BufferPool

    with BufferPool(shm.name("back"), 256, size=BUDGET) as pool:
        for guard in exhaust(counts, pool, [100_000], random.Random(1)):
            guard.close()
        pool.trim()
        filler = fill()
        require(not exhaust(counts, pool, [100_000, 64], random.Random(2)), "it was not given back")
        filler.unlink()
        guards = exhaust(counts, pool, [100_000], random.Random(3))
        require(guards, "it did not come back")
        for guard in guards:
            guard.close()


def at_once(counts, shm):
    """Several processes fill it, with files and buffers, while others write to theirs."""
    from gmemx import BufferPool

    with BufferPool(shm.name("once"), 4096, size=BUDGET) as pool:

        def work(number):
            rng = random.Random(number)
            for _ in range(10):
                if number == 0:
                    fill().unlink()
                    continue
                for guard in exhaust(counts, pool, [64, 5000, 200_000], rng):
                    guard.close()
                if rng.randrange(3) == 0:
                    pool.trim()

        children = [fork(work, number) for number in range(4)]
        codes = [ended(child) for child in children]
        require(codes == [0] * 4, lambda: f"processes ended with {codes}")
        pool.reclaim()
        pool.trim()
        stats = pool.stats()
        require((stats.used, stats.committed) == (0, 0), lambda: f"leaked: {stats}")


def main():
    shm = Shm(size=f"{MEGABYTES}m")
    if shm.why_shared is not None:
        print(f"cannot run without a /dev/shm of its own: {shm.why_shared}")
        sys.exit(CANNOT_RUN)
    counts = Counts()
    for part in (until_full_and_on, full_before, taken_back, at_once):
        code = ended(fork(part, counts, shm))
        require(code == 0, f"{part.__name__} ended with {code}")
        shm.require_clean()
    acquired, refused, total = (int(n[0]) for n in (counts.acquired, counts.refused, counts.bytes))
    print(f"/dev/shm of {MEGABYTES} MiB: {acquired} buffers of {total >> 20} MiB in all written,")
    print(f"refused {refused} times when it was full, 0 signals; it is clean")


if __name__ == "__main__":
    main()
