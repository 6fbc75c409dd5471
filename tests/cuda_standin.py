"""The stand-in for the CUDA driver, compiled, and cases that run over a driver.

The driver is decided once in a process, so each case is a process of its own.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "cuda_standin" / "cuda_standin.c"
FLAGS = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]


def compile_standin(folder):
    """The stand-in as a shared library in a folder."""
    library = folder / "cuda_standin.so"
    subprocess.run(["cc", *FLAGS, "-o", library, SOURCE], check=True)
    return library


@dataclass
class Driver:
    """What the cases of ``pool_cuda_cases.py`` run over."""

    folder: Path
    library: Path | None
    runs: int = 0
    log: Path = field(init=False)

    def run(self, case, **variables):
        """Run a case, which has to end well; ``variables`` are added to the environment."""
        self.runs += 1
        self.log = self.folder / f"calls-{self.runs}"
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        environment.pop("GMEMX_CUDA_DRIVER", None)
        if self.library is not None:
            environment |= {
                "GMEMX_CUDA_DRIVER": str(self.library),
                "CUDA_STANDIN_LOG": str(self.log),
            }
        environment |= variables
        program = f"import pool_cuda_cases; pool_cuda_cases.{case}()"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    def calls(self):
        """How often the last case called each function of the stand-in, in all its processes."""
        return Counter(line.split()[1] for line in self.log.read_text().splitlines())
