import asyncio
import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Literal, NoReturn, SupportsIndex, TypeAlias, TypeVar, final, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer, Self

from gmemx._plugin_archive import BundleLimits as BundleLimits
from gmemx._plugin_bundle import Bundle as Bundle
from gmemx._plugin_bundle import BundleLoader as BundleLoader
from gmemx._plugin_bundle_writer import generate_keys as generate_keys
from gmemx._plugin_bundle_writer import write_bundle as write_bundle
from gmemx._plugin_check import CheckResult as CheckResult
from gmemx._plugin_check import check as check
from gmemx._plugin_isolated import IsolatedPlugin as IsolatedPlugin
from gmemx._plugin_loader import NativePluginLoader as NativePluginLoader
from gmemx._plugin_loader import sample_library as sample_library
from gmemx._plugin_manifest import BundleManifest as BundleManifest
from gmemx._plugin_minisign import MinisignKey as MinisignKey
from gmemx._plugin_minisign import MinisignVerifier as MinisignVerifier
from gmemx._plugin_platforms import PlatformInfo as PlatformInfo
from gmemx._plugin_platforms import VariantInfo as VariantInfo
from gmemx._plugin_platforms import current_platform as current_platform
from gmemx._plugin_provenance import BuildInfo as BuildInfo
from gmemx._plugin_provenance import PluginInfo as PluginInfo
from gmemx._plugin_provenance import SchemaInfo as SchemaInfo
from gmemx._plugin_types import LifecycleState as LifecycleState
from gmemx._plugin_types import LogLevel as LogLevel
from gmemx._plugin_types import PluginConfig as PluginConfig
from gmemx.errors import BundleError as BundleError
from gmemx.errors import BundleExistsError as BundleExistsError
from gmemx.errors import FfiError as FfiError
from gmemx.errors import HandlerError as HandlerError
from gmemx.errors import InitializationFailedError as InitializationFailedError
from gmemx.errors import InvalidStateError as InvalidStateError
from gmemx.errors import PluginArgumentError as PluginArgumentError
from gmemx.errors import PluginCancelledError as PluginCancelledError
from gmemx.errors import PluginConfigError as PluginConfigError
from gmemx.errors import PluginException as PluginException
from gmemx.errors import PluginInternalError as PluginInternalError
from gmemx.errors import PluginRuntimeError as PluginRuntimeError
from gmemx.errors import PluginTimeoutError as PluginTimeoutError
from gmemx.errors import SerializationError as SerializationError
from gmemx.errors import ShutdownFailedError as ShutdownFailedError
from gmemx.errors import SignatureError as SignatureError
from gmemx.errors import TooManyRequestsError as TooManyRequestsError
from gmemx.errors import UnknownMessageTypeError as UnknownMessageTypeError
from gmemx.tensor import DType, Tensor

_Path: TypeAlias = str | os.PathLike[str]
_Data: TypeAlias = Buffer | npt.NDArray[Any]
_LogCallback: TypeAlias = Callable[[LogLevel, str, str], object]
_Shape: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...]
_DTypeLike: TypeAlias = str | DType | np.dtype[Any] | type
_T = TypeVar("_T")

@overload
def load(
    path: _Path,
    config: PluginConfig | None = None,
    log_callback: _LogCallback | Literal[False] | None = None,
    *,
    isolate: Literal[False] = False,
    check: Callable[[NativePlugin], object] | None = None,
    concurrency: int | None = None,
) -> NativePlugin: ...
@overload
def load(
    path: _Path,
    config: PluginConfig | None = None,
    log_callback: _LogCallback | Literal[False] | None = None,
    *,
    isolate: Literal[True],
    check: Callable[[IsolatedPlugin], object] | None = None,
    concurrency: int | None = None,
) -> IsolatedPlugin: ...

@final
class PluginResponse:
    # Calls give them.
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> memoryview: ...
    def __bytes__(self) -> bytes: ...
    def __eq__(self, other: object, /) -> bool: ...
    def tobytes(self) -> bytes: ...
    def tensor(self, dtype: _DTypeLike = "uint8", shape: _Shape | None = None) -> Tensor: ...
    def numpy(
        self, dtype: npt.DTypeLike | DType = "uint8", shape: _Shape | None = None
    ) -> npt.NDArray[Any]: ...

@final
class NativePlugin:
    # load() makes them.
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def call(self, tag: str, json: str | _Data) -> str: ...
    @overload
    def call_typed(self, tag: str, request: object, response_type: None = None) -> Any: ...
    @overload
    def call_typed(self, tag: str, request: object, response_type: type[_T]) -> _T: ...
    @overload
    def call_typed(self, tag: str, request: object, response_type: Any) -> Any: ...
    @overload
    def call_raw(
        self, id: SupportsIndex, request: _Data, response: SupportsIndex | None = None
    ) -> PluginResponse: ...
    @overload
    def call_raw(self, id: SupportsIndex, request: _Data, response: type[_T]) -> _T: ...
    def call_raw_bytes(self, id: SupportsIndex, request: _Data) -> bytes: ...
    def call_into(self, id: SupportsIndex, request: _Data, out: _Data) -> int: ...
    @overload
    def call_batch(
        self,
        id: SupportsIndex,
        requests: Iterable[_Data] | _Data,
        *,
        return_exceptions: Literal[False] = False,
    ) -> list[PluginResponse]: ...
    @overload
    def call_batch(
        self,
        id: SupportsIndex,
        requests: Iterable[_Data] | _Data,
        *,
        return_exceptions: bool,
    ) -> list[PluginResponse | PluginException]: ...
    def call_async(
        self, tag: str, json: str | _Data, *, timeout: float | None = None
    ) -> asyncio.Future[str]: ...
    def call_raw_async(
        self, id: SupportsIndex, request: _Data, *, timeout: float | None = None
    ) -> asyncio.Future[PluginResponse]: ...
    @property
    def state(self) -> LifecycleState: ...
    @property
    def rejected_request_count(self) -> int: ...
    @property
    def has_binary_transport(self) -> bool: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    @property
    def path(self) -> str: ...
    @property
    def dropped_log_count(self) -> int: ...
    def set_log_level(self, level: LogLevel | str | int) -> None: ...
    def flush_logs(self, timeout: float | None = None) -> bool: ...
    def shutdown(self, timeout: float | None = None) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def reload(
        self,
        path: _Path | None = None,
        *,
        config: PluginConfig | None = None,
        check: Callable[[NativePlugin], object] | None = None,
        timeout: float | None = None,
    ) -> bool: ...
