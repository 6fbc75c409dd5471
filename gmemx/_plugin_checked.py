"""A library that is checked: a copy of it, called through ctypes just as it is.

There is nothing here but the standard library: see _plugin_check.py.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from ctypes import POINTER, c_bool, c_char_p, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass

LAST_CODE = 13


class FaultError(Exception):
    """The library does not do as it should."""


class Buffer(ctypes.Structure):
    """An answer to a call by tag."""

    _fields_ = (
        ("data", c_void_p),
        ("len", c_size_t),
        ("capacity", c_size_t),
        ("error_code", c_uint32),
    )


class Response(ctypes.Structure):
    """An answer to a binary call."""

    _fields_ = (
        ("error_code", c_uint32),
        ("len", c_uint32),
        ("capacity", c_uint32),
        ("data", c_void_p),
    )


LogCallback = ctypes.CFUNCTYPE(None, c_uint8, c_void_p, c_void_p, c_size_t)

REQUIRED = {
    "plugin_create": (c_void_p, []),
    "plugin_init": (c_void_p, [c_void_p, c_char_p, c_size_t, c_void_p]),
    "plugin_call": (Buffer, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "plugin_free_buffer": (None, [POINTER(Buffer)]),
    "plugin_shutdown": (c_bool, [c_void_p]),
    "plugin_set_log_level": (None, [c_void_p, c_uint8]),
    "plugin_get_state": (c_uint8, [c_void_p]),
    "plugin_get_rejected_count": (c_uint64, [c_void_p]),
}
OPTIONAL = {"plugin_create_with_config": (c_void_p, [c_char_p, c_size_t])}
BINARY = {
    "plugin_call_raw": (Response, [c_void_p, c_uint32, c_char_p, c_size_t]),
    "rb_response_free": (None, [POINTER(Response)]),
}


COPIES: list[Library] = []


class Library:
    """A copy of the library, and what is called in it."""

    def __init__(self, asked: str) -> None:
        self.path, self.tag, request = json.loads(asked)
        self.request = None if request is None else bytes.fromhex(request)
        with open(self.path, "rb") as file:
            content = file.read()
        # Never closed: its number is the name that the loader knows the copy by.
        self.file = os.memfd_create("checked")
        os.write(self.file, content)
        try:
            self.loaded = ctypes.CDLL(f"/proc/self/fd/{self.file}", os.RTLD_NOW | os.RTLD_LOCAL)
        except OSError as error:
            why = str(error).replace(f"/proc/self/fd/{self.file}", self.path)
            raise FaultError(f"it cannot be loaded: {why}") from None
        self.has = {name for name in (*REQUIRED, *OPTIONAL, *BINARY) if hasattr(self.loaded, name)}
        for name, (result, arguments) in (REQUIRED | OPTIONAL | BINARY).items():
            if name in self.has:
                function = getattr(self.loaded, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        self.logged: list[tuple[int, bytes | None, bytes | None, int]] = []
        self.callback = LogCallback(self.log)
        # It may be called at any time from now on, so it is never freed.
        COPIES.append(self)

    @property
    def binary(self) -> bool:
        return self.has.issuperset(BINARY)

    def log(self, level: int, target: int | None, message: int | None, length: int) -> None:
        name = ctypes.string_at(target) if target else None
        text = ctypes.string_at(message, length) if message else None
        self.logged.append((level, name, text, length))

    def start(self, config: bytes = b"", *, logs: bool = True, **values: object) -> int | None:
        """The handle of a new instance; None where it was refused."""
        config = json.dumps(values).encode() if values else config
        if "plugin_create_with_config" in self.has:
            created = self.plugin_create_with_config(config or None, len(config))
        else:
            created = self.plugin_create()
        if not created:
            return None
        callback = ctypes.cast(self.callback, c_void_p) if logs else None
        return self.plugin_init(created, config or None, len(config), callback)

    def started(self, **values: object) -> int:
        handle = self.start(**values)
        if not handle:
            raise FaultError("it did not start")
        return handle

    def end(self, handle: int) -> None:
        if not self.plugin_shutdown(handle):
            raise FaultError("plugin_shutdown gave false")

    def call(self, handle: int | None, request: bytes | None, tag: str | None = None) -> Answer:
        tag = self.tag if tag is None else tag
        buffer = self.plugin_call(handle, tag.encode(), request, len(request or b""))
        return self.taken(buffer, self.plugin_free_buffer)

    def call_raw(self, handle: int | None, number: int, request: bytes) -> Answer:
        response = self.plugin_call_raw(handle, number, request, len(request))
        return self.taken(response, self.rb_response_free)

    def taken(self, answer: Buffer | Response, free: Callable) -> Answer:
        """What is in an answer, which is freed; any answer has to be of that form."""
        if answer.error_code > LAST_CODE:
            raise FaultError(
                f"an answer has error code {answer.error_code}, and the last one is 13"
            )
        if answer.len and not answer.data:
            raise FaultError(f"an answer has {answer.len} bytes at NULL")
        taken = Answer(answer.error_code, ctypes.string_at(answer.data, answer.len))
        free(ctypes.byref(answer))
        return taken

    def probe(self, mark: str = "Hello", size: int = 0) -> bytes:
        """A request that should be answered."""
        if self.request is not None:
            return self.request
        return json.dumps({"message": mark + "." * size}).encode()

    def echoes(self, answer: Answer, request: bytes) -> bool:
        """Whether the message came back; it is not known of requests that the caller chose."""
        if self.request is not None:
            return True
        found = answer.payload()
        return isinstance(found, dict) and found.get("message") == json.loads(request)["message"]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    code: int
    data: bytes

    def payload(self) -> object:
        """What is in the envelope."""
        if self.code:
            raise FaultError(f"the answer is error {self.code}: {self.text()[:200]}")
        try:
            envelope = json.loads(self.data)
        except ValueError:
            raise FaultError(f"an answer is no JSON: {self.data[:60]!r}") from None
        if not isinstance(envelope, dict) or envelope.get("status") != "success":
            raise FaultError(f"an answer has no envelope of success: {self.data[:60]!r}")
        return envelope.get("payload")

    def text(self) -> str:
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise FaultError(f"an error's text is not UTF-8: {self.data[:60]!r}") from None
