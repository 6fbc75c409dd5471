"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import numpy as np

import gmemx


def cores() -> int:
    """Count the cores this process may use.

    Returns
    -------
    int
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe() -> dict[str, str | int]:
    """Say what this machine is, for printing beside a measurement.

    Returns
    -------
    dict
        ``cpu``, ``cores``, ``system``, ``python``, ``numpy``, ``gmemx`` and
        ``cpu_path`` (the instruction set gmemx selected).

    Examples
    --------
    >>> sorted(describe())
    ['cores', 'cpu', 'cpu_path', 'gmemx', 'numpy', 'python', 'system']
    """
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "gmemx": gmemx.__version__,
        "cpu_path": gmemx.cpu_path(),
    }


def summary() -> str:
    """Say in one line what `describe` says."""
    facts = describe()
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}, "
        f"NumPy {facts['numpy']}, CPU path {facts['cpu_path']}"
    )


def _cpu_model() -> str:
    try:
        if platform.system() == "Darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return platform.processor() or platform.machine() or "unknown CPU"
