"""The prompt of ``gmemx interactive`` on a terminal: completion and history."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.shortcuts import CompleteStyle

from gmemx.cli.interactive_engine import Engine


class _Words(Completer):
    """What the engine says the word at the cursor may become."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        line = document.text_before_cursor
        last = line.rpartition(" ")[2]
        for word in self._engine.completions(line):
            yield Completion(f"{word} ", start_position=-len(last), display=word)


def lines(engine: Engine) -> Iterator[str]:
    """Ask for lines, until the input ends.

    Parameters
    ----------
    engine : Engine
        What completes them; the number of its matches is in the prompt.

    Yields
    ------
    str
    """
    session: PromptSession[str] = PromptSession(
        completer=_Words(engine),
        complete_while_typing=False,
        # At once, so that what is typed right behind a Tab comes behind the whole word.
        complete_style=CompleteStyle.READLINE_LIKE,
        history=_history(),
    )
    while True:
        try:
            yield session.prompt(f"{engine.type_name()} {len(engine.scanner):,}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _history() -> History:
    """What was said in earlier sessions; of this one only where no file can be written."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = Path(state).expanduser() / "gmemx" / "interactive_history"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made here: what was searched for is nobody else's business.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except (OSError, RuntimeError):
        return InMemoryHistory()
    return FileHistory(str(path))
