"""Words that scan: the first time, and then again to narrow what was found."""

from __future__ import annotations

from collections.abc import Sequence

from gmemx.cli.interactive_engine import Engine, Rest, Word
from gmemx.cli.values import parse_number

TYPES = ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64")
FAMILIES = ("all", "ints", "floats")
# Operations that compare with a number, and that compare with an earlier scan.
VALUED = ("eq", "ne", "lt", "gt", "le", "ge")
EARLIER = {"inc": "increased", "dec": "decreased", "changed": "changed", "unchanged": "unchanged"}
EARLIER |= {"increased": "increased", "decreased": "decreased"}
BY = {"incby": "increased_by", "decby": "decreased_by"}
# What may follow the number of a comparison: how near is equal.
NEARNESS = ("tolerance", "ulps", "rounded")

FILTER_HELP = """keep the matches that fit
filter eq|ne|lt|gt|le|ge V            compared with a number
  then: tolerance D, ulps N or rounded DECIMALS, for what counts as equal
filter between A B                    A and B included
filter inc|dec|changed|unchanged      compared with the last scan
filter incby|decby N                  by exactly N; N%: by that or more; A% B%: from to
  the last two also: first, or the name of a checkpoint, to compare with that
filter checkpoint A B C M%            the steps from A to B and from B to C differ by at most M%"""


def first(engine: Engine, rest: Rest) -> None:
    """Scan everything, for a number or for whatever there is."""
    options = _comparison(rest) if rest else {}
    label = "scanning" if rest else "remembering"
    with engine.scanning(label) as more:
        engine.regions = engine.regions.refresh()
        engine.scanner.initial_scan(**options, **more)


def rescan(engine: Engine, rest: Rest) -> None:
    """Read all matches anew; without any, remember everything."""
    engine.wanted(rest, 0, 0, "rescan")
    if not engine.scanned:
        first(engine, [])
        return
    with engine.scanning("reading anew") as more:
        engine.scanner.rescan(**more)


def narrow(engine: Engine, rest: Rest) -> None:
    """Narrow the matches."""
    if not rest:
        raise ValueError("say how: filter " + "|".join(_operations()))
    operation = rest[0]
    scanner = engine.scanner
    if operation not in _operations():
        raise LookupError(f"there is no filter {operation!r}: {', '.join(_operations())}")
    if not engine.scanned:
        # As a first scan where that is possible: nothing need be remembered for it.
        if operation in (*VALUED, "between"):
            first(engine, rest)
            return
        raise ValueError("there is nothing to compare with yet: scan or rescan remembers it")
    with engine.scanning("filtering") as more:
        if operation in (*VALUED, "between"):
            options = _comparison(rest)
            compare, value = options.pop("compare"), options.pop("value")
            if compare == "between":
                scanner.filter_between(value, options["high"], **more)
            else:
                getattr(scanner, f"filter_{compare}")(value, **options, **more)
        elif operation in EARLIER:
            engine.wanted(rest, 1, 2, f"filter {operation} [first|CHECKPOINT]")
            against = {"against": rest[1]} if rest[1:] else {}
            getattr(scanner, f"filter_{EARLIER[operation]}")(**against, **more)
        elif operation in BY:
            _narrow_by(engine, rest, more)
        else:
            engine.wanted(rest, 5, 5, "filter checkpoint A B C M%")
            margin = parse_number(rest[4].removesuffix("%"))
            scanner.filter_checkpoint(*rest[1:4], float(margin), **more)


def _narrow_by(engine: Engine, rest: Rest, more: dict[str, object]) -> None:
    operation, *rest = rest
    percents = [word for word in rest if word.endswith("%")]
    numbers = percents or rest[:1]
    others = rest[len(numbers) :]
    if not 1 <= len(numbers) <= 2 or len(others) > 1 or rest[: len(numbers)] != numbers:
        raise ValueError(f"say: filter {operation} N, or N% or A% B%; then first or a checkpoint")
    against = {"against": others[0]} if others else {}
    amounts = [parse_number(word.removesuffix("%")) for word in numbers]
    method = f"filter_{BY[operation]}" + ("_percent" if percents else "")
    getattr(engine.scanner, method)(*amounts, **against, **more)


