"""What a chapter of the tour is given: somewhere to speak, check and draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from gmemx.cli.tables import table_of


@dataclass(frozen=True)
class Check:
    """One thing that was claimed and then looked at.

    Attributes
    ----------
    name : str
        The claim, in a few words.
    ok : bool
        Whether it held.
    detail : str
        The numbers behind the answer.
    """

    name: str
    ok: bool
    detail: str = ""


@dataclass
class Stage:
    """The tour's side of a chapter.

    A chapter is a module in `gmemx.cli.chapters` with a ``TITLE`` and a function
    ``run(stage)``. It says what it does with `say` and `table`, reports every claim
    with `check` (a failed one makes the tour exit with 1; it does not stop it), wraps
    long work in `progress`, and saves its picture at `picture_path`.

    Attributes
    ----------
    console : rich.console.Console
        Where everything is printed; markup is off, so ``ctx[0]`` prints as it is.
    out : pathlib.Path
        An existing folder for the pictures.
    quick : bool
        Whether a chapter should end within about five seconds; else forty.
    seed : int
        The seed the user chose, in [0, 2**64).
    checks : list of Check
        What was checked so far.
    pictures : list of pathlib.Path
        What was drawn so far.
    """

    console: Console
    out: Path
    quick: bool
    seed: int
    checks: list[Check] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Print the title of a chapter."""
        self.console.print()
        self.console.print(text, style="bold cyan")

    def say(self, text: str) -> None:
        """Print a paragraph."""
        self.console.print()
        self.console.print(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table, its first column to the left and the others to the right.

        Parameters
        ----------
        columns : sequence of str
            The heads.
        rows : iterable of sequence of str
            As many cells each as there are columns.
        """
        self.console.print(table_of(columns, rows))

    def check(self, name: str, ok: object, detail: str = "") -> None:
        """Report whether a claim held.

        Parameters
        ----------
        name : str
            The claim.
        ok : object
            Its truth; a NumPy boolean is fine.
        detail : str, optional
            The numbers behind it.
        """
        check = Check(name, bool(ok), detail)
        self.checks.append(check)
        word = Text("ok      " if check.ok else "FAILED  ", "green" if check.ok else "bold red")
        self.console.print(Text.assemble("  ", word, name, (detail and "  " + detail, "dim")))

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar while something takes long; on anything but a terminal, nothing.

        Parameters
        ----------
        label : str
            What is being done.
        total : int
            How many steps there are.

        Yields
        ------
        callable
            To be called with the number of steps just done.
        """
        if not self.console.is_terminal:
            yield lambda _steps: None
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn())
        bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
        with bar:
            task = bar.add_task(label, total=total)
            yield lambda steps: bar.advance(task, steps)

    def picture_path(self, name: str) -> Path:
        """Where to save a picture; it is listed at the end of the tour.

        Parameters
        ----------
        name : str
            The file's name, such as ``"generative.png"``.

        Returns
        -------
        pathlib.Path
            Inside `out`.
        """
        path = self.out / name
        self.pictures.append(path)
        return path
