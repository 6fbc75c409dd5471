"""What the documentation shows is run: snippets and commands of README and the guides."""

import ast
import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from arrays import HAS_ZARR
from scan_cores import write_core

import gmemx

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# interop.md is tables, which test_interop.py holds against what it finds.
GUIDES = sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "interop.md"})
TENSOR = (ROOT / "docs" / "tensor.md").read_text(encoding="utf-8")
POOL = (ROOT / "docs" / "pool.md").read_text(encoding="utf-8")
SCAN = (ROOT / "docs" / "scan.md").read_text(encoding="utf-8")

# Which file of examples/ README prints under each heading, in order.
PRINTED = [
    ("python", "quickstart.py"),
    ("cython", "cython/walk.pyx"),
    ("python", "cython/setup.py"),
    ("c", "c/cells.c"),
    ("python", "ctypes_bridge.py"),
]

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="pools are for Linux")
needs_shell = pytest.mark.skipif(os.name != "posix", reason="the commands are for a POSIX shell")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def numbers(text):
    """All numbers that a program printed."""
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


class Shell:
    """Runs shell blocks of the guides in a folder with a copy of examples/."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(
            ROOT / "examples",
            folder / "examples",
            ignore=shutil.ignore_patterns(
                *(
                    "build",
                    "target",
                    "*.so",
                    "walk.c",
                    "energy.c",
                    "frames.c",
                    "watch.c",
                    "calls.c",
                ),
                *("cells", "tensor", "pool", "scan", "plugin"),
            ),
        )
        # `python` and `gmemx` are this environment's, whatever its folders are called.
        commands = folder / "bin"
        commands.mkdir()
        for name, arguments in {"python": "", "gmemx": "-m gmemx"}.items():
            script = commands / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            script.chmod(0o755)
        self.environment = os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}

    def __call__(self, line):
        """What the one block prints that has `line` in it."""
        (block,) = (block for block in blocks(README + TENSOR + POOL + SCAN, "sh") if line in block)
        return self.run(block, self.folder)

    def run(self, block, folder):
        done = subprocess.run(
            ["sh", "-eu", "-c", block],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def readme_command(tmp_path):
    return Shell(tmp_path)


@dataclass
class Built:
    """The extensions of examples/cython, built once for all tests by README's commands."""

    folder: Path
    printed: str

    def run(self, source):
        """What a program prints beside them."""
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)],
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def extensions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extensions")
    printed = Shell(folder)("build_ext")
    return Built(folder / "examples" / "cython", printed)


# ---- README -------------------------------------------------------------------


def test_readme_prints_the_examples():
    for language in ("python", "cython", "c"):
        files = [path for kind, path in PRINTED if kind == language]
        texts = [(ROOT / "examples" / path).read_text(encoding="utf-8") for path in files]
        assert blocks(README, language) == texts, files


@pytest.mark.parametrize(
    ("guide", "language", "path"),
    [
        (TENSOR, "cython", "cython/energy.pyx"),
        (TENSOR, "c", "c/tensor.c"),
        (POOL, "cython", "cython/frames.pyx"),
        (POOL, "c", "c/pool.c"),
        (SCAN, "cython", "cython/watch.pyx"),
        (SCAN, "c", "c/scan.c"),
    ],
    ids=lambda value: value if "\n" not in value else "",
)
def test_guides_print_the_examples(guide, language, path):
    assert blocks(guide, language) == [(ROOT / "examples" / path).read_text(encoding="utf-8")]


