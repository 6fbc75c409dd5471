"""Where libraries out of bundles are kept: one file for each content, for this user alone.

A file lies in a folder that has the SHA-256 of its contents for a name. It gets its name once it
is whole, and is read and hashed again whenever it is used: what others, or a full disk, made of
it meanwhile is never loaded. Any number of processes may use one cache. It may be deleted at
any time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gmemx.errors import BundleError

VARIABLE = "GMEMX_PLUGIN_CACHE"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Its owner may not write to it either, so that nobody does by mistake.
MODE = 0o500
UNFINISHED = ".new-"
# Whoever began to write a file so many seconds ago has died over it.
ABANDONED = 3600.0
# Whom a file seems to belong to that is root's, in a container that does not know root.
OVERFLOW_UID = 65534


class Cache:
    """A folder of libraries.

    Parameters
    ----------
    folder : str, optional
        Made where it is missing. By default the environment variable GMEMX_PLUGIN_CACHE; else
        `gmemx/plugins` in the user's cache folder, or in a folder for temporary files where
        that one cannot be used.

    Raises
    ------
    BundleError
        Where others could write to the folder.
    """

    def __init__(self, folder: str | None = None) -> None:
        chosen = folder or os.environ.get(VARIABLE)
        self.folder = os.path.abspath(chosen) if chosen else _usual()
        _prepare(self.folder)

    def put(self, data: bytes, digest: str, name: str) -> str:
        """Keep a library.

        Parameters
        ----------
        data : bytes
        digest : str
            Its SHA-256 in hexadecimal, which the caller has checked.
        name : str
            Of the file, without folders.

        Returns
        -------
        str
            The path of a file with these contents.

        Raises
        ------
        BundleError
            Where the folder cannot be written to, or belongs to somebody else.
        """
        path = os.path.join(self.folder, digest, name)
        try:
            with _held(self.folder) as outer:
                with suppress(FileExistsError):
                    os.mkdir(digest, 0o700, dir_fd=outer)
                with _held(digest, outer) as inner:
                    if not _whole(name, inner, digest):
                        _write(name, inner, data)
                        _tidy(inner)
        except OSError as error:
            raise BundleError(
                f"the library cannot be kept in {self.folder}: {error.strerror}; "
                f"{VARIABLE} names another folder"
            ) from None
        return path


def _usual() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    usual = os.path.join(home, "gmemx", "plugins")
    if os.path.isabs(usual):
        with suppress(BundleError):
            _prepare(usual)
            return usual
    return os.path.join(tempfile.gettempdir(), f"gmemx-plugins-{os.geteuid()}")


def _prepare(folder: str) -> None:
    try:
        os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        with _held(folder):
            pass
        _check_above(folder)
    except OSError as error:
        raise BundleError(
            f"{folder} cannot be a cache of plugins: {error.strerror}; {VARIABLE} names another"
        ) from None


@contextmanager
def _held(folder: str, above: int | None = None) -> Iterator[int]:
    """A folder, open, that is nobody's but this user's."""
    descriptor = os.open(folder, FOLDER, dir_fd=above)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise BundleError(
                f"the folder {folder} must belong to this user alone to have plugins in it: "
                f"its owner is {found.st_uid}, its mode {stat.S_IMODE(found.st_mode):o}"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _check_above(folder: str) -> None:
    """See that nobody else can put another folder into the place of this one."""
    above = os.path.realpath(os.path.dirname(folder))
    while True:
        found = os.stat(above)
        open_to_all = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if found.st_uid not in (0, os.geteuid(), OVERFLOW_UID) or open_to_all:
            raise BundleError(
                f"the folder {folder} cannot have plugins in it: others can change {above}"
            )
        if above == os.path.dirname(above):
            return
        above = os.path.dirname(above)


def _whole(name: str, folder: int, digest: str) -> bool:
    """Tell whether a file is there and is what it should be."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        mine = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if not mine or found.st_mode & 0o022:
            return False
        hashed = hashlib.sha256()
        while piece := file.read(1 << 20):
            hashed.update(piece)
    return hashed.hexdigest() == digest


def _write(name: str, folder: int, data: bytes) -> None:
    unfinished = f"{UNFINISHED}{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, MODE, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # Whatever the umask took away.
            os.fchmod(descriptor, MODE)
            file.write(data)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished, dir_fd=folder)
        raise


def _tidy(folder: int) -> None:
    """Remove what processes left that were killed while they wrote."""
    for name in os.listdir(folder):
        if name.startswith(UNFINISHED):
            with suppress(OSError):
                if time.time() - os.stat(name, dir_fd=folder).st_mtime > ABANDONED:
                    os.unlink(name, dir_fd=folder)
