from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeAlias, final, overload

import numpy as np
import numpy.typing as npt

from gmemx.distributions import Distribution
from gmemx.generative import GMemContext
from gmemx.tensor import Tensor

_Part: TypeAlias = SupportsIndex | slice | EllipsisType | None
_Shape: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
_Threads: TypeAlias = SupportsIndex | None

@final
class VirtualArray:
    def __init__(
        self,
        context: GMemContext,
        shape: _Shape,
        dtype: object = "float64",
        offset: SupportsIndex = 0,
        order: Literal["C", "F"] = "C",
        distribution: str | Distribution = "uniform",
    ) -> None: ...
    @property
    def context(self) -> GMemContext: ...
    @property
    def distribution(self) -> Distribution: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def offset(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    # In cells.
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def itemsize(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def order(self) -> Literal["C", "F"] | None: ...
    @property
    def T(self) -> VirtualArray: ...  # noqa: N802
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    # A number where every axis has an integer, otherwise a view.
    def __getitem__(self, key: _Part | tuple[_Part, ...], /) -> Any: ...
    def __setitem__(
        self, key: _Part | tuple[_Part, ...], value: npt.ArrayLike | VirtualArray, /
    ) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def transpose(self, *axes: SupportsIndex | Sequence[SupportsIndex] | None) -> VirtualArray: ...
    def reshape(self, *shape: SupportsIndex | Sequence[SupportsIndex]) -> VirtualArray: ...
    def numpy(
        self, threads: _Threads = None, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]: ...
    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]: ...
    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any: ...
    def tensor(self, threads: _Threads = None) -> Tensor: ...
    def chunks(
        self, cells: SupportsIndex = 1048576, threads: _Threads = None
    ) -> Iterator[tuple[tuple[int | slice, ...], npt.NDArray[Any]]]: ...
    @overload
    def sum(
        self, axis: None = None, dtype: None = None, out: None = None, threads: _Threads = None
    ) -> Any: ...
    @overload
    def sum(
        self, axis: SupportsIndex, dtype: None = None, out: None = None, threads: _Threads = None
    ) -> npt.NDArray[Any]: ...
    @overload
    def mean(
        self, axis: None = None, dtype: None = None, out: None = None, threads: _Threads = None
    ) -> float: ...
    @overload
    def mean(
        self, axis: SupportsIndex, dtype: None = None, out: None = None, threads: _Threads = None
    ) -> npt.NDArray[np.float64]: ...
    @overload
    def var(
        self,
        axis: None = None,
        dtype: None = None,
        out: None = None,
        ddof: float = 0,
        threads: _Threads = None,
    ) -> float: ...
    @overload
    def var(
        self,
        axis: SupportsIndex,
        dtype: None = None,
        out: None = None,
        ddof: float = 0,
        threads: _Threads = None,
    ) -> npt.NDArray[np.float64]: ...
    @overload
    def std(
        self,
        axis: None = None,
        dtype: None = None,
        out: None = None,
        ddof: float = 0,
        threads: _Threads = None,
    ) -> float: ...
    @overload
    def std(
        self,
        axis: SupportsIndex,
        dtype: None = None,
        out: None = None,
        ddof: float = 0,
        threads: _Threads = None,
    ) -> npt.NDArray[np.float64]: ...
    def min(
        self, axis: SupportsIndex | None = None, out: None = None, threads: _Threads = None
    ) -> Any: ...
    def max(
        self, axis: SupportsIndex | None = None, out: None = None, threads: _Threads = None
    ) -> Any: ...
    def histogram(
        self,
        bins: SupportsIndex | Sequence[float] | npt.NDArray[Any] = 10,
        range: tuple[SupportsFloat, SupportsFloat] | None = None,
        threads: _Threads = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...
    def matvec(self, x: npt.ArrayLike, threads: _Threads = None) -> npt.NDArray[np.float64]: ...
    def rmatvec(self, y: npt.ArrayLike, threads: _Threads = None) -> npt.NDArray[np.float64]: ...
    def matmat(self, x: npt.ArrayLike, threads: _Threads = None) -> npt.NDArray[np.float64]: ...
    def rmatmat(self, y: npt.ArrayLike, threads: _Threads = None) -> npt.NDArray[np.float64]: ...
    def __matmul__(self, other: npt.ArrayLike | VirtualArray) -> Any: ...
    def __rmatmul__(self, other: npt.ArrayLike) -> Any: ...
    def __reduce__(self) -> tuple[object, ...]: ...

# For pickles and gmemx.dask.
def _restore(
    context: GMemContext,
    dtype: str,
    distribution: Distribution,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
) -> VirtualArray: ...
