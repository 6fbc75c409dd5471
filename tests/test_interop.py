"""gmemx shares memory with NumPy, PyTorch, JAX, pyarrow and tvm-ffi as docs/interop.md says."""

import os
import signal

import pytest
from interop import runner, table
from interop.ask import outcomes
from interop.cases import CASES
from interop.peers import MODULES, STANDARD, missing
from interop.routes import ROUTES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the cases run in forks")

PAGE = table.PAGE.read_text(encoding="utf-8")


@pytest.fixture
def installed(request):
    """Skips what is about a library that is not there."""
    reason = missing(request.param)
    if reason:
        pytest.skip(reason)
    return request.param


def libraries(pairs):
    return [pytest.param(library, what, id=f"{library}: {what}") for library, what in pairs]


@pytest.mark.parametrize(
    ("installed", "name"),
    libraries((library, name) for library, cases in CASES.items() for name in cases),
    indirect=["installed"],
)
def test_case(installed, name):
    """Each case passes in a process of its own, without a crash."""
    told = outcomes(installed)[name]
    if told["status"] == "skipped":
        pytest.skip(told["text"])
    assert told["status"] == "passed", f"{told['status']}: {told['text']}"


@pytest.mark.parametrize(
    ("installed", "number"),
    [pytest.param(route.library, number, id=route.name) for number, route in enumerate(ROUTES)],
    indirect=["installed"],
)
def test_tables(installed, number):
    """The page's two rows about a way to share memory are what the cases found."""
    if installed not in STANDARD and f"{installed} {table.version(installed)}" not in PAGE:
        pytest.skip(f"docs/interop.md is about another version of {installed}")
    route = ROUTES[number]
    lines = PAGE.splitlines()
    assert table.dtype_row(route) in lines
    assert table.situation_row(route) in lines


def test_tables_have_no_other_rows():
    """Every row of the page's tables is of a way that is tested."""
    heads = {table.head(route) for route in ROUTES}
    assert len(heads) == len(ROUTES)
    columns = 3 + min(len(table.GROUPS), len(table.OTHERS))
    rows = [line for line in PAGE.splitlines() if line.count(" |") >= columns and "`" in line]
    assert len(rows) == 2 * len(ROUTES)
    for row in rows:
        assert any(row.startswith(head) for head in heads), row


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGALRM])
def test_a_crash_is_told(tmp_path, number):
    """A case that ends by a signal, or takes too long, is no pass and no skip."""

    def crash():
        os.write(1, b"at the edge")
        os.kill(os.getpid(), number)

    pid = os.fork()
    if pid == 0:
        runner.child(crash, tmp_path)
    told = runner.outcome(tmp_path, os.waitpid(pid, 0)[1])
    assert told["status"] == "crashed"
    assert number.name in told["text"]
    assert "at the edge" in told["text"]


def test_a_failure_is_told(tmp_path):
    """A case that raises fails, with the traceback."""
    pid = os.fork()
    if pid == 0:
        runner.child(lambda: 1 // 0, tmp_path)
    told = runner.outcome(tmp_path, os.waitpid(pid, 0)[1])
    assert told["status"] == "failed"
    assert "ZeroDivisionError" in told["text"]


def test_every_library_has_cases():
    """No library is named without being tried."""
    assert set(CASES) == set(MODULES)
