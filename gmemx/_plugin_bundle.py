"""Bundles by their paths, and whose signatures are believed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gmemx._plugin_archive import BundleLimits
from gmemx._plugin_manifest import BundleManifest
from gmemx._plugin_minisign import MinisignVerifier
from gmemx._plugin_opened import Bundle, BundlePath, LogCallback
from gmemx._plugin_platforms import current_platform
from gmemx._plugin_provenance import BuildInfo, SchemaInfo
from gmemx._plugin_trust import Key, Trust, verifier_of

if TYPE_CHECKING:
    from gmemx.plugin import NativePlugin, PluginConfig

__all__ = ["Bundle", "BundleLoader"]


class BundleLoader:
    """Reads bundles, and loads the plugins in them.

    With a bundle of its own it is a context manager, which gives that `Bundle`. Without one its
    methods take the path of a bundle first.

    Parameters
    ----------
    bundle : path, optional
        The bundle to open.
    verify_signatures : bool, optional
        False for a bundle of one's own, say while it is being written. Its checksums are
        verified in any case, but whoever can change the library can change those, too.
    public_key : str, path or MinisignVerifier, optional
        The key that the bundle must be signed with, from another source than the bundle.
    trusted_keys : iterable, optional
        More keys; any of them is enough.
    allow_embedded_key : bool, optional
        Where no key is given, believe the one that the bundle itself has. That tells that the
        bundle is whole, not who made it.
    limits : BundleLimits, optional
        How large a bundle may be.
    cache : path, optional
        The folder for extracted libraries; see GMEMX_PLUGIN_CACHE.
    public_key_override : str, optional
        Another name of `public_key`.

    Raises
    ------
    ValueError
        Where a key is malformed.

    Examples
    --------
    >>> from gmemx.plugin import BundleLoader
    >>> with BundleLoader("calc-1.0.0.rbp", public_key=KEY) as bundle:  # doctest: +SKIP
    ...     plugin = bundle.load()
    >>> loader = BundleLoader(public_key=KEY)  # doctest: +SKIP
    >>> plugin = loader.load("calc-1.0.0.rbp")  # doctest: +SKIP
    """

    def __init__(
        self,
        bundle: BundlePath | bool | None = None,
        verify_signatures: bool | str | None = True,
        public_key: Key | None = None,
        *,
        trusted_keys: Iterable[Key] | Key = (),
        allow_embedded_key: bool = False,
        limits: BundleLimits | None = None,
        cache: BundlePath | None = None,
        public_key_override: Key | None = None,
    ) -> None:
        if isinstance(bundle, bool):
            # Without a bundle the two others may come first.
            if verify_signatures is not True:
                public_key = verify_signatures or public_key
            bundle, verify_signatures = None, bundle
        if not isinstance(verify_signatures, bool):
            raise TypeError(
                f"verify_signatures must be True or False, not {type(verify_signatures).__name__}"
            )
        if isinstance(trusted_keys, (str, os.PathLike, MinisignVerifier)):
            trusted_keys = (trusted_keys,)
        given = (public_key, public_key_override, *trusted_keys)
        keys = tuple(verifier_of(key) for key in given if key is not None)
        self._path = None if bundle is None else os.fspath(bundle)
        self._trust = Trust(keys, verify_signatures, allow_embedded_key)
        self._limits = limits or BundleLimits()
        self._cache = cache
        self._entered: Bundle | None = None

    def open(self, bundle_path: BundlePath | None = None) -> Bundle:
        """Open a bundle, by default the loader's own, and verify its manifest.

        Parameters
        ----------
        bundle_path : path, optional

        Returns
        -------
        Bundle

        Raises
        ------
        BundleError
            Where it is damaged, exceeds a limit, or is of an unknown version.
        SignatureError
            Where no trusted key signed it.
        FileNotFoundError
            Where there is no such file.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> with loader.open(path) as bundle:
        ...     bundle.manifest.plugin_name
        'sample'
        """
        bundle = self._unverified(bundle_path)
        try:
            _ = bundle.manifest
        except BaseException:
            bundle.close()
            raise
        return bundle

    def _unverified(self, bundle_path: BundlePath | None) -> Bundle:
        path = self._path if bundle_path is None else bundle_path
        if path is None:
            raise TypeError("this BundleLoader has no bundle of its own: the path of one is wanted")
        return Bundle(path, self._trust, self._limits, self._cache)

    def __enter__(self) -> Bundle:
        self._entered = self.open()
        return self._entered

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._entered is not None:
            self._entered.close()

    def __repr__(self) -> str:
        keys = ", ".join(key.key_id for key in self._trust.keys) or "no key"
        trusted = keys if self._trust.verify else "signatures not verified"
        return f"<BundleLoader {self._path or 'of any bundle'}: {trusted}>"

    def load(self, bundle_path: BundlePath | None = None, **options: Any) -> NativePlugin:
        """Load the plugin in a bundle.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        **options
            As of `Bundle.load`.

        Returns
        -------
        NativePlugin

        Raises
        ------
        BundleError
            Where it is damaged, or has not what was asked for.
        SignatureError
            Where it was not signed by whom the caller trusts.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> with loader.load(path) as loaded:
        ...     loaded.call("echo", "[1]")
        '[1]'
        """
        with self.open(bundle_path) as bundle:
            return bundle.load(**options)

    def load_with_config(
        self,
        bundle_path: BundlePath,
        config: PluginConfig,
        log_callback: LogCallback | None = None,
        **options: Any,
    ) -> NativePlugin:
        """Load the plugin in a bundle, with a configuration.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        config : PluginConfig, optional
        log_callback, **options
            As of `gmemx.plugin.load`.

        Returns
        -------
        NativePlugin

        Raises
        ------
        BundleError
            Where it is damaged, or has not what was asked for.
        SignatureError
            Where it was not signed by whom the caller trusts.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> with loader.load_with_config(path, plugin.PluginConfig()) as loaded:
        ...     loaded.call("echo", "[1]")
        '[1]'
        """
        return self.load(bundle_path, config=config, log_callback=log_callback, **options)

    def load_variant_with_config(
        self,
        bundle_path: BundlePath,
        variant: str,
        config: PluginConfig,
        log_callback: LogCallback | None = None,
        **options: Any,
    ) -> NativePlugin:
        """Load a variant of the plugin in a bundle, with a configuration.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        variant : str
        config : PluginConfig, optional
        log_callback, **options
            As of `gmemx.plugin.load`.

        Returns
        -------
        NativePlugin

        Raises
        ------
        BundleError
            Where it is damaged, or has not what was asked for.
        SignatureError
            Where it was not signed by whom the caller trusts.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> with loader.load_variant_with_config(path, "release", plugin.PluginConfig()) as loaded:
        ...     loaded.call("echo", "[1]")
        '[1]'
        """
        return self.load(
            bundle_path, config=config, log_callback=log_callback, variant=variant, **options
        )

    def extract_library(
        self, bundle_path: BundlePath | None = None, dest_dir: BundlePath | None = None
    ) -> Path:
        """Write the library for this machine to a folder, by default the cache.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        dest_dir : path, optional

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> extracted = loader.extract_library(path, folder.name)
        >>> os.path.dirname(extracted) == folder.name
        True
        """
        with self.open(bundle_path) as bundle:
            return bundle.extract_library(dest_dir)

    def extract_library_variant(
        self, bundle_path: BundlePath, dest_dir: BundlePath, variant: str
    ) -> Path:
        """Write a variant of the library for this machine to a folder.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        dest_dir : path
        variant : str

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> extracted = loader.extract_library_variant(path, folder.name, "release")
        >>> os.path.dirname(extracted) == folder.name
        True
        """
        with self.open(bundle_path) as bundle:
            return bundle.extract_library(dest_dir, variant=variant)

    def extract_library_to_temp(self, bundle_path: BundlePath) -> Path:
        """Write the library to a new folder, which is the caller's to remove.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        """
        with self.open(bundle_path) as bundle:
            folder = tempfile.mkdtemp(prefix="gmemx-")
            try:
                return bundle.extract_library(folder)
            except BaseException:
                os.rmdir(folder)
                raise

    def list_variants(self, bundle_path: BundlePath, platform: str | None = None) -> list[str]:
        """Name the variants for a platform, by default this machine's.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        platform : str, optional

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.list_variants(path)
        ['release']
        """
        with self.open(bundle_path) as bundle:
            return bundle.list_variants(platform)

    def get_default_variant(self, bundle_path: BundlePath, platform: str | None = None) -> str:
        """Name the variant that is loaded where none is asked for.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        platform : str, optional

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.get_default_variant(path)
        'release'
        """
        with self.open(bundle_path) as bundle:
            return bundle.manifest.platform(platform).default_variant

    @property
    def manifest(self) -> BundleManifest:
        """What the loader's own bundle says of itself."""
        return self.get_manifest()

    def get_manifest(self, bundle_path: BundlePath | None = None) -> BundleManifest:
        """Give what a bundle says of itself.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.get_manifest(path).plugin_version
        '1.0.0'
        """
        with self.open(bundle_path) as bundle:
            return bundle.manifest

    def get_build_info(self, bundle_path: BundlePath) -> BuildInfo | None:
        """Tell how a bundle was built.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.get_build_info(path) is None
        True
        """
        return self.get_manifest(bundle_path).build_info

    def get_effective_build_info(
        self, bundle_path: BundlePath, platform: str | None = None, variant: str = "release"
    ) -> BuildInfo | None:
        """Tell how a variant was built, or the whole bundle where nothing else is said.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.
        platform, variant : str, optional

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.get_effective_build_info(path) is None
        True
        """
        manifest = self.get_manifest(bundle_path)
        return manifest.get_effective_build_info(platform or current_platform(), variant)

    def list_files(self, bundle_path: BundlePath | None = None) -> list[str]:
        """Name all files in a bundle; nothing is verified for that.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.list_files(path)[0]
        'manifest.json'
        """
        return [name for name, _ in self.sizes(bundle_path)]

    def sizes(self, bundle_path: BundlePath | None = None) -> list[tuple[str, int]]:
        """Name all files in a bundle and their sizes; nothing is verified for that.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> dict(loader.sizes(path))["manifest.json"] > 100
        True
        """
        with self._unverified(bundle_path) as bundle:
            return bundle.sizes()

    def get_schemas(self, bundle_path: BundlePath) -> Mapping[str, SchemaInfo]:
        """Give what a bundle says of its schemas, by name.

        Parameters
        ----------
        bundle_path : path, optional
            By default the loader's own.

        Examples
        --------
        >>> import os, tempfile
        >>> from gmemx import plugin
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = os.path.join(folder.name, "sample.rbp")
        >>> library = plugin.sample_library()
        >>> _ = plugin.write_bundle(path, name="sample", version="1.0.0", libraries=library)
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.get_schemas(path)
        {}
        """
        return self.get_manifest(bundle_path).schemas

    def read_schema(self, bundle_path: BundlePath, schema_name: str) -> str:
        """Give the text of a schema.

        Parameters
        ----------
        bundle_path : path
        schema_name : str
            As the manifest has it.

        Returns
        -------
        str

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
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> loader.read_schema(path, "echo.json")
        '{"type": "object"}'
        """
        with self.open(bundle_path) as bundle:
            return bundle.read_schema(schema_name)

    def extract_schema(
        self, bundle_path: BundlePath, schema_name: str, dest_dir: BundlePath
    ) -> Path:
        """Write a schema to a folder, never outside of it.

        Parameters
        ----------
        bundle_path : path
        schema_name : str
            As the manifest has it.
        dest_dir : path

        Returns
        -------
        pathlib.Path
            Where it is then.

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
        >>> loader = plugin.BundleLoader(verify_signatures=False)
        >>> schema.unlink()
        >>> os.path.basename(loader.extract_schema(path, "echo.json", folder.name))
        'echo.json'
        """
        with self.open(bundle_path) as bundle:
            return bundle.extract_schema(schema_name, dest_dir)

    @staticmethod
    def get_current_platform() -> str:
        """Name this machine as bundles do, such as ``"linux-x86_64"``.

        Examples
        --------
        >>> from gmemx import plugin
        >>> plugin.BundleLoader.get_current_platform() == plugin.current_platform()
        True
        """
        return current_platform()
