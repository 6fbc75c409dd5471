"""Virtual arrays as zarr arrays: a read-only store that makes each chunk when it is asked for.

``pip install gmemx[zarr]`` brings what this needs, zarr 3, on Python 3.11 or newer.

Examples
--------
>>> import gmemx, gmemx.zarr, zarr
>>> virtual = gmemx.GMemContext(seed=42).array((10**6, 10**6), distribution="normal")
>>> z = zarr.open_array(gmemx.zarr.store(virtual), mode="r")
>>> z.shape, z.chunks
((1000000, 1000000), (977, 977))
>>> bool((z[5, :3] == virtual[5, :3].numpy()).all())
True
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from zarr.abc.store import (
        ByteRequest,
        OffsetByteRequest,
        RangeByteRequest,
        Store,
        SuffixByteRequest,
    )
    from zarr.core.buffer import Buffer, BufferPrototype
except ImportError as error:
    raise ImportError(
        f"gmemx.zarr needs zarr 3 and Python 3.11: pip install gmemx[zarr] ({error})"
    ) from error

from gmemx._array_layout import indices, shape_of
from gmemx.array import VirtualArray
from gmemx.errors import InvalidArgumentError, UnsupportedError

__all__ = ["VirtualStore", "store"]

# Cells of a chunk unless told otherwise.
CELLS = 1 << 20


class VirtualStore(Store):
    """A zarr store with one array, none of which is stored: what `store` gives.

    Parameters
    ----------
    virtual : VirtualArray
    chunks : tuple of int

    Examples
    --------
    >>> import gmemx, gmemx.zarr
    >>> virtual = gmemx.GMemContext(42).array((100, 100))
    >>> gmemx.zarr.store(virtual, chunks=(50, 50)).supports_writes
    False
    """

    supports_writes = False
    supports_deletes = False
    supports_partial_writes = False
    supports_listing = True

    def __init__(self, virtual: VirtualArray, chunks: tuple[int, ...]) -> None:
        super().__init__(read_only=True)
        self.virtual, self.chunks = virtual, chunks
        kind = virtual.dtype
        endian = {"configuration": {"endian": sys.byteorder}} if kind.itemsize > 1 else {}
        zero = {"b": False, "f": 0.0}.get(kind.kind, 0)
        grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
        keys = {"name": "default", "configuration": {"separator": "/"}}
        about = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": virtual.shape,
            "data_type": kind.name,
            "chunk_grid": grid,
            "chunk_key_encoding": keys,
            "fill_value": zero,
            "codecs": [{"name": "bytes", **endian}],
            "attributes": {"distribution": repr(virtual.distribution)},
        }
        self._metadata = json.dumps(about).encode()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, VirtualStore)
            and self.virtual is other.virtual
            and self.chunks == other.chunks
        )

    def __repr__(self) -> str:
        return f"VirtualStore(shape={self.virtual.shape}, chunks={self.chunks})"

    # ---- reading --------------------------------------------------------------------

    def _counts(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        sizes = zip(self.virtual.shape, self.chunks, strict=True)
        return tuple(-(-extent // size) for extent, size in sizes)

    def _number(self, key: str) -> tuple[int, ...] | None:
        """Which chunk a key names; None for any other."""
        first, *rest = key.split("/")
        plain = all(part.isdecimal() and part == str(int(part)) for part in rest)
        if first != "c" or len(rest) != self.virtual.ndim or not plain:
            return None
        number = tuple(map(int, rest))
        inside = all(n < count for n, count in zip(number, self._counts(), strict=True))
        return number if inside else None

    def _chunk(self, number: tuple[int, ...]) -> npt.NDArray[Any]:
        """The elements of a chunk; those beyond the array's end are 0."""
        starts = [n * size for n, size in zip(number, self.chunks, strict=True)]
        key = tuple(slice(n, n + size) for n, size in zip(starts, self.chunks, strict=True))
        part = self.virtual[(*key, ...)]
        if part.shape == self.chunks:
            return np.ascontiguousarray(part.numpy())
        whole = np.zeros(self.chunks, self.virtual.dtype)
        part.numpy(out=whole[tuple(slice(extent) for extent in part.shape)])
        return whole

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The metadata, or a chunk, made at this moment."""
        number = self._number(key)
        if key == "zarr.json":
            data = np.frombuffer(self._metadata, np.uint8)
        elif number is not None:
            # zarr's event loop goes on meanwhile.
            chunk = await asyncio.to_thread(self._chunk, number)
            data = chunk.reshape(-1).view(np.uint8)
        else:
            return None
        return prototype.buffer.from_array_like(data[part_of(byte_range, len(data))])

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Parts of some values."""
        return [await self.get(key, prototype, wanted) for key, wanted in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        return key == "zarr.json" or self._number(key) is not None

    async def list(self) -> AsyncIterator[str]:
        """All keys, one by one: there may be very many."""
        yield "zarr.json"
        counts = self._counts()
        if 0 not in counts:
            for number in indices(counts):
                yield "/".join(["c", *map(str, number)])

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """The keys that begin so."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """What is directly below a prefix."""
        parts = [part for part in prefix.split("/") if part]
        counts = self._counts()
        if not parts:
            yield "zarr.json"
            if 0 not in counts:
                yield "c"
        elif parts[0] == "c" and len(parts) <= len(counts) and 0 not in counts:
            n = 0
            while n < counts[len(parts) - 1]:
                yield str(n)
                n += 1

    # ---- writing, which there is none of --------------------------------------------

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse it: NotImplementedError."""
        raise UnsupportedError("virtual arrays are read through zarr: write to the array itself")

    async def delete(self, key: str) -> None:
        """Refuse it: NotImplementedError."""
        raise UnsupportedError("virtual arrays are read through zarr: nothing can be deleted")


def part_of(byte_range: ByteRequest | None, length: int) -> slice:
    """Which bytes are asked for."""
    match byte_range:
        case None:
            return slice(None)
        case RangeByteRequest(start=start, end=end):
            return slice(start, end)
        case OffsetByteRequest(offset=offset):
            return slice(offset, None)
        case SuffixByteRequest(suffix=suffix):
            return slice(max(0, length - suffix), None)
    raise InvalidArgumentError(f"no bytes are known by {byte_range!r}")


def store(virtual: VirtualArray, chunks: Any = "auto") -> VirtualStore:
    """A zarr store of a virtual array, for `zarr.open_array` and all that takes a store.

    Chunks are made when they are read, as the array is then; they are not compressed.

    Parameters
    ----------
    virtual : VirtualArray
        Of at most 2**63 - 1 elements along each axis.
    chunks : int, tuple of int or 'auto'
        The shape of chunks, or one number for all axes; by default about a million elements
        that follow each other in C order.

    Returns
    -------
    VirtualStore

    Raises
    ------
    TypeError
        If it is no VirtualArray.
    ValueError
        If the chunks do not fit.

    Examples
    --------
    >>> import gmemx, gmemx.zarr, zarr
    >>> dice = gmemx.GMemContext(42).array((4, 10**9), "int8", distribution=gmemx.integers(1, 7))
    >>> z = zarr.open_array(gmemx.zarr.store(dice, chunks=(4, 1000)), mode="r")
    >>> bool((z[0, 10**8 : 10**8 + 5] == dice[0, 10**8 : 10**8 + 5].numpy()).all())
    True
    """
    if not isinstance(virtual, VirtualArray):
        raise TypeError(f"a VirtualArray is wanted, not a {type(virtual).__name__}")
    if max(virtual.shape, default=0) >= 2**63:
        raise InvalidArgumentError("zarr has at most 2**63 - 1 elements along an axis")
    if isinstance(chunks, str) and chunks == "auto":
        return VirtualStore(virtual, automatic(virtual.shape))
    sizes = shape_of(chunks)
    if not isinstance(chunks, (tuple, list)):
        sizes *= virtual.ndim
    if len(sizes) != virtual.ndim or 0 in sizes:
        raise InvalidArgumentError(
            f"chunks {chunks!r} do not fit an array of {virtual.ndim} dimensions"
        )
    return VirtualStore(virtual, sizes)


def automatic(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks of about so many elements, cut where they are longest: zarr goes by chunks an axis."""
    sizes = [max(1, extent) for extent in shape]
    while math.prod(sizes) > CELLS:
        longest = sizes.index(max(sizes))
        sizes[longest] = -(-sizes[longest] // 2)
    return tuple(sizes)
