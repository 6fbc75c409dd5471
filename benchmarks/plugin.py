"""Plugins called from Python, against ctypes, cffi, the plugin's own Python package and C.

    python benchmarks/plugin.py [--quick] [--json FILE]

The same plugin answers on all sides: examples/plugins/calculator, built by cargo, or the
library that GMEMX_TEST_PLUGIN names, if it has the same tags and numbers. benchmarks/README.md
says what the rows mean.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from harness import Way, compare, measure
from plugin_sides import ANSWER, RAW, REQUEST, EchoResponseRaw, Setting
from setting import Bench, run

from gmemx.plugin import NativePluginLoader, sample_library

# Calls that are one sample's smallest part, so that a loop of Python's weighs little.
LOOP = 200
BATCH = 1000
AT_ONCE = 1000
ECHO, BYTES = 1, 2
ADD = '{"a": 42, "b": 58}'
TEXT = json.dumps({"message": "x" * 100_000})
# A plugin of the crates that the interface comes from takes 0.3 us for a raw call, the calculator a
# tenth of that: against so little there is no mark.
REAL = 1 if "GMEMX_TEST_PLUGIN" in os.environ else None
# A handler that takes at least this many seconds, for two threads.
WORK = 50e-6


settings: list[Setting] = []


def here(bench: Bench) -> Setting:
    """The setting of this run, made when it is first wanted."""
    if not settings:
        settings.append(Setting(bench))
    return settings[0]


def looped(call: Callable, *arguments: object, n: int = LOOP) -> Callable[[], None]:
    """That many calls in a loop that does nothing else."""

    def work() -> None:
        for _ in repeat(None, n):
            call(*arguments)

    return work


def same(found: object, expected: object, what: str) -> None:
    """Refuse to time what is wrong."""
    if found != expected:
        raise SystemExit(f"{what}: {found!r:.200}, and not {expected!r:.200}")


def raw_calls(bench: Bench) -> None:
    """A binary call of 264 bytes, answered with 268."""
    it = here(bench)
    call, to_bytes, into = it.plugin.call_raw, it.plugin.call_raw_bytes, it.plugin.call_into
    room = bytearray(len(ANSWER))
    same(bytes(memoryview(call(ECHO, RAW))), ANSWER, "call_raw")
    same(into(ECHO, RAW, room), len(ANSWER), "call_into")
    same(bytes(room), ANSWER, "call_into")
    for name, other in (("ctypes", it.ctypes), ("cffi", it.cffi)):
        if other:
            same(other.call_raw(ECHO, RAW), ANSWER, name)
    ways = [
        Way("call_raw", LOOP, looped(call, ECHO, RAW)),
        Way("call_raw_bytes", LOOP, looped(to_bytes, ECHO, RAW)),
        Way("call_into", LOOP, looped(into, ECHO, RAW, room)),
        Way("call_raw, a struct", LOOP, looped(call, ECHO, REQUEST, EchoResponseRaw)),
        Way("isolated", LOOP, looped(it.isolated.call_raw, ECHO, RAW)),
        Way("ctypes", LOOP, looped(it.ctypes.call_raw, ECHO, RAW)),
    ]
    if it.cffi:
        ways.append(Way("cffi", LOOP, looped(it.cffi.call_raw, ECHO, RAW)))
    if it.original:
        original = it.original.call_raw
        same(bytes(original(ECHO, REQUEST, EchoResponseRaw)), ANSWER, "rustbridge")
        ways.append(Way("rustbridge", LOOP, looped(original, ECHO, REQUEST, EchoResponseRaw)))
    if it.native:
        ways.append(Way("C", LOOP, it.native.raw(ECHO, RAW, LOOP)))
    rates = measure(ways, bench.rounds)
    title = "a raw call"

    def row(key: str, ours: str, other: str, mark: float | None = None) -> None:
        bench.rows.append(compare(key, title, rates, ours, other, mark=mark, unit="ns"))

    row("raw_ctypes", "call_raw", "ctypes", 8)
    row("raw_bytes_ctypes", "call_raw_bytes", "ctypes")
    row("raw_into_ctypes", "call_into", "ctypes")
    if it.cffi:
        row("raw_cffi", "call_raw", "cffi")
    if it.original:
        row("raw_original", "call_raw, a struct", "rustbridge")
    if it.native:
        row("raw_c", "call_raw", "C", REAL and 1 / 2)
    row("raw_isolated", "isolated", "ctypes")


def json_calls(bench: Bench) -> None:
    """math.add: from the request's text to the number that is the result."""
    it = here(bench)
    call, typed = it.plugin.call, it.plugin.call_typed
    request, encoded = {"a": 42, "b": 58}, ADD.encode()

    def ours() -> int:
        return typed("math.add", encoded)["result"]

    def ours_loads() -> int:
        return json.loads(call("math.add", ADD))["result"]

    def ours_typed() -> int:
        return typed("math.add", request)["result"]

    def tuned() -> int:
        return it.ctypes.call(b"math.add", ADD)["result"]

    def tuned_typed() -> int:
        return it.ctypes.call(b"math.add", json.dumps(request))["result"]

    ways = {
        "call_typed, JSON": ours,
        "call, json.loads": ours_loads,
        "call_typed, a dict": ours_typed,
        "ctypes": tuned,
        "ctypes, a dict": tuned_typed,
    }
    if it.cffi:
        ways["cffi"] = lambda: it.cffi.call(b"math.add", ADD)["result"]
    if it.original:
        ways["rustbridge"] = lambda: json.loads(it.original.call("math.add", ADD))["result"]
    for name, way in ways.items():
        same(way(), 100, name)
    timed = [Way(name, LOOP, looped(way)) for name, way in ways.items()]
    same(it.ctypes.text(b"math.add", ADD), call("math.add", ADD), "ctypes, as text")
    timed.append(Way("call, as text", LOOP, looped(call, "math.add", ADD)))
    timed.append(Way("ctypes, as text", LOOP, looped(it.ctypes.text, b"math.add", ADD)))
    if it.native:
        timed.append(Way("C", LOOP, it.native.json(b"math.add", ADD.encode(), LOOP)))
    rates = measure(timed, bench.rounds)
    title = "math.add by JSON"

    def row(key: str, ours: str, other: str, mark: float | None = None) -> None:
        bench.rows.append(compare(key, title, rates, ours, other, mark=mark, unit="ns"))

    row("json_ctypes", "call_typed, JSON", "ctypes", 2.5)
    row("json_loads_ctypes", "call, json.loads", "ctypes")
    row("json_typed", "call_typed, a dict", "ctypes, a dict", 2.5)
    row("json_text", "call, as text", "ctypes, as text", 2.5)
    if it.cffi:
        row("json_cffi", "call_typed, JSON", "cffi")
    if it.original:
        row("json_original", "call_typed, JSON", "rustbridge")
    if it.native:
        row("json_c", "call, as text", "C")


