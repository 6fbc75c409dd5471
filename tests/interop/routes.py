"""The ways memory goes between gmemx and a library: what a consumer writes, a line each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gmemx

from . import structs


class Only:
    """An object that speaks one protocol and nothing else."""

    def __init__(self, x, name):
        self.x, self.name = x, name

    def __getattr__(self, name):
        if name == self.name:
            return getattr(self.x, name)
        raise AttributeError(name)


class OnlyArray:
    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        # Before NumPy 2.3 None is a dtype to its own arrays: float64.
        wanted = () if dtype is None else (dtype,)
        return self.x.__array__(*wanted, copy=copy)


class OldDLPack:
    """As everything before DLPack 1.0: no keyword but `stream`."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, stream=None):
        return self.x.__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


class NewDLPack(OldDLPack):
    """Versioned, even for a consumer that does not ask."""

    def __dlpack__(self, **_):
        return self.x.__dlpack__(max_version=(1, 3))


@dataclass
class Route:
    protocol: str
    library: str
    direction: str
    # From a gmemx tensor to an array of the library, or back; also gets the module and the dtype.
    go: Callable[[Any, Any, str], Any]
    # How a reader would write it.
    code: str
    # For what knows one dimension only.
    flat: bool = False
    # Whether the tensor knows that it is in use, and refuses to be closed.
    counted: bool = True
    # Whether the library's array has one dimension whatever it is given.
    flattens: bool = False

    @property
    def name(self):
        return f"{self.protocol}, {self.direction} {self.library}, {self.code}"


OUT, IN = "to", "from"
T = gmemx.Tensor


def _to_torch(torch, t):
    return structs.object_of(torch.Tensor, structs.managed_of(t))


def _from_torch(x):
    return structs.object_of(T, structs.managed_of(x))


