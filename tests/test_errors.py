"""Every status becomes its exception: a gmemx class, a built-in class, and the number."""

import builtins
import ctypes
import subprocess
import sys
import threading

import pytest

import gmemx
import gmemx.errors
import gmemx.status
from gmemx.errors import GmemxError

STATUSES = [
    ("NULL_ARGUMENT", 1, "InvalidArgumentError", "ValueError"),
    ("INVALID_ARGUMENT", 2, "InvalidArgumentError", "ValueError"),
    ("OUT_OF_RANGE", 3, "OutOfRangeError", "IndexError"),
    ("OVERFLOW", 4, "ValueOverflowError", "OverflowError"),
    ("NO_MEMORY", 5, "OutOfMemoryError", "MemoryError"),
    ("NOT_FOUND", 6, "NotFoundError", "LookupError"),
    ("FILE_NOT_FOUND", 7, "MissingFileError", "FileNotFoundError"),
    ("PERMISSION", 8, "AccessDeniedError", "PermissionError"),
    ("IO", 9, "IoError", "OSError"),
    ("TIMEOUT", 10, "DeadlineError", "TimeoutError"),
    ("UNSUPPORTED", 11, "UnsupportedError", "NotImplementedError"),
    ("ABI_MISMATCH", 12, "AbiMismatchError", "RuntimeError"),
    ("DEVICE", 13, "DeviceError", "RuntimeError"),
    ("PANIC", 14, "PanicError", "RuntimeError"),
    ("CANCELLED", 15, "CancelledError", "RuntimeError"),
    ("PLUGIN", 16, "PluginException", "RuntimeError"),
]
NUMBERS = [number for _, number, _, _ in STATUSES]


@pytest.mark.parametrize(("name", "number", "ours", "builtin"), STATUSES)
def test_each_status_has_its_exception(name, number, ours, builtin):
    """Caught by gmemx's class, by the built-in one and by GmemxError, with .status and a text."""
    with pytest.raises(GmemxError) as caught:
        gmemx.status.debug_fail(number)
    error = caught.value
    assert isinstance(error, getattr(gmemx.errors, ours))
    assert isinstance(error, getattr(builtins, builtin))
    assert error.status == number
    assert str(error)


@pytest.mark.parametrize(("name", "number", "ours", "builtin"), STATUSES)
def test_the_classes_stand_alone(name, number, ours, builtin):
    """Each can be raised and caught by hand, and inherits both ways."""
    kind = getattr(gmemx.errors, ours)
    assert issubclass(kind, GmemxError)
    assert issubclass(kind, getattr(builtins, builtin))
    with pytest.raises(getattr(builtins, builtin), match="by hand"):
        raise kind("by hand")


def test_success_is_no_exception():
    """Status 0."""
    assert gmemx.status.debug_fail(0) is None


@pytest.mark.parametrize("number", [-1, 17, 99, 2**31 - 1, -(2**31)])
def test_unknown_numbers_are_refused(number):
    """They are never taken for success."""
    with pytest.raises(ValueError, match=str(number)):
        gmemx.status.debug_fail(number)


def test_errors_raised_above_the_library_carry_the_same_status():
    """Wherever an argument is looked at, the exception is of the same kind."""
    context = gmemx.GMemContext(1)
    for work, number in [
        (lambda: context[-1], 3),
        (lambda: context[0 : 2**64 + 1], 3),
        (lambda: context.fetch_into(0, bytes(8)), 2),
        (lambda: gmemx.GMemContext(-1), 4),
        (lambda: gmemx.GMemContext(1, "none"), 2),
        (lambda: context[:], 5),
    ]:
        with pytest.raises(GmemxError) as caught:
            work()
        assert caught.value.status == number


def test_a_panic_is_caught():
    """A panic inside the library is an exception, again and again, and contexts live on."""
    context = gmemx.GMemContext(42)
    context[7] = 1.5
    for _ in range(3):
        with pytest.raises(gmemx.errors.PanicError, match="panic"):
            gmemx.status.debug_fail(14)
    assert context[7] == 1.5
    assert context[0] == 0.07779688409536653


def test_a_panic_does_not_end_the_process():
    """Nor does one on another thread; whatever is printed goes to standard error."""
    program = (
        "import threading, gmemx.status\n"
        "def work():\n"
        "    try:\n"
        "        gmemx.status.debug_fail(14)\n"
        "    except RuntimeError:\n"
        "        print('caught')\n"
        "work()\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "thread.join()\n"
        "print('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "caught\ncaught\nalive\n"


@pytest.mark.parametrize("number", NUMBERS)
def test_the_status_comes_through_ctypes(library, number):
    """In C the same numbers, with a text."""
    assert library.gmem_debug_fail(number) == number
    assert library.gmem_last_error()
    assert library.gmem_last_errno() == 0


def test_the_last_error_is_the_threads_own(library):
    """A failure on one thread leaves another's text alone."""
    assert library.gmem_cpu_select(b"first") == 2
    text = library.gmem_last_error()
    assert b"first" in text
    seen = []

    def other():
        seen.append(library.gmem_last_error())
        library.gmem_cpu_select(b"second")
        seen.append(library.gmem_last_error())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen[0] == b""
    assert b"second" in seen[1]
    assert library.gmem_last_error() == text


def test_the_text_stays_until_the_next_failure(library):
    """Success between does not wipe it."""
    library.gmem_cpu_select(b"kept")
    context = library.gmem_context_new(1)
    assert library.gmem_context_write(context, 0, 1.0) == 0
    library.gmem_context_free(context)
    assert b"kept" in library.gmem_last_error()


def test_null_is_an_exception_or_nothing(library):
    """Every function refuses NULL, and says which argument it was."""
    out = (ctypes.c_double * 4)()
    assert library.gmem_context_read(None, 0, out, 4, 1) == 1
    assert b"context" in library.gmem_last_error()
    context = library.gmem_context_new(1)
    assert library.gmem_context_read(context, 0, None, 4, 1) == 1
    assert b"out" in library.gmem_last_error()
    library.gmem_context_free(context)


TRAVELLING = """
import pickle
from gmemx import errors
from tblib import pickling_support

def all_of(kind):
    return {kind}.union(*map(all_of, kind.__subclasses__()))

pickling_support.install()
for kind in all_of(errors.GmemxError):
    made = kind("text", *([[]] * (kind is errors.MergeConflictError)))
    made.status = 99
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is kind, kind
    assert (again.args, again.status) == (made.args, 99), kind
"""


def test_exceptions_travel_as_dask_sends_them():
    """It brings tblib, which tells pickle another way for every exception there is."""
    subprocess.run([sys.executable, "-c", TRAVELLING], check=True)
