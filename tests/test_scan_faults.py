"""Targets that map and unmap wildly, are killed, or are others: the scripts of ``scan_faults``.

Each runs in an interpreter of its own. What it prints are its counts, which are looked at here.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from scans import linux_only
from test_pool_faults import number

HERE = Path(__file__).parent
CANNOT_RUN = 77

pytestmark = linux_only


def counts(script, *options):
    """What a script printed."""
    command = [sys.executable, "-m", f"scan_faults.{script}", *options]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300)
    if done.returncode == CANNOT_RUN:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    return done.stdout


def test_a_target_that_maps_and_unmaps_wildly():
    """200 scans: what stays is found by each, and what is gone is reported."""
    printed = counts("churn")
    assert number(printed, "scans while") >= 200
    # It was wild indeed, and seen to be.
    assert number(printed, "times") > 10_000
    assert number(printed, "ranges skipped") > 100
    assert number(printed, "matches dropped") > 100
    assert number(printed, "short reads") > 10
    assert number(printed, "marks lost") == 0


def test_targets_that_are_killed_in_mid_scan():
    """Every call ends, with its result or with ProcessGoneError."""
    printed = counts("kill")
    assert number(printed, "targets killed") == 60
    assert number(printed, "interrupted") >= 60
    assert number(printed, "hangs") == 0


def test_a_pid_that_another_process_has_now():
    """Nothing of it is read, written or stopped."""
    printed = counts("reuse")
    assert number(printed, "pids given to others") == 2
    assert number(printed, "calls refused") == 26
    assert number(printed, "of another's memory") == 0
