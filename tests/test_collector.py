"""What the garbage collector may do to the classes that count others' uses."""

import ctypes
import gc
import sys
import sysconfig

import pytest

import gmemx

# Where PyTypeObject has tp_clear, in pointers from its start: so it is in every CPython of
# 64 bits with the global interpreter lock.
TP_CLEAR = 24

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="shared pools are for Linux")


def has_clear(kind: type) -> bool:
    slots = ctypes.cast(id(kind), ctypes.POINTER(ctypes.c_void_p))
    return slots[TP_CLEAR] is not None


@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="types are laid out differently"
)
def test_a_tensor_is_never_cleared():
    """It counts itself out of its base when it goes, so the base must still be there."""
    assert has_clear(list)
    assert has_clear(dict)
    assert not has_clear(float)
    assert not has_clear(gmemx.Tensor)


@linux_only
def test_guards_cost_the_collector_nothing():
    """They refer to a pool, which refers to nobody."""
    pool = gmemx.BufferPool.anonymous()
    with pool.acquire_cpu(64) as guard:
        assert not gc.is_tracked(guard)
    assert gc.is_tracked([])
