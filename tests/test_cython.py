"""Another project's Cython extension, built against the installed package, loops without Python."""

import importlib.util
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import oracles
import pytest
from oracles import assert_same_bits

import gmemx
from gmemx import GMemContext

HERE = Path(__file__).parent / "cython"
CELLS = 2**64


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder outside the checkout, with both extensions built in it."""
    folder = tmp_path_factory.mktemp("downstream")
    for name in ("downstream.pyx", "downstream_direct.pyx", "build_downstream.py"):
        shutil.copy(HERE / name, folder)
    built = subprocess.run(
        [sys.executable, "build_downstream.py"], cwd=folder, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def load(folder, name):
    (path,) = [path for path in folder.glob(f"{name}.*") if path.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def downstream(build):
    """The extension that only cimports."""
    return load(build, "downstream")


@pytest.fixture(scope="module")
def direct(build):
    """The extension that calls C."""
    return load(build, "downstream_direct")


@pytest.mark.parametrize("start", [0, 2**40 - 500, 2**63, CELLS - 1000])
def test_a_loop_without_python(downstream, context, start):
    """c_fetch gives the cells, generated and written."""
    context[start + 10 : start + 20] = 100.0
    expected = 0.0
    for value in context[start : start + 1000].tolist():
        expected += value
    assert downstream.total(context, start, 1000) == expected


def test_a_loop_that_writes(downstream, context):
    """c_write is seen from Python."""
    before = context[2**63 - 50 : 2**63 + 50]
    downstream.double_cells(context, 2**63 - 50, 100)
    assert_same_bits(context[2**63 - 50 : 2**63 + 50], 2.0 * before)
    assert context.overlay_count == 100


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_bulk_methods(downstream, context, threads):
    """c_read wraps, c_read_many and c_write_many go anywhere."""
    out = np.empty(300_000)
    downstream.read(context, CELLS - 1000, out, threads)
    assert_same_bits(out[:1000], context[CELLS - 1000 : CELLS])
    assert_same_bits(out[1000:], context[0:299_000])
    where = np.random.default_rng(threads).integers(0, CELLS, 2000, dtype=np.uint64)
    values = np.empty(2000)
    downstream.read_many(context, where, values)
    assert_same_bits(values, oracles.many(context.generator, context.seed, where))
    downstream.write_many(context, where, -values)
    assert_same_bits(context.fetch_many(where), -values)


def test_failures_become_exceptions(downstream):
    """Raised from inside the nogil block, of the package's own classes."""
    context = GMemContext(1)
    with pytest.raises(gmemx.errors.InvalidArgumentError, match="out"):
        downstream.read_to_null(context)
    with pytest.raises(ValueError, match="values"):
        downstream.write_many_from_null(context)
    assert context.overlay_count == 0
    assert downstream.checked(0) is None
    with pytest.raises(gmemx.errors.DeadlineError):
        downstream.checked(10)


def test_other_objects_are_refused(downstream):
    """The type is checked at the door."""
    with pytest.raises(TypeError):
        downstream.total(None, 0, 1)
    with pytest.raises(TypeError):
        downstream.total("context", 0, 1)


def test_loops_on_several_threads(downstream):
    """Without the GIL, writers of neighbouring runs do not disturb one another."""
    context = GMemContext(9)
    before = context[0:40_000]
    threads = [
        threading.Thread(target=downstream.double_cells, args=(context, i * 10_000, 10_000))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same_bits(context[0:40_000], 2.0 * before)
    assert context.overlay_count == 40_000


def test_the_handle(downstream, direct, context):
    """ptr is a live handle for the C functions."""
    assert downstream.has_handle(context)
    context[7] = 7.5
    assert direct.fetch(context, 7) == 7.5
    assert direct.fetch(context, CELLS - 1) == context[CELLS - 1]
    assert downstream.has_handle(context.fork())


def test_direct_calls(direct):
    """The functions of gmemx.h, and their failures as exceptions."""
    assert direct.first_of(42, b"vrns16") == 0.07779688409536653
    assert direct.first_of(42, b"philox") == oracles.philox_run(42, 0, 1)[0]
    with pytest.raises(ValueError, match=r"dice.*vrns16"):
        direct.first_of(42, b"dice")
    with pytest.raises(gmemx.errors.PanicError):
        direct.fail(14)


def test_there_is_one_library(direct):
    """State set through the package is seen by an extension that links to the library."""
    try:
        gmemx.set_cpu_path("portable")
        assert direct.cpu_path() == "portable"
    finally:
        gmemx.set_cpu_path("auto")
    assert direct.cpu_path() == gmemx.cpu_path()
