"""Calls that are awaited."""

import asyncio
import gc
import threading
import time
import weakref

import numpy as np
import pytest
from concurrency import eventually
from plugins import (
    BYTES,
    FAILURE,
    OF_SIZE,
    SLEEP,
    answer,
    both,
    calls,
    descriptors,
    linux_only,
    load,
)
from plugins_build import counters

pytestmark = linux_only


def micros(number):
    return np.uint32(number)


# ---- answers --------------------------------------------------------------------------


@both
def test_answers_and_failures(isolate):
    from gmemx.plugin import HandlerError, SerializationError

    async def work(plugin):
        assert await plugin.call_async("echo", '"é"') == '"é"'
        assert await plugin.call_async("echo", b"[1]") == "[1]"
        assert bytes(await plugin.call_raw_async(BYTES, b"abc")) == b"abc"
        with pytest.raises(HandlerError, match="wanted failure"):
            await plugin.call_async("fail:7", "{}")
        with pytest.raises(HandlerError, match="text"):
            await plugin.call_raw_async(FAILURE, micros(7).tobytes() + b"text")
        with pytest.raises(SerializationError):
            await plugin.call_async("verbatim:0", "garbage")

    with load(isolate=isolate) as plugin:
        asyncio.run(work(plugin))


@both
def test_many_at_once(isolate):
    count = 300 if isolate else 5000

    async def work(plugin):
        found = await asyncio.gather(
            *[plugin.call_raw_async(BYTES, i.to_bytes(4, "little")) for i in range(count)]
        )
        assert [int.from_bytes(each, "little") for each in found] == list(range(count))
        found = await asyncio.gather(*[plugin.call_async("echo", str(i)) for i in range(count)])
        assert found == [str(i) for i in range(count)]

    with load(isolate=isolate) as plugin:
        asyncio.run(work(plugin))


def test_large_requests_and_answers():
    data = bytes(range(256)) * 4096

    async def work(plugin):
        found = await asyncio.gather(*[plugin.call_raw_async(BYTES, data) for _ in range(50)])
        assert all(each == data for each in found)
        assert len(await plugin.call_raw_async(OF_SIZE, micros(10**6))) == 10**6

    with load() as plugin:
        asyncio.run(work(plugin))


def test_what_cannot_be_awaited_is_refused_at_once():
    async def work(plugin):
        for call in (
            lambda: plugin.call_async("echo", {}),
            lambda: plugin.call_async(7, "{}"),
            lambda: plugin.call_raw_async(BYTES, "text"),
            lambda: plugin.call_raw_async("id", b""),
            lambda: plugin.call_raw_async(BYTES, b"", timeout="soon"),
        ):
            with pytest.raises(TypeError):
                call()
        for call in (
            lambda: plugin.call_async("a\0b", "{}"),
            lambda: plugin.call_raw_async(-1, b""),
            lambda: plugin.call_raw_async(BYTES, b"", timeout=-1),
            lambda: plugin.call_raw_async(BYTES, b"", timeout=float("nan")),
            lambda: plugin.call_raw_async(BYTES, np.zeros((4, 4))[:, 1]),
        ):
            with pytest.raises(ValueError, match=r"NUL|from 0|at least 0|contiguous"):
                call()

    with load() as plugin:
        asyncio.run(work(plugin))
        with pytest.raises(RuntimeError, match="no running event loop"):
            plugin.call_async("echo", "1")


# ---- at most so many ------------------------------------------------------------------


def test_only_so_many_run_at_once_and_none_is_lost():
    async def work(plugin):
        started = [plugin.call_raw_async(SLEEP, micros(2000)) for _ in range(100)]
        await asyncio.gather(*started)

    with load(concurrency=4) as plugin:
        asyncio.run(work(plugin))
        assert answer(plugin, "running")["most"] == 4
        assert plugin.rejected_request_count == 0


