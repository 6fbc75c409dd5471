"""What is no plugin, and arguments that make no sense: one clear sentence each."""

import ctypes
import os
import pickle

import numpy as np
import plugins_build
import pytest
from plugins import BYTES, OF_SIZE, both, linux_only, load

pytestmark = linux_only


# ---- libraries ------------------------------------------------------------------------


def test_what_is_no_library(tmp_path):
    from gmemx.plugin import FfiError, PluginException, load

    text = tmp_path / "text.so"
    text.write_text("no library")
    truncated = tmp_path / "truncated.so"
    truncated.write_bytes(plugins_build.faults().read_bytes()[:3000])
    empty = tmp_path / "empty.so"
    empty.touch()
    for path in (text, truncated, empty):
        with pytest.raises(FfiError, match=path.name) as failure:
            load(path)
        assert isinstance(failure.value, ValueError)
    with pytest.raises(FileNotFoundError, match=r"missing\.so") as failure:
        load(tmp_path / "missing.so")
    assert isinstance(failure.value, PluginException)
    with pytest.raises(PluginException, match=r"no file|directory"):
        load(tmp_path)
    with pytest.raises(ValueError, match="NUL"):
        load("a\0b")
    for path in (None, 7):
        with pytest.raises(TypeError):
            load(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_library_that_may_not_be_read(tmp_path):
    from gmemx.plugin import load

    path = tmp_path / "secret.so"
    path.touch(0o000)
    with pytest.raises(PermissionError):
        load(path)


@pytest.mark.parametrize("name", plugins_build.REQUIRED)
def test_a_library_that_lacks_a_function(name):
    from gmemx.plugin import FfiError

    with pytest.raises(FfiError, match=rf"is no plugin: it has no function {name}$"):
        load(path=plugins_build.faults(without=(name,)))


def test_a_library_that_is_no_plugin():
    """Not an AttributeError."""
    from gmemx.plugin import FfiError

    for _ in range(2):
        with pytest.raises(FfiError, match="is no plugin") as failure:
            load(path=plugins_build.faults(nothing=True))
        assert failure.value.error_code == 12


@pytest.mark.parametrize("word", ["create-null", "init-null"])
@both
def test_a_plugin_that_does_not_start(word, isolate):
    from gmemx.plugin import InitializationFailedError

    for _ in range(3):
        with pytest.raises(InitializationFailedError) as failure:
            load(compiled=(word,), isolate=isolate)
        assert failure.value.error_code == 2
    # What failed leaves nothing behind that the next one falls over.
    with load() as plugin:
        assert plugin.call("echo", "1") == "1"


def test_a_second_instance_that_is_refused():
    first = load(compiled=("second-null",))
    second = load(compiled=("second-null",))
    assert first.call("echo", "1") == second.call("echo", "1") == "1"
    first.shutdown()
    second.shutdown()


@both
def test_a_check_that_does_not_like_what_it_sees(isolate, tmp_path):
    path = tmp_path / "counts"

    def check(plugin):
        assert plugin.call("echo", "1") == "1"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load(isolate=isolate, check=check, data={"counts": str(path)})
    assert plugins_build.counters(path)["shutdowns"] == 1
    load(isolate=isolate, check=lambda plugin: None).shutdown()


# ---- by name --------------------------------------------------------------------------


def test_by_name(tmp_path, monkeypatch):
    from gmemx.plugin import NativePluginLoader, PluginConfig

    libraries = plugins_build.faults(), plugins_build.echo()
    (tmp_path / "target" / "release").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(FileNotFoundError, match=r"libfound\.so"):
        NativePluginLoader.load_by_name("found")
    (tmp_path / "target" / "release" / "libfound.so").symlink_to(libraries[0])
    with NativePluginLoader.load_by_name("found") as plugin:
        assert plugin.call("echo", "1") == "1"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "libother.so").symlink_to(libraries[1])
    config = PluginConfig(log_level="error")
    with NativePluginLoader.load_by_name_with_config("other", config) as plugin:
        assert plugin.call("echo", "1") == "1"
    for wrong in ("", "../found", "a\0b"):
        with pytest.raises(ValueError, match="name of a library"):
            NativePluginLoader.load_by_name(wrong)


