"""Cells that outlive their process: written, flushed, killed, and opened again."""

import os
import signal
import subprocess
import sys
import tempfile

from gmemx import GMemContext

WRITER = """
import sys
from gmemx import GMemContext

ctx = GMemContext.open(sys.argv[1], seed=42)
cells = ctx.array((10**6, 10**9), distribution="normal")
cells[123_456, :1000] = 0.0
ctx.flush()
cells[123_457, :1000] = 0.0
print("flushed once", flush=True)
sys.stdin.read()
"""

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "cells.gmem")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert writer.stdout is not None
    print("the writer:", writer.stdout.readline().strip())

    # A reader may come at any time, a second writer may not.
    reader = GMemContext.open(path, read_only=True)
    print("a reader:", reader.overlay_count, "cells")
    try:
        GMemContext.open(path)
    except BlockingIOError as error:
        print("a second writer:", type(error).__name__)

    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with GMemContext.open(path) as ctx:
        cells = ctx.array((10**6, 10**9), distribution="normal")
        zeros = int((cells[123_456:123_458, :1000].numpy() == 0).sum())
        print("after SIGKILL:", zeros, "zeros of", cells.nbytes // 10**12, "TB")
