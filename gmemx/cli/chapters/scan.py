"""The scanner: a value found in another process, held still, and found again in the next run."""

from __future__ import annotations

import time
from collections.abc import Callable

from gmemx import scan
from gmemx.cli.chapters import scan_picture, scan_race
from gmemx.cli.chapters.scan_picture import Step, Story
from gmemx.cli.chapters.scan_target import MARKER, Target
from gmemx.cli.output import amount
from gmemx.cli.stage import Stage

TITLE = "a scanner: a counter found in another process, held still, and followed by pointers"

# The block of random numbers in the process, when quick and when not, and what is hidden in it.
SIZES = {True: 64 << 20, False: 512 << 20}
HITS, VALUE = 1000, 1_234_567_890
# How often the process is let count before one scan for what rose. Few enough for a counter
# below 257: of larger numbers Python makes objects, which are copies of it.
RISES = (3, 5, 4, 6)
# Seconds in which the counter is watched: counting, held still, counting again.
WATCHED = {True: 0.25, False: 1.0}


def run(stage: Stage) -> None:
    """Find, hold and follow a counter in a process that is started for this, then measure.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    """
    size = SIZES[stage.quick]
    with Target(size, HITS, VALUE, stage.seed) as target, scan.open_process(target.pid) as process:
        story = _find(stage, process, target)
        story.samples = _hold(stage, process, target, story.address)
        _follow(stage, process, target, story.address)
        entries = scan_race.race(stage, process, target, size, VALUE)
        stage.check("the process ran on all the while", process.alive)
    image = scan_picture.draw(story, entries)
    image.save(stage.picture_path("scan.png"))


def _find(stage: Stage, process: scan.Process, target: Target) -> Story:
    """Narrow all numbers of the process to one."""
    regions = process.regions(permissions="rw")
    stage.say(
        f"Process {target.pid} counts something. Where? It has {amount(regions.size)} of memory "
        f"that it can write, in {len(regions)} regions. Nothing is known of the counter but that "
        "it grows:"
    )
    scanner = process.scanner("int32", regions)
    steps: list[Step] = []

    def take(name: str, scan: Callable[[], int]) -> None:
        began = time.perf_counter()
        count = scan()
        seconds = time.perf_counter() - began
        # Too many to be drawn one by one while all are in it.
        kept = scanner.addresses() if steps else None
        steps.append(Step(name, count, seconds, kept))

    with stage.progress("scanning", len(RISES) + 3) as advance:
        take("all there are, remembered", scanner.initial_scan)
        advance(1)
        for rise in RISES:
            target.step(rise)
            take("has increased", scanner.filter_increased)
            advance(1)
        for name in "abc":
            scanner.save_checkpoint(name)
            target.step(2)
        take(
            "rose as much from a to b as from b to c",
            lambda: scanner.filter_checkpoint("a", "b", "c", 1.0),
        )
        advance(1)
        shown = target.step(1)
        take(f"is {shown}, as the process says", lambda: scanner.filter_eq(shown))
        advance(1)

    stage.table(
        ("scan", "int32 left", "ms"),
        [(step.name, f"{step.count:,}", f"{step.seconds * 1e3:,.2f}") for step in steps],
    )
    found = scanner.addresses().tolist()
    stage.check(
        "one is left, and it is the counter",
        found == [target.count_at],
        ", ".join(f"{address:#x}" for address in found[:3]),
    )
    scanner.undo()
    stage.check("the last scan can be undone", scanner.match_count() == steps[-2].count)
    return Story(target.pid, list(regions), steps, target.count_at)


def _hold(
    stage: Stage, process: scan.Process, target: Target, address: int
) -> list[tuple[float, int, bool]]:
    """Watch the counter while it counts, is held still, and counts again."""
    stage.say("Now it counts by itself, and is held still by writing the same number again:")
    seconds, samples = WATCHED[stage.quick], []
    began = time.perf_counter()

    def watch(held: bool) -> list[int]:
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            samples.append((now - began, int(process.read_value(address, "int32")), held))
            time.sleep(0.001)
        return [value for _, value, was_held in samples if was_held == held]

    target.run()
    free = watch(False)
    value = process.read_value(address, "int32")
    with process.freeze(address, value, "int32", interval=0.0005) as frozen:
        held = watch(True)
        writes = frozen.writes
    watch(False)
    steps = target.pause()
    after = process.read_value(address, "int32")
    stage.table(
        ("counter", "from", "to"),
        [
            ("counting", f"{free[0]:,}", f"{free[-1]:,}"),
            ("held still", f"{min(held):,}", f"{max(held):,}"),
            ("let go", f"{held[-1]:,}", f"{after:,}"),
        ],
    )
    lost = samples[0][1] + steps - after
    stage.check("it stood still", lost > 0 and writes > 0, f"{lost:,} of {steps:,} steps undone")
    stage.check("let go, it counts on", after > held[-1])
    return samples


def _follow(stage: Stage, process: scan.Process, target: Target, address: int) -> None:
    """Find the way to the counter that holds in every run, and take it in a second one."""
    stage.say("The counter lies elsewhere in each run. What leads to it?")
    marker = MARKER.hex(" ").replace("20", "??").replace("75", "7?")
    found = process.find(marker).tolist()
    stage.check(
        "a pattern of bytes with ?? and ? in it is found in front of it",
        address - len(MARKER) in found,
        f"in {len(found)} places in all",
    )
    began = time.perf_counter()
    pointers = process.pointers()
    paths = pointers.paths(address, depth=2, max_offset=64)
    seconds = time.perf_counter() - began
    names = [str(path) for path in paths]
    stage.say(f"{len(paths)} paths from a module, in {seconds:.2f} s: " + ", ".join(names[:3]))
    with Target(1 << 20, 1, VALUE, stage.seed) as second:
        shown = second.step(7)
        with scan.open_process(second.pid) as other:
            good = paths.leading_to(other, second.count_at)
            values = {other.read_value(path.resolve(other), "int32") for path in good}
    stage.check(
        f"in process {second.pid} a path leads to its counter too",
        values == {shown},
        str(good[0]) if good else "",
    )
