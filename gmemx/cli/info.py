"""Print what this gmemx is, and what it finds on this machine: for reports of defects.

gmemx info
gmemx info --json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import gmemx

HELP = "tell version, CPU paths, CUDA, kernel, and where things are"

YAMA = {
    None: "not there",
    0: "0: processes of the same user may be scanned",
    1: "1: only descendants may be scanned, unless privileged",
    2: "2: only who is privileged may scan",
    3: "3: nobody may scan",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx info``."""
    parser.add_argument("--json", action="store_true", help="JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Print it.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0.
    """
    facts = gmemx.info()
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    lines = list(_lines(facts))
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        print(f"{name:<{width}}  {text}")
    return 0


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    package, python, system = facts["gmemx"], facts["python"], facts["system"]
    yield "gmemx", f"{package['version']}, ABI {package['abi']}"
    yield "kinds", ", ".join(package["kinds"])
    yield "library", package["library"]
    yield "headers", package["headers"]
    gil = "" if python["gil"] else ", without the GIL"
    yield "Python", f"{python['implementation']} {python['version']}{gil}"
    yield "NumPy", facts["numpy"]
    libc = f", {system['libc']}" if system["libc"] else ""
    yield "system", f"{system['name']} {system['release']} {system['machine']}{libc}"
    yield "cores", str(system["cores"])
    cpu, cuda = facts["cpu"], facts["cuda"]
    yield "CPU path", f"{cpu['used']}, of {', '.join(cpu['available'])}"
    yield "CUDA", ", ".join(cuda["devices"]) if cuda["available"] else f"no: {cuda['why_not']}"
    kernel = facts["kernel"]
    for name in ("memfd", "pidfd", "ofd_locks", "process_vm_readv", "pagemap_scan"):
        if name in kernel:
            yield name, "yes" if kernel[name] else "no"
    if kernel:
        scope = kernel["yama_ptrace_scope"]
        yield "Yama", YAMA.get(scope, str(scope))
        free = kernel["shared_memory_free"]
        yield "/dev/shm", "not there" if free is None else f"{free / 2**20:,.0f} MiB free"
    for extra, packages in facts["extras"].items():
        text = ", ".join(f"{name} {version or 'missing'}" for name, version in packages.items())
        yield f"gmemx[{extra}]", text
