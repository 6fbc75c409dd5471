"""Generative memory against what its users would pick instead.

    python benchmarks/generative.py [--quick] [--json FILE]

Both sides of every row run in this process, in turn, several rounds; the table shows
the ratio of their medians. benchmarks/README.md says what the rows mean.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import Way, compare, limit, measure
from setting import SEED, START, Bench, run, same

import gmemx
from gmemx.cli import machine
from gmemx.cli.formula import vrns16


def bulk(bench: Bench) -> None:
    """Contiguous cells into one reused buffer: 32 MB, past the caches."""
    context, out = bench.context, np.empty(bench.size(1 << 22))
    philox = gmemx.GMemContext(SEED, generator="philox")
    expected = np.empty_like(out)
    bench.scalar_fill(expected)
    for path in ("portable", "auto"):
        gmemx.set_cpu_path(path)
        context.fetch_into(START, out)
        same(out, expected, f"a bulk read on the {path} path")
    philox.fetch_into(0, out)
    same(out, np.random.Generator(np.random.Philox(key=SEED)).random(out.size), "philox")

    n = out.size
    ways = [
        Way("1 thread", n, lambda: context.fetch_into(START, out, threads=1)),
        Way("scalar formula", n, lambda: bench.scalar_fill(out)),
        Way(
            "portable path",
            n,
            lambda: context.fetch_into(START, out, threads=1),
            before=lambda: gmemx.set_cpu_path("portable"),
            after=lambda: gmemx.set_cpu_path("auto"),
        ),
        Way("philox, 1 thread", n, lambda: philox.fetch_into(0, out, threads=1)),
    ]
    for name in ("PCG64", "SFC64", "Philox"):
        generator = np.random.Generator(getattr(np.random, name)(SEED))
        ways.append(Way(f"NumPy {name}", n, lambda g=generator: g.random(out=out)))
    if machine.cores() >= 2:
        ways.append(Way("2 threads", n, lambda: context.fetch_into(START, out, threads=2)))
        ways.append(Way("formula, 2 threads", n, lambda: bench.scalar_fill_twofold(out)))
    else:
        bench.skipped["bulk_two_threads"] = "this process may use one core only"

    rates = measure(ways, bench.rounds)
    one, scalar = "1 thread", "scalar formula"
    title = "contiguous read"
    bench.rows += [
        compare("bulk_scalar", title, rates, one, scalar, mark=15),
        compare("bulk_pcg64", title, rates, one, "NumPy PCG64", mark=1),
        compare("bulk_sfc64", title, rates, one, "NumPy SFC64", mark=1, aim=True),
        compare("bulk_philox", title, rates, one, "NumPy Philox"),
        compare("bulk_portable", title, rates, "portable path", scalar, mark=3),
        compare("philox_philox", title, rates, "philox, 1 thread", "NumPy Philox"),
    ]
    if "2 threads" in rates:
        row = compare("bulk_two_threads", title, rates, "2 threads", one, mark=1.8)
        # What the second core gives arithmetic that touches no memory to speak of:
        # a virtual machine may not have all of it at any moment.
        control = compare("control", "(control)", rates, "formula, 2 threads", scalar)
        bench.rows[4:4] = [row, control]


def scattered(bench: Bench) -> None:
    """Random addresses in one call."""
    context, n = bench.context, bench.size(1 << 20)
    addresses = bench.rng.integers(0, 2**64, n, dtype=np.uint64)
    out, scalar_out = np.empty(n), np.empty(n)
    context.fetch_many(addresses, out)
    some = addresses[:500].tolist()
    same(out[:500], np.array([vrns16(SEED, address) for address in some]), "fetch_many")
    ways = [
        Way("fetch_many", n, lambda: context.fetch_many(addresses, out, threads=1)),
        Way("scalar formula", n, lambda: bench.scalar_fill(scalar_out)),
    ]
    rates = measure(ways, bench.rounds)
    title = "random addresses, 1 thread"
    bench.rows.append(compare("fetch_many", title, rates, "fetch_many", "scalar formula", mark=1.8))


def singly(bench: Bench) -> None:
    """One cell a step of a Python loop."""
    context, fetch = bench.context, bench.library.gmem_fetch
    pointer = bench.library.gmem_context_new(SEED)
    many, few = range(bench.size(200_000)), range(bench.size(8_000))

    def indexed() -> None:
        for address in many:
            context[address]

    def typed_ctypes() -> None:
        for address in many:
            fetch(pointer, address)

    def pure_python() -> None:
        for address in few:
            vrns16(SEED, address)

    found = np.array([(context[a], fetch(pointer, a), vrns16(SEED, a)) for a in range(100)])
    same(found[:, 0], found[:, 1], "gmem_fetch through ctypes")
    same(found[:, 0], found[:, 2], "the formula in Python")
    ways = [
        Way("ctx[i]", len(many), indexed),
        Way("typed ctypes gmem_fetch", len(many), typed_ctypes),
        Way("formula in Python", len(few), pure_python),
    ]
    rates = measure(ways, bench.rounds)
    bench.library.gmem_context_free(pointer)
    title = "a Python loop"
    bench.rows += [
        compare("single_ctypes", title, rates, "ctx[i]", "typed ctypes gmem_fetch", mark=4),
        compare("single_python", title, rates, "ctx[i]", "formula in Python", mark=23),
    ]


def overlaid(bench: Bench) -> None:
    """A bulk read that meets written cells."""
    n = bench.size(1 << 22)
    out, clean, written = np.empty(n), bench.context, gmemx.GMemContext(SEED)
    offsets = np.sort(bench.rng.choice(n, n // 100, replace=False)).astype(np.uint64)
    values = bench.rng.random(len(offsets)) + 1
    written.write_many(offsets + np.uint64(START), values)
    expected = np.empty(n)
    clean.fetch_into(START, expected)
    expected[offsets] = values
    written.fetch_into(START, out)
    same(out, expected, "a bulk read with an overlay")
    ways = [
        Way("1 % written", n, lambda: written.fetch_into(START, out, threads=1)),
        Way("nothing written", n, lambda: clean.fetch_into(START, out, threads=1)),
    ]
    rates = measure(ways, bench.rounds)
    title = "contiguous read, 1 thread"
    bench.rows.append(compare("overlaid", title, rates, "1 % written", "nothing written", mark=0.5))


def writing(bench: Bench) -> None:
    """Sorted addresses into a fresh context, against the same into a fresh dict."""
    n = bench.size(1 << 20)
    spread = bench.rng.choice(10 * n, n, replace=False)
    layouts = {
        "contiguous": np.arange(n),
        "one in ten": np.sort(spread),
        "scattered": np.sort(bench.rng.integers(0, 2**64, n, dtype=np.uint64)),
    }
    values = bench.rng.random(n)
    held: dict[str, gmemx.GMemContext] = {}

    for name, layout in layouts.items():
        addresses = layout.astype(np.uint64)
        if name != "scattered":
            addresses += np.uint64(START)
        keys, items = addresses.tolist(), values.tolist()

        def fresh() -> None:
            held["context"] = gmemx.GMemContext(SEED)

        def write(addresses: np.ndarray = addresses) -> None:
            held["context"].write_many(addresses, values, threads=1)

        def fill_dict(keys: list[int] = keys, items: list[float] = items) -> None:
            filled = {}
            for key, item in zip(keys, items, strict=True):
                filled[key] = item
            # Kept until it is replaced: freeing it is not part of filling it.
            held["dict"] = filled

        fresh()
        write()
        same(held["context"].fetch_many(addresses), values, f"write_many, {name}")
        ways = [
            Way("write_many", n, write, before=fresh, repeat=False),
            Way(
                "dict in a loop", n, fill_dict, repeat=False, before=lambda: held.pop("dict", None)
            ),
        ]
        rates = measure(ways, bench.rounds)
        marked = name != "scattered"
        bench.rows.append(
            compare(
                f"write_{name.replace(' ', '_')}",
                f"sorted writes, {name}, 1 thread",
                rates,
                "write_many",
                "dict in a loop",
                mark=3 if marked else None,
                rate_mark=20e6 if marked else None,
            )
        )


def creation(bench: Bench) -> None:
    """What a context costs through the C ABI, measured by a C program."""
    source = Path(__file__).with_name("context_cost.c")
    libraries = str(gmemx.get_library_dir())
    try:
        with tempfile.TemporaryDirectory() as folder:
            program = str(Path(folder, "context_cost"))
            command = ["cc", "-O2", "-std=gnu11", "-I", str(gmemx.get_include()), str(source)]
            command += ["-o", program, "-L", libraries, f"-Wl,-rpath,{libraries}", "-lgmemx"]
            subprocess.run(command, check=True, capture_output=True, text=True)
            batches = "3" if bench.quick else "100"
            done = subprocess.run([program, batches], check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip()
        bench.skipped["context_time"] = bench.skipped["context_bytes"] = reason
        return
    cost = json.loads(done.stdout)
    title = "a context through the C ABI"
    bench.rows.append(limit("context_time", title, "new", cost["new_ns"], "ns", 1000))
    if cost["bytes"]:
        bench.rows.append(limit("context_bytes", title, "heap", cost["bytes"], "bytes", 1024))
    else:
        bench.skipped["context_bytes"] = "this C library does not tell"


GROUPS = (bulk, scattered, singly, overlaid, writing, creation)


if __name__ == "__main__":
    sys.exit(run(__doc__, GROUPS))
