import asyncio
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gmemx
from gmemx.plugin import (
    LogLevel,
    NativePlugin,
    NativePluginLoader,
    PluginConfig,
    PluginException,
)

SOURCE = Path(__file__).parent / "plugins" / "echo" / "echo.c"


@dataclass
class Message:
    message: str


def build(folder: str) -> Path:
    """The plugin of plugins/echo, from one file of C."""
    library = Path(folder, "libecho.so")
    include = f"-I{gmemx.get_include()}"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", include, SOURCE, "-o", library], check=True)
    return library


async def gathered(plugin: NativePlugin) -> int:
    """Many calls at once, without a thread of Python's for any of them."""
    requests = [json.dumps({"number": number}) for number in range(1000)]
    answers = await asyncio.gather(*(plugin.call_async("echo", text) for text in requests))
    return sum(json.loads(answer)["number"] for answer in answers)


def main() -> None:
    def log(level: LogLevel, target: str, message: str) -> None:
        print(f"[{level.name}] {target}: {message}")

    with tempfile.TemporaryDirectory() as folder:
        config = PluginConfig(log_level=LogLevel.INFO)
        with NativePluginLoader.load(build(folder), config, log) as plugin:
            plugin.flush_logs()
            print(plugin.call("echo", '{"message": "by tag"}'))
            print(plugin.call_typed("echo", Message("typed"), Message))

            with plugin.call_raw(2, bytearray(b"bytes, in the plugin's memory")) as response:
                print(len(response), "bytes:", bytes(memoryview(response)[:5]))
            print(len(plugin.call_batch(2, [b"one", b"two", b"three"])), "answers")
            print(asyncio.run(gathered(plugin)), "is the sum of a thousand")

            try:
                plugin.call("nothing", "{}")
            except PluginException as error:
                print(type(error).__name__, error.error_code, error.message)
        print(plugin.state.name)


if __name__ == "__main__":
    main()
