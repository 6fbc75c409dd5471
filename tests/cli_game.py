"""A process with memory of its own for the tests of the scanner's commands, and what reads them."""

import json
import struct
import subprocess
import sys
import time

# A process with 64 KiB of its own, in which it puts what it is told to.
GAME = """
import ctypes, mmap, os, struct, sys
ctypes.CDLL(None).prctl(15, sys.argv[1].encode())
memory = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
print(os.getpid(), ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
for line in sys.stdin:
    offset, data = line.split()
    memory[int(offset) : int(offset) + len(data) // 2] = bytes.fromhex(data)
    print(memory[:4096].hex(), flush=True)
"""
SIZE = 1 << 16


class Game:
    """The process, from outside."""

    def __init__(self, name):
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-c", GAME, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid, self.address = map(int, self._process.stdout.readline().split())

    def put(self, offset, kind, *values):
        """Let it put values into its memory."""
        return self.put_bytes(offset, struct.pack(f"={len(values)}{kind}", *values))

    def put_bytes(self, offset, data):
        """Let it put bytes into its memory; the first page as it is then."""
        print(offset, data.hex(), file=self._process.stdin, flush=True)
        return bytes.fromhex(self._process.stdout.readline())

    def get(self, offset, kind):
        """What it has there itself."""
        data = self.put_bytes(SIZE - 1, b"\0")
        return struct.unpack_from(f"={kind}", data, offset)[0]

    @property
    def only(self):
        """The arguments that restrict a command to these 64 KiB."""
        return ["--start", f"{self.address:#x}", "--end", f"{self.address + SIZE:#x}"]

    def kill(self):
        """End it; again does nothing."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def records(done):
    """What a command has said in JSON lines."""
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def places(done):
    """The addresses that a command has said in JSON lines."""
    return [int(record["address"], 16) for record in records(done)]


def until(condition):
    """Wait for something that takes a moment."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
