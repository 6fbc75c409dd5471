"""Plugins in processes of their own, and what becomes of their crashes."""

import asyncio
import gc
import os
import signal
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
import plugins_build
import pytest
from concurrency import eventually
from plugins import BYTES, answer, descriptors, linux_only, load, program
from plugins_build import counters

pytestmark = linux_only


def isolated(*words, **options):
    return load(*words, isolate=True, **options)


def alive(pid):
    """Whether a process runs; one that has ended and was not looked at counts, too."""
    return Path(f"/proc/{pid}").exists()


CRASHES = {
    "segv": "killed by SIGSEGV",
    "abort": "killed by SIGABRT",
    "kill": "killed by SIGKILL",
    "exit": "ended with status 3",
}


@pytest.mark.parametrize(("how", "text"), CRASHES.items(), ids=CRASHES)
def test_a_crash_is_an_exception(how, text):
    from gmemx.plugin import LifecycleState, PluginInternalError

    plugin = isolated()
    pid = plugin.pid
    for call in (
        lambda: plugin.call(f"crash:{how}", "{}"),
        lambda: plugin.call("echo", "1"),
        lambda: plugin.call_raw(BYTES, b"abc"),
        lambda: plugin.call_batch(BYTES, [b"abc"]),
        lambda: plugin.set_log_level("debug"),
    ):
        with pytest.raises(PluginInternalError, match=text) as failure:
            call()
        assert failure.value.error_code == 11
    assert plugin.state is LifecycleState.FAILED
    assert "failed" in repr(plugin)
    assert not alive(pid)
    assert plugin.shutdown() is False


def test_killed_from_outside_with_calls_in_flight():
    from gmemx.plugin import PluginInternalError

    plugin = isolated()
    outcomes = []

    def work():
        try:
            plugin.call("sleep:60000000", "1")
        except PluginInternalError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    eventually(lambda: plugin.in_flight == 5)
    time.sleep(0.1)
    os.kill(plugin.pid, signal.SIGKILL)
    for thread in threads:
        thread.join(20)
    assert len(outcomes) == 5
    assert len({id(error) for error in outcomes}) == 5
    assert all("SIGKILL" in error.message for error in outcomes)


def test_awaited_calls_are_told_of_a_crash():
    from gmemx.plugin import PluginInternalError

    async def work(plugin):
        started = [plugin.call_async("sleep:60000000", "1") for _ in range(5)]
        await asyncio.sleep(0.1)
        started.append(plugin.call_async("crash:segv", "1"))
        found = await asyncio.gather(*started, return_exceptions=True)
        assert all(isinstance(each, PluginInternalError) for each in found)
        with pytest.raises(PluginInternalError):
            await plugin.call_async("echo", "1")

    asyncio.run(work(isolated()))


@pytest.mark.parametrize("word", ["init-crash", "create-crash"])
def test_a_crash_at_the_start(word):
    from gmemx.plugin import PluginInternalError

    with pytest.raises(PluginInternalError, match="SIGSEGV"):
        isolated(compiled=(word,))


def test_failures_at_the_start_are_those_of_any_plugin(tmp_path):
    from gmemx.plugin import FfiError, InitializationFailedError

    with pytest.raises(InitializationFailedError):
        isolated(compiled=("init-null",))
    with pytest.raises(FfiError, match="no plugin"):
        isolated(path=plugins_build.faults(nothing=True))
    with pytest.raises(FileNotFoundError):
        isolated(path=tmp_path / "missing.so")


@pytest.mark.parametrize("word", ["shutdown-crash", "shutdown-hang"])
def test_an_end_that_is_none(word, monkeypatch):
    """The process is gone nevertheless."""
    from gmemx import _plugin_isolated

    monkeypatch.setattr(_plugin_isolated, "STOPPED_WITHIN", 0.5)
    plugin = isolated(compiled=(word,))
    pid = plugin.pid
    assert plugin.shutdown(0.1) is False
    eventually(lambda: not alive(pid))


def test_restart():
    from gmemx.plugin import PluginInternalError

    plugin = isolated(max_concurrent_ops=9)
    kept = plugin.call_raw(BYTES, b"kept")
    plugin.set_log_level("error")
    for how in ("segv", "kill"):
        with pytest.raises(PluginInternalError):
            plugin.call(f"crash:{how}", "{}")
        before = plugin.pid
        plugin.restart()
        assert plugin.pid != before
        assert answer(plugin, "config")["max_concurrent_ops"] == 9
    assert bytes(kept) == b"kept"
    # One that runs is shut down, one that was shut down runs again.
    before = plugin.pid
    plugin.restart()
    assert not alive(before)
    plugin.shutdown()
    plugin.restart()
    assert plugin.call("echo", "1") == "1"
    plugin.shutdown()


