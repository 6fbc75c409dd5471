"""The page of the command line: what ``--help`` says of each command."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

WIDTH = "92"


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def _sections(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} `{parser.prog}`"
    yield f"```text\n{parser.format_help().strip()}\n```"
    for child in _children(parser).values():
        yield from _sections(child, level + 1)


def page(parser: argparse.ArgumentParser) -> str:
    """The whole page.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of the whole command.

    Returns
    -------
    str
        Markdown.
    """
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        first, *rest = _sections(parser, 1)
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    del first
    intro = "What the `gmemx` command can do; everything here is in the Python interface too."
    return "\n\n".join(["# The command line", intro, *rest]) + "\n"
