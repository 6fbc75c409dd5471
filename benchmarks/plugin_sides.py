"""The plugin of benchmarks/plugin.py, loaded by everything that is compared."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from ctypes import Structure, byref, c_char, c_char_p, c_size_t, c_uint8, c_uint32, c_void_p
from pathlib import Path

from setting import Bench, compiled

import gmemx
from gmemx.plugin import NativePluginLoader

EXAMPLES = Path(__file__).parent.parent / "examples" / "plugins"
ENVELOPE = '{"status":"success","payload":'


class EchoRequestRaw(Structure):
    _pack_ = 1
    _fields_ = (
        ("version", c_uint8),
        ("_reserved", c_uint8 * 3),
        ("message", c_char * 256),
        ("message_len", c_uint32),
    )


class EchoResponseRaw(Structure):
    _pack_ = 1
    _fields_ = (*EchoRequestRaw._fields_, ("length", c_uint32))


class FfiBuffer(Structure):
    _fields_ = (
        ("data", c_void_p),
        ("len", c_size_t),
        ("capacity", c_size_t),
        ("error_code", c_uint32),
    )


class RbResponse(Structure):
    _fields_ = (
        ("error_code", c_uint32),
        ("len", c_uint32),
        ("capacity", c_uint32),
        ("data", c_void_p),
    )


REQUEST = EchoRequestRaw(version=1, message=b"Hello", message_len=5)
RAW = bytes(REQUEST)
ANSWER = bytes(EchoResponseRaw(version=1, message=b"Hello", message_len=5, length=5))


class Ctypes:
    """The plugin through ctypes, as fast as that goes: everything declared, nothing looked up."""

    def __init__(self, library: str) -> None:
        loaded = ctypes.CDLL(library)
        declared = {
            "plugin_create": (c_void_p, []),
            "plugin_init": (c_void_p, [c_void_p, c_char_p, c_size_t, c_void_p]),
            "plugin_call": (FfiBuffer, [c_void_p, c_char_p, c_char_p, c_size_t]),
            "plugin_free_buffer": (None, [c_void_p]),
            "plugin_call_raw": (RbResponse, [c_void_p, c_uint32, c_char_p, c_size_t]),
            "rb_response_free": (None, [c_void_p]),
        }
        for name, (result, arguments) in declared.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.handle = self.plugin_init(self.plugin_create(), None, 0, None)

    def call_raw(self, number: int, request: bytes) -> bytes:
        response = self.plugin_call_raw(self.handle, number, request, len(request))
        if response.error_code:
            raise RuntimeError(ctypes.string_at(response.data, response.len))
        answer = ctypes.string_at(response.data, response.len)
        self.rb_response_free(byref(response))
        return answer

    def answer(self, tag: bytes, request: str) -> bytes:
        encoded = request.encode()
        buffer = self.plugin_call(self.handle, tag, encoded, len(encoded))
        if buffer.error_code:
            raise RuntimeError(ctypes.string_at(buffer.data, buffer.len))
        answer = ctypes.string_at(buffer.data, buffer.len)
        self.plugin_free_buffer(byref(buffer))
        return answer

    def call(self, tag: bytes, request: str) -> object:
        return json.loads(self.answer(tag, request))["payload"]

    def text(self, tag: bytes, request: str) -> str:
        """The payload as it stands there, taken for granted that nothing is behind it."""
        return self.answer(tag, request)[len(ENVELOPE) : -1].decode()


class Cffi:
    """The plugin through cffi, in ABI mode."""

    def __init__(self, library: str) -> None:
        import cffi

        ffi = self.ffi = cffi.FFI()
        ffi.cdef(
            "typedef struct { uint8_t *data; size_t len, capacity; uint32_t error_code; } Buffer;"
            "typedef struct { uint32_t error_code, len, capacity; void *data; } Response;"
            "void *plugin_create(void);"
            "void *plugin_init(void *, const uint8_t *, size_t, void *);"
            "Buffer plugin_call(void *, const char *, const uint8_t *, size_t);"
            "void plugin_free_buffer(Buffer *);"
            "Response plugin_call_raw(void *, uint32_t, const void *, size_t);"
            "void rb_response_free(Response *);"
        )
        loaded = self.loaded = ffi.dlopen(library)
        self.handle = loaded.plugin_init(loaded.plugin_create(), ffi.NULL, 0, ffi.NULL)

    def call_raw(self, number: int, request: bytes) -> bytes:
        response = self.ffi.new("Response *")
        response[0] = self.loaded.plugin_call_raw(self.handle, number, request, len(request))
        answer = self.ffi.buffer(response.data, response.len)[:]
        self.loaded.rb_response_free(response)
        return answer

    def call(self, tag: bytes, request: str) -> object:
        encoded = request.encode()
        buffer = self.ffi.new("Buffer *")
        buffer[0] = self.loaded.plugin_call(self.handle, tag, encoded, len(encoded))
        answer = self.ffi.buffer(buffer.data, buffer.len)[:]
        self.loaded.plugin_free_buffer(buffer)
        return json.loads(answer)["payload"]


class Native:
    """The plugin called by plugin_cost.c."""

    def __init__(self, library: ctypes.CDLL, path: str) -> None:
        self.raw_calls, self.json_calls = library.raw_calls, library.json_calls
        self.raw_calls.argtypes = [c_uint32, c_char_p, c_size_t, ctypes.c_long]
        self.json_calls.argtypes = [c_char_p, c_char_p, c_size_t, ctypes.c_long]
        if library.open_plugin(os.fsencode(path)):
            raise SystemExit(f"{path}: plugin_cost.c cannot load it")

    def raw(self, number: int, request: bytes, n: int) -> Callable[[], None]:
        return self.checked(self.raw_calls, number, request, len(request), n)

    def json(self, tag: bytes, request: bytes, n: int) -> Callable[[], None]:
        return self.checked(self.json_calls, tag, request, len(request), n)

    def checked(self, function: Callable, *arguments: object) -> Callable[[], None]:
        def work() -> None:
            if function(*arguments):
                raise SystemExit("plugin_cost.c: a call failed")

        return work


def calculator() -> str:
    """The library of the example in Rust."""
    if path := os.environ.get("GMEMX_TEST_PLUGIN"):
        return path
    cargo = shutil.which(os.environ.get("CARGO", "cargo"))
    if cargo is None:
        raise SystemExit("the plugin is built by cargo; GMEMX_TEST_PLUGIN can name a built one")
    target = EXAMPLES.parent.parent / "rustlib" / "target" / "plugins"
    manifest = EXAMPLES / "calculator" / "Cargo.toml"
    command = [cargo, "build", "--quiet", "--release", "--locked", "--manifest-path", manifest]
    subprocess.run([*command, "--target-dir", target], check=True)
    return str(target / "release" / "libcalculator_plugin.so")


class Setting:
    """The plugin, loaded in every way there is."""

    def __init__(self, bench: Bench) -> None:
        self.path = calculator()
        self.plugin = NativePluginLoader.load(self.path)
        self.ctypes = Ctypes(self.path)
        flags = ["-O2", f"-I{gmemx.get_include()}", "-ldl"]
        keys = ("raw_c", "json_c", "echo_c", "batch_c")
        made = compiled(bench, "plugin_cost.c", flags, keys)
        self.native = Native(made, self.path) if made else None
        self.cffi, self.original, self.isolated = None, None, None
        try:
            self.cffi = Cffi(self.path)
        except ModuleNotFoundError:
            bench.skipped |= dict.fromkeys(("raw_cffi", "json_cffi"), "cffi is not installed")
        try:
            from rustbridge.native import NativePluginLoader as OriginalLoader

            self.original = OriginalLoader.load(self.path)
        except ModuleNotFoundError:
            reason = "rustbridge is not installed"
            bench.skipped |= dict.fromkeys(
                ("raw_original", "json_original", "echo_original"), reason
            )
        self.isolated = NativePluginLoader.load(self.path, isolate=True)

    def close(self) -> None:
        self.isolated.close()
        self.plugin.close()