def test_answers_lie_in_shared_memory_and_outlive_the_process():
    plugin = isolated()
    data = np.random.default_rng(1).bytes(3_000_000)
    response = plugin.call_raw(BYTES, data)
    array = response.numpy()
    with pytest.raises(BufferError):
        response.close()
    plugin.shutdown()
    del plugin, response
    gc.collect()
    assert array.tobytes() == data
    assert not array.flags.writeable


def test_all_buffers_are_given_back():
    with isolated() as plugin:
        pool = plugin._pool
        for i in range(50):
            plugin.call("echo", str(i))
            plugin.call_raw(BYTES, b"x" * 1000)
            plugin.call_batch(BYTES, [b"x"] * 10)
            with suppress(Exception):
                plugin.call("fail:7", "{}")
        gc.collect()
        eventually(lambda: pool.stats().used == 0)

        async def abandoned():
            started = [plugin.call_raw_async(BYTES, b"x" * 100) for _ in range(50)]
            for future in started[::2]:
                future.cancel()
            await asyncio.gather(*started, return_exceptions=True)

        asyncio.run(abandoned())
        gc.collect()
        eventually(lambda: pool.stats().used == 0)


def test_several_calls_at_once():
    with isolated(concurrency=8) as plugin:
        start = time.monotonic()
        threads = [
            threading.Thread(target=plugin.call, args=("sleep:300000", "1")) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        # What is asked in between does not wait for them.
        assert plugin.rejected_request_count == 0
        for thread in threads:
            thread.join()
        assert answer(plugin, "running")["most"] == 8
        assert time.monotonic() - start < 2


def test_more_calls_than_run_at_once():
    async def work(plugin):
        found = await asyncio.gather(*[plugin.call_async("echo", str(i)) for i in range(300)])
        assert found == [str(i) for i in range(300)]

    with isolated(concurrency=2) as plugin:
        asyncio.run(work(plugin))


def test_the_process_is_shut_down_and_nothing_is_left(tmp_path):
    path = tmp_path / "counts"
    before, threads = descriptors(), threading.active_count()
    for _ in range(3):
        with isolated(data={"counts": str(path)}) as plugin:
            pid = plugin.pid
            assert plugin.call("echo", "1") == "1"
        # No zombie either.
        assert not alive(pid)
    reference = weakref.ref(plugin)
    del plugin
    gc.collect()
    assert reference() is None
    eventually(lambda: (descriptors(), threading.active_count()) <= (before, threads))
    assert counters(path)["shutdowns"] == 3


def test_a_forgotten_one_ends():
    plugin = isolated()
    pid = plugin.pid
    del plugin
    gc.collect()
    eventually(lambda: not alive(pid))


def test_it_ends_with_its_parent():
    """However that ends, and though a forked sibling still has all its descriptors."""
    text = """
import os, signal
p = plugin.load(LIBRARY, isolate=True)
print(p.pid, flush=True)
child = os.fork()
if child == 0:
    import time
    os.close(1)
    time.sleep(3)
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    pid = int(program(text, status=-signal.SIGKILL))
    eventually(lambda: not alive(pid), seconds=2.5)


def test_python_ends_with_one_that_hangs():
    text = """
import threading, time
p = plugin.load(LIBRARY, isolate=True)
threading.Thread(target=p.call, args=("sleep:60000000", "1"), daemon=True).start()
time.sleep(0.2)
print(p.pid)
"""
    start = time.monotonic()
    pid = int(program(text, timeout=60))
    assert time.monotonic() - start < 20
    eventually(lambda: not alive(pid))


def test_ctrl_c_is_for_the_parent():
    plugin = isolated()
    os.kill(plugin.pid, signal.SIGINT)
    assert plugin.call("echo", "1") == "1"
    plugin.shutdown()


def test_the_child_finds_the_package_of_its_parent(tmp_path, monkeypatch):
    """Not what lies in the folder it is started in."""
    (tmp_path / "gmemx").mkdir()
    (tmp_path / "gmemx" / "__init__.py").write_text("raise SystemExit('another package')")
    monkeypatch.chdir(tmp_path)
    with isolated() as plugin:
        assert plugin.call("echo", "1") == "1"
