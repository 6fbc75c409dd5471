"""``gmemx scan`` on processes started here, and what it shares with ``gmemx interactive``."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from cli_game import SIZE, Game, places, records, until
from scan_cores import write_core

if sys.platform != "linux":
    pytest.skip("the scanner is for Linux", allow_module_level=True)

from gmemx import scan
from gmemx.cli import output as output_module
from gmemx.cli import progress_bar
from gmemx.cli.chapters import scan_picture
from gmemx.cli.chapters.scan_target import Target
from gmemx.cli.output import Output
from gmemx.cli.targets import Atlas, size

# ---- gmemx scan ---------------------------------------------------------------


def test_pattern(command, game):
    game.put_bytes(1000, bytes.fromhex("de ad 00 ef de ad 11 ef de ad 22 ee"))
    expected = [game.address + 1000, game.address + 1004]
    for pattern in ("DE AD ?? EF", "dead??ef", "de ad ? ef", "d? ad ?? ?f", " DE  AD ??EF "):
        assert places(command("scan", game.pid, "--pattern", pattern, *game.only, "--json")) == (
            expected
        ), pattern

    done = command("scan", game.pid, "--pattern", "DE AD ?? EF", *game.only)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [int(line[0], 16) for line in lines] == expected
    assert {line[1] for line in lines} == {"rw-p"}
    assert lines[0][2].endswith("+0x3e8")
    assert done.stderr == "2 found in 65.5 kB\n"


def test_all_memory_is_searched_without_any_option(command, game):
    """Heap, stacks and anonymous memory too, and not only what is mapped from files."""
    marker = os.urandom(24)
    game.put_bytes(0, marker)
    found = records(command("scan", game.pid, "--pattern", marker.hex(), "--json"))
    assert game.address in [int(record["address"], 16) for record in found]
    # What it was told lies about in its heap too.
    assert {record["kind"] for record in found} <= {"heap", "stack", "anonymous"}


def test_all_modules_is_what_is_mapped_from_files(command, game):
    done = command("scan", game.pid, "--pattern", "7F 45 4C 46", "--all-modules", "--json")
    found = records(done)
    assert {record["kind"] for record in found} == {"file"}
    assert len({record["region"] for record in found}) > 2, "the program and its libraries"
    # A module's first bytes are its ELF header.
    assert "0x0" in [record["offset"] for record in found]
    name = found[0]["region"]
    done = command("scan", game.pid, "--pattern", "7F 45 4C 46", "--module", name, "--json")
    assert {record["region"] for record in records(done)} == {name}


def test_text(command, game):
    game.put_bytes(0, b"Player 1, player 1")
    game.put_bytes(100, "Player 1".encode("utf-16-le"))
    run = [game.pid, *game.only, "--json", "--text", "Player 1"]
    assert places(command("scan", *run)) == [game.address]
    assert places(command("scan", *run, "--ignore-case")) == [game.address, game.address + 10]
    assert places(command("scan", *run, "--encoding", "utf-16-le")) == [game.address + 100]


def test_values_of_each_type(command, game):
    game.put(0, "i", -5)
    game.put(64, "Q", 2**64 - 1)
    game.put(128, "d", 0.1)
    game.put(192, "f", 0.1)
    run = [game.pid, *game.only, "--json"]
    for value, kind, offset in (
        ("-5", "i32", 0),
        (str(2**64 - 1), "u64", 64),
        ("0xffff_ffff_ffff_ffff", "u64", 64),
        ("0.1", "f64", 128),
        ("0.1", "f32", 192),
    ):
        (found,) = records(command("scan", *run, "--value", value, "--value-type", kind))
        assert int(found["address"], 16) == game.address + offset
        assert found["type"] == {"i": "int", "u": "uint", "f": "float"}[kind[0]] + kind[1:]
        assert found["value"] == pytest.approx(float(value) if "." in value else int(value, 0))
    assert records(command("scan", *run, "--value", "0.11", "--value-type", "f64")) == []
    done = command("scan", *run, "--value", "0.11", "--value-type", "f64", "--tolerance", "0.02")
    assert [record["value"] for record in records(done)] == [0.1]


def test_several_types_at_once(command, game):
    game.put(0, "i", 77777)
    game.put(64, "d", 77777.0)
    done = command("scan", game.pid, *game.only, "--value", "77777", "--value-type", "all")
    kinds = {tuple(line.split()[2:4]) for line in done.stdout.splitlines()}
    assert ("int32", "77777") in kinds
    assert ("float64", "77777.0") in kinds
    assert not any(kind.startswith(("int8", "uint8", "int16")) for kind, _ in kinds)


def test_alignment_and_limit(command, game):
    game.put_bytes(1, struct.pack("=3i", 123454321, 123454321, 123454321))
    run = [game.pid, *game.only, "--json", "--value", "123454321"]
    assert places(command("scan", *run)) == []
    expected = [game.address + offset for offset in (1, 5, 9)]
    assert places(command("scan", *run, "--alignment", 1)) == expected
    assert places(command("scan", *run, "--alignment", 1, "--limit", 2)) == expected[:2]


def test_by_name(command, game):
    game.put(0, "i", 123454321)
    run = ["--value", "123454321", *game.only, "--json"]
    assert places(command("scan", game.name, *run)) == [game.address]
    other = Game(game.name)
    try:
        done = command("scan", game.name, *run)
        assert (done.returncode, done.stdout) == (1, "")
        assert str(game.pid) in done.stderr
        assert str(other.pid) in done.stderr
        assert len(done.stderr.splitlines()) == 1
    finally:
        other.kill()


def test_verbosity(command, game):
    game.put(0, "i", 123454321)
    run = [game.pid, *game.only, "--value", "123454321"]
    one, three = command("scan", *run, "-v"), command("scan", *run, "-vvv")
    assert f"{game.name} ({game.pid}): 65.5 kB in 1 regions" in one.stderr
    assert "GB/s" in one.stderr
    assert struct.pack("=i", 123454321).hex(" ") in one.stdout
    assert len(three.stderr.splitlines()) > len(one.stderr.splitlines())


def test_the_target_is_stopped_when_asked_and_resumed(command, game):
    game.put(0, "i", 123454321)
    run = [game.pid, *game.only, "--json", "--value", "123454321", "--stop"]
    assert places(command("scan", *run)) == [game.address]
    game.put(0, "i", 1)  # it answers


def test_a_file(command, tmp_path):
    path = tmp_path / "image.bin"
    path.write_bytes(bytes(5000) + b"needle" + bytes(3000) + struct.pack("=i", 123454321))
    assert places(command("scan", "--file", path, "--text", "needle", "--json")) == [5000]
    done = command("scan", "--file", path, "--value", "123454321", "--alignment", 2, "--json")
    assert places(done) == [8006]


def test_a_core_dump(command, game, tmp_path):
    """Of a process that has ended since; one of its regions was not dumped."""
    game.put_bytes(100, b"needle")
    path, other = tmp_path / "core", tmp_path / "other"
    write_core(path, game.pid)
    write_core(other, game.pid, left_out=[game.address])
    game.kill()
    run = ["--text", "needle", *game.only]
    done = command("scan", "--core", path, *run)
    assert done.stdout.split()[:2] == [f"{game.address + 100:#018x}", "rw-p"]
    done = command("scan", "--core", other, *run, "-vv")
    assert "of which 65.5 kB could not be read" in done.stderr
    end = game.address + SIZE
    assert f"{game.address:#x} to {end:#x} was not read: not dumped" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["{pid}"], 1, "one of --pattern, --text and --value"),
        (["{pid}", "--pattern", "00", "--text", "a"], 1, "one of"),
        (["{pid}", "--pattern", "DE A"], 1, "'A'"),
        (["{pid}", "--pattern", "xyz"], 1, "'x'"),
        (["{pid}", "--pattern", "\N{FULLWIDTH LATIN CAPITAL LETTER D}E"], 1, "hex digit"),
        (["{pid}", "--pattern", ""], 1, "no bytes"),
        (["{pid}", "--pattern", "??"], 1, "wildcard"),
        (["{pid}", "--text", ""], 1, "empty"),
        (["{pid}", "--text", "a", "--encoding", "no-such"], 1, "no-such"),
        (["{pid}", "--value", "ten"], 1, "'ten' is not a number"),
        (["{pid}", "--value", "nan", "--value-type", "f32"], 1, "NaN"),
        (["{pid}", "--value", "300", "--value-type", "i8"], 1, "300"),
        (["{pid}", "--value", "-1", "--value-type", "u32"], 1, "-1"),
        (["{pid}", "--value", "2.5"], 1, "2.5"),
        (["{pid}", "--value", "1", "--value-type", "i31"], 1, "i31"),
        (["{pid}", "--value", "1", "--ignore-case"], 1, "--ignore-case goes with --text"),
        (["{pid}", "--text", "a", "--tolerance", "1"], 1, "--tolerance goes with --value"),
        (["{pid}", "--text", "a", "--kind", "hip"], 1, "hip"),
        (["{pid}", "--text", "a", "--permissions", "rz"], 1, "rz"),
        (["{pid}", "--text", "a", "--module", "no-such-module"], 1, "no such regions"),
        (["{pid}", "--text", "a", "--limit", "0"], 2, "too few"),
        (["{pid}", "--text", "a", "--start", "here"], 2, "here"),
        (["{pid}", "--text", "a", "--file", "x"], 1, "one TARGET"),
        (["--text", "a"], 1, "one TARGET"),
        (["--text", "a", "--file", "no-such-file"], 1, "no-such-file"),
        (["--text", "a", "--core", "/dev/null"], 1, "/dev/null"),
        (["no-such-process", "--text", "a"], 1, "no process is called 'no-such-process'"),
        (["4194999", "--text", "a"], 1, "4194999"),
        (["99999999999999999999", "--text", "a"], 1, "99999999999999999999"),
        (["0", "--text", "a"], 1, "0"),
    ],
)
def test_bad_arguments_get_a_sentence(command, game, arguments, status, words):
    done = command("scan", *(str(word).format(pid=game.pid) for word in arguments))
    assert done.returncode == status, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if status == 1:
        assert len(done.stderr.splitlines()) == 1


def test_json_needs_no_extra(tmp_path, game):
    """Tables and the prompt are drawn by others, JSON lines are not."""
    game.put(0, "i", 123454321)
    source = (
        "import sys; sys.modules['rich'] = sys.modules['prompt_toolkit'] = None; "
        "from gmemx.cli import main; "
        f"pid, only = '{game.pid}', {game.only!r}; "
        "status = main(['scan', pid, '--value', '123454321', '--json', *only]); "
        "sys.exit(status or main(['interactive', pid, '--json', *only]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        input="filter eq 123454321\nlist\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1 + 4


# ---- the tour ---------------------------------------------------------------------


def test_the_picture_has_each_address_in_its_region():
    """In order, from a region's first cell to its last, whatever their sizes are."""
    sizes = (1 << 12, 1 << 30, 1 << 14, 3 << 12)
    regions, start = [], 1 << 20
    for bytes_of in sizes:
        regions.append(scan.Region(start, start + bytes_of, "rw-p", "heap", 0, ""))
        start += 2 * bytes_of
    whole = scan_picture.CELLS**2
    room = np.sqrt(sizes) / np.sqrt(sizes).sum() * whole
    ends = np.cumsum(room)
    for region, first, last in zip(regions, [0, *ends], ends, strict=False):
        inside = np.linspace(region.start, region.end - 1, 50).astype(np.uint64)
        found = scan_picture.cells(regions, inside)
        assert np.all(np.diff(found) >= 0)
        assert found[0] == int(first)
        assert found[-1] <= min(int(last), whole - 1)
        assert abs(found[-1] - last) <= 1
    assert scan_picture.coloured(regions).shape == (whole, 3)