ROUTES = (
    Route("buffer protocol", "python", OUT, lambda t, m, d: memoryview(t), "memoryview(t)"),
    Route("buffer protocol", "numpy", OUT, lambda t, m, d: np.asarray(t), "np.asarray(t)"),
    Route(
        "buffer protocol",
        "torch",
        OUT,
        lambda t, m, d: m.frombuffer(t, dtype=getattr(m, "uint8" if d == "int4" else d)),
        "torch.frombuffer(t, dtype=…)",
        flat=True,
        counted=False,
        flattens=True,
    ),
    Route(
        "buffer protocol",
        "torch",
        OUT,
        lambda t, m, d: m.asarray(t),
        "torch.asarray(t)",
        flat=True,
        counted=False,
        flattens=True,
    ),
    Route("buffer protocol", "jax", OUT, lambda t, m, d: m.asarray(t), "jnp.asarray(t)"),
    Route("buffer protocol", "pyarrow", OUT, lambda t, m, d: m.py_buffer(t), "pa.py_buffer(t)"),
    Route(
        "buffer protocol",
        "python",
        IN,
        lambda x, m, d: T.from_buffer(x, d),
        "Tensor.from_buffer(memoryview, dtype)",
    ),
    Route(
        "buffer protocol",
        "numpy",
        IN,
        lambda x, m, d: T.from_buffer(x),
        "Tensor.from_buffer(array)",
    ),
    Route(
        "buffer protocol",
        "pyarrow",
        IN,
        lambda x, m, d: T.from_buffer((x.storage if d == "bool" else x).buffers()[1], d)[
            x.offset : x.offset + len(x)
        ],
        "Tensor.from_buffer(pa_buffer, dtype)",
        flat=True,
    ),
    Route("`numpy()`", "numpy", OUT, lambda t, m, d: t.numpy(), "t.numpy()"),
    Route("`__array__`", "numpy", OUT, lambda t, m, d: np.asarray(OnlyArray(t)), "t.__array__()"),
    Route(
        "`__array__`",
        "numpy",
        OUT,
        lambda t, m, d: np.array(OnlyArray(t), copy=True),
        "t.__array__(copy=True)",
    ),
    Route("`__array__`", "numpy", IN, lambda x, m, d: T(OnlyArray(x)), "Tensor(object)"),
    Route(
        "`__array_interface__`",
        "numpy",
        OUT,
        lambda t, m, d: t.__array_interface__ and np.asarray(Only(t, "__array_interface__")),
        "np.asarray(interface)",
        counted=False,
    ),
    Route(
        "`__array_interface__`",
        "numpy",
        IN,
        lambda x, m, d: T(Only(x, "__array_interface__")),
        "Tensor(interface)",
    ),
    # DLPack as it was before 1.0.
    Route(
        "DLPack legacy",
        "ctypes",
        OUT,
        lambda t, m, d: structs.Taken(t.__dlpack__()),
        "t.__dlpack__()",
    ),
    Route(
        "DLPack legacy",
        "numpy",
        OUT,
        lambda t, m, d: np.from_dlpack(OldDLPack(t)),
        "np.from_dlpack(old)",
    ),
    Route(
        "DLPack legacy",
        "torch",
        OUT,
        lambda t, m, d: m.from_dlpack(t.__dlpack__()),
        "torch.from_dlpack(capsule)",
    ),
    Route("DLPack legacy", "jax", OUT, lambda t, m, d: m.from_dlpack(t), "jnp.from_dlpack(t)"),
    Route(
        "DLPack legacy",
        "jax",
        OUT,
        lambda t, m, d: m.from_dlpack(t, copy=True),
        "jnp.from_dlpack(t, copy=True)",
    ),
    Route(
        "DLPack legacy",
        "tvm-ffi",
        OUT,
        lambda t, m, d: m.from_dlpack(OldDLPack(t)),
        "tvm_ffi.from_dlpack(old)",
    ),
    Route(
        "DLPack legacy",
        "ctypes",
        IN,
        lambda x, m, d: gmemx.from_dlpack(x.legacy_capsule()),
        "gmemx.from_dlpack(capsule)",
    ),
    Route(
        "DLPack legacy",
        "numpy",
        IN,
        lambda x, m, d: gmemx.from_dlpack(x.__dlpack__()),
        "gmemx.from_dlpack(capsule)",
    ),
    Route(
        "DLPack legacy",
        "torch",
        IN,
        lambda x, m, d: gmemx.from_dlpack(x.__dlpack__()),
        "gmemx.from_dlpack(capsule)",
    ),
    Route(
        "DLPack legacy",
        "jax",
        IN,
        lambda x, m, d: gmemx.from_dlpack(x.__dlpack__()),
        "gmemx.from_dlpack(capsule)",
    ),
    Route(
        "DLPack legacy",
        "tvm-ffi",
        IN,
        lambda x, m, d: gmemx.from_dlpack(x.__dlpack__()),
        "gmemx.from_dlpack(capsule)",
    ),
    # DLPack 1.x.
    Route(
        "DLPack",
        "ctypes",
        OUT,
        lambda t, m, d: structs.Taken(t.__dlpack__(max_version=(1, 0))),
        "t.__dlpack__(max_version=(1, 0))",
    ),
    Route(
        "DLPack",
        "ctypes",
        OUT,
        lambda t, m, d: structs.Taken(t.__dlpack__(max_version=(1, 0), copy=True)),
        "t.__dlpack__(max_version=(1, 0), copy=True)",
    ),
    Route("DLPack", "numpy", OUT, lambda t, m, d: np.from_dlpack(t), "np.from_dlpack(t)"),
    Route(
        "DLPack",
        "numpy",
        OUT,
        lambda t, m, d: np.from_dlpack(t, device="cpu", copy=True),
        "np.from_dlpack(t, copy=True)",
    ),
    Route("DLPack", "torch", OUT, lambda t, m, d: m.from_dlpack(t), "torch.from_dlpack(t)"),
    Route(
        "DLPack",
        "torch",
        OUT,
        lambda t, m, d: m.from_dlpack(t, copy=True, device="cpu"),
        "torch.from_dlpack(t, copy=True)",
    ),
    Route("DLPack", "torch", OUT, lambda t, m, d: m.as_tensor(t), "torch.as_tensor(t)"),
    Route("DLPack", "torch", OUT, lambda t, m, d: t.to_torch(), "t.to_torch()"),
    Route("DLPack", "torch", OUT, lambda t, m, d: t.to_torch(copy=True), "t.to_torch(copy=True)"),
    Route(
        "DLPack", "jax", OUT, lambda t, m, d: m.from_dlpack(NewDLPack(t)), "jnp.from_dlpack(new)"
    ),
    Route(
        "DLPack",
        "tvm-ffi",
        OUT,
        lambda t, m, d: m.from_dlpack(t.__dlpack__(max_version=(1, 0))),
        "tvm_ffi.from_dlpack(capsule)",
    ),
    Route(
        "DLPack", "ctypes", IN, lambda x, m, d: gmemx.from_dlpack(x), "gmemx.from_dlpack(object)"
    ),
    Route(
        "DLPack",
        "ctypes",
        IN,
        lambda x, m, d: gmemx.from_dlpack(x, copy=True),
        "gmemx.from_dlpack(object, copy=True)",
    ),
    Route("DLPack", "numpy", IN, lambda x, m, d: gmemx.from_dlpack(x), "gmemx.from_dlpack(array)"),
    Route("DLPack", "torch", IN, lambda x, m, d: gmemx.from_dlpack(x), "gmemx.from_dlpack(tensor)"),
    Route("DLPack", "jax", IN, lambda x, m, d: gmemx.from_dlpack(x), "gmemx.from_dlpack(array)"),
    Route(
        "DLPack",
        "pyarrow",
        IN,
        lambda x, m, d: gmemx.from_dlpack(x),
        "gmemx.from_dlpack(pa_array)",
        flat=True,
    ),
    Route(
        "DLPack", "tvm-ffi", IN, lambda x, m, d: gmemx.from_dlpack(x), "gmemx.from_dlpack(tensor)"
    ),
    # The table of C functions of DLPack 1.3.
    Route(
        "exchange table",
        "ctypes",
        OUT,
        lambda t, m, d: structs.Taken(managed=structs.managed_of(t)),
        "managed_tensor_from_py_object",
    ),
    Route(
        "exchange table",
        "torch",
        OUT,
        lambda t, m, d: _to_torch(m, t),
        "torch's table after gmemx's",
    ),
    Route(
        "exchange table", "tvm-ffi", OUT, lambda t, m, d: m.from_dlpack(t), "tvm_ffi.from_dlpack(t)"
    ),
    Route(
        "exchange table",
        "ctypes",
        IN,
        lambda x, m, d: structs.object_of(T, structs.ctypes.addressof(x.struct)),
        "managed_tensor_to_py_object",
    ),
    Route(
        "exchange table", "torch", IN, lambda x, m, d: _from_torch(x), "gmemx's table after torch's"
    ),
    Route("Arrow C data", "pyarrow", OUT, lambda t, m, d: m.array(t), "pa.array(t)", flat=True),
    Route(
        "Arrow C data",
        "pyarrow",
        IN,
        lambda x, m, d: T.from_arrow(x),
        "Tensor.from_arrow(x)",
        flat=True,
    ),
)
