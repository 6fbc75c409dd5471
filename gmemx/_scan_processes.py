"""Which processes there are, and what this system lets a scanner do."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gmemx.errors import InvalidArgumentError

# The capabilities that open other processes' memory, and their bits.
CAPABILITIES = {"sys_ptrace": 19, "sys_admin": 21, "perfmon": 38, "checkpoint_restore": 40}


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """A process that `list_processes` found.

    Attributes
    ----------
    pid : int
    name : str
        As the kernel has it: at most 15 bytes.
    executable : str or None
        The path of its program; None where that may not be seen, or there is none.
    command : tuple of str
        Its command line; empty for a thread of the kernel's.
    uid : int
        Whose it is.

    Examples
    --------
    >>> import os
    >>> from gmemx import scan
    >>> (entry,) = [entry for entry in scan.list_processes() if entry.pid == os.getpid()]
    >>> entry.uid == os.getuid()
    True
    """

    pid: int
    name: str
    executable: str | None
    command: tuple[str, ...]
    uid: int

    def is_called(self, name: str) -> bool:
        """Whether that is its name, or that of its program or of the first of its command.

        Parameters
        ----------
        name : str

        Returns
        -------
        bool

        Examples
        --------
        >>> import os
        >>> from gmemx import scan
        >>> (entry,) = [entry for entry in scan.list_processes() if entry.pid == os.getpid()]
        >>> entry.is_called(entry.name)
        True
        """
        programs = (self.executable or "", self.command[0] if self.command else "")
        return name == self.name or name in [os.path.basename(path) for path in programs]


def list_processes() -> list[ProcessEntry]:
    """The processes there are now, by pid.

    >>> import os
    >>> from gmemx import scan
    >>> os.getpid() in [process.pid for process in scan.list_processes()]
    True
    """
    return list(entries())


def entries() -> Iterator[ProcessEntry]:
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        # Processes come and go while they are listed, and some may be hidden.
        try:
            yield entry(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def entry(pid: int) -> ProcessEntry:
    folder = Path("/proc", str(pid))
    name = os.fsdecode((folder / "comm").read_bytes().removesuffix(b"\n"))
    command = (folder / "cmdline").read_bytes()
    try:
        executable = os.readlink(folder / "exe").removesuffix(" (deleted)")
    except OSError:
        executable = None
    return ProcessEntry(
        pid=pid,
        name=name,
        executable=executable,
        command=tuple(os.fsdecode(part) for part in command.removesuffix(b"\0").split(b"\0"))
        if command
        else (),
        uid=folder.stat().st_uid,
    )


def find_processes_by_name(name: str) -> list[int]:
    """The processes of a name.

    Parameters
    ----------
    name : str
        The name the kernel knows, or that of the program without its folder; exactly.

    Returns
    -------
    list of int
        Their pids, the lowest first.

    Examples
    --------
    >>> from gmemx import scan
    >>> scan.find_processes_by_name("no such program")
    []
    """
    if not isinstance(name, str):
        raise TypeError(f"a process's name is a string, not {type(name).__name__}")
    if not name:
        raise InvalidArgumentError("a process's name must not be empty")
    return [process.pid for process in entries() if process.is_called(name)]


def find_process_by_name(name: str) -> int | None:
    """The lowest pid of the processes of a name, None where there are none.

    See `find_processes_by_name`, which gives them all.

    >>> from gmemx import scan
    >>> scan.find_process_by_name("no such program") is None
    True
    """
    found = find_processes_by_name(name)
    return found[0] if found else None


def query_system_info() -> dict[str, Any]:
    """What this system is, and what it lets a scanner do.

    Returns
    -------
    dict
        ``system``, ``kernel``, ``architecture`` : str;
        ``page_size``, ``memory_total``, ``memory_available`` : int, bytes;
        ``cores``, ``pid``, ``uid`` : int;
        ``yama`` : int or None, the level of that security module, None without it;
        ``capabilities`` : list of str, those this process has of the ones that open
        other processes' memory.

    Examples
    --------
    >>> import mmap
    >>> from gmemx import scan
    >>> scan.query_system_info()["page_size"] == mmap.PAGESIZE
    True
    """
    memory = dict(figures("/proc/meminfo"))
    status = dict(figures("/proc/self/status"))
    held = int(status.get("CapEff", "0"), 16)
    return {
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_total": kilobytes(memory.get("MemTotal", "")),
        "memory_available": kilobytes(memory.get("MemAvailable", "")),
        "pid": os.getpid(),
        "uid": os.geteuid(),
        "yama": yama_level(),
        "capabilities": [name for name, bit in CAPABILITIES.items() if held >> bit & 1],
    }


def figures(path: str) -> Iterator[tuple[str, str]]:
    """The lines ``name: value`` of a file of /proc."""
    for line in Path(path).read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        yield name, value.strip()


def kilobytes(text: str) -> int:
    return 1024 * int(text.split()[0]) if text else 0


def yama_level() -> int | None:
    try:
        return int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text())
    except (OSError, ValueError):
        return None
