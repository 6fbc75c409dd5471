"""Where memory is refused there is a MemoryError, and the context goes on working."""

import json
import subprocess
import sys

import pytest

EXHAUSTION = r"""
import json, resource
import numpy as np
import gmemx

context = gmemx.GMemContext(11)
clean = context[2**50 : 2**50 + 10_000]      # the tables are made before memory is short
context[0:100] = 1.0
many, ones = np.arange(4_000_000, dtype=np.uint64) * np.uint64(64), np.ones(4_000_000)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
# Filled in beforehand: with no memory at all, even a new key may be refused.
names = ["read", "fetch_many", "fill", "huge fill", "fork", "overlay", "write_many"]
seen = dict.fromkeys(names)


def limit(megabytes):
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20), resource.RLIM_INFINITY))


limit(96)


def attempt(name, work):
    try:
        work()
    except MemoryError:
        seen[name] = "MemoryError"
    else:
        seen[name] = "done"


def usable():
    limit(112)  # what the checks themselves need
    count = context.overlay_count
    assert (context[2**50 : 2**50 + 10_000] == clean).all()
    assert (context[0:100] == 1.0).all()
    assert context.fetch_many([0, 2**50]).tolist() == [1.0, clean[0]]
    context[2**60] = 2.0
    assert context.overlay_count == count + 1
    del context[2**60]
    assert context.overlay_count == count
    limit(96)


def fill_until_refused():
    for start in range(100, 2**26, 2**18):
        context[start : start + 2**18] = 1.0


attempt("read", lambda: context[0 : 2**26])
usable()
attempt("fetch_many", lambda: context.fetch_many(np.broadcast_to(np.uint64(5), 2**25)))
usable()
attempt("fill", fill_until_refused)
usable()
attempt("huge fill", lambda: context.__setitem__(slice(100, 2**50), 1.0))
usable()
attempt("fork", context.fork)
usable()
attempt("overlay", context.overlay)
usable()
del context[100:2**64]
assert context.overlay_count == 100
attempt("write_many", lambda: context.write_many(many, ones, threads=2))
context[0:100] = 1.0
usable()
where, values = None, None
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
where, values = context.overlay()
assert len(where) == context.overlay_count
assert (values == 1.0).all()
context.clear()
context[0:1000] = 2.0
assert context.overlay_count == 1000
print(json.dumps(seen))
"""


limited = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="RLIMIT_AS binds on Linux only"
)


@limited
def test_memory_exhaustion():
    """Where the system refuses memory there is a MemoryError, and the context goes on working."""
    done = subprocess.run([sys.executable, "-c", EXHAUSTION], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen == dict.fromkeys(seen, "MemoryError")


REDUCTIONS = r"""
import json, resource, sys
import gmemx

context = gmemx.GMemContext(11)
large, small = context.array(2**22 + 99, offset=2**40 + 7), context.array(100_000, offset=2**50 + 3)
if sys.argv[1:] == ["short"]:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), resource.RLIM_INFINITY))
results = [fold(threads=1) for fold in (small.sum, small.min, small.max, small.std, large.max)]
counts, _ = large.histogram(12, (0.1, 0.9), threads=1)
print(json.dumps([result.hex() for result in results] + counts.tolist()))
"""


@limited
def test_reductions_without_memory_for_tables():
    """Neither the tables nor their planes can be had: the same bits, cell by cell."""
    ample, short = (
        subprocess.run(
            [sys.executable, "-c", REDUCTIONS, *argument],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for argument in ([], ["short"])
    )
    assert json.loads(short) == json.loads(ample)
