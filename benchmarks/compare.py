"""Run all benchmarks, and set their ratios beside those that were recorded before.

python benchmarks/compare.py              run all, list the rows that have become worse
python benchmarks/compare.py --record     run all, keep their ratios in baseline.json
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
# Ratios move by a quarter by themselves where a machine is shared.
TOLERANCE = 0.33

Ratios = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Change:
    """One row, before and now.

    Attributes
    ----------
    script, key : str
        Which row.
    before, now : float
        Its ratios: how many times better ours is than the other side.
    """

    script: str
    key: str
    before: float
    now: float

    @property
    def factor(self) -> float:
        """What the ratio was multiplied by; below 1 is worse."""
        return self.now / self.before


def scripts() -> list[str]:
    """Name all benchmarks: the files here that can be run and take --json."""
    return sorted(
        path.stem
        for path in HERE.glob("*.py")
        if re.search(r"^from setting import .*\brun\b", path.read_text(encoding="utf-8"), re.M)
    )


def ratios(result: Mapping[str, Any]) -> dict[str, float]:
    """Take the ratios out of what a benchmark wrote as JSON.

    Parameters
    ----------
    result : dict
        As ``--json`` writes it.

    Returns
    -------
    dict
        By the key of the row; rows of one key are told apart by their two sides.
    """
    found: dict[str, float] = {}
    for row in result["rows"]:
        if row["ratio"] is not None:
            name = row["key"]
            if name in found:
                name = f"{name}: {row['ours']} / {row['other']}"
            found[name] = row["ratio"]
    return found


def changes(before: Ratios, now: Ratios) -> list[Change]:
    """Pair the rows that both have, the worst first."""
    pairs = [
        Change(script, key, before[script][key], ratio)
        for script, rows in now.items()
        for key, ratio in rows.items()
        if before.get(script, {}).get(key, 0) > 0
    ]
    return sorted(pairs, key=lambda change: change.factor)


def missing(before: Ratios, now: Ratios) -> list[str]:
    """Name the rows of a baseline that a run of the same scripts no longer has."""
    return [
        f"{script}: {key}"
        for script, rows in before.items()
        for key in rows
        if script in now and key not in now[script]
    ]


def report(before: Ratios, now: Ratios, tolerance: float) -> tuple[str, bool]:
    """Say what has become worse, and what is new or gone.

    Parameters
    ----------
    before, now : dict of dict of float
        Ratios by script and key.
    tolerance : float
        The part of a ratio that it may lose without being listed.

    Returns
    -------
    str
        For people.
    bool
        Whether no row lost more.
    """
    pairs = changes(before, now)
    worse = [change for change in pairs if change.factor < 1 - tolerance]
    lines = [
        f"{change.script:<14} {change.key:<44} {change.before:9.2f} {change.now:9.2f} "
        f"{100 * (change.factor - 1):+6.0f} %"
        for change in worse
    ]
    if worse:
        lines.insert(0, f"{'script':<14} {'row':<44} {'before':>9} {'now':>9}")
    lines.append(
        f"{len(pairs)} rows compared, {len(worse)} of them worse by more than {tolerance:.0%}"
    )
    lines += [f"gone: {name}" for name in missing(before, now)]
    return "\n".join(lines), not worse


def measured(names: Sequence[str], quick: bool) -> tuple[Ratios, dict[str, Any]]:
    """Run benchmarks, each in a process of its own; their tables go to standard output."""
    found: Ratios = {}
    machine: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            target = Path(folder, f"{name}.json")
            command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(target)]
            subprocess.run([*command, *(["--quick"] if quick else [])], check=True)
            print(flush=True)
            result = json.loads(target.read_text(encoding="utf-8"))
            found[name], machine = ratios(result), result["machine"]
    return found, machine


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Parameters
    ----------
    argv : sequence of str, optional
        By default that of the process.

    Returns
    -------
    int
        1 where a row is worse by more than the tolerance.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help=f"of {', '.join(scripts())}")
    parser.add_argument("--record", action="store_true", help=f"write {BASELINE.name}")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="another file")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="0.33 is a third")
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    args = parser.parse_args(argv)
    unknown = set(args.scripts) - set(scripts())
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    before: dict[str, Any] = {"machine": {}, "ratios": {}}
    if args.baseline.exists():
        before = json.loads(args.baseline.read_text(encoding="utf-8"))
    now, machine = measured(args.scripts or scripts(), args.quick)
    if args.record:
        kept = {"machine": machine, "ratios": before["ratios"] | now}
        text = json.dumps(kept, indent=1, sort_keys=True)
        args.baseline.write_text(text + "\n", encoding="utf-8")
        print(f"{sum(map(len, now.values()))} ratios recorded in {args.baseline}")
        return 0
    if not before["ratios"]:
        print(f"there is no {args.baseline}: --record makes one")
        return 0
    if before["machine"] != machine:
        print(f"recorded on: {before['machine']}\nmeasured on: {machine}")
    text, fine = report(before["ratios"], now, args.tolerance)
    print(text)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
