"""`gmemx info` tells what is there: held against the system's own words."""

import ctypes
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import gmemx

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="what Linux says of itself")


def test_where_things_are():
    found = gmemx.info()["gmemx"]
    assert found["version"] == gmemx.__version__ == importlib.metadata.version("gmemx")
    assert ctypes.CDLL(found["library"]).gmem_abi_version() == found["abi"]
    assert (Path(found["headers"]) / "gmemx.h").is_file()
    assert {"generative", "tensor"} <= set(found["kinds"])
    assert ("pool" in found["kinds"]) == hasattr(gmemx, "BufferPool")


def test_python_and_machine():
    found = gmemx.info()
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"] == np.__version__
    assert found["system"]["machine"] == platform.machine()
    assert 1 <= found["system"]["cores"] <= os.cpu_count()


@pytest.mark.parametrize("path", ["portable", "auto"])
def test_looking_changes_no_cpu_path(path):
    try:
        gmemx.set_cpu_path(path)
        before = gmemx.cpu_path()
        found = gmemx.info()["cpu"]
        assert gmemx.cpu_path() == found["used"] == before
        assert "portable" in found["available"]
    finally:
        gmemx.set_cpu_path("auto")


@linux_only
def test_cpu_paths_where_the_processor_says_so():
    flags = re.findall(r"^(?:flags|Features)\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.M)
    there, paths = set(flags[0].split()), gmemx.info()["cpu"]["available"]
    assert ("avx2" in paths) == ("avx2" in there)
    assert ("avx512" in paths) == ({"avx2", "avx512f", "avx512bw"} <= there)


@linux_only
def test_kernel():
    found = gmemx.info()["kernel"]
    version = tuple(map(int, re.match(r"(\d+)\.(\d+)", platform.release()).groups()))
    # Each came with a release of Linux; a sandbox may take them away, but never add them.
    for name, since in {"memfd": (3, 17), "pidfd": (5, 3), "ofd_locks": (3, 15)}.items():
        assert not found[name] or version >= since
    assert not found["pagemap_scan"] or version >= (6, 7)
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    assert found["yama_ptrace_scope"] == (int(yama.read_text()) if yama.exists() else None)


@linux_only
def test_what_is_claimed_is_there():
    """What `info` calls available is used at once by what needs it."""
    found = gmemx.info()["kernel"]
    if found["memfd"] and found["ofd_locks"]:
        with gmemx.BufferPool.anonymous(capacity=1) as pool:
            assert pool.capacity == 1
    cell = ctypes.c_uint64(7)
    if found["process_vm_readv"]:
        with gmemx.scan.open_process(os.getpid()) as process:
            assert process.read_value(ctypes.addressof(cell), "uint64") == 7


def test_no_descriptor_is_left_open():
    if not Path("/proc/self/fd").exists():
        pytest.skip("no list of descriptors on this system")
    gmemx.info()
    before = set(os.listdir("/proc/self/fd"))
    gmemx.info()
    assert set(os.listdir("/proc/self/fd")) == before


def test_what_the_system_refuses_is_no():
    from gmemx import _info

    def refused():
        raise PermissionError(1, "not permitted")

    assert _info._works(refused) is False


def test_extras():
    found = gmemx.info()["extras"]
    assert found["cli"].keys() == {"pillow", "prompt_toolkit", "rich"}
    for packages in found.values():
        for name, version in packages.items():
            if version is not None:
                assert version == importlib.metadata.version(name)


def test_command(command):
    done = command("info", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    mine = gmemx.info()
    for facts in (told, mine):
        facts["kernel"].pop("shared_memory_free", None)
    assert told == mine
    lines = command("info").stdout.splitlines()
    assert lines[0].split() == ["gmemx", f"{gmemx.__version__},", "ABI", str(mine["gmemx"]["abi"])]
    assert any(line.startswith("CPU path") and mine["cpu"]["used"] in line for line in lines)
