"""A benchmark's ratios beside recorded ones: what is worse is listed, what is noise is not."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def compare():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("compare")
    finally:
        sys.path.pop(0)


def row(key, ratio, ours="ours", other="other"):
    return {"key": key, "ratio": ratio, "ours": ours, "other": other}


def test_every_benchmark_is_found(compare):
    for name in compare.scripts():
        assert '__name__ == "__main__"' in (BENCHMARKS / f"{name}.py").read_text()
    assert {"generative", "pool", "scan", "tensor", "virtual_array"} <= set(compare.scripts())
    assert not {"compare", "harness", "setting"} & set(compare.scripts())


def test_rows_of_one_key_are_told_apart(compare):
    rows = [row("a", 2.0), row("a", 3.0, "x", "y"), row("b", None)]
    assert compare.ratios({"rows": rows}) == {"a": 2.0, "a: x / y": 3.0}


def test_only_a_loss_beyond_the_tolerance_is_listed(compare):
    before = {"s": {"same": 2.0, "better": 2.0, "noise": 2.0, "worse": 2.0, "gone": 1.0}}
    now = {"s": {"same": 2.0, "better": 9.0, "noise": 1.5, "worse": 1.0, "new": 0.1}}
    text, fine = compare.report(before, now, 0.33)
    assert not fine
    assert "worse" in text.splitlines()[1]
    assert "-50 %" in text
    assert "4 rows compared, 1 of them worse" in text
    assert "gone: s: gone" in text
    for quiet in ("same", "better", "noise", "new"):
        assert not any(f" {quiet} " in line for line in text.splitlines())
    assert compare.report(before, now, 0.6)[1]


def test_recorded_and_compared(compare, tmp_path, monkeypatch, capsys):
    """Around a benchmark that is none: it is told what to find."""
    path = tmp_path / "baseline.json"
    machine = {"cpu": "this one"}
    told = {"tensor": {"a": 2.0, "b": 3.0}}
    monkeypatch.setattr(compare, "measured", lambda names, quick: (told, machine))
    assert compare.main(["tensor", "--baseline", str(path)]) == 0
    assert "--record makes one" in capsys.readouterr().out
    assert compare.main(["--record", "tensor", "--baseline", str(path)]) == 0
    assert json.loads(path.read_text()) == {"machine": machine, "ratios": told}
    assert compare.main(["tensor", "--baseline", str(path)]) == 0
    told = {"tensor": {"a": 2.0, "b": 1.0}}
    capsys.readouterr()
    assert compare.main(["tensor", "--baseline", str(path)]) == 1
    assert "b" in capsys.readouterr().out.splitlines()[1]
    with pytest.raises(SystemExit):
        compare.main(["nothing"])


def test_the_stored_baseline_fits_the_benchmarks(compare):
    """Each script that it names is there, and each ratio is a number above 0."""
    stored = json.loads((BENCHMARKS / "baseline.json").read_text())
    assert stored["machine"]["cpu"]
    assert set(stored["ratios"]) <= set(compare.scripts())
    assert all(ratio > 0 for rows in stored["ratios"].values() for ratio in rows.values())
