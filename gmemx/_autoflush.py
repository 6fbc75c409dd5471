"""Flushing a context every few seconds, on a thread of its own."""

from __future__ import annotations

import logging
import math
import operator
import threading
import weakref
from typing import TYPE_CHECKING

from gmemx.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gmemx.generative import GMemContext

logger = logging.getLogger("gmemx.generative")


def flush_interval(autoflush: object) -> float:
    """Seconds between two flushes, checked."""
    if isinstance(autoflush, bool) or not hasattr(autoflush, "__float__"):
        kind = type(autoflush).__name__
        raise TypeError(f"autoflush must be a number of seconds, not {kind}")
    seconds = float(operator.pos(autoflush))
    if not (seconds > 0 and math.isfinite(seconds) and seconds <= threading.TIMEOUT_MAX):
        raise InvalidArgumentError(
            f"autoflush must be a number of seconds above 0, and it is {autoflush!r}"
        )
    return seconds


class Autoflush:
    """Flushes a context until it is closed or gone. A failure is logged, once in a row."""

    def __init__(self, context: GMemContext, seconds: float) -> None:
        self.seconds = seconds
        self._ended = threading.Event()
        arguments = (weakref.ref(context), self._ended, seconds)
        self._thread = threading.Thread(
            target=_flush_regularly, args=arguments, name="gmemx autoflush", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _flush_regularly(
    reference: weakref.ref[GMemContext], ended: threading.Event, seconds: float
) -> None:
    failing = False
    while not ended.wait(seconds):
        context = reference()
        if context is None:
            return
        try:
            context.flush()
            failing = False
        except Exception as error:
            if context.closed:
                return
            if not failing:
                logger.error("autoflush: %s", error)
            failing = True
        del context
