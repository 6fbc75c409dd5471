"""Finding a plugin's library, and loading it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemx import plugin as plugins
from gmemx.errors import PluginArgumentError, PluginMissingError

if TYPE_CHECKING:
    from gmemx._plugin_types import LogLevel, PluginConfig
    from gmemx.plugin import NativePlugin

# Where a name is looked for before the folders of PATH.
FOLDERS = (".", "./target/release", "./target/debug")
# What a library of a name is called here.
FILE = {"darwin": "lib{}.dylib", "win32": "{}.dll"}.get(sys.platform, "lib{}.so")


class NativePluginLoader:
    """Loads plugins: `gmemx.plugin.load` and its kin under the names that programs know.

    Examples
    --------
    >>> from gmemx.plugin import NativePluginLoader, sample_library
    >>> with NativePluginLoader.load(sample_library()) as loaded:
    ...     loaded.call("echo", "[1]")
    '[1]'
    """

    @staticmethod
    def load(
        library_path: str | os.PathLike[str],
        config: PluginConfig | None = None,
        log_callback: Callable[[LogLevel, str, str], object] | bool | None = None,
        **options: Any,
    ) -> NativePlugin:
        """The same as `gmemx.plugin.load`."""
        return plugins.load(library_path, config, log_callback, **options)

    @staticmethod
    def load_with_config(
        library_path: str | os.PathLike[str],
        config: PluginConfig,
        log_callback: Callable[[LogLevel, str, str], object] | bool | None = None,
        **options: Any,
    ) -> NativePlugin:
        """The same as `gmemx.plugin.load`, with a configuration."""
        return plugins.load(library_path, config, log_callback, **options)

    @staticmethod
    def load_by_name(library_name: str, **options: Any) -> NativePlugin:
        """Load ``lib<name>.so`` from this folder, from what cargo builds in it, or from PATH.

        On macOS it is ``lib<name>.dylib``, on Windows ``<name>.dll``.

        Parameters
        ----------
        library_name : str
            Without ``lib`` and ``.so``.
        **options
            As of `gmemx.plugin.load`.
        """
        return plugins.load(found(library_name), None, **options)

    @staticmethod
    def load_by_name_with_config(
        library_name: str, config: PluginConfig, **options: Any
    ) -> NativePlugin:
        """As `load_by_name`, with a configuration."""
        return plugins.load(found(library_name), config, **options)


def sample_library() -> str:
    """The path of a plugin that comes with the package, to try things with.

    It answers the tag ``echo``, and adds two 64-bit integers by the number 2.

    Examples
    --------
    >>> from gmemx import plugin
    >>> with plugin.load(plugin.sample_library()) as sample:
    ...     sample.call("echo", "[1, 2]")
    '[1, 2]'
    """
    for path in sorted(Path(__file__).parent.glob("_sample_plugin*.so")):
        return str(path)
    raise PluginMissingError("the package was installed without its sample plugin")


def found(name: str) -> Path:
    """The first library of a name."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a library is a string, not {type(name).__name__}")
    if not name or "/" in name or "\0" in name:
        raise PluginArgumentError(f"the name of a library is without a folder, not {name!r}")
    file = FILE.format(name)
    folders = [*FOLDERS, *filter(None, os.environ.get("PATH", "").split(os.pathsep))]
    for folder in folders:
        path = Path(folder) / file
        if path.is_file():
            return path
    raise PluginMissingError(f"there is no {file} in {', '.join(FOLDERS)} or PATH")
