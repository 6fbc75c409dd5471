"""Patterns of bytes: wildcards, nibbles, text, limits and boundaries, against plain search."""

import re

import numpy as np
import pytest
import scans
from scans import CHUNKS, MIB, PAGE, Target, equal, linux_only, within

from gmemx import scan

pytestmark = linux_only


@pytest.fixture(scope="module")
def layout():
    """Random memory with holes: (source, start, size, image)."""
    with Target() as target, scan.open_process(target.pid) as process:
        yield process, *scans.random_layout(target, np.random.default_rng(31))


def matching(data, pattern):
    """Every offset at which a pattern fits, tried byte by byte with NumPy."""
    count = len(data) - len(pattern) + 1
    fits = np.ones(max(count, 0), bool)
    for i, (byte, bits) in enumerate(zip(pattern.data, pattern.mask, strict=True)):
        fits &= (data[i : i + len(fits)] & bits) == byte
    return np.flatnonzero(fits)


def expected(image, pattern, alignment=1):
    """The addresses in all runs of an image."""
    found = [(matching(data, pattern) + start).astype(np.uint64) for start, data in image.runs()]
    found = np.concatenate([np.empty(0, np.uint64), *found])
    return found[found % alignment == 0]


PATTERNS = [
    "01", "00 00", "01 00 00 00", "?? 01", "01 ?? ?? 01", "0? ?0 01", "?1 ?? ?? ?? ?? ?? ?? 0?",
    "fe ff ff ff", "F? 3F", "?0 ?0 ?0 ?0", "02 ? 00", "00" * 16, "00" * 40 + "01",
    "ff??" * 9 + "f?", "?? ?? ?? 02", "01 ??",
]  # fmt: skip


@pytest.mark.parametrize("text", PATTERNS)
@pytest.mark.parametrize("alignment", [1, 2, 8])
def test_patterns(layout, text, alignment):
    """With whole and half bytes that do not count, at the start, in the middle and at the end."""
    process, start, size, image = layout
    pattern = scan.parse_hex_pattern(text)
    found = process.find(text, within(process, start, size), alignment=alignment)
    equal(np.asarray(found), expected(image, pattern, alignment))
    same = scan.scan_pattern(process, within(process, start, size), pattern, alignment=alignment)
    equal(np.asarray(same), np.asarray(found))


def test_patterns_find_something(layout):
    """The list above is not of patterns that nothing fits."""
    *_, image = layout
    counts = [expected(image, scan.parse_hex_pattern(text)).size for text in PATTERNS]
    assert sum(count > 0 for count in counts) > len(PATTERNS) * 2 // 3


@pytest.mark.parametrize("seed", range(20))
def test_random_patterns(layout, seed):
    """Cut out of the memory itself, with bits masked at random, of one byte to some thousands."""
    process, start, size, image = layout
    rng = np.random.default_rng(seed)
    runs = image.runs()
    run, data = runs[rng.integers(len(runs))]
    length = int(min(rng.choice([1, 2, 3, 5, 16, 33, 100, 5000]), len(data)))
    at = int(rng.integers(len(data) - length + 1))
    mask = rng.choice(np.array([0, 0x0F, 0xF0, 0xFF, 0xFF, 0xDF, 1], np.uint8), length)
    mask[rng.integers(length)] = 0xFF
    pattern = scan.Pattern(data[at : at + length].tobytes(), mask.tobytes())
    found = process.find(pattern, within(process, start, size), threads=1 + seed % 3)
    equal(np.asarray(found), expected(image, pattern))
    assert run + at in found


def test_what_a_text_of_hex_digits_means():
    """With and without blanks, in either case; one ? for a byte, two for its halves."""
    for text in ("48 8B ?? 4? ?5", "488b??4??5", "48 8B ? 4? ?5", " 48\t8b\n??  4? ?5 "):
        pattern = scan.parse_hex_pattern(text)
        assert pattern.data == bytes.fromhex("488b004005")
        assert pattern.mask == bytes.fromhex("ffff00f00f")
        assert len(pattern) == 5
    assert scan.parse_hex_pattern(str(pattern)) == pattern


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("", "''"),
        ("   ", "no bytes"),
        ("4", "'4'"),
        ("48 8", "'8'"),
        ("48 8B 4", "'4'"),
        ("488", "'488'"),
        ("48 GG", "'G'"),
        ("48 0x8B", "'x'"),
        ("48,8B", "','"),
        ("48 ü8", "'ü'"),
        ("\uff14\uff18", "'\uff14'"),
        ("48 ٣٤", "'٣'"),
        ("48 *", "[*]"),
        ("???", "'[?][?][?]'"),
        ("??", "wildcard"),
        ("?? ??", "wildcard"),
        ("48\0", "x00"),
    ],
)
def test_malformed_patterns(text, mention):
    """ValueError with what is wrong, wherever they are given."""
    with scan.open_buffer(bytes(100)) as source:
        for work in (
            scan.parse_hex_pattern,
            source.find,
            lambda t: scan.scan_pattern(source, None, t),
        ):
            with pytest.raises(ValueError, match=mention):
                work(text)