def test_those_that_wait_have_their_turn_in_order():
    ended = []

    async def work(plugin):
        started = [plugin.call_raw_async(BYTES, bytes([i])) for i in range(100)]
        for future in started:
            future.add_done_callback(lambda done: ended.append(done.result()[0]))
        await asyncio.gather(*started)

    with load(concurrency=1) as plugin:
        asyncio.run(work(plugin))
    assert ended == list(range(100))


def test_the_plugins_own_limit():
    from gmemx.plugin import TooManyRequestsError

    async def work(plugin):
        started = [plugin.call_raw_async(SLEEP, micros(50_000)) for _ in range(8)]
        return await asyncio.gather(*started, return_exceptions=True)

    with load(max_concurrent_ops=2, concurrency=8) as plugin:
        found = asyncio.run(work(plugin))
        refused = [each for each in found if isinstance(each, TooManyRequestsError)]
        assert len(refused) == plugin.rejected_request_count >= 1


# ---- deadlines and abandoned calls ----------------------------------------------------


@both
def test_a_deadline(isolate):
    from gmemx.plugin import PluginTimeoutError

    async def work(plugin):
        start = time.monotonic()
        with pytest.raises(PluginTimeoutError, match=r"0\.05 seconds") as failure:
            await plugin.call_raw_async(SLEEP, micros(400_000), timeout=0.05)
        assert isinstance(failure.value, TimeoutError)
        assert time.monotonic() - start < 0.35
        assert await plugin.call_async("echo", "1", timeout=60) == "1"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(plugin.call_raw_async(SLEEP, micros(400_000)), 0.05)

    with load(isolate=isolate) as plugin:
        asyncio.run(work(plugin))


def test_a_deadline_for_those_that_wait():
    """They are abandoned before they have begun."""

    async def work(plugin):
        long = plugin.call_raw_async(SLEEP, micros(300_000))
        waiting = [plugin.call_raw_async(BYTES, b"x", timeout=0.05) for _ in range(20)]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, TimeoutError) for each in found)
        assert not long.done()
        await long

    with load(concurrency=1) as plugin:
        asyncio.run(work(plugin))


def test_a_cancelled_call_never_begins_or_ends_unseen(tmp_path):
    path = tmp_path / "counts"

    async def work(plugin):
        running = plugin.call_raw_async(SLEEP, micros(100_000))
        waiting = [plugin.call_raw_async(OF_SIZE, micros(1000)) for _ in range(50)]
        await asyncio.sleep(0.03)
        for future in [running, *waiting[::2]]:
            assert future.cancel()
            assert not future.cancel()
        found = await asyncio.gather(running, *waiting, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in found] == [True] + 25 * [
            True,
            False,
        ]
        assert all(len(each) == 1000 for each in found[2::2])

    with load(data={"counts": str(path)}, concurrency=1) as plugin:
        asyncio.run(work(plugin))
    found = calls(path)
    # The one that ran, and those that were not cancelled.
    assert found["raw_made"] == found["raw_freed"] == 26


def test_a_cancelled_task_abandons_its_call():
    async def work(plugin):
        async def one():
            await plugin.call_raw_async(SLEEP, micros(200_000))

        task = asyncio.create_task(one())
        await asyncio.sleep(0.02)
        task.cancel()
        start = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - start < 0.15

    with load() as plugin:
        asyncio.run(work(plugin))


def test_places_that_become_free_by_cancelling_are_used():
    async def work(plugin):
        running = plugin.call_raw_async(SLEEP, micros(50_000))
        # More than the core takes in; the rest waits in Python.
        waiting = [plugin.call_raw_async(BYTES, bytes([i])) for i in range(40)]
        for future in waiting[:20]:
            future.cancel()
        assert [bytes(each) for each in await asyncio.gather(*waiting[20:])] == [
            bytes([i]) for i in range(20, 40)
        ]
        await running

    with load(concurrency=1) as plugin:
        asyncio.run(work(plugin))


# ---- loops ----------------------------------------------------------------------------


@both
def test_loop_after_loop(isolate):
    with load(isolate=isolate) as plugin:
        for i in range(5 if isolate else 50):

            async def work(i=i):
                return await plugin.call_async("echo", str(i))

            assert asyncio.run(work()) == str(i)
    assert plugin.in_flight == 0


