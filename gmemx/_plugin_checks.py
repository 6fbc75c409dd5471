"""The checks that gmemx.plugin.check makes, in the process that may crash.

There is nothing here but the standard library: see _plugin_check.py. Each check has a fresh copy
of the library; it gives what it has seen, or raises FaultError.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
import time
from collections.abc import Callable

from gmemx._plugin_checked import (
    BINARY,
    OPTIONAL,
    REQUIRED,
    Buffer,
    FaultError,
    Library,
    Response,
)

BEFORE = b'{"status":"success","payload":'
ACTIVE, STOPPED, NO_INSTANCE = 2, 4, 255
INVALID_STATE, UNKNOWN, TOO_MANY = 1, 6, 13
OFF = 5
LEVELS = 5  # and one that is none of a message: off
# Seconds after which a check has called often enough, if it takes so long.
ENOUGH = 0.5


def knows(library: Library, handle: int) -> bool:
    """Whether the plugin answers to the tag."""
    return library.call(handle, library.probe()).code != UNKNOWN


def loads(library: Library) -> str:
    return f"{os.path.getsize(library.path):,} bytes"


def functions(library: Library) -> str:
    missing = [name for name in REQUIRED if name not in library.has]
    if missing:
        raise FaultError(f"it has no function {', '.join(missing)}")
    more = sorted(library.has.intersection(OPTIONAL))
    return f"all {len(REQUIRED)}" + "".join(f", and {name}" for name in more)


def transport(library: Library) -> str:
    found = [name for name in BINARY if name in library.has]
    if len(found) == 1:
        (missing,) = set(BINARY) - set(found)
        raise FaultError(f"it has {found[0]} without {missing}")
    return "binary and JSON" if found else "JSON only"


def life(library: Library) -> str:
    began = time.monotonic()
    handle = library.started()
    library.call(handle, library.probe())
    library.end(handle)
    if library.plugin_shutdown(handle):
        raise FaultError("a second plugin_shutdown gave true")
    return f"started, called and ended in {1e3 * (time.monotonic() - began):.0f} ms"


def states(library: Library) -> str:
    for wrong in (None, 2**40 + 77):
        if (state := library.plugin_get_state(wrong)) != NO_INSTANCE:
            raise FaultError(f"the state of handle {wrong} is {state}, and not 255")
    handle = library.started()
    if (state := library.plugin_get_state(handle)) != ACTIVE:
        raise FaultError(f"the state is {state} after the start, and not 2")
    library.end(handle)
    if (state := library.plugin_get_state(handle)) not in (NO_INSTANCE, STOPPED):
        raise FaultError(f"the state is {state} after the end, and neither 4 nor 255")
    return "2, then gone"


def lives(library: Library) -> str:
    handles = []
    for _ in range(3):
        handles.append(library.started())
        library.call(handles[-1], library.probe())
        library.end(handles[-1])
    return "three in one copy"


def siblings(library: Library) -> str:
    other = Library(json.dumps([library.path, library.tag, None]))
    one, two = library.started(), other.started()
    library.end(one)
    if (state := other.plugin_get_state(two)) != ACTIVE:
        raise FaultError(f"the end of one copy left another in state {state}")
    other.call(two, library.probe())
    other.end(two)
    return "two copies at once"


def configuration(library: Library) -> str:
    handle = library.started(
        data={"key": [1, "two", None]},
        init_params={"key": 1.5},
        worker_threads=1,
        log_level="warn",
        max_concurrent_ops=10,
        shutdown_timeout_ms=1000,
        later_versions={"may": "add"},
    )
    library.end(handle)
    return "all keys, and an unknown one"


def bad_configuration(library: Library) -> str:
    bad = (b"\xff\xfe{", b"{", b"[1, 2]", b'{"log_level": 5000}')
    refused = 0
    for config in bad:
        handle = library.start(config)
        if handle:
            library.end(handle)
        refused += not handle
    library.end(library.started())
    return f"{refused} of {len(bad)} refused; a good one afterwards"


def unknown_tag(library: Library) -> str:
    handle = library.started()
    answer = library.call(handle, b"{}", "no.such.tag.at.all")
    library.end(handle)
    if answer.code != UNKNOWN:
        raise FaultError(f"an unknown tag is answered with code {answer.code}, and not {UNKNOWN}")
    return f"code {UNKNOWN}"


def error_envelope(library: Library) -> str:
    handle = library.started()
    answer = library.call(handle, b"{}", "no.such.tag.at.all")
    library.end(handle)
    if not answer.code:
        raise FaultError("an unknown tag is no error")
    text = answer.text()
    if not text.startswith("{"):
        return "plain text"
    try:
        envelope = json.loads(text)
    except ValueError:
        raise FaultError(f"an error's envelope is no JSON: {text[:60]!r}") from None
    if envelope.get("status") != "error" or envelope.get("error_code") != answer.code:
        raise FaultError(f"an error with code {answer.code} has the envelope {text[:200]}")
    if not isinstance(envelope.get("error_message"), str):
        raise FaultError(f"an error's envelope has no error_message: {text[:200]}")
    return envelope["error_message"]


def envelope(library: Library) -> str:
    handle = library.started()
    answer = library.call(handle, library.probe())
    library.end(handle)
    if answer.code == UNKNOWN:
        return f"not seen: it does not know the tag {library.tag!r}"
    answer.payload()
    if not answer.data.startswith(BEFORE):
        raise FaultError(f"an answer begins with {answer.data[:30]!r}, and not {BEFORE!r}")
    try:
        json.loads(answer.data[len(BEFORE) : -1])
    except ValueError:
        raise FaultError("there is more than one value behind the beginning of an answer") from None
    return "of the usual form"


def garbage(library: Library) -> str:
    handle = library.started()
    said = []
    for request in (b"\xff\xfe\x00{", b'{"message": ', b"[" * 10_000, b'{"message": "\xe9"}'):
        answer = library.call(handle, request)
        if answer.code:
            answer.text()
        else:
            answer.payload()
        said.append(f"code {answer.code}")
    library.end(handle)
    return ", ".join(said)


def empty(library: Library) -> str:
    handle = library.started()
    codes = [library.call(handle, request).code for request in (None, b"")]
    library.end(handle)
    return f"codes {codes[0]} and {codes[1]}"


def big(library: Library) -> str:
    handle = library.started()
    request = library.probe(size=4 << 20)
    answer = library.call(handle, request)
    library.end(handle)
    if answer.code == UNKNOWN:
        return f"not answered: it does not know the tag {library.tag!r}"
    if answer.code:
        return f"refused with code {answer.code}"
    if not library.echoes(answer, request):
        raise FaultError(f"of {len(request):,} bytes, others came back")
    return f"{len(request):,} bytes"


def concurrent(library: Library) -> str:
    handle = library.started()
    threads, each = 8, 25
    if not knows(library, handle):
        library.end(handle)
        return f"not seen: it does not know the tag {library.tag!r}"
    for found in at_once(threads, lambda number: mixed_up(library, handle, number, each)):
        if found:
            raise FaultError(found)
    library.end(handle)
    return f"{threads} threads at once"


def mixed_up(library: Library, handle: int, number: int, each: int) -> str | None:
    """What is wrong with the answers to one of several threads."""
    until = time.monotonic() + ENOUGH
    for i in range(each):
        if time.monotonic() > until:
            break
        request = library.probe(f"{number}.{i}", size=1000)
        if not library.echoes(library.call(handle, request), request):
            return "an answer is not the one to its own request, with several threads"
    return None


def at_once(threads: int, work: Callable[[int], object]) -> list[object]:
    """What each of several threads gives."""
    results: list[object] = [None] * threads

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = str(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return results


def rejections(library: Library) -> str:
    handle = library.started(max_concurrent_ops=1)
    request = library.probe(size=200_000)

    def count(_: int) -> int:
        until = time.monotonic() + 0.1
        refused = 0
        while time.monotonic() < until:
            refused += library.call(handle, request).code == TOO_MANY
        return refused

    refused = at_once(4, count)
    for found in refused:
        if isinstance(found, str):
            raise FaultError(found)
    counted = library.plugin_get_rejected_count(handle)
    library.end(handle)
    if counted != sum(refused):
        raise FaultError(f"{sum(refused)} calls were refused with code 13, and {counted} counted")
    return f"{counted} refused and counted" if counted else "none was refused"


def logs(library: Library) -> str:
    handle = library.started(log_level="trace")
    library.plugin_set_log_level(handle, 0)
    library.call(handle, library.probe())
    library.end(handle)
    for level, target, message, length in library.logged:
        if level >= LEVELS:
            raise FaultError(f"a message has level {level}")
        if target is None:
            raise FaultError("a message has no target")
        if message is None and length:
            raise FaultError(f"a message has {length} bytes at NULL")
        try:
            (target + (message or b"")).decode()
        except UnicodeDecodeError:
            raise FaultError(f"a message is not UTF-8: {target!r}: {message!r}") from None
    return f"{len(library.logged)} messages"


def log_level(library: Library) -> str:
    handle = library.started(log_level="error")
    seen = []
    for level in (4, OFF):
        library.plugin_set_log_level(handle, level)
        library.logged.clear()
        library.call(handle, library.probe())
        seen += [found for found, *_ in library.logged if found < level]
    library.end(handle)
    if seen:
        raise FaultError(f"a message of level {seen[0]} came though the level was set above it")
    return "set while it runs"


def silent(library: Library) -> str:
    """Started without a log callback and told to log everything."""
    handle = library.started(logs=False, log_level="trace")
    library.plugin_set_log_level(handle, 0)
    library.call(handle, library.probe())
    library.end(handle)
    return "no log callback is needed"


def stale(library: Library) -> str:
    handle = library.started()
    library.end(handle)
    for wrong in (handle, None, 2**40 + 77):
        answers = [library.call(wrong, library.probe())]
        if library.binary:
            answers.append(library.call_raw(wrong, 1, b""))
        for answer in answers:
            if answer.code != INVALID_STATE:
                raise FaultError(f"a call of handle {wrong} gave code {answer.code}, and not 1")
        library.plugin_set_log_level(wrong, 2)
        library.plugin_get_rejected_count(wrong)
        if library.plugin_shutdown(wrong):
            raise FaultError(f"plugin_shutdown of handle {wrong} gave true")
    return "calls of handles that are none are refused"


def raw(library: Library) -> str:
    if not library.binary:
        return "no binary transport"
    handle = library.started()
    answer = library.call_raw(handle, 2**32 - 1, b"request")
    library.end(handle)
    if answer.code != UNKNOWN:
        raise FaultError(
            f"an unknown number is answered with code {answer.code}, and not {UNKNOWN}"
        )
    answer.text()
    if not answer.data.endswith(b"\0"):
        raise FaultError(f"an error's text does not end with a NUL: {answer.data[:60]!r}")
    return f"code {UNKNOWN} for unknown numbers"


def free(library: Library) -> str:
    for free, answer in (
        (library.plugin_free_buffer, Buffer()),
        (library.rb_response_free if library.binary else None, Response()),
    ):
        if free:
            free(ctypes.byref(answer))
            free(None)
    handle = library.started()
    request = library.probe(size=64 << 10)
    resident, made = [], []
    for most in (50, 300):
        until = time.monotonic() + ENOUGH
        made.append(0)
        while made[-1] < most and time.monotonic() < until:
            library.call(handle, request)
            if library.binary:
                library.call_raw(handle, 2**32 - 1, b"")
            made[-1] += 1
        with open("/proc/self/statm") as file:
            resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"))
    library.end(handle)
    times, grown = made[1], max(resident[1] - resident[0], 0)
    if grown > max(times * (32 << 10), 4 << 20):
        raise FaultError(f"{times} answers were freed, and {grown >> 20} MiB are still there")
    return f"{times} answers, {grown >> 10} KiB more memory"


CHECKS: tuple[tuple[str, Callable[[Library], str]], ...] = (
    ("library", loads),
    ("functions", functions),
    ("transport", transport),
    ("life", life),
    ("state", states),
    ("another life", lives),
    ("another copy", siblings),
    ("configuration", configuration),
    ("bad configuration", bad_configuration),
    ("unknown tag", unknown_tag),
    ("error envelope", error_envelope),
    ("success envelope", envelope),
    ("garbage request", garbage),
    ("empty request", empty),
    ("big request", big),
    ("concurrent calls", concurrent),
    ("rejected count", rejections),
    ("log messages", logs),
    ("log level", log_level),
    ("no log callback", silent),
    ("stale handle", stale),
    ("binary transport", raw),
    ("freed answers", free),
)
# Without these there is nothing to be checked.
NEEDED = ("library", "functions", "life")


def main(answers: str, first: str, asked: str) -> None:
    """All checks from that number on; what is found goes to the descriptor `answers`."""
    with open(int(answers), "w", buffering=1) as stream:

        def tell(*what: object) -> None:
            stream.write(json.dumps(what) + "\n")

        for name, work in CHECKS[int(first) :]:
            tell("begun", name, name in NEEDED)
            try:
                tell("done", True, work(Library(asked)))
            except FaultError as fault:
                tell("done", False, str(fault))
                if name in NEEDED:
                    break
    # What the library does at the end of a process is not looked at: ctypes's callback is gone.
    os._exit(0)
