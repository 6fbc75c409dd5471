"""Scans of a process that maps, protects and unmaps wildly: no crash, no lie, nothing lost.

In a range that threads of the target churn, any page may come and go at any moment. Around it
lies memory that stays: what is in there must be found by every scan, and what a scan says it
saw in the wild part must be zeros or be reported.
"""

import argparse
import random
import time

import numpy as np
import scans
from pool_faults.stage import require

from gmemx import scan

WILD_PAGES, THREADS = 2048, 3
MARK = 0x5CA1_AB1E_0DDB_A115


def lay_out(target):
    """Marks, the wild range, marks: the start and size of all, and where the marks are."""
    wild = WILD_PAGES * scans.PAGE
    calm = 64 * scans.PAGE
    start = target.fresh(wild + 2 * calm)
    places = []
    for offset in (0, calm + wild):
        values = np.full(calm // 8, 7, np.uint64)
        values[::100] = MARK
        target.put(start + offset, values)
        places += (start + offset + np.flatnonzero(values == MARK) * 8).tolist()
    target.ask("churn", start + calm, wild, THREADS)
    return start, wild + 2 * calm, start + calm, wild, places


class Counts:
    """What happened."""

    def __init__(self):
        self.scans = self.skipped = self.dropped = self.reads = self.short = 0


def scan_once(process, area, places, rng, counts):
    """One session: a first scan and some steps, all in the midst of it."""
    start, size, wild, wild_size = area
    calm_only = rng.randrange(4) == 0
    regions = list(process.regions(start=start, end=start + size, permissions="r"))
    if rng.randrange(2):
        regions = [(start, start + size)]
    options = {"threads": rng.choice([1, 2, 4])}
    if rng.randrange(3) == 0:
        options["stop"] = True
    scanner = process.scanner("uint64", regions, alignment=rng.choice([8, 8, 1]))
    scanner.initial_scan(MARK, **options)
    require(scanner.addresses().tolist() == places, "a mark in calm memory was not found")
    counts.skipped += len(scanner.skipped)
    require(
        all(wild <= s.start and s.end <= wild + wild_size for s in scanner.skipped),
        lambda: f"calm memory was reported as skipped: {scanner.skipped}",
    )
    scanner.filter_unchanged()
    require(scanner.addresses().tolist() == places, "a mark was lost by a filter")
    hits = process.find(MARK.to_bytes(8, "little"), regions, **options)
    require(hits.tolist() == places, "a mark was not found as a pattern")
    counts.scans += 3
    if calm_only:
        return
    # Everything, the wild part included: what is there is zero, and may be gone the next time.
    everything = process.scanner("uint64", [(start, start + size)])
    count = everything.initial_scan(0, compare="ne", **options)
    require(count == 2 * 64 * scans.PAGE // 8, f"{count} values are not zero")
    before = everything.initial_scan(**options)
    for step in (everything.filter_unchanged, everything.rescan):
        after = step(**options)
        require(after <= before, "matches came from nowhere")
        counts.dropped += before - after
        before = after
    held = np.isin(np.array(places, np.uint64), everything.addresses())
    require(held.all(), "a calm value was dropped")
    values = everything.values()
    require(set(np.unique(values).tolist()) <= {0, 7, MARK}, "a value that was never there")
    counts.scans += 4
    for _ in range(50):
        address = wild + rng.randrange(wild_size)
        length = rng.randrange(1, 40_000)
        got = process.read(address, length, partial=True)
        counts.reads += 1
        counts.short += len(got) < length
        inside = got[: max(0, wild + wild_size - address)]
        require(not any(inside), "wild memory was not zero")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scans", type=int, default=200)
    options = parser.parse_args()
    counts, rng, began = Counts(), random.Random(1), time.monotonic()
    with scans.Target() as target, scan.open_process(target.pid) as process:
        start, size, wild, wild_size, places = lay_out(target)
        while counts.scans < options.scans:
            scan_once(process, (start, size, wild, wild_size), places, rng, counts)
        (turns,) = target.ask("turns")
        require(target.state() not in "Tt", "the target was left stopped")
    took = time.monotonic() - began
    print(
        f"{counts.scans} scans while the target changed its mappings {turns} times ({took:.0f} s)"
    )
    print(f"{counts.skipped} ranges skipped, {counts.dropped} matches dropped,", end=" ")
    print(f"{counts.short} short reads of {counts.reads}, 0 marks lost")


if __name__ == "__main__":
    main()
