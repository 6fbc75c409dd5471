"""Several things at once, and waiting for what comes of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor


def together(*works):
    """Runs functions on a thread each, started at once; raises what any of them raised."""
    barrier = threading.Barrier(len(works))

    def run(work):
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as executor:
        return [future.result() for future in [executor.submit(run, work) for work in works]]


def eventually(condition, seconds=30):
    """Wait until something holds; the patience is only for what would never come."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)
    return result
