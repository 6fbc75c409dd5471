"""What the cases of a library come to, asked from another process."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

from .cases import CASES

TESTS = Path(__file__).resolve().parent.parent


@functools.cache
def outcomes(library):
    """Every case's outcome by name; a runner that ended early is the outcome of the rest."""
    environment = os.environ | {
        "PYTHONPATH": str(TESTS),
        # JAX makes 32 bits of 64 otherwise.
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-m", "interop.runner", library],
        input=json.dumps(list(CASES[library])),
        env=environment,
        capture_output=True,
        text=True,
    )
    told = {line["case"]: line for line in map(json.loads, done.stdout.splitlines())}
    lost = {"status": "crashed", "text": f"the runner ended: {done.returncode}\n{done.stderr}"}
    return {name: told.get(name, lost) for name in CASES[library]}
