"""What pools tell of themselves: figures, buffers and processes at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gmemx.errors import PoolArgumentError

if TYPE_CHECKING:
    from gmemx.pool import BufferGuard


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The figures of a pool at one moment.

    Attributes
    ----------
    capacity, size : int
        How many buffers there can be at once, and how many bytes they may take together.
    committed : int
        Bytes of shared memory given to buffers so far, those that are free included.
    used, used_bytes : int
        Buffers somebody refers to, and the bytes that were asked for them.
    free : int
        Buffers that are ready to be acquired again.
    pins, in_flight : int
        Pins of all buffers together; buffers sent and not yet claimed.
    processes, max_processes : int
        Processes that use the pool, and how many can.
    reclaimed : int
        References taken back from dead processes since the pool was made.
    created : int
        When it was made, in nanoseconds since 1970.
    mode : int
        Permissions of its files.

    Examples
    --------
    >>> import os
    >>> from gmemx import BufferPool
    >>> pool = BufferPool.anonymous(capacity=4)
    >>> guard = pool.acquire_cpu(100)
    >>> stats = pool.stats()
    >>> stats.used, stats.used_bytes >= 100
    (1, True)
    """

    capacity: int
    size: int
    committed: int
    used: int
    used_bytes: int
    free: int
    pins: int
    in_flight: int
    processes: int
    max_processes: int
    reclaimed: int
    created: int
    mode: int


@dataclass(frozen=True, slots=True)
class BufferInfo:
    """A buffer that somebody refers to.

    Attributes
    ----------
    handle : int
        The number that tells it from all that were in its slot before.
    index, size : int
        Its slot, and its bytes.
    holders, pins : int
        Processes that hold it, and its pins.
    producer : int
        Process id of whoever acquired it.
    on_device, sealed, in_flight : bool
        Whether it is on a CUDA device, sealed, on its way.

    Examples
    --------
    >>> import os
    >>> from gmemx import BufferPool
    >>> pool = BufferPool.anonymous(capacity=4)
    >>> guard = pool.acquire_cpu(100)
    >>> [buffer.size for buffer in pool.buffers()]
    [100]
    """

    handle: int
    index: int
    size: int
    holders: int
    pins: int
    producer: int
    on_device: bool
    sealed: bool
    in_flight: bool


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process that uses a pool.

    Attributes
    ----------
    pid : int
        Its process id, as it sees that itself.
    since : int
        When it opened the pool, in nanoseconds since 1970.
    holds : int
        Buffers that it holds.
    alive : bool
        False where it is dead and its buffers have not been reclaimed yet.

    Examples
    --------
    >>> import os
    >>> from gmemx import BufferPool
    >>> pool = BufferPool.anonymous(capacity=4)
    >>> guard = pool.acquire_cpu(100)
    >>> [process.holds for process in pool.processes()]
    [1]
    """

    pid: int
    since: int
    holds: int
    alive: bool


@dataclass(frozen=True, slots=True)
class PoolInfo:
    """A pool seen from outside.

    Attributes
    ----------
    name : str
    alive : bool
        Whether a live process uses it.
    stats : PoolStats or None
        None where it may not be looked at: `problem` says why.
    buffers : tuple of BufferInfo
    processes : tuple of ProcessInfo
    problem : str or None

    Examples
    --------
    >>> import os
    >>> from gmemx import BufferPool
    >>> from gmemx.pool import stat
    >>> with BufferPool(f"example-{os.getpid()}", capacity=4) as pool:
    ...     stat(pool.name).alive
    True
    """

    name: str
    alive: bool
    stats: PoolStats | None
    buffers: tuple[BufferInfo, ...] = ()
    processes: tuple[ProcessInfo, ...] = ()
    problem: str | None = None


def array(guard: BufferGuard, dtype: Any, shape: Any) -> np.ndarray:
    """The array of a guard's memory in a type that NumPy has and tensors lack."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise PoolArgumentError(f"unknown dtype {dtype!r}") from None
    if kind.hasobject or kind.itemsize == 0:
        raise PoolArgumentError(f"shared memory cannot hold the items of dtype {kind}")
    if shape is None:
        if len(guard) % kind.itemsize:
            raise PoolArgumentError(f"a buffer of {len(guard)} bytes is no whole number of {kind}")
        return np.frombuffer(guard, kind)
    shape = shape if isinstance(shape, (tuple, list)) else (shape,)
    count = 1
    for extent in shape:
        count *= extent
    if min(shape, default=0) < 0 or count * kind.itemsize > len(guard):
        raise PoolArgumentError(
            f"{kind} of shape {tuple(shape)} take {count * kind.itemsize} bytes, "
            f"and the buffer has {len(guard)}"
        )
    return np.frombuffer(guard, kind, count).reshape(shape)
