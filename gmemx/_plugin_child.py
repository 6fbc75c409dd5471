"""The process that an isolated plugin runs in, and how the two talk to each other.

Control goes through a socket, as JSON: a request is ``[number, word, ...]``, the answer to it
``[number, True, ...]`` or ``[number, False, kind, text, code]``. Messages that the plugin logs come
in between, as ``["log", level, source, text]``. What a call carries lies in buffers of a pool
that both processes share: a request at ``[index, size]``, held until it was answered, an answer
at ``[handle, ticket, size]``, where whoever claims the ticket frees it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

from gmemx import errors
from gmemx import pool as pools
from gmemx._plugin_types import PluginConfig
from gmemx.errors import GmemxError, PluginException, PluginInternalError
from gmemx.plugin import NativePlugin, load
from gmemx.pool import BufferGuard, BufferPool

Place = list[int]

# Seconds in which a buffer has to become free; a pool has more of them than calls run at once.
PATIENCE = 10.0
# What a process ends with that was told to, or that nobody needs any more.
DONE = 0


# ---- what lies in the pool ------------------------------------------------------------


def put(pool: BufferPool, *parts: memoryview) -> BufferGuard | None:
    """Copies bytes into a buffer; None where there are none."""
    size = sum(part.nbytes for part in parts)
    if size == 0:
        return None
    guard = pool.acquire_cpu(size, PATIENCE)
    with memoryview(guard) as room:
        at = 0
        for part in parts:
            room[at : at + part.nbytes] = part
            at += part.nbytes
    return guard


def request_at(pool: BufferPool, place: Place) -> memoryview:
    """The bytes of a request, which its sender holds."""
    index, size = place
    return memoryview(pool.get(index) if size else b"")


def sent(pool: BufferPool, *parts: memoryview) -> Place:
    """Where an answer lies."""
    guard = put(pool, *parts)
    if guard is None:
        return [0, 0, 0]
    with guard:
        handle = guard.handle.value
        return [handle, pools._send(pool, handle), guard.size]


def answer_at(pool: BufferPool, place: Place) -> memoryview:
    """The bytes of an answer, which last as long as they are looked at."""
    handle, ticket, size = place
    return memoryview(pools._claim(pool, handle, ticket, False) if size else b"")


def rows(memory: memoryview, sizes: list[int]) -> list[memoryview]:
    """Pieces that lie one behind the other."""
    ends = 0
    return [memory[(start := ends) : (ends := start + size)] for size in sizes]


# ---- failures -------------------------------------------------------------------------


def told(error: BaseException) -> list[Any]:
    """An exception on its way."""
    if isinstance(error, PluginException):
        return [type(error).__name__, error.message, error.error_code]
    text = f"{type(error).__name__}: {error}"
    return [PluginInternalError.__name__, text, PluginInternalError.error_code]


def raised(kind: str, text: str, code: int) -> GmemxError:
    """And at the other end."""
    return getattr(errors, kind, PluginException)(text, code)


# ---- the child ------------------------------------------------------------------------


class Child:
    """Does what it is told until nobody tells it anything any more."""

    def __init__(self, connection: Connection, pool: BufferPool) -> None:
        self.connection, self.pool = connection, pool
        self.sending = Lock()
        self.plugin: NativePlugin | None = None
        # Calls that came and are not answered; some may not have reached the plugin yet.
        self.calls: set[Future[None]] = set()

    def say(self, *words: Any) -> None:
        # The other process may have ended: then this one is about to.
        with self.sending, suppress(OSError):
            self.connection.send_bytes(json.dumps(words).encode())

    def log(self, level: int, source: str, text: str) -> None:
        self.say("log", int(level), source, text)

    def answer(self, number: int, work: Callable[..., list[Any]], *words: Any) -> None:
        try:
            found = work(*words)
        except BaseException as error:
            self.say(number, False, *told(error))
        else:
            self.say(number, True, *found)

    def run(self, parent: int) -> None:
        number, _, path, config, logs, concurrency = json.loads(self.connection.recv_bytes())
        try:
            self.plugin = load(path, PluginConfig(**config), self.log if logs else False)
        except BaseException as error:
            self.say(number, False, *told(error))
            return
        self.say(number, True, self.plugin.has_binary_transport)
        # What is asked in between must not wait until a call has ended.
        calls = ThreadPoolExecutor(concurrency, "gmemx-plugin-call")
        questions = ThreadPoolExecutor(4, "gmemx-plugin-question")
        watched = [self.connection.fileno(), os.pidfd_open(parent)]
        if os.getppid() != parent:
            return
        while self.connection in select.select([self.connection, watched[1]], [], [])[0]:
            try:
                number, word, *rest = json.loads(self.connection.recv_bytes())
            except (EOFError, OSError):
                return
            if word == "end":
                return
            is_call = word in ("call", "raw", "batch")
            workers = calls if is_call else questions
            future = workers.submit(self.answer, number, getattr(self, f"do_{word}"), *rest)
            if is_call:
                self.calls.add(future)
                future.add_done_callback(self.calls.discard)

    # ---- calls ----------------------------------------------------------------

    def do_call(self, tag: str, place: Place) -> list[Any]:
        with request_at(self.pool, place) as request:
            answer = self.plugin.call(tag, request)
        return [sent(self.pool, memoryview(answer.encode()))]

    def do_raw(self, message: int, place: Place) -> list[Any]:
        with request_at(self.pool, place) as request:
            answer = self.plugin.call_raw(message, request)
        return [sent(self.pool, memoryview(answer))]

    def do_batch(self, message: int, place: Place, sizes: list[int]) -> list[Any]:
        with request_at(self.pool, place) as requests:
            answers = self.plugin.call_batch(message, rows(requests, sizes), return_exceptions=True)
        found = [told(each) if isinstance(each, Exception) else len(each) for each in answers]
        good = [memoryview(each) for each in answers if not isinstance(each, Exception)]
        return [sent(self.pool, *good), found]

    # ---- questions ----------------------------------------------------------------

    def do_get(self, name: str) -> list[Any]:
        return [int(getattr(self.plugin, name))]

    def do_level(self, level: int) -> list[Any]:
        self.plugin.set_log_level(level)
        return []

    def do_flush(self, timeout: float | None) -> list[Any]:
        return [self.plugin.flush_logs(timeout)]

    def do_shutdown(self, timeout: float) -> list[Any]:
        # First what came before this and has not reached the plugin, which would refuse it.
        begun = time.monotonic()
        left = timeout
        while len(self.calls) > self.plugin.in_flight and left > 0:
            time.sleep(0.001)
            left = max(0.0, begun + timeout - time.monotonic())
        return [self.plugin.shutdown(left)]


def main(socket: int, control: int, data: int, parent: int) -> None:
    """What the process does; it ends with the one that started it."""
    # Ctrl-C is meant for the other one, which shuts this one down.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pool = BufferPool.from_descriptors(control, data)
    child = Child(Connection(socket), pool)
    try:
        child.run(parent)
    finally:
        # Whatever still runs in the plugin is not waited for.
        os._exit(DONE)
