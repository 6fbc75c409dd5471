"""What every plugin has to do, on the examples and on real ones that the environment names.

GMEMX_TEST_PLUGIN is the path of a library, GMEMX_TEST_BUNDLE of a bundle.
"""

import asyncio
import json
import os
import sys
import threading

import plugins_build
import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("plugins are for Linux", allow_module_level=True)

from gmemx.plugin import (
    BundleLoader,
    InvalidStateError,
    LifecycleState,
    LogLevel,
    NativePluginLoader,
    PluginConfig,
    PluginException,
    UnknownMessageTypeError,
    check,
)

SUBJECTS = {
    "echo": plugins_build.echo,
    "calculator": plugins_build.calculator,
    "faults": plugins_build.faults,
}
for variable in ("GMEMX_TEST_PLUGIN", "GMEMX_TEST_BUNDLE"):
    if path := os.environ.get(variable):
        SUBJECTS[variable] = lambda path=path: path
NO_TAG = "no.such.tag.at.all"
NO_ID = 2**32 - 1


@pytest.fixture(params=SUBJECTS, scope="module")
def library(request, tmp_path_factory):
    """The path of each library in turn, the bundle's taken out of it."""
    path = SUBJECTS[request.param]()
    if request.param != "GMEMX_TEST_BUNDLE":
        return path
    with BundleLoader(path, verify_signatures=False) as bundle:
        return bundle.extract_library(tmp_path_factory.mktemp("extracted"))


@pytest.fixture
def plugin(library):
    """A plugin, shut down afterwards."""
    with NativePluginLoader.load(library) as loaded:
        yield loaded


def answers_to_echo(plugin):
    """Whether there is something to be called that answers; if not, errors have to do."""
    try:
        plugin.call("echo", '{"message": "Hello"}')
    except UnknownMessageTypeError:
        return False
    return True


def test_the_conformance_list(library):
    """Every check of `gmemx plugin check`."""
    assert [result for result in check(library) if not result.passed] == []


def test_its_life(library):
    """Active until it is shut down, which may be said twice; then nothing is called."""
    plugin = NativePluginLoader.load(library)
    assert plugin.state is LifecycleState.ACTIVE
    assert (plugin.rejected_request_count, plugin.in_flight, plugin.closed) == (0, 0, False)
    assert plugin.shutdown() is True
    assert plugin.shutdown() is True
    assert (plugin.state, plugin.closed) == (LifecycleState.STOPPED, True)
    with pytest.raises(InvalidStateError):
        plugin.call("echo", "{}")


def test_many_lives(library):
    """Loaded, called and shut down again and again."""
    for _ in range(50):
        with NativePluginLoader.load(library) as plugin, pytest.raises(UnknownMessageTypeError):
            plugin.call(NO_TAG, "{}")


def test_copies_do_not_disturb_each_other(library):
    """Each has its own level, callback and life."""
    messages = {number: [] for number in range(3)}
    plugins = [
        NativePluginLoader.load(
            library,
            PluginConfig(log_level=LogLevel.TRACE if number else LogLevel.OFF),
            lambda *message, number=number: messages[number].append(message),
        )
        for number in range(3)
    ]
    plugins[2].shutdown()
    for plugin in plugins[:2]:
        assert plugin.state is LifecycleState.ACTIVE
        with pytest.raises(UnknownMessageTypeError):
            plugin.call(NO_TAG, "{}")
    for plugin in plugins:
        plugin.shutdown()
    assert messages[0] == []
    for level, target, text in messages[1] + messages[2]:
        assert (type(level), type(target), type(text)) == (LogLevel, str, str)


def test_errors(plugin):
    """Code and text, out of whatever they came in."""
    with pytest.raises(UnknownMessageTypeError) as caught:
        plugin.call(NO_TAG, "{}")
    assert caught.value.error_code == 6
    assert not caught.value.message.startswith("{")
    assert plugin.state is LifecycleState.ACTIVE


def test_echoes(plugin):
    """JSON comes back, small and large, in any script."""
    if not answers_to_echo(plugin):
        return
    for message in ("Hello", "", "}", '"\\', "Grüße, 世界 🎉", "x" * 1_000_000):
        answer = plugin.call("echo", json.dumps({"message": message}))
        assert json.loads(answer)["message"] == message
    answer = plugin.call_typed("echo", {"message": "typed"})
    assert answer["message"] == "typed"


def test_garbage(plugin):
    """Whatever is sent, there is an answer or an exception, and the plugin lives."""
    for request in (b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"null", b'"\xed\xa0\x80"'):
        try:
            plugin.call("echo", request)
        except PluginException:
            continue
    assert plugin.state is LifecycleState.ACTIVE


def test_binary_calls(plugin):
    """Unknown numbers are an error with its text whole."""
    if not plugin.has_binary_transport:
        with pytest.raises(PluginException) as caught:
            plugin.call_raw(NO_ID, b"")
        assert caught.value.error_code == 12
        return
    with pytest.raises(UnknownMessageTypeError) as caught:
        plugin.call_raw(NO_ID, b"request")
    assert "\0" not in caught.value.message
    answers = plugin.call_batch(NO_ID, [b"1", b"2"], return_exceptions=True)
    assert [type(answer) for answer in answers] == [UnknownMessageTypeError] * 2


def test_threads(plugin):
    """Each gets its own answers."""
    if not answers_to_echo(plugin):
        return
    wrong = []

    def work(lane):
        for i in range(100):
            message = f"{lane}.{i}"
            answer = plugin.call("echo", json.dumps({"message": message}))
            if json.loads(answer)["message"] != message:
                wrong.append((message, answer))

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_awaiting(plugin):
    """Hundreds at once."""

    async def main():
        calls = [plugin.call_async(NO_TAG, "{}") for _ in range(300)]
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(main())
    assert {type(answer) for answer in answers} == {UnknownMessageTypeError}


def test_limit(library):
    """Calls beyond the limit are refused and counted, by plugins that have one."""
    config = PluginConfig(max_concurrent_ops=1)
    with NativePluginLoader.load(library, config) as plugin:
        request = json.dumps({"message": "x" * 100_000})
        refused = []

        def work():
            for _ in range(50):
                try:
                    plugin.call("echo", request)
                except PluginException as error:
                    refused.append(error.error_code)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert refused.count(13) == plugin.rejected_request_count


def test_levels(plugin):
    """Each can be set while it runs."""
    for level in LogLevel:
        plugin.set_log_level(level)
    assert plugin.state is LifecycleState.ACTIVE


def test_reload(plugin, library):
    """The same library takes over from itself."""
    plugin.reload(library)
    assert plugin.state is LifecycleState.ACTIVE
    with pytest.raises(UnknownMessageTypeError):
        plugin.call(NO_TAG, "{}")
