"""What a call costs, beside a consumer of the same plugin made of ctypes."""

from __future__ import annotations

import asyncio
import ctypes
import json
import statistics
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gmemx.cli.chapters.timing import Entry
from gmemx.cli.stage import Stage
from gmemx.plugin import NativePlugin

ECHO, ADD = "echo", 2
TEXT = '{"message":"Hello","numbers":[1,2,3]}'
TERMS = (40, 2)


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
        ("error_code", ctypes.c_uint32),
    )


class _Response(ctypes.Structure):
    _fields_ = (
        ("error_code", ctypes.c_uint32),
        ("len", ctypes.c_uint32),
        ("capacity", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
    )


class Consumer:
    """The plugin through ctypes, with the types of all functions declared once.

    Parameters
    ----------
    path : pathlib.Path
        Of the library.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name, result, *arguments in (
            ("plugin_create", pointer),
            ("plugin_init", pointer, pointer, ctypes.c_char_p, size, pointer),
            ("plugin_call", _Buffer, pointer, ctypes.c_char_p, ctypes.c_char_p, size),
            ("plugin_free_buffer", None, ctypes.POINTER(_Buffer)),
            ("plugin_call_raw", _Response, pointer, ctypes.c_uint32, ctypes.c_char_p, size),
            ("rb_response_free", None, ctypes.POINTER(_Response)),
            ("plugin_shutdown", ctypes.c_bool, pointer),
        ):
            function = library[name]
            function.restype, function.argtypes = result, arguments
            setattr(self, f"_{name}", function)
        self._handle = self._plugin_init(self._plugin_create(), b"{}", 2, None)

    def call(self, tag: bytes, text: str) -> str:
        """Call by tag: what is inside the answer's envelope, as JSON."""
        request = text.encode()
        buffer = self._plugin_call(self._handle, tag, request, len(request))
        try:
            envelope = json.loads(ctypes.string_at(buffer.data, buffer.len))
        finally:
            self._plugin_free_buffer(ctypes.byref(buffer))
        return json.dumps(envelope["payload"])

    def call_raw(self, number: int, request: bytes) -> bytes:
        """Call by number: the answer, copied."""
        response = self._plugin_call_raw(self._handle, number, request, len(request))
        try:
            return ctypes.string_at(response.data, response.len)
        finally:
            self._rb_response_free(ctypes.byref(response))

    def close(self) -> None:
        """Shut the plugin down."""
        self._plugin_shutdown(self._handle)


def race(stage: Stage, plugin: NativePlugin, path: Path) -> tuple[list[Entry], list[Entry]]:
    """Measure calls, and check that both sides get the same answers.

    Parameters
    ----------
    stage : Stage
        The tour's side.
    plugin : gmemx.plugin.NativePlugin
        The plugin, loaded.
    path : pathlib.Path
        Of its library, for ctypes.

    Returns
    -------
    list of Entry, list of Entry
        Single calls, and many at once.
    """
    other = Consumer(path)
    request = struct.pack("=2q", *TERMS)
    calls = 500 if stage.quick else 5000
    requests = [request] * calls
    executor = ThreadPoolExecutor()

    async def gathered() -> int:
        return len(await asyncio.gather(*(plugin.call_raw_async(ADD, one) for one in requests)))

    async def executed() -> int:
        loop = asyncio.get_running_loop()
        ways = (loop.run_in_executor(executor, other.call_raw, ADD, one) for one in requests)
        return len(await asyncio.gather(*ways))

    def repeated(call: Callable[..., object], *arguments: object) -> Callable[[], object]:
        def run() -> None:
            for _ in range(calls):
                call(*arguments)

        return run

    ways: dict[str, tuple[Callable[[], object], bool]] = {
        "raw": (repeated(plugin.call_raw, ADD, request), True),
        "raw, ctypes": (repeated(other.call_raw, ADD, request), False),
        "JSON": (repeated(plugin.call, ECHO, TEXT), True),
        "JSON, ctypes and json": (repeated(other.call, b"echo", TEXT), False),
        "a batch of raw calls": (lambda: plugin.call_batch(ADD, requests), True),
        "awaits, gathered": (lambda: asyncio.run(gathered()), True),
        "ctypes in an executor": (lambda: asyncio.run(executed()), False),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    rounds = 3 if stage.quick else 7
    with executor, stage.progress("measuring", rounds + 1) as advance:
        for number in range(rounds + 1):
            for name, (run, _) in ways.items():
                began = time.perf_counter()
                run()
                if number:
                    times[name].append((time.perf_counter() - began) / calls)
            advance(1)
        same = bytes(plugin.call_raw(ADD, request)) == other.call_raw(ADD, request)
        total = struct.unpack("=q", plugin.call_raw(ADD, request))[0]
        texts = json.loads(plugin.call(ECHO, TEXT)) == json.loads(other.call(b"echo", TEXT))
    other.close()
    entries = [
        Entry(name, statistics.median(times[name]), ours) for name, (_, ours) in ways.items()
    ]
    stage.say(f"What a call costs, the median of {rounds} rounds of {calls:,} calls:")
    stage.table(("call", "µs"), [(entry.name, f"{entry.seconds * 1e6:,.2f}") for entry in entries])
    stage.check("both sides get the same answers", same and texts and total == sum(TERMS))
    return entries[:4], entries[4:]
