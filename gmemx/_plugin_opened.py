"""A bundle that is open: verified before it is believed, and before anything is written.

The order is always the same: the limits and the directory of the file, the bytes of its
manifest, the key that the caller trusts, the manifest's signature, the manifest, platform and
variant, the library with its checksum and its signature. Only then is a file written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gmemx._plugin_archive import Archive, BundleLimits
from gmemx._plugin_cache import Cache
from gmemx._plugin_fields import digest_of
from gmemx._plugin_manifest import MANIFEST, BundleManifest
from gmemx._plugin_minisign import MinisignVerifier
from gmemx._plugin_platforms import VariantInfo, current_platform
from gmemx._plugin_provenance import SchemaInfo
from gmemx._plugin_trust import SIGNATURE, Trust, is_signed
from gmemx.errors import BundleError, BundleExistsError, SignatureError

if TYPE_CHECKING:
    from gmemx.plugin import LogLevel, NativePlugin, PluginConfig

BundlePath = str | os.PathLike[str]
LogCallback = Callable[["LogLevel", str, str], object]


class Bundle:
    """A bundle that is open. `BundleLoader` makes them.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from gmemx.plugin import BundleLoader, MinisignKey, write_bundle
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     library, path = pathlib.Path(folder, "libcalc.so"), pathlib.Path(folder, "calc.rbp")
    ...     _ = library.write_bytes(b"not really one")
    ...     key = MinisignKey.generate()
    ...     _ = write_bundle(path, name="calc", version="1.0.0", libraries=library, key=key)
    ...     with BundleLoader(path, public_key=key.public_key) as bundle:
    ...         bundle.manifest.plugin_name, bundle.list_variants(), bundle.read_library()
    ('calc', ['release'], b'not really one')
    """

    def __init__(
        self, path: BundlePath, trust: Trust, limits: BundleLimits, cache: BundlePath | None
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self._trust = trust
        self._cache = None if cache is None else os.fspath(cache)
        self._archive = Archive(self.path, limits)

    @cached_property
    def manifest(self) -> BundleManifest:
        """What the bundle says of itself, its signature verified."""
        return self._verified[0]

    @property
    def signed_by(self) -> str | None:
        """The number of the key that signed the bundle; None where it was not asked for."""
        signer = self._verified[1]
        return signer and signer.key_id

    @cached_property
    def _verified(self) -> tuple[BundleManifest, MinisignVerifier | None]:
        data = self._archive.read(MANIFEST, self._archive.limits.manifest)
        signer = self._trust.signer(self._archive, data)
        return BundleManifest.from_json(data), signer

    def list_files(self) -> list[str]:
        """Name all files in the bundle, whether they are verified or not.

        Returns
        -------
        list of str

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> bundle.list_files()[0]
        'manifest.json'
        """
        return self._archive.names()

    def sizes(self) -> list[tuple[str, int]]:
        """Name all files in the bundle and their sizes, whether they are verified or not.

        Returns
        -------
        list of (str, int)

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> dict(bundle.sizes())["manifest.json"] > 100
        True
        """
        return [(name, self._archive.size(name)) for name in self._archive.names()]

    def list_variants(self, platform: str | None = None) -> list[str]:
        """Name the variants for a platform, by default this machine's; empty where it has none.

        Parameters
        ----------
        platform : str, optional

        Returns
        -------
        list of str

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> bundle.list_variants()
        ['release']
        """
        found = self.manifest.get_platform(platform or current_platform())
        return found.list_variants() if found else []

    def read_library(self, *, variant: str | None = None, platform: str | None = None) -> bytes:
        """Give the bytes of a library, its checksum and its signature verified.

        Parameters
        ----------
        variant : str, optional
            By default the bundle's default, ``"release"``.
        platform : str, optional
            By default this machine's.

        Returns
        -------
        bytes

        Raises
        ------
        BundleError
            Where there is no such platform or variant; never is another one taken.
        SignatureError
            Where it was not signed by the key that signed the manifest.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> bundle.read_library()[:4]
        b'\\x7fELF'
        """
        return self._library(self.manifest.platform(platform).variant(variant))

    def extract_library(
        self,
        dest_dir: BundlePath | None = None,
        *,
        variant: str | None = None,
        platform: str | None = None,
    ) -> Path:
        """Write a library to a folder once it is verified.

        Parameters
        ----------
        dest_dir : path, optional
            Made where it is missing. By default the library goes to the cache, which is this
            user's alone, and stays there.
        variant, platform : str, optional
            As `read_library`.

        Returns
        -------
        Path
            Of the library.

        Raises
        ------
        BundleError
            As `read_library`.
        FileExistsError
            Where the folder has a file of that name; it stays as it is.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> extracted = bundle.extract_library(folder.name)
        >>> os.path.dirname(extracted) == folder.name
        True
        """
        info = self.manifest.platform(platform).variant(variant)
        data = self._library(info)
        name = info.library.rpartition("/")[2]
        if dest_dir is None:
            return Path(Cache(self._cache).put(data, digest_of(info.checksum), name))
        return _write_new(Path(dest_dir) / name, data, 0o755)

    def load(
        self,
        config: PluginConfig | None = None,
        log_callback: LogCallback | None = None,
        *,
        variant: str | None = None,
        **options: Any,
    ) -> NativePlugin:
        """Load the plugin.

        Parameters
        ----------
        config, log_callback, **options
            As `gmemx.plugin.load`.
        variant : str, optional
            As `read_library`.

        Returns
        -------
        NativePlugin

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> with bundle.load() as loaded:
        ...     loaded.call("echo", "[1]")
        '[1]'
        """
        from gmemx.plugin import load

        return load(self.extract_library(variant=variant), config, log_callback, **options)

    def read_schema(self, schema_name: str) -> str:
        """Give the text of a schema, its checksum verified.

        Parameters
        ----------
        schema_name : str
            As the manifest has it.

        Raises
        ------
        BundleError
            Where there is no such schema, or it is no text.

        Examples
        --------
        >>> import os, tempfile
        >>> from pathlib import Path
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path, schema = os.path.join(folder.name, "sample.rbp"), Path(folder.name, "echo.json")
        >>> _ = schema.write_text('{"type": "object"}')
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(
        ...     path, name="sample", version="1.0.0", libraries=library, schemas=[schema]
        ... )
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> bundle.read_schema("echo.json")
        '{"type": "object"}'
        """
        try:
            return self._schema(schema_name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"the schema {schema_name!r} is no text: {error}") from None

    def extract_schema(self, schema_name: str, dest_dir: BundlePath) -> Path:
        """Write a schema to a folder, never outside of it.

        Raises
        ------
        BundleError
            As `read_schema`.
        FileExistsError
            Where the folder has another file of that name.
        """
        data = self._schema(schema_name)
        path = Path(dest_dir, *schema_name.split("/"))
        with suppress(OSError):
            if path.read_bytes() == data:
                return path
        return _write_new(path, data, 0o644)

    def verify(self) -> list[str]:
        """Verify everything that can be: the manifest, every library, every schema.

        Returns
        -------
        list of str
            The files that nothing vouches for, such as documents: the format has neither a
            checksum nor a signature for them.

        Raises
        ------
        BundleError, SignatureError
            For the first thing that does not fit.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> bundle.verify()  # nothing that nobody vouches for
        []
        """
        vouched = {MANIFEST}
        for info in _libraries(self.manifest):
            self._library(info)
            vouched.add(info.library)
        for schema in _schemas(self.manifest):
            self._checked(schema.path, schema.checksum)
            vouched.add(schema.path)
        vouched |= {f"{name}{SIGNATURE}" for name in vouched}
        return [name for name in self.list_files() if name not in vouched]

    def close(self) -> None:
        """Close the file. What was extracted stays.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> bundle = plugin.BundleLoader(path, verify_signatures=False).open()
        >>> bundle.close()
        """
        self._archive.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Bundle {self.path}>"

    def _library(self, info: VariantInfo) -> bytes:
        signer = self._verified[1]
        data = self._checked(info.library, info.checksum)
        if signer is not None and not is_signed(self._archive, info.library, data, signer):
            raise SignatureError(
                f"{info.library} in {self.path} was not signed with the key "
                f"{signer.key_id}, which signed the manifest"
            )
        return data

    def _schema(self, name: str) -> bytes:
        schema = self.manifest.schemas.get(name)
        if schema is None:
            has = ", ".join(self.manifest.schemas) or "none"
            raise BundleError(f"{self.path} has no schema {name!r}; it has {has}")
        return self._checked(schema.path, schema.checksum)

    def _checked(self, name: str, checksum: str) -> bytes:
        data = self._archive.read(name)
        if hashlib.sha256(data).hexdigest() != digest_of(checksum):
            raise BundleError(f"{name} in {self.path} does not fit its checksum in the manifest")
        return data


def _libraries(manifest: BundleManifest) -> Iterator[VariantInfo]:
    for platforms in (manifest.platforms, manifest.bridges.jni if manifest.bridges else {}):
        for platform in platforms.values():
            yield from platform.variants.values()


def _schemas(manifest: BundleManifest) -> Iterator[SchemaInfo]:
    yield from manifest.schemas.values()
    for info in _libraries(manifest):
        yield from info.schemas.values()


def _write_new(path: Path, data: bytes, mode: int) -> Path:
    """Write a file that is not there yet, and whose folder may not be there either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError:
        raise BundleExistsError(f"{path} is there already; it was not changed") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    return path
