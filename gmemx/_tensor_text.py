"""How a tensor looks in the console: as NumPy shows an array of the same values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gmemx.tensor import Tensor

HEAD = "Tensor("


def text(tensor: Tensor) -> str:
    """The repr: values, dtype, and what is unusual about it."""
    tail = f", dtype={tensor.dtype}"
    if tensor.size == 0 and tensor.shape != (0,):
        tail = f", shape={tensor.shape}{tail}"
    if tensor.readonly:
        tail += ", readonly"
    values = np.array2string(shown(tensor), separator=", ", prefix=HEAD, suffix=tail)
    return f"{HEAD}{values}{tail})"


def shown(tensor: Tensor) -> np.ndarray:
    """The values as an array that NumPy can print."""
    # In the narrowest type that NumPy prints and that holds them exactly.
    if tensor.dtype == "bfloat16":
        return tensor.astype("float32").numpy()
    if tensor.dtype in ("float8_e4m3fn", "float8_e5m2"):
        return tensor.astype("float16").numpy()
    if tensor.dtype == "int4":
        return tensor.astype("int8").numpy()
    return tensor.numpy()
