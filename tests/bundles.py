"""Bundles for the tests: written, taken apart, changed, and put together again.

Nothing in them is ever run unless a test says so: their "library" is a text.
"""

import functools
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from plugins import linux_only as linux_only

DATA = Path(__file__).parent / "data"
FOREIGN = DATA / "bundles" / "foreign.rbp"
FOREIGN_KEY = DATA / "minisign" / "rust.pub"
LIBRARY = b"\x7fELF, or rather a text that is never run" * 40
SCHEMA = '{"title": "a message"}\n'
PLATFORMS = ("linux-x86_64", "linux-aarch64")


@functools.cache
def key(number=0):
    """A secret key of this session; the same number gives the same key."""
    from gmemx.plugin import MinisignKey

    return MinisignKey.generate()


def here():
    """This machine, as bundles name it."""
    from gmemx.plugin import BundleLoader

    return BundleLoader.get_current_platform()


def path_in_bundle(variant="release"):
    return f"lib/{here()}/{variant}/libwords.so"


def described(**changes):
    """A manifest for `LIBRARY`; a key that becomes None is left out."""
    library = {"library": path_in_bundle(), "checksum": f"sha256:{digest(LIBRARY)}"}
    manifest = {
        "bundle_version": "1.0",
        "plugin": {"name": "words", "version": "1.2.3"},
        "platforms": {here(): {"variants": {"release": library}}},
        "schemas": {
            "message.json": {
                "path": "schema/message.json",
                "format": "json-schema",
                "checksum": digest(SCHEMA.encode()),
            }
        },
    }
    return {name: value for name, value in {**manifest, **changes}.items() if value is not None}


def digest(data):
    return hashlib.sha256(data).hexdigest()


@dataclass
class Parts:
    """The files of a bundle by name, to be changed; `signer` signs those that have a signature."""

    manifest: dict = field(default_factory=described)
    files: dict = field(
        default_factory=lambda: {
            path_in_bundle(): LIBRARY,
            "schema/message.json": SCHEMA.encode(),
            "docs/README.md": b"words\n",
        }
    )
    signer: object = None
    raw_manifest: bytes | None = None

    def contents(self):
        """Everything as it will be in the ZIP file."""
        manifest = self.raw_manifest
        if manifest is None:
            manifest = json.dumps(self.manifest).encode()
        found = {"manifest.json": manifest}
        for name, data in self.files.items():
            found[name] = data
        if self.signer is not None:
            for name in list(found):
                if name == "manifest.json" or name.startswith("lib/"):
                    found.setdefault(f"{name}.minisig", self.signer.sign(found[name]).encode())
        return found

    def write(self, path):
        path.write_bytes(zipped(self.contents().items()))
        return path


def zipped(entries, **options):
    """A ZIP file of (name or ZipInfo, data); names may be there twice."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return target.getvalue()


def unzipped(path):
    """The files of a bundle by name, in order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def signed(path, **changes):
    """A bundle as the other tests begin with it, signed by `key()`."""
    parts = Parts(signer=key())
    for name, value in changes.items():
        setattr(parts, name, value)
    return parts.write(path)


def loader(path=None, **options):
    """A loader that trusts `key()`."""
    from gmemx.plugin import BundleLoader

    options.setdefault("public_key", key().public_key)
    return BundleLoader(path, **options)


def read(path, **options):
    """Everything that a bundle gives, verified."""
    with loader(path, **options) as bundle:
        return bundle.read_library(), bundle.read_schema("message.json"), bundle.verify()


def refused(path, *words, error=None, **options):
    """The sentence with which a bundle is refused, which has these words in it."""
    from gmemx.plugin import BundleError

    with pytest.raises(error or BundleError) as caught:
        read(path, **options)
    text = caught.value.message
    for word in words:
        assert word in text, text
    assert "\n" not in text
    return text


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of libraries for this test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("GMEMX_PLUGIN_CACHE", str(folder))
    return folder
