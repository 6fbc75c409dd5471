"""What becomes of a file on a disk that fails, or of one that somebody else has been at."""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from gmemx import GMemContext
from gmemx.errors import GmemxError

CELLS = 3000


@pytest.fixture
def path(tmp_path):
    """A file with runs and lone cells, which was written in several flushes."""
    path = tmp_path / "cells.gmem"
    rng = np.random.default_rng(1)
    with GMemContext.open(path, seed=42, generator="philox") as ctx:
        for number in range(1, 4):
            ctx[number * 10_000 : number * 10_000 + CELLS] = rng.random(CELLS)
            ctx.write_many(rng.integers(0, 2**63, 500), rng.random(500))
            ctx.flush()
    return path


def bits(context):
    addresses, values = context.overlay()
    return dict(zip(addresses.tolist(), values.view(np.uint64).tolist(), strict=True))


def refused(path, kind=ValueError, match=None):
    """Both ways to open a file refuse it, name it, and leave it as it is."""
    before = path.read_bytes() if path.is_file() else None
    for read_only in (False, True):
        with pytest.raises(kind, match=match) as caught:
            GMemContext.open(path, seed=42, read_only=read_only)
        assert isinstance(caught.value, GmemxError)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    if before is not None:
        assert path.read_bytes() == before


# ---- no file of ours --------------------------------------------------------


@pytest.mark.parametrize("content", [b"x", b"PK\3\4" + bytes(5000), b"redb\x1a\n\xa9\r", bytes(99)])
def test_a_file_of_another_program(tmp_path, content):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    refused(path, match="is no file of a generative context")


