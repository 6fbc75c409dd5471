"""What plugins log: all of it, in order, from any thread, at any time."""

import gc
import logging
import threading
import time

import pytest
from concurrency import eventually
from plugins import both, linux_only, load, logged, program

pytestmark = linux_only


def texts(messages):
    return [text for _, _, text in messages]


# ---- to whom --------------------------------------------------------------------------


@both
def test_a_callback_gets_levels_and_texts(isolate):
    from gmemx.plugin import LogLevel

    plugin, messages = logged(isolate=isolate, log_level="debug")
    plugin.call("log:3", "{}")
    plugin.call("echo", "1")
    assert plugin.flush_logs(10)
    assert list(messages) == [
        (LogLevel.INFO, "faults", "message 0"),
        (LogLevel.INFO, "faults", "message 1"),
        (LogLevel.INFO, "faults", "message 2"),
        (LogLevel.DEBUG, "faults", "an echo"),
    ]
    assert all(type(level) is LogLevel for level, *_ in messages)
    plugin.shutdown()


@both
def test_python_logging_by_default(isolate, caplog):
    with caplog.at_level(5, "gmemx.plugin"), load(isolate=isolate, log_level="debug") as plugin:
        plugin.call("echo", "1")
        plugin.call("log-text:3", "100%s of it")
        plugin.flush_logs()
    found = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
    assert ("gmemx.plugin.faults", logging.DEBUG, "an echo") in found
    assert ("gmemx.plugin.faults.text", logging.WARNING, "100%s of it") in found


@both
def test_nothing_is_logged_where_nobody_wants_it(isolate, caplog):
    silent = load(isolate=isolate, log_callback=False)
    with caplog.at_level(5, "gmemx.plugin"), silent as plugin:
        plugin.call("log:3", "{}")
        assert plugin.flush_logs()
    assert not [record for record in caplog.records if record.name.startswith("gmemx.plugin")]


def test_every_instance_has_its_own_callback():
    first, heard_first = logged()
    second, heard_second = logged()
    first.call("log:2", "{}")
    second.call("log-text:2", "second")
    first.shutdown()
    # The other one goes on logging.
    second.call("log-text:2", "still there")
    second.shutdown()
    assert texts(heard_first) == ["message 0", "message 1"]
    assert texts(heard_second) == ["second", "still there"]


@both
def test_levels_can_be_set(isolate):
    plugin, messages = logged(isolate=isolate)
    for level in ("error", 4, "ERROR"):
        plugin.set_log_level(level)
        plugin.call("log:1", "{}")
    plugin.set_log_level("trace")
    plugin.call("log-text:0", "trace")
    plugin.flush_logs()
    assert texts(messages) == ["trace"]
    for wrong in ("loud", 6, -1):
        with pytest.raises(ValueError, match="log level"):
            plugin.set_log_level(wrong)
    plugin.shutdown()
    plugin.set_log_level("debug")


# ---- what is in them ------------------------------------------------------------------


@both
def test_messages_as_no_plugin_should_send_them(isolate):
    """Each is read by its length: none beyond it, and NULs are part of it."""
    plugin, messages = logged(isolate=isolate)
    plugin.call("log-wild", "{}")
    plugin.flush_logs()
    found = [(target[:20], text[:40]) for _, target, text in messages]
    assert found == [
        ("faults.wild", "before\0behind"),
        ("faults.wild", "caf\ufffd"),
        ("faults.wild", 40 * "h"),
        ("", "no target"),
        ("faults.wild", ""),
        ("faults.wild", ""),
        ("", "an empty target"),
        ("caf\ufffd", "a target that is not UTF-8"),
        ("faults.wild", "level 200"),
        (20 * "h", "a huge target"),
    ]
    assert len(messages[2][2]) == 65536
    assert messages[-2][0].name == "ERROR"
    plugin.shutdown()


def test_wild_names_do_not_fill_up_logging(caplog):
    with load() as plugin:
        for i in range(40):
            plugin.call("log-wild", str(i))
        assert plugin.flush_logs(30)
    names = [name for name in logging.Logger.manager.loggerDict if name.startswith("gmemx.plugin")]
    assert len(names) < 1100


# ---- from everywhere ------------------------------------------------------------------


def test_from_many_threads_at_once():
    plugin, messages = logged()
    plugin.call("log-threads:20", "{}")
    eventually(lambda: len(messages) == 2000)
    assert sorted(texts(messages)) == sorted(20 * [f"chatter {i}" for i in range(100)])
    plugin.shutdown()


@both
def test_all_is_delivered_before_shutdown_returns(isolate):
    plugin, messages = logged(isolate=isolate, compiled=("shutdown-logs",))
    plugin.call("log:1000", "{}")
    plugin.shutdown()
    found = [text for text in texts(messages) if not text.startswith("chatter")]
    assert found == [*(f"message {i}" for i in range(1000)), *(f"shutdown {i}" for i in range(10))]


