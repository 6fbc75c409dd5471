"""Words that show matches, change them, hold them still and keep them for later."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from gmemx import scan
from gmemx.cli.interactive_engine import Engine, Rest, Word
from gmemx.cli.values import parse_address, parse_number, plain

# How many matches are listed, and how many may be held still or watched at once.
LISTED, HELD = 20, 1000
# How long is watched, in seconds.
WATCHED = 10.0
OPERATIONS = {"add": "added to", "sub": "subtracted from", "mul": "multiplied", "div": "divided"}


def show(engine: Engine, rest: Rest) -> None:
    """List matches: where they are, what they are now, and what they were at the last scan."""
    engine.wanted(rest, 0, 1, "list [N|all]")
    limit = None if rest == ["all"] else int(rest[0]) if rest else LISTED
    if limit is not None and limit < 1:
        raise ValueError(f"{limit} is too few")
    if not engine.scanned:
        raise ValueError("nothing was scanned yet: scan or rescan begins")
    scanner, atlas = engine.scanner, engine.atlas()
    several = len(scanner.types) > 1
    matches = scanner.get_matches(limit)
    now = _now(engine, matches)
    labels = any(match.label for match in matches) or bool(engine.frozen)
    heads = ["#", "address", "now", "at the last scan", "before", "where"]
    heads[2:2] = ["type"] if several else []
    heads += [""] if labels else []
    rows, records = [], []
    for i, (match, value) in enumerate(zip(matches, now, strict=True)):
        notes = [match.label] if match.label else []
        notes += ["frozen"] if match.address in engine.frozen else []
        row = [f"{i}", f"{match.address:#x}"]
        row += [match.type] if several else []
        row += [_text(value), _text(match.value), _text(match.previous)]
        row += [atlas.place(match.address)]
        row += [", ".join(notes)] if labels else []
        rows.append(row)
        records.append(
            {
                "index": i,
                **atlas.record(match.address),
                "type": match.type,
                "now": None if value is None else plain(value),
                "value": plain(match.value),
                "previous": None if match.previous is None else plain(match.previous),
                "label": match.label,
                "frozen": match.address in engine.frozen,
            }
        )
    engine.output.table(heads, rows, records, (0, len(heads) - 1 - labels, len(heads) - 1))
    more = len(scanner) - len(rows)
    if more and not engine.output.as_json:
        engine.output.say(f"and {more:,} more: list N, list all")


def _now(engine: Engine, matches: Sequence[Any]) -> list[Any]:
    """Read live values; None where one cannot be read."""
    found: dict[tuple[int, str], Any] = {}
    for kind in engine.scanner.types:
        addresses = [match.address for match in matches if match.type == kind]
        if addresses:
            values, ok = engine.source.read_many(addresses, kind, partial=True)
            for address, value, there in zip(addresses, values, ok, strict=True):
                found[address, kind] = value if there else None
    return [found[match.address, match.type] for match in matches]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def put(engine: Engine, rest: Rest) -> None:
    """Write a value to all matches, or to an address."""
    engine.wanted(rest, 1, 2, "set V [ADDR]")
    value = parse_number(rest[0])
    if rest[1:]:
        address = address_of(engine, rest[1])
        engine.scanner.set_value_at(address, value)
        engine.output.say(f"set {address:#x}", written=1)
    else:
        _wrote(engine, engine.scanner.set_value(value))


def _calculation(name: str) -> Word:
    def run(engine: Engine, rest: Rest) -> None:
        engine.wanted(rest, 1, 2, f"{name} V [ADDR]")
        value = parse_number(rest[0])
        address = address_of(engine, rest[1]) if rest[1:] else None
        _wrote(engine, getattr(engine.scanner, f"{name}_value")(value, address))

    text = "V is {} all matches, or the value at an address"
    if name in ("mul", "div"):
        text = "all matches, or the value at an address, {} by V"
    return Word(f"{name} V [ADDR]", text.format(OPERATIONS[name]), run, _complete_put)


def _wrote(engine: Engine, written: int | None) -> None:
    written = 1 if written is None else written
    count = len(engine.scanner)
    text = f"{written:,} written" + (f" of {count:,}" if written < count else "")
    engine.output.say(text, written=written)


def freeze(engine: Engine, rest: Rest) -> None:
    """Hold values still."""
    usage = "freeze [V|now [ADDR]] [up|down], freeze list"
    if rest == ["list"]:
        _frozen(engine)
        return
    direction = rest.pop() if rest and rest[-1] in ("up", "down") else None
    engine.wanted(rest, 0, 2, usage)
    value = None if not rest or rest[0] == "now" else parse_number(rest[0])
    places = _places(engine, [address_of(engine, rest[1])] if rest[1:] else None, "held still")
    for address, kind in places:
        there = engine.source.read_value(address, kind) if value is None else value
        held = engine.source.freeze(address, there, kind, direction=direction)
        if address in engine.frozen:
            engine.frozen.pop(address).stop()
        engine.frozen[address] = held
    engine.output.say(f"{len(places):,} held still", frozen=len(places))


def _frozen(engine: Engine) -> None:
    atlas = engine.atlas()
    engine.output.table(
        ("address", "where", "value", "writes", ""),
        [
            (
                *(f"{address:#x}", atlas.place(address), str(held.value), f"{held.writes:,}"),
                "" if held.active else "ended",
            )
            for address, held in engine.frozen.items()
        ],
        [
            atlas.record(address)
            | {"value": plain(held.value), "writes": held.writes, "active": held.active}
            for address, held in engine.frozen.items()
        ],
        (0, 1, 4),
    )


def unfreeze(engine: Engine, rest: Rest) -> None:
    """Let go of what is held still."""
    engine.wanted(rest, 0, 1, "unfreeze [ADDR]")
    if rest:
        address = address_of(engine, rest[0])
        if address not in engine.frozen:
            raise LookupError(f"{address:#x} is not held still")
        engine.frozen.pop(address).stop()
        count = 1
    else:
        count = len(engine.frozen)
        engine.close()
    engine.output.say(f"{count:,} let go", unfrozen=count)


def label(engine: Engine, rest: Rest) -> None:
    """Give an address a name, or list the names."""
    if not rest:
        labels, atlas = engine.scanner.labels, engine.atlas()
        engine.output.table(
            ("label", "address", "where"),
            [(text, f"{address:#x}", atlas.place(address)) for address, text in labels.items()],
            [atlas.record(address) | {"label": text} for address, text in labels.items()],
            (0, 2),
        )
        return
    engine.wanted(rest, 2, max(2, len(rest)), "label ADDR TEXT")
    address, text = address_of(engine, rest[0]), " ".join(rest[1:])
    engine.scanner.label(address, text)
    engine.output.say(f"{address:#x} is {text}", address=f"{address:#x}", label=text)


def watch(engine: Engine, rest: Rest) -> None:
    """Print values whenever they change."""
    engine.wanted(rest, 0, 2, "watch [SECONDS [ADDR]]")
    seconds = float(rest[0]) if rest else WATCHED
    places = _places(engine, [address_of(engine, rest[1])] if rest[1:] else None, "watched")
    kinds = {kind for _, kind in places}
    if len(kinds) > 1:
        raise ValueError("matches of several types cannot be watched at once: say an address")
    addresses = [address for address, _ in places]
    atlas, began, count = engine.atlas(), time.time(), 0
    try:
        for change in engine.source.watch(addresses, kinds.pop(), timeout=seconds):
            count += 1
            engine.output.say(
                f"{change.time - began:8.3f} s  {change.address:#x}  {change.old} -> {change.new}"
                f"  {atlas.place(change.address)}",
                **atlas.record(change.address),
                time=change.time,
                old=plain(change.old),
                new=plain(change.new),
            )
            engine.output.out.flush()
    except KeyboardInterrupt:
        pass
    engine.output.say(f"{count:,} changes", changes=count)


def save(engine: Engine, rest: Rest) -> None:
    """Keep matches, checkpoints and labels in a file."""
    engine.wanted(rest, 1, 1, "save PATH")
    engine.scanner.save(rest[0])
    engine.output.say(f"saved {rest[0]}", saved=rest[0])


def load(engine: Engine, rest: Rest) -> None:
    """Go on from a file."""
    engine.wanted(rest, 1, 1, "load PATH")
    engine.scanner = scan.Scanner.load(rest[0], engine.source, engine.regions)
    engine.scanned = True
    engine.tell(None, 0.0)


def address_of(engine: Engine, text: str) -> int:
    """Parse an address, or ``#3``, which is that of the match which is listed as 3."""
    if not text.startswith("#"):
        return parse_address(text)
    if not text[1:].isdigit():
        raise ValueError(f"{text!r} is not the number of a match")
    found = next(islice(engine.scanner.get_matches(int(text[1:]) + 1), int(text[1:]), None), None)
    if found is None:
        raise LookupError(f"there is no match {text}: there are {len(engine.scanner):,}")
    return found.address


