"""What plugins are told, and what they tell: levels, states and configurations."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from gmemx.errors import InvalidArgumentError, PluginConfigError

# Far more threads than a machine has cores; what a plugin refuses itself it says.
MOST_THREADS = 4096


class Named(IntEnum):
    """Numbers that print as their names, in every version of Python."""

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __format__(self, form: str) -> str:
        return format(int(self), form) if form else str(self)


class LogLevel(Named):
    """How much a plugin logs, and how grave a message is.

    Examples
    --------
    >>> from gmemx.plugin import LogLevel
    >>> LogLevel.from_string("warn"), LogLevel(3).to_string()
    (<LogLevel.WARN: 3>, 'warn')
    """

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    OFF = 5

    @classmethod
    def from_code(cls, code: int) -> LogLevel:
        """The level of a number; ValueError where there is none.

        Parameters
        ----------
        code : int

        Returns
        -------
        LogLevel

        Examples
        --------
        >>> from gmemx.plugin import LogLevel
        >>> LogLevel.from_code(1).name
        'DEBUG'
        """
        try:
            return cls(code)
        except ValueError:
            raise InvalidArgumentError(f"a log level is from 0 to 5, not {code!r}") from None

    @classmethod
    def from_string(cls, level: str) -> LogLevel:
        """The level of a name, in any case; ValueError where there is none.

        Parameters
        ----------
        name : str

        Returns
        -------
        LogLevel

        Examples
        --------
        >>> from gmemx.plugin import LogLevel
        >>> LogLevel.from_string("warn").name
        'WARN'
        """
        found = cls.__members__.get(level.upper())
        if found is None:
            names = ", ".join(name.lower() for name in cls.__members__)
            raise InvalidArgumentError(f"a log level is one of {names}, not {level!r}")
        return found

    def to_string(self) -> str:
        """The name as configurations have it.

        Returns
        -------
        str

        Examples
        --------
        >>> from gmemx.plugin import LogLevel
        >>> LogLevel.INFO.to_string()
        'info'
        """
        return self.name.lower()


class LifecycleState(Named):
    """What a plugin is doing.

    Examples
    --------
    >>> from gmemx.plugin import LifecycleState
    >>> LifecycleState.ACTIVE.can_handle_requests(), LifecycleState.FAILED.is_terminal()
    (True, True)
    """

    INSTALLED = 0
    STARTING = 1
    ACTIVE = 2
    STOPPING = 3
    STOPPED = 4
    FAILED = 5

    @classmethod
    def from_code(cls, code: int) -> LifecycleState:
        """The state of a number; ValueError where there is none.

        Parameters
        ----------
        code : int

        Returns
        -------
        LifecycleState

        Examples
        --------
        >>> from gmemx.plugin import LifecycleState
        >>> LifecycleState.from_code(2).name
        'ACTIVE'
        """
        try:
            return cls(code)
        except ValueError:
            raise InvalidArgumentError(f"a state is from 0 to 5, not {code!r}") from None

    def can_handle_requests(self) -> bool:
        """Whether it answers calls.

        Returns
        -------
        bool

        Examples
        --------
        >>> from gmemx.plugin import LifecycleState
        >>> LifecycleState.ACTIVE.can_handle_requests()
        True
        """
        return self is LifecycleState.ACTIVE

    def is_terminal(self) -> bool:
        """Whether it will never answer calls again.

        Returns
        -------
        bool

        Examples
        --------
        >>> from gmemx.plugin import LifecycleState
        >>> LifecycleState.STOPPED.is_terminal()
        True
        """
        return self in (LifecycleState.STOPPED, LifecycleState.FAILED)


def level_of(level: object) -> LogLevel:
    """A level, its number or its name."""
    if isinstance(level, str):
        return LogLevel.from_string(level)
    if isinstance(level, bool) or not hasattr(level, "__index__"):
        raise TypeError(f"a log level is a LogLevel, a name or a number, not {level!r}")
    return LogLevel.from_code(operator.index(level))


class PluginConfig:
    """How a plugin is started.

    Every value is a keyword here and a method of the same name, which sets it and gives
    the configuration back. All are checked at once.

    Parameters
    ----------
    log_level : LogLevel, str or int
    worker_threads : int, optional
        None: as many as there are cores.
    max_concurrent_ops : int
        Calls beyond that are refused by the plugin; 0 for no limit.
    shutdown_timeout_ms : int
        How long the plugin may take to stop, and its calls to end.
    data : dict, optional
        The plugin's own settings.
    init_params : dict, optional
        What it needs once, at its start.

    Raises
    ------
    PluginConfigError
        For a value that makes no sense; a ValueError.

    Examples
    --------
    >>> from gmemx.plugin import LogLevel, PluginConfig
    >>> first = PluginConfig(log_level=LogLevel.DEBUG, data={"key": "value"})
    >>> second = PluginConfig.defaults().log_level("debug").set("key", "value")
    >>> first == second
    True
    """

    def __init__(
        self,
        log_level: LogLevel | str | int = LogLevel.INFO,
        worker_threads: int | None = None,
        max_concurrent_ops: int = 1000,
        shutdown_timeout_ms: int = 5000,
        data: Mapping[str, Any] | None = None,
        init_params: Mapping[str, Any] | None = None,
    ) -> None:
        self._values: dict[str, Any] = {"data": {}}
        self.log_level(log_level)
        self.worker_threads(worker_threads)
        self.max_concurrent_ops(max_concurrent_ops)
        self.shutdown_timeout_ms(shutdown_timeout_ms)
        self.init_params(init_params)
        if data is not None:
            self._values["data"] = object_of("data", data)

    @classmethod
    def defaults(cls) -> PluginConfig:
        """A configuration of which nothing was said.

        Returns
        -------
        PluginConfig

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig.defaults().to_dict() == PluginConfig().to_dict()
        True
        """
        return cls()

    def log_level(self, level: LogLevel | str | int) -> PluginConfig:
        """Set how much the plugin logs.

        Parameters
        ----------
        level : LogLevel or str

        Returns
        -------
        PluginConfig
            This one, for the next call.

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig().log_level("debug").to_dict()["log_level"]
        'debug'
        """
        try:
            self._values["log_level"] = level_of(level).to_string()
        except InvalidArgumentError as error:
            raise PluginConfigError(str(error)) from None
        return self

    def worker_threads(self, threads: int | None) -> PluginConfig:
        """Set how many threads the plugin runs its handlers on; None: one for each core.

        Parameters
        ----------
        count : int or None

        Returns
        -------
        PluginConfig
            This one, for the next call.

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig().worker_threads(2).to_dict()["worker_threads"]
        2
        """
        if threads is not None:
            threads = integer_of("worker_threads", threads, 1, MOST_THREADS)
        self._values["worker_threads"] = threads
        return self

    def max_concurrent_ops(self, most: int) -> PluginConfig:
        """Set how many calls the plugin runs at once, 0 for any number.

        Parameters
        ----------
        count : int

        Returns
        -------
        PluginConfig
            This one, for the next call.

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig().max_concurrent_ops(100).to_dict()["max_concurrent_ops"]
        100
        """
        self._values["max_concurrent_ops"] = integer_of("max_concurrent_ops", most, 0, 2**63 - 1)
        return self

    def shutdown_timeout_ms(self, timeout: int) -> PluginConfig:
        """Set how many milliseconds the plugin may take to stop.

        Parameters
        ----------
        milliseconds : int

        Returns
        -------
        PluginConfig
            This one, for the next call.

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig().shutdown_timeout_ms(500).to_dict()["shutdown_timeout_ms"]
        500
        """
        self._values["shutdown_timeout_ms"] = integer_of(
            "shutdown_timeout_ms", timeout, 0, 2**63 - 1
        )
        return self

    def set(self, key: str, value: Any) -> PluginConfig:
        """Set one of the plugin's own settings.

        Parameters
        ----------
        key : str
        value : object
            Anything that JSON has.

        Returns
        -------
        PluginConfig
            This one, for the next call.

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig().set("colour", "red").to_dict()["data"]
        {'colour': 'red'}
        """
        self._values["data"] |= object_of("data", {key: value})
        return self

    def init_param(self, key: str, value: Any) -> PluginConfig:
        """Set one of the things the plugin needs at its start.

        Parameters
        ----------
        key : str
        value : object
            Anything that JSON has.

        Returns
        -------
        PluginConfig
            This one, for the next call.

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig().init_param("seed", 7).to_dict()["init_params"]
        {'seed': 7}
        """
        known = self._values["init_params"] or {}
        self._values["init_params"] = known | object_of("init_params", {key: value})
        return self

    def init_params(self, parameters: Mapping[str, Any] | None) -> PluginConfig:
        """Set all the plugin needs at its start, in place of what was set.

        Parameters
        ----------
        params : dict

        Returns
        -------
        PluginConfig
            This one, for the next call.

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig().init_params({"seed": 7}).to_dict()["init_params"]
        {'seed': 7}
        """
        if parameters is not None:
            parameters = object_of("init_params", parameters)
        self._values["init_params"] = parameters
        return self

    def to_dict(self) -> dict[str, Any]:
        """What the plugin is told: a new dict; without what was left to it.

        Returns
        -------
        dict

        Examples
        --------
        >>> from gmemx.plugin import PluginConfig
        >>> PluginConfig(max_concurrent_ops=3).to_dict()["max_concurrent_ops"]
        3
        """
        left = ("worker_threads", "init_params")
        return {
            key: dict(value) if isinstance(value, dict) else value
            for key, value in self._values.items()
            if key not in left or value is not None
        }

    def to_json_bytes(self) -> bytes:
        """`to_dict` as the plugin reads it.

        Returns
        -------
        bytes

        Examples
        --------
        >>> import json
        >>> from gmemx.plugin import PluginConfig
        >>> config = PluginConfig()
        >>> json.loads(config.to_json_bytes()) == config.to_dict()
        True
        """
        return json.dumps(self.to_dict(), ensure_ascii=False).encode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PluginConfig):
            return NotImplemented
        return self._values == other._values

    __hash__ = None  # it can be changed

    def __repr__(self) -> str:
        told = ", ".join(f"{key}={value!r}" for key, value in self.to_dict().items())
        return f"PluginConfig({told})"


def integer_of(name: str, value: object, low: int, high: int) -> int:
    """An integer within bounds; nothing else passes for one."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    number = operator.index(value)
    if not low <= number <= high:
        raise PluginConfigError(f"{name} must be from {low} to {high}, not {number}")
    return number


def object_of(name: str, value: object) -> dict[str, Any]:
    """A copy of a dict that JSON has a form for."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(value).__name__}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"the keys of {name} must be strings, not {key!r}")
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PluginConfigError(f"{name} has no form in JSON: {error}") from None
    return json.loads(text)
