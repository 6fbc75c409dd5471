"""Pools for the tests: names that no other test has, and other processes that use them."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gmemx import BufferPool

SHARED_MEMORY = Path("/dev/shm")
METHODS = ("fork", "spawn", "forkserver")

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="shared pools are for Linux"
)

_numbers = itertools.count()


def unique_name():
    """A name that no other test has, in whichever process it runs."""
    return f"test-{os.getpid()}-{next(_numbers)}"


def new_pool(capacity=64, **options):
    """A pool of an unused name."""
    return BufferPool(unique_name(), capacity, **options)


def files_of(name):
    """The file by which a pool is found, where there is one."""
    return [path for path in SHARED_MEMORY.iterdir() if path.name == f"gmemx.{name}"]


def run(program, *arguments, status=0, timeout=60, **variables):
    """What a Python program of its own prints; it has to end with that status."""
    path = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))} | variables,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def in_child(work):
    """Runs a function in a forked child; raises where it did not return."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
