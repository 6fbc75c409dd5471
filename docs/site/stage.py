"""Lays out the source of the site: the guides as they are, and the pages that are made.

    python docs/site/stage.py build/site

A link that leads out of the guides is turned to the page that shows its target, or to a copy of
the file.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import c_manual
import command_line
import cython_api
import python_reference

from gmemx.cli import build_parser

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
PACKAGE = ROOT / "gmemx"

# Files outside docs/, and the pages that show them.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "ARCHITECTURE.md": "architecture.md",
    "benchmarks/README.md": "benchmarks.md",
    "include/gmemx.h": "reference/c.md",
    "include/gmemx_plugin.h": "reference/c-plugin.md",
}


def linked(text: str, folder: Path, page: str, target: Path) -> str:
    """A page's text with its links turned to what is on the site.

    Parameters
    ----------
    text : str
    folder : Path
        Where the page's links start from in the repository.
    page : str
        Where it is on the site.
    target : Path
        The folder of the site's source, for copies.

    Returns
    -------
    str
    """

    def turned(found: re.Match[str]) -> str:
        label, link, anchor = found.groups()
        file = (folder / link).resolve()
        if not file.is_relative_to(ROOT) or not file.exists():
            return found[0]
        inside = file.relative_to(ROOT).as_posix()
        if file.parent == DOCS:
            place = file.name
        elif inside in PAGES:
            place = PAGES[inside]
            anchor = anchor if place.endswith(("benchmarks.md", "contributing.md")) else ""
        elif file.is_dir() or inside == "README.md":
            return label if label.startswith("`") else f"`{label}`"
        else:
            place, anchor = f"files/{inside}", ""
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / place)
        return f"[{label}]({os.path.relpath(place, os.path.dirname(page) or '.')}{anchor or ''})"

    return re.sub(r"(?<!!)\[([^\[\]]+)\]\(([^)\s:#]+)(#[^)\s]*)?\)", turned, text)


def with_all_pages(index: str) -> str:
    """The first page, its lists of pages made to fit those that there are.

    Parameters
    ----------
    index : str
        docs/index.md; the list that is called "More" takes in what no other has.

    Returns
    -------
    str
    """
    there = {path.stem for path in DOCS.glob("*.md")} | {"reference/index"}
    there |= {page.removesuffix(".md") for page in PAGES.values()}
    lists = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    named = {line for text in lists for line in text.split("\n")}
    for name in named - there:
        if re.fullmatch(r"[a-z/-]+", name):
            index = index.replace(f"\n{name}\n", "\n")
    others = sorted(path.stem for path in DOCS.glob("*.md") if path.stem not in named | {"index"})
    return index.replace(
        ":caption: More\n\n", ":caption: More\n\n" + "".join(f"{n}\n" for n in others)
    )


def reference(target: Path) -> None:
    """The pages that are made of sources."""
    folder = target / "reference"
    folder.mkdir()

    def write(name: str, text: str) -> None:
        (folder / f"{name}.md").write_text(text, encoding="utf-8")

    write("c", c_manual.manual((ROOT / "include" / "gmemx.h").read_text(encoding="utf-8")))
    header = (ROOT / "include" / "gmemx_plugin.h").read_text(encoding="utf-8")
    write("c-plugin", c_manual.plugin_manual(header))
    write("cython", cython_api.page(PACKAGE))
    write("command", command_line.page(build_parser()))
    names = python_reference.modules(PACKAGE)
    for name in names:
        write(name, python_reference.page(PACKAGE, name))
    write("gmemx", python_reference.package_page(PACKAGE))
    pages = "\n".join(["gmemx", *names, "command", "cython", "c", "c-plugin"])
    write("index", f"# Reference\n\n```{{toctree}}\n:maxdepth: 1\n\n{pages}\n```\n")


def main(target: Path) -> None:
    """Write everything to an empty folder."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    shutil.copy(DOCS / "conf.py", target)
    shutil.copytree(DOCS / "static", target / "static")
    for path in DOCS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        # The empty line that ends a doctest is nothing to look at.
        text = re.sub(r"^(```pycon\n.*?)\n+```$", r"\1\n```", text, flags=re.M | re.S)
        if path.stem == "index":
            text = with_all_pages(text)
        (target / path.name).write_text(linked(text, DOCS, path.name, target), encoding="utf-8")
    for file, page in PAGES.items():
        if file.endswith(".md"):
            text = linked(
                (ROOT / file).read_text(encoding="utf-8"), (ROOT / file).parent, page, target
            )
            (target / page).write_text(text, encoding="utf-8")
    reference(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
