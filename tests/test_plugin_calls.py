"""Calls by tag and by number, and what they answer."""

import array
import ctypes
import gc
import json
import weakref

import numpy as np
import plugins_build
import pytest
from plugins import BYTES, ECHO, FAILURE, OF_SIZE, answer, both, calls, linux_only, load
from plugins_build import counters

pytestmark = linux_only


class Request(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (
        ("version", ctypes.c_uint8),
        ("reserved", ctypes.c_uint8 * 3),
        ("message", ctypes.c_char * 256),
        ("message_len", ctypes.c_uint32),
    )


class Response(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (*Request._fields_, ("length", ctypes.c_uint32))


def a_request(text=b"Hello"):
    return Request(version=1, message=text, message_len=len(text))


# ---- by tag ---------------------------------------------------------------------------


@both
def test_json_comes_back_as_the_plugin_wrote_it(isolate):
    texts = ['{"b": 1,  "a": [1e400, "\\u00e9", "}"]}', '"é\U0001f600"', "null", "[7, 8 ]"]
    with load(isolate=isolate) as plugin:
        for text in texts:
            assert plugin.call("echo", text) == text
            assert plugin.call("echo", text.encode()) == text
            assert plugin.call("echo", bytearray(text.encode())) == text


def test_a_large_answer_comes_whole():
    with load() as plugin:
        assert plugin.call("size:3000000", "{}") == '"' + 3_000_000 * "x" + '"'


@both
def test_requests_are_not_copied_here_but_all_arrive(isolate):
    data = json.dumps("x" * 100_000).encode()
    with load(isolate=isolate) as plugin:
        found = answer(plugin, "address", data)
        assert found["len"] == len(data)
        array_of_it = np.frombuffer(data, "u1")
        if not isolate:
            assert answer(plugin, "address", array_of_it)["address"] == array_of_it.ctypes.data


@pytest.mark.parametrize("word", ["envelope-trailing", "envelope-spaced"])
@both
def test_envelopes_of_another_form(word, isolate):
    with load(compiled=(word,), isolate=isolate) as plugin:
        for text in ('{"a": [1, 2, "},{"]}', "1e400", '"payload"', "null"):
            assert plugin.call("echo", text) == text


ENVELOPES = [
    ('{"status":"success","payload":{"a":1}}', '{"a":1}'),
    ('{"status":"success"}', "null"),
    ('{"status":"success","payload":null}', "null"),
    ('{"status":"success","payload":1,"payload":2}', "2"),
    ('{"payload": [1, {"payload": 2}] ,"status":"success","more":{}}', '[1, {"payload": 2}]'),
    ('{"status":"success","payload":"a\\"}","request_id":"}"}', '"a\\"}"'),
    ('{"status":"success","payload":"\\u0041"} \n', '"\\u0041"'),
]


@pytest.mark.parametrize(("envelope", "expected"), ENVELOPES)
def test_envelopes_are_read_properly(envelope, expected):
    with load() as plugin:
        assert plugin.call("verbatim:0", envelope) == expected


GARBAGE = [
    b"nonsense",
    b"{",
    b"[1]",
    b"7",
    b'{"a":1}',
    b'{"status":"success","payload":1',
    b'{"status":"success","payload":}',
    b'{"status":"success","payload":1}}',
    b'{"status":"success","payload":1,2}',
    b'{"status":"success","payload":"\xe9"}',
    b"\xff\xfe",
    b'{"status":7}',
    b'{"status":"success","payload":' + b"[" * 200_000 + b"]" * 200_000 + b",1}",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_an_error(garbage, tmp_path):
    from gmemx.plugin import SerializationError

    path = tmp_path / "counts"
    with load(data={"counts": str(path)}) as plugin:
        with pytest.raises(SerializationError, match="answer is"):
            plugin.call("verbatim:0", garbage)
        assert plugin.call("echo", "1") == "1"
    assert calls(path)["made"] == calls(path)["freed"] > 0


def test_an_error_that_comes_as_a_success():
    from gmemx.plugin import HandlerError, PluginException

    with load() as plugin:
        with pytest.raises(HandlerError) as failure:
            plugin.call("verbatim:0", '{"status":"error","error_code":7,"error_message":"no"}')
        assert str(failure.value) == "[7] no"
        with pytest.raises(PluginException, match="status"):
            plugin.call("verbatim:0", '{"status":"error"}')


@both
def test_nothing_is_null(isolate):
    with load(isolate=isolate) as plugin:
        assert plugin.call("null:0", "{}") == plugin.call("empty:0", "{}") == "null"


# ---- by number ------------------------------------------------------------------------


@both
def test_raw_calls_in_every_way(isolate):
    request = a_request()
    with load(isolate=isolate) as plugin:
        assert plugin.has_binary_transport
        response = plugin.call_raw(ECHO, request, ctypes.sizeof(Response))
        assert Response.from_buffer_copy(response).length == 5
        typed = plugin.call_raw(ECHO, request, Response)
        assert (type(typed), typed.message, typed.length) == (Response, b"Hello", 5)
        assert plugin.call_raw(BYTES, b"abc") == b"abc"
        assert plugin.call_raw_bytes(BYTES, b"abc") == b"abc"
        assert plugin.call_raw_bytes(BYTES, b"") == bytes(plugin.call_raw(BYTES, b"")) == b""
        assert plugin.call_raw(OF_SIZE, np.uint32(5)).tobytes() == bytes(range(5))


@both
def test_another_size_is_an_error(isolate):
    from gmemx.plugin import SerializationError

    with load(isolate=isolate) as plugin:
        for wanted in (4, 0, Response):
            with pytest.raises(SerializationError, match="3 bytes"):
                plugin.call_raw(BYTES, b"abc", wanted)


@both
def test_any_contiguous_buffer_is_a_request(isolate):
    values = np.arange(6, dtype="<i4").reshape(2, 3)
    with load(isolate=isolate) as plugin:
        for request in (
            values,
            bytearray(values),
            memoryview(values),
            array.array("i", range(6)),
            (ctypes.c_int32 * 6)(*range(6)),
        ):
            assert plugin.call_raw_bytes(BYTES, request) == values.tobytes()


def test_what_is_sent_is_not_copied():
    with load() as plugin:
        for request in (b"x" * 1000, np.zeros(1000), bytearray(1000)):
            seen = np.frombuffer(plugin.call_raw(13, request), "u8")
            assert seen.tolist() == [np.frombuffer(request, "u1").ctypes.data, len(bytes(request))]


@both
def test_into_a_buffer_of_the_callers(isolate):
    from gmemx.plugin import PluginException

    out = np.zeros(10, "u1")
    with load(isolate=isolate) as plugin:
        assert plugin.call_into(BYTES, b"abc", out) == 3
        assert out.tobytes() == b"abc" + bytes(7)
        assert plugin.call_into(BYTES, b"", out) == 0
        for call in (lambda: plugin.call_into(BYTES, bytes(11), out),):
            with pytest.raises(IndexError, match="11"):
                call()
            with pytest.raises(PluginException):
                call()


def test_responses_are_views_of_the_plugins_memory():
    with load() as plugin:
        response = plugin.call_raw(OF_SIZE, np.uint32(12))
        view = memoryview(response)
        assert (view.readonly, view.format, view.shape, len(response)) == (True, "B", (12,), 12)
        assert response[3] == 3
        assert response[2:5] == bytes((2, 3, 4))
        assert np.shares_memory(response.numpy(), np.asarray(view))
        assert response.numpy("<u4").tolist() == np.frombuffer(bytes(range(12)), "<u4").tolist()
        assert response.numpy("u1", (3, -1)).shape == (3, 4)
        assert not response.numpy().flags.writeable
        tensor = response.tensor("uint8", (3, 4))
        assert tensor.readonly
        assert tensor[2].tolist() == [8, 9, 10, 11]
        assert response.tensor("int4").shape == (24,)
        assert response == bytes(range(12)) != response[1:]
        assert response != 7
        for wrong in ("u8", "<f8"):
            with pytest.raises(ValueError, match="no whole number"):
                response.numpy(wrong)


def test_responses_are_freed_by_the_plugin_once(tmp_path):
    path = tmp_path / "counts"
    with load(data={"counts": str(path)}) as plugin:

        def kept():
            found = counters(path)
            return found["raw_made"] - found["raw_freed"]

        response = plugin.call_raw(BYTES, b"abc")
        assert kept() == 1
        array_of_it = response.numpy()
        with pytest.raises(BufferError, match="1 array"):
            response.close()
        reference = weakref.ref(response)
        del response
        assert (kept(), array_of_it.tobytes()) == (1, b"abc")
        del array_of_it
        gc.collect()
        assert (kept(), reference()) == (0, None)
        with plugin.call_raw(BYTES, b"abc") as response:
            assert not response.closed
        response.close()
        assert (kept(), repr(response)) == (0, "PluginResponse(closed)")
        for use in (len, bytes, memoryview, lambda closed: closed[0], lambda closed: closed == b""):
            with pytest.raises(ValueError, match="closed"):
                use(response)
        late = plugin.call_raw(BYTES, b"late")
    # After the shutdown, and after the plugin has gone.
    assert bytes(late) == b"late"
    del plugin
    gc.collect()
    assert bytes(late) == b"late"
    del late
    found = calls(path)
    assert found["raw_made"] == found["raw_freed"]
    assert found["made"] == found["freed"]


@both
def test_no_binary_transport(isolate):
    from gmemx.plugin import FfiError

    without = plugins_build.faults(without=plugins_build.BINARY)
    with load(path=without, isolate=isolate) as plugin:
        assert not plugin.has_binary_transport
        assert plugin.call("echo", "1") == "1"
        for call in (
            lambda: plugin.call_raw(BYTES, b""),
            lambda: plugin.call_into(BYTES, b"", bytearray(1)),
            lambda: plugin.call_batch(BYTES, [b""]),
        ):
            with pytest.raises(FfiError) as failure:
                call()
            assert failure.value.error_code == 12


# ---- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*range(1, 15), 2**32 - 1])
@both
def test_every_code_has_its_exception(code, isolate):
    from gmemx import _failures
    from gmemx.plugin import PluginException

    kind = _failures.PLUGIN_BY_CODE.get(code, PluginException)
    assert (kind is PluginException) == (code > 13)
    with load(isolate=isolate) as plugin:
        for call in (
            lambda: plugin.call(f"fail:{code}", "{}"),
            lambda: plugin.call(f"fail-text:{code}", "{}"),
            lambda: plugin.call_raw(FAILURE, np.uint32(code).tobytes() + b"wanted failure"),
            lambda: plugin.call_raw(7, np.uint32(code).tobytes() + b"wanted failure"),
            lambda: plugin.call_batch(FAILURE, [np.uint32(code).tobytes() + b"wanted failure"]),
        ):
            with pytest.raises(PluginException) as failure:
                call()
            error = failure.value
            assert type(error) is kind
            assert (error.error_code, error.message) == (code, "wanted failure")
            assert str(error) == f"[{code}] wanted failure"


def test_errors_without_a_text():
    from gmemx.plugin import HandlerError

    with load() as plugin:
        for call in (
            lambda: plugin.call("null:7", "{}"),
            lambda: plugin.call("empty:7", "{}"),
            lambda: plugin.call("null-len:7", "{}"),
            lambda: plugin.call_raw(8, np.uint32(7)),
            lambda: plugin.call_raw(18, np.uint32(7)),
        ):
            with pytest.raises(HandlerError, match=r"without a text|no reason"):
                call()


# ---- many at once -----------------------------------------------------------------------


@both
def test_batches(isolate):
    requests = [
        b"",
        b"a",
        bytearray(b"bb"),
        memoryview(b"ccc"),
        np.arange(4, dtype="u1"),
        b"a" * 10**6,
    ]
    with load(isolate=isolate) as plugin:
        for given in (requests, tuple(requests), iter(requests)):
            found = plugin.call_batch(BYTES, given)
            assert [bytes(each) for each in found] == [bytes(each) for each in requests]
        assert plugin.call_batch(BYTES, []) == []
        rows = np.arange(24, dtype="<u2").reshape(4, 3, 2)
        found = plugin.call_batch(BYTES, rows)
        assert [each.numpy("<u2").tolist() for each in found] == [
            row.ravel().tolist() for row in rows
        ]
        assert plugin.call_batch(BYTES, np.zeros((0, 3))) == []
        assert [len(each) for each in plugin.call_batch(BYTES, np.zeros((3, 0)))] == [0, 0, 0]


@both
def test_failures_in_a_batch(isolate, tmp_path):
    from gmemx.plugin import HandlerError, PluginResponse

    path = tmp_path / "counts"
    codes = [0, 7, 0, 6]
    requests = [np.uint32(code).tobytes() + b"text" for code in codes]
    with load(isolate=isolate, data={"counts": str(path)}) as plugin:
        found = plugin.call_batch(FAILURE, requests, return_exceptions=True)
        assert [getattr(each, "error_code", 0) for each in found] == codes
        assert [str(each) for each in found if isinstance(each, Exception)] == [
            "[7] text",
            "[6] text",
        ]
        assert isinstance(found[0], PluginResponse)
        with pytest.raises(HandlerError, match="text"):
            plugin.call_batch(FAILURE, requests)
        del found
    assert calls(path)["raw_made"] == calls(path)["raw_freed"] == 8


def test_a_batch_keeps_what_it_is_made_of():
    """The list may be changed by others while the calls run."""
    with load() as plugin:
        requests = [bytes([i]) * 100 for i in range(200)]
        given = list(requests)

        class Changing:
            def __iter__(self):
                yield from given
                given.clear()

        found = plugin.call_batch(BYTES, Changing())
        gc.collect()
        assert [bytes(each) for each in found] == requests


# ---- what a plugin is -----------------------------------------------------------------


@both
def test_state_and_names(isolate):
    from gmemx.plugin import LifecycleState

    plugin = load(isolate=isolate)
    reference = weakref.ref(plugin)
    assert plugin.state is LifecycleState.ACTIVE
    assert (plugin.closed, plugin.in_flight, plugin.rejected_request_count) == (False, 0, 0)
    assert plugin.path == str(plugins_build.faults())
    assert plugin.path in repr(plugin)
    assert plugin.shutdown() is True
    assert plugin.shutdown() is True
    assert plugin.state is LifecycleState.STOPPED
    assert "stopped" in repr(plugin)
    assert plugin.closed
    del plugin
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("state", ["state-255", "state-wild"])
def test_a_state_that_is_none(state):
    from gmemx.plugin import InvalidStateError

    plugin = load(compiled=(state,))
    with pytest.raises(InvalidStateError):
        _ = plugin.state
    assert "invalid" in repr(plugin)
    plugin.shutdown()


def test_configuration_reaches_the_plugin():
    with load(worker_threads=3, max_concurrent_ops=9, log_level="warn") as plugin:
        seen = answer(plugin, "config")
    assert seen == {
        "data": {"faults": []},
        "worker_threads": 3,
        "max_concurrent_ops": 9,
        "log_level": "warn",
        "shutdown_timeout_ms": 5000,
    }


def test_a_plugin_made_with_its_configuration():
    library = plugins_build.faults(create_with_config=True)
    with load(path=library) as plugin:
        assert plugin.call("echo", "1") == "1"


def test_two_instances_of_one_file_are_two():
    """Each has a copy of the library, so that one's end is nothing to the other."""
    first, second = load(log_level="debug"), load(log_level="error")
    assert answer(first, "config")["log_level"] == "debug"
    first.shutdown()
    assert answer(second, "config")["log_level"] == "error"
    second.shutdown()
