"""Plugins in processes of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from math import inf
from threading import RLock, Thread
from typing import Any

from gmemx import plugin as plugins
from gmemx._plugin_child import answer_at, put, raised, rows
from gmemx._plugin_exchange import _bytes_of, _checked_id, _checked_tag
from gmemx._plugin_process import REFUSED, PluginProcess
from gmemx._plugin_response import PluginResponse, _over
from gmemx._plugin_typed import decoded, encoded
from gmemx._plugin_types import LifecycleState, LogLevel, PluginConfig, level_of
from gmemx.errors import (
    InitializationFailedError,
    InvalidStateError,
    PluginArgumentError,
    PluginException,
    PluginRangeError,
    PluginTimeoutError,
)
from gmemx.pool import BufferPool

# More answers than a caller keeps at once, who may keep them as long as it likes.
BUFFERS = 1 << 16
# Seconds that a plugin may take to stop, beyond those that its calls may take to end.
STOPPED_WITHIN = 10.0


class IsolatedPlugin:
    """A plugin that runs in a process of its own; otherwise as `NativePlugin`.

    ``load(path, isolate=True)`` gives it. Requests and answers travel through shared memory.
    If the process crashes, all calls under way and all later ones are a `PluginInternalError`
    that tells how it ended, until `restart`.

    Examples
    --------
    >>> from gmemx import plugin
    >>> with plugin.load(plugin.sample_library(), isolate=True) as isolated:
    ...     isolated.call("echo", "[1]"), isolated.pid > 0
    ('[1]', True)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: PluginConfig,
        log_callback: Callable[[LogLevel, str, str], object] | bool | None = None,
        *,
        concurrency: int = 32,
        _pool: BufferPool | None = None,
    ) -> None:
        self._config, self._callback, self._concurrency = config, log_callback, concurrency
        self._path = os.path.abspath(os.fsdecode(path))
        self._pool = _pool or BufferPool.anonymous(BUFFERS)
        self._level: LogLevel | None = None
        self._changing = RLock()
        self._closed = False
        # The last figures of a process that has gone.
        self._last: dict[str, int] = {}
        self._process = self._started(self._path, config)

    def _started(self, path: str, config: PluginConfig) -> PluginProcess:
        return PluginProcess(self._pool, path, config.to_dict(), self._callback, self._concurrency)

    def __del__(self) -> None:
        process = getattr(self, "_process", None)
        if process is not None:
            process.end()

    # ---- calls ----------------------------------------------------------------

    def _begin(
        self,
        word: str,
        name: str | int,
        parts: list[memoryview],
        make: Callable[..., Any],
        *rest: Any,
    ) -> tuple[PluginProcess, Future[Any]]:
        process = self._process
        guard = put(self._pool, *parts)
        place = [0, 0] if guard is None else [guard.meta_index, guard.size]
        try:
            return process, process.ask(word, name, place, *rest, guard=guard, make=make)
        except BaseException:
            if guard is not None:
                guard.close()
            raise

    def _done(self, *work: Any) -> Any:
        while True:
            process, future = self._begin(*work)
            try:
                return future.result()
            except InvalidStateError as error:
                # Another process may have taken its place in between.
                if error.message != REFUSED or process is self._process:
                    raise

    def _text(self, place: list[int]) -> str:
        return bytes(answer_at(self._pool, place)).decode()

    def _response(self, place: list[int]) -> PluginResponse:
        return _over(answer_at(self._pool, place))

    def call(self, tag: str, json: str | bytes) -> str:
        """As `NativePlugin.call`."""
        return self._done("call", _checked_tag(tag), [_bytes_of(json, True)], self._text)

    def call_typed(self, tag: str, request: Any, response_type: Any = None) -> Any:
        """As `NativePlugin.call_typed`."""
        return decoded(self.call(tag, encoded(request)), response_type)

    def call_raw(self, id: int, request: Any, response: Any = None) -> Any:
        """As `NativePlugin.call_raw`; the response lies in shared memory."""
        made = self._done("raw", _checked_id(id), [_bytes_of(request, False)], self._response)
        return plugins._fitted(made, response)

    def call_raw_bytes(self, id: int, request: Any) -> bytes:
        """As `NativePlugin.call_raw_bytes`."""
        return self.call_raw(id, request).tobytes()

    def call_into(self, id: int, request: Any, out: Any) -> int:
        """As `NativePlugin.call_into`."""
        room = memoryview(out)
        if room.readonly or not room.c_contiguous:
            raise PluginArgumentError("out must be writable, contiguous memory")
        with self.call_raw(id, request) as response:
            if len(response) > room.nbytes:
                raise PluginRangeError(
                    f"the response has {len(response)} bytes, and there is room for {room.nbytes}"
                )
            if len(response):
                room.cast("B")[: len(response)] = response
            return len(response)

    def call_batch(
        self, id: int, requests: Iterable[Any], *, return_exceptions: bool = False
    ) -> list[Any]:
        """As `NativePlugin.call_batch`."""
        number, parts = _checked_id(id), _rows_of(requests)
        sizes = [part.nbytes for part in parts]
        found = self._done("batch", number, parts, self._responses, sizes)
        for each in found:
            if isinstance(each, Exception) and not return_exceptions:
                raise each
        return found

    def _responses(self, place: list[int], found: list[Any]) -> list[Any]:
        sizes = [size for size in found if isinstance(size, int)]
        good = iter(rows(answer_at(self._pool, place), sizes))
        return [_over(next(good)) if isinstance(size, int) else raised(*size) for size in found]

    # ---- calls that are awaited -----------------------------------------------

    def call_async(
        self, tag: str, json: str | bytes, *, timeout: float | None = None
    ) -> asyncio.Future[str]:
        """As `NativePlugin.call_async`."""
        data = _bytes_of(json, True)
        return self._awaited(timeout, "call", _checked_tag(tag), [data], self._text)

    def call_raw_async(
        self, id: int, request: Any, *, timeout: float | None = None
    ) -> asyncio.Future[PluginResponse]:
        """As `NativePlugin.call_raw_async`."""
        data = _bytes_of(request, False)
        return self._awaited(timeout, "raw", _checked_id(id), [data], self._response)

    def _awaited(self, timeout: float | None, *work: Any) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        if timeout is not None:
            plugins._seconds(timeout)
        _Awaited(self, future, work).begin()
        if timeout is not None:
            timer = future.get_loop().call_later(timeout, _expire, future, timeout)
            future.add_done_callback(lambda done: timer.cancel())
        return future

    # ---- what it is -----------------------------------------------------------

    def _figure(self, name: str) -> int:
        process = self._process
        if process.verdict is None and not self._closed:
            with suppress(PluginException):
                self._last[name] = process.ask("get", name).result()[0]
        return self._last.get(name, 0)

    @property
    def state(self) -> LifecycleState:
        """What the plugin is doing; FAILED where its process has ended by itself."""
        process = self._process
        if self._closed and (process.told_to_end or process.verdict is None):
            return LifecycleState.STOPPED
        if process.verdict is None:
            with suppress(PluginException):
                return LifecycleState(process.ask("get", "state").result()[0])
        return LifecycleState.FAILED

    @property
    def rejected_request_count(self) -> int:
        """How many calls the plugin refused because it ran too many at once."""
        return self._figure("rejected_request_count")

    @property
    def dropped_log_count(self) -> int:
        """How many messages it logged that found no room."""
        return self._figure("dropped_log_count")

    @property
    def has_binary_transport(self) -> bool:
        """Whether it takes calls by number."""
        return self._process.has_binary_transport

    @property
    def in_flight(self) -> int:
        """How many calls have not been answered."""
        return len(self._process.pending)

    @property
    def closed(self) -> bool:
        """Whether it was told to shut down."""
        return self._closed

    @property
    def path(self) -> str:
        """The library."""
        return self._path

    @property
    def pid(self) -> int:
        """The process that it runs in."""
        return self._process.process.pid

    def __repr__(self) -> str:
        ended = self._process.verdict is not None
        state = "stopped" if self._closed else "failed" if ended else f"process {self.pid}"
        return f"IsolatedPlugin({self._path!r}, {state})"

    # ---- logs -----------------------------------------------------------------

    def set_log_level(self, level: LogLevel | str | int) -> None:
        """As `NativePlugin.set_log_level`."""
        number = level_of(level)
        if not self._closed:
            self._process.ask("level", int(number)).result()
        self._level = number

    def flush_logs(self, timeout: float | None = None) -> bool:
        """As `NativePlugin.flush_logs`."""
        if timeout is not None:
            plugins._seconds(timeout)
        process = self._process
        if process.verdict is None and not self._closed:
            with suppress(PluginException):
                process.ask("flush", timeout).result()
        return process.flush(timeout)

    # ---- the end of it --------------------------------------------------------

    def _seconds(self, timeout: float | None) -> float:
        if timeout is None:
            return self._config.to_dict()["shutdown_timeout_ms"] / 1000
        plugins._seconds(timeout)
        return timeout

    def shutdown(self, timeout: float | None = None) -> bool:
        """As `NativePlugin.shutdown`; a plugin that does not end is killed a while later."""
        seconds = self._seconds(timeout)
        self._process.check_owner()
        with self._changing:
            self._closed = True
            return self._stop(self._process, seconds)

    def _stop(self, process: PluginProcess, seconds: float) -> bool:
        if process.verdict is not None:
            return process.told_to_end
        for name in ("rejected_request_count", "dropped_log_count"):
            with suppress(PluginException, TimeoutError, FutureTimeoutError):
                self._last[name] = process.ask("get", name).result(seconds)[0]
        try:
            (clean,) = process.ask("shutdown", seconds).result(seconds + STOPPED_WITHIN)
        except PluginTimeoutError:
            raise
        except (PluginException, TimeoutError, FutureTimeoutError):
            clean = False
        process.end()
        process.join()
        process.flush(seconds)
        return clean

    def close(self) -> None:
        """`shutdown`, as the end of a ``with`` block does it.

        Examples
        --------
        >>> from gmemx import plugin
        >>> isolated = plugin.load(plugin.sample_library(), isolate=True)
        >>> isolated.close()
        >>> isolated.closed
        True
        """
        self.shutdown()

    def __enter__(self) -> IsolatedPlugin:
        if self._closed:
            raise InvalidStateError(REFUSED)
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            self.shutdown()
            return
        # What went wrong inside matters more.
        with suppress(PluginException):
            self.shutdown()

    def restart(self) -> None:
        """Run the plugin in a new process, after a crash or instead of the one that runs.

        Examples
        --------
        >>> from gmemx import plugin
        >>> with plugin.load(plugin.sample_library(), isolate=True) as isolated:
        ...     before = isolated.pid
        ...     isolated.restart()
        ...     isolated.pid == before
        False
        """
        self._process.check_owner()
        with self._changing:
            old, made = self._process, self._started(self._path, self._config)
            if self._level is not None:
                made.ask("level", int(self._level)).result()
            self._process, self._closed = made, False
            with suppress(PluginException):
                self._stop(old, self._seconds(None))
            old.end()
            self._pool.reclaim()

    def reload(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        config: PluginConfig | None = None,
        check: Callable[[IsolatedPlugin], object] | None = None,
        timeout: float | None = None,
    ) -> bool:
        """As `NativePlugin.reload`, with a new process."""
        seconds = self._seconds(timeout)
        config = plugins._checked(self._config if config is None else config, check)
        self._process.check_owner()
        with self._changing:
            if self._closed:
                raise InvalidStateError(REFUSED)
            candidate = IsolatedPlugin(
                self._path if path is None else path,
                config,
                self._callback,
                concurrency=self._concurrency,
                _pool=self._pool,
            )
            try:
                if self._level is not None:
                    candidate.set_log_level(self._level)
                if check is not None:
                    check(candidate)
                if candidate.state is not LifecycleState.ACTIVE or self._closed:
                    raise InitializationFailedError(
                        f"{candidate.path} is not active after it was loaded: the old one stays"
                    )
            except BaseException:
                with suppress(PluginException):
                    candidate.shutdown(seconds)
                raise
            old, self._process = self._process, candidate._process
            self._path, self._config = candidate._path, candidate._config
            # It is this one's now, and not ended with the candidate.
            del candidate._process
            try:
                return self._stop(old, seconds)
            except PluginTimeoutError:
                Thread(target=_stop_later, args=(old,), daemon=True).start()
                return False