def _comparison(rest: Rest) -> dict[str, object]:
    """Make the arguments of a first scan of ``eq 5`` and the like."""
    operation, *rest = rest
    if operation == "between":
        if len(rest) != 2:
            raise ValueError("say: between A B")
        low, high = map(parse_number, rest)
        return {"compare": "between", "value": low, "high": high}
    if operation not in VALUED:
        raise LookupError(f"{operation!r} is none of {', '.join((*VALUED, 'between'))}")
    if not rest:
        raise ValueError(f"say: {operation} V")
    options = {"compare": operation, "value": parse_number(rest[0])}
    if rest[1:]:
        if len(rest) != 3 or rest[1] not in NEARNESS:
            raise ValueError(f"say: {operation} V [tolerance D|ulps N|rounded DECIMALS]")
        options[rest[1]] = parse_number(rest[2])
    return options


def checkpoint(engine: Engine, rest: Rest) -> None:
    """Save, list or delete what the values were at a moment."""
    usage = "checkpoint save NAME|list|delete NAME"
    action, *names = rest or [""]
    if action == "list" and not names:
        found = list(engine.scanner.list_checkpoints())
        engine.output.table(
            ("checkpoint",), [(name,) for name in found], [{"checkpoint": name} for name in found]
        )
    elif action == "save" and len(names) == 1:
        with engine.output.progress("saving") as progress:
            engine.scanner.save_checkpoint(names[0], threads=engine.threads, progress=progress)
        engine.output.say(f"saved {names[0]}", saved=names[0])
    elif action == "delete" and len(names) == 1:
        engine.scanner.delete_checkpoint(names[0])
        engine.output.say(f"deleted {names[0]}", deleted=names[0])
    else:
        raise ValueError(f"say: {usage}")


def kind(engine: Engine, rest: Rest) -> None:
    """Say or change what is scanned for; a change forgets the matches."""
    engine.wanted(rest, 0, 1, "type [T]")
    if rest:
        engine.scanner.set_value_type(rest[0])
        engine.scanned = False
    engine.output.say(engine.type_name(), types=list(engine.scanner.types))


def undo(engine: Engine, rest: Rest) -> None:
    """Take the last scan back."""
    engine.wanted(rest, 0, 0, "undo")
    before = len(engine.scanner)
    engine.scanner.undo()
    engine.tell(before, 0.0)


def history(engine: Engine, rest: Rest) -> None:
    """List the scans that led here."""
    engine.wanted(rest, 0, 0, "history")
    steps = list(engine.scanner.history)
    engine.output.table(
        ("scan", "matches"),
        [(step.description, f"{step.count:,}") for step in steps],
        [{"scan": step.description, "count": step.count} for step in steps],
    )


def _operations() -> list[str]:
    return [*VALUED, "between", *EARLIER, *BY, "checkpoint"]


def _complete_filter(engine: Engine, rest: Rest) -> Sequence[str]:
    if not rest:
        return _operations()
    checkpoints = list(engine.scanner.list_checkpoints())
    if rest[0] == "checkpoint" and len(rest) <= 3:
        return checkpoints
    if (rest[0] in EARLIER and len(rest) == 1) or (rest[0] in BY and len(rest) >= 2):
        return ["first", *checkpoints]
    if rest[0] in VALUED and len(rest) == 2:
        return NEARNESS
    return ()


def _complete_checkpoint(engine: Engine, rest: Rest) -> Sequence[str]:
    if not rest:
        return ("save", "list", "delete")
    return list(engine.scanner.list_checkpoints()) if rest == ["delete"] else ()


def _complete_scan(engine: Engine, rest: Rest) -> Sequence[str]:
    return () if rest else (*VALUED, "between")


def _complete_type(engine: Engine, rest: Rest) -> Sequence[str]:
    return () if rest else (*TYPES, *FAMILIES)


WORDS = {
    "scan": Word(
        "scan [eq|ne|lt|gt|le|ge V | between A B]",
        "begin anew, with all values or with those that fit",
        first,
        _complete_scan,
    ),
    "filter": Word("filter HOW ...", FILTER_HELP, narrow, _complete_filter),
    "rescan": Word("rescan", "read all matches anew; the first time, remember everything", rescan),
    "type": Word(
        "type [T]", "say or change the type; a change forgets all matches", kind, _complete_type
    ),
    "checkpoint": Word(
        "checkpoint save NAME|list|delete NAME",
        "remember the values of this moment by a name",
        checkpoint,
        _complete_checkpoint,
    ),
    "undo": Word("undo", "take the last scan back", undo),
    "history": Word("history", "list the scans that led here", history),
}
