"""What every group of rows works with: contexts, data sizes, the C library."""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from harness import Row, as_json, show

import gmemx
from gmemx.cli import machine

SEED = 42
START = 1 << 40


@dataclass
class Bench:
    """What all groups of rows need.

    Attributes
    ----------
    quick : bool
        Whether to take little data and few rounds, to see that all of it runs.
    rows : list of Row
        The results so far.
    skipped : dict
        Why, by the key of the row.
    """

    quick: bool
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rounds = 3 if self.quick else 9
        self.context = gmemx.GMemContext(SEED)
        self.rng = np.random.default_rng(SEED)
        self.library = ctypes.CDLL(gmemx.library_path())
        self.library.gmem_debug_scalar_fill.argtypes = (
            ctypes.c_uint64,
            ctypes.c_uint64,
            ctypes.c_void_p,
            ctypes.c_size_t,
        )
        self.library.gmem_context_new.argtypes = (ctypes.c_uint64,)
        self.library.gmem_context_new.restype = ctypes.c_void_p
        self.library.gmem_fetch.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
        self.library.gmem_fetch.restype = ctypes.c_double
        self.library.gmem_context_free.argtypes = (ctypes.c_void_p,)
        self.library.gmem_context_free.restype = None

    def size(self, full: int) -> int:
        """Give the amount of data to take where a full run takes `full`."""
        return full // 16 if self.quick else full

    def scalar_fill_twofold(self, out: np.ndarray) -> None:
        """Do as `scalar_fill`, each half on a thread of its own."""
        half = out.size // 2
        other = threading.Thread(target=self.scalar_fill, args=(out[half:], START + half))
        other.start()
        self.scalar_fill(out[:half])
        other.join()

    def scalar_fill(self, out: np.ndarray, start: int = START) -> None:
        """Fill `out` by the scalar formula, one address at a time."""
        status = self.library.gmem_debug_scalar_fill(SEED, start, out.ctypes.data, out.size)
        if status:
            raise RuntimeError(f"gmem_debug_scalar_fill gave status {status}")


def compiled(
    bench: Bench, source: str, flags: Sequence[str], keys: Sequence[str]
) -> ctypes.CDLL | None:
    """Compile a C file that lies beside this one to a shared library.

    Parameters
    ----------
    bench : Bench
    source : str
        The file's name.
    flags : sequence of str
        For the compiler, besides those that make it shared.
    keys : sequence of str
        The rows that are skipped where it cannot be compiled.

    Returns
    -------
    ctypes.CDLL or None
    """
    path = Path(__file__).with_name(source)
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder, path.stem + ".so"))
        # What it links to comes behind it.
        command = ["cc", "-shared", "-fPIC", "-o", library, str(path), *flags]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            reason = (getattr(error, "stderr", "") or str(error)).strip()
            bench.skipped |= dict.fromkeys(keys, reason)
            return None
        return ctypes.CDLL(library)


def same(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Refuse to time what is wrong."""
    if not np.array_equal(found, expected):
        raise AssertionError(f"{what}: not the expected cells")


def run(description: str, groups: Sequence[Callable[[Bench], None]]) -> int:
    """Run groups of rows as the command line says, and print the table.

    Parameters
    ----------
    description : str
        The script's docstring.
    groups : sequence of callable
        Each adds its rows to the bench.

    Returns
    -------
    int
        The exit status.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="seconds, for seeing that it runs")
    parser.add_argument("--json", metavar="FILE", help="write JSON there too; - is standard output")
    args = parser.parse_args()
    bench = Bench(args.quick)
    # With the JSON on standard output, the people's table goes beside it.
    stream = sys.stderr if args.json == "-" else sys.stdout
    print(machine.summary(), file=stream)
    for group in groups:
        print(f"{group.__doc__.rstrip('.')} ...", file=sys.stderr, flush=True)
        group(bench)
    print(f"medians of {bench.rounds} interleaved rounds\n", file=stream)
    show(bench.rows, stream)
    for key, reason in bench.skipped.items():
        print(f"skipped {key}: {reason}", file=stream)
    if args.json:
        head = {"machine": machine.describe(), "quick": args.quick, "rounds": bench.rounds}
        text = as_json({**head, "skipped": bench.skipped}, bench.rows)
        if args.json == "-":
            sys.stdout.write(text)
        else:
            Path(args.json).write_text(text, encoding="utf-8")
    return 0
