"""Show every kind of memory at work on real data, with measured throughput.

Each chapter checks what it shows and saves a picture. The exit status is 0 only
where every check held.
"""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

import gmemx
from gmemx.cli import machine
from gmemx.cli.arguments import u64
from gmemx.cli.chapters import CHAPTERS

HELP = "see every kind of memory at work, measured and drawn"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx tour``."""
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("tour"),
        help="where the pictures go (default tour/)",
    )
    parser.add_argument("--quick", action="store_true", help="less data: a few seconds in all")
    parser.add_argument("--seed", metavar="N", type=u64, default=42, help="seed (default 42)")


def run(args: argparse.Namespace) -> int:
    """Walk through all chapters.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0, or 1 where a check failed.

    Raises
    ------
    ModuleNotFoundError
        Where the extra ``cli`` is not installed.
    OSError
        Where the pictures cannot be saved.
    """
    # Not at the top: `gmemx fetch` and `gmemx --help` work without the extra.
    from rich.console import Console

    from gmemx.cli.stage import Stage

    chapters = [importlib.import_module(f"gmemx.cli.chapters.{name}") for name in CHAPTERS]
    args.out.mkdir(parents=True, exist_ok=True)

    console = Console(markup=False, highlight=False)
    stage = Stage(console, args.out, quick=args.quick, seed=args.seed)
    began = time.perf_counter()
    console.print(f"gmemx {gmemx.__version__}: the tour", style="bold")
    console.print(machine.summary(), style="dim")
    for number, chapter in enumerate(chapters, 1):
        stage.heading(f"{number}. {chapter.TITLE}")
        chapter.run(stage)

    failed = [check for check in stage.checks if not check.ok]
    console.print()
    for picture in stage.pictures:
        console.print(f"picture: {picture}", style="bold", soft_wrap=True)
    seconds = time.perf_counter() - began
    if failed:
        console.print(
            f"{len(failed)} of {len(stage.checks)} checks FAILED ({seconds:.1f} s):",
            style="bold red",
        )
        for check in failed:
            console.print(f"  {check.name} {check.detail}", style="red")
        return 1
    console.print(f"all {len(stage.checks)} checks hold ({seconds:.1f} s)", style="bold green")
    return 0
