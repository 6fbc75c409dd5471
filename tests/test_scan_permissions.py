"""What may not be looked into is a PermissionError that says why, and what would help."""

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pools
import pytest
from concurrency import eventually
from scans import NOBODY, PAGE, Target, linux_only, root_only, within

from gmemx import errors, scan

pytestmark = linux_only

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
PF_KTHREAD = 0x0020_0000

# Opens a process as another user; with a fourth word it keeps that one capability.
OTHER_USER = """
import ctypes, os, sys
from gmemx import scan
pid, uid, how = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
if how == "capability":
    assert libc.prctl(8, 1, 0, 0, 0) == 0
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
if how == "capability":
    ptrace = 1 << 19
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(ptrace, ptrace, 0, 0, 0, 0)
    assert libc.capset(head, data) == 0, ctypes.get_errno()
try:
    with scan.open_process(pid) as process:
        start, size, value = map(int, sys.argv[4:7])
        scanner = process.scanner("int64", [(start, start + size)])
        print("found", scanner.initial_scan(value), scanner.filter_unchanged())
        print("find", process.find(value.to_bytes(8, "little"), [(start, start + size)]).size)
except PermissionError as error:
    print("refused", error.errno, error)
"""
VALUE = 0x0DDB_A115_CAFE


def asked(target, uid, how="plain"):
    """What another user is told of a target that holds VALUE once."""
    start = target.array(np.array([5, VALUE], np.int64))
    return pools.run(OTHER_USER, target.pid, uid, how, start, PAGE, VALUE)


def as_user(uid):
    """Options for a target that runs as another user."""
    return {"user": uid, "group": uid, "extra_groups": []}


def refused(printed, *mentions):
    refusals = (f"refused {errno.EACCES} ", f"refused {errno.EPERM} ")
    assert printed.startswith(refusals), printed
    for mention in mentions:
        assert mention in printed, printed


@root_only
def test_another_user():
    """The message has both users, and what would help."""
    with Target() as target:
        refused(asked(target, NOBODY), str(target.pid), "uid 0", f"uid {NOBODY}", "CAP_SYS_PTRACE")
    with Target(**as_user(NOBODY)) as target:
        refused(asked(target, NOBODY - 1), f"uid {NOBODY}", f"uid {NOBODY - 1}", "root")


@root_only
@pytest.mark.skipif(YAMA.exists(), reason="Yama decides here; see the test of its levels")
def test_the_same_user():
    """May look, as long as the process is dumpable."""
    with Target(**as_user(NOBODY)) as target:
        assert asked(target, NOBODY).split() == ["found", "1", "1", "find", "1"]


@root_only
def test_a_process_that_is_not_dumpable():
    """The same user is refused, and told of prctl."""
    with Target(**as_user(NOBODY)) as target:
        target.ask("dumpable", 0)
        refused(asked(target, NOBODY), "dumpable", "PR_SET_DUMPABLE", "CAP_SYS_PTRACE")
        # Root may look nevertheless.
        with scan.open_process(target.pid) as process:
            assert process.read(target.ask("places")[1], 1)


@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may look; see the test beside it"
)
def test_a_child_that_is_not_dumpable():
    """Refused at opening, and when it becomes so afterwards."""
    with Target() as target:
        process = scan.open_process(target.pid)
        address = target.ask("places")[1]
        assert process.read(address, 1)
        target.ask("dumpable", 0)
        for work in (
            lambda: scan.open_process(target.pid),
            lambda: process.read(address, 1),
            process.regions,
            lambda: process.write(address, b"x"),
            lambda: process.find(b"abc"),
        ):
            with pytest.raises(PermissionError, match="dumpable") as caught:
                work()
            assert isinstance(caught.value, errors.GmemxError)
        target.ask("dumpable", 1)
        assert process.read(address, 1)


@root_only
def test_the_capability_alone():
    """CAP_SYS_PTRACE opens what root owns, though not all files of /proc come with it."""
    with Target() as target:
        assert asked(target, NOBODY, "capability").split() == ["found", "1", "1", "find", "1"]


@root_only
@pytest.mark.skipif(not YAMA.exists(), reason="the kernel has no Yama")
def test_the_levels_of_yama():
    """A process that is no ancestor is told the level, by its number."""
    level = int(YAMA.read_text())
    with Target(**as_user(NOBODY)) as target:
        if level == 0:
            assert asked(target, NOBODY).startswith("found 1")
        else:
            refused(asked(target, NOBODY), "Yama", str(level), "ptrace_scope")
        if level == 1:
            target.ask("trust")
            assert asked(target, NOBODY).startswith("found 1")


