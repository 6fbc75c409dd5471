"""Written cells in files that others read: Parquet and NPZ; and the original's append log.

Parquet needs pyarrow: ``pip install gmemx[parquet]``.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gmemx.errors import (
    AccessDeniedError,
    InvalidArgumentError,
    IoError,
    MissingFileError,
    OutOfMemoryError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from gmemx.generative import GMemContext

__all__ = ["Imported", "Recovery", "export", "import_"]

_Path: TypeAlias = str | os.PathLike[str]
_Cells: TypeAlias = tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]

# A record of the original's log: little-endian, 16 bytes.
RECORD = np.dtype([("address", "<u8"), ("value", "<f8")])
# Records read at once: 64 MB.
PATIENCE = 1 << 22


@dataclass(frozen=True)
class Imported:
    """What `import_` found.

    Attributes
    ----------
    cells : int
        Cells that were written; of a log, records.
    dropped_bytes : int
        The torn end of a log, after its last whole record.

    Examples
    --------
    >>> import os, tempfile
    >>> from gmemx import GMemContext, exchange
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "cells.npz")
    >>> before = GMemContext(42)
    >>> before[7] = 1.5
    >>> exchange.export(before, path)
    1
    >>> exchange.import_(GMemContext(42), path).cells
    1
    """

    cells: int
    dropped_bytes: int = 0


@dataclass(frozen=True)
class Recovery:
    """What `GMemContext.recover` found.

    Attributes
    ----------
    cells : int
        Cells that were read.
    expected : int or None
        Cells that the last flush left; None where the file does not tell any more.
    dropped_pages : int
        Pages, of up to 64 cells, whose checksum does not hold.
    faults : int
        Places behind which pages may lie that could not be found.

    Examples
    --------
    >>> import os, tempfile
    >>> from gmemx import GMemContext, exchange
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "cells.gmem")
    >>> with GMemContext.open(path, seed=42) as context:
    ...     context[7] = 1.5
    >>> recovered, found = GMemContext.recover(path)
    >>> recovered[7], found.cells, found.faults
    (1.5, 1, 0)
    """

    cells: int
    expected: int | None
    dropped_pages: int
    faults: int


def export(context: GMemContext, path: _Path, format: str | None = None) -> int:
    """Write all written cells to a file, with the seed and the generator they belong to.

    Parameters
    ----------
    context : GMemContext
    path : path-like
        What was there is replaced, once the new file is whole.
    format : {'parquet', 'npz'}, optional
        By default what the name ends in. Parquet has the columns ``address`` (uint64) and
        ``value`` (float64) and the metadata ``gmemx.seed`` and ``gmemx.generator``; NPZ has
        the arrays ``address``, ``value``, ``seed`` and ``generator``.

    Returns
    -------
    int
        How many cells.

    Raises
    ------
    ValueError
        If the name ends in neither.
    NotImplementedError
        If it is to be Parquet, and there is no pyarrow.
    OSError
        If the file cannot be written. What was there stays.

    Examples
    --------
    >>> import os, tempfile
    >>> from gmemx import GMemContext
    >>> from gmemx.exchange import export
    >>> ctx = GMemContext(42)
    >>> ctx[0:3] = 1.0
    >>> export(ctx, os.path.join(tempfile.mkdtemp(), "cells.npz"))
    3
    """
    kind = _format(path, format, {".parquet": "parquet", ".npz": "npz"})
    write = {"parquet": _write_parquet, "npz": _write_npz}[kind]
    if kind == "parquet":
        _pyarrow()
    cells = context.overlay()
    with _refusals(path, "cannot be written"), _replacement(Path(path)) as file:
        write(file, cells, context.seed, context.generator)
    return len(cells[0])


def import_(context: GMemContext, path: _Path, format: str | None = None) -> Imported:
    """Write the cells of a file into a context; other cells stay as they are.

    Parameters
    ----------
    context : GMemContext
    path : path-like
    format : {'parquet', 'npz', 'log'}, optional
        By default what the name ends in, ``.parquet``, ``.npz`` or ``.log``. A log is the
        original's: records of an address and a value, 16 bytes little-endian, of which a later
        one counts. It does not tell its seed. A record that was torn at its end is dropped.

    Returns
    -------
    Imported

    Raises
    ------
    ValueError
        If the file is damaged or of something else, or of another seed or generator than the
        context. Nothing is written then.
    NotImplementedError
        If it is Parquet, and there is no pyarrow.
    FileNotFoundError, PermissionError, OSError
        If the file cannot be read.

    Examples
    --------
    >>> import struct, tempfile
    >>> from gmemx import GMemContext
    >>> from gmemx.exchange import import_
    >>> with tempfile.NamedTemporaryFile(suffix=".log") as log:
    ...     written = log.write(struct.pack("<QdQd", 3, 0.5, 2**63, 0.25) + b"torn")
    ...     log.flush()
    ...     ctx = GMemContext(42)
    ...     import_(ctx, log.name)
    Imported(cells=2, dropped_bytes=4)
    >>> ctx[3]
    0.5
    """
    kind = _format(path, format, {".parquet": "parquet", ".npz": "npz", ".log": "log"})
    if kind == "log":
        with _refusals(path, "cannot be read"):
            return _import_log(context, path)
    if kind == "parquet":
        _pyarrow()
    with _refusals(path, "cannot be read"), open(path, "rb") as file:
        try:
            found = {"parquet": _read_parquet, "npz": _read_npz}[kind](file)
            cells = _checked(*found[:2])
        except (MemoryError, ImportError):
            raise
        except _damages() as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else error
            raise InvalidArgumentError(
                f"{path} is damaged, or no {kind} file of written cells: {why}"
            ) from None
    for name, theirs in zip(("seed", "generator"), found[2:], strict=True):
        ours = getattr(context, name)
        if ours != theirs:
            raise InvalidArgumentError(f"{path} has the {name} {theirs!r}, not {ours!r}")
    context.write_many(*cells)
    return Imported(len(cells[0]))


def _format(path: _Path, format: str | None, known: dict[str, str]) -> str:
    if format is None:
        suffix = Path(path).suffix.lower()
        if suffix not in known:
            endings = " or ".join(known)
            raise InvalidArgumentError(f"{path} should end in {endings}, or format be given")
        return known[suffix]
    if format not in known.values():
        wanted = " or ".join(map(repr, known.values()))
        raise InvalidArgumentError(f"format must be {wanted}, not {format!r}")
    return format


@contextlib.contextmanager
def _refusals(path: _Path, what: str) -> Iterator[None]:
    """What the system refuses, as an exception of gmemx that names the file."""
    try:
        yield
    except (IoError, AccessDeniedError, MissingFileError):
        raise
    except OSError as error:
        kinds: dict[type[OSError], type[Any]] = {
            FileNotFoundError: MissingFileError,
            PermissionError: AccessDeniedError,
        }
        kind = next((ours for theirs, ours in kinds.items() if isinstance(error, theirs)), IoError)
        raise kind(error.errno, f"{path} {what}: {error.strerror or error}") from None
    except MemoryError:
        raise OutOfMemoryError(f"{path} {what}: there is not enough memory") from None


@contextlib.contextmanager
def _replacement(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes another's place once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{id(path):x}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _pyarrow() -> tuple[Any, Any]:
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UnsupportedError("Parquet needs pyarrow: pip install gmemx[parquet]") from None
    return pyarrow, parquet


def _damages() -> tuple[type[Exception], ...]:
    """What the readers raise where a file is not as it was written."""
    return (
        ValueError,
        KeyError,
        EOFError,
        OSError,
        TypeError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    )


def _write_npz(file: IO[bytes], cells: _Cells, seed: int, generator: str) -> None:
    address, value = cells
    np.savez(file, address=address, value=value, seed=np.uint64(seed), generator=np.str_(generator))


def _read_npz(file: IO[bytes]) -> tuple[Any, Any, int, str]:
    arrays = np.load(file, allow_pickle=False)
    if isinstance(arrays, np.ndarray):
        raise ValueError("it has one array only")
    with arrays:
        return arrays["address"], arrays["value"], int(arrays["seed"]), str(arrays["generator"])


def _write_parquet(file: IO[bytes], cells: _Cells, seed: int, generator: str) -> None:
    pyarrow, parquet = _pyarrow()
    table = pyarrow.table(dict(zip(("address", "value"), cells, strict=True)))
    about = {"gmemx.seed": str(seed), "gmemx.generator": generator}
    parquet.write_table(table.replace_schema_metadata(about), file, write_page_checksum=True)


def _read_parquet(file: IO[bytes]) -> tuple[Any, Any, int, str]:
    _, parquet = _pyarrow()
    table = parquet.read_table(file, page_checksum_verification=True)
    about = table.schema.metadata or {}
    columns: Callable[[str], Any] = lambda name: table.column(name).to_numpy()  # noqa: E731
    seed, generator = about[b"gmemx.seed"], about[b"gmemx.generator"]
    return columns("address"), columns("value"), int(seed), generator.decode()


def _checked(address: Any, value: Any) -> _Cells:
    if address.dtype != np.uint64 or value.dtype != np.float64:
        raise ValueError(f"addresses and values are {address.dtype} and {value.dtype}")
    if address.ndim != 1 or address.shape != value.shape:
        raise ValueError(f"{address.shape} addresses go with {value.shape} values")
    return address, value


def _import_log(context: GMemContext, path: _Path) -> Imported:
    records, dropped = 0, 0
    with open(path, "rb") as file:
        while part := file.read(PATIENCE * RECORD.itemsize):
            dropped = len(part) % RECORD.itemsize
            found = np.frombuffer(part, RECORD, count=len(part) // RECORD.itemsize)
            context.write_many(
                found["address"].astype(np.uint64), found["value"].astype(np.float64)
            )
            records += len(found)
    return Imported(records, dropped)
