"""Memory of every element type, in every situation, and its bits as NumPy sees them."""

import ctypes
from dataclasses import dataclass

import numpy as np

import gmemx

ROWS, COLUMNS = 4, 6

# Bytes of an element, DLPack's type code and bits.
DTYPES = {
    "bool": (1, 6, 8),
    "int8": (1, 0, 8),
    "int16": (2, 0, 16),
    "int32": (4, 0, 32),
    "int64": (8, 0, 64),
    "uint8": (1, 1, 8),
    "uint16": (2, 1, 16),
    "uint32": (4, 1, 32),
    "uint64": (8, 1, 64),
    "float16": (2, 2, 16),
    "float32": (4, 2, 32),
    "float64": (8, 2, 64),
    "bfloat16": (2, 4, 16),
    "float8_e4m3fn": (1, 10, 8),
    "float8_e5m2": (1, 12, 8),
    "int4": (0.5, 0, 4),
}
# Minus zero, an infinity, a quiet NaN and a signalling one.
ODD_FLOATS = {
    "float16": (0x8000, 0x7C00, 0xFE00, 0x7C01),
    "float32": (0x8000_0000, 0x7F80_0000, 0xFFC0_0000, 0x7F80_0001),
    "float64": (1 << 63, 0x7FF << 52, 0xFFF8 << 48, (0x7FF << 52) + 1),
    "bfloat16": (0x8000, 0x7F80, 0xFFC0, 0x7F81),
    "float8_e4m3fn": (0x80, 0x7E, 0xFF, 0x7F),
    "float8_e5m2": (0x80, 0x7C, 0xFE, 0x7D),
}
SMALL = ("bfloat16", "float8_e4m3fn", "float8_e5m2")

# What is done to an array of (4, 6), or of (24,) for what knows one dimension only.
PLANE = {
    "contiguous": lambda x: x,
    "strided": lambda x: x[::2, 1::2],
    "transposed": lambda x: x.T,
    "negative strides": lambda x: x[::-1, ::-2],
    "0-d": lambda x: x[2:3, 3:4].reshape(()),
    "empty": lambda x: x[:0],
    "size-1 dims": lambda x: x[2:1:-1][:, None],
    "offset": lambda x: x[1:],
    "odd alignment": lambda x: x,
    "read-only": lambda x: x,
    "share_readonly": lambda x: x,
}
LINE = PLANE | {
    "strided": lambda x: x[::2],
    "transposed": lambda x: x.reshape((ROWS, COLUMNS)).T,
    "negative strides": lambda x: x[::-1],
    "0-d": lambda x: x[2:3].reshape(()),
    "size-1 dims": lambda x: x[14:13:-1],
    "offset": lambda x: x[4:],
}
SITUATIONS = tuple(PLANE)
# Packed elements have no strides, and a view begins at a whole byte.
INT4_SITUATIONS = tuple(
    name for name in SITUATIONS if name not in ("strided", "transposed", "negative strides", "0-d")
)


def bits_type(dtype):
    """NumPy's type for the bits of an element, and for a byte of two int4."""
    return np.dtype(f"u{int(DTYPES[dtype][0]) or 1}")


def pattern(dtype):
    """24 elements of any bits, with NaNs, an infinity and -0.0 where most views see them."""
    n = ROWS * COLUMNS // (2 if dtype == "int4" else 1)
    kind = bits_type(dtype)
    bits = np.random.default_rng(24).integers(0, np.iinfo(kind).max, n, kind, endpoint=True)
    if dtype in ODD_FLOATS:
        bits[[13, 15, 17, 19]] = ODD_FLOATS[dtype]
    return bits & 1 if dtype == "bool" else bits


