"""Look at the shared pools of this machine, and remove those that nobody uses any more.

gmemx pool ls
gmemx pool stat frames
gmemx pool gc --json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import gmemx.pool

HELP = "look at shared pools, remove dead ones"

# What a pipe takes in is not cut at the width of a terminal.
WIDE = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx pool``: three commands of its own."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for action, name, text in (
        (_list, "ls", "list all pools"),
        (_stat, "stat", "show the figures, buffers and processes of a pool"),
        (_collect, "gc", "remove the pools whose processes are all dead"),
    ):
        child = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        if action is _stat:
            child.add_argument("name", metavar="NAME", help="the pool's name")
        child.add_argument("--json", action="store_true", help="JSON instead of tables")
        child.set_defaults(action=action)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0.

    Raises
    ------
    FileNotFoundError
        Where there is no pool of that name.
    PermissionError
        Where it is somebody else's.
    NotImplementedError
        Where the system has no shared pools.
    ModuleNotFoundError
        Where tables are to be printed and the extra ``cli`` is not installed.
    """
    args.action(args)
    return 0


def _list(args: argparse.Namespace) -> None:
    pools = gmemx.pool.list_pools()
    if args.json:
        _print_json([_described(pool) for pool in pools])
    elif not pools:
        print("There are no pools.")
    else:
        heads = ("pool", "buffers in use", "bytes in use", "shared memory", "processes", "")
        _print_table(heads, [_line(pool) for pool in pools])


def _line(pool: gmemx.pool.PoolInfo) -> tuple[str, ...]:
    stats = pool.stats
    if stats is None:
        return (pool.name, "", "", "", "", pool.problem or "")
    return (
        pool.name,
        f"{stats.used:,} of {stats.capacity:,}",
        _amount(stats.used_bytes),
        _amount(stats.committed),
        _alive_and_dead(pool),
        "" if pool.alive else "dead: gmemx pool gc removes it",
    )


def _stat(args: argparse.Namespace) -> None:
    pool = gmemx.pool.stat(args.name)
    if args.json:
        _print_json(_described(pool))
        return
    stats = pool.stats
    facts = (
        ("made", _moment(stats.created)),
        ("permissions", f"{stats.mode:04o}"),
        ("buffers in use", f"{stats.used:,} of {stats.capacity:,}"),
        ("bytes in use", f"{_amount(stats.used_bytes)} of {_amount(stats.size)}"),
        ("shared memory taken", _amount(stats.committed)),
        ("free buffers, warm", f"{stats.free:,}"),
        ("pins", f"{stats.pins:,}"),
        ("buffers on their way", f"{stats.in_flight:,}"),
        ("references taken back from the dead", f"{stats.reclaimed:,}"),
        ("processes", f"{_alive_and_dead(pool)} of {stats.max_processes:,}"),
    )
    _print_table((f"pool {pool.name}", ""), facts)
    if pool.processes:
        _print_table(
            ("process", "since", "holds", ""),
            [
                (
                    *(f"{process.pid}", _moment(process.since), f"{process.holds:,}"),
                    "" if process.alive else "dead: not reclaimed yet",
                )
                for process in pool.processes
            ],
        )
    if pool.buffers:
        _print_table(
            ("buffer", "bytes", "holders", "pins", "made by", ""),
            [
                (
                    *(f"{buffer.index}", f"{buffer.size:,}", f"{buffer.holders}"),
                    *(f"{buffer.pins}", f"{buffer.producer}", _states(buffer)),
                )
                for buffer in pool.buffers
            ],
        )


def _alive_and_dead(pool: gmemx.pool.PoolInfo) -> str:
    alive = sum(process.alive for process in pool.processes)
    dead = len(pool.processes) - alive
    return f"{alive}, {dead} dead" if dead else f"{alive}"


def _states(buffer: gmemx.pool.BufferInfo) -> str:
    states = {"on_device": "on a device", "sealed": "sealed", "in_flight": "on its way"}
    return ", ".join(word for name, word in states.items() if getattr(buffer, name))


def _collect(args: argparse.Namespace) -> None:
    removed, size = gmemx.pool.gc()
    if args.json:
        _print_json({"removed": removed, "bytes": size})
    else:
        print(f"{removed} pool{'s' * (removed != 1)} removed, {_amount(size)} given back")


def _described(pool: gmemx.pool.PoolInfo) -> dict[str, Any]:
    """A pool as JSON has it; handles go as strings, since many readers know no such integers."""
    described = asdict(pool)
    for buffer in described["buffers"]:
        buffer["handle"] = f"{buffer['handle']:#x}"
    return described


def _amount(size: int) -> str:
    return f"{size:,} B" if size < 10_000 else f"{size / 1e6:,.2f} MB"


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 10**9).isoformat(" ")


def _print_json(what: object) -> None:
    sys.stdout.write(json.dumps(what, indent=2) + "\n")


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Not at the top: with --json the command works without the extra.
    from rich.console import Console

    from gmemx.cli.tables import table_of

    width = None if sys.stdout.isatty() else WIDE
    console = Console(markup=False, highlight=False, width=width)
    console.print(table_of(columns, rows))
