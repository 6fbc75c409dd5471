import multiprocessing
import os
from multiprocessing.connection import Connection

import numpy as np

from gmemx import BufferPool


def invert(pool: BufferPool, pipe: Connection) -> None:
    """What another process does: it changes every image that arrives, where it lies."""
    with pool:
        while (guard := pipe.recv()) is not None:
            with guard:  # dtype and shape came with the buffer
                image = guard.numpy()
                np.subtract(255, image, out=image)
            pipe.send("done")


def main() -> None:
    processes = multiprocessing.get_context("spawn")
    with BufferPool(f"frames-{os.getpid()}", capacity=64) as pool:
        here, there = processes.Pipe()
        process = processes.Process(target=invert, args=(pool, there))
        process.start()

        guard = pool.acquire((480, 640, 3), "uint8")  # a buffer, for as long as it is held
        image = guard.numpy()  # its memory: nothing is copied, here or below
        image[:] = 0
        here.send(guard)
        print(here.recv(), image[0, 0])

        here.send(guard)
        here.recv()
        process.kill()  # at any moment: what it held is taken back
        process.join()
        pool.reclaim()
        stats = pool.stats()
        print(image[0, 0], stats.used, "buffer,", stats.processes, "process")

        with pool.acquire_cpu(1000) as scratch:  # bytes; warm again after the first time
            scratch.numpy()[:] = 7
            print(len(scratch), pool.stats().used)
        del image
        guard.close()
        print(pool.stats().used, "in use")


if __name__ == "__main__":
    main()
