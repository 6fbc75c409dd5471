"""Runs a library's cases: imports the library once, then forks a process for each case.

``python -m interop.runner torch`` reads a JSON list of cases from its standard input and writes
a line of JSON about each. A crash is told as such, with what the case was at.
"""

import faulthandler
import gc
import json
import os
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import pytest

from . import peers
from .cases import CASES

SECONDS = 120


def child(function, folder):
    """What the process of one case does; it never returns."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(log)
    signal.alarm(SECONDS)
    try:
        told = {"status": "passed", "found": function()}
    except pytest.skip.Exception as reason:
        told = {"status": "skipped", "text": str(reason)}
    except BaseException:
        told = {"status": "failed", "text": traceback.format_exc()}
    (folder / "told").write_text(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)


def excerpt(log):
    """Both ends of what a case said: a crash's own list of modules may be long."""
    return log if len(log) <= 4000 else f"{log[:2000]}\n...\n{log[-2000:]}"


def outcome(folder, status):
    log = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"status": "crashed", "text": f"ended by {name}\n{excerpt(log)}"}
    if os.WEXITSTATUS(status) or not (folder / "told").exists():
        return {
            "status": "crashed",
            "text": f"exit status {os.WEXITSTATUS(status)}\n{excerpt(log)}",
        }
    told = json.loads((folder / "told").read_text())
    if told["status"] == "failed":
        told["text"] += excerpt(log)
    return told


def main():
    library = sys.argv[1]
    warnings.simplefilter("ignore")
    peers.load(library)
    # What is here already needs no look from the collections that the cases ask for.
    gc.collect()
    gc.freeze()
    waiting = json.load(sys.stdin)[::-1]
    running = {}
    with tempfile.TemporaryDirectory() as scratch:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                name = waiting.pop()
                folder = Path(tempfile.mkdtemp(dir=scratch))
                sys.stdout.flush()
                pid = os.fork()
                if pid == 0:
                    child(CASES[library][name], folder)
                running[pid] = name, folder
            pid, status = os.wait()
            name, folder = running.pop(pid)
            print(json.dumps({"case": name, **outcome(folder, status)}), flush=True)


if __name__ == "__main__":
    main()
