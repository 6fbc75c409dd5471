"""Another library in the place of one that is in use."""

import asyncio
import threading
import time

import numpy as np
import plugins_build
import pytest
from concurrency import eventually
from plugins import BYTES, SLEEP, answer, both, linux_only, load, logged
from plugins_build import counters

pytestmark = linux_only


@both
def test_the_new_one_takes_all_calls(isolate, tmp_path):
    path = tmp_path / "counts"
    with load(isolate=isolate, data={"counts": str(path)}) as plugin:
        assert plugin.reload(plugins_build.echo()) is True
        assert plugin.path == str(plugins_build.echo())
        assert plugin.call("echo", "1") == "1"
        assert plugin.call_raw(BYTES, b"abc") == b"abc"
        assert counters(path)["shutdowns"] == 1
        # The same file again, with the same configuration.
        assert plugin.reload() is True
        assert plugin.call("echo", "2") == "2"
    assert plugin.closed


@both
def test_configuration_level_and_callback_stay(isolate):
    plugin, messages = logged(isolate=isolate, max_concurrent_ops=9)
    plugin.set_log_level("error")
    plugin.reload()
    assert answer(plugin, "config")["max_concurrent_ops"] == 9
    plugin.call("log:3", "{}")
    plugin.flush_logs()
    assert not messages
    from gmemx.plugin import PluginConfig

    plugin.reload(config=PluginConfig(max_concurrent_ops=8))
    assert answer(plugin, "config")["max_concurrent_ops"] == 8
    plugin.shutdown()


def broken(plugin):
    raise ZeroDivisionError("it is not what it should be")


@pytest.mark.parametrize(
    "failing",
    ["init-null", "create-null", "state-stuck", "no plugin", "missing", "check", "check-shutdown"],
)
@both
def test_what_fails_changes_nothing(isolate, failing, tmp_path):
    from gmemx.plugin import PluginException

    options = {}
    if failing == "no plugin":
        path = plugins_build.faults(nothing=True)
    elif failing == "missing":
        path = tmp_path / "missing.so"
    elif failing.startswith("check"):
        path = plugins_build.echo()
        options["check"] = broken if failing == "check" else lambda new: new.shutdown()
    else:
        path = plugins_build.faults(failing)
    with load(isolate=isolate) as plugin:
        before = repr(plugin)
        with pytest.raises(ZeroDivisionError if failing == "check" else PluginException):
            plugin.reload(path, **options)
        assert repr(plugin) == before
        assert plugin.call("running", "{}").startswith('{"now"')
        assert plugin.reload(plugins_build.echo()) is True


def test_the_new_one_is_looked_at_first():
    seen = []

    def check(new):
        seen.append((new.call("echo", "1"), new is plugin, plugin.path))

    with load() as plugin:
        plugin.reload(plugins_build.echo(), check=check)
        assert seen == [("1", False, str(plugins_build.faults()))]


@both
def test_calls_in_flight_end_on_the_old_one(isolate):
    answers = []
    plugin = load(isolate=isolate)
    thread = threading.Thread(target=lambda: answers.append(plugin.call("sleep:200000", '"old"')))
    thread.start()
    eventually(lambda: plugin.in_flight == 1)
    time.sleep(0.03)
    assert plugin.reload(plugins_build.echo()) is True
    thread.join()
    assert answers == ['"old"']
    plugin.shutdown()


@both
def test_an_old_one_that_takes_too_long(isolate, tmp_path):
    path = tmp_path / "counts"
    answers = []
    plugin = load(isolate=isolate, data={"counts": str(path)})
    # Loading the new one takes a while, on a busy machine and in a new process above all.
    tag = "sleep:3000000" if isolate else "sleep:1500000"
    thread = threading.Thread(target=lambda: answers.append(plugin.call(tag, '"old"')))
    thread.start()
    eventually(lambda: plugin.in_flight == 1)
    time.sleep(0.03)
    assert plugin.reload(plugins_build.echo(), timeout=0.05) is False
    # The new one is in its place nevertheless.
    assert plugin.call("echo", "1") == "1"
    thread.join()
    assert answers == ['"old"']
    plugin.shutdown()
    eventually(lambda: counters(path)["shutdowns"] == 1)


@both
def test_no_call_notices(isolate):
    """Threads call all the time while one version follows the other."""
    stop, failures, count = threading.Event(), [], [0]
    plugin = load(isolate=isolate)

    def work():
        try:
            while not stop.is_set():
                assert plugin.call("echo", "1") == "1"
                assert plugin.call_raw(BYTES, b"abc") == b"abc"
                assert [bytes(each) for each in plugin.call_batch(BYTES, [b"x"] * 3)] == [b"x"] * 3
                assert plugin.call_into(BYTES, b"abc", bytearray(3)) == 3
                count[0] += 1
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    libraries = [plugins_build.echo(), plugins_build.faults()]
    for i in range(4 if isolate else 40):
        plugin.reload(libraries[i % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert count[0] > 0
    plugin.shutdown()


@both
def test_no_awaited_call_notices(isolate):
    async def work(plugin):
        libraries = [plugins_build.echo(), plugins_build.faults()]
        for i in range(3 if isolate else 20):
            started = [plugin.call_async("echo", str(n)) for n in range(200)]
            # Some run, some wait in the core, some in Python.
            reload = asyncio.to_thread(plugin.reload, libraries[i % 2])
            *found, done = await asyncio.gather(*started, reload)
            assert found == [str(n) for n in range(200)]
            assert done is True

    with load(isolate=isolate, concurrency=2) as plugin:
        asyncio.run(work(plugin))


def test_a_running_awaited_call_ends_on_the_old_one():
    async def work(plugin):
        running = plugin.call_raw_async(SLEEP, np.uint32(100_000))
        await asyncio.sleep(0.03)
        assert await asyncio.to_thread(plugin.reload, plugins_build.echo()) is True
        await running
        assert await plugin.call_async("echo", "1") == "1"

    with load() as plugin:
        asyncio.run(work(plugin))


def test_answers_of_the_old_one_last():
    with load() as plugin:
        response = plugin.call_raw(BYTES, b"old")
        for _ in range(3):
            plugin.reload()
        assert bytes(response) == b"old"
