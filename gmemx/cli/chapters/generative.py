"""Generative memory: 2^64 cells that cost nothing until they are written."""

from __future__ import annotations

import math
import time

import numpy as np
from PIL import Image, ImageDraw

import gmemx
from gmemx.cli import drawing, machine
from gmemx.cli.chapters import generative_picture
from gmemx.cli.chapters.generative_race import race
from gmemx.cli.formula import vrns16
from gmemx.cli.stage import Stage

TITLE = "generative memory: a virtual array of 2^64 cells"

# (seed, address, value) of the published vectors.
GOLDEN = (
    (42, 0, 0.07779688409536653),
    (42, 1, 0.2894716105507266),
    (0x1337, 0xBEEFCACE, 0.8869011942861773),
    (0, 2**64 - 1, 0.4184358357310931),
)

# Where the bulk reads begin: anywhere would do.
START = 1 << 40
CELLS = 1 << 22
WORD_AT, WORD_SIZE = 1 << 63, 76


def run(stage: Stage) -> None:
    """Show and check one context after the other, then draw what was seen.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    """
    context = gmemx.GMemContext(stage.seed)
    buffer = np.empty(CELLS)
    _single_cells(stage)
    _sweep(stage, context, buffer)
    counts = _uniformity(stage, context, buffer)
    _random_access(stage, context, buffer)
    written = _overlay(stage, context)
    _philox(stage)

    stage.say("The same buffer filled by each in turn, several rounds, medians:")
    entries = race(stage, context, buffer)
    fastest_numpy = max(e.rate for e in entries if e.numpy)
    stage.table(
        ("what", "M cells/s", "GB/s", "vs NumPy's best"),
        [
            (
                e.name,
                f"{e.rate / 1e6:,.1f}",
                f"{e.rate * 8 / 1e9:.2f}",
                f"{e.rate / fastest_numpy:.2f}" if e.sequential else "",
            )
            for e in entries
        ],
    )
    image = generative_picture.draw(context, written, counts, entries)
    image.save(stage.picture_path("generative.png"))


def _single_cells(stage: Stage) -> None:
    stage.say("Every cell has a value before anybody wrote it, the same on every machine:")
    for seed, address, expected in GOLDEN:
        value = gmemx.GMemContext(seed)[address]
        stage.check(f"GMemContext({seed:#x})[{address:#x}]", value == expected, repr(value))


def _sweep(stage: Stage, context: gmemx.GMemContext, buffer: np.ndarray) -> None:
    """Read gigabytes of cells through one small buffer, on one core and on all."""
    chunks = 8 if stage.quick else 128
    # Two even on one core: that both read the same is looked at below.
    most = max(2, machine.cores())
    gigabytes = chunks * buffer.nbytes / 1e9
    stage.say(
        f"Reading {chunks * CELLS:,} cells ({gigabytes:.1f} GB of values) "
        f"through one buffer of {buffer.nbytes / 1e6:.0f} MB:"
    )
    rows, digests = [], []
    for threads in (1, most):
        label = "1 thread" if threads == 1 else f"{threads} threads"
        seconds, digest = 0.0, []
        # Once unmeasured: the first use touches fresh memory and builds tables.
        context.fetch_into(START, buffer, threads=threads)
        with stage.progress(f"reading, {label}", chunks) as advance:
            for chunk in range(chunks):
                began = time.perf_counter()
                context.fetch_into(START + chunk * CELLS, buffer, threads=threads)
                seconds += time.perf_counter() - began
                digest.append(int(np.bitwise_xor.reduce(buffer.view(np.uint64))))
                advance(1)
        rate = chunks * CELLS / seconds
        rows.append((label, f"{seconds:.2f}", f"{rate / 1e6:,.0f}", f"{rate * 8 / 1e9:.2f}"))
        digests.append(digest)
    stage.table(("fetch_into", "seconds", "M cells/s", "GB/s"), rows)
    stage.check("one thread and several read the same cells", digests[0] == digests[1])
    stage.check("nothing was stored", context.overlay_count == 0, "overlay_count is 0")


