"""Another process with the pid of one that was opened: it is never taken for it.

It needs a pid namespace of its own, in which it can say which pid comes next; root can have
one, and on most systems anybody as root of a namespace of users. Elsewhere it says why it
cannot run and ends with status 77.
"""

import ctypes
import os
import sys
from pathlib import Path

# What starts threads is imported later: a namespace of users is for processes with one.
from pool_faults.stage import ended, fork, require

CANNOT_RUN = 77
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x0002_0000, 0x1000_0000, 0x2000_0000
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000
NEXT = Path("/proc/sys/kernel/ns_last_pid")
VALUE = 0x0BAD_5EED


def cannot(what):
    print(f"cannot run without a pid namespace of its own: {what}")
    sys.stdout.flush()
    sys.exit(CANNOT_RUN)


def enter_namespace():
    """Have processes that are started from now on in a pid namespace of their own."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNS) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) != 0:
            cannot(os.strerror(ctypes.get_errno()))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    return libc


def target_with(pid):
    """A target that gets this pid, which nobody has."""
    import scans

    try:
        NEXT.write_text(str(pid - 1))
    except OSError as error:
        cannot(f"the next pid cannot be chosen: {error}")
    target = scans.Target()
    require(target.pid == pid, f"the pid is {target.pid} and not {pid}")
    return target


def attempts(process, scanner, start):
    """All that could touch the memory of the wrong process."""
    return [
        scanner.rescan,
        lambda: scanner.filter_eq(VALUE + 1),
        lambda: scanner.initial_scan(VALUE + 1),
        lambda: process.read(start, 4),
        lambda: process.write(start, bytes(4)),
        lambda: process.write(start, bytes(4), force=True),
        lambda: process.find(b"abc"),
        lambda: process.regions(),
        lambda: process.pointers(),
        lambda: scanner.set_value(5),
        lambda: process.read_many([start], "i32"),
        lambda: process.write_many([start], [5], "i32"),
        process.stop,
    ]


def work(libc):
    """The first process of the namespace."""
    require(os.getpid() == 1, f"this is process {os.getpid()} of the namespace")
    if (
        libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0
        or libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0
    ):
        print(f"cannot run without a /proc of its own: {os.strerror(ctypes.get_errno())}")
        sys.stdout.flush()
        os._exit(CANNOT_RUN)
    import numpy as np
    import scans
    from concurrency import eventually

    from gmemx import errors, scan

    scans.target_program()
    refused = 0
    for pid in (700, 701):
        old = target_with(pid)
        process = scan.open_process(pid)
        start = old.array(np.array([VALUE], np.int32))
        scanner = process.scanner("int32", [(start, start + 4)])
        require(scanner.initial_scan(VALUE) == 1, "the value was not found")
        frozen = process.freeze(start, VALUE, "int32", interval=0.001)
        eventually(lambda frozen=frozen: frozen.writes > 0)
        old.kill()
        # The same pid, and the same value at the same address.
        new = target_with(pid)
        new.map(scans.PAGE, at=start)
        new.put(start, np.array([VALUE + 1], np.int32))
        require(not process.alive, "the new process was taken for the old one")
        for attempt in attempts(process, scanner, start):
            try:
                attempt()
            except errors.ProcessGoneError:
                refused += 1
                continue
            require(False, "the memory of another process was taken for the old one's")
        eventually(lambda frozen=frozen: not frozen.active)
        require(new.state() not in "Tt", "another process was stopped")
        require(new.values(start, 1, "i4")[0] == VALUE + 1, "another process was written to")
        process.close()
        require(scan.open_process(pid).read_value(start, "i32") == VALUE + 1, "it is another now")
        new.kill()
    print(f"2 pids given to others, {refused} calls refused, 0 of another's memory", flush=True)


def main():
    libc = enter_namespace()
    code = ended(fork(work, libc))
    if code == CANNOT_RUN:
        sys.exit(CANNOT_RUN)
    require(code == 0, f"it ended with {code}")


if __name__ == "__main__":
    main()
