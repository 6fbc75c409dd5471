"""How buffers and pools travel: handles, pickles, and what is left behind at the end.

A buffer on its way must not be lost, whichever process ends first. So a pickle carries a
ticket: its sender stays answerable for the buffer until somebody has claimed it, and the
pool itself once the sender has ended in good order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from gmemx import pool as pools
from gmemx.errors import PoolAccessError, PoolArgumentError, PoolError, PoolNotFoundError

if TYPE_CHECKING:
    from gmemx.pool import BufferGuard, BufferPool

INDEX_BITS = 20


class BufferHandle:
    """The name of a buffer, which fits no other buffer ever after.

    ``guard.handle`` and ``guard.send()`` make one, `BufferPool.get` reads it. Pickled while
    this process holds the buffer, it keeps the buffer alive on its way; at the other
    end the handle holds it, until it goes or `BufferPool.get` has taken it over.

    Examples
    --------
    >>> from gmemx import BufferPool
    >>> pool = BufferPool.anonymous()
    >>> guard = pool.acquire_cpu(100)
    >>> handle = guard.handle
    >>> handle.index, pool.get(handle).size
    (0, 100)
    """

    __slots__ = ("__weakref__", "_claimed", "_guard", "_id", "_name", "_pid", "_ticket", "_value")

    def __init__(
        self, value: int, pool_id: bytes, pool_name: str | None, guard: BufferGuard | None = None
    ) -> None:
        self._value, self._id, self._name, self._guard = value, pool_id, pool_name, guard
        # Whether the guard came along with the handle.
        self._claimed = False
        # What `send` took beforehand; a forked child has no part in it.
        self._ticket: int | None = None
        self._pid = 0

    @property
    def value(self) -> int:
        """The number, as the C functions take it."""
        return self._value

    @property
    def index(self) -> int:
        """The slot, a ``meta_index``."""
        return self._value & ((1 << INDEX_BITS) - 1)

    @property
    def generation(self) -> int:
        """Which of the buffers that were in that slot."""
        return self._value >> INDEX_BITS

    @property
    def pool_id(self) -> UUID:
        """The pool's ``id``."""
        return UUID(bytes=self._id)

    @property
    def pool_name(self) -> str | None:
        """The name the pool was opened by; None without one."""
        return self._name

    def open(self) -> BufferGuard:
        """The guard that the handle holds, or a new read-only one.

        Raises
        ------
        PoolNotFoundError
            If the buffer is free by now.

        Returns
        -------
        BufferGuard

        Examples
        --------
        >>> from gmemx import BufferPool
        >>> pool = BufferPool.anonymous(capacity=4)
        >>> guard = pool.acquire_cpu(100)
        >>> guard.handle.open().size
        100
        """
        if self._guard is not None and self._guard.is_valid:
            return self._guard
        return pool_of(self._id, self._name, False).get(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BufferHandle):
            return NotImplemented
        return (self._value, self._id) == (other._value, other._id)

    def __hash__(self) -> int:
        return hash((self._value, self._id))

    def __repr__(self) -> str:
        return f"BufferHandle(index={self.index}, generation={self.generation})"

    def __reduce__(self) -> tuple[Any, ...]:
        ticket, writable = self._spend_ticket(), False
        if ticket is None:
            guard = self._guard
            held = guard is not None and guard.is_valid
            pool = guard.pool if held else pools._opened(self._id, False)
            writable = held and not guard.readonly and not guard.sealed
            if pool is not None:
                # Where nothing of it is held here, the mere name travels.
                with suppress(PoolNotFoundError):
                    ticket = pools._send(pool, self._value)
        return restored_handle, (self._value, self._id, self._name, ticket, writable)

    def __del__(self) -> None:
        ticket = self._spend_ticket() if hasattr(self, "_pid") else None
        pool = None if ticket is None else pools._opened(self._id, False)
        if pool is not None:
            # Sent but never pickled, so that nobody else can claim it.
            with suppress(PoolError):
                pools._claim(pool, self._value, ticket, False)

    def _spend_ticket(self) -> int | None:
        ticket, self._ticket = self._ticket, None
        return ticket if self._pid == os.getpid() else None


# ---- sending ------------------------------------------------------------------------------

# The process that has seen to it, and how it tells whether it is ending.
_answering = 0
_is_ending: Callable[[], bool]


def answer_at_exit(pool: BufferPool) -> None:
    """See to it that what is on its way outlives this process, if that ends in good order."""
    global _answering, _is_ending
    if _answering != os.getpid():
        from multiprocessing import util

        # After the threads of queues, which may still be pickling. A fork does not inherit it.
        util.Finalize(None, settle_all, exitpriority=-100)
        _answering, _is_ending = os.getpid(), util.is_exiting
    if _is_ending():
        # Too late to be called with the others.
        pool.settle()


def settle_all() -> None:
    """Make every pool of this process answerable for what was sent through it."""
    for pool in pools._all_open():
        # One may have been closed by another thread, which did the same.
        with suppress(PoolArgumentError):
            pool.settle()


def sent(guard: BufferGuard) -> BufferHandle:
    """A handle that keeps its buffer alive by itself; see `BufferGuard.send`."""
    plain = guard.handle
    handle = BufferHandle(plain._value, plain._id, plain._name)
    handle._ticket, handle._pid = pools._send(guard.pool, plain._value), os.getpid()
    return handle


def reduced_pool(pool: BufferPool) -> tuple[Any, ...]:
    """What pickle makes of a pool: its name, or its descriptors to be passed along."""
    if pool.name is not None:
        return reopened, (pool.name, pool.id.bytes, pool.read_only)
    from multiprocessing import reduction

    control, data = (reduction.DupFd(descriptor) for descriptor in pool.descriptors)
    return rebuilt, (control, data, pool.read_only)


# ---- receiving ----------------------------------------------------------------------------


def pool_of(pool_id: bytes, name: str | None, writable: bool) -> BufferPool:
    """The pool of that id as this process has it open, or else opened by its name."""
    pool = pools._opened(pool_id, writable)
    if pool is not None:
        return pool
    if name is None:
        raise PoolNotFoundError(
            "the buffer is of a pool without a name, which this process must have first: "
            "inherit it, or send the pool along"
        )
    return reopened(name, pool_id, False)


def reopened(name: str, pool_id: bytes, read_only: bool) -> BufferPool:
    """A pool from its pickle."""
    pool = pools.BufferPool.open(name, read_only=read_only)
    if pool.id.bytes != pool_id:
        pool.close()
        raise PoolNotFoundError(f"the pool {name!r} is another one by now")
    return pool


def rebuilt(control: Any, data: Any, read_only: bool) -> BufferPool:
    """A pool without a name from its pickle."""
    descriptors = control.detach(), data.detach()
    try:
        return pools.BufferPool.from_descriptors(*descriptors, read_only=read_only)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def restored_guard(
    value: int, pool_id: bytes, name: str | None, ticket: int, writable: bool
) -> BufferGuard:
    """A guard from its pickle."""
    pool = pool_of(pool_id, name, writable)
    if writable and not pool.read_only:
        # Where it was sealed in the meantime, it may still be read.
        with suppress(PoolAccessError):
            return pools._claim(pool, value, ticket, True)
    return pools._claim(pool, value, ticket, False)


def restored_handle(
    value: int, pool_id: bytes, name: str | None, ticket: int | None, writable: bool
) -> BufferHandle:
    """A handle from its pickle, with a guard where the buffer came along."""
    handle = BufferHandle(value, pool_id, name)
    if ticket is not None:
        handle._guard = restored_guard(value, pool_id, name, ticket, writable)
        handle._claimed = True
    return handle