def _uniformity(stage: Stage, context: gmemx.GMemContext, buffer: np.ndarray) -> np.ndarray:
    """Test the values' distribution; return their histogram.

    The bound is five standard deviations, which an even distribution misses less
    than once in a million seeds.
    """
    stage.say(f"Are {CELLS:,} cells spread evenly over [0, 1]?")
    context.fetch_into(START, buffer)
    n, bins = len(buffer), 256
    counts, _ = np.histogram(buffer, bins=bins, range=(0.0, 1.0))
    mean, variance = float(buffer.mean()), float(buffer.var())
    chi2 = float(((counts - n / bins) ** 2).sum() / (n / bins))
    # (value, expected, standard deviation of the statistic over n even draws)
    statistics = {
        "mean": (mean, 1 / 2, math.sqrt(1 / 12 / n)),
        "variance": (variance, 1 / 12, math.sqrt(1 / 180 / n)),
        f"chi-square, {bins} bins": (chi2, bins - 1, math.sqrt(2 * (bins - 1))),
    }
    for name, (value, expected, deviation) in statistics.items():
        z = (value - expected) / deviation
        detail = f"{value:.6g}, expected {expected:.6g}, {z:+.2f} sigma"
        stage.check(name, abs(z) < 5, detail)
    stage.check("every value in [0, 1]", buffer.min() >= 0.0 and buffer.max() <= 1.0)
    return counts


def _random_access(stage: Stage, context: gmemx.GMemContext, buffer: np.ndarray) -> None:
    """Compare what bulk reads gave with the other ways in. `buffer` holds START on."""
    stage.say("There is no order to read in: any cell, any way, gives the same bits.")
    rng = np.random.default_rng(stage.seed)
    offsets = rng.integers(0, CELLS, 200_000, dtype=np.uint64)
    many = context.fetch_many(offsets + np.uint64(START))
    stage.check("fetch_many, 200,000 random addresses", np.array_equal(many, buffer[offsets]))

    some = offsets[:2_000].tolist()
    single = [context[START + offset] for offset in some]
    stage.check("ctx[i], 2,000 of them", single == buffer[some].tolist())
    stage.check("ctx[a:b]", np.array_equal(context[START : START + 100_000], buffer[:100_000]))

    anywhere = rng.integers(0, 2**64, 2_000, dtype=np.uint64)
    expected = [vrns16(stage.seed, address) for address in anywhere.tolist()]
    found = context.fetch_many(anywhere).tolist()
    stage.check("the formula in plain Python, 2,000 addresses in 2^64", found == expected)


def _word(text: str, size: int) -> np.ndarray:
    """Draw a word as an array of ink, 0 to 1, cropped to its outline."""
    font = drawing.font(size)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    image = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font)
    return np.asarray(image) / 255


def _overlay(stage: Stage, context: gmemx.GMemContext) -> int:
    """Write a word into the middle of the memory; return how many cells that took."""
    columns = generative_picture.COLUMNS
    ink = _word("gmemx", WORD_SIZE)
    row, column = np.nonzero(ink)
    column_at = column + (columns - ink.shape[1]) // 2
    addresses = (row * columns + column_at).astype(np.uint64) + np.uint64(WORD_AT)
    # Above 1, where no generated value lies, so that ink and noise cannot be confused.
    values = 1.0 + ink[row, column]

    stage.say(f'Writing the word "gmemx" at address 2^63, as {len(addresses):,} cells:')
    untouched = context.fetch_many(addresses)
    fork_before = context.fork()
    context.write_many(addresses, values)
    count = len(addresses)
    stage.check("overlay_count", context.overlay_count == count, f"{context.overlay_count:,}")
    stage.check("read back one by one", np.array_equal(context.fetch_many(addresses), values))

    end = WORD_AT + ink.shape[0] * columns
    bulk = context[WORD_AT:end]
    offsets = addresses - np.uint64(WORD_AT)
    stage.check("read back in bulk", np.array_equal(bulk[offsets], values))
    clean = np.delete(bulk, offsets)
    expected = np.delete(gmemx.GMemContext(stage.seed)[WORD_AT:end], offsets)
    stage.check("the cells between are untouched", np.array_equal(clean, expected))

    fork = context.fork()
    stage.check("a fork sees the word", np.array_equal(fork.fetch_many(addresses), values))
    fork.clear()
    stage.check(
        "cleared, the fork is as new", np.array_equal(fork.fetch_many(addresses), untouched)
    )
    stage.check("and the original keeps the word", context.overlay_count == count)
    stage.check("an earlier fork never saw it", fork_before.overlay_count == 0)
    return count


def _philox(stage: Stage) -> None:
    stage.say('generator="philox" is NumPy\'s Philox with random access:')
    count = 1_000_000
    ours = gmemx.GMemContext(stage.seed, generator="philox")
    theirs = np.random.Generator(np.random.Philox(key=stage.seed)).random(count)
    rows = [(str(i), repr(ours[i]), repr(float(theirs[i]))) for i in (0, 1, 2, count - 1)]
    stage.table(("cell", "gmemx", "numpy.random.Philox"), rows)
    stage.check(f"{count:,} cells, element for element", np.array_equal(ours[0:count], theirs))