def test_a_plugin_that_logs_after_its_end():
    plugin, _ = logged(compiled=("log-after-shutdown",))
    plugin.shutdown()
    other, heard = logged()
    time.sleep(0.2)
    other.call("log:1", "{}")
    other.shutdown()
    assert texts(heard) == ["message 0"]


def test_a_plugin_that_failed_to_start_and_logs_on():
    """What it logs to is there for ever, and the next one's messages are its own."""
    from gmemx.plugin import InitializationFailedError

    for _ in range(3):
        with pytest.raises(InitializationFailedError):
            logged(compiled=("init-null-logs",))
    gc.collect()
    plugin, messages = logged(compiled=("init-logs",))
    assert plugin.call("echo", "1") == "1"
    plugin.shutdown()
    assert texts(messages) == [f"init {i}" for i in range(10)]


# ---- callbacks that misbehave -----------------------------------------------------------


@both
def test_a_callback_that_raises(isolate, caplog):
    heard = []

    def callback(level, target, text):
        heard.append(text)
        raise ZeroDivisionError("on purpose")

    with load(isolate=isolate, log_callback=callback) as plugin:
        plugin.call("log:3", "{}")
        assert plugin.flush_logs(10)
        assert plugin.call("echo", "1") == "1"
    assert heard == [f"message {i}" for i in range(3)]
    failures = [record for record in caplog.records if record.exc_info]
    assert len(failures) == 3
    assert "libfaults" in failures[0].getMessage()


@both
def test_calls_from_a_callback_are_refused(isolate):
    """And the plugin is none the worse for it."""
    from gmemx.plugin import InvalidStateError, LifecycleState

    outcomes = []

    def callback(level, target, text):
        for call in (
            lambda: plugin.call("echo", "1"),
            lambda: plugin.call_raw(2, b""),
            lambda: plugin.call_batch(2, [b""]),
            lambda: other.call("echo", "1"),
        ):
            try:
                outcomes.append(call())
            except InvalidStateError as error:
                outcomes.append(error.message)
        outcomes.append(plugin.flush_logs(1))

    with load() as other, load(isolate=isolate, log_callback=callback) as plugin:
        plugin.call("log:1", "{}")
        plugin.flush_logs()
        assert plugin.state is LifecycleState.ACTIVE
        assert plugin.call("echo", "2") == "2"
    assert len(outcomes) == 5
    assert all("log callback" in outcome for outcome in outcomes[:4])
    assert outcomes[4] is False


def test_messages_that_find_no_room_are_counted_and_told_of(caplog):
    hold = threading.Event()
    heard = []

    def callback(level, target, text):
        hold.wait(30)
        heard.append(text)

    plugin = load(log_callback=callback)
    plugin.call("log:5000", "{}")
    assert not plugin.flush_logs(0.05)
    dropped = plugin.dropped_log_count
    assert 0 < dropped <= 5000 - 4096
    hold.set()
    plugin.shutdown()
    assert heard == [f"message {i}" for i in range(5000 - dropped)]
    told = [record for record in caplog.records if "dropped" in record.getMessage()]
    assert len(told) == 1
    assert str(dropped) in told[0].getMessage()


def test_a_callback_is_let_go_of():
    """With the plugin, though the library's memory of it lasts."""
    import weakref

    class Callback:
        def __call__(self, *message):
            pass

    callback = Callback()
    reference = weakref.ref(callback)
    plugin = load(log_callback=callback)
    plugin.call("log:1", "{}")
    plugin.shutdown()
    del plugin, callback
    eventually(lambda: gc.collect() is not None and reference() is None)


# ---- the end of Python ------------------------------------------------------------------

ENDS = {
    "while threads log": "p.call('log-forever:4', '{}')",
    "while threads log without a pause": "p.call('log-flood:2', '{}')",
    "with a callback": "p.call('log-forever:2', '{}'); p.flush_logs()",
    "after a shutdown": "p.call('log-forever:2', '{}'); p.shutdown()",
    "with two of them": "q = plugin.load(LIBRARY); q.call('log-forever:1', '{}'); q.shutdown()",
    "by sys.exit in a thread": (
        "import threading; p.call('log-forever:1', '{}'); "
        "threading.Thread(target=sys.exit, daemon=True).start()"
    ),
}


@pytest.mark.parametrize("statement", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("callback", ["None", "lambda *message: None"])
def test_python_ends_while_plugins_log(statement, callback):
    """No Python is called after its end, by whatever thread."""
    text = f"p = plugin.load(LIBRARY, None, {callback})\n{statement}\nprint('end')"
    assert program(text, timeout=60) == "end\n"


def test_what_was_logged_before_the_end_is_delivered():
    text = """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s", level=5)
p = plugin.load(LIBRARY)
p.call("log:500", "{}")
"""
    assert program(text).split("\n") == [*(f"message {i}" for i in range(500)), ""]


def test_plugins_that_log_at_exit():
    from plugins_build import faults

    text = "p = plugin.load(sys.argv[2], None, print)\nprint('end')"
    assert "end" in program(text, faults("exit-logs", "chatter"))