# ---- options --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"config": {}}, TypeError),
        ({"config": "info"}, TypeError),
        ({"log_callback": "print"}, TypeError),
        ({"log_callback": True}, TypeError),
        ({"check": 7}, TypeError),
        ({"concurrency": 0}, ValueError),
        ({"concurrency": 5000}, ValueError),
        ({"concurrency": 1.5}, TypeError),
        ({"concurrency": True}, TypeError),
    ],
)
@both
def test_options_that_make_no_sense(options, error, isolate):
    from gmemx import plugin

    with pytest.raises(error):
        plugin.load(plugins_build.faults(), isolate=isolate, **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"worker_threads": 0}, ValueError),
        ({"worker_threads": -1}, ValueError),
        ({"worker_threads": 2.0}, TypeError),
        ({"worker_threads": True}, TypeError),
        ({"max_concurrent_ops": -1}, ValueError),
        ({"max_concurrent_ops": 2**63}, ValueError),
        ({"shutdown_timeout_ms": -1}, ValueError),
        ({"shutdown_timeout_ms": None}, TypeError),
        ({"log_level": "loud"}, ValueError),
        ({"log_level": 6}, ValueError),
        ({"log_level": None}, TypeError),
        ({"log_level": True}, TypeError),
        ({"data": [1]}, TypeError),
        ({"data": {1: 2}}, TypeError),
        ({"data": {"a": {1, 2}}}, ValueError),
        ({"data": {"a": float("inf")}}, ValueError),
        ({"data": {"a": "\ud800"}}, ValueError),
        ({"init_params": 7}, TypeError),
    ],
)
def test_configurations_that_make_no_sense(options, error):
    from gmemx.plugin import PluginConfig, PluginConfigError

    with pytest.raises(error) as failure:
        PluginConfig(**options)
    if error is ValueError:
        assert isinstance(failure.value, PluginConfigError)
        assert failure.value.error_code == 4
    ((name, value),) = options.items()
    if name != "data":
        with pytest.raises(error):
            getattr(PluginConfig.defaults(), name)(value)


def test_configurations():
    import json

    from gmemx.plugin import LogLevel, PluginConfig

    config = PluginConfig()
    assert json.loads(config.to_json_bytes()) == {
        "data": {},
        "log_level": "info",
        "max_concurrent_ops": 1000,
        "shutdown_timeout_ms": 5000,
    }
    config.set("a", [1]).init_param("b", 2).init_param("c", "é").worker_threads(2)
    assert config.to_dict()["init_params"] == {"b": 2, "c": "é"}
    assert config.to_dict()["data"] == {"a": [1]}
    # What comes out is not what is inside.
    config.to_dict()["data"]["a"] = 7
    assert config.to_dict()["data"] == {"a": [1]}
    assert config.init_params(None).worker_threads(None) == PluginConfig(data={"a": [1]})
    assert config != PluginConfig()
    assert "data={'a': [1]}" in repr(config)
    for level in (LogLevel.OFF, 5, "off", "OFF"):
        assert PluginConfig(log_level=level).to_dict()["log_level"] == "off"


def test_levels_and_states():
    from gmemx.plugin import LifecycleState, LogLevel

    for kind in (LogLevel, LifecycleState):
        assert [kind.from_code(code) for code in range(6)] == list(kind)
        assert f"{kind.from_code(2)}" == str(kind(2)) == f"{kind.__name__}.{kind(2).name}"
        assert f"{kind(2):02d}" == "02"
        for wrong in (6, -1, 255):
            with pytest.raises(ValueError, match="from 0 to 5"):
                kind.from_code(wrong)
    assert LogLevel.from_string("Warn").to_string() == "warn"
    with pytest.raises(ValueError, match="trace, debug"):
        LogLevel.from_string("verbose")
    assert [state.can_handle_requests() for state in LifecycleState] == [False, False, True] + [
        False
    ] * 3
    assert [state.is_terminal() for state in LifecycleState] == [False] * 4 + [True] * 2


# ---- arguments of calls ---------------------------------------------------------------

