"""Shared pools where processes are killed, race and forge: the scripts of ``pool_faults``.

Each runs in an interpreter of its own, since it forks, and may take this one's /dev/shm
away from itself. What it prints are its counts, which are looked at here.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CANNOT_RUN = 77

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shared pools need Linux")


def counts(script, *options):
    """What a script printed."""
    command = [sys.executable, "-m", f"pool_faults.{script}", *options]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    if done.returncode == CANNOT_RUN:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert "/dev/shm is clean" in done.stdout or "it is clean" in done.stdout
    return done.stdout


def number(text, before):
    """The number that comes before these words."""
    found = re.search(rf"(\d+) {re.escape(before)}", text)
    assert found, f"no number of {before!r} in {text!r}"
    return int(found[1])


def test_killed_processes_leak_nothing():
    """2,000 of them, at random instants; those who live are never blocked."""
    printed = counts("kill")
    assert number(printed, "processes killed") == 2000
    assert number(printed, "references reclaimed") > 100
    assert ", 0 leaked, 0 buffers with two owners" in printed


def test_no_buffer_has_two_owners():
    """40 million cycles over eight slots."""
    printed = counts("cycles")
    assert number(printed, "cycles") >= 40_000_000
    assert number(printed, "handles got") > 1000
    assert number(printed, "stale") > 1000
    assert number(printed, "duplicates") == 0


def test_racing_creators_and_openers():
    """20,000 pools, and no error that is not true."""
    printed = counts("races")
    assert number(printed, "pools raced for") == 10_000
    assert number(printed, "pools made in passing") >= 10_000
    assert number(printed, "spurious errors") == 0


def test_corrupted_regions_are_errors():
    """100,000 of them; a header that is not what it was is always refused."""
    printed = counts("fuzz")
    assert number(printed, "corrupted regions") == 100_000
    assert number(printed, "signals or hangs") == 0
    for way in ("opened corrupted", "opened by name", "scribbled on"):
        # What is not noticed at once is used, or there would be nothing to see here.
        assert number(printed.partition(way)[2], "opened") > 1000
    headers = re.search(r"corrupted headers: (\d+) opened, (\d+) refused", printed)
    assert int(headers[1]) == 0
    assert int(headers[2]) > 10_000


def test_a_full_shm_is_an_error():
    """Every buffer that was given can be written to its last byte."""
    printed = counts("full")
    assert number(printed, "buffers") > 1000
    assert number(printed, "signals") == 0


def test_forks_and_multiprocessing():
    """In the middle of everything, by every start method, and as many as there can be."""
    printed = counts("forks")
    assert number(printed, "processes attached at once") == 96
    assert "number 97 refused" in printed
    for method in ("fork", "spawn", "forkserver"):
        assert f"multiprocessing with {method}" in printed
