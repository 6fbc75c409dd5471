"""What the cells must hold, computed without gmemx: slowly, in plain Python and NumPy."""

import struct

import numpy as np

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
