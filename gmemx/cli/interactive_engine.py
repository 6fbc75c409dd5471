"""The words of ``gmemx interactive``, without a terminal: a line comes in, an `Output` speaks.

The words themselves are in the modules beside this one, a function each that is given the
engine and what stood behind the word.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gmemx import scan
from gmemx.cli.failures import FAILURES, sentence
from gmemx.cli.output import Output, amount
from gmemx.cli.targets import Atlas, name_of

# The rest of a line, as the words behind the first.
Rest = list[str]


@dataclass(frozen=True)
class Word:
    """Something that can be said.

    Attributes
    ----------
    usage : str
        How it is said, the word first.
    help : str
        What it does: a line, and more lines for whoever asks for them.
    run : callable
        Given the engine and the rest of the line.
    complete : callable
        Given the engine and the words before the one that is being typed; says what that
        one may be.
    """

    usage: str
    help: str
    run: Callable[[Engine, Rest], None]
    complete: Callable[[Engine, Rest], Sequence[str]] = lambda engine, rest: ()


# What a word was called before, and short forms.
ALIASES = {"h": "help", "?": "help", "l": "list", "f": "filter", "s": "set"}
ALIASES |= dict.fromkeys(("q", "exit"), "quit")


class Engine:
    """A session with one source and one scanner.

    Parameters
    ----------
    source : gmemx.scan.Source
        Where the memory is.
    regions : gmemx.scan.Regions
        Which of it is scanned.
    scanner : gmemx.scan.Scanner
        Of that source and these regions.
    output : Output
        Where it speaks.
    words : dict of str to Word
        What can be said.
    threads : int, optional
        The most that a scan uses.
    stop : bool, optional
        Whether the process is stopped during each scan.

    Attributes
    ----------
    failures : int
        How many lines could not be carried out.
    frozen : dict of int to gmemx.scan.Freeze
        What is being held still, by address.
    """

    def __init__(
        self,
        source: scan.Source,
        regions: scan.Regions,
        scanner: scan.Scanner,
        output: Output,
        words: dict[str, Word],
        *,
        threads: int | None = None,
        stop: bool = False,
    ) -> None:
        self.source = source
        self.regions = regions
        self.scanner = scanner
        self.output = output
        self.words = words
        self.threads = threads
        self.stop = stop
        self.failures = 0
        self.frozen: dict[int, scan.Freeze] = {}
        self.open = True
        # Whether there was a scan: a scanner without matches may be new, or have found nothing.
        self.scanned = False

    def say_hello(self) -> None:
        """Tell what this is."""
        size = self.regions.size
        self.output.say(
            f"{name_of(self.source)}: {amount(size)} in {len(self.regions)} regions, "
            f"scanned as {self.type_name()}; help lists the words",
            target=name_of(self.source),
            regions=len(self.regions),
            bytes=size,
            types=list(self.scanner.types),
        )

    def execute(self, line: str) -> bool:
        """Carry out a line.

        Parameters
        ----------
        line : str
            A word and what belongs to it. Empty ones, and what follows ``#`` at the start of
            a line, are passed over.

        Returns
        -------
        bool
            Whether it could be carried out. What could not is said in a sentence, and
            nothing is changed.
        """
        return self._carry_out(lambda: _split(line))

    def execute_words(self, said: Rest) -> bool:
        """Do as `execute`, for a line that is words already."""
        return self._carry_out(lambda: said)

    def _carry_out(self, read: Callable[[], Rest]) -> bool:
        try:
            said = read()
            if said:
                self.word(said[0]).run(self, said[1:])
        except KeyboardInterrupt:
            self.output.fail("interrupted: the matches are as they were")
            self.failures += 1
            return False
        except FAILURES as error:
            self.output.fail(sentence(error))
            self.failures += 1
            return False
        finally:
            self.output.out.flush()
        return True

    def close(self) -> None:
        """Let go of what is held still."""
        while self.frozen:
            self.frozen.popitem()[1].stop()

    def word(self, name: str) -> Word:
        word = self.words.get(ALIASES.get(name, name))
        if word is None:
            raise LookupError(f"there is no word {name!r}: help lists them")
        return word

    # ---- for the words ------------------------------------------------------------

    def type_name(self) -> str:
        """Name what is scanned for."""
        types = list(self.scanner.types)
        return types[0] if len(types) == 1 else f"{len(types)} types"

    def atlas(self) -> Atlas:
        """Make the names of addresses, as memory is mapped now."""
        return Atlas(self.source.regions())

    @contextmanager
    def scanning(self, label: str):
        """Give what a scan is told besides; say afterwards what it left.

        Parameters
        ----------
        label : str
            What is being done.

        Yields
        ------
        dict
            Keyword arguments for a method of the scanner.
        """
        before = len(self.scanner) if self.scanned else None
        began = time.perf_counter()
        options: dict[str, Any] = {"threads": self.threads}
        if self.stop:
            options["stop"] = True
        with self.output.progress(label) as progress:
            yield options | {"progress": progress}
        self.scanned = True
        self.tell(before, time.perf_counter() - began)

    def tell(self, before: int | None, seconds: float) -> None:
        """Say how many matches there are now, and what could not be read."""
        count = len(self.scanner)
        skipped = self.scanner.skipped
        lost = sum(part.end - part.start for part in skipped)
        text = f"{count:,} matches" if count != 1 else "1 match"
        if before is not None and before != count:
            text += f" of {before:,}"
        if lost:
            text += f"; {amount(lost)} could not be read"
        self.output.say(
            text, count=count, before=before, seconds=round(seconds, 6), bytes_skipped=lost
        )
        self.output.note(1, f"{seconds:.3f} s")
        for part in skipped:
            self.output.note(2, f"{part.start:#x} to {part.end:#x} was not read: {part.reason}")

    def wanted(self, rest: Rest, least: int, most: int, usage: str) -> None:
        """Refuse what has too few words, or too many."""
        if not least <= len(rest) <= most:
            raise ValueError(f"say: {usage}")

    def completions(self, line: str) -> list[str]:
        """List what the last word of a line may become.

        Parameters
        ----------
        line : str
            What was typed, up to the cursor.

        Returns
        -------
        list of str
            Whole words, those that begin as the last one does.
        """
        *before, last = line.lstrip().split(" ")
        before = [word for word in before if word]
        if not before:
            candidates: Sequence[str] = sorted(self.words)
        else:
            word = self.words.get(ALIASES.get(before[0], before[0]))
            candidates = word.complete(self, before[1:]) if word else ()
        return [candidate for candidate in candidates if candidate.startswith(last)]


def _split(line: str) -> Rest:
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{line.strip()!r} cannot be read: {error}") from None
