"""What must not be done to a plugin: refused with a sentence, and harmless."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import plugins_build
import pytest
from concurrency import eventually
from plugins import BYTES, SLEEP, both, linux_only, load, program
from plugins_build import counters
from pools import in_child

pytestmark = linux_only


# ---- after a shutdown -------------------------------------------------------------------


@both
def test_use_after_shutdown(isolate):
    from gmemx.plugin import InvalidStateError

    with load(isolate=isolate) as plugin:
        plugin.call("echo", "1")
    for call in (
        lambda: plugin.call("echo", "1"),
        lambda: plugin.call_typed("echo", 1),
        lambda: plugin.call_raw(BYTES, b""),
        lambda: plugin.call_raw_bytes(BYTES, b""),
        lambda: plugin.call_into(BYTES, b"", bytearray(1)),
        lambda: plugin.call_batch(BYTES, [b""]),
        lambda: plugin.reload(),
        plugin.__enter__,
    ):
        with pytest.raises(InvalidStateError, match="shut down") as failure:
            call()
        assert failure.value.error_code == 1
    assert plugin.rejected_request_count == plugin.dropped_log_count == plugin.in_flight == 0
    assert plugin.flush_logs()
    plugin.close()


def test_the_plugins_word_on_its_end():
    plugin = load(compiled=("shutdown-false",))
    assert plugin.shutdown() is False
    assert plugin.shutdown() is True


def test_the_count_of_refused_calls_outlives_the_plugin():
    from gmemx.plugin import TooManyRequestsError

    plugin = load(max_concurrent_ops=1)
    thread = threading.Thread(target=plugin.call_raw, args=(SLEEP, np.uint32(200_000)))
    thread.start()
    eventually(lambda: plugin.in_flight == 1)
    with pytest.raises(TooManyRequestsError):
        plugin.call("echo", "1")
    thread.join()
    assert plugin.rejected_request_count == 1
    plugin.shutdown()
    assert plugin.rejected_request_count == 1


# ---- calls in flight ----------------------------------------------------------------------


@both
def test_a_shutdown_waits_for_calls_in_flight(isolate):
    plugin = load(isolate=isolate)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(plugin.call("sleep:200000", '"ended"')),
    )
    thread.start()
    eventually(lambda: plugin.in_flight == 1)
    time.sleep(0.03)
    assert plugin.shutdown(10) is True
    thread.join()
    assert answers == ['"ended"']


@both
def test_a_shutdown_that_takes_too_long_can_be_tried_again(isolate):
    from gmemx.plugin import InvalidStateError, LifecycleState, PluginTimeoutError

    plugin = load(isolate=isolate)
    thread = threading.Thread(target=plugin.call, args=("sleep:500000", "1"))
    thread.start()
    eventually(lambda: plugin.in_flight == 1)
    time.sleep(0.03)
    with pytest.raises(PluginTimeoutError, match=r"1 call .* 0\.05 seconds") as failure:
        plugin.shutdown(0.05)
    assert isinstance(failure.value, TimeoutError)
    assert plugin.closed
    assert plugin.state is LifecycleState.STOPPING or isolate
    with pytest.raises(InvalidStateError):
        plugin.call("echo", "1")
    assert plugin.shutdown(10) is True
    thread.join()


def test_the_configuration_says_how_long_a_shutdown_waits():
    from gmemx.plugin import PluginTimeoutError

    plugin = load(shutdown_timeout_ms=50)
    thread = threading.Thread(target=plugin.call, args=("sleep:400000", "1"))
    thread.start()
    eventually(lambda: plugin.in_flight == 1)
    with pytest.raises(PluginTimeoutError):
        plugin.shutdown()
    thread.join()
    plugin.shutdown()


def test_shutdowns_from_many_threads_are_one(tmp_path):
    path = tmp_path / "counts"
    for _ in range(20):
        plugin = load(data={"counts": str(path)})
        threads = [threading.Thread(target=plugin.shutdown) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counters(path)["shutdowns"] == 20


def test_what_goes_wrong_inside_a_block_matters_more():
    plugin = load(shutdown_timeout_ms=10)
    thread = threading.Thread(target=plugin.call, args=("sleep:300000", "1"))
    thread.start()
    eventually(lambda: plugin.in_flight == 1)
    with pytest.raises(ZeroDivisionError), plugin:
        _ = 1 / 0
    thread.join()
    assert plugin.shutdown() is True


def test_ctrl_c_while_a_shutdown_waits():
    program = """
import signal, sys, threading, time
from gmemx import plugin
p = plugin.load(sys.argv[1])
threading.Thread(target=p.call, args=("sleep:3000000", "1"), daemon=True).start()
while not p.in_flight: time.sleep(0.001)
print("ready", flush=True)
start = time.monotonic()
try:
    p.shutdown(60)
