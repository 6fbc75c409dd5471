"""A ZIP file of strangers, opened with distrust.

`zipfile` believes what the directory at the end of a file says, and forgives much. Here the
whole directory is judged before anything is unpacked: by the limits on sizes, by its names, and
by comparing it with what stands before each file. What two readers of ZIP files could see in
two ways is refused, since what was looked at must be what is run.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from gmemx._plugin_fields import unsafe
from gmemx.errors import BundleError, PluginMissingError

MIB = 1 << 20

LOCAL = struct.Struct("<4s5H3I2H")
LOCAL_MAGIC = b"PK\x03\x04"
END = struct.Struct("<4s4H2IH")
END_MAGIC = b"PK\x05\x06"
# Twenty bytes before the end, where there are more files or bytes than it can count.
LARGE_END, LARGE_END_MAGIC = 20, b"PK\x06\x07"
# A header, a name, and as much again for what else there may be.
MOST_OF_ENTRY = 4096

ENCRYPTED = 0x1 | 0x40 | 0x2000
PATCH, SIZES_BEHIND = 0x20, 0x8
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
IN_EXTRA = 0xFFFFFFFF
ZIP64 = 1
UNIX = 3

# What a damaged file makes zipfile raise.
DAMAGE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError),
    *(OSError, ValueError, OverflowError, RuntimeError, KeyError, IndexError),
)


@dataclass(frozen=True)
class BundleLimits:
    """How large a bundle may be; whatever exceeds one of these is refused unread.

    Attributes
    ----------
    file : int
        Bytes of the bundle itself.
    entries : int
        How many files it may have.
    entry : int
        Bytes of one of them, unpacked.
    total : int
        Bytes of all of them, unpacked.
    ratio : int
        How many times larger a file of more than 1 MiB may become when unpacked.
    manifest : int
        Bytes of `manifest.json`, and of each signature.

    Examples
    --------
    >>> from gmemx.plugin import BundleLimits
    >>> BundleLimits(entry=64 << 20).entries
    4096
    """

    file: int = 2048 * MIB
    entries: int = 4096
    entry: int = 1024 * MIB
    total: int = 4096 * MIB
    ratio: int = 200
    manifest: int = 4 * MIB


class Archive:
    """The files of a bundle, by name.

    Parameters
    ----------
    path : str
        Of the bundle. It is kept open until `close`.
    limits : BundleLimits

    Raises
    ------
    BundleError
        Where it is no ZIP file, is damaged, exceeds a limit, or could be read in two ways.
    PluginMissingError
        Where there is no such file.
    """

    def __init__(self, path: str, limits: BundleLimits) -> None:
        self.path = path
        self.limits = limits
        self._file = _opened(path)
        try:
            size = os.fstat(self._file.fileno()).st_size
            if size > limits.file:
                raise BundleError(f"{path} has {size:,} bytes, and {limits.file:,} are allowed")
            with self._judged():
                self._check_end(size)
                self._zip = zipfile.ZipFile(self._file)
                self._entries = self._checked(self._zip.infolist())
        except BaseException:
            self._file.close()
            raise

    def names(self) -> list[str]:
        """Name all files, without the folders."""
        return [name for name in self._entries if not name.endswith("/")]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def size(self, name: str) -> int:
        """Give the size of a file once it is unpacked."""
        return self._entry(name).file_size

    def read(self, name: str, limit: int | None = None) -> bytes:
        """Unpack a file.

        Parameters
        ----------
        name : str
        limit : int, optional
            The most bytes it may have, where that is less than for any file.

        Returns
        -------
        bytes

        Raises
        ------
        BundleError
            Where there is no such file, it is too large or damaged.
        """
        entry = self._entry(name)
        if limit is not None and entry.file_size > limit:
            raise BundleError(
                f"{name} in {self.path} has {entry.file_size:,} bytes, more than {limit:,}"
            )
        with self._judged(), self._zip.open(entry) as file:
            data = file.read(entry.file_size)
            # At the end the sum of all bytes is checked.
            if len(data) < entry.file_size or file.read(1):
                raise BundleError(f"{name} in {self.path} is not as long as it says")
        return data

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def _entry(self, name: str) -> zipfile.ZipInfo:
        if self._file.closed:
            raise BundleError(f"the bundle {self.path} is closed")
        entry = self._entries.get(name)
        if entry is None or name.endswith("/"):
            raise BundleError(f"{self.path} has no file {name!r}")
        return entry

    @contextmanager
    def _judged(self) -> Iterator[None]:
        try:
            yield
        except BundleError:
            raise
        except DAMAGE as error:
            raise BundleError(f"{self.path} is damaged, or no bundle: {error}") from None

    def _check_end(self, size: int) -> None:
        """See that the file ends with its directory, and that no reader can find another end."""
        end = size - END.size
        self._file.seek(max(end - LARGE_END, 0))
        tail = self._file.read(LARGE_END + END.size)
        if end < 0 or not tail[-END.size :].startswith(END_MAGIC):
            raise BundleError(f"{self.path} is damaged, or no bundle: it does not end like one")
        _, disk, first, here, entries, length, start, comment = END.unpack(tail[-END.size :])
        if (disk, first, comment) != (0, 0, 0) or here != entries:
            raise BundleError(f"{self.path} is one of several files, or something follows its end")
        # Whatever begins like this replaces the numbers of the end, for some readers.
        if tail.startswith(LARGE_END_MAGIC):
            raise BundleError(f"{self.path} has an end for very large files, which bundles are not")
        if start + length != end:
            raise BundleError(f"{self.path}: its directory is not where it should be")
        self._check_count(entries)
        if length > entries * MOST_OF_ENTRY:
            raise BundleError(f"{self.path}: its directory has {length:,} bytes, which is too much")

    def _check_count(self, entries: int) -> None:
        most = self.limits.entries
        if entries > most:
            raise BundleError(f"{self.path} has {entries:,} files, more than the {most:,} allowed")

    def _checked(self, entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        self._check_count(len(entries))
        total = sum(entry.file_size for entry in entries)
        if total > self.limits.total:
            raise BundleError(
                f"{self.path} would have {total:,} bytes unpacked, "
                f"more than the {self.limits.total:,} allowed"
            )
        found: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            if entry.filename in found:
                raise BundleError(f"{self.path} has the file {entry.filename!r} twice")
            reason = self._reason(entry)
            if reason is not None:
                raise BundleError(f"{self.path} cannot have the file {_name(entry)}: {reason}")
            found[entry.filename] = entry
        self._check_places(entries)
        return found

    def _reason(self, entry: zipfile.ZipInfo) -> str | None:
        """Say what is wrong with an entry of the directory, or None."""
        mode = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == UNIX else 0
        folder = entry.filename.endswith("/")
        size, packed = entry.file_size, entry.compress_size
        for reason, found in (
            # Cut at a NUL byte, say, or with another separator.
            ("its name can be read in two ways", entry.filename != entry.orig_filename),
            ("it is encrypted", entry.flag_bits & ENCRYPTED),
            ("it is a patch of another", entry.flag_bits & PATCH),
            ("it is packed by an unknown method", entry.compress_type not in METHODS),
            ("it is on another disk", entry.volume),
            ("it is no regular file", mode not in (0, stat.S_IFDIR if folder else stat.S_IFREG)),
            ("it is a folder with contents", folder and (size or packed > 2)),
            (f"it has {size:,} bytes, {self.limits.entry:,} are allowed", size > self.limits.entry),
            (
                f"unpacked it is more than {self.limits.ratio} times as large",
                size > MIB and size > packed * self.limits.ratio,
            ),
            (
                "its sizes differ, though it is not packed",
                entry.compress_type == zipfile.ZIP_STORED and size != packed,
            ),
        ):
            if found:
                return reason
        return unsafe(entry.filename.removesuffix("/"))

    def _check_places(self, entries: list[zipfile.ZipInfo]) -> None:
        """Compare the directory with what stands before each file; no two may overlap."""
        end = 0
        for entry in sorted(entries, key=lambda entry: entry.header_offset):
            # Something before the first file would be another file to other readers.
            if entry.header_offset < end or (end == 0 and entry.header_offset != 0):
                raise BundleError(f"{self.path}: the file {_name(entry)} is not where it should be")
            self._file.seek(entry.header_offset)
            header = self._file.read(LOCAL.size)
            magic, _, flags, method, _, _, crc, packed, size, name_len, extra_len = LOCAL.unpack(
                header
            )
            name = self._file.read(name_len)
            extra = self._file.read(extra_len)
            told = (crc, _sizes(extra, packed, size))
            expected = (entry.CRC, (entry.compress_size, entry.file_size))
            encoding = "utf-8" if flags & 0x800 else "cp437"
            if (
                magic != LOCAL_MAGIC
                or (flags, method) != (entry.flag_bits, entry.compress_type)
                or name != entry.orig_filename.encode(encoding)
                # Sizes may follow the data instead, and are zero here then.
                or (told != expected and not (flags & SIZES_BEHIND and told == (0, (0, 0))))
            ):
                raise BundleError(f"{self.path} describes {_name(entry)} in two ways")
            end = entry.header_offset + LOCAL.size + name_len + extra_len + entry.compress_size
        if end > self._zip.start_dir:
            raise BundleError(f"{self.path}: its files reach into its directory")


def _opened(path: str) -> BinaryIO:
    try:
        # Not blocking: a pipe would wait for somebody to write into it.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise PluginMissingError(f"there is no bundle {path}") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"the bundle {path!r} cannot be opened: {error}") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise BundleError(f"the bundle {path} is no regular file")
    return os.fdopen(file, "rb")


def _name(entry: zipfile.ZipInfo) -> str:
    name = repr(entry.orig_filename)
    return name if len(name) <= 100 else f"{name[:97]}..."


def _sizes(extra: bytes, packed: int, size: int) -> tuple[int, int] | None:
    """The packed and the real size by a header, or None where it contradicts itself.

    A field behind the header may have both, and the header then says that it has them, or the
    same once more.
    """
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == ZIP64:
            values = struct.unpack_from(f"<{length // 8}Q", extra, 4)
            if len(values) != 2:
                return None
            if size not in (IN_EXTRA, values[0]) or packed not in (IN_EXTRA, values[1]):
                return None
            size, packed = values
        extra = extra[4 + length :]
    return packed, size