class _Awaited:
    """A call whose answer comes on another thread than the one that waits for it."""

    def __init__(
        self, plugin: IsolatedPlugin, future: asyncio.Future[Any], work: tuple[Any, ...]
    ) -> None:
        self.plugin, self.future, self.work = plugin, future, work

    def begin(self) -> None:
        try:
            self.process, answer = self.plugin._begin(*self.work)
        except PluginException as error:
            self.future.set_exception(error)
        else:
            answer.add_done_callback(self.come)

    def come(self, answer: Future[Any]) -> None:
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            self.future.get_loop().call_soon_threadsafe(self.arrive, answer)

    def arrive(self, answer: Future[Any]) -> None:
        error = answer.exception()
        if self.future.done():
            return
        if error is None:
            self.future.set_result(answer.result())
        elif self.process is not self.plugin._process and getattr(error, "message", "") == REFUSED:
            # Another process has taken its place in between.
            self.begin()
        else:
            self.future.set_exception(error)


def _stop_later(process: PluginProcess) -> None:
    """Ends a process whose place another has taken, when its calls have ended."""
    with suppress(PluginException):
        process.ask("shutdown", inf).result()
    process.end()


def _rows_of(requests: Any) -> list[memoryview]:
    """The requests of a batch: each by itself, or the rows of one buffer."""
    try:
        view = memoryview(requests)
    except TypeError:
        return [_bytes_of(each, False) for each in requests]
    if view.ndim < 2:
        raise TypeError(
            "requests is a sequence of buffers, or one buffer of at least 2 dimensions, whose rows "
            f"they are: this {type(requests).__name__} has {view.ndim}"
        )
    if not view.c_contiguous:
        raise PluginArgumentError("the rows of a batch must be C-contiguous")
    count = view.shape[0]
    return rows(_bytes_of(view, False), [view.nbytes // count] * count if count else [])


def _expire(future: asyncio.Future[Any], timeout: float) -> None:
    if not future.done():
        future.set_exception(
            PluginTimeoutError(
                f"the plugin did not answer within {timeout:g} seconds: the call was abandoned"
            )
        )