except KeyboardInterrupt:
    print(time.monotonic() - start < 2.5)
"""
    command = [sys.executable, "-c", program, plugins_build.faults()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "True\n"
    assert process.returncode == 0


# ---- forgotten plugins -----------------------------------------------------------------


def test_a_forgotten_plugin_is_shut_down(tmp_path):
    path = tmp_path / "counts"
    plugin = load(data={"counts": str(path)})
    plugin.call("echo", "1")
    del plugin
    gc.collect()
    assert counters(path)["shutdowns"] == 1


def test_a_plugin_in_a_cycle_is_collected(tmp_path):
    path = tmp_path / "counts"
    box = []
    box.append(load(data={"counts": str(path)}, log_callback=lambda *message, box=box: box))
    del box
    gc.collect()
    assert counters(path)["shutdowns"] == 1


# ---- forked children ---------------------------------------------------------------------


@both
def test_calls_in_a_forked_child_are_refused(isolate):
    from gmemx.plugin import InvalidStateError

    plugin = load(isolate=isolate)
    response = plugin.call_raw(BYTES, b"abc")

    def work():
        for call in (
            lambda: plugin.call("echo", "1"),
            lambda: plugin.call_raw(BYTES, b""),
            lambda: plugin.call_batch(BYTES, [b""]),
            plugin.shutdown,
        ):
            with pytest.raises(InvalidStateError, match="fork"):
                call()
        assert bytes(response) == b"abc"
        repr(plugin)
        # A plugin that is loaded here is this process's own.
        with load() as other:
            assert other.call("echo", "2") == "2"
            other.call("log:1", "{}")
            assert other.flush_logs(10)

    in_child(work)
    assert plugin.call("echo", "1") == "1"
    plugin.shutdown()


def test_a_child_is_forked_while_all_is_going_on():
    """Locks that other threads hold at that moment are not waited for."""
    from gmemx.plugin import InvalidStateError

    stop = threading.Event()
    plugin = load(log_callback=lambda *message: None)

    def busy():
        while not stop.is_set():
            plugin.call("log:10", "{}")
            plugin.call_batch(BYTES, [b"x"] * 10)

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()

    def work():
        signal.alarm(20)
        with pytest.raises(InvalidStateError):
            plugin.call("echo", "1")
        with load() as other:
            other.call("echo", "1")

    try:
        for _ in range(15):
            in_child(work)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    plugin.shutdown()


def test_a_child_that_ends_ends_nothing_of_its_parents(tmp_path):
    path = tmp_path / "counts"
    plugin = load(data={"counts": str(path)})
    child = os.fork()
    if child == 0:
        # As an ordinary program ends, not as a test's child does.
        del plugin
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert counters(path)["shutdowns"] == 0
    assert plugin.call("echo", "1") == "1"
    plugin.shutdown()


# ---- the end of Python ---------------------------------------------------------------------

ENDS = {
    "without a shutdown": "p.call('echo', '1')",
    "with responses": "r = p.call_raw(2, b'abc'); sys.keep = r",
    "with a call in flight": (
        "import threading, time\n"
        "threading.Thread(target=p.call, args=('sleep:2000000', '1'), daemon=True).start()\n"
        "time.sleep(0.1)"
    ),
    "with awaited calls in flight": (
        "import asyncio\n"
        "async def work():\n"
        "    for i in range(200): p.call_async('sleep:100000', '1')\n"
        "    await asyncio.sleep(0.05)\n"
        "asyncio.run(work())"
    ),
    "in the midst of a loop": (
        "import asyncio\n"
        "async def work():\n"
        "    sys.kept = [p.call_async('sleep:100000', '1') for i in range(200)]\n"
        "    await asyncio.sleep(0.05)\n"
        "    print('end', flush=True); sys.stdout = None; sys.exit(0)\n"
        "asyncio.run(work())"
    ),
    "while another thread calls": (
        "import threading\n"
        "def work():\n"
        "    while True: p.call('echo', '1')\n"
        "[threading.Thread(target=work, daemon=True).start() for _ in range(3)]"
    ),
    "with an isolated one": "q = plugin.load(LIBRARY, isolate=True); q.call('echo', '1')",
    "with one in a module": "sys.modules['kept'] = p",
}


@pytest.mark.parametrize("statement", ENDS.values(), ids=ENDS)
def test_python_ends_with_plugins_loaded(statement):
    text = f"p = plugin.load(LIBRARY)\n{statement}\nprint('end')"
    assert program(text, timeout=60).startswith("end")


def test_plugins_are_shut_down_at_the_end_of_python(tmp_path):
    path = tmp_path / "counts"
    text = """
config = plugin.PluginConfig(data={"counts": sys.argv[2]})
sys.kept = [plugin.load(LIBRARY, config) for _ in range(3)]
"""
    program(text, path)
    assert counters(path)["shutdowns"] == 3
