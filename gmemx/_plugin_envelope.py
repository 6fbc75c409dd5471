"""The envelopes that plugins put around their answers, read when a fast look did not do."""

from __future__ import annotations

import json
import re

from gmemx._failures import plugin_error
from gmemx.errors import PluginException, SerializationError

SPACE = re.compile(r"[ \t\n\r]*")
# Where a value ends, which is all that is wanted of the payload: it is passed on as it stands.
VALUE = json.JSONDecoder()


def payload_of(text: str) -> str:
    """The JSON of the payload, as the plugin wrote it.

    Raises
    ------
    PluginException
        What the envelope says, if it is one of an error.
    SerializationError
        If it is no envelope.
    """
    try:
        envelope = json.loads(text)
        spans = spans_of(text) if isinstance(envelope, dict) else {}
    except (ValueError, RecursionError) as error:
        raise SerializationError(f"the plugin's answer is not JSON: {error}") from None
    status = envelope.get("status") if isinstance(envelope, dict) else None
    if status == "success":
        start, end = spans.get("payload", (0, 0))
        return text[start:end] or "null"
    if status == "error":
        raise error_in(envelope, text)
    raise SerializationError(f"the plugin's answer is no envelope: {text[:80]!r}")


def spans_of(text: str) -> dict[str, tuple[int, int]]:
    """Where the values of an object lie in its text, which is known to be JSON."""
    spans = {}
    at = after_space(text, after_space(text, 0) + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = after_space(text, at + 1)
        key, at = VALUE.raw_decode(text, at)
        start = after_space(text, after_space(text, at) + 1)
        _, end = VALUE.raw_decode(text, start)
        spans[key] = (start, end)
        at = after_space(text, end)
    return spans


def after_space(text: str, at: int) -> int:
    return SPACE.match(text, at).end()


def error_in(envelope: dict[str, object], text: str) -> PluginException:
    """The exception for an error that came as an answer."""
    code = envelope.get("error_code")
    known = isinstance(code, int) and not isinstance(code, bool) and 0 < code < 2**32
    return plugin_error(code if known else 1, text)
