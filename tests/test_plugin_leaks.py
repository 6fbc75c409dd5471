"""Nothing is left behind: no memory, descriptors, threads or files."""

import asyncio
import gc
import json
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import plugins_build
from leaks import growth, needs_statm
from plugins import BYTES, FAILURE, OF_SIZE, descriptors, linux_only, load, temporary_files

pytestmark = [linux_only, needs_statm]

MIB = 1 << 20


def maps():
    return len(Path("/proc/self/maps").read_text().splitlines())


def test_ten_thousand_times_loaded_and_shut_down(monkeypatch, tmp_path):
    """Descriptors, mappings, threads and temporary files stay as many as they were."""
    library = plugins_build.faults()
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def cycle():
        with load(path=library, log_callback=False) as plugin:
            plugin.call("echo", "1")

    for _ in range(100):
        cycle()
    gc.collect()
    before = descriptors(), threading.active_count(), maps()
    grown = growth(cycle, 10_000)
    gc.collect()
    assert (descriptors(), threading.active_count()) == before[:2]
    assert maps() <= before[2] + 20
    assert temporary_files(folder) == []
    assert grown < 4 * MIB


def test_logging_plugins_loaded_again_and_again():
    def cycle():
        with load(log_callback=lambda *message: None) as plugin:
            plugin.call("log:3", "1")

    cycle()
    before = descriptors(), threading.active_count()
    assert growth(cycle, 2000) < 4 * MIB
    assert (descriptors(), threading.active_count()) == before


def test_failed_loads(tmp_path):
    text = tmp_path / "text.so"
    text.write_text("no library")

    def cycle():
        for path in (text, plugins_build.faults(nothing=True), tmp_path / "missing.so"):
            with suppress(Exception):
                load(path=path)

    cycle()
    before = descriptors()
    assert growth(cycle, 1000) < 4 * MIB
    assert descriptors() == before


def test_calls():
    with load(log_callback=False) as plugin:
        text = json.dumps({"message": "é" * 1000})
        data = np.zeros(1000)
        out = bytearray(8000)

        def cycle():
            plugin.call("echo", text)
            plugin.call_typed("echo", {"a": [1, 2]}, dict)
            plugin.call_raw(BYTES, data).numpy().sum()
            plugin.call_raw(BYTES, data).tensor()
            plugin.call_raw_bytes(BYTES, b"x" * 1000)
            plugin.call_into(BYTES, data, out)
            plugin.call_batch(BYTES, [b"x" * 100, data, bytearray(10)])
            plugin.call_batch(FAILURE, [b"\0\0\0\0", b"\7\0\0\0no"], return_exceptions=True)
            for wrong in ("fail:7", "verbatim:0", "null:7"):
                with suppress(Exception):
                    plugin.call(wrong, "garbage")
            with suppress(Exception):
                plugin.call_raw(BYTES, data, 7)
            with suppress(Exception):
                plugin.call_into(BYTES, data, bytearray(7))

        assert growth(cycle, 4000) < 2 * MIB


def test_awaited_calls():
    async def work(plugin):
        async def cycle():
            started = [plugin.call_raw_async(OF_SIZE, np.uint32(10_000)) for _ in range(50)]
            started += [plugin.call_async("fail:7", "{}", timeout=10) for _ in range(10)]
            for future in started[::3]:
                future.cancel()
            await asyncio.gather(*started, return_exceptions=True)

        for _ in range(100):
            await cycle()
        gc.collect()
        loop = asyncio.get_running_loop()
        assert not loop._scheduled or len(loop._scheduled) < 2000

    with load(log_callback=False) as plugin:
        assert growth(lambda: asyncio.run(work(plugin)), 8) < 8 * MIB


def test_reloads():
    with load(log_callback=False) as plugin:
        plugin.reload()
        gc.collect()
        before = descriptors(), maps()
        assert growth(plugin.reload, 1000) < 4 * MIB
        assert descriptors() <= before[0]
        assert maps() <= before[1] + 20


def test_isolated_calls():
    with load(isolate=True, log_callback=False) as plugin:

        def cycle():
            plugin.call("echo", "1")
            plugin.call_raw(BYTES, b"x" * 10_000).numpy().sum()
            with suppress(Exception):
                plugin.call("fail:7", "1")

        cycle()
        before = descriptors()
        assert growth(cycle, 500) < 4 * MIB
        assert descriptors() == before
