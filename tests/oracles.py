"""What cells and tensors must hold, computed without gmemx: slowly, in plain Python and NumPy."""

import struct

import hypothesis.extra.numpy as hnp
import ml_dtypes
import numpy as np
from hypothesis import strategies as st

MASK = 2**64 - 1
PRIMES = (
    65447, 65449, 65479, 65497, 65519, 65521, 65437, 65423,
    65419, 65413, 65407, 65393, 65381, 65371, 65357, 65353,
)  # fmt: skip
GENERATORS = ("vrns16", "philox")


def fmix64(k):
    """The finaliser of MurmurHash3, on Python integers."""
    k ^= k >> 33
    k = k * 0xFF51AFD7ED558CCD & MASK
    k ^= k >> 33
    k = k * 0xC4CEB9FE1A85EC53 & MASK
    return k ^ k >> 33


def vrns16_bits(seed, address):
    """The 64 bits behind one cell of vrns16."""
    x = address ^ seed
    h = 0
    for i, p in enumerate(PRIMES):
        h ^= fmix64(x % p | p << 16 | i << 32)
    return h


def vrns16(seed, address):
    """One cell of vrns16, in integers of any size: no overflow to get wrong."""
    return float(vrns16_bits(seed, address)) / 18446744073709551615.0


def _fmix64_array(k):
    k = k ^ (k >> np.uint64(33))
    k = k * np.uint64(0xFF51AFD7ED558CCD)
    k ^= k >> np.uint64(33)
    k *= np.uint64(0xC4CEB9FE1A85EC53)
    return k ^ (k >> np.uint64(33))


def _vrns16_part(seed, addresses):
    x = addresses ^ np.uint64(seed)
    h = np.zeros_like(x)
    for i, p in enumerate(PRIMES):
        h ^= _fmix64_array(x % np.uint64(p) | np.uint64(p << 16 | i << 32))
    return h.astype(np.float64) / 18446744073709551615.0


def vrns16_many(seed, addresses):
    """Cells of vrns16 at an array of addresses."""
    addresses = np.asarray(addresses, dtype=np.uint64)
    out = np.empty(addresses.shape)
    flat, flat_out = addresses.reshape(-1), out.reshape(-1)
    # In parts that stay in the cache: several times faster.
    for i in range(0, flat.size, 1 << 14):
        flat_out[i : i + (1 << 14)] = _vrns16_part(seed, flat[i : i + (1 << 14)])
    return out


def run_addresses(start, n, step=1):
    """``n`` addresses ``step`` apart from ``start`` on, modulo 2^64."""
    return np.uint64(start & MASK) + np.uint64(step & MASK) * np.arange(n, dtype=np.uint64)


