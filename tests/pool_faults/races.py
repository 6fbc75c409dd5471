"""Pools created and opened at once by racing processes: no error but the ones that are true.

In the first half all processes set out at once for the same new name: some create it, some
open it, some do either. In the second half they come and go as they like at a few names,
from two threads each, so that the last one out meets the next one in.
"""

import argparse
import os
import random
import threading
import time

from pool_faults.stage import Shm, Watch, fork, require, shared

PROCESSES, THREADS, NAMES = 4, 2, 3
# What each process does for a name, in turns.
WAYS = ["create", "open_or_create", "open", "open_or_create"]
CREATED = {"capacity": 4, "size": 1 << 16}


def obtain(way, name):
    """A pool, or why not."""
    from gmemx import BufferPool

    try:
        if way == "create":
            return BufferPool(name, **CREATED), None
        if way == "open":
            return BufferPool.open(name), None
        return BufferPool.open_or_create(name, **CREATED), None
    except FileExistsError as error:
        require(way == "create", f"{way} of {name!r}: {error}")
        return None, "exists"
    except FileNotFoundError as error:
        require(way == "open", f"{way} of {name!r}: {error}")
        return None, "missing"


def number_of(pool):
    """A number that tells pools apart; 0 is none."""
    return pool.id.int & 2**64 - 1 | 1


class Barrier:
    """All processes are there before any goes on."""

    def __init__(self, parties):
        self.parties, self.arrived = parties, shared(parties)

    def wait(self, party):
        self.arrived[party] += 1
        mine = self.arrived[party]
        while (self.arrived < mine).any():
            os.sched_yield()


class TogetherAtNewNames:
    """Rounds of one new name each, for which all set out at once."""

    def __init__(self, shm, rounds):
        self.shm, self.rounds = shm, rounds
        self.barrier = Barrier(PROCESSES)
        self.numbers = shared(PROCESSES)
        self.reasons = {why: shared(PROCESSES) for why in ("exists", "missing")}
        self.progress = shared(PROCESSES)

    def work(self, party):
        for number in range(self.rounds):
            name = self.shm.name(f"round{number}")
            way = WAYS[(party + number) % len(WAYS)]
            self.barrier.wait(party)
            pool, why = obtain(way, name)
            self.numbers[party] = number_of(pool) if pool else 0
            self.barrier.wait(party)
            # Nobody has closed it yet: those who have one have the same.
            seen = {int(n) for n in self.numbers if n}
            require(len(seen) == 1, f"{name!r} is {len(seen)} pools at once")
            self.barrier.wait(party)
            if pool:
                pool.close()
            else:
                self.reasons[why][party] += 1
            self.progress[party] += 1


class ComeAndGo:
    """Nobody waits for anybody: a few names, opened and closed all the while."""

    def __init__(self, shm, pools):
        self.shm, self.pools = shm, pools
        self.made = shared(PROCESSES * THREADS)
        self.opened = shared(PROCESSES * THREADS)
        self.progress = shared(PROCESSES)
        # Who has which pool under which name.
        self.having = shared(NAMES * PROCESSES * THREADS).reshape(NAMES, -1)

    def work(self, party):
        failures = []
        lanes = range(party * THREADS, (party + 1) * THREADS)

        def lane(number):
            try:
                self.come_and_go(number, party)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=lane, args=(number,)) for number in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for failure in failures:
            raise failure

    def come_and_go(self, lane, party):
        rng = random.Random(lane)
        while int(self.made.sum()) < self.pools:
            which = rng.randrange(NAMES)
            way = rng.choice(WAYS)
            pool, _ = obtain(way, self.shm.name(f"busy{which}"))
            if pool is None:
                continue
            mine = number_of(pool)
            self.having[which, lane] = mine
            others = {int(n) for n in self.having[which] if n}
            require(others == {mine}, f"busy{which} is {len(others)} pools at once")
            if rng.randrange(8) == 0:
                pool.acquire_cpu(100).close()
            self.having[which, lane] = 0
            pool.close()
            self.opened[lane] += 1
            self.made[lane] += way == "create"
            self.progress[party] += 1


def race(what):
    """Run it in all processes; how long it took."""
    began = time.monotonic()
    watch = Watch()
    for party in range(PROCESSES):
        pid = fork(what.work, party)
        watch.add(f"process {party}", pid, lambda party=party: int(what.progress[party]))
    watch.wait()
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pools", type=int, default=20_000)
    options = parser.parse_args()
    shm = Shm()
    import gmemx  # noqa: F401

    # A round makes one pool; what comes and goes counts those that `create` made.
    together = TogetherAtNewNames(shm, options.pools // 2)
    took = race(together)
    exists, missing = (int(together.reasons[why].sum()) for why in ("exists", "missing"))
    print(f"{together.rounds} pools raced for by {PROCESSES} processes in {took:.0f} s:", end=" ")
    print(f"{exists} times it was there already, {missing} times not yet")
    busy = ComeAndGo(shm, options.pools - together.rounds)
    took = race(busy)
    print(f"{int(busy.made.sum())} pools made in passing in {took:.0f} s,", end=" ")
    print(f"{int(busy.opened.sum())} times opened, by {PROCESSES} processes of {THREADS} threads")
    shm.require_clean()
    print("0 spurious errors; /dev/shm is clean" + shm.remark())


if __name__ == "__main__":
    main()
