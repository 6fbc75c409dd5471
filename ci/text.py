"""Are files of text plain? No blanks at line ends, one newline at the end, no merge left half done.

    python ci/text.py [FILE...]       by default all that git knows

Files of others (tests/data, third_party) are kept as they came.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("tests/data/", "third_party/")
LARGEST = 1 << 20


def known() -> list[str]:
    """All files that git knows; none, with a word about it, where this is no checkout."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        print(f"no files looked at: {listed.stderr.strip()}", file=sys.stderr)
    return [name for name in listed.stdout.split("\0") if name]


def problems(name: str, data: bytes) -> Iterator[str]:
    """Say what is not plain about a file; nothing about one that is no text.

    Parameters
    ----------
    name : str
        For the sentences.
    data : bytes
        The whole file.

    Yields
    ------
    str
        A sentence for each.
    """
    if len(data) > LARGEST:
        yield f"{name}: {len(data):,} bytes are more than a repository should carry"
    if b"\0" in data:
        return
    if b"\r" in data:
        yield f"{name}: carriage returns"
    if data and (not data.endswith(b"\n") or data.endswith(b"\n\n")):
        yield f"{name}: a file ends with one newline"
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.endswith((b" ", b"\t")):
            yield f"{name}:{number}: blanks at the end of the line"
        if re.match(rb"(<{7}|>{7}) ", line):
            yield f"{name}:{number}: a merge that was left half done"


def main() -> int:
    """Look at the files that the command line names, or at all."""
    found = [
        sentence
        for name in sys.argv[1:] or known()
        if not name.startswith(KEPT) and (ROOT / name).is_file()
        for sentence in problems(name, (ROOT / name).read_bytes())
    ]
    for sentence in found:
        print(sentence, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
