"""Targets that are killed at random moments of scans: an error that says so, and no more.

Each target is killed while it is scanned, filtered, searched, read, written or stopped. Every
call either has its result or raises ProcessGoneError; what was found before is still there.
"""

import argparse
import os
import random
import threading
import time

import numpy as np
import scans
from pool_faults.stage import require

from gmemx import errors, scan

SIZE = 24 << 20


def works(process, scanner, start):
    """What may be interrupted."""
    regions = [(start, start + SIZE)]
    return [
        lambda: scanner.initial_scan(3),
        lambda: scanner.initial_scan(),
        scanner.filter_unchanged,
        scanner.rescan,
        lambda: scanner.save_checkpoint("c"),
        lambda: scanner.filter_eq(3, stop=True),
        lambda: process.find("03 ?? ?? 00 05", regions),
        lambda: process.find(b"nowhere", regions, stop=True),
        lambda: process.pointers(regions),
        lambda: process.regions(),
        lambda: process.read(start, SIZE),
        lambda: process.write(start, bytes(100_000)),
        lambda: process.read_many(np.arange(start, start + SIZE, 4096, dtype=np.uint64), "u64"),
        lambda: scanner.add_value(0),
    ]


def one_target(rng, image, counts):
    """Start, scan and kill one."""
    with scans.Target() as target:
        start = target.fresh(SIZE)
        target.put(start, image)
        with scan.open_process(target.pid) as process:
            scanner = process.scanner(
                "int32", [(start, start + SIZE)], alignment=rng.choice([1, 4])
            )
            scanner.initial_scan(2)
            known = scanner.match_count()
            works_of_it = works(process, scanner, start)
            delay = rng.random() * 0.02
            killer = threading.Timer(delay, target.process.kill)
            killer.start()
            end = time.monotonic() + 30
            gone = False
            while not gone:
                work = works_of_it[rng.randrange(len(works_of_it))]
                before = scanner.match_count()
                try:
                    work()
                    counts["finished"] += 1
                except errors.ProcessGoneError as error:
                    require(str(target.pid) in str(error), f"which process? {error}")
                    require(scanner.match_count() == before, "a failed scan changed the matches")
                    counts["interrupted"] += 1
                    gone = not process.alive
                except LookupError:
                    # An edit whose matches are gone already.
                    require(not process.alive, "memory was gone before the process")
                require(time.monotonic() < end, "the death of a target was not noticed")
            killer.join()
            target.process.wait()
            for work in works_of_it[:3]:
                try:
                    work()
                except errors.ProcessGoneError:
                    continue
                require(False, "a scan of a dead process succeeded")
            require(known >= 0 and not process.alive, "it is still alive")
            counts["killed"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--targets", type=int, default=60)
    options = parser.parse_args()
    rng = random.Random(2)
    image = np.random.default_rng(3).integers(0, 6, SIZE // 4, dtype=np.int32)
    counts = {"killed": 0, "finished": 0, "interrupted": 0}
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(options.targets):
        one_target(rng, image, counts)
    left = len(os.listdir("/proc/self/fd")) - files
    require(left == 0, f"{left} descriptors were left open")
    print(
        f"{counts['killed']} targets killed, {counts['finished']} calls finished before,", end=" "
    )
    print(f"{counts['interrupted']} interrupted, 0 hangs")


if __name__ == "__main__":
    main()
