"""``gmemx pool``: what a person and a program see of the pools of this machine."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

import gmemx.pool
from gmemx import BufferPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pools are for Linux")

# Makes a pool with one buffer in use, says so, and waits to be killed.
KEEPER = """
import sys, time
from gmemx import BufferPool
pool = BufferPool(sys.argv[1], capacity=16)
guard = pool.acquire_cpu(100_000)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def name(request):
    """A name that no other test and no other run has."""
    return f"gmemx-test-{os.getpid()}-{request.node.name[:60].rstrip('[]')}"


@pytest.fixture
def dead(name, tmp_path):
    """The name of a pool whose only process was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, name], stdout=subprocess.PIPE, cwd=tmp_path
    ) as keeper:
        assert keeper.stdout.readline() == b"ready\n"
        keeper.kill()
    assert keeper.returncode == -signal.SIGKILL
    yield name
    gmemx.pool.gc()


def listed(command):
    done = command("pool", "ls", "--json")
    assert done.returncode == 0, done.stderr
    return {pool["name"]: pool for pool in json.loads(done.stdout)}


def cells(line):
    """The cells of a table's line, which stand two blanks or more apart."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_ls_lists_a_live_pool(command, name):
    with BufferPool(name, capacity=1500) as pool, pool.acquire_cpu(1000), pool.acquire_cpu(2000):
        done = command("pool", "ls")
        found = listed(command)[name]
        expected = asdict(pool.stats())
    assert done.returncode == 0, done.stderr
    heads, _, *lines = (line for line in done.stdout.splitlines() if line.strip())
    assert cells(heads)[:3] == ["pool", "buffers in use", "bytes in use"]
    (line,) = (line for line in lines if cells(line)[0] == name)
    assert cells(line)[1:3] == ["2 of 1,500", "3,000 B"]
    assert "dead" not in line
    assert found["alive"] is True
    assert found["stats"] == expected
    assert name not in listed(command)


def test_looking_changes_nothing(command, name):
    with BufferPool(name) as pool, pool.acquire_cpu(1000):
        before = pool.stats()
        command("pool", "ls")
        command("pool", "stat", name)
        command("pool", "gc")
        assert pool.stats() == before


def test_stat_shows_buffers_and_processes(command, name):
    with BufferPool(name, capacity=32, size=1 << 20, mode=0o640) as pool:
        first, second = pool.acquire_cpu(5000), pool.acquire_cpu(300)
        second.seal()
        pool.add_ref(first.meta_index)
        pool.set_ref_count(first.meta_index, 5)
        done = command("pool", "stat", name)
        found = json.loads(command("pool", "stat", name, "--json").stdout)
        expected = gmemx.pool.stat(name)
        pool.set_ref_count(first.meta_index, 2)
        pool.release(first.meta_index)
        first.close()
        second.close()

    assert done.returncode == 0, done.stderr
    lines = [cells(line) for line in done.stdout.splitlines()]
    for line in (
        [f"pool {name}"],
        ["permissions", "0640"],
        ["buffers in use", "2 of 32"],
        ["bytes in use", "5,300 B of 1.05 MB"],
        ["pins", "3"],
        ["processes", "1 of 96"],
        ["0", "5,000", "1", "3", str(os.getpid())],
        ["1", "300", "1", "0", str(os.getpid()), "sealed"],
    ):
        assert line in lines, done.stdout
    (process,) = (line for line in lines if line[:1] == [str(os.getpid())])
    assert process[-1] == "2"

    assert found["name"] == name
    assert found["stats"] == asdict(expected.stats)
    assert found["processes"] == [asdict(process) for process in expected.processes]
    assert [int(buffer.pop("handle"), 16) for buffer in found["buffers"]] == [
        buffer.handle for buffer in expected.buffers
    ]
    assert found["buffers"] == [
        {key: value for key, value in asdict(buffer).items() if key != "handle"}
        for buffer in expected.buffers
    ]


