"""How much memory a piece of work leaves behind, for the tests that nothing leaks."""

import gc
from pathlib import Path

import pytest

STATM = Path("/proc/self/statm")
needs_statm = pytest.mark.skipif(not STATM.exists(), reason="resident size is read from /proc")


def resident():
    """Bytes of memory in use by this process."""
    pages = int(STATM.read_text().split()[1])
    return pages * 4096


def growth(work, times):
    """How many bytes the process grows by doing ``work`` that often, once it is warm."""
    for _ in range(times // 4):
        work()
    gc.collect()
    before = resident()
    for _ in range(times):
        work()
    gc.collect()
    return resident() - before
