"""Bundles, written: the same bytes for the same files, wherever and whenever that is done."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gmemx._plugin_archive import BundleLimits
from gmemx._plugin_fields import unsafe
from gmemx._plugin_manifest import MANIFEST, BundleManifest
from gmemx._plugin_minisign import MinisignKey, MinisignVerifier
from gmemx._plugin_opened import Bundle, BundlePath
from gmemx._plugin_platforms import DEFAULT_VARIANT, PLATFORMS, current_platform
from gmemx._plugin_trust import SIGNATURE, Trust
from gmemx.errors import BundleError

Files = Mapping[str, BundlePath] | Iterable[BundlePath]
Libraries = Mapping[str | tuple[str, str], BundlePath] | BundlePath

# The first moment that a ZIP file knows: when a bundle was made is not in it.
NO_TIME = (1980, 1, 1, 0, 0, 0)
READABLE = 0o100644 << 16
UNIX = 3
FORMATS = {".h": "c-header", ".hpp": "c-header", ".json": "json-schema"}
SBOMS = ("cyclonedx", "spdx")
SIGNED = ("lib/", "bridge/")


def write_bundle(
    path: BundlePath,
    *,
    name: str,
    version: str,
    libraries: Libraries,
    schemas: Files = (),
    docs: Files = (),
    key: MinisignKey | str | os.PathLike[str] | None = None,
    description: str | None = None,
    authors: Iterable[str] = (),
    license: str | None = None,
    repository: str | None = None,
    license_file: BundlePath | None = None,
    notices: BundlePath | None = None,
    sbom: Mapping[str, BundlePath] | None = None,
    build_info: Mapping[str, Any] | None = None,
    builds: Mapping[tuple[str, str], Any] | None = None,
) -> BundleManifest:
    """Write a bundle, and sign it where there is a key.

    Parameters
    ----------
    path : path
        Of the bundle; one that is there is replaced once the new one is whole.
    name, version : str
        Of the plugin.
    libraries : mapping or path
        By (platform, variant), such as ``("linux-x86_64", "release")``; by platform alone for its
        release variant; or one library for this machine.
    schemas, docs : mapping or iterable of path
        By the name in the bundle, or the files, which keep their own names.
    key : MinisignKey, str or path, optional
        Signs the manifest and every library; its public key is put into the manifest. A str is
        the text of a secret key without a password, a path that of a file with one.
    description, authors, license, repository : optional
        About the plugin.
    license_file, notices : path, optional
        The plugin's licence, and the notices of what it is made of.
    sbom : mapping, optional
        By ``"cyclonedx"`` and ``"spdx"``: lists of what the plugin is made of.
    build_info : mapping, optional
        How it was built: see `BuildInfo` for the keys.
    builds : mapping, optional
        By (platform, variant): any JSON about a single library.

    Returns
    -------
    BundleManifest
        As it was read back from the bundle, everything verified.

    Raises
    ------
    BundleError
        For a name, a platform or a variant that no bundle can have, and a file too many.
    OSError
        Where a file cannot be read, or the bundle not be written.

    Examples
    --------
    >>> from gmemx.plugin import MinisignKey, write_bundle
    >>> write_bundle("calc.rbp", name="calc", version="1.0.0",  # doctest: +SKIP
    ...              libraries="target/release/libcalc.so", key=MinisignKey.generate())
    """
    key = _key_of(key)
    contents: dict[str, bytes] = {}
    about = {
        "name": name,
        "version": version,
        "description": description,
        "authors": list(authors) or None,
        "license": license,
        "repository": repository,
    }
    manifest: dict[str, Any] = {
        "bundle_version": "1.0",
        "plugin": _given(about),
        "platforms": _platforms(libraries, builds or {}, contents),
        "schemas": _schemas(schemas, contents),
        "build_info": None if build_info is None else dict(build_info),
        "public_key": key.public_key if key else None,
    }
    for file_name, file in _named(docs).items():
        _add(contents, f"docs/{file_name}", file)
    for field, target, file in (
        ("license_file", "legal/LICENSE", license_file),
        ("notices", "docs/NOTICES.txt", notices),
    ):
        manifest[field] = file and _add(contents, target, file)
    manifest["sbom"] = _sbom(sbom or {}, contents)
    manifest = _given(manifest)
    BundleManifest.from_dict(manifest)
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return _write(os.fspath(path), {MANIFEST: text.encode(), **dict(sorted(contents.items()))}, key)


def generate_keys(password: str | bytes | None = None) -> tuple[str, str]:
    """Make a pair of keys to sign bundles with.

    Parameters
    ----------
    password : str or bytes, optional
        The secret key is encrypted with it.

    Returns
    -------
    secret, public : str
        The texts of two files as minisign has them. The first signs, and is for its owner alone;
        the second is what `BundleLoader` takes as a key to be trusted.

    Examples
    --------
    >>> from gmemx.plugin import generate_keys
    >>> secret, public = generate_keys()
    >>> public.startswith("untrusted comment: minisign public key")
    True
    """
    key = MinisignKey.generate()
    return key.to_text(password), key.public_text


def _key_of(key: MinisignKey | str | os.PathLike[str] | None) -> MinisignKey | None:
    if isinstance(key, os.PathLike):
        key = Path(key).read_text(encoding="utf-8")
    return MinisignKey.read(key) if isinstance(key, str) else key


def _given(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value not in (None, {})}


def _platforms(
    libraries: Libraries, builds: Mapping[tuple[str, str], Any], contents: dict[str, bytes]
) -> dict[str, Any]:
    if isinstance(libraries, (str, os.PathLike)):
        libraries = {current_platform(): libraries}
    platforms: dict[str, Any] = {}
    for where, file in libraries.items():
        platform, variant = (where, DEFAULT_VARIANT) if isinstance(where, str) else where
        if platform not in PLATFORMS:
            raise BundleError(f"{platform!r} is no platform of bundles: {', '.join(PLATFORMS)} are")
        name = _add(contents, f"lib/{platform}/{variant}/{Path(file).name}", file)
        platforms.setdefault(platform, {"variants": {}})["variants"][variant] = _given(
            {
                "library": name,
                "checksum": f"sha256:{_digest(contents[name])}",
                "build": builds.get((platform, variant)),
            }
        )
    return platforms


def _schemas(schemas: Files, contents: dict[str, bytes]) -> dict[str, Any]:
    described = {}
    for name, file in _named(schemas).items():
        path = _add(contents, f"schema/{name}", file)
        described[name] = {
            "path": path,
            "format": FORMATS.get(Path(name).suffix, "unknown"),
            "checksum": _digest(contents[path]),
        }
    return described


def _sbom(files: Mapping[str, BundlePath], contents: dict[str, bytes]) -> dict[str, str]:
    for kind in files:
        if kind not in SBOMS:
            raise BundleError(f"an sbom is one of {', '.join(SBOMS)}, not {kind!r}")
    return {kind: _add(contents, f"sbom/{Path(file).name}", file) for kind, file in files.items()}


def _named(files: Files) -> dict[str, BundlePath]:
    if isinstance(files, (str, os.PathLike)):
        raise TypeError(f"the files must be a mapping or a list, not {type(files).__name__}")
    if isinstance(files, Mapping):
        return dict(files)
    found: dict[str, BundlePath] = {}
    for file in files:
        name = Path(file).name
        if name in found:
            raise BundleError(f"{found[name]} and {file} would have the same name in the bundle")
        found[name] = file
    return found


def _add(contents: dict[str, bytes], name: str, file: BundlePath) -> str:
    reason = unsafe(name)
    if reason is not None:
        raise BundleError(f"a bundle cannot have the file {name!r}: {reason}")
    if name in contents:
        raise BundleError(f"two files would have the name {name!r} in the bundle")
    contents[name] = Path(file).read_bytes()
    return name


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: str, contents: Mapping[str, bytes], key: MinisignKey | None) -> BundleManifest:
    unfinished = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.rbp")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as target:
            for name, data in contents.items():
                _put(target, name, data)
                if key and (name == MANIFEST or name.startswith(SIGNED)):
                    # The name of the file is the comment that is signed with it.
                    _put(target, f"{name}{SIGNATURE}", key.sign(data, f"file:{name}").encode())
        trust = Trust((MinisignVerifier(key.public_key),)) if key else Trust(verify=False)
        with Bundle(unfinished, trust, BundleLimits(), None) as bundle:
            bundle.verify()
            manifest = bundle.manifest
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    return manifest


def _put(target: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, NO_TIME)
    entry.create_system, entry.external_attr = UNIX, READABLE
    # Readers refuse what unpacks to much more than it was, as bombs do.
    shrinks = len(data) / BundleLimits.ratio < len(zlib.compress(data)) < len(data)
    entry.compress_type = zipfile.ZIP_DEFLATED if shrinks else zipfile.ZIP_STORED
    target.writestr(entry, data)
