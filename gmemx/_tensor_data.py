"""What tensors are made of, where it comes rarely: by way of NumPy, and from pickles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gmemx.errors import InvalidArgumentError, ValueOverflowError

if TYPE_CHECKING:
    from gmemx.tensor import Tensor

SMALL = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def from_any(data: Any, dtype: Any) -> Tensor:
    """A tensor of data that are neither a buffer, nor a list or tuple."""
    from gmemx import tensor as module

    if hasattr(data, "__dlpack__"):
        return module.Tensor.from_dlpack(data)
    return from_sequence(data, dtype)


def from_refused(data: Any, dtype: Any, error: Exception) -> Tensor:
    """A tensor of data that would not give their buffer, and said so by that error."""
    from gmemx import tensor as module

    if not isinstance(data, np.ndarray) and not isinstance(error, ValueError):
        return from_any(data, dtype)
    if isinstance(data, np.ndarray) and data.dtype.name == "int4":
        # A whole byte an element there, of which the upper half means nothing.
        return module.Tensor(data.astype(np.int8)).astype("int4")
    return module.Tensor.from_buffer(data)


def bits_of(obj: Any, dtype: Any, error: Exception) -> tuple[memoryview, Any]:
    """The memory and dtype of an array of ml_dtypes' types, which NumPy does not export; for
    anything else what its refusal means."""
    if isinstance(obj, np.ndarray) and obj.dtype.name in SMALL:
        bits = obj.view(np.uint16 if obj.dtype.itemsize == 2 else np.uint8)
        return memoryview(bits), dtype or obj.dtype.name
    if isinstance(obj, np.ndarray) and obj.dtype.name == "int4":
        raise InvalidArgumentError(
            "an array of int4 takes a byte an element and a tensor half of one: "
            "Tensor(array) makes a packed copy"
        )
    if isinstance(error, TypeError):
        raise TypeError(f"{type(obj).__name__} does not speak the buffer protocol") from None
    raise InvalidArgumentError(f"no dtype is what the buffer holds: {error}") from None


def from_sequence(data: Any, dtype: Any) -> Tensor:
    """A tensor over an array of the numbers in nested sequences."""
    from gmemx import tensor as module

    try:
        mixed = holds_tensors(data, module.Tensor)
    except RecursionError:
        raise InvalidArgumentError("the data are nested without end, or too deeply") from None
    if mixed:
        raise TypeError("the data hold tensors: make one of zeros and assign them to its parts")
    try:
        array = np.asarray(data)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise InvalidArgumentError(
                "the data are ragged: sequences beside each other must have one length"
            ) from None
        raise
    except OverflowError as error:
        raise ValueOverflowError(f"the data do not fit in 64 bits: {error}") from None
    wanted = None if dtype is None else module.dtype(dtype)
    if array.dtype.kind == "f" and array.size and wants_integers(array, wanted):
        # NumPy makes floats of integers on both sides of 2**63.
        exact = np.asarray(data, dtype=object)
        if all(isinstance(value, int) for value in exact.flat):
            array = exact
    if array.dtype.kind == "O" and all(isinstance(value, int) for value in array.flat):
        array = from_large(array, wanted)
    if array.dtype.name not in SMALL and (
        array.dtype.kind not in "biuf" or array.dtype.itemsize > 8
    ):
        raise TypeError(f"a tensor is made of real numbers, not of {array.dtype} data")
    if wanted is not None:
        check_fit(array, wanted)
    return module.Tensor.from_buffer(array)


def wants_integers(array: np.ndarray, wanted: Any) -> bool:
    """Whether floats that NumPy made may have been integers that a tensor can keep."""
    if wanted is None:
        return bool(array.dtype == np.float64 and array.max() >= 2.0**63 and array.min() >= 0.0)
    return bool(wanted.kind in "iu")


def holds_tensors(data: Any, tensor: type[Tensor]) -> bool:
    """Whether there are tensors in nested sequences: NumPy would take some for their bits."""
    if isinstance(data, (list, tuple)):
        return any(holds_tensors(part, tensor) for part in data)
    return isinstance(data, tensor)


def from_large(array: np.ndarray, wanted: Any) -> np.ndarray:
    """Integers that NumPy keeps as objects, in the type wanted."""
    if wanted is not None and wanted.kind == "f":
        return array.astype(np.float64)
    signed = wanted is not None and wanted.kind == "i"
    low, high = (-(1 << 63), (1 << 63) - 1) if signed else (0, (1 << 64) - 1)
    for value in (min(array.flat), max(array.flat)):
        if not low <= value <= high:
            raise ValueOverflowError(
                f"{value} does not fit in {wanted or '64 bits'}, which is from {low} to {high}"
            )
    return array.astype(np.int64 if signed else np.uint64)


def check_fit(array: np.ndarray, dtype: Any) -> None:
    """Integers written out must fit where they go."""
    if dtype.kind not in "iu" or array.size == 0 or array.dtype.kind not in "iu":
        return
    low = 0 if dtype.kind == "u" else -(1 << (dtype.bits - 1))
    high = low + (1 << dtype.bits) - 1
    for value in (int(array.min()), int(array.max())):
        if not low <= value <= high:
            raise ValueOverflowError(
                f"{value} does not fit in {dtype}, which is from {low} to {high}"
            )


def to_torch(tensor: Tensor, copy: bool | None) -> Any:
    """PyTorch's tensor over the same memory."""
    import torch

    backward = tensor.size and any(
        stride < 0 and extent > 1
        for extent, stride in zip(tensor.shape, tensor.strides or (), strict=False)
    )
    if copy or (copy is None and backward):
        tensor = tensor.copy()
    return torch.from_dlpack(tensor)


# ---- pickle --------------------------------------------------------------------------


def restored(state: tuple[Any, ...]) -> Tensor:
    """A tensor from its state."""
    from gmemx import _tensor_source
    from gmemx import tensor as module

    try:
        dtype, shape, strides, offset, readonly, body = state
        memory = memoryview(body)
    except (TypeError, ValueError):
        raise InvalidArgumentError("this is no state of a tensor") from None
    if isinstance(body, bytes) and not readonly:
        # Bytes cannot be written, and this tensor could.
        memory = memoryview(bytearray(body))
    check_inside(module.dtype(dtype), shape, strides, offset, memory.nbytes)
    if memory.nbytes == 0:
        # A memoryview of nothing cannot be cast.
        memory = memoryview(b"" if memory.readonly else bytearray())
    return _tensor_source.over_part(memory.cast("B"), dtype, shape, strides, offset, readonly)


def check_inside(dtype: Any, shape: Any, strides: Any, offset: int, nbytes: int) -> None:
    """A state must not reach outside its bytes."""
    if strides is not None and (dtype == "int4" or len(strides) != len(shape)):
        raise InvalidArgumentError(
            f"a state of a {dtype} tensor of shape {shape} has strides {strides}"
        )
    low = high = offset
    count = 1
    for extent, stride in zip(shape, strides or (0,) * len(shape), strict=True):
        count *= extent
        reach = (extent - 1) * stride
        low, high = min(low, low + reach), max(high, high + reach)
    # Without strides the elements lie in C order, two to a byte for int4.
    in_a_row = (count * dtype.bits + 7) // 8
    size = in_a_row if strides is None else high - low + dtype.itemsize
    if count and not (low >= 0 and low + size <= nbytes):
        raise InvalidArgumentError(
            f"a state of {nbytes} bytes cannot hold a {dtype} tensor of shape {tuple(shape)}"
        )