def test_readme_links_lead_somewhere():
    for page in (ROOT / "README.md", *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@needs_shell
def test_readme_import(readme_command):
    context = gmemx.GMemContext(42)
    first, last, mean, stored, written, generated, largest = numbers(
        readme_command("quickstart.py")
    )
    assert (first, last) == (context[0], context[2**64 - 1])
    assert mean == pytest.approx(0.5, abs=0.01)
    assert stored == 1 + 100 + 3
    assert (written, generated) == (-1.5, context[7])
    assert 0.99 < largest <= 1.0


@needs_shell
def test_readme_cimport(extensions):
    context = gmemx.GMemContext(42)
    address = 0
    for _ in range(1_000_000):
        address += 1 + int(1000 * context[address])
    assert extensions.printed.split()[-1] == str(address)


@needs_shell
def test_tensor_cimport(extensions):
    source = "import gmemx, energy; print(energy.energy(gmemx.full((3, 4), 2.0)))"
    assert extensions.run(source) == "48.0\n"


@needs_shell
def test_tensor_c(readme_command):
    assert readme_command("examples/c/tensor.c") == "5 7 9, 0x40c0 is 6.0\n"


@needs_linux
def test_pool_cimport(extensions):
    source = """
        import gmemx, frames
        with gmemx.BufferPool.anonymous() as pool:
            with frames.ramp(pool, 1000) as guard:
                print(guard.numpy()[-1], frames.total(guard), pool.stats().used)
            print(pool.stats().used)
    """
    total = sum(i % 256 for i in range(1000))
    assert extensions.run(source) == f"{999 % 256} {total} 1\n0\n"


@needs_linux
def test_pool_c(readme_command):
    expected = "1000000 bytes: written by one process, read by another\n"
    assert readme_command("examples/c/pool.c") == expected


@needs_linux
def test_the_tutorial_builds_and_runs(tmp_path):
    """docs/cython.md from its text alone: each file is the block behind its name."""
    text = (ROOT / "docs" / "cython.md").read_text(encoding="utf-8")
    folder = tmp_path / "noise"
    folder.mkdir()
    for name in ("pyproject.toml", "setup.py", "noise.pyx", "use.py"):
        found = re.search(rf"^`{re.escape(name)}`.*?^```\w+\n(.*?)^```$", text, re.M | re.S)
        (folder / name).write_text(found[1])
    commands = next(block for block in blocks(text, "sh") if "use.py" in block)
    lines = Shell(tmp_path).run(commands, folder).splitlines()[-5:]
    context = gmemx.GMemContext(42)
    assert int(lines[0]) == np.count_nonzero(context[:1_000_000] > 0.5)
    cells = 100.0 * context[2**40 : 2**40 + 480 * 640].reshape(480, 640)
    assert numbers(lines[1]) == pytest.approx(cells[::160].mean(axis=1).tolist())
    assert lines[2:] == ["480", "0 in use", "a frame has rows and columns, not 0 by 5"]


def example_lines(name, folder):
    """What a script of examples/ prints, run in a folder of its own."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_linux
def test_pool_example(tmp_path):
    assert example_lines("pool.py", tmp_path) == [
        "done [255 255 255]",
        "[0 0 0] 1 buffer, 1 process",
        "1000 2",
        "0 in use",
    ]


def test_dask_example(tmp_path):
    array = gmemx.GMemContext(42).array((10**6, 125 * 10**6), distribution="normal")
    part = array[500_000:501_000, -10_000:]
    lines = example_lines("dask_cluster.py", tmp_path)
    assert lines[0] == str(10**15)
    mean, std, *_ = numbers(lines[1])
    assert mean == pytest.approx(part.mean(), abs=1e-4)
    assert std == pytest.approx(part.std(), abs=1e-4)
    assert lines[1].endswith("of 10,000,000 cells")
    assert lines[2] == "True"
    least = min(part[1:].min(), np.clip(part[0], -1, 1).min())
    assert lines[3] == f"10,000 cells written, from {least:.2f} to 1.0"


@needs_linux
def test_scan_cimport(extensions):
    source = """
        import struct, watch
        from gmemx import scan
        with scan.open_buffer(struct.pack("=2i", 7, -9), address=0x1000) as source:
            print(watch.lowest(source, 0x1000, 10), watch.lowest(source, 0x1004, 10))
            print(watch.lowest(source, 0x1006, 10)[1])
    """
    assert extensions.run(source) == "(7, 10) (-9, 10)\n0\n"


@needs_linux
def test_scan_c(readme_command):
    expected = "1 left: 123456790, and 123456789 before\nthe secret was 42\n"
    assert readme_command("examples/c/scan.c") == expected


@needs_linux
def test_scan_example(tmp_path):
    assert example_lines("scan.py", tmp_path) == [
        "1 left: [190]",
        "999 after a hit",
        "999 held still",
        "900 let go",
    ]


@needs_linux
def test_plugin_command_line(readme_command, tmp_path):
    """The block signs a library that has to be there."""
    shutil.copy(gmemx.plugin.sample_library(), tmp_path / "libtool.so")
    lines = readme_command("gmemx plugin keygen").splitlines()
    assert lines[-1] == '"Hello"'
    assert (tmp_path / "tool.rbp").exists()


@needs_linux
def test_scan_command_line(readme_command, tmp_path):
    """The blocks name a process and a core dump that have to be there."""
    source = """
        import ctypes, sys
        ctypes.CDLL(None).prctl(15, b"game")
        data = bytes((0xDE, 0xAD, 0xBE, 0xEF))
        print("ready", flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as game:
        try:
            assert game.stdout.readline() == b"ready\n"
            write_core(tmp_path / "core.4711", game.pid)
            for line in ("# search a process's memory", "core.4711"):
                lines = readme_command(line).splitlines()
                assert any(line.startswith("0x") and "rw-p" in line for line in lines)
                assert lines[-1].endswith(" matches")
        finally:
            game.stdin.close()


@needs_linux
def test_pool_command_line(readme_command):
    """The block names a pool that has to be there."""
    with gmemx.BufferPool.open_or_create("frames"):
        assert "frames" in readme_command("gmemx pool stat")


def test_tensor_example(tmp_path):
    """What examples/tensor.py prints is what NumPy makes of the same cells."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "tensor.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    cells = gmemx.GMemContext(42)[0 : 480 * 640].reshape(480, 640)
    cells[0, 0] = 5.0
    assert lines[:3] == ["5.0 5.0", f"(320, 100) {320 * 100}", "000000000000000000ff8000"]
    cells[100:200, ::-2] = 0.0
    whole, half, mean, *_ = numbers(lines[3])
    assert (whole, half) == (cells.nbytes, cells.nbytes / 4)
    assert mean == pytest.approx(cells.mean(), rel=1e-5)
    assert lines[4:] == ["True True", "500000.0"]


@needs_shell
def test_readme_c(readme_command):
    first, cell, count = numbers(readme_command("cc cells.c"))
    assert (first, cell, count) == (gmemx.GMemContext(42)[0], -1.5, 1)


@needs_shell
def test_readme_ctypes(readme_command):
    assert numbers(readme_command("ctypes_bridge.py")) == [gmemx.GMemContext(42)[0], -1.5]


@needs_shell
def test_readme_command_line(readme_command):
    output = readme_command("gmemx fetch").splitlines()
    context = gmemx.GMemContext(0x1337)
    for line, address in zip(output[:4], range(0xBEEFCACE, 0xBEEFCACE + 4), strict=True):
        shown, value = line.split()
        assert int(shown, 16) == address
        assert float(value) == context[address]


# ---- the guides ---------------------------------------------------------------


def test_the_example_survives_its_writer(tmp_path):
    """examples/durable.py kills one, and finds what it had flushed."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "durable.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the writer: flushed once",
        "a reader: 1000 cells",
        "a second writer: LockedError",
        "after SIGKILL: 1000 zeros of 8000 TB",
    ]


@pytest.mark.parametrize("page", [ROOT / "README.md", *GUIDES], ids=lambda page: page.name)
def test_guide_examples(page):
    text = page.read_text(encoding="utf-8")
    if not HAS_ZARR:
        text = re.sub(r"^## zarr.*?(?=^## |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, None, 0)
    assert examples.examples or ">>>" not in text
    assert doctest.DocTestRunner().run(examples).failed == 0


# ---- the stubs ----------------------------------------------------------------


def defined_in(body):
    """Names that a stub's statements define, without the private ones."""
    names = set()
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_") or name == "__version__"}


@pytest.mark.parametrize(
    "name", ["array", "generative", "plugin", "pool", "runtime", "scan", "status", "tensor"]
)
def test_stubs_tell_of_everything(name):
    module = importlib.import_module(f"gmemx.{name}")
    stub = ast.parse((ROOT / "gmemx" / f"{name}.pyi").read_text(encoding="utf-8"))
    for defined in defined_in(stub.body):
        assert hasattr(module, defined), defined
    for node in stub.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            public = {name for name in vars(getattr(module, node.name)) if name[0] != "_"}
            assert defined_in(node.body) == public
