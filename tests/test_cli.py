"""The gmemx command and the benchmark script, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import gmemx
from gmemx.cli import main
from gmemx.cli.chapters import (
    CHAPTERS,
    generative,
    generative_picture,
    pool,
    pool_field,
    pool_picture,
    tensor,
    tensor_picture,
    tensor_terrain,
)
from gmemx.cli.formula import vrns16
from gmemx.cli.stage import Stage

ROOT = Path(__file__).resolve().parent.parent
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="pools are for Linux")


def run_python(source, folder):
    return subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_version(command):
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, f"gmemx {gmemx.__version__}\n")


def test_help_names_the_commands(command):
    done = command("--help")
    assert done.returncode == 0
    assert "tour" in done.stdout
    assert "fetch" in done.stdout
    assert "pool" in done.stdout


def test_fetch_prints_golden_values(command):
    done = command("fetch", "0", "--seed", "42", "--count", "2")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "0x0000000000000000  0.07779688409536653",
        "0x0000000000000001  0.2894716105507266",
    ]


def test_fetch_json(command):
    done = command("fetch", "0xBEEFCACE", "--seed", "0x1337", "--json")
    assert json.loads(done.stdout) == {
        "seed": "0x1337",
        "generator": "vrns16",
        "start": "0xbeefcace",
        "count": 1,
        "values": [0.8869011942861773],
    }


def test_fetch_in_several_chunks_is_one_run_of_cells(command):
    count, start = 150_000, 2**63 - 17
    done = command("fetch", start, "--count", count, "--generator", "philox", "--json")
    expected = gmemx.GMemContext(0, generator="philox")[start : start + count]
    assert json.loads(done.stdout)["values"] == expected.tolist()


def test_fetch_reaches_the_last_address(command):
    done = command("fetch", "0xFFFFFFFFFFFFFFFF")
    assert done.stdout == f"0xffffffffffffffff  {vrns16(0, 2**64 - 1)!r}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["fetch", "0xFFFFFFFFFFFFFFFF", "--count", "2"], 1, "past the last address"),
        (["fetch", "0", "--generator", "dice"], 1, "philox"),
        (["fetch", "one"], 2, "not an integer"),
        (["fetch", "--", "-1"], 2, "outside [0, 2**64)"),
        (["fetch", "0", "--count", "0"], 2, "too few"),
        (["fetch", str(2**64)], 2, "outside [0, 2**64)"),
        (["tour", "--seed", "x"], 2, "not an integer"),
        ([], 2, "COMMAND"),
        (["dance"], 2, "dance"),
    ],
)
def test_bad_arguments_get_a_sentence(command, arguments, status, words):
    done = command(*arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    if status == 1:
        assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    source = (
        "import sys; from gmemx.cli import main; sys.exit(main(['fetch', '0', '--count', '{}']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source.format(1_000_000)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline().startswith(b"0x0000000000000000")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.fixture(scope="module")
def quick_tour(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour")
    done = subprocess.run(
        [sys.executable, "-m", "gmemx", "tour", "--quick", "--out", "pictures/new"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    return done, folder / "pictures" / "new"


def test_tour_passes_its_own_checks(quick_tour):
    done, pictures = quick_tour
    assert done.returncode == 0, done.stdout + done.stderr
    assert "checks hold" in done.stdout
    assert "FAILED" not in done.stdout
    assert "\x1b" not in done.stdout, "no colours where nobody looks"
    assert "M cells/s" in done.stdout
    drawn = set(CHAPTERS) - (set() if sys.platform == "linux" else {"pool"})
    assert {path.name for path in pictures.iterdir()} == {f"{name}.png" for name in drawn}


def test_tour_picture_shows_the_memory(quick_tour):
    """Every written cell is warm, every generated one cold, at the place of its address."""
    _, pictures = quick_tour
    with Image.open(pictures / "generative.png") as image:
        assert image.format == "PNG"
        assert image.size == (generative_picture.WIDTH, generative_picture.HEIGHT)
        left, top, right, bottom = generative_picture.MEMORY
        step = generative_picture.SCALE
        memory = np.asarray(image.convert("RGB"))[top:bottom:step, left:right:step].astype(int)

    warm = memory[..., 0] > memory[..., 2]
    ink = generative._word("gmemx", generative.WORD_SIZE) > 0
    inset = (generative_picture.COLUMNS - ink.shape[1]) // 2
    expected = np.zeros_like(warm)
    rows = slice(generative_picture.ABOVE, generative_picture.ABOVE + ink.shape[0])
    expected[rows, inset : inset + ink.shape[1]] = ink
    assert 1_000 < expected.sum() < expected.size / 4
    assert np.array_equal(warm, expected)
    assert memory[~warm].std(axis=0).max() > 10, "generated cells differ from each other"


def test_tour_picture_shows_the_dtypes(quick_tour):
    """Each map has the colours of the heights as its dtype rounds them."""
    _, pictures = quick_tour
    with Image.open(pictures / "tensor.png") as image:
        assert image.format == "PNG"
        assert image.size == (tensor_picture.WIDTH, tensor_picture.HEIGHT)
        drawn = np.asarray(image.convert("RGB"))

    side, top = tensor_picture.SIDE, tensor_picture.MAP_TOP
    assert side * tensor_picture.STEP == tensor.SIDE
    maps = {
        name: drawn[top : top + side, left : left + side]
        for name, left in zip(tensor_picture.SHOWN, tensor_picture.LEFTS, strict=True)
    }
    context = gmemx.GMemContext(42)
    heights = tensor_terrain.terrain(context, tensor.START, tensor.SIDE).numpy()[::4, ::4]
    scale = (tensor_picture.HEIGHTS, tensor_picture.COLOURS)
    for name, rounded in (("float32", heights.astype(np.float32)), ("int4", np.trunc(heights))):
        assert np.array_equal(maps[name], tensor_picture.coloured(rounded, *scale)), name
    colours = [len(np.unique(maps[name].reshape(-1, 3), axis=0)) for name in tensor_picture.SHOWN]
    assert colours[-1] == 15, "int4 from -7 to 7"
    assert colours[-1] < colours[-2] < colours[-3] < colours[0]


@needs_linux
def test_tour_picture_shows_the_field(quick_tour):
    """The last field, large, is what NumPy makes of the first one in one piece."""
    _, pictures = quick_tour
    with Image.open(pictures / "pool.png") as image:
        assert image.format == "PNG"
        assert image.size == (pool_picture.WIDTH, pool_picture.HEIGHT)
        left, top, right, bottom = pool_picture.FIELD
        drawn = np.asarray(image.convert("RGB"))[top:bottom, left:right]

    side, turns = pool.SIZES[True]
    field = pool_field.first(gmemx.GMemContext(42), pool.START, side)
    feed, kill = (pool_field.around(rate, 0, side, pool.STEPS) for rate in pool_field.rates(side))
    for _ in range(turns):
        rows = pool_field.around(field, 0, side, pool.STEPS)
        field = pool_field.advance(rows, feed, kill, pool.STEPS)
    assert np.array_equal(drawn, np.asarray(pool_picture.coloured(field, right - left)))
    assert 0.2 < (field[1] > 0.2).mean() < 0.8, "something lives in it, and not everywhere"


def test_field_follows_its_equations():
    """Gray and Scott's equations, cell by cell and in float64."""
    side, steps = 20, 3
    field = pool_field.first(gmemx.GMemContext(7), 0, side)
    feed, kill = pool_field.rates(side)
    expected = field.astype(float)
    for _ in range(steps):
        u, v = expected
        new = np.empty_like(expected)
        for i in range(side):
            for j in range(side):
                spread = np.zeros(2)
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        weight = {0: -1.0, 1: 0.2, 2: 0.05}[abs(di) + abs(dj)]
                        spread += weight * expected[:, (i + di) % side, (j + dj) % side]
                eaten = u[i, j] * v[i, j] ** 2
                new[0, i, j] = u[i, j] + spread[0] - eaten + feed[i, j] * (1 - u[i, j])
                taken = (feed[i, j] + kill[i, j]) * v[i, j]
                new[1, i, j] = v[i, j] + 0.5 * spread[1] + eaten - taken
        expected = new
    around = [pool_field.around(what, 0, side, steps) for what in (field, feed, kill)]
    found = pool_field.advance(*around, steps)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_terrain_is_of_the_cells():
    """On the lines of all grids a height is the weighted sum of cells, stretched."""
    context, side = gmemx.GMemContext(7), 96
    heights = tensor_terrain.terrain(context, 1000, side)
    assert heights.shape == (side, side)
    assert (heights.min(), heights.max()) == (-7.5, 7.5)
    # Every grid has lines at thirds of the side.
    raw = np.zeros((3, 3))
    start = 1000
    for octave, cells in enumerate(tensor_terrain.OCTAVES):
        for i in range(3):
            for j in range(3):
                place = start + i * (cells // 3) * (cells + 1) + j * (cells // 3)
                raw[i, j] += 0.5**octave * context[place]
        start += (cells + 1) ** 2
    found = heights.numpy()[::32, ::32]
    scale = (found[0, 0] - found[2, 2]) / (raw[0, 0] - raw[2, 2])
    assert scale > 0
    np.testing.assert_allclose(found - found[0, 0], scale * (raw - raw[0, 0]), atol=1e-12)


def test_tensor_chapter_without_other_libraries(tmp_path, monkeypatch, capsys):
    """What is not installed is said in one line, and everything else is shown."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    stage = Stage(Console(markup=False, highlight=False), tmp_path, quick=True, seed=42)
    tensor.run(stage)
    said = capsys.readouterr().out
    assert "Not installed, so left out here: torch, pyarrow.\n" in said
    assert all(check.ok for check in stage.checks)
    names = [check.name for check in stage.checks]
    assert "written through NumPy, seen by gmemx, Python" in names
    assert stage.pictures == [tmp_path / "tensor.png"]


def test_tour_fails_where_a_check_does(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generative, "GOLDEN", ((42, 0, 0.5),))
    assert main(["tour", "--quick", "--out", str(tmp_path)]) == 1
    assert "1 of " in capsys.readouterr().out


def test_tour_with_another_seed(tmp_path, capsys):
    assert main(["tour", "--quick", "--seed", "0xFFFFFFFFFFFFFFFF", "--out", str(tmp_path)]) == 0
    assert "checks hold" in capsys.readouterr().out


def test_tour_into_a_file_is_one_sentence(tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_text("")
    assert main(["tour", "--out", str(taken)]) == 1
    error = capsys.readouterr().err
    assert str(taken) in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("module", ["rich", "PIL"])
def test_a_missing_extra_is_one_sentence(module, tmp_path):
    source = (
        f"import sys; sys.modules[{module!r}] = None; from gmemx.cli import main; "
        "assert main(['fetch', '0']) == 0; sys.exit(main(['tour', '--quick']))"
    )
    done = run_python(source, tmp_path)
    assert done.returncode == 1
    assert done.stderr == "gmemx tour needs rich and Pillow: pip install 'gmemx[cli]'\n"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


SUMS = ("float32", "float64", "float16", "bfloat16", "int32", "uint8")
BENCHMARKS = {
    "generative": {
        *("bulk_scalar", "bulk_pcg64", "bulk_sfc64", "bulk_philox", "bulk_two_threads"),
        "control",
        *("bulk_portable", "philox_philox", "fetch_many", "single_ctypes", "single_python"),
        *("overlaid", "write_contiguous", "write_one_in_ten", "write_scattered"),
        *("context_time", "context_bytes"),
    },
    "tensor": {
        *("memoryview", "asarray", "from_dlpack", "dlpack", "dlpack_versioned", "slice"),
        *("element", "assign", "reshape", "copy", "create", "create_list", "create_copy"),
        *("create_over", "create_dlpack"),
        *("pickle_numpy", "pickle", "pickle_strided", "fused", "fused_one"),
        *(f"sum_{name}{what}" for name in SUMS for what in ("", "_one")),
        *(f"read_{name}_{threads}" for name in SUMS for threads in (1, 2)),
    },
}
if sys.platform == "linux":
    BENCHMARKS["pool"] = {
        *("acquire_native", "acquire_with", "acquire_drop", "acquire_numpy", "get_native", "fill"),
        *("open", "open_close", "wake_parked", "wake_round_trip"),
        *("handover_pipe", "handover_queue", "handover_segment"),
    }


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_runs_and_reports(name, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / f"{name}.py", "--quick", "--json", "-"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["machine"]) >= {"cpu", "cores", "python", "numpy", "cpu_path"}
    assert result["quick"] is True
    rows = {row["key"]: row for row in result["rows"]}
    assert len(rows) == len(result["rows"])
    assert set(rows) | set(result["skipped"]) == BENCHMARKS[name]
    for row in rows.values():
        assert row["ours_value"] > 0
        assert row["ratio"] > 0
        has_mark = row["mark"] is not None or row["rate_mark"] is not None
        assert (row["ok"] is not None) == has_mark
    assert "| row" in done.stderr
