"""What there is on this operating system; docs/platforms.md has the table."""

from __future__ import annotations

import sys

from gmemx.errors import UnsupportedError

ON_LINUX = sys.platform == "linux"
NAMES = {"darwin": "macOS", "win32": "Windows"}


def only_on_linux(what: str) -> None:
    """Refuse `what` on other systems.

    Raises
    ------
    NotImplementedError
        With a sentence that names this system.
    """
    if not ON_LINUX:
        raise UnsupportedError(f"gmemx has {what} on Linux only, and this is {_system()}")


def not_on_windows(what: str) -> None:
    """Refuse `what` on Windows.

    Raises
    ------
    NotImplementedError
        With a sentence that names this system.
    """
    if sys.platform == "win32":
        raise UnsupportedError(f"gmemx has {what} on Linux and macOS only, and this is Windows")


def _system() -> str:
    return NAMES.get(sys.platform, sys.platform)
