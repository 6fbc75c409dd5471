"""Long operations that can be awaited."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gmemx._scan_operation import Canceller, cancelled_by


async def awaited(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Run a long operation on another thread.

    Where the await is cancelled the operation is too, and its end is waited for: when
    the exception comes, nothing runs any more.
    """
    canceller = Canceller()
    context = contextvars.copy_context()
    context.run(cancelled_by.set, canceller)
    work = functools.partial(context.run, function, *arguments, **options)
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        canceller.cancel()
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        # Asked for, so that nobody complains of an error that was never looked at.
        future.exception()
        raise
