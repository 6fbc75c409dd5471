"""The page of the Cython interface, made of the declarations and comments of the .pxd files."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

# The modules that other extensions cimport, and the files that declare what they give.
MODULES = {
    "gmemx.generative": ["generative"],
    "gmemx.array": ["array"],
    "gmemx.tensor": ["tensor"],
    "gmemx.pool": ["pool"],
    "gmemx.scan": ["_scan_source"],
    "gmemx.plugin": ["plugin", "_plugin_response"],
    "gmemx.status": ["status"],
    "gmemx.runtime": ["runtime"],
}

INTRO = """# The Cython interface

What other extensions cimport, made from the `.pxd` files of the package. It needs the folder
`gmemx.get_include()` in `include_dirs`, and no linking: classes are reached through their modules.
[Writing a Cython extension](../cython.md) builds one from scratch.

- Methods whose names begin with `c_` run without the GIL.
- `except -1` is an exception that was set; a `nogil` block needs nothing more for it.
- Methods and fields are only ever added at the end, so that an extension compiled against one
  version works with the next.
- All functions of the [C manual](c.md) are in `gmemx.libgmemx`. Who calls them directly links the
  library `gmemx` besides.
"""


def _fenced(lines: list[str]) -> str:
    return "```cython\n" + textwrap.dedent("\n".join(lines)).strip("\n") + "\n```"


def _class(lines: list[str]) -> Iterator[str]:
    """Fields, then methods, each with the remarks before them."""
    first = next(
        (at for at, line in enumerate(lines) if "(" in line and line.lstrip().startswith("cdef ")),
        len(lines),
    )
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    if any(line.strip() for line in lines[first:]):
        yield _fenced(lines[first:])
    if any(line.strip() for line in lines[:first]):
        yield "The fields, of which most are for the functions of `gmemx.h`:"
        yield _fenced(lines[:first])


def _chapters(source: str) -> Iterator[str]:
    """Classes and functions of one file, as Markdown."""
    rest: list[str] = []
    lines = re.sub(r'\A""".*?"""\n', "", source, flags=re.DOTALL).split("\n")
    while lines:
        line = lines.pop(0)
        if found := re.match(r"cdef class (\w+)(\(\w+\))?:", line):
            # What stands before a class, remark and decorators, is not about functions.
            while rest and rest[-1].startswith(("#", "@")):
                rest.pop()
            inside = []
            while lines and (not lines[0].strip() or lines[0].startswith(" ")):
                inside.append(lines.pop(0))
            yield f"### `{found[1]}{found[2] or ''}`"
            yield from _class(inside)
        elif not line.startswith(("from ", "cimport ", "import ")):
            rest.append(line)
    if any(line.strip() for line in rest):
        yield "### Functions"
        yield _fenced(rest)


def page(package: Path) -> str:
    """The whole page.

    Parameters
    ----------
    package : Path
        The folder with the .pxd files.

    Returns
    -------
    str
        Markdown.
    """
    parts = [INTRO]
    for module, names in MODULES.items():
        sources = [(package / f"{name}.pxd").read_text(encoding="utf-8") for name in names]
        parts.append(f"## `{module}`")
        said = ast.get_docstring(ast.parse(re.match(r'(""".*?""")?', sources[0], re.DOTALL)[0]))
        if said:
            parts.append(said)
        for source in sources:
            parts += _chapters(source)
    return "\n\n".join(parts) + "\n"