def test_patterns_of_the_wrong_kind():
    """Neither text nor bytes."""
    with scan.open_buffer(bytes(100)) as source:
        for wrong in (5, None, 4.5, ["48"], object()):
            with pytest.raises(TypeError):
                source.find(wrong)
        with pytest.raises(TypeError, match="int"):
            scan.parse_hex_pattern(5)
        with pytest.raises(ValueError, match="at least one byte"):
            source.find(b"")
        with pytest.raises(ValueError, match="mask"):
            scan.Pattern(b"abc", b"\xff")
        for options, mention in (
            ({"limit": -1}, "limit"), ({"limit": 0}, "limit"), ({"alignment": 0}, "alignment"),
            ({"alignment": 3}, "3"), ({"alignment": -4}, "alignment"), ({"threads": -1}, "threads"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=mention):
                source.find(b"abc", **options)


# ---- text ----------------------------------------------------------------------------------

TEXT = "Größe: 12 €, ΑΒΓ, ГДЕ, 字, 🙂; größe, GRÖßE, grÖßE, hello HELLO Hello hElLo h[llo H{LLO"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-16", "utf-32-le"])
@pytest.mark.parametrize("text", ["Größe", "hello", "字", "🙂;", "h[l", "12 €", "Z"])
@pytest.mark.parametrize("ignore_case", [False, True])
def test_text(encoding, text, ignore_case):
    """In any encoding; of ASCII letters the case may be ignored, of others it counts."""
    plain = encoding if encoding != "utf-16" else "utf-16-le"
    data = b"\x01" + TEXT.encode(plain) + b"\x02"
    with scan.open_buffer(data, address=1000) as source:
        found = scan.scan_text(source, None, text, encoding=encoding, ignore_case=ignore_case)
    flags = re.IGNORECASE | re.ASCII if ignore_case else 0
    want = [
        1001 + len(TEXT[: hit.start()].encode(plain))
        for hit in re.finditer(f"(?={re.escape(text)})", TEXT, flags)
    ]
    # Python takes ASCII flags to keep other letters apart, as the scanner does.
    assert found.tolist() == want


@pytest.mark.parametrize(
    ("text", "encoding", "mention"),
    [
        ("", "utf-8", "empty"),
        ("ä", "ascii", "ä"),
        ("a\ud800", "utf-8", "ud800"),
        ("a", "no such encoding", "no such encoding"),
    ],
)
def test_text_that_cannot_be(text, encoding, mention):
    """ValueError with what is wrong."""
    with scan.open_buffer(bytes(100)) as source, pytest.raises(ValueError, match=mention):
        scan.scan_text(source, None, text, encoding=encoding)


def test_bytes_in_either_case(layout):
    """ignore_case of a pattern of bytes is for letters alone."""
    data = b"ab AB aB @B `b \xe1b"
    with scan.open_buffer(data) as source:
        assert source.find(b"ab", ignore_case=True).tolist() == [0, 3, 6]
        assert source.find(b"AB").tolist() == [3]
        assert source.find(b"@b", ignore_case=True).tolist() == [9]


# ---- limits and boundaries -----------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
@pytest.mark.parametrize("threads", [1, 4])
def test_limits(layout, limit, threads):
    """The lowest addresses, however many threads look."""
    process, start, size, image = layout
    pattern = scan.parse_hex_pattern("01 00")
    found = process.find(pattern, within(process, start, size), limit=limit, threads=threads)
    equal(np.asarray(found), expected(image, pattern)[:limit])


@pytest.mark.parametrize("length", [2, 8, 40, 5000])
@pytest.mark.parametrize("threads", [1, 2])
def test_matches_across_chunks(length, threads):
    """Around every place where a chunk may begin, and up to the last byte."""
    rng = np.random.default_rng(length)
    needle = rng.integers(200, 255, length, dtype=np.uint8)
    with Target() as target:
        size = 5 * MIB
        start = target.fresh(size)
        data = rng.integers(0, 200, size, dtype=np.uint8)
        places = {0, size - length}
        for chunk in CHUNKS:
            for edge in range(chunk, size, chunk):
                places.add(edge - 1 - int(rng.integers(length - 1)))
        kept = []
        for place in sorted(places):
            if not kept or (place >= kept[-1] + length and place <= size - length):
                kept.append(place)
                data[place : place + length] = needle
        target.put(start, data)
        with scan.open_process(target.pid) as process:
            found = process.find(needle.tobytes(), within(process, start, size), threads=threads)
        # No other byte is one of the needle's.
        assert (np.asarray(found) - np.uint64(start)).tolist() == kept
        assert len(kept) > size // CHUNKS[0] // 2


def test_matches_that_overlap():
    """Each place is one of its own."""
    with scan.open_buffer(b"aaaaaa") as source:
        assert source.find(b"aaa").tolist() == [0, 1, 2, 3]
        assert source.find(b"aaaaaa").tolist() == [0]
        assert source.find(b"aaaaaaa").tolist() == []


def test_matches_across_regions():
    """Neighbours are one; what lies behind a hole is another."""
    with Target() as target:
        start = target.array(np.full(4 * PAGE, 7, np.uint8))
        target.protect(start + PAGE, PAGE, "r")
        with scan.open_process(target.pid) as process:
            regions = within(process, start, 4 * PAGE)
            needle = b"\7" * (3 * PAGE)
            assert process.find(needle, regions).size == PAGE + 1
            target.protect(start + 2 * PAGE, PAGE, "none")
            found = process.find(b"\7" * (PAGE + 1), within(process, start, 4 * PAGE))
            assert (found - np.uint64(start)).tolist() == list(range(PAGE))
            assert process.find(b"\7" * (2 * PAGE + 1), within(process, start, 4 * PAGE)).size == 0


def test_an_empty_result_is_an_array(layout):
    """Of addresses, with what was skipped."""
    process, start, size, _ = layout
    found = process.find(b"these bytes are nowhere", within(process, start, size))
    assert found.dtype == np.uint64
    assert found.shape == (0,)
    assert isinstance(found.skipped, list)