def test_gc_removes_dead_pools_and_no_others(command, dead):
    alive = f"{dead}-alive"
    with BufferPool(alive) as pool, pool.acquire_cpu(10) as guard:
        guard.numpy("uint8")[:] = 7
        lines = [cells(line) for line in command("pool", "ls").stdout.splitlines()]
        last = {line[0]: line[-1] for line in lines if line}
        assert last[dead] == "dead: gmemx pool gc removes it"
        assert last[alive] == "1"
        found = listed(command)
        assert (found[dead]["alive"], found[alive]["alive"]) == (False, True)
        assert [process["alive"] for process in found[dead]["processes"]] == [False]

        done = command("pool", "gc", "--json")
        removed = json.loads(done.stdout)
        # Other runs on this machine may have left dead pools too.
        assert removed["removed"] >= 1
        assert removed["bytes"] >= 100_000
        found = listed(command)
        assert dead not in found
        assert alive in found
        assert guard.numpy("uint8").tolist() == [7] * 10
    assert not list(Path("/dev/shm").glob(f"*{dead}*"))


def test_gc_says_what_it_did(command, dead):
    done = command("pool", "gc")
    count, word, *_ = done.stdout.split()
    assert done.returncode == 0
    assert int(count) >= 1
    assert word in ("pool", "pools")
    assert done.stdout.endswith("given back\n")


def test_a_dead_pool_can_be_looked_at(command, dead):
    done = command("pool", "stat", dead)
    assert done.returncode == 0, done.stderr
    assert "dead: not reclaimed yet" in done.stdout
    assert ["buffers in use", "1 of 16"] in [cells(line) for line in done.stdout.splitlines()]


def test_what_is_no_pool_is_listed_with_the_reason(command, name):
    """A file of that name, but somebody else's, or damaged: it is neither opened nor removed."""
    path = Path("/dev/shm", f"gmemx.{name}")
    path.write_bytes(bytes(8192))
    try:
        found = listed(command)[name]
        assert (found["alive"], found["stats"]) == (False, None)
        assert "no pool" in found["problem"]
        (line,) = (line for line in command("pool", "ls").stdout.splitlines() if name in line)
        assert "no pool" in line
        assert command("pool", "gc").returncode == 0
        assert path.exists()
        done = command("pool", "stat", name)
        assert (done.returncode, done.stdout) == (1, "")
        assert name in done.stderr
    finally:
        path.unlink()


def test_a_long_name_is_not_cut_in_a_pipe(command, name):
    long = name + "-" + "x" * (199 - len(name))
    with BufferPool(long):
        assert len(long) == 200
        assert long in command("pool", "ls").stdout
        assert long in command("pool", "stat", long).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["stat", "no-such-pool"], 1, "no-such-pool"),
        (["stat", "a/b"], 1, "a/b"),
        (["stat", ""], 1, "name"),
        (["stat"], 2, "NAME"),
        ([], 2, "ACTION"),
        (["dance"], 2, "dance"),
    ],
)
@pytest.mark.parametrize("json_too", [False, True])
def test_bad_arguments_get_a_sentence(command, arguments, status, words, json_too):
    done = command("pool", *arguments, *(["--json"] if json_too and arguments else []))
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if status == 1:
        assert len(done.stderr.splitlines()) == 1


def test_json_needs_no_extra(tmp_path, name):
    """Tables are drawn by rich, JSON is not."""
    source = (
        "import sys; sys.modules['rich'] = None; from gmemx.cli import main; "
        "status = main(['pool', 'ls', '--json']); "
        f"sys.exit(status or main(['pool', 'stat', {name!r}]))"
    )
    with BufferPool(name):
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True
        )
    assert name in {pool["name"] for pool in json.loads(done.stdout)}
    assert done.returncode == 1
    assert done.stderr == "gmemx pool needs rich and Pillow: pip install 'gmemx[cli]'\n"
