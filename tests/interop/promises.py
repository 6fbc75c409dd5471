"""What holds beside the table: threads, exits, and what readers of docs/interop.md rely on."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import gmemx

from .cases import add, case
from .peers import MODULES, missing
from .routes import OUT, ROUTES
from .situations import scene

CONSUMERS = {
    "numpy": lambda t: np.from_dlpack(t),
    "torch": lambda t: __import__("torch").from_dlpack(t),
    "jax": lambda t: __import__("jax.numpy").numpy.from_dlpack(t).block_until_ready(),
    "tvm-ffi": lambda t: __import__("tvm_ffi").from_dlpack(t),
    "pyarrow": lambda t: __import__("pyarrow").array(t),
}


def dropped_elsewhere(take):
    """Arrays taken here and dropped on other threads all give back what they held."""
    t = gmemx.zeros(1024)
    held = [[take(t) for _ in range(50)] for _ in range(4)]
    with pytest.raises(BufferError, match="views or exports"):
        t.close()

    def drop(mine):
        while mine:
            mine.pop()
            mine.append(take(t))
            mine.pop()

    threads = [threading.Thread(target=drop, args=(mine,)) for mine in held]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    t.close()


EXIT = """
import ctypes, sys
import numpy as np
import gmemx
from interop.promises import CONSUMERS
from interop.structs import Taken
t = gmemx.Tensor(np.arange(1024.0))
held = [CONSUMERS[sys.argv[1]](t), t.__dlpack__(), t.__dlpack__(max_version=(1, 0)), t[1:]]
taken = gmemx.from_dlpack(t)
memory = memoryview(t)
# A cycle, which the interpreter takes apart at its end.
held.append(held)
# A consumer that lets go when the interpreter is gone.
late = Taken(t.__dlpack__(max_version=(1, 0)))
struct, late.struct = late.struct, None
ctypes.CDLL(None).__cxa_atexit(
    ctypes.c_void_p(struct.deleter), ctypes.c_void_p(ctypes.addressof(struct)), None)
array = t.__arrow_c_array__()
print("ready")
"""


def at_exit(library):
    """The interpreter ends well with arrays, views and capsules of every kind about."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "ignore", "-c", EXIT, library],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


for name, take in CONSUMERS.items():
    add(name, "arrays dropped on other threads", lambda take=take: dropped_elsewhere(take))
    add(name, "arrays and capsules left at exit", lambda name=name: at_exit(name))


def closed():
    """Nothing leaves a closed tensor, whatever the way."""
    for route in ROUTES:
        if route.direction == OUT and route.library in ("ctypes", "numpy", "python"):
            made = scene("float32", "contiguous", route.flat)
            made.tensor.close()
            with pytest.raises(ValueError, match="closed"):
                route.go(made.tensor, np, "float32")


add("numpy", "a closed tensor goes nowhere", closed)


@case("numpy")
def numpy_refuses_a_copy():
    """np.asarray and __array__ refuse where copy=False cannot be kept."""
    t = gmemx.zeros(4, "float32")
    assert np.asarray(t, copy=False).ctypes.data == np.asarray(t).ctypes.data
    with pytest.raises(ValueError, match="copy"):
        np.asarray(t, dtype="float64", copy=False)
    with pytest.raises(ValueError, match="copy"):
        t.__array__("float64", copy=False)
    assert t.__array__("float64").dtype == "float64"
    with pytest.raises(BufferError):
        np.from_dlpack(t[::-1], copy=False)


@case("numpy")
def buffer_requests():
    """A consumer that knows no strides gets contiguous memory or BufferError."""
    t = gmemx.Tensor(np.arange(6.0).reshape(2, 3))
    assert bytes(t) == np.arange(6.0).tobytes()
    assert np.frombuffer(t).tolist() == [0, 1, 2, 3, 4, 5]
    for view in (t.T, t[:, ::2], t[::-1]):
        with pytest.raises((BufferError, ValueError), match="contiguous"):
            np.frombuffer(view)
        assert memoryview(view).tobytes() == np.asarray(view).tobytes()
    frozen = gmemx.Tensor.from_buffer(b"12345678", "float64")
    with pytest.raises((BufferError, TypeError)):
        __import__("io").BytesIO(b"87654321").readinto(frozen)
    assert frozen.tolist() == np.frombuffer(b"12345678").tolist()


@case("numpy")
def numpy_broadcast():
    """An array with strides of 0 comes as it is, read-only as NumPy has it."""
    wide = np.broadcast_to(np.arange(3.0), (4, 3))
    for t in (gmemx.from_dlpack(wide), gmemx.Tensor.from_buffer(wide)):
        assert (t.shape, t.strides, t.readonly) == ((4, 3), (0, 8), True)
        assert t.tolist() == wide.tolist()
        # And leaves again: no element is beyond the memory.
        assert np.from_dlpack(t.share_readonly()).strides == (0, 8)


@case("torch")
def torch_expanded():
    """PyTorch's expanded tensors come with their strides of 0."""
    import torch

    t = gmemx.from_dlpack(torch.arange(3.0).expand(4, 3))
    assert (t.shape, t.strides) == ((4, 3), (0, 4))
    assert t.tolist() == [[0.0, 1.0, 2.0]] * 4