@root_only
def test_refused_after_it_was_opened():
    """The target changes its mind in mid-session: the error is the same."""
    program = """
import os, sys
from gmemx import scan
uid = int(sys.argv[2])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
process = scan.open_process(int(sys.argv[1]))
scanner = process.scanner("int32")
scanner.initial_scan(1)
count = scanner.match_count()
print("open", flush=True)
input()
for work in (scanner.rescan, process.regions, lambda: process.find(b"abc"),
             lambda: process.read(scanner.addresses()[0], 4), process.stop):
    try:
        work()
        print("allowed")
    except PermissionError as error:
        print("refused", "dumpable" in str(error))
print(scanner.match_count() == count)
"""
    if YAMA.exists() and int(YAMA.read_text()) > 0:
        pytest.skip("Yama would refuse it at opening")
    with Target(**as_user(NOBODY)) as target:
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        other = subprocess.Popen(
            [sys.executable, "-c", program, str(target.pid), str(NOBODY)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
        )  # fmt: skip
        try:
            assert other.stdout.readline() == "open\n"
            target.ask("dumpable", 0)
            printed = other.communicate("\n", timeout=60)[0].splitlines()
        finally:
            other.kill()
            other.wait()
    # Signals go by the user alone.
    assert printed == ["refused True"] * 4 + ["allowed", "True"]


def test_a_process_that_is_traced(tmp_path):
    """A debugger is no obstacle, nor are we to it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Target() as target:
        start = target.array(np.array([VALUE], np.int64))
        # PTRACE_SEIZE, which does not stop it.
        if libc.ptrace(0x4206, target.pid, None, None) != 0:
            pytest.skip(f"no tracing here: {os.strerror(ctypes.get_errno())}")
        with scan.open_process(target.pid) as process:
            scanner = process.scanner("int64", within(process, start, PAGE))
            assert scanner.initial_scan(VALUE) == 1
            scanner.add_value(1)
            assert process.read_value(start, "i64") == VALUE + 1
        assert target.state() not in ("t", "T")


def kernel_thread():
    """The pid of one, where any can be seen."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[6]) & PF_KTHREAD:
                return int(entry.name)
    return None


def test_a_thread_of_the_kernel():
    """It has no memory: nothing of it is listed or read."""
    pid = kernel_thread()
    if pid is None:
        pytest.skip("no thread of the kernel can be seen from this container")
    try:
        process = scan.open_process(pid)
    except OSError as error:
        # Whoever is not root may not even ask.
        refusal = str(error)
    else:
        refusal = f"process {pid}: kernel"
        with process:
            assert process.regions() == []
            with pytest.raises(ValueError, match=r"nothing to scan|no readable region"):
                process.scanner("int8").initial_scan(0)
    assert str(pid) in refusal
    assert "kernel" in refusal


def test_pids_that_are_none():
    """Ended, out of range, and of the wrong kind."""
    with Target() as target:
        pid = target.pid
    with pytest.raises(errors.ProcessGoneError, match=str(pid)) as caught:
        scan.open_process(pid)
    assert isinstance(caught.value, ProcessLookupError)
    assert caught.value.errno == errno.ESRCH
    for wrong in (0, -1, 2**31, 2**40, -(2**70)):
        with pytest.raises(ValueError, match=str(wrong)[:10]):
            scan.open_process(wrong)
    for wrong in ("1", 5.0, None, True, b"1"):
        with pytest.raises(TypeError):
            scan.open_process(wrong)


def test_threads_are_not_processes():
    """The number of a thread that is not the first is no pid."""
    with Target() as target:
        target.ask("count", target.array(np.zeros(1, np.int64)), 8, 1000)
        tasks = eventually(
            lambda: [int(t) for t in os.listdir(f"/proc/{target.pid}/task") if int(t) != target.pid]
        )
        with pytest.raises((ProcessLookupError, ValueError), match=str(tasks[0])):
            scan.open_process(tasks[0])


def test_system_info():
    """As the system itself says."""
    info = scan.query_system_info()
    assert info["page_size"] == PAGE
    assert info["cores"] == len(os.sched_getaffinity(0))
    assert info["kernel"] == os.uname().release
    assert info["uid"] == os.geteuid()
    assert info["pid"] == os.getpid()
    assert info["yama"] == (int(YAMA.read_text()) if YAMA.exists() else None)
    assert 0 < info["memory_available"] <= info["memory_total"]
    assert isinstance(info["capabilities"], list)
    assert ("sys_ptrace" in info["capabilities"]) or os.geteuid() != 0