def _places(engine: Engine, addresses: Iterable[int] | None, what: str) -> list[tuple[int, str]]:
    """Pair addresses with their types; all matches, if they are not too many."""
    types = list(engine.scanner.types)
    if addresses is not None:
        known = {match.address: match.type for match in engine.scanner.get_matches(HELD)}
        return [(address, known.get(address, types[0])) for address in addresses]
    count = len(engine.scanner)
    if not 0 < count <= HELD:
        raise ValueError(f"{count:,} matches cannot be {what} at once: 1 to {HELD:,} can")
    return [(match.address, match.type) for match in engine.scanner.get_matches()]


def _numbers(engine: Engine) -> list[str]:
    return [f"#{i}" for i in range(min(len(engine.scanner), LISTED))]


def _complete_put(engine: Engine, rest: Rest) -> Sequence[str]:
    return _numbers(engine) if len(rest) == 1 else ()


def _complete_freeze(engine: Engine, rest: Rest) -> Sequence[str]:
    if not rest:
        return ("now", "list", "up", "down")
    return (*_numbers(engine), "up", "down") if len(rest) == 1 else ("up", "down")


def complete_number(engine: Engine, rest: Rest) -> Sequence[str]:
    return () if rest else _numbers(engine)


def _complete_unfreeze(engine: Engine, rest: Rest) -> Sequence[str]:
    return () if rest else [f"{address:#x}" for address in engine.frozen]


WORDS = {
    "list": Word("list [N|all]", f"list matches, {LISTED} unless another number is said", show),
    "set": Word(
        "set V [ADDR]",
        "write V to all matches, or to an address; #3 is the address of match 3",
        put,
        _complete_put,
    ),
    **{name: _calculation(name) for name in OPERATIONS},
    "freeze": Word(
        "freeze [V|now [ADDR]] [up|down]",
        "hold matches, or an address, at V or at what they are now\n"
        "freeze ... up: they may still grow; down: they may still shrink\n"
        "freeze list: what is held still",
        freeze,
        _complete_freeze,
    ),
    "unfreeze": Word("unfreeze [ADDR]", "let go of it, or of all", unfreeze, _complete_unfreeze),
    "label": Word(
        "label [ADDR TEXT]", "give an address a name; list the names", label, complete_number
    ),
    "watch": Word(
        "watch [SECONDS [ADDR]]", f"print what changes, for {WATCHED:g} seconds or to Ctrl-C", watch
    ),
    "save": Word("save PATH", "keep matches, checkpoints and labels in a file", save),
    "load": Word("load PATH", "go on from a file", load),
}
