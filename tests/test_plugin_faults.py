"""The conformance list names what is wrong with a plugin, whatever that does to its process."""

import sys

import plugins_build
import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("plugins are for Linux", allow_module_level=True)

from gmemx._plugin_checks import CHECKS
from gmemx.plugin import check

# What is wrong, the check that says so, and a word of what it says.
FAULTS = {
    "create-null": ("life", "not start"),
    "create-crash": ("life", "SIGSEGV"),
    "second-null": ("another life", "not start"),
    "init-null": ("life", "not start"),
    "init-null-logs": ("life", "not start"),
    "init-crash": ("life", "SIGSEGV"),
    "init-hang": ("life", "within 2 s"),
    "config-crash": ("bad configuration", "SIGSEGV"),
    "needs-callback": ("no log callback", "SIGSEGV"),
    "state-stuck": ("state", "1 after the start"),
    "state-255": ("state", "255 after the start"),
    "state-wild": ("state", "77"),
    "shutdown-false": ("life", "false"),
    "shutdown-hang": ("life", "within 2 s"),
    "shutdown-crash": ("life", "SIGSEGV"),
    "call-hang": ("life", "within 2 s"),
    "free-crash": ("life", "SIGSEGV"),
    "log-level-ignored": ("log level", "level 1"),
    "log-level-wild": ("log messages", "level 77"),
    "log-latin1": ("log messages", "UTF-8"),
    "log-no-target": ("log messages", "no target"),
    "envelope-none": ("success envelope", "no envelope"),
    "envelope-trailing": ("success envelope", "more than one value"),
    "envelope-spaced": ("success envelope", "begins with"),
    "response-latin1": ("success envelope", "no JSON"),
    "unknown-ok": ("unknown tag", "code 0"),
    "unknown-7": ("unknown tag", "code 7"),
    "raw-unknown-ok": ("binary transport", "code 0"),
    "raw-unknown-no-nul": ("binary transport", "NUL"),
    "garbage-crash": ("garbage request", "SIGSEGV"),
    "garbage-in-garbage-out": ("garbage request", "no JSON"),
    "empty-crash": ("empty request", "SIGSEGV"),
    "big-truncated": ("big request", "no JSON"),
    "not-threadsafe": ("concurrent calls", "its own request"),
    "limit-uncounted": ("rejected count", "0 counted"),
    "leak": ("freed answers", "still there"),
}
HARMLESS = ("state-after", "chatter", "shutdown-logs", "log-after-shutdown", "exit-logs")


def failed(results):
    return {result.name: result.detail for result in results if not result.passed}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault):
    """By the check that is there for it."""
    name, words = FAULTS[fault]
    results = check(plugins_build.faults(fault), timeout=2.0)
    assert words in failed(results).get(name, ""), results


@pytest.mark.parametrize("word", HARMLESS)
def test_what_a_plugin_may_do(word):
    """Logging at any time and on any thread is no fault."""
    results = check(plugins_build.faults(word))
    assert (failed(results), len(results)) == ({}, len(CHECKS))


@pytest.mark.parametrize("symbol", plugins_build.REQUIRED)
def test_a_missing_function_ends_the_list(symbol):
    """There is nothing to call."""
    results = check(plugins_build.faults(without=(symbol,)))
    assert [result.name for result in results] == ["library", "functions"]
    assert failed(results) == {"functions": f"it has no function {symbol}"}


def test_half_a_binary_transport():
    """Both functions or none."""
    for half in plugins_build.BINARY:
        assert half in failed(check(plugins_build.faults(without=(half,))))["transport"]
    assert not failed(check(plugins_build.faults(without=plugins_build.BINARY)))


def test_other_files(tmp_path):
    """A library that is no plugin, a file that is no library, and none at all."""
    results = check(plugins_build.faults(nothing=True))
    assert all(symbol in failed(results)["functions"] for symbol in plugins_build.REQUIRED)
    text = tmp_path / "text.so"
    text.write_text("not a library")
    found = failed(check(text))
    assert (list(found), str(text) in found["library"]) == (["library"], True)
    with pytest.raises(FileNotFoundError, match="absent"):
        check(tmp_path / "absent.so")
    with pytest.raises(ValueError, match="timeout"):
        check(plugins_build.echo(), timeout=0)
    with pytest.raises(TypeError, match="tag"):
        check(plugins_build.echo(), tag=7)
    with pytest.raises(TypeError, match="request"):
        check(plugins_build.echo(), request={"message": "Hello"})


def test_another_tag():
    """What the plugin answers to is told; a tag that it does not know leaves less to be seen."""
    results = check(plugins_build.faults(), tag="verbatim:7", request=b"text")
    assert "7" in failed(results)["success envelope"]
    results = check(plugins_build.calculator(), tag="math.add", request='{"a": 1, "b": 2}')
    assert not failed(results)
    results = check(plugins_build.faults(), tag="none")
    assert not failed(results)
    assert sum("does not know the tag 'none'" in result.detail for result in results) == 3
