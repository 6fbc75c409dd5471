"""Which memory a command means: a process, a file or a core dump, and which regions of it."""

from __future__ import annotations

import argparse
import bisect
import os
from collections.abc import Iterable
from typing import Any

from gmemx import scan
from gmemx.cli.arguments import positive, u64

KINDS = ("heap", "stack", "anonymous", "file", "shared", "special", "image")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# So many processes are named where a name fits several.
NAMED = 8


def size(text: str) -> int:
    """Parse a size: bytes, or with K, M, G or T multiples of 1,024.

    Examples
    --------
    >>> size("64M"), size("4096")
    (67108864, 4096)
    """
    unit = UNITS.get(text[-1:].upper())
    if unit is None:
        return u64(text)
    return u64(text[:-1]) * unit


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add what says where the memory is."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="a process: its number if all are digits, otherwise its name",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--file", metavar="PATH", help="a file instead of a process")
    group.add_argument("--core", metavar="PATH", help="an ELF core dump instead of a process")
    parser.add_argument(
        "-v",
        dest="verbose",
        action="count",
        default=0,
        help="say more on standard error: -v what was done, -vv what could not be read, "
        "-vvv every region",
    )


def add_regions(parser: argparse.ArgumentParser) -> None:
    """Add what says which regions are looked at."""
    group = parser.add_argument_group("regions")
    group.add_argument(
        "--all", action="store_true", help="also regions that the process itself cannot write"
    )
    group.add_argument(
        "--all-modules",
        action="store_true",
        help="only what is mapped from files: the program and all its libraries",
    )
    group.add_argument(
        "--module", metavar="NAME", help="only this file's: its name, its path, or a pattern with *"
    )
    group.add_argument(
        "--permissions", metavar="RWX", help="only those with these permissions; !w: without w"
    )
    group.add_argument(
        "--kind", metavar="KIND", help=f"only of these kinds, with commas: {', '.join(KINDS)}"
    )
    group.add_argument("--start", metavar="ADDR", type=u64, help="only from this address on")
    group.add_argument("--end", metavar="ADDR", type=u64, help="only below this address")
    group.add_argument("--min-size", metavar="SIZE", type=size, help="no smaller ones (64K)")
    group.add_argument("--max-size", metavar="SIZE", type=size, help="no larger ones (2G)")


def add_scanning(parser: argparse.ArgumentParser, alignment: str) -> None:
    """Add what says how it is searched, and where; `alignment` tells that option's default."""
    parser.add_argument(
        "--alignment",
        metavar="N",
        type=positive,
        help=f"only addresses that are multiples of N (default: {alignment})",
    )
    parser.add_argument("--threads", metavar="N", type=positive, help="default: one a core")
    parser.add_argument("--stop", action="store_true", help="stop the process during each scan")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object a line; addresses are hex strings"
    )
    add_regions(parser)


def open_target(args: argparse.Namespace) -> scan.Source:
    """Open what the arguments name.

    Parameters
    ----------
    args : argparse.Namespace
        As `add_target` declares them.

    Returns
    -------
    gmemx.scan.Source
        To be closed by the caller.

    Raises
    ------
    ValueError
        Where none or several were named.
    LookupError
        Where no process, or more than one, has that name.
    PermissionError
        Where the system refuses.
    """
    path = args.file or args.core
    if (args.target is None) == (path is None):
        raise ValueError("one TARGET is wanted: a process, --file PATH or --core PATH")
    if args.file is not None:
        return scan.open_file(args.file)
    if args.core is not None:
        return scan.open_core(args.core)
    if args.target.isascii() and args.target.isdigit():
        return scan.open_process(int(args.target))
    found = [pid for pid in scan.find_processes_by_name(args.target) if pid != os.getpid()]
    if not found:
        raise LookupError(f"no process is called {args.target!r}")
    if len(found) > 1:
        some = ", ".join(map(str, found[:NAMED])) + (", ..." if len(found) > NAMED else "")
        raise LookupError(
            f"{len(found)} processes are called {args.target!r}: say which by its number ({some})"
        )
    return scan.open_process(found[0])


