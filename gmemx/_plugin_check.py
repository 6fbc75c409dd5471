"""Whether a library keeps to the plugin ABI: the checks of _plugin_checks.py, and what they find.

They run in a process of their own: what crashes or hangs there is a finding, and the checks go on
in another.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass

__all__ = ["CheckResult", "check"]

# The package by its name alone, without all that it imports.
CHILD = """
import sys, types
package = types.ModuleType("gmemx")
package.__path__ = [sys.argv[1]]
sys.modules["gmemx"] = package
from gmemx import _plugin_checks
_plugin_checks.main(*sys.argv[2:])
"""


@dataclass(frozen=True)
class CheckResult:
    """What one check has found.

    Attributes
    ----------
    name : str
        Of the check.
    passed : bool
        Whether the library does as it should.
    detail : str
        What was seen.

    Examples
    --------
    >>> from gmemx import plugin
    >>> results = plugin.check(plugin.sample_library())
    >>> type(results[0]).__name__
    'CheckResult'
    """

    name: str
    passed: bool
    detail: str


def check(
    path: str | os.PathLike[str],
    *,
    tag: str = "echo",
    request: str | bytes | None = None,
    timeout: float = 20.0,
) -> list[CheckResult]:
    """Go through the conformance list with the library at `path`.

    Parameters
    ----------
    path : str or path
        Of the library.
    tag : str, optional
        Something that the plugin answers to. Where it answers to nothing of that name, what is
        said about answers is looked at with errors only.
    request : str or bytes, optional
        The JSON that goes with it; by default ``{"message": "..."}``, in several sizes.
    timeout : float, optional
        After how many seconds a check hangs.

    Returns
    -------
    list of CheckResult
        In order. Where the library cannot be loaded or is no plugin, only what says so.

    Raises
    ------
    FileNotFoundError
        There is no such file.

    Examples
    --------
    >>> results = check(library)  # doctest: +SKIP
    >>> [result.name for result in results if not result.passed]  # doctest: +SKIP
    []
    """
    path = os.path.abspath(os.fspath(path))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no library {path}")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout}, and has to be above 0")
    if not isinstance(tag, str):
        raise TypeError(f"tag must be a str, not {type(tag).__name__}")
    if isinstance(request, str):
        request = request.encode()
    if not isinstance(request, bytes | None):
        raise TypeError(f"request must be JSON, a str or bytes, not {type(request).__name__}")
    asked = json.dumps([path, tag, None if request is None else request.hex()])
    results: list[CheckResult] = []
    while run_from(len(results), asked, timeout, results):
        continue
    return results


def run_from(first: int, asked: str, timeout: float, results: list[CheckResult]) -> bool:
    """Append the results from check number `first` on, as far as the process that makes them
    lives; whether another one has to go on behind that.
    """
    reader, writer = os.pipe()
    folder = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryFile() as errors, open(reader, "rb", buffering=0) as answers:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CHILD, folder, str(writer), str(first), asked],
            pass_fds=[writer],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
        os.close(writer)
        name, needed, ended = "", False, False
        pending = b""
        try:
            while select.select([answers], [], [], timeout)[0]:
                part = answers.read(1 << 16)
                if not part:
                    ended = True
                    break
                *lines, pending = (pending + part).split(b"\n")
                for what, *rest in map(json.loads, lines):
                    if what == "begun":
                        name, needed = rest
                    else:
                        results.append(CheckResult(name, *rest))
        finally:
            if not ended:
                process.kill()
            status = process.wait()
        if ended and status == 0:
            return False
        why = f"the process died of {signal_name(status)}"
        if not ended:
            why = f"it did not end within {timeout:g} s"
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
        if said:
            why += f" ({said[-1][:200]})"
    if not name:
        raise RuntimeError(f"no check could be made: {why}")
    results.append(CheckResult(name, False, why))
    return not needed


def signal_name(status: int) -> str:
    """What ended a process."""
    try:
        return signal.Signals(-status).name if status < 0 else f"an exit with status {status}"
    except ValueError:
        return f"signal {-status}"
