"""What every group of rows works with: contexts, data sizes, the C library."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass, field

import numpy as np
from harness import Row

import gmemx

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


def same(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Refuse to time what is wrong."""
    if not np.array_equal(found, expected):
        raise AssertionError(f"{what}: not the expected cells")