def test_the_target_of_the_tour_keeps_its_word(tmp_path):
    """The counter and the hidden numbers are where it says, and counting moves only that."""
    with Target(1 << 20, 10, 1_234_567_890, 42) as target, scan.open_process(target.pid) as process:
        block = np.frombuffer(process.read(target.block, 1 << 20), np.int32)
        places = np.flatnonzero(block == 1_234_567_890).astype(np.uint64) * np.uint64(4)
        assert np.array_equal(places + np.uint64(target.block), target.places)
        assert process.read_value(target.count_at, "i32") == 0
        assert target.step(5) == 5
        assert process.read_value(target.count_at, "i32") == 5
        target.run()
        until(lambda: process.read_value(target.count_at, "i32") > 10)
        alone = target.pause()
        assert process.read_value(target.count_at, "i32") == 5 + alone
    with pytest.raises(ProcessLookupError):
        scan.open_process(target.pid)


# ---- what both commands share -------------------------------------------------


def test_a_bar_is_drawn_only_where_it_takes_long(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    output = Output(as_json=False, err=screen)
    with output.progress("searching") as tick:
        tick(1, 100)
    assert screen.getvalue() == ""
    monkeypatch.setattr(progress_bar, "SOON", -1.0)
    with output.progress("searching") as tick:
        tick(50_000_000, 100_000_000)
    assert "searching" in screen.getvalue()
    with Output(as_json=False, err=io.StringIO()).progress("searching") as tick:
        assert tick is None


def test_sizes():
    assert [size(text) for text in ("0", "4096", "64k", "2M", "0x10")] == [
        *(0, 4096, 65536, 2 << 20, 16)
    ]
    assert output_module.amount(9_999) == "9,999 B"


def test_places_are_named_by_module_and_offset():
    """A file's second mapping is counted from its first."""

    def region(start, kind, name):
        return scan.Region(start, start + 0x1000, "rw-p", kind, 0, name)

    atlas = Atlas(
        [
            region(0x1000, "file", "/lib/libx.so"),
            region(0x3000, "file", "/lib/libx.so"),
            region(0x5000, "heap", "[heap]"),
            region(0x7000, "anonymous", ""),
        ]
    )
    assert atlas.place(0x1010) == "libx.so+0x10"
    assert atlas.place(0x3010) == "libx.so+0x2010"
    assert atlas.place(0x5010) == "[heap]+0x10"
    assert atlas.place(0x7010) == "anonymous+0x10"
    assert atlas.place(0x2000) == "?"
    assert atlas.place(0x8000) == "?"
    assert atlas.place(0) == "?"
