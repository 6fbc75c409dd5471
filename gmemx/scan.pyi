from collections.abc import Callable, Coroutine, Iterable, Iterator
from os import PathLike
from types import TracebackType
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeAlias, final, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer, Self, disjoint_base

from gmemx._scan_data import Change as Change
from gmemx._scan_data import Found as Found
from gmemx._scan_data import Match as Match
from gmemx._scan_data import Skipped as Skipped
from gmemx._scan_data import Step as Step
from gmemx._scan_paths import PointerPath as PointerPath
from gmemx._scan_paths import PointerPaths as PointerPaths
from gmemx._scan_pattern import Pattern as Pattern
from gmemx._scan_pattern import parse_hex_pattern as parse_hex_pattern
from gmemx._scan_pattern import text_pattern as text_pattern
from gmemx._scan_processes import ProcessEntry as ProcessEntry
from gmemx._scan_processes import find_process_by_name as find_process_by_name
from gmemx._scan_processes import find_processes_by_name as find_processes_by_name
from gmemx._scan_processes import list_processes as list_processes
from gmemx._scan_processes import query_system_info as query_system_info
from gmemx._scan_regions import Region as Region
from gmemx._scan_regions import Regions as Regions
from gmemx._scan_stopped import Stopped as Stopped
from gmemx._scanner import Scanner as Scanner
from gmemx.tensor import DType

_Bytes: TypeAlias = Buffer | npt.NDArray[Any]
_Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]
_Type: TypeAlias = str | DType | np.dtype[Any] | type
_Types: TypeAlias = _Type | Iterable[_Type]
_Number: TypeAlias = SupportsIndex | SupportsFloat
_Ranges: TypeAlias = Regions | Region | Iterable[Region | tuple[int, int]] | None
_Pattern: TypeAlias = Pattern | str | _Bytes
_Progress: TypeAlias = Callable[[int, int], object] | None
# Freeze has a property of the name `type`.
_Kind: TypeAlias = type[BaseException] | None
_Direction: TypeAlias = Literal["up", "down"] | None