def echoes(bench: Bench) -> None:
    """100 KB of text there and back."""
    it = here(bench)
    n, encoded = 10, TEXT.encode()
    expected = json.loads(TEXT)["message"]
    for name, payload in (
        ("call", json.loads(it.plugin.call("echo", TEXT))),
        ("ctypes", it.ctypes.call(b"echo", TEXT)),
    ):
        same(payload["message"], expected, name)
    ways = [
        Way("call", n, looped(it.plugin.call, "echo", TEXT, n=n)),
        Way("ctypes", n, looped(it.ctypes.call, b"echo", TEXT, n=n)),
    ]
    if it.native:
        ways.append(Way("C", n, it.native.json(b"echo", encoded, n)))
    if it.original:
        ways.append(Way("rustbridge", 1, looped(it.original.call, "echo", TEXT, n=1)))
    rates = measure(ways, bench.rounds)
    for key, other, mark in (
        ("echo_c", "C", 1 / 1.2),
        ("echo_ctypes", "ctypes", None),
        ("echo_original", "rustbridge", None),
    ):
        if other in rates:
            bench.rows.append(
                compare(key, "echo of 100 KB", rates, "call", other, mark=mark, unit="ns")
            )


def batches(bench: Bench) -> None:
    """A thousand raw calls at once."""
    it = here(bench)
    requests = [RAW] * BATCH
    same([bytes(memoryview(a)) for a in it.plugin.call_batch(ECHO, requests)], [ANSWER] * BATCH, "")
    ways = [
        Way("call_batch", BATCH, lambda: it.plugin.call_batch(ECHO, requests)),
        Way("call_raw", BATCH, looped(it.plugin.call_raw, ECHO, RAW, n=BATCH)),
    ]
    if it.native:
        ways.append(Way("C", BATCH, it.native.raw(ECHO, RAW, BATCH)))
    rates = measure(ways, bench.rounds)
    title = "1,000 raw calls, each"
    if it.native:
        bench.rows.append(
            compare("batch_c", title, rates, "call_batch", "C", mark=REAL and 1 / 1.4, unit="ns")
        )
    bench.rows.append(compare("batch_one", title, rates, "call_batch", "call_raw", unit="ns"))


