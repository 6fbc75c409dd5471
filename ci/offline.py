"""Does a folder of HTML open without a network? Nothing that a page loads may be elsewhere.

python ci/offline.py build/site/html
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# What a browser loads by itself; a link that is clicked on may lead anywhere.
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "link": "href",
}
ELSEWHERE = re.compile(r"\s*(?:[a-z]+:)?//", re.IGNORECASE)
STYLE = re.compile(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)


class Page(HTMLParser):
    """Collects what one page loads from elsewhere, and the files beside it that it needs."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.local: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        given = dict(attributes)
        address = given.get(LOADED.get(tag, ""))
        if not address or address.startswith("data:"):
            return
        if ELSEWHERE.match(address):
            self.foreign.append(address)
        elif tag != "link" or given.get("rel") in ("stylesheet", "icon", "shortcut icon"):
            self.local.append(address)


def problems(folder: Path) -> Iterator[str]:
    """Say what is loaded from elsewhere, or is not there.

    Parameters
    ----------
    folder : Path
        With HTML and style sheets.

    Yields
    ------
    str
        A sentence for each.
    """
    for path in sorted(folder.rglob("*.html")):
        page = Page()
        text = path.read_text(encoding="utf-8")
        page.feed(text)
        name = path.relative_to(folder)
        yield from (f"{name} loads {address}" for address in page.foreign)
        yield from (f"{name} loads {address}" for address in STYLE.findall(text))
        for address in page.local:
            if not (path.parent / re.split("[?#]", address)[0]).exists():
                yield f"{name} needs {address}, which is not there"
    for path in sorted(folder.rglob("*.css")):
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from (f"{path.relative_to(folder)} loads {found}" for found in STYLE.findall(text))


def main() -> int:
    """Look at the folder that the command line names."""
    folder = Path(sys.argv[1])
    found = list(problems(folder))
    for sentence in found:
        print(sentence, file=sys.stderr)
    pages = len(list(folder.rglob("*.html")))
    print(f"{pages} pages open without a network" if pages and not found else "it does not")
    return int(bool(found) or not pages)


if __name__ == "__main__":
    sys.exit(main())