@disjoint_base
class Source:
    def __init__(self, *args: object, **kwargs: object) -> None: ...
    @property
    def kind(self) -> str: ...
    @property
    def alive(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def freezes(self) -> list[Freeze]: ...
    def close(self) -> None: ...
    def cancel(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: _Kind,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def regions(
        self,
        *,
        permissions: str | None = None,
        kind: str | Iterable[str] | None = None,
        module: str | PathLike[str] | Iterable[str | PathLike[str]] | None = None,
        start: SupportsIndex | None = None,
        end: SupportsIndex | None = None,
        max_size: SupportsIndex | None = None,
        min_size: SupportsIndex | None = None,
    ) -> Regions: ...
    def read(
        self, address: SupportsIndex, size: SupportsIndex, *, partial: bool = False
    ) -> bytes: ...
    def read_into(self, address: SupportsIndex, buffer: _Bytes) -> int: ...
    def write(self, address: SupportsIndex, data: _Bytes, *, force: bool = False) -> int: ...
    def read_value(self, address: SupportsIndex, type: _Type) -> Any: ...
    def write_value(
        self, address: SupportsIndex, value: _Number, type: _Type, *, force: bool = False
    ) -> None: ...
    @overload
    def read_many(
        self, addresses: npt.ArrayLike, type: _Type, *, partial: Literal[False] = False
    ) -> npt.NDArray[Any]: ...
    @overload
    def read_many(
        self, addresses: npt.ArrayLike, type: _Type, *, partial: Literal[True]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]: ...
    @overload
    def write_many(
        self,
        addresses: npt.ArrayLike,
        values: npt.ArrayLike,
        type: _Type,
        *,
        force: bool = False,
        partial: Literal[False] = False,
    ) -> int: ...
    @overload
    def write_many(
        self,
        addresses: npt.ArrayLike,
        values: npt.ArrayLike,
        type: _Type,
        *,
        force: bool = False,
        partial: Literal[True],
    ) -> npt.NDArray[np.bool_]: ...
    def find(
        self,
        pattern: _Pattern,
        regions: _Ranges = None,
        *,
        limit: SupportsIndex | None = None,
        alignment: SupportsIndex = 1,
        ignore_case: bool = False,
        threads: SupportsIndex | None = None,
        progress: _Progress = None,
        stop: bool = False,
    ) -> Found: ...
    def scanner(
        self, type: _Types = "int32", regions: _Ranges = None, **options: Any
    ) -> Scanner: ...
    def pointers(
        self,
        regions: _Ranges = None,
        *,
        threads: SupportsIndex | None = None,
        progress: _Progress = None,
        stop: bool = False,
    ) -> PointerMap: ...
    def freeze(
        self,
        address: SupportsIndex,
        value: _Number,
        type: _Type,
        direction: _Direction = None,
        interval: _Number = 0.005,
    ) -> Freeze: ...
    def watch(
        self,
        addresses: npt.ArrayLike,
        type: _Type,
        interval: _Number = 0.01,
        timeout: _Number | None = None,
    ) -> Iterator[Change]: ...
    def stop(self) -> Stopped: ...

@final
class Process(Source):
    @property
    def pid(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def stopped(self) -> bool: ...

@final
class PointerMap:
    def __init__(self, *args: object, **kwargs: object) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def skipped(self) -> list[Skipped]: ...
    def close(self) -> None: ...
    def cancel(self) -> None: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: _Kind,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def paths(
        self,
        target: SupportsIndex,
        depth: SupportsIndex = 5,
        max_offset: SupportsIndex = 4096,
        limit: SupportsIndex | None = None,
        *,
        threads: SupportsIndex | None = None,
        progress: _Progress = None,
    ) -> PointerPaths: ...

class Freeze:
    def __init__(self, source: Source, number: int, told: tuple[Any, ...]) -> None: ...
    @property
    def address(self) -> int: ...
    @property
    def value(self) -> Any: ...
    @property
    def type(self) -> str: ...
    @property
    def direction(self) -> _Direction: ...
    @property
    def writes(self) -> int: ...
    @property
    def active(self) -> bool: ...
    @property
    def errno(self) -> int: ...
    def stop(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: _Kind,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

def open_process(pid: SupportsIndex) -> Process: ...
def open_buffer(data: _Bytes, address: SupportsIndex = 0) -> Source: ...
def open_file(path: _Path, address: SupportsIndex = 0) -> Source: ...
def open_core(path: _Path) -> Source: ...
def get_process_module_regions(process: Source) -> Regions: ...
def read_process_memory(process: Source, address: SupportsIndex, size: SupportsIndex) -> bytes: ...
def write_process_memory(process: Source, address: SupportsIndex, data: _Bytes) -> int: ...
def create_interactive_scanner(
    process: Source, regions: _Ranges = None, type: _Types = "int32", **options: Any
) -> Scanner: ...
def scan_pattern(source: Source, regions: _Ranges, pattern: _Pattern, **options: Any) -> Found: ...
def scan_text(
    source: Source,
    regions: _Ranges,
    text: str,
    encoding: str = "utf-8",
    ignore_case: bool = False,
    **options: Any,
) -> Found: ...
def scan_pointers(
    source: Source,
    regions: _Ranges,
    target: SupportsIndex,
    depth: SupportsIndex = 5,
    max_offset: SupportsIndex = 4096,
    limit: SupportsIndex | None = None,
    **options: Any,
) -> PointerPaths: ...
def scan_pattern_async(
    source: Source, regions: _Ranges, pattern: _Pattern, **options: Any
) -> Coroutine[Any, Any, Found]: ...
def scan_text_async(
    source: Source,
    regions: _Ranges,
    text: str,
    encoding: str = "utf-8",
    ignore_case: bool = False,
    **options: Any,
) -> Coroutine[Any, Any, Found]: ...
def scan_pointers_async(
    source: Source,
    regions: _Ranges,
    target: SupportsIndex,
    depth: SupportsIndex = 5,
    max_offset: SupportsIndex = 4096,
    limit: SupportsIndex | None = None,
    **options: Any,
) -> Coroutine[Any, Any, PointerPaths]: ...