@case("torch")
def torch_refusals():
    """What PyTorch cannot give raises what PyTorch raises."""
    import torch

    with pytest.raises(BufferError):
        gmemx.from_dlpack(torch.zeros(2, requires_grad=True))
    with pytest.raises(BufferError):
        gmemx.from_dlpack(torch.zeros(2, dtype=torch.complex64))
    with pytest.raises((BufferError, RuntimeError, ValueError)):
        gmemx.from_dlpack(torch.zeros(2, device="meta"))
    with pytest.raises((BufferError, RuntimeError)):
        gmemx.from_dlpack(torch.eye(2).to_sparse())


@case("torch")
def to_torch():
    """`to_torch` copies what PyTorch cannot take only where it may, and never what is read-only."""
    t = gmemx.zeros((4, 6))
    assert t.to_torch().data_ptr() == np.asarray(t).ctypes.data
    assert t.to_torch(copy=True).data_ptr() != np.asarray(t).ctypes.data
    assert t[::-1].to_torch().tolist() == t[::-1].tolist()
    with pytest.raises(BufferError, match="negative"):
        t[::-1].to_torch(copy=False)
    frozen = gmemx.Tensor.from_buffer(bytes(16), "float64")
    for copy in (None, False):
        with pytest.raises(BufferError, match="read-only"):
            frozen.to_torch(copy=copy)
    mine = frozen.to_torch(copy=True)
    mine += 1
    assert frozen.tolist() == [0.0, 0.0]
    # A stride that no element uses is no reason to copy.
    one = t[2:1:-1]
    assert one.to_torch().data_ptr() == np.asarray(one).ctypes.data


@case("torch")
def torch_tables():
    """tvm-ffi's functions take PyTorch's tensors and gmemx's, and give back what they got."""
    if reason := missing("tvm-ffi"):
        pytest.skip(reason)
    import torch
    import tvm_ffi

    echo = tvm_ffi.get_global_func("testing.echo")
    t = gmemx.Tensor([1.0, 2.0, 3.0], "bfloat16")
    again = echo(t)
    assert type(again) is gmemx.Tensor
    again[0] = 5.0
    assert t.tolist() == [5.0, 2.0, 3.0]
    assert type(echo(torch.zeros(2))) is torch.Tensor
    del again
    t.close()


@case("jax")
def jax_stays_immutable():
    """A tensor over a JAX array is read-only: such arrays never change."""
    import jax.numpy as jnp

    x = jnp.arange(4.0)
    t = gmemx.from_dlpack(x)
    assert t.readonly
    with pytest.raises(ValueError, match="read-only"):
        t[0] = 7.0
    assert gmemx.from_dlpack(x, copy=True).readonly is False
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]


@case("jax")
def jax_without_64_bits():
    """JAX as it comes makes 32 bits of 64: it is JAX that converts, and copies."""
    script = (
        "import gmemx, jax.numpy as jnp\n"
        "for dtype in ('int64', 'uint64', 'float64', 'float32'):\n"
        "    t = gmemx.zeros(16, dtype)\n"
        "    x = jnp.from_dlpack(t).block_until_ready()\n"
        "    print(x.dtype, x.unsafe_buffer_pointer() == t.__array_interface__['data'][0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_ENABLE_X64": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == (
        ["int32", "False", "uint32", "False", "float32", "False", "float32", "True"]
    )


@case("jax")
def jax_alignment():
    """JAX shares memory that begins at a multiple of 64 bytes, as gmemx's own, and copies other."""
    import jax.numpy as jnp

    t = gmemx.zeros(64, "float32")
    for start, shared in ((0, True), (16, True), (1, False), (8, False)):
        view = t[start:]
        x = jnp.from_dlpack(view).block_until_ready()
        same = x.unsafe_buffer_pointer() == np.asarray(view).ctypes.data
        assert same == shared, start


@case("tvm-ffi")
def tvm_round_trip():
    """A tensor goes through a function of tvm-ffi's and comes back as one, on the same memory."""
    import tvm_ffi

    echo = tvm_ffi.get_global_func("testing.echo")
    for dtype in ("float32", "bool", "bfloat16", "float8_e4m3fn", "int4"):
        t = gmemx.zeros((2, 4), dtype)
        again = echo(t)
        assert (type(again), again.dtype, again.shape) == (gmemx.Tensor, t.dtype, t.shape)
        assert np.asarray(again).ctypes.data == np.asarray(t).ctypes.data
        with pytest.raises(BufferError):
            t.close()
        del again
        t.close()
    frozen = gmemx.Tensor.from_buffer(bytes(8))
    with pytest.raises(BufferError, match="read-only"):
        echo(frozen)
    assert echo(frozen.share_readonly()).tolist() == [0] * 8


@case("tvm-ffi")
def tvm_calls_back():
    """A Python function that tvm-ffi calls gets the tensor as one of gmemx's."""
    import tvm_ffi

    seen = []
    function = tvm_ffi.convert(lambda x: seen.append((type(x), x.shape)))
    t = gmemx.zeros((2, 3))
    function(t)
    assert len(seen) == 1
    assert tuple(seen[0][1]) == (2, 3)
    seen.clear()
    del function
    gc.collect()
    t.close()


assert set(CONSUMERS) <= set(MODULES)