TYPES = [
    lambda plugin: plugin.call(b"echo", "1"),
    lambda plugin: plugin.call(None, "1"),
    lambda plugin: plugin.call("echo", {"a": 1}),
    lambda plugin: plugin.call("echo", None),
    lambda plugin: plugin.call("echo"),
    lambda plugin: plugin.call_raw(BYTES, "text"),
    lambda plugin: plugin.call_raw(BYTES, 7),
    lambda plugin: plugin.call_raw("2", b""),
    lambda plugin: plugin.call_raw(2.0, b""),
    lambda plugin: plugin.call_raw(True, b""),
    lambda plugin: plugin.call_raw(BYTES, b"", "3"),
    lambda plugin: plugin.call_raw(BYTES, b"", dict),
    lambda plugin: plugin.call_raw(BYTES, b"", object()),
    lambda plugin: plugin.call_into(BYTES, b"", 7),
    lambda plugin: plugin.call_batch(BYTES, b"abc"),
    lambda plugin: plugin.call_batch(BYTES, 7),
    lambda plugin: plugin.call_batch(BYTES, ["text"]),
    lambda plugin: plugin.call_batch(BYTES, [b"", None]),
    lambda plugin: plugin.shutdown("soon"),
    lambda plugin: plugin.shutdown(True),
    lambda plugin: plugin.set_log_level(None),
    lambda plugin: plugin.reload(check=7),
    lambda plugin: plugin.reload(config={}),
]
VALUES = [
    lambda plugin: plugin.call("a\0b", "1"),
    lambda plugin: plugin.call("\ud800", "1"),
    lambda plugin: plugin.call("echo", "\ud800"),
    lambda plugin: plugin.call_raw(-1, b""),
    lambda plugin: plugin.call_raw(2**32, b""),
    lambda plugin: plugin.call_raw(10**5000, b""),
    lambda plugin: plugin.call_raw(BYTES, np.zeros((4, 4))[:, 1]),
    lambda plugin: plugin.call_into(BYTES, b"", b"read-only"),
    lambda plugin: plugin.call_into(BYTES, b"", np.zeros((4, 4))[:, 1]),
    lambda plugin: plugin.call_batch(BYTES, np.zeros((4, 4)).T[1:]),
    lambda plugin: plugin.call_batch(BYTES, [np.zeros((4, 4))[:, 1]]),
    lambda plugin: plugin.shutdown(-1),
    lambda plugin: plugin.flush_logs(float("nan")),
    lambda plugin: plugin.call_raw(OF_SIZE, np.uint32(5)).numpy("u2"),
]


@both
def test_arguments_that_make_no_sense(isolate):
    with load(isolate=isolate) as plugin:
        for call in TYPES:
            with pytest.raises(TypeError):
                call(plugin)
        for call in VALUES:
            with pytest.raises(ValueError, match=r"\w"):
                call(plugin)
        assert plugin.state == 2
        assert plugin.call("echo", "1") == "1"


def test_nothing_is_made_by_itself():
    from gmemx.plugin import NativePlugin, PluginResponse

    for kind in (NativePlugin, PluginResponse):
        with pytest.raises(TypeError, match="made"):
            kind()
    # And what was never made ends well.
    NativePlugin.__new__(NativePlugin)
    PluginResponse.__new__(PluginResponse)


def test_what_is_sent_is_let_go_of():
    data = bytearray(10)
    with load() as plugin:
        plugin.call_raw(BYTES, data)
        with pytest.raises(ValueError, match="from 0"):
            plugin.call_raw(-1, data)
        with pytest.raises(IndexError):
            plugin.call_into(BYTES, data, bytearray(3))
        plugin.call_batch(BYTES, [data, data])
        with pytest.raises(TypeError):
            plugin.call_batch(BYTES, [data, None])
        plugin.call_raw(BYTES, data, ctypes.c_char * 10)
    # A bytearray that somebody looks at cannot grow.
    data.append(1)


def test_exceptions_travel():
    from gmemx import _failures, errors

    for kind in {*_failures.PLUGIN_BY_CODE.values(), *_failures.PLUGIN_BY_STATUS.values()}:
        made = kind("text", 99)
        again = pickle.loads(pickle.dumps(made))
        assert (type(again), str(again), again.message, again.error_code) == (
            kind,
            "[99] text",
            "text",
            99,
        )
        assert issubclass(kind, errors.PluginException)
        assert issubclass(kind, RuntimeError)
        assert kind("text").error_code == kind.error_code