def over(address, dtype, shape, strides=None):
    """The bits at an address, live; `strides` counts elements. Nothing keeps the memory."""
    kind = bits_type(dtype)
    if dtype == "int4":
        shape, strides = (*shape[:-1], (shape[-1] + 1) // 2) if shape else (1,), None
    if not np.prod(shape):
        return np.empty(shape, kind)
    if strides is None:
        strides = np.cumprod((1, *shape[:0:-1]))[::-1][: len(shape)]
    reach = 1 + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    memory = (ctypes.c_char * (int(reach) * kind.itemsize)).from_address(address)
    flat = np.frombuffer(memory, kind)
    return np.lib.stride_tricks.as_strided(
        flat, shape, [int(step) * kind.itemsize for step in strides]
    )


def bits_of(tensor):
    """A copy of a gmemx tensor's bits; for int4 its bytes in the shape `over` gives them."""
    array = np.array(np.asarray(tensor))
    if tensor.dtype == "int4":
        return (
            array.reshape((*tensor.shape[:-1], -1))
            if tensor.size
            else array.reshape(over(0, "int4", tensor.shape).shape)
        )
    return array.view(bits_type(tensor.dtype.name))


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def flip(bits):
    """Changes the lowest bit of the first element, in place."""
    first = (0,) * bits.ndim
    bits[first] ^= 1


@dataclass
class Scene:
    """A gmemx tensor in a situation, what it is a view of, and its memory seen from outside."""

    tensor: gmemx.Tensor
    base: gmemx.Tensor
    mirror: np.ndarray


def forms(flat):
    return LINE if flat else PLANE


def applicable(dtype, situation):
    return dtype != "int4" or situation in INT4_SITUATIONS


def view_of(tensor, situation, flat):
    """The view of a situation; int4 has no steps backwards, and goes without one."""
    if situation == "size-1 dims" and tensor.dtype == "int4":
        return tensor[14:16] if flat else tensor[2:3][:, None]
    return forms(flat)[situation](tensor)


def situated(bits, dtype, situation, flat):
    """The same view of NumPy's array of the bits, in which int4 take half a byte each."""
    if dtype == "int4" and situation == "size-1 dims":
        return bits[7:8] if flat else bits[2:3][:, None]
    if dtype == "int4" and flat and situation == "offset":
        return bits[2:]
    return forms(flat)[situation](bits)


def scene(dtype, situation, flat):
    """Builds one; the mirror has the memory's address only, and keeps nothing alive."""
    shape = (ROWS * COLUMNS,) if flat else (ROWS, COLUMNS)
    data = pattern(dtype).tobytes()
    if situation in ("read-only", "share_readonly"):
        # Bytes of this call's own, which the mirror may change.
        base = gmemx.Tensor.from_buffer(bytes(bytearray(data)), dtype, shape)
    elif situation == "odd alignment":
        memory = bytearray(len(data) + 1)
        start = 1 - np.frombuffer(memory, "u1").ctypes.data % 2
        memory[start : start + len(data)] = data
        part = memoryview(memory)[start : start + len(data)]
        base = gmemx.Tensor.from_buffer(part, dtype, shape)
    else:
        base = gmemx.empty(shape, dtype)
    array = np.asarray(base)
    address = array.ctypes.data
    del array
    if situation not in ("read-only", "share_readonly", "odd alignment"):
        ctypes.memmove(address, data, len(data))
    mirror = situated(over(address, dtype, shape), dtype, situation, flat)
    shared = situation == "share_readonly"
    tensor = base.share_readonly() if shared else view_of(base, situation, flat)
    return Scene(tensor, base, mirror)


def memory(dtype, situation, flat):
    """NumPy's array of the bits, for libraries to make theirs over; aligned to 64 bytes or odd."""
    data = pattern(dtype)
    room = np.empty(data.nbytes + 128, "u1")
    start = -room.ctypes.data % 64 + (1 if situation == "odd alignment" else 0)
    array = room[start : start + data.nbytes].view(data.dtype)
    array[...] = data
    if not flat:
        array = array.reshape(ROWS, -1)
    if situation in ("read-only", "share_readonly"):
        array.flags.writeable = False
    return array
