"""Which keys are trusted, and whether one of them signed what is in a bundle."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gmemx._plugin_archive import Archive
from gmemx._plugin_fields import parse_json
from gmemx._plugin_manifest import MANIFEST
from gmemx._plugin_minisign import MinisignVerifier
from gmemx.errors import SignatureError

Key = str | os.PathLike[str] | MinisignVerifier

# A signature has the name of its file, and this behind it.
SIGNATURE = ".minisig"


def verifier_of(key: Key) -> MinisignVerifier:
    """Make a verifier of a key as callers give one.

    Parameters
    ----------
    key : str, path or MinisignVerifier
        The line that begins with ``RW``, the text of a ``.pub`` file, or the path of one, which
        must not be a str.

    Returns
    -------
    MinisignVerifier

    Raises
    ------
    ValueError
        Where that is no public key.
    """
    if isinstance(key, MinisignVerifier):
        return key
    if isinstance(key, os.PathLike):
        return MinisignVerifier(Path(key).read_text(encoding="utf-8"))
    return MinisignVerifier(key)


@dataclass(frozen=True)
class Trust:
    """Whose signatures are believed."""

    keys: tuple[MinisignVerifier, ...] = ()
    verify: bool = True
    embedded: bool = False

    def signer(self, archive: Archive, manifest: bytes) -> MinisignVerifier | None:
        """Give the key that signed a manifest, or None where nobody asked."""
        if not self.verify:
            return None
        keys = self.keys or (self._claimed(archive, manifest),)
        for key in keys:
            if is_signed(archive, MANIFEST, manifest, key):
                return key
        ids = " or ".join(key.key_id for key in keys)
        raise SignatureError(
            f"{archive.path} was not signed with the trusted key {ids}, or was changed since"
        )

    def _claimed(self, archive: Archive, manifest: bytes) -> MinisignVerifier:
        """The bundle's own key, where the caller has agreed to that."""
        if not self.embedded:
            raise SignatureError(
                f"there is no trusted key to verify {archive.path} with: give public_key=, "
                "or verify_signatures=False for a bundle of your own"
            )
        data = parse_json(manifest)
        key = data.get("public_key") if isinstance(data, dict) else None
        if not isinstance(key, str):
            raise SignatureError(f"{archive.path} has no key of its own")
        try:
            return MinisignVerifier(key)
        except ValueError as error:
            raise SignatureError(f"the key that {archive.path} has is none: {error}") from None


def is_signed(archive: Archive, name: str, data: bytes, key: MinisignVerifier) -> bool:
    """Whether a key signed a file of a bundle; an error where there is no signature to tell."""
    signature = f"{name}{SIGNATURE}"
    if signature not in archive:
        raise SignatureError(f"{name} in {archive.path} is not signed")
    try:
        return key.verify(data, archive.read(signature, archive.limits.manifest))
    except ValueError as error:
        raise SignatureError(f"{signature} in {archive.path} is no signature: {error}") from None
