"""How tensors and pool buffers travel between the processes of a Dask cluster.

A tensor pickles by protocol 5, which distributed sends with its memory as a frame of its own. A
buffer of a pool goes as its ticket where all processes are known to be on one host, so that
nothing is copied; its bytes go along where the other end may be on another host.
"""

from __future__ import annotations

import ipaddress
import pickle
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmemx.pool import BufferGuard, BufferPool

_registered = False


def register() -> None:
    """Tell Dask of gmemx's objects, when it first meets one."""
    global _registered
    if _registered:
        return
    _registered = True
    from dask.sizeof import sizeof

    sizeof.register_lazy("gmemx", register_sizes)
    try:
        from distributed.protocol import dask_deserialize, dask_serialize
    except ImportError:
        # Dask is used without distributed.
        return
    if sys.platform == "linux":
        dask_serialize.register_lazy("gmemx", register_buffers)
        dask_deserialize.register_lazy("gmemx", register_buffers)


def register_sizes() -> None:
    """How much memory a worker is told that objects take."""
    from dask.sizeof import sizeof

    from gmemx.delta import Delta
    from gmemx.tensor import Tensor

    for kind in (Delta, Tensor):
        sizeof.register(kind, lambda one: 100 + one.nbytes)
    if sys.platform == "linux":
        from gmemx.pool import BufferGuard

        sizeof.register(BufferGuard, lambda guard: 100 + (guard.size if guard.is_valid else 0))


def register_buffers() -> None:
    """How pool buffers are serialised."""
    from distributed.protocol import dask_deserialize, dask_serialize

    from gmemx.pool import BufferGuard

    dask_serialize.register(BufferGuard, sent)
    dask_deserialize.register(BufferGuard, received)


# ---- pool buffers -------------------------------------------------------------------------


def sent(
    guard: BufferGuard, context: dict[str, Any] | None = None
) -> tuple[dict[str, Any], list[Any]]:
    """A buffer as a header and frames; NotImplementedError where its pickle does."""
    here, there = (host_of(context, side) for side in ("sender", "recipient"))
    if there is not None and ipaddress.ip_address(there).is_loopback:
        # A whole cluster on this host: the pickle, which is a ticket.
        raise NotImplementedError("a pool's buffer is pickled")
    told = {name: value for name, value in guard.metadata().items() if value is not None}
    told.pop("producer", None)
    header = {"told": pickle.dumps(told), "sealed": guard.sealed}
    if guard.pool.name is not None and (there is None or there == here):
        # Perhaps by way of a scheduler to another host after all: the bytes go along.
        header["ticket"] = pickle.dumps(guard)
    return header, [memoryview(guard)]


def received(header: dict[str, Any], frames: list[Any]) -> BufferGuard:
    """The same buffer where its pool is to be had, otherwise a new one with a copy."""
    from gmemx.errors import PoolError

    if "ticket" in header:
        with suppress(PoolError):
            return pickle.loads(header["ticket"])
    size = sum(memoryview(frame).nbytes for frame in frames)
    guard = arrivals().acquire_cpu(size, timeout=0)
    room, start = memoryview(guard), 0
    for frame in frames:
        part = memoryview(frame).cast("B")
        room[start : start + part.nbytes] = part
        start += part.nbytes
    room.release()
    guard.set_metadata(**pickle.loads(header["told"]))
    if header["sealed"]:
        guard.seal()
    return guard


@cache
def arrivals() -> BufferPool:
    """The pool of what has come from other hosts; without a name, so that none is left behind."""
    from gmemx.pool import BufferPool

    return BufferPool.anonymous(capacity=1 << 16)


def host_of(context: dict[str, Any] | None, side: str) -> str | None:
    """The address of the host of one side of a connection; None where it is not known."""
    from distributed.comm import get_address_host

    try:
        return get_address_host(context[side]["address"])
    except (KeyError, TypeError, ValueError):
        return None
