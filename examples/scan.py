import subprocess
import sys
import time

from gmemx import scan

# The game: it has a health, which it loses, and shows when asked.
GAME = """
import ctypes, sys
health = ctypes.c_int32(250)
for line in sys.stdin:
    health.value -= int(line)
    print(health.value, flush=True)
"""


def main() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", GAME], text=True, stdin=pipe, stdout=pipe) as game:
        assert game.stdin is not None
        assert game.stdout is not None
        told, shown = game.stdin, game.stdout

        def hit(points: int) -> int:
            print(points, file=told, flush=True)
            return int(shown.readline())

        hit(0)
        with scan.open_process(game.pid) as process:
            # Nothing is known but that it becomes less; nothing is stopped.
            scanner = process.scanner("int32", process.regions(permissions="rw"))
            scanner.initial_scan()
            for points in (10, 20, 30):
                hit(points)
                scanner.filter_decreased_by(points)
            print(scanner.match_count(), "left:", scanner.values())

            scanner.set_value(1000)  # written, and read back
            print(hit(1), "after a hit")

            (address,) = scanner.addresses()
            with process.freeze(address, 999, "int32"):
                hit(500)
                time.sleep(0.1)
                print(process.read_value(address, "int32"), "held still")
            print(hit(99), "let go")
        told.close()


if __name__ == "__main__":
    main()
