"""Plugins of the tests: the faulty one, loaded; programs in which Python ends; patience."""

import json
import re
import sys
from collections import deque
from pathlib import Path

import plugins_build
import pytest
from pools import run

# What the faulty plugin does by number.
ECHO, BYTES, OF_SIZE, SLEEP, SPIN, FAILURE = 1, 2, 3, 4, 5, 6

SEED = Path(__file__).parent / "data" / "native_plugins.md"


def load(*words, path=None, log_callback=None, compiled=(), isolate=False, **options):
    """The faulty plugin; `words` go wrong as plugin_faults/README.md says."""
    from gmemx import plugin

    data = options.pop("data", {})
    settings = {
        name: options.pop(name)
        for name in ("log_level", "max_concurrent_ops", "shutdown_timeout_ms", "worker_threads")
        if name in options
    }
    config = plugin.PluginConfig(data={"faults": list(words), **data}, **settings)
    library = path or plugins_build.faults(*compiled)
    return plugin.load(library, config, log_callback, isolate=isolate, **options)


linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="plugins are loaded on Linux"
)
# The plugin in this process, and in one of its own.
both = pytest.mark.parametrize("isolate", [False, True], ids=["here", "isolated"])


def logged(**options):
    """The faulty plugin and the list to which what it logs is appended."""
    messages = deque()
    plugin = load(log_callback=lambda *message: messages.append(message), **options)
    return plugin, messages


def calls(counts):
    """What a plugin has counted, and has to have freed."""
    found = plugins_build.counters(counts)
    assert found["double"] == found["mismatched"] == 0
    return found


def program(text, *arguments, **options):
    """Runs a program that has `plugins` and `gmemx.plugin`; what it prints."""
    start = "import sys\nfrom gmemx import plugin\nLIBRARY = sys.argv[1]\n"
    return run(start + text, plugins_build.faults(), *arguments, **options)


def descriptors():
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def temporary_files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def snippets():
    """The seed's Python, with only what is imported changed; under its headings."""
    found, heading, block = {}, "", None
    for line in SEED.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("```"):
            if block is not None and block[0] == "```python\n":
                found.setdefault(heading, []).append("".join(block[1:]))
            block = [line] if block is None else None
        elif block is not None:
            block.append(re.sub(r"^from rustbridge\.\w+ import", "from gmemx.plugin import", line))
        elif line.startswith("#"):
            heading = line.strip("# \n")
    return found


def answer(plugin, tag, request="null"):
    """What a call by tag answers, out of its JSON."""
    return json.loads(plugin.call(tag, request))