def test_a_loop_that_is_closed_with_calls_in_flight():
    """It crashes nothing, and leaves no descriptor behind."""

    async def work(plugin):
        for _ in range(10):
            plugin.call_raw_async(SLEEP, micros(2000))

    with load(concurrency=2) as plugin:
        asyncio.run(work(plugin))
        gc.collect()
        before, threads = descriptors(), threading.active_count()
        for _ in range(30):
            asyncio.run(work(plugin))
        gc.collect()
        assert descriptors() <= before + 2
        assert threading.active_count() == threads

        async def again():
            return await plugin.call_async("echo", "1")

        assert asyncio.run(again()) == "1"


@both
def test_loops_in_several_threads(isolate):
    found = []

    def run_loop(plugin, number):
        async def work():
            texts = [f'"{number}:{i}"' for i in range(100)]
            answers = await asyncio.gather(*[plugin.call_async("echo", text) for text in texts])
            assert answers == texts

        asyncio.run(work())
        found.append(number)

    with load(isolate=isolate) as plugin:
        threads = [threading.Thread(target=run_loop, args=(plugin, n)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == list(range(6))


def test_a_plugin_that_goes_leaves_its_loop():
    """Its queue watches no descriptor any more, while the loop goes on."""

    async def work():
        before = descriptors()
        for _ in range(10):
            plugin = load()
            assert await plugin.call_async("echo", "1") == "1"
            reference = weakref.ref(plugin)
            plugin.shutdown()
            del plugin
            gc.collect()
            assert reference() is None
        await asyncio.sleep(0.05)
        assert descriptors() <= before + 1

    asyncio.run(work())


# ---- the end --------------------------------------------------------------------------


@both
def test_a_shutdown_lets_awaited_calls_end(isolate):
    from gmemx.plugin import InvalidStateError

    async def work(plugin):
        running = plugin.call_raw_async(SLEEP, micros(300_000))
        while plugin.in_flight < 1:
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(plugin.shutdown)
        await running
        with pytest.raises(InvalidStateError, match="shut down"):
            await plugin.call_async("echo", "1")

    asyncio.run(work(load(isolate=isolate)))


def test_calls_that_wait_when_it_is_shut_down_are_refused():
    from gmemx.plugin import InvalidStateError, PluginResponse

    async def work(plugin):
        started = [plugin.call_raw_async(SLEEP, micros(20_000)) for _ in range(50)]
        await asyncio.sleep(0.05)
        assert await asyncio.to_thread(plugin.shutdown)
        found = await asyncio.gather(*started, return_exceptions=True)
        assert {type(each) for each in found} == {PluginResponse, InvalidStateError}

    asyncio.run(work(load(concurrency=2)))


def test_calls_that_an_isolated_plugin_counts_end_before_it_does():
    """Also those that its process has taken and not begun: all of them are in flight."""

    async def work(plugin):
        started = [plugin.call_raw_async(SLEEP, micros(20_000)) for _ in range(12)]
        assert plugin.in_flight == 12
        assert await asyncio.to_thread(plugin.shutdown)
        await asyncio.gather(*started)

    for _ in range(3):
        asyncio.run(work(load(isolate=True, concurrency=2)))


def test_what_is_never_awaited_is_freed(tmp_path):
    path = tmp_path / "counts"

    async def work(plugin):
        for _ in range(20):
            plugin.call_raw_async(OF_SIZE, micros(1000))
        await asyncio.to_thread(
            eventually, lambda: counters(path)["raw_made"] == 20 and not plugin.in_flight
        )

    with load(data={"counts": str(path)}) as plugin:
        asyncio.run(work(plugin))

        async def sweep(plugin):
            await plugin.call_raw_async(BYTES, b"")

        asyncio.run(sweep(plugin))
    del plugin
    gc.collect()
    eventually(lambda: calls(path)["raw_freed"] == 21)
