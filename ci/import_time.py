#!/usr/bin/env python3
"""How long `import gmemx` takes beyond `import numpy`, in fresh processes: at most 60 ms."""

import statistics
import subprocess
import sys

RUNS, MOST = 11, 60.0
PROGRAM = """
import time, numpy
start = time.perf_counter()
import gmemx
print(1000 * (time.perf_counter() - start))
"""


def main():
    """Measure with this interpreter, from a folder without a checkout of gmemx."""
    runs = [
        float(
            subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True).stdout
        )
        for _ in range(RUNS + 1)
    ]
    # The first one fills the caches.
    median = statistics.median(runs[1:])
    print(f"import gmemx: {median:.1f} ms beyond NumPy's, the median of {RUNS}")
    if median > MOST:
        print(f"importing gmemx takes more than {MOST} ms", file=sys.stderr)
    return median > MOST


if __name__ == "__main__":
    sys.exit(main())
