"""The process of an isolated plugin, seen from the one that uses it."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any

from gmemx._plugin_child import raised
from gmemx._plugin_logs import _is_delivering, _tell
from gmemx.errors import InvalidStateError, PluginException, PluginInternalError
from gmemx.pool import BufferGuard, BufferPool

# The child finds this very package, however it was found here.
PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from gmemx._plugin_child import main
main(*map(int, sys.argv[2:]))
"""

# What the core says of an instance that is shut down, and what is said of a process here.
REFUSED = "the plugin is shut down"
# Seconds that a process has to end in when it was told to.
PATIENCE = 2.0

ALIVE: set[PluginProcess] = set()


class PluginProcess:
    """One process with one plugin in it, and the calls that are under way."""

    def __init__(
        self,
        pool: BufferPool,
        path: str,
        config: dict[str, Any],
        callback: Callable[..., object] | bool | None,
        concurrency: int,
    ) -> None:
        self.pool, self.path, self.callback = pool, path, callback
        self.owner = os.getpid()
        self.numbers = itertools.count(1)
        self.pending: dict[int, tuple[Future[Any], BufferGuard | None, Callable[..., Any]]] = {}
        self.sending = Lock()
        # How it ended: the kind of error and its text.
        self.verdict: tuple[type[PluginException], str] | None = None
        self.told_to_end = False
        self.over = Event()
        self.start()
        logs = callback is not False
        if logs:
            self.messages: SimpleQueue[Any] = SimpleQueue()
            self.deliverer = Thread(target=self.deliver, name="gmemx-plugin-logs", daemon=True)
            self.deliverer.start()
        self.reader = Thread(target=self.read, name="gmemx-plugin-reader", daemon=True)
        self.reader.start()
        try:
            start = self.ask("start", path, config, logs, concurrency)
            (self.has_binary_transport,) = start.result()
        except BaseException:
            self.end()
            raise

    def start(self) -> None:
        if not sys.executable:
            raise InvalidStateError("an isolated plugin needs sys.executable, which is not known")
        ours, theirs = socket.socketpair()
        descriptors = (theirs.fileno(), *self.pool.descriptors)
        path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])
        numbers = map(str, (*descriptors, os.getpid()))
        with theirs:
            try:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, path, *numbers],
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                )
            except BaseException:
                ours.close()
                raise
        # The socket is to be shut down while the connection, on a descriptor of its own, is read.
        self.socket, self.connection = ours, Connection(os.dup(ours.fileno()))
        ALIVE.add(self)

    def check_owner(self) -> None:
        if os.getpid() != self.owner:
            raise InvalidStateError(
                "the plugin was loaded before this process was forked: load it again in the child"
            )

    # ---- asking ---------------------------------------------------------------

    def ask(
        self,
        word: str,
        *rest: Any,
        guard: BufferGuard | None = None,
        make: Callable[..., Any] = lambda *found: found,
    ) -> Future[Any]:
        """Sends a request; what `make` makes of the answer. `guard` is held until it comes."""
        self.check_owner()
        if _is_delivering():
            raise InvalidStateError("a plugin cannot be called from a log callback")
        number, future = next(self.numbers), Future()
        text = json.dumps((number, word, *rest)).encode()
        try:
            with self.sending:
                # Counted as in flight and sent at once: no shutdown comes in between.
                self.pending[number] = (future, guard, make)
                self.connection.send_bytes(text)
        except OSError:
            # It has just ended; the reader finds out how.
            self.over.wait(PATIENCE)
        if self.verdict is not None:
            self.fail_all()
        return future

    # ---- what comes back, on a thread of its own ------------------------------

    def read(self) -> None:
        with suppress(EOFError, OSError, ValueError):
            while True:
                number, *words = json.loads(self.connection.recv_bytes())
                if number == "log":
                    self.messages.put(words)
                else:
                    self.settle(number, *words)
        self.bury()

    def settle(self, number: int, good: bool, *words: Any) -> None:
        future, guard, make = self.pending.pop(number, (None, None, None))
        if guard is not None:
            guard.close()
        if future is None:
            return
        try:
            # Also where nobody waits any more: what lies in the pool is to be freed.
            found = make(*words) if good else None
            error = None if good else raised(*words)
        except Exception as failure:
            error = failure
        if not future.set_running_or_notify_cancel():
            return
        if error is None:
            future.set_result(found)
        else:
            future.set_exception(error)

    def bury(self) -> None:
        """The process has ended, or its end of the socket is closed: then it is about to."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if self.told_to_end:
            self.verdict = (InvalidStateError, REFUSED)
        else:
            self.verdict = (PluginInternalError, how_it_ended(status))
        with self.sending:
            self.connection.close()
        self.socket.close()
        ALIVE.discard(self)
        if self.callback is not False:
            self.messages.put(None)
        self.over.set()
        self.fail_all()

    def fail_all(self) -> None:
        while self.pending:
            with suppress(KeyError):
                future, guard, _ = self.pending.popitem()[1]
                if guard is not None:
                    guard.close()
                if future.set_running_or_notify_cancel():
                    kind, text = self.verdict
                    future.set_exception(kind(text))

    # ---- logs, on another -----------------------------------------------------

    def deliver(self) -> None:
        while (words := self.messages.get()) is not None:
            if isinstance(words, Event):
                words.set()
                continue
            level, source, text = words
            _tell(self.callback, self.path, level, source.encode(), text.encode())

    def flush(self, timeout: float | None) -> bool:
        """Waits until what has come so far was delivered."""
        if self.callback is False:
            return True
        if _is_delivering():
            return False
        if not self.over.is_set():
            here = Event()
            self.messages.put(here)
            while not here.wait(PATIENCE if timeout is None else timeout):
                if timeout is not None:
                    return False
                if self.over.is_set():
                    break
            else:
                return True
        # What was left is delivered when the thread ends.
        self.deliverer.join(timeout)
        return not self.deliverer.is_alive()

    # ---- the end of it --------------------------------------------------------

    def end(self) -> None:
        """Ends the process, whatever it does; it is waited for by the reader."""
        if os.getpid() != self.owner:
            return
        self.told_to_end = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def join(self, seconds: float = 2 * PATIENCE) -> None:
        """Waits until it has ended."""
        self.over.wait(seconds)


def how_it_ended(status: int) -> str:
    if status >= 0:
        return f"the plugin's process ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"the plugin's process was killed by {name}"


def _end_all() -> None:
    """Before the interpreter ends."""
    left = list(ALIVE)
    for process in left:
        with suppress(Exception):
            process.ask("shutdown", 0.0).result(PATIENCE)
        process.end()
    for process in left:
        process.join()


def _forked() -> None:
    """They are the parent's children, and none of this process."""
    ALIVE.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_forked)
