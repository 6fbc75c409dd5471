"""What a command may end with, and the sentence that says it."""

from __future__ import annotations

import gmemx

# Anything else is a defect and shows where.
FAILURES = (
    gmemx.GmemxError,
    *(ValueError, LookupError, ArithmeticError, OSError, MemoryError),
)


def sentence(error: Exception) -> str:
    """Say in one line what went wrong.

    Parameters
    ----------
    error : Exception
        One of `FAILURES`.

    Returns
    -------
    str
        Never empty.

    Examples
    --------
    >>> sentence(FileNotFoundError(2, "No such file or directory", "maps"))
    'maps: No such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return " ".join(str(error).split()) or type(error).__name__
