"""The fields of a manifest, each of the type that it must have, and names that stay inside.

A manifest is data of strangers, signed or not. What is missing or of another type is refused
here, and so is every name that would lead out of the bundle, or out of a folder that something
is extracted to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from gmemx.errors import BundleError

T = TypeVar("T")

CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
DRIVE = re.compile(r"[A-Za-z]:")
LONGEST_NAME, LONGEST_PATH = 255, 1024


def unsafe(name: str) -> str | None:
    """Say what is wrong with the name of a file in a bundle, or None where nothing is.

    Parameters
    ----------
    name : str
        With ``/`` between folders.

    Returns
    -------
    str or None
        The reason, as the end of a sentence.

    Examples
    --------
    >>> unsafe("lib/linux-x86_64/release/libcalc.so")
    >>> unsafe("schema/../../.bashrc")
    "it has '..' in it"
    """
    parts = name.split("/")
    for reason, found in (
        ("it is empty", not name),
        ("it begins with '/'", name.startswith("/")),
        ("it has a backslash in it", "\\" in name),
        ("it begins with a drive", DRIVE.match(name) is not None),
        ("it has characters in it that cannot be printed", not name.isprintable()),
        ("it has '..' in it", ".." in parts),
        ("it has an empty part or '.' in it", "" in parts or "." in parts),
        ("it is too long", max(map(_size, parts)) > LONGEST_NAME or _size(name) > LONGEST_PATH),
    ):
        if found:
            return reason
    return None


def _size(name: str) -> int:
    # JSON may have halves of characters, which no encoding knows.
    return len(name.encode("utf-8", "surrogatepass"))


def digest_of(checksum: str) -> str:
    """The hexadecimal digits of a checksum, which may have ``sha256:`` before them."""
    return checksum[-64:].lower()


class Fields:
    """An object of the manifest and where it stands, for the sentences about it."""

    def __init__(self, data: object, where: str = "") -> None:
        if not isinstance(data, Mapping):
            refuse(f"{where or 'it'} must be an object, not {shown(data)}")
        self.data: Mapping[str, Any] = data
        self.where = where

    def path(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def get(self, key: str, kind: type[T], what: str) -> T | None:
        value = self.data.get(key)
        if value is not None and (not isinstance(value, kind)):
            refuse(f"{self.path(key)} must be {what}, not {shown(value)}")
        return value

    def text(self, key: str) -> str | None:
        return self.get(key, str, "a text")

    def needed(self, key: str) -> str:
        """A text that must be there, and can be printed."""
        value = self.text(key)
        if value is None:
            refuse(f"{self.path(key)} is missing")
        if not value.strip() or not value.isprintable():
            refuse(f"{self.path(key)} must be a text of one line, not {shown(value)}")
        return value

    def name(self, key: str) -> str | None:
        """The name of a file in the bundle."""
        value = self.text(key)
        if value is not None:
            self.check_name(key, value)
        return value

    def check_name(self, key: str, value: str) -> None:
        reason = unsafe(value)
        if reason is not None:
            refuse(f"{self.path(key)} cannot be {shown(value)}: {reason}")

    def checksum(self) -> str:
        value = self.needed("checksum")
        if CHECKSUM.fullmatch(value) is None:
            refuse(f"{self.path('checksum')} must be 'sha256:' and 64 digits, not {shown(value)}")
        return value

    def object(self, key: str) -> Fields | None:
        value = self.data.get(key)
        return None if value is None else Fields(value, self.path(key))

    def made(self, key: str, make: Callable[[Fields], T]) -> T | None:
        fields = self.object(key)
        return None if fields is None else make(fields)

    def each(self, key: str, make: Callable[[Fields], T]) -> dict[str, T]:
        """What an object with names of the bundle's own choice has under them."""
        fields = self.object(key)
        if fields is None:
            return {}
        return {name: make(Fields(value, fields.path(name))) for name, value in fields.data.items()}


def refuse(sentence: str) -> NoReturn:
    raise BundleError(f"manifest.json: {sentence}")


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def parse_json(text: str | bytes) -> Any:
    """Parse a manifest, refusing what two readers could understand in two ways.

    Parameters
    ----------
    text : str or bytes

    Returns
    -------
    object

    Raises
    ------
    BundleError
        Where it is no JSON, has one key twice, or is nested absurdly deep.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"manifest.json: it is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            refuse(f"the key {shown(key)} is there twice")
        found[key] = value
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
