"""The C manual: pages made of the declarations and comments of a header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What the functions and types of each chapter begin with; the first chapter that fits.
CHAPTERS = {
    "Generative memory": ("context", "fetch", "write", "overlay", "fill_tensor", "folding"),
    "Virtual arrays": ("array", "distribution"),
    "Tensors": ("tensor", "view", "dtype", "reduction", "binary"),
    "Shared pools": ("pool", "buffer", "survey", "process_info", "cuda"),
    "The scanner": (
        *("scan", "source", "region", "range", "found", "freez", "pointer", "paths", "process"),
        *("value_type", "skip", "pattern", "edit", "match", "session", "image", "core"),
    ),
    "Plugins": ("plugin", "minisign"),
    "The library itself": ("",),
}
# Where gmemx_plugin.h goes on with what its macro is made of.
WRITTEN = "#if defined(__GNUC__)"
# What an enum is in C before C23, and the type that it is made of since.
ALIAS = re.compile(r"typedef (enum|u?int\d+_t) gmem_")
BASE = re.compile(r"\s*: u?int\d+_t$")
LITERAL = re.compile(r"""'\\?.'|"(?:\\.|[^"\\])*\"""")
LABELS = ("Ownership", "Errors", "Threads", "Safety")


@dataclass
class Entry:
    """One declaration, and what the comment before it says."""

    name: str
    comment: str
    code: str

    @property
    def chapter(self) -> str:
        """The chapter it belongs to, by its name."""
        plain = self.name.removeprefix("gmem_")
        return next(
            chapter for chapter, heads in CHAPTERS.items() if plain.startswith(tuple(heads))
        )


def _unfenced(text: str) -> str:
    """Comments between /* and */ become lines that begin with //."""

    def lines(found: re.Match[str]) -> str:
        inner = found[0][2:-2].strip().strip("-").strip()
        return "\n".join(
            "// " + line.strip().removeprefix("* ").strip("*") for line in inner.split("\n")
        )

    return re.sub(r"^/\*.*?\*/$", lines, text, flags=re.MULTILINE | re.DOTALL)


def _code(lines: list[str]) -> str:
    """A declaration without the preprocessor's lines, an inline function without its body."""
    kept = [line for line in lines if not line.startswith("#") and not BASE.match(line)]
    text = "\n".join(kept)
    text = re.sub(r"(enum \w+)\s*\{", r"\1 {", text)
    if re.match(r"static inline ", text):
        text = text[: text.index("{")].rstrip() + ";"
    return text


def _name(code: str) -> str | None:
    if found := re.match(r"(?:typedef )?enum(?: (\w+))? \{", code):
        return found[1] or re.search(r"[A-Z_0-9]+", code[found.end() :])[0]
    if re.match(r"typedef ", code):
        if pointer := re.match(r"[^{]*?\(\*(\w+)\)", code):
            return pointer[1]
        return re.search(r"(\w+)\s*;\s*\Z", code)[1]
    found = re.search(r"(\w+)\(", code)
    return found[1] if found else None


def entries(header: str) -> Iterator[Entry]:
    """All declarations of a header, in order.

    Parameters
    ----------
    header : str
        The header's text. Comments are lines of ``//`` directly before a declaration.

    Yields
    ------
    Entry
        For each type and function; aliases that only C needs are left out.
    """
    comment: list[str] = []
    code: list[str] = []
    last: Entry | None = None
    for line in _unfenced(header).split("\n"):
        if not code and line.startswith("//"):
            comment.append(line[2:].removeprefix(" "))
            continue
        if not code and (line.startswith(("#", "extern")) or not line.strip() or line == "}"):
            comment = []
            if last:
                yield last
                last = None
            continue
        if line.startswith("#") or ALIAS.match(line):
            continue
        code.append(line)
        text = LITERAL.sub("", "\n".join(code))
        if text.count("{") > text.count("}") or not text.rstrip().endswith((";", "}")):
            continue
        declared = _code(code)
        name = _name(declared)
        if last and not comment:  # one comment for several
            last.code += "\n" + declared
        elif name:
            if last:
                yield last
            last = Entry(name, "\n".join(comment), declared)
        comment, code = [], []
    if last:
        yield last


def prose(comment: str) -> str:
    """A comment as Markdown: what Rust links is code, the labels stand out."""
    text = re.sub(r"\[(`[^`]+`)\](?!\()", r"\1", comment)
    for label in LABELS:
        text = re.sub(rf"^{label}: ?", f"\n**{label}:** ", text, flags=re.MULTILINE)
    text = re.sub(r"^ - ", "- ", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def shown(entry: Entry, level: str = "###") -> str:
    """One declaration as a section."""
    return f"{level} `{entry.name}`\n\n```c\n{entry.code}\n```\n\n{prose(entry.comment)}\n"


def manual(header: str) -> str:
    """The page of ``gmemx.h``, in chapters.

    Parameters
    ----------
    header : str

    Returns
    -------
    str
        Markdown.
    """
    found = [entry for entry in entries(header) if entry.name.startswith("gmem_")]
    intro = re.search(r"^// How to read this file:\n((?://.*\n)+)", header, re.MULTILINE)
    rules = re.sub(r"^//  ?", "", intro[1] if intro else "", flags=re.MULTILINE)
    parts = [
        "# The C manual",
        "Everything that `gmemx.h` declares, by kind. `gmemx.get_include()` is its folder.\n\n"
        + rules,
    ]
    for chapter in CHAPTERS:
        inside = [entry for entry in found if entry.chapter == chapter]
        if inside:
            parts += [f"## {chapter}", *map(shown, inside)]
    return "\n\n".join(parts) + "\n"


def plugin_manual(header: str) -> str:
    """The page of ``gmemx_plugin.h``.

    Parameters
    ----------
    header : str

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        "# The plugin header",
        "What `gmemx_plugin.h` declares for authors of plugins. How they are used together is told "
        "in [Writing plugins](../plugin-authoring.md).",
        *(shown(entry, "##") for entry in entries(header.partition(WRITTEN)[0])),
    ]
    return "\n\n".join(parts) + "\n"
