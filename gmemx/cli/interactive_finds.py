"""Words that look elsewhere than at the matches: bytes, text, pointers, regions; and help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gmemx import scan
from gmemx.cli import interactive_scans, interactive_values
from gmemx.cli.interactive_engine import Engine, Rest, Word
from gmemx.cli.output import amount
from gmemx.cli.targets import describe

# How many places and paths are listed, and how far a path may go.
LISTED = 20
DEPTH, OFFSET = 3, 1024
KEYS = (
    ("Tab", "completes a word"),
    ("Ctrl-C", "stops a scan, or clears the line"),
    ("Ctrl-D", "quits"),
)


def pattern(engine: Engine, rest: Rest) -> None:
    """Find bytes."""
    if not rest:
        raise ValueError("say: pattern DE AD ?? EF")
    wanted = scan.parse_hex_pattern(" ".join(rest))
    with engine.output.progress("searching") as progress:
        found = engine.source.find(wanted, threads=engine.threads, progress=progress)
    _list(engine, found)


def text(engine: Engine, rest: Rest) -> None:
    """Find a text."""
    options = {"ignore_case": rest.pop() == "nocase"} if rest[1:] and rest[-1] == "nocase" else {}
    if rest[1:] and rest[-1].startswith("utf-"):
        options["encoding"] = rest.pop()
    engine.wanted(rest, 1, 1, 'text "..." [utf-16-le] [nocase]')
    with engine.output.progress("searching") as progress:
        found = scan.scan_text(
            engine.source,
            None,
            rest[0],
            threads=engine.threads,
            progress=progress,
            **options,
        )
    _list(engine, found)


def _list(engine: Engine, found: Any) -> None:
    atlas = engine.atlas()
    listed = found.tolist() if engine.output.as_json else found[:LISTED].tolist()
    if listed or engine.output.as_json:
        engine.output.table(
            ("address", "where"),
            [(f"{address:#x}", atlas.place(address)) for address in listed],
            [atlas.record(address) for address in listed],
            (0, 1),
        )
    more = f", of which {LISTED} are listed" if len(found) > LISTED else ""
    if not engine.output.as_json:
        engine.output.say(f"{len(found):,} found{more}")


def pointers(engine: Engine, rest: Rest) -> None:
    """Find paths of pointers that lead from a module to an address."""
    engine.wanted(rest, 1, 3, "pointers ADDR [DEPTH [OFFSET]]")
    address = interactive_values.address_of(engine, rest[0])
    depth = int(rest[1]) if rest[1:] else DEPTH
    offset = int(rest[2], 0) if rest[2:] else OFFSET
    with engine.output.progress("mapping pointers") as progress:
        pointer_map = engine.source.pointers(threads=engine.threads, progress=progress)
    with engine.output.progress("following pointers") as progress:
        paths = pointer_map.paths(address, depth=depth, max_offset=offset, progress=progress)
    listed = paths if engine.output.as_json else paths[:LISTED]
    if listed or engine.output.as_json:
        engine.output.table(
            ("path",),
            [(str(path),) for path in listed],
            [
                {
                    "module": path.module,
                    "offset": f"{path.offset:#x}",
                    "offsets": list(path.offsets),
                }
                for path in listed
            ],
        )
    if not engine.output.as_json:
        more = f", of which {LISTED} are listed" if len(paths) > LISTED else ""
        engine.output.say(f"{len(paths):,} paths{more}")


def regions(engine: Engine, rest: Rest) -> None:
    """List regions."""
    engine.wanted(rest, 0, 1, "regions [all]")
    if rest and rest != ["all"]:
        raise ValueError("say: regions [all]")
    engine.regions = engine.regions.refresh()
    listed = engine.source.regions() if rest else engine.regions
    engine.output.table(
        ("from", "to", "bytes", "", "what"),
        describe(listed),
        [
            {
                "start": f"{region.start:#x}",
                "end": f"{region.end:#x}",
                "size": region.size,
                "permissions": region.permissions,
                "kind": region.kind,
                "name": region.name,
            }
            for region in listed
        ],
        (0, 1, 4),
    )
    if not engine.output.as_json:
        engine.output.say(f"{len(listed):,} regions, {amount(listed.size)}")


def tell_help(engine: Engine, rest: Rest) -> None:
    """List the words, or tell of one."""
    engine.wanted(rest, 0, 1, "help [WORD]")
    if rest:
        word = engine.word(rest[0])
        engine.output.say(f"{word.usage}\n{word.help}", usage=word.usage, help=word.help)
        return
    lines = [(word.usage, word.help.partition("\n")[0]) for word in engine.words.values()]
    engine.output.table(
        ("say", "what it does"),
        [*lines, ("", ""), *KEYS],
        [{"usage": usage, "help": line} for usage, line in lines],
        (0, 1),
    )


def leave(engine: Engine, rest: Rest) -> None:
    """End the session."""
    engine.wanted(rest, 0, 0, "quit")
    engine.open = False


def _complete_help(engine: Engine, rest: Rest) -> Sequence[str]:
    return () if rest else sorted(engine.words)


WORDS = {
    "help": Word("help [WORD]", "list the words, or tell of one", tell_help, _complete_help),
    **interactive_scans.WORDS,
    **interactive_values.WORDS,
    "pattern": Word("pattern HEX", "find bytes: DE AD ?? EF, with ? for any half byte", pattern),
    "text": Word(
        'text "TEXT" [utf-16-le] [nocase]', "find a text, in UTF-8 unless it is said", text
    ),
    "pointers": Word(
        "pointers ADDR [DEPTH [OFFSET]]",
        "find paths of pointers that lead to an address from a module\n"
        f"unless it is said, up to {DEPTH} steps of up to {OFFSET} bytes",
        pointers,
        interactive_values.complete_number,
    ),
    "regions": Word(
        "regions [all]",
        "list the regions that are scanned, or all",
        regions,
        lambda _, rest: () if rest else ("all",),
    ),
    "quit": Word("quit", "end; so does the end of input", leave),
}
