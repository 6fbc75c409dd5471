"""Tensors: one block of memory that NumPy, PyTorch and Arrow see without a copy."""

from __future__ import annotations

import importlib
import math
import pickle
import statistics
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

import gmemx
from gmemx.cli import machine
from gmemx.cli.chapters import tensor_picture
from gmemx.cli.chapters.tensor_terrain import terrain
from gmemx.cli.stage import Stage

TITLE = "tensors: one block of memory, seen by NumPy, PyTorch and Arrow"

# Where the cells that are taken as tensors begin: anywhere would do.
START = 1 << 40
SIDE = 896
# 100 MB of float64.
PICKLED = 12_500_000

DTYPES = (
    *("bool", "int4", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16", "float32", "float64"),
)
# Bits of a float's mantissa with the one that is not stored: rounding to nearest
# errs by at most 2^-p of the value.
PRECISION = {
    "float8_e5m2": 3,
    "float8_e4m3fn": 4,
    "bfloat16": 8,
    "float16": 11,
    "float32": 24,
    "float64": 53,
}


def run(stage: Stage) -> None:
    """Share one tensor, convert, sum and pickle others, then draw what rounding does.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    """
    context = gmemx.GMemContext(stage.seed)
    _shared(stage, context)
    heights = terrain(context, START, SIDE)
    _dtypes(stage, heights)
    _fused_sums(stage, context)
    _pickles(stage, context)
    image = tensor_picture.draw(heights, stage.seed)
    image.save(stage.picture_path("tensor.png"))


def _optional(stage: Stage, *names: str) -> dict[str, ModuleType]:
    """Import what is installed, and say in one line what is not."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.import_module(name)
        except ImportError:
            continue
    missing = [name for name in names if name not in found]
    if missing:
        stage.say(f"Not installed, so left out here: {', '.join(missing)}.")
    return found


def _shared(stage: Stage, context: gmemx.GMemContext) -> None:
    """Write through each library and read through all the others."""
    modules = _optional(stage, "torch", "pyarrow")
    rows, columns = 512, 640
    tensor = context.tensor(START, (rows, columns))
    stage.say(f"{rows} x {columns} cells from address 2^40 on, as one tensor that others look at:")

    # (who, how, its address, read element i, write element i or None)
    array, view = tensor.numpy(), memoryview(tensor)
    address = tensor.__array_interface__["data"][0]
    flat, flat_array = tensor.flatten(), array.reshape(-1)
    flat_view = view.cast("B").cast("d")
    lookers: list[tuple[str, str, int, Callable[[int], float], Any]] = [
        ("gmemx", "Tensor", address, flat.__getitem__, flat.__setitem__),
        ("NumPy", "numpy()", array.ctypes.data, flat_array.__getitem__, flat_array.__setitem__),
        (
            *("Python", "memoryview(t)", np.asarray(view).ctypes.data),
            *(flat_view.__getitem__, flat_view.__setitem__),
        ),
    ]
    if "torch" in modules:
        torched = tensor.to_torch()
        flat_torch = torched.view(-1)
        lookers.append(
            (
                *("PyTorch", "to_torch()", torched.data_ptr()),
                *(lambda i: flat_torch[i].item(), flat_torch.__setitem__),
            )
        )
    if "pyarrow" in modules:
        arrow = modules["pyarrow"].array(flat)
        # Arrow's arrays are never written, so this one only looks on.
        lookers.append(
            (
                *("Arrow", "pyarrow.array(t)", arrow.buffers()[1].address),
                *(lambda i: arrow[i].as_py(), None),
            )
        )
    stage.table(
        ("who", "how", "address of the first element"),
        [(who, how, f"{where:#x}") for who, how, where, _, _ in lookers],
    )
    one = len({where for _, _, where, _, _ in lookers}) == 1
    stage.check("no one has a copy", one, f"{len(lookers)} views, one address")

    expected = context[START : START + rows * columns]
    for number, (who, _, _, _, write) in enumerate(lookers):
        if write is None:
            continue
        place = number * 1_001 + columns
        value = expected[place] = 2.0 + number
        write(place, value)
        seen = [other for other, _, _, read, _ in lookers if read(place) == value]
        others = ", ".join(other for other, *_ in lookers if other != who)
        stage.check(f"written through {who}, seen by {others}", len(seen) == len(lookers))

    part = tensor[100:200:3, ::-2].T
    part.fill(-1.0)
    expected.reshape(rows, columns)[100:200:3, ::-2] = -1.0
    stage.check("a strided view writes the same memory", np.array_equal(array.ravel(), expected))
    stage.check("the context keeps its cells", context.overlay_count == 0, "nothing was written")
    try:
        tensor.close()
    except BufferError:
        refused = True
    else:
        refused = False
    stage.check("close() is refused while others look", refused and not tensor.closed)


def _dtypes(stage: Stage, heights: gmemx.Tensor) -> None:
    """Convert one signal to every element type and back."""
    stage.say(
        f"A terrain of {heights.size:,} heights in [-7.5, 7.5], made of cells, in all 16 dtypes:"
    )
    exact = heights.numpy()
    rows, wrong, not_numpy = [], [], []
    for name in DTYPES:
        small = heights.astype(name)
        back = small.astype("float64").numpy()
        error = np.abs(back - exact)
        rows.append(
            (
                *(name, f"{small.dtype.bits}", f"{small.nbytes / 1e6:.2f}"),
                *(f"{error.max():.2g}", f"{math.sqrt((error**2).mean()):.2g}"),
            )
        )
        if not _within(name, exact, back):
            wrong.append(name)
        # Out of range C leaves unsigned integers undefined, so NumPy's are not compared.
        plain = small.dtype.kind != "u" and name not in tensor_picture.SHOWN[1:]
        if plain and not np.array_equal(exact.astype(name), small.numpy()):
            not_numpy.append(name)
    stage.table(("dtype", "bits", "MB", "largest error", "r.m.s. error"), rows)
    stage.check("every dtype errs as little as its bits allow", not wrong, ", ".join(wrong))
    stage.check("NumPy's conversions give the same", not not_numpy, ", ".join(not_numpy))
    packed = heights.astype("int4")
    stage.check(
        "int4 takes half a byte an element",
        packed.nbytes * 2 == heights.size,
        f"{packed.nbytes:,} bytes for {heights.size:,} elements",
    )


def _within(name: str, exact: np.ndarray, back: np.ndarray) -> bool:
    """Whether values came back as near as the dtype allows."""
    kind = gmemx.dtype(name).kind
    if kind == "b":
        return np.array_equal(back, exact != 0.0)
    if kind == "u":
        return np.array_equal(back, np.trunc(exact.clip(min=0.0)))
    if kind == "i":
        return np.array_equal(back, np.trunc(exact))
    # Below the smallest normal number the error is half a step of that.
    least = {"float8_e4m3fn": 2.0**-10, "float8_e5m2": 2.0**-17, "float16": 2.0**-25}
    bound = np.maximum(np.abs(exact) * 2.0 ** -PRECISION[name], least.get(name, 0.0))
    return bool((np.abs(back - exact) <= bound).all())


def _fused_sums(stage: Stage, context: gmemx.GMemContext) -> None:
    """Add cells up without storing them, beside a tensor that is filled and then summed."""
    n = 1 << (22 if stage.quick else 24)
    rounds = 3 if stage.quick else 7
    stage.say(
        f"The sum of {n:,} cells: made and added up at once, or stored as "
        f"{n * 8 / 1e6:.0f} MB and then summed; medians of {rounds} rounds in turn:"
    )
    buffer = gmemx.empty(n)
    most = max(2, machine.cores())

    def fused(threads: int) -> float:
        return context.sum(START, n, threads=threads)

    def filled(threads: int) -> float:
        context.fetch_into(START, buffer, threads=threads)
        return buffer.sum(threads=threads)

    ways = {
        (label, threads): call
        for threads in (1, most)
        for label, call in (("ctx.sum", fused), ("fetch_into, then sum", filled))
    }
    seconds: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    sums: dict[tuple[str, int], float] = {}
    with stage.progress("summing", rounds + 1) as advance:
        for turn in range(rounds + 1):
            for way, call in ways.items():
                began = time.perf_counter()
                sums[way] = call(way[1])
                # The first use touches fresh memory and builds tables.
                if turn:
                    seconds[way].append(time.perf_counter() - began)
            advance(1)
    rows = []
    for (label, threads), measured in seconds.items():
        rate = n / statistics.median(measured)
        name = f"{label}, {threads} thread{'s' * (threads > 1)}"
        memory = 0 if label == "ctx.sum" else buffer.nbytes
        rows.append((name, f"{memory / 1e6:.0f}", f"{rate / 1e6:,.0f}", f"{rate * 8 / 1e9:.1f}"))
    stage.table(("sum", "MB stored", "M cells/s", "GB/s of cells"), rows)

    fused_one, fused_most = sums["ctx.sum", 1], sums["ctx.sum", most]
    stage.check("one thread and several give the same bits", fused_one == fused_most)
    stored = buffer.sum()
    near = abs(fused_one - stored) <= 1e-13 * stored
    stage.check("the sum of what was stored is the same", near, f"{fused_one:.6f}")
    some = 1 << 18
    true = math.fsum(context[START : START + some].tolist())
    error = abs(context.sum(START, some) - true) / true
    stage.check(f"{some:,} cells against math.fsum", error < 1e-15, f"off by {error:.1e}")
    fork = context.fork()
    fork[START + 5] = 1000.5
    change = fork.sum(START, 100) - context.sum(START, 100)
    expected = 1000.5 - context[START + 5]
    stage.check("written cells count", math.isclose(change, expected, rel_tol=1e-12))


def _pickles(stage: Stage, context: gmemx.GMemContext) -> None:
    """Pickle 100 MB beside the stream and within it."""
    tensor = context.tensor(START, PICKLED)
    stage.say(f"Pickling {tensor.nbytes / 1e6:.0f} MB, out of band and in the stream:")
    rows = []
    restored = {}
    for name in ("out of band", "in the stream"):
        buffers: list[pickle.PickleBuffer] = []
        callback = buffers.append if name == "out of band" else None
        began = time.perf_counter()
        stream = pickle.dumps(tensor, protocol=5, buffer_callback=callback)
        dumped = time.perf_counter()
        restored[name] = pickle.loads(stream, buffers=buffers)
        loaded = time.perf_counter()
        rows.append(
            (
                *(name, f"{len(stream):,}"),
                *(f"{(dumped - began) * 1e3:,.2f}", f"{(loaded - dumped) * 1e3:,.2f}"),
            )
        )
    stage.table(("pickle, protocol 5", "bytes of stream", "ms to dump", "ms to load"), rows)
    for name, copy in restored.items():
        stage.check(f"the same values back, {name}", copy.equal(tensor))
    place, original = (
        some.__array_interface__["data"][0] for some in (restored["out of band"], tensor)
    )
    stage.check("out of band nothing was copied", place == original, f"still at {place:#x}")
