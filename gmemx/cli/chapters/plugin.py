"""Plugins: a native library out of a bundle that was just signed, and called in every way."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import struct
import tempfile
import time
from pathlib import Path

import numpy as np

from gmemx import plugin
from gmemx.cli.chapters import plugin_picture, plugin_race
from gmemx.cli.stage import Stage

TITLE = "plugins: a native library from a signed bundle, by JSON, bytes, batch and await"

# The handler that computes a row; its request: real, imaginary, step, width, limit.
ROW, REQUEST = 1, "=3d2I"
# The part of the plane that is drawn: its left upper corner and its width.
LEFT, TOP, ACROSS = -2.2, 1.1775, 3.14
# Columns, rows and steps, when quick and when not.
SIZES = {True: (400, 300, 300), False: (1560, 1170, 1500)}


def run(stage: Stage) -> None:
    """Bundle, sign, verify, load and call a plugin.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    """
    with tempfile.TemporaryDirectory(prefix="gmemx-tour-") as name:
        folder = Path(name)
        bundle, key = _bundle(stage, folder)
        with plugin.BundleLoader(bundle, trusted_keys=[key]) as loader:
            library = Path(loader.extract_library(folder / "library"))
            with loader.load() as loaded:
                counts, limit, note = _compute(stage, loaded)
                single, many = plugin_race.race(stage, loaded, library)
        _isolate(stage, library)
    charts = (("one call", single), ("many calls", many))
    plugin_picture.draw(counts, limit, note, charts).save(stage.picture_path("plugin.png"))


def _bundle(stage: Stage, folder: Path) -> tuple[Path, str]:
    """Sign a bundle, and see that nothing else passes for it; its path, and the public key."""
    stage.say("A pair of keys is made, and the package's own example bundled and signed with it:")
    secret, public = plugin.generate_keys()
    _, stranger = plugin.generate_keys()
    path = folder / "mandelbrot-1.0.0.rbp"
    library = shutil.copy(plugin.sample_library(), folder / "libmandelbrot.so")
    libraries = {(plugin.current_platform(), "release"): library}
    plugin.write_bundle(path, name="mandelbrot", version="1.0.0", libraries=libraries, key=secret)
    manifest = plugin.BundleLoader(path, trusted_keys=[public]).manifest
    stage.table(
        ("bundle", "bytes"),
        [(name, f"{size:,}") for name, size in plugin.BundleLoader(path).sizes()],
    )
    stage.check(
        "it is verified with the key that was pinned",
        (manifest.plugin_name, manifest.plugin_version) == ("mandelbrot", "1.0.0"),
    )
    stage.check("another key is refused", _refused(path, stranger))
    data = bytearray(path.read_bytes())
    at = data.find(b"ready to compute rows")
    forged = folder / "forged.rbp"
    data[at if at >= 0 else len(data) // 2] ^= 1
    forged.write_bytes(data)
    stage.check("one bit changed is refused", _refused(forged, public))
    return path, public


def _refused(path: Path, key: str) -> bool:
    try:
        with plugin.BundleLoader(path, trusted_keys=[key]) as loader:
            loader.extract_library()
    except plugin.PluginException:
        return True
    return False


def _compute(stage: Stage, loaded: plugin.NativePlugin) -> tuple[np.ndarray, int, str]:
    """Let it compute rows, by batch and by await; the counts, their limit and what was done."""
    columns, rows, limit = SIZES[stage.quick]
    step = ACROSS / columns
    requests = [
        struct.pack(REQUEST, LEFT, TOP - row * step, step, columns, limit) for row in range(rows)
    ]
    stage.say(f"It computes {rows:,} rows of the Mandelbrot set, a call each:")

    def picture(answers: list[plugin.PluginResponse]) -> np.ndarray:
        return np.stack([np.frombuffer(answer, np.uint16) for answer in answers])

    async def awaited() -> list[plugin.PluginResponse]:
        return await asyncio.gather(*(loaded.call_raw_async(ROW, one) for one in requests))

    began = time.perf_counter()
    batch = picture(loaded.call_batch(ROW, requests))
    middle = time.perf_counter()
    gathered = picture(asyncio.run(awaited()))
    end = time.perf_counter()
    stage.table(
        ("how", "s"),
        [
            ("a batch, on one thread", f"{middle - began:.2f}"),
            (f"awaits, on up to {os.cpu_count()} cores", f"{end - middle:.2f}"),
        ],
    )
    stage.check("batch and awaits give the same", np.array_equal(batch, gathered))
    some = np.s_[rows // 3 :: max(1, rows // 5)]
    expected = _reference(columns, rows, limit, step)[some]
    # The last bit of a product may be rounded otherwise on another processor.
    agree = float((batch[some] == expected).mean())
    stage.check("NumPy gives the same", agree > 0.99, f"{agree:.2%} of the points")
    return gathered, limit, f"{rows:,} awaited calls"


def _reference(columns: int, rows: int, limit: int, step: float) -> np.ndarray:
    """The counts of a few rows; of the others zeros."""
    counts = np.zeros((rows, columns), np.uint16)
    for row in range(rows // 3, rows, max(1, rows // 5)):
        real, imaginary = LEFT + np.arange(columns) * step, TOP - row * step
        x, y = np.zeros(columns), np.zeros(columns)
        for _ in range(limit):
            live = np.flatnonzero(x * x + y * y <= 4)
            if not len(live):
                break
            a, b = x[live], y[live]
            x[live], y[live] = a * a - b * b + real[live], 2 * a * b + imaginary
            counts[row, live] += 1
    return counts


def _isolate(stage: Stage, library: Path) -> None:
    """Let a plugin's process be killed."""
    with plugin.load(library, isolate=True) as isolated:
        echoed = isolated.call("echo", '"in a process of its own"')
        os.kill(isolated.pid, signal.SIGKILL)
        try:
            isolated.call("echo", "1")
            told = ""
        except plugin.PluginException as error:
            told = error.message
    stage.check(
        "a plugin in a process of its own can crash, and is an exception here",
        echoed == '"in a process of its own"' and told,
        told,
    )
