"""Patterns of bytes: hex digits with wildcards, text, and the masks behind them."""

from __future__ import annotations

import codecs
from typing import Any

from gmemx.errors import InvalidArgumentError

HEX = "0123456789abcdef"
# Encodings that would begin a text with a byte order mark, and what is meant by them.
WITHOUT_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
# The bit between the cases of an ASCII letter.
CASE = 0x20


class Pattern:
    """Bytes to search for, and which bits of them count.

    Parameters
    ----------
    data : bytes-like
    mask : bytes-like, optional
        A byte for each of `data`: the bits that must agree. None for all.

    Examples
    --------
    >>> from gmemx import scan
    >>> scan.parse_hex_pattern("48 8b ?? 4?")
    Pattern('48 8b ?? 4?')
    >>> scan.Pattern(b"AB").matches(b"AB")
    True
    """

    __slots__ = ("_data", "_mask")

    def __init__(self, data: Any, mask: Any = None) -> None:
        data = bytes_of(data, "a pattern")
        mask = b"\xff" * len(data) if mask is None else bytes_of(mask, "a mask")
        if not data:
            raise InvalidArgumentError("a pattern must have at least one byte, and this has none")
        if len(mask) != len(data):
            raise InvalidArgumentError(
                f"a mask must have a byte for each of the pattern's {len(data)}, not {len(mask)}"
            )
        if not any(mask):
            raise InvalidArgumentError(
                f"a pattern of {len(data)} wildcards fits everywhere: one bit at least must count"
            )
        self._data = bytes(byte & bits for byte, bits in zip(data, mask, strict=True))
        self._mask = mask

    @property
    def data(self) -> bytes:
        """The bytes, 0 where no bit counts."""
        return self._data

    @property
    def mask(self) -> bytes:
        """The bits of each byte that count."""
        return self._mask

    def matches(self, data: Any) -> bool:
        """Whether these bytes, of the pattern's length, fit it.

        Parameters
        ----------
        data : bytes-like

        Returns
        -------
        bool

        Examples
        --------
        >>> from gmemx import scan
        >>> scan.parse_hex_pattern("DE ?? BE").matches(bytes.fromhex("deadbe"))
        True
        """
        data = bytes_of(data, "data")
        return len(data) == len(self._data) and all(
            byte & bits == wanted
            for byte, bits, wanted in zip(data, self._mask, self._data, strict=True)
        )

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        return (self._data, self._mask) == (other._data, other._mask)

    def __hash__(self) -> int:
        return hash((self._data, self._mask))

    def __reduce__(self) -> tuple[Any, ...]:
        return Pattern, (self._data, self._mask)

    def __str__(self) -> str:
        return " ".join(map(shown_byte, self._data, self._mask))

    def __repr__(self) -> str:
        if all(bits in (0, 0x0F, 0xF0, 0xFF) for bits in self._mask):
            return f"Pattern({str(self)!r})"
        return f"Pattern({self._data!r}, mask={self._mask!r})"


def shown_byte(byte: int, bits: int) -> str:
    high = HEX[byte >> 4] if bits & 0xF0 == 0xF0 else "?"
    low = HEX[byte & 0x0F] if bits & 0x0F == 0x0F else "?"
    return high + low


def bytes_of(data: Any, name: str) -> bytes:
    try:
        return bytes(memoryview(data))
    except TypeError:
        raise TypeError(f"{name} must be bytes, not {type(data).__name__}") from None