def regions_of(source: scan.Source, args: argparse.Namespace, *, writable: bool) -> scan.Regions:
    """List the regions that the arguments ask for.

    Parameters
    ----------
    source : gmemx.scan.Source
        Where.
    args : argparse.Namespace
        As `add_scanning` declares them.
    writable : bool
        Whether those that the process cannot write are left out, unless they are asked for.

    Returns
    -------
    gmemx.scan.Regions
        At least one.

    Raises
    ------
    ValueError
        Where there are none.
    """
    permissions = args.permissions
    if permissions is None:
        permissions = "rw" if writable and not args.all and source.kind != "file" else "r"
    kind = None
    if args.kind is not None:
        kind = [word.strip() for word in args.kind.split(",")]
    elif args.all_modules:
        kind = ["file"]
    else:
        # The kernel's own pages are no memory of the process's.
        kind = [word for word in KINDS if word != "special"]
    regions = source.regions(
        permissions=permissions,
        kind=kind,
        module=args.module,
        start=args.start,
        end=args.end,
        min_size=args.min_size,
        max_size=args.max_size,
    )
    if not regions and not source.regions():
        raise ValueError(f"{name_of(source)} has no memory: it is a kernel's thread, or just ended")
    if not regions:
        raise ValueError(f"{name_of(source)} has no such regions (permissions {permissions!r})")
    return regions


def name_of(source: scan.Source) -> str:
    """Say in a few words what a source is.

    Parameters
    ----------
    source : gmemx.scan.Source

    Returns
    -------
    str
    """
    if isinstance(source, scan.Process):
        return f"{source.name} ({source.pid})"
    return f"the {source.kind}"


class Atlas:
    """Names for addresses: in which region each is, and how far from its beginning.

    What is mapped from a file is counted from where the file is mapped first, so that the
    number is the same in the next run, wherever the system maps it then.

    Parameters
    ----------
    regions : iterable of gmemx.scan.Region
        Sorted by address.
    """

    def __init__(self, regions: Iterable[scan.Region]) -> None:
        self._regions = list(regions)
        self._starts = [region.start for region in self._regions]
        self._bases: dict[str, int] = {}
        for region in self._regions:
            if region.kind == "file":
                self._bases.setdefault(region.name, region.start)

    def find(self, address: int) -> scan.Region | None:
        """Give the region that an address is in."""
        i = bisect.bisect_right(self._starts, address) - 1
        if i < 0 or address >= self._regions[i].end:
            return None
        return self._regions[i]

    def place(self, address: int) -> str:
        """Name an address.

        Parameters
        ----------
        address : int

        Returns
        -------
        str
            Such as ``[heap]+0x12a0``, or ``?`` where nothing is mapped.
        """
        region = self.find(address)
        if region is None:
            return "?"
        base = self._bases.get(region.name, region.start)
        return f"{_title(region)}+{address - base:#x}"

    def record(self, address: int) -> dict[str, Any]:
        """Do as `place`, for JSON: address, region, offset and permissions."""
        region = self.find(address)
        found: dict[str, Any] = {"address": f"{address:#x}", "region": None}
        if region is not None:
            base = self._bases.get(region.name, region.start)
            found |= {
                "region": region.name or region.kind,
                "kind": region.kind,
                "permissions": region.permissions,
                "offset": f"{address - base:#x}",
            }
        return found


def _title(region: scan.Region) -> str:
    if region.kind == "file":
        return os.path.basename(region.name)
    return region.name or region.kind


def describe(regions: Iterable[scan.Region]) -> list[tuple[str, str, str, str, str]]:
    """Make a table's rows of regions: from, to, size, permissions, what it is."""
    return [
        (
            f"{region.start:#x}",
            f"{region.end:#x}",
            f"{region.size:,}",
            region.permissions,
            region.name or region.kind,
        )
        for region in regions
    ]
