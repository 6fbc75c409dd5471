"""What the tests of a Dask cluster run on its workers."""

import os
import time

import numpy as np

import gmemx


def pid():
    """The worker's process id."""
    return os.getpid()


def slowly(block, seconds):
    """A block, after some time."""
    time.sleep(seconds)
    return block


def tensor(n, dtype):
    """A tensor made on a worker."""
    return gmemx.GMemContext(7).tensor(0, n).astype(dtype)


def doubled(tensor):
    """Twice a tensor, as a list."""
    return (tensor.numpy() * 2).tolist()


def held(pool_name, n, value):
    """A pool's buffer with n numbers, which stays with the worker."""
    guard = gmemx.BufferPool.open(pool_name).acquire(n, "float64")
    guard.numpy()[:] = value
    return guard


def marked(guard, index, value):
    """Writes to a buffer; where it is, and its sum."""
    guard.numpy()[index] = value
    return os.getpid(), guard.meta_index, float(guard.numpy().sum())


def without_gmemx():
    """Makes a worker one that has no gmemx."""
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "gmemx"]:
        del sys.modules[name]
    sys.modules["gmemx"] = None


def moments(block):
    """Something of a block that NumPy makes."""
    return np.array([[block.sum(), block.min(), block.max()]])