def philox_run(seed, start, n):
    """``n`` consecutive draws of NumPy's own Philox from draw ``start`` on, modulo 2^64."""
    before_wrap = min(n, 2**64 - start)
    bit_generator = np.random.Philox(key=seed)
    bit_generator.advance(start // 4)  # the counter: each step is four draws
    skip = start % 4
    values = np.random.Generator(bit_generator).random(skip + before_wrap)[skip:]
    if before_wrap < n:
        values = np.concatenate([values, philox_run(seed, 0, n - before_wrap)])
    return values


def run(generator, seed, start, n):
    """``n`` consecutive cells from ``start`` on, modulo 2^64."""
    if generator == "philox":
        return philox_run(seed, start, n)
    return vrns16_many(seed, run_addresses(start, n))


def many(generator, seed, addresses):
    """The cells at any addresses."""
    addresses = np.asarray(addresses, dtype=np.uint64)
    if generator == "vrns16":
        return vrns16_many(seed, addresses)
    values = [philox_run(seed, int(a), 1)[0] for a in addresses.reshape(-1)]
    return np.array(values, dtype=np.float64).reshape(addresses.shape)


def bits_of(value):
    """The bits of one float, in which NaNs and zeros of either sign differ."""
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def float_of(bits):
    """The float that has these bits."""
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def assert_same_bits(actual, expected):
    """Equality of float64 arrays bit for bit: NaN payloads and the sign of zero count."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype == np.float64
    assert actual.shape == expected.shape
    a = np.ascontiguousarray(actual).reshape(-1).view(np.uint64)
    b = np.ascontiguousarray(expected).reshape(-1).view(np.uint64)
    if not np.array_equal(a, b):
        wrong = np.flatnonzero(a != b)
        i = int(wrong[0])
        raise AssertionError(
            f"{wrong.size} of {a.size} cells differ, first at {i}: {a[i]:#018x}, not {b[i]:#018x}"
        )


# ---- tensors -------------------------------------------------------------------------------

INTEGERS = ("int4", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2")
DTYPES = ("bool", *INTEGERS, *FLOATS)
# Those that NumPy has itself.
NATIVE = ("bool", *INTEGERS[1:], "float16", "float32", "float64")
BITS = {"bool": 8, "float8_e4m3fn": 8, "float8_e5m2": 8} | {
    name: int(name.lstrip("abdefilnotu")) for name in (*INTEGERS, *FLOATS[:4])
}


def numpy_dtype(name):
    """NumPy's dtype of that name, or ml_dtypes'; int8 for int4, to hold its values."""
    return (
        np.dtype(getattr(ml_dtypes, name))
        if name in FLOATS[3:]
        else np.dtype("int8" if name == "int4" else name)
    )


def limits(name):
    """The least and the greatest value of an integer type."""
    bits = BITS[name]
    return (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def bits_array(array):
    """The bits of every element, as unsigned integers over the same memory."""
    return array.view(f"u{array.dtype.itemsize}")


def packed(array):
    """The bytes of int4 values in C order: two to a byte, the first in the low half."""
    nibbles = np.append(array.reshape(-1) & 15, 0).astype(np.uint8)
    pairs = nibbles[: array.size + array.size % 2].reshape(-1, 2)
    return bytearray(pairs[:, 0] | pairs[:, 1] << 4)


def unpacked(data, shape):
    """What `packed` made bytes of."""
    data = np.frombuffer(data, np.uint8)
    nibbles = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[: int(np.prod(shape))]
    return ((nibbles ^ 8).astype(np.int8) - 8).reshape(shape)


def converted(array, source, target):
    """The values in another dtype: as astype where that is defined, else the nearest there is."""
    with np.errstate(all="ignore"):
        if target == "bool":
            return array.astype(np.float64) != 0 if source in FLOATS else array != 0
        if target in FLOATS:
            return array.astype(numpy_dtype(target))
        low, high = limits(target)
        if source in FLOATS:
            wide = np.nan_to_num(
                np.trunc(array.astype(np.float64)), nan=0.0, posinf=np.inf, neginf=-np.inf
            )
            inside = (wide > low) & (wide < high)
            low, high = np.array([low, high], numpy_dtype(target))
            result = np.where(wide <= low, low, high)
            result[inside] = wide[inside].astype(numpy_dtype(target))
            return result
        result = array.astype(numpy_dtype(target))
        return (((result & 15) ^ 8) - 8).astype(np.int8) if target == "int4" else result


def assert_same_values(actual, expected):
    """Equality bit for bit; of NaNs only the sign counts."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    a, b = (bits_array(np.ravel(x)) for x in (actual, expected))
    wrong = a != b
    if expected.dtype.kind not in "biu":
        with np.errstate(all="ignore"):
            flat = [np.ravel(x).astype(np.float64) for x in (actual, expected)]
        alike = np.isnan(flat[0]) & np.isnan(flat[1])
        alike &= np.signbit(flat[0]) == np.signbit(flat[1])
        wrong &= ~alike
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise AssertionError(
            f"{wrong.sum()} of {a.size} elements differ, first at {i}: "
            f"{actual.reshape(-1)[i]!r}, not {expected.reshape(-1)[i]!r}"
        )


def random_array(name, shape, seed):
    """An array of any bits that are a value of the type: NaNs, infinities and limits among them."""
    rng = np.random.default_rng(seed)
    dtype = numpy_dtype(name)
    size = int(np.prod(shape))
    if name in ("bool", "int4"):
        return (
            rng.integers(*((0, 2) if name == "bool" else (-8, 8)), size)
            .astype(dtype)
            .reshape(shape)
        )
    return np.frombuffer(rng.bytes(size * dtype.itemsize), dtype).copy().reshape(shape)


def small_array(name, shape, seed):
    """An array of small whole numbers, whose sums and products are exact in nearly any type."""
    low, high = (0, 2) if name == "bool" else (0, 4) if name[0] == "u" else (-3, 4)
    values = np.random.default_rng(seed).integers(low, high, int(np.prod(shape)))
    return values.astype(numpy_dtype(name)).reshape(shape)


shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)


@st.composite
def views(draw, array):
    """A view of an array through an index and a permutation: any strides, also negative."""
    view = array[draw(hnp.basic_indices(array.shape, allow_newaxis=True, max_dims=6))]
    view = np.asarray(view, array.dtype)
    return view.transpose(draw(st.permutations(range(view.ndim))))


@st.composite
def strided(draw, names=NATIVE, make=random_array):
    """The name of a dtype and an array of it in any layout; int4 in C order only."""
    name = draw(st.sampled_from(names))
    array = make(name, draw(shapes), draw(st.integers(0, 2**32)))
    return name, array if name == "int4" else draw(views(array))


CRC32C = [0] * 256
for _byte in range(256):
    _remainder = _byte
    for _ in range(8):
        _remainder = _remainder >> 1 ^ (0x82F63B78 if _remainder & 1 else 0)
    CRC32C[_byte] = _remainder


def crc32c(data):
    """The checksum of RFC 3720, byte by byte."""
    crc = 0xFFFFFFFF
    for byte in bytes(data):
        crc = CRC32C[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
