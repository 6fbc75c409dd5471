"""Millions of acquire and release cycles over eight slots: no buffer has two owners.

``cycles.c`` does them, from four threads in each of two processes. No handle comes twice
either, though the generation in a slot's word is counted around more than once in the
long form; and now and then a handle of somebody else's is got, which is that very buffer
or an error.
"""

import argparse
import subprocess
import tempfile
import time

from pool_faults.stage import BrokenPromiseError, Shm, compiled, require


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--millions", type=int, default=40)
    parser.add_argument("--long", action="store_const", dest="millions", const=400)
    options = parser.parse_args()
    shm = Shm()
    with tempfile.TemporaryDirectory() as folder:
        program = compiled("cycles.c", folder)
        began = time.monotonic()
        arguments = [shm.name("cycles"), str(options.millions * 1_000_000), "2", "4"]
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise BrokenPromiseError(f"cycles ended with {done.returncode}:\n{done.stderr}")
    print(done.stdout, end="")
    print(f"2 processes of 4 threads, {time.monotonic() - began:.0f} s")
    require(done.stdout.endswith(" 0 duplicates\n"), "a buffer had two owners")
    shm.require_clean()
    print("/dev/shm is clean" + shm.remark())


if __name__ == "__main__":
    main()