def test_a_database_of_another_program(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table cells (address integer)")
    connection.close()
    refused(path, match="is no file of a generative context")


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.gmem"
    path.touch()
    refused(path, match="is empty; a new context is made where there is no file")


def test_a_folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    refused(path, OSError, match="folder cannot be opened")


def test_the_header_alone_is_no_context(tmp_path, path):
    short = tmp_path / "short.gmem"
    short.write_bytes(path.read_bytes()[:9])
    refused(short)


# ---- damage -----------------------------------------------------------------


def test_any_flipped_bits_are_seen_or_harmless(path):
    """A damaged file is refused, or its damage is where nothing is read from."""
    whole, rng = path.read_bytes(), random.Random(3)
    wanted = bits(GMemContext.open(path, read_only=True))
    places = [rng.randrange(len(whole)) for _ in range(120)] + list(range(0, 320, 7))
    told, unchanged = [], True
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        for read_only in (True, False):
            try:
                with GMemContext.open(path, read_only=read_only) as ctx:
                    assert bits(ctx) == wanted, f"bit of byte {place}"
            except ValueError as error:
                told.append(str(error))
                unchanged &= path.read_bytes() == damaged
    assert unchanged
    assert len(told) > 20
    assert all("cells.gmem" in text for text in told)


def test_truncated_at_any_length(path):
    whole, rng = path.read_bytes(), random.Random(4)
    for length in [1, 8, 100, 319, 4095, 4096, 8192, len(whole) - 1] + [
        rng.randrange(len(whole)) for _ in range(20)
    ]:
        path.write_bytes(whole[:length])
        refused(path)


def test_what_is_readable_is_recovered(path):
    """Of a damaged file every cell that is given out is right, and most are given out."""
    whole, rng = path.read_bytes(), random.Random(5)
    wanted = bits(GMemContext.open(path, read_only=True))
    shares, told = [], []
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(1 + number % 3):
            damaged[rng.randrange(4096, len(whole))] ^= 1 << rng.randrange(8)
        if number % 4 == 0:
            del damaged[rng.randrange(len(whole) // 2, len(whole)) :]
        path.write_bytes(damaged)
        try:
            ctx, recovery = GMemContext.recover(path)
        except ValueError as error:
            told.append(str(error))
            shares.append(0.0)
            continue
        found = bits(ctx)
        assert found.items() <= wanted.items()
        assert recovery.cells == len(found)
        assert recovery.expected in (None, len(wanted))
        # Pages may be out of reach without a fault: what was expected tells of them.
        assert len(found) == len(wanted) or recovery.cells != recovery.expected
        assert (ctx.seed, ctx.generator, ctx.path) == (42, "philox", None)
        assert path.read_bytes() == damaged
        shares.append(len(found) / len(wanted))
    assert np.median(shares) > 0.9
    assert all("cells.gmem" in text for text in told)


def test_a_sound_file_is_recovered_as_a_whole(path):
    wanted = bits(GMemContext.open(path, read_only=True))
    ctx, recovery = GMemContext.recover(path)
    assert bits(ctx) == wanted
    assert (recovery.dropped_pages, recovery.faults) == (0, 0)
    with pytest.raises(ValueError, match=r"cells\.gmem has the seed 42, not 1"):
        GMemContext.recover(path, seed=1)
    with GMemContext.open(path), pytest.raises(BlockingIOError, match=r"cells\.gmem"):
        GMemContext.recover(path)
    with pytest.raises(FileNotFoundError, match="nothing"):
        GMemContext.recover(path.with_name("nothing"))


# ---- a system that says no --------------------------------------------------


def test_a_full_disk_leaves_the_last_flush(path):
    """The limit on the size of files stands in for the disk."""
    wanted = bits(GMemContext.open(path, read_only=True))
    ctx = GMemContext.open(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        ctx[2**40 : 2**40 + 200_000] = 1.5
        for _ in range(3):
            with pytest.raises(OSError, match=r"cells\.gmem could not be written|cannot be"):
                ctx.flush()
            assert ctx.unflushed
        assert bits(GMemContext.open(path, read_only=True)) == wanted
        assert ctx[2**40] == 1.5
        with pytest.raises(BlockingIOError):
            GMemContext.open(path)
        with pytest.raises(OSError, match=r"cells\.gmem"):
            ctx.close()
        assert not ctx.closed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    ctx[5] = 2.5
    ctx.close()
    after = bits(GMemContext.open(path, read_only=True))
    assert len(after) == len(wanted | after) == len(wanted.keys() | after.keys())
    assert len(after) == len(wanted) + 200_001


def test_a_file_that_cannot_be_made_is_not_there(tmp_path):
    path = tmp_path / "cells.gmem"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cells\.gmem cannot be made"):
            GMemContext.open(path, seed=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert os.listdir(tmp_path) == []


NOBODY = """
import os, sys
from gmemx import GMemContext
import gmemx._durable
# The superuser may do everything; what was not imported may be out of reach of anybody else.
if os.geteuid() == 0:
    os.setgroups([]); os.setegid(65534); os.seteuid(65534)
for arguments in ({"seed": 1}, {"read_only": True}):
    try:
        ctx = GMemContext.open(sys.argv[1], **arguments)
        print("opened", ctx.overlay_count)
    except PermissionError as error:
        print(type(error).__name__, "cells.gmem" in str(error))
    except FileNotFoundError:
        print("nothing there")
"""


def as_nobody(path):
    command = [sys.executable, "-c", NOBODY, str(path)]
    # pytest's folders are for their owner alone.
    folder = path.parent
    while folder != folder.parent and folder.stat().st_uid == os.getuid():
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
        folder = folder.parent
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_a_folder_that_may_not_be_written(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        assert as_nobody(folder / "cells.gmem") == ["AccessDeniedError True", "nothing there"]
        assert os.listdir(folder) == []
    finally:
        folder.chmod(0o755)


def test_a_file_that_may_only_be_read_or_not_even_that(path):
    with GMemContext.open(path) as ctx:
        ctx.clear()
    path.chmod(0o444)
    assert as_nobody(path) == ["AccessDeniedError True", "opened 0"]
    path.chmod(0)
    assert as_nobody(path) == ["AccessDeniedError True"] * 2
    path.chmod(0o644)


def test_a_writer_that_was_killed_is_read_without_a_trace(path):
    """A reader repairs in memory, and one that may not write the file can do so, too."""
    script = (
        "import os, sys; from gmemx import GMemContext\n"
        "ctx = GMemContext.open(sys.argv[1]); ctx[7] = 0.5; ctx.flush(); ctx[8] = 0.5\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], cwd="/")
    assert killed.returncode == -signal.SIGKILL
    before = path.read_bytes()
    reader = GMemContext.open(path, read_only=True)
    assert reader[7] == 0.5
    assert not reader.is_written(8)
    assert path.read_bytes() == before
    with GMemContext.open(path) as ctx:
        assert bits(ctx) == bits(reader)
