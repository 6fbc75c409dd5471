"""The tables of docs/interop.md, made of what the cases found.

``PYTHONPATH=tests python -m interop.table`` writes them.
"""

import importlib.metadata
import re
from pathlib import Path

from .ask import outcomes
from .peers import KINDS, MODULES, STANDARD
from .routes import ROUTES
from .situations import DTYPES, SITUATIONS

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "interop.md"
GROUPS = {
    "bool": ["bool"],
    "int8 to uint64": [name for name in DTYPES if "int" in name and name != "int4"],
    "float16 to float64": ["float16", "float32", "float64"],
    "bfloat16": ["bfloat16"],
    "float8": ["float8_e4m3fn", "float8_e5m2"],
    "int4": ["int4"],
}
OTHERS = [name for name in SITUATIONS if name != "contiguous"]


def version(library):
    return None if library in STANDARD else importlib.metadata.version(MODULES[library][0])


def found(route):
    """By dtype, what became of each situation."""
    all_of_them = outcomes(route.library)
    return {dtype: all_of_them[f"{route.name}, {dtype}"].get("found") or {} for dtype in DTYPES}


def words(kinds):
    """A cell for all that was found in its place."""
    texts = sorted({f"`{kind}`" if kind.endswith("Error") else kind for kind in kinds})
    return " or ".join(texts) if texts else "-"


def head(route):
    return f"| {route.protocol} | {route.direction} {route.library} | `{route.code}` |"


def dtype_row(route):
    by_dtype = found(route)
    cells = [
        words({by_dtype[name]["contiguous"] for name in names if "contiguous" in by_dtype[name]})
        for names in GROUPS.values()
    ]
    return f"{head(route)} {' | '.join(cells)} |"


def situation_row(route):
    """Of the dtypes that the route knows, and without the names of those they come as."""
    known = [
        of for of in found(route).values() if not of.get("contiguous", "Error").endswith("Error")
    ]
    cells = [
        words({of[name].partition(" as ")[0] for of in known if name in of}) for name in OTHERS
    ]
    return f"{head(route)} {' | '.join(cells)} |"


def table(columns, rows):
    names = ["protocol", "way", "call", *columns]
    return "\n".join((f"| {' | '.join(names)} |", "|---" * len(names) + "|", *rows))


def written():
    """The page with its tables as they are today."""
    text = PAGE.read_text(encoding="utf-8")
    versions = [f"{name} {version(name)}" for name in KINDS if name not in STANDARD]
    parts = {
        "versions": f"{', '.join(versions)}.",
        "dtypes": table(GROUPS, map(dtype_row, ROUTES)),
        "situations": table(OTHERS, map(situation_row, ROUTES)),
    }
    for name, part in parts.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda match, part=part: f"{match[1]}{part}\n{match[2]}",
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