def awaiting(bench: Bench) -> None:
    """A thousand calls gathered."""
    it = here(bench)
    plugin = it.plugin

    with asyncio.Runner() if hasattr(asyncio, "Runner") else OldRunner() as runner:
        executor = ThreadPoolExecutor(max_workers=4)

        def gathered(make: Callable) -> Callable[[], None]:
            async def main() -> None:
                loop = asyncio.get_running_loop()
                await asyncio.gather(*[make(loop) for _ in range(AT_ONCE)])

            return lambda: runner.run(main())

        def hop(call: Callable, *arguments: object) -> Callable:
            async def one(loop: asyncio.AbstractEventLoop) -> object:
                return await loop.run_in_executor(executor, call, *arguments)

            return one

        for key, title, ours, theirs in (
            (
                "await_json",
                "math.add gathered, each",
                lambda loop: plugin.call_async("math.add", ADD),
                hop(plugin.call, "math.add", ADD),
            ),
            (
                "await_raw",
                "raw calls gathered, each",
                lambda loop: plugin.call_raw_async(ECHO, RAW),
                hop(plugin.call_raw, ECHO, RAW),
            ),
        ):
            rates = measure(
                [
                    Way("gathered", AT_ONCE, gathered(ours)),
                    Way("run_in_executor", AT_ONCE, gathered(theirs)),
                ],
                bench.rounds,
            )
            bench.rows.append(
                compare(key, title, rates, "gathered", "run_in_executor", mark=5, unit="ns")
            )
        executor.shutdown()


class OldRunner:
    """As asyncio.Runner, which Python 3.10 has not."""

    def __enter__(self) -> OldRunner:
        self.loop = asyncio.new_event_loop()
        return self

    def run(self, main: object) -> object:
        return self.loop.run_until_complete(main)

    def __exit__(self, *_: object) -> None:
        self.loop.close()


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def threads(bench: Bench) -> None:
    """Two threads that call a handler of 50 microseconds."""
    plugin = NativePluginLoader.load(sample_library())
    width = 1
    while True:
        # Points of the Mandelbrot set, so that each takes all its steps.
        request = struct.pack("=3d2I", -0.1, 0.0, 1e-6, width, 1000)
        if min(_seconds(looped(plugin.call_raw, 1, request, n=20)) for _ in range(9)) / 20 >= WORK:
            break
        width += max(1, width // 8)
    # To start a thread takes as long as some calls, which are not to be seen.
    each = 5 * LOOP

    def twofold() -> None:
        other = threading.Thread(target=looped(plugin.call_raw, 1, request, n=each))
        other.start()
        looped(plugin.call_raw, 1, request, n=each)()
        other.join()

    rates = measure(
        [
            Way("two threads", 2 * each, twofold),
            Way("one thread", each, looped(plugin.call_raw, 1, request, n=each)),
        ],
        bench.rounds,
    )
    bench.rows.append(
        compare(
            "threads", "handlers of 50 us", rates, "two threads", "one thread", mark=1.7, unit="ns"
        )
    )
    plugin.shutdown()


def loading(bench: Bench) -> None:
    """Loaded and shut down."""
    it = here(bench)

    def ours() -> None:
        NativePluginLoader.load(it.path).shutdown()

    ways = [Way("load, shutdown", 1, ours)]
    if it.original:
        from rustbridge.native import NativePluginLoader as OriginalLoader

        ways.append(Way("rustbridge", 1, lambda: OriginalLoader.load(it.path).shutdown()))
    else:
        bench.skipped["load_original"] = "rustbridge is not installed"
        return
    rates = measure(ways, bench.rounds)
    bench.rows.append(
        compare("load_original", "a life", rates, "load, shutdown", "rustbridge", unit="ns")
    )


GROUPS = (raw_calls, json_calls, echoes, batches, awaiting, threads, loading)


def main() -> int:
    try:
        return run(__doc__, GROUPS)
    finally:
        for made in settings:
            made.close()


if __name__ == "__main__":
    sys.exit(main())
