"""Many threads in one plugin at once."""

import time

import numpy as np
import pytest
from concurrency import together
from plugins import BYTES, OF_SIZE, SLEEP, SPIN, answer, linux_only, load

pytestmark = linux_only


def test_everything_at_once():
    with load(log_callback=lambda *message: None) as plugin:

        def work(number):
            text, data = f'"{number}"', bytes([number]) * 1000
            out = bytearray(1000)
            for i in range(300):
                assert plugin.call("echo", text) == text
                assert plugin.call_raw(BYTES, data) == data
                assert plugin.call_into(BYTES, data, out) == 1000
                assert out == data
                assert all(each == data for each in plugin.call_batch(BYTES, [data] * 5))
                assert len(plugin.call_raw(OF_SIZE, np.uint32(i))) == i
                with pytest.raises(Exception, match="wanted failure"):
                    plugin.call(f"fail:{number + 1}", "{}")

        together(*[lambda number=number: work(number) for number in range(8)])
        assert plugin.in_flight == 0


def test_errors_are_of_the_thread_that_called():
    from gmemx.plugin import PluginException

    with load() as plugin:

        def work(code):
            for _ in range(500):
                with pytest.raises(PluginException) as failure:
                    plugin.call_raw(6, np.uint32(code).tobytes() + b"text %d" % code)
                assert (failure.value.error_code, failure.value.message) == (code, f"text {code}")

        together(*[lambda code=code: work(code) for code in range(1, 9)])


def test_the_gil_is_free_during_calls():
    with load() as plugin:
        for call in (
            lambda: plugin.call("sleep:300000", "1"),
            lambda: plugin.call_raw(SLEEP, np.uint32(300_000)),
            lambda: plugin.call_raw_bytes(SLEEP, np.uint32(300_000)),
            lambda: plugin.call_into(SLEEP, np.uint32(300_000), bytearray(8)),
            lambda: plugin.call_batch(SLEEP, [np.uint32(150_000)] * 2),
        ):
            start = time.monotonic()
            together(*[call] * 4)
            assert time.monotonic() - start < 1


def test_two_threads_work_at_once():
    """How much more they do, benchmarks/plugin.py measures."""
    with load(log_callback=False) as plugin:
        together(*[lambda: [plugin.call_raw(SPIN, np.uint32(200)) for _ in range(500)]] * 2)
        assert answer(plugin, "running")["most"] == 2


def test_responses_are_freed_on_any_thread():
    with load() as plugin:
        kept = [plugin.call_raw(BYTES, b"abc") for _ in range(2000)]

        def work():
            while kept:
                try:
                    assert kept.pop() == b"abc"
                except IndexError:
                    break

        together(*[work] * 4)


def test_loading_at_once():
    def work(number):
        for _ in range(20):
            with load() as plugin:
                assert plugin.call("echo", str(number)) == str(number)
                assert answer(plugin, "config")["data"] == {"faults": []}

    together(*[lambda number=number: work(number) for number in range(6)])


def test_a_shutdown_in_the_midst_of_calls():
    from gmemx.plugin import InvalidStateError

    for _ in range(20):
        plugin = load()
        refused = []

        def work(plugin=plugin, refused=refused):
            try:
                while True:
                    assert plugin.call_raw(BYTES, b"abc") == b"abc"
            except InvalidStateError as error:
                refused.append(error)

        together(*[work, work, work, plugin.shutdown])
        assert len(refused) == 3
        assert plugin.in_flight == 0