def parse_hex_pattern(text: str) -> Pattern:
    """Read a pattern of hex digits, two for each byte.

    Parameters
    ----------
    text : str
        Bytes with or without blanks between them. A ``?`` stands for any digit, and one by
        itself for any byte.

    Returns
    -------
    Pattern

    Raises
    ------
    ValueError
        For anything else, with the text that is wrong.

    Examples
    --------
    >>> from gmemx import scan
    >>> pattern = scan.parse_hex_pattern("48 8B ? ?? 4? ?8")
    >>> len(pattern), pattern.mask.hex()
    (6, 'ffff0000f00f')
    >>> scan.parse_hex_pattern("48 8")
    Traceback (most recent call last):
    gmemx.errors.InvalidArgumentError: '8' in the pattern '48 8' has an odd number of digits
    """
    if not isinstance(text, str):
        raise TypeError(f"a hex pattern is a string, not {type(text).__name__}")
    data, mask = bytearray(), bytearray()
    for word in text.split():
        digits = "??" if word == "?" else word.lower()
        wrong = [digit for digit in word if not digit.isascii() or digit.lower() not in HEX + "?"]
        if wrong:
            raise InvalidArgumentError(
                f"{wrong[0]!r} in the pattern {shortened(text)} is neither a hex digit nor '?'"
            )
        if len(digits) % 2:
            raise InvalidArgumentError(
                f"{shortened(word)} in the pattern {shortened(text)} has an odd number of digits"
            )
        for high, low in zip(digits[::2], digits[1::2], strict=True):
            data.append((0 if high == "?" else int(high, 16) << 4) | int(low.replace("?", "0"), 16))
            mask.append((0 if high == "?" else 0xF0) | (0 if low == "?" else 0x0F))
    if not data:
        raise InvalidArgumentError(f"the pattern {text!r} has no bytes in it")
    return Pattern(data, mask)


def shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def text_pattern(text: str, encoding: str = "utf-8", ignore_case: bool = False) -> Pattern:
    """The pattern of a text.

    Parameters
    ----------
    text : str
    encoding : str
        One of Python's; ``utf-16`` and ``utf-32`` mean little endian, without a mark in front.
    ignore_case : bool
        Whether ASCII letters fit in either case.

    Returns
    -------
    Pattern

    Raises
    ------
    LookupError
        If Python has no such encoding.
    ValueError
        If the text is empty.

    Examples
    --------
    >>> from gmemx import scan
    >>> scan.text_pattern("Hi", ignore_case=True).matches(b"hI")
    True
    """
    if not isinstance(text, str):
        raise TypeError(f"the text must be a string, not {type(text).__name__}")
    if not isinstance(encoding, str):
        raise TypeError(f"the encoding must be a string, not {type(encoding).__name__}")
    if not text:
        raise InvalidArgumentError("the text to search for must not be empty")
    try:
        name = codecs.lookup(encoding).name
        name = WITHOUT_MARK.get(name, name)
        data = text.encode(name)
        other = text.translate(SWAPPED).encode(name) if ignore_case else data
    except LookupError:
        raise InvalidArgumentError(f"{encoding!r} is not a text encoding of Python's") from None
    except UnicodeError as error:
        raise InvalidArgumentError(f"{text!r} cannot be encoded: {error}") from None
    if len(other) != len(data):
        raise InvalidArgumentError(
            f"in {encoding!r} small and capital letters differ in length: ignore_case needs another"
        )
    # Where both cases agree every bit counts.
    mask = bytes(0xFF & ~(a ^ b) for a, b in zip(data, other, strict=True))
    return Pattern(data, mask)


# Every ASCII letter to its other case.
SWAPPED = {code: code ^ CASE for code in range(128) if chr(code).isalpha()}


def pattern_of(pattern: Any, ignore_case: bool = False) -> Pattern:
    """A pattern as callers hand it in: a `Pattern`, hex digits, or bytes."""
    if isinstance(pattern, str):
        pattern = parse_hex_pattern(pattern)
    elif not isinstance(pattern, Pattern):
        pattern = Pattern(bytes_of(pattern, "a pattern: a Pattern, hex digits or bytes,"))
    if not ignore_case:
        return pattern
    mask = bytearray(pattern.mask)
    for i, byte in enumerate(pattern.data):
        if mask[i] == 0xFF and bytes((byte,)).isalpha():
            mask[i] = 0xFF & ~CASE
    return Pattern(pattern.data, mask)
