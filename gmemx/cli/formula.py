"""The generator ``vrns16`` in plain Python: slow, short, and independent of the Rust core.

The tour checks the library against it, and the benchmarks measure against it.
"""

from __future__ import annotations

MASK = (1 << 64) - 1

# The sixteen moduli, in the order of their channels.
PRIMES = (
    *(65447, 65449, 65479, 65497, 65519, 65521, 65437, 65423),
    *(65419, 65413, 65407, 65393, 65381, 65371, 65357, 65353),
)


def fmix64(k: int) -> int:
    """Mix 64 bits: the finalizer of MurmurHash3 (Austin Appleby, public domain).

    Parameters
    ----------
    k : int
        In [0, 2**64).

    Returns
    -------
    int
        In [0, 2**64).

    Examples
    --------
    >>> fmix64(0x1337BEEF)
    14075673083181017210
    """
    k ^= k >> 33
    k = k * 0xFF51AFD7ED558CCD & MASK
    k ^= k >> 33
    k = k * 0xC4CEB9FE1A85EC53 & MASK
    return k ^ k >> 33


def vrns16(seed: int, address: int) -> float:
    """Compute one cell that nobody wrote.

    Parameters
    ----------
    seed, address : int
        In [0, 2**64).

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> vrns16(42, 0)
    0.07779688409536653
    """
    x = address ^ seed
    h = 0
    for i, p in enumerate(PRIMES):
        h ^= fmix64(x % p | p << 16 | i << 32)
    # Both rounded to float first, as the contract has it: integer division
    # would round once and differ in the last bit.
    return float(h) / 18446744073709551615.0
