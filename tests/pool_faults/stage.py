"""What the scripts share: shared memory of their own, children that are watched, C compiled."""

import ctypes
import faulthandler
import mmap
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

# A fork copies a process with one thread; BLAS would start more.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

FOLDER = Path(__file__).parent
SHM = Path("/dev/shm")
# Seconds without any progress that count as blocked for ever: no machine is that slow.
PATIENCE = 120

CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000
PR_SET_PDEATHSIG = 1


class BrokenPromiseError(AssertionError):
    """A promise that was not kept."""


def require(promise, message):
    """Raise where a promise is broken; ``assert`` would be gone with -O."""
    if not promise:
        raise BrokenPromiseError(message() if callable(message) else message)


def private_shm(size):
    """Give this process and its children a /dev/shm of their own; why not, or None.

    To be called while there is one thread. The system lets root do so, and mostly others
    too, as root of a namespace of users.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def failed(what):
        return f"{what}: {os.strerror(ctypes.get_errno())}"

    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNS) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
            return failed("no mount namespace of our own")
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        except OSError as error:
            return f"no user namespace of our own: {error}"
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return failed("mounts cannot be made private")
    if libc.mount(b"tmpfs", str(SHM).encode(), b"tmpfs", 0, f"size={size}".encode()) != 0:
        return failed("no tmpfs can be mounted")
    return None


class Shm:
    """/dev/shm: this run's own where that can be had, else what this run put there."""

    def __init__(self, size="256m"):
        self.why_shared = private_shm(size)
        self.prefix = f"faults{os.getpid()}-"
        self.ids = set()

    def name(self, what):
        return f"{self.prefix}{what}"

    def knows(self, pool):
        """Remember a pool, so that its memory is looked for at the end."""
        self.ids.add(pool.id.hex)
        return pool

    def remark(self):
        """What to say after "clean" where not all of /dev/shm was looked at."""
        return f" of ours (it is shared: {self.why_shared})" if self.why_shared else ""

    def left(self):
        """What is there and should not be."""
        # multiprocessing removes its semaphores when it gets round to it.
        names = {entry.name for entry in SHM.iterdir() if not entry.name.startswith("sem.mp-")}
        if self.why_shared is None:
            return sorted(names)
        ours = {f"gmemx-data.{identity}" for identity in self.ids}
        return sorted(n for n in names if n in ours or n.startswith(f"gmemx.{self.prefix}"))

    def require_clean(self):
        left = self.left()
        require(not left, f"{len(left)} files are left in {SHM}: {left[:5]}")


def shared(count, dtype="u8"):
    """An array of zeros that children forked from now on share."""
    import numpy as np

    return np.frombuffer(mmap.mmap(-1, count * np.dtype(dtype).itemsize), dtype)


def fork(work, *arguments):
    """Run a function in a forked child; its process id. The child ends with it."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    status = 1
    try:
        # Nobody outlives the one who would end it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # Told to stop by the watch, it says where it is.
        faulthandler.register(signal.SIGUSR1)
        work(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def ended(pid, options=0):
    """Wait for a child; None while it runs (with WNOHANG), else its exit code or -signal."""
    found, status = os.waitpid(pid, options)
    return os.waitstatus_to_exitcode(status) if found else None


class Watch:
    """Children by name, whose counters must move while they run."""

    def __init__(self):
        self.children = {}
        self.seen = {}

    def add(self, name, pid, progress=None):
        """Watch a child; ``progress`` says how far it is, None that it need not move."""
        self.children[name] = (pid, progress)

    def stop_all(self):
        for pid, _ in self.children.values():
            os.kill(pid, signal.SIGUSR1)
        time.sleep(0.5)
        for pid, _ in self.children.values():
            os.kill(pid, signal.SIGKILL)
            ended(pid)
        self.children.clear()

    def look(self):
        """Notice who has ended; raise where somebody failed or stands still."""
        for name, (pid, progress) in list(self.children.items()):
            code = ended(pid, os.WNOHANG)
            if code is not None:
                del self.children[name]
                if code != 0:
                    self.stop_all()
                    raise BrokenPromiseError(f"{name} ended with {code}")
                continue
            if progress is None:
                continue
            now, at = time.monotonic(), progress()
            before, since = self.seen.get(name, (None, now))
            if at != before:
                self.seen[name] = (at, now)
            elif now - since > PATIENCE:
                self.stop_all()
                raise BrokenPromiseError(f"{name} has been blocked for {PATIENCE} seconds")

    def wait(self, names=None):
        """Look until the children of those names, or all, have ended."""
        while any(name in self.children for name in names or list(self.children)):
            self.look()
            time.sleep(0.02)


def compiled(source, into, *, shared_library=False):
    """Compile a C file of this folder against the installed header and library."""
    import gmemx

    folder = gmemx.get_library_dir()
    target = Path(into) / (Path(source).stem + (".so" if shared_library else ""))
    command = [
        *os.environ.get("CC", "cc").split(),
        *["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"],
        *(["-shared", "-fPIC"] if shared_library else []),
        f"-I{gmemx.get_include()}",
        str(FOLDER / source),
        *[f"-L{folder}", "-lgmemx", f"-Wl,-rpath,{folder}", "-lpthread"],
        *["-o", str(target)],
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    require(done.returncode == 0, lambda: f"{source} does not compile:\n{done.stderr}")
    return target
