"""Pools whose control segment is corrupted: errors, and never a signal or a hang.

``fuzz.c`` does it: headers, process table, tickets, hints, slots, block map, before the pool
is opened, while it is used, and all the while by another process; files that are cut off,
too long, random or no files at all. A header that is not what it was is always refused.
"""

import argparse
import itertools
import os
import random
import re
import subprocess
import tempfile
import time
from collections import Counter

from pool_faults.stage import BrokenPromiseError, Shm, compiled


def run(program, shm, seed, first, cases):
    """Share the cases out to as many processes as there are cores; the sums they print."""
    lanes = min(os.cpu_count() or 1, 8, cases)
    ends = [first + cases * lane // lanes for lane in range(lanes + 1)]
    running = [
        subprocess.Popen(
            [str(program), shm.name(f"fuzz{lane}"), str(seed), str(begin), str(end - begin)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for lane, (begin, end) in enumerate(itertools.pairwise(ends))
    ]
    printed = [process.communicate() for process in running]
    for process, (_, errors) in zip(running, printed, strict=True):
        if process.returncode != 0:
            raise BrokenPromiseError(f"fuzz ended with {process.returncode}:\n{errors}")
    # Each line has the same words in all of them, but not the same numbers.
    sums = Counter()
    for out, _ in printed:
        for line in out.splitlines():
            what, _, figures = line.rpartition(":")
            for figure, word in re.findall(r"(\d+) ([a-z][a-z ]*)", figures):
                sums[what.strip(), word.strip()] += int(figure)
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--long", action="store_const", dest="cases", const=2_000_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--first", type=int, default=0, help="the first case, to see one again")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    shm = Shm()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled("fuzz.c", folder)
        began = time.monotonic()
        sums = run(program, shm, seed, options.first, options.cases)
    took = time.monotonic() - began
    regions, broken = sums.pop(("", "corrupted regions")), sums.pop(("", "signals or hangs"))
    print(f"{regions} corrupted regions, {broken} signals or hangs, {took:.0f} s")
    for what in dict.fromkeys(what for what, _ in sums):
        print(f"{what:>20}: {sums[what, 'opened']} opened, {sums[what, 'refused']} refused")
    shm.require_clean()
    print("/dev/shm is clean" + shm.remark())


if __name__ == "__main__":
    main()
