"""What a bundle says of itself: `manifest.json`.

Fields that are not known are left alone: newer tools may write more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gmemx._plugin_fields import Fields, parse_json, refuse, shown
from gmemx._plugin_platforms import (
    DEFAULT_VARIANT,
    PLATFORMS,
    PlatformInfo,
    VariantInfo,
    current_platform,
)
from gmemx._plugin_provenance import BuildInfo, PluginInfo, Sbom, SchemaInfo
from gmemx.errors import BundleError

MANIFEST = "manifest.json"
VERSIONS = ("1.0", "1.1")


@dataclass(frozen=True)
class BridgeInfo:
    """Libraries for hosts of other languages; this one has no use for them."""

    jni: Mapping[str, PlatformInfo] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Fields) -> BridgeInfo:
        """Check the fields of ``bridges``."""
        return cls(fields.each("jni", PlatformInfo.of))


@dataclass(frozen=True)
class BundleManifest:
    """What a bundle says of itself.

    Attributes
    ----------
    bundle_version : str
        Of the format.
    plugin_name, plugin_version : str
    platforms : mapping of str to PlatformInfo
    public_key : str or None
        The key that the bundle claims to be signed with: anybody can put one there.
    plugin_info : PluginInfo
    schemas : mapping of str to SchemaInfo
    build_info : BuildInfo or None
    sbom : Sbom or None
    schema_checksum, notices, license_file : str or None
    bridges : BridgeInfo or None
    api : object
        As some older files have it; not looked at.

    Examples
    --------
    >>> from gmemx.plugin import BundleManifest
    >>> manifest = BundleManifest.from_dict({
    ...     "bundle_version": "1.0",
    ...     "plugin": {"name": "calc", "version": "1.2.0"},
    ...     "platforms": {"linux-x86_64": {"variants": {"release": {
    ...         "library": "lib/linux-x86_64/release/libcalc.so", "checksum": "sha256:" + 64 * "0",
    ...     }}}},
    ... })
    >>> manifest.plugin_name, list(manifest.platforms)
    ('calc', ['linux-x86_64'])
    """

    bundle_version: str
    plugin_name: str
    plugin_version: str
    platforms: Mapping[str, PlatformInfo]
    public_key: str | None = None
    plugin_info: PluginInfo | None = None
    schemas: Mapping[str, SchemaInfo] = field(default_factory=dict)
    build_info: BuildInfo | None = None
    sbom: Sbom | None = None
    schema_checksum: str | None = None
    notices: str | None = None
    license_file: str | None = None
    bridges: BridgeInfo | None = None
    api: Any = None

    @classmethod
    def from_json(cls, json_str: str | bytes) -> BundleManifest:
        """Read a manifest.

        Parameters
        ----------
        json_str : str or bytes
            JSON; bytes are UTF-8.

        Returns
        -------
        BundleManifest

        Raises
        ------
        BundleError
            Where it is no JSON, has one key twice, or is no manifest.

        Examples
        --------
        >>> from gmemx import plugin
        >>> try:
        ...     plugin.BundleManifest.from_json("[]")
        ... except plugin.BundleError as error:
        ...     print(error.error_code)
        4
        """
        return cls.from_dict(parse_json(json_str))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BundleManifest:
        """Check what was read; see `from_json`.

        Returns
        -------
        BundleManifest

        Raises
        ------
        BundleError
            Where something is missing or makes no sense.

        Examples
        --------
        >>> from gmemx import plugin
        >>> manifest = plugin.BundleManifest.from_dict({
        ...     "bundle_version": "1.0",
        ...     "plugin": {"name": "sample", "version": "1.0.0"},
        ...     "platforms": {"linux-x86_64": {"variants": {"release": {
        ...         "library": "lib/linux-x86_64/release/libsample.so",
        ...         "checksum": "sha256:" + 64 * "0",
        ...     }}}},
        ... })
        >>> manifest.plugin_name
        'sample'
        """
        fields = Fields(data)
        version = fields.needed("bundle_version")
        if version not in VERSIONS:
            known = " and ".join(VERSIONS)
            refuse(f"bundle_version {shown(version)} is not known, {known} are")
        plugin = fields.made("plugin", PluginInfo.of)
        if plugin is None:
            refuse("plugin is missing")
        platforms = fields.each("platforms", PlatformInfo.of)
        if not platforms:
            refuse("platforms must have at least one, but has none")
        for name, platform in platforms.items():
            if name not in PLATFORMS:
                refuse(f"platforms cannot have {shown(name)}: known are {', '.join(PLATFORMS)}")
            for variant in platform.variants.values():
                if not variant.library.startswith("lib/"):
                    refuse(f"the library {shown(variant.library)} must be below lib/")
        return cls(
            version,
            plugin.name,
            plugin.version,
            platforms,
            plugin_info=plugin,
            schemas=SchemaInfo.each(fields),
            build_info=fields.made("build_info", BuildInfo.of),
            sbom=fields.made("sbom", Sbom.of),
            bridges=fields.made("bridges", BridgeInfo.of),
            api=fields.data.get("api"),
            **{key: fields.text(key) for key in ("public_key", "schema_checksum")},
            **{key: fields.name(key) for key in ("notices", "license_file")},
        )

    def get_platform(self, platform: str) -> PlatformInfo | None:
        """Give the libraries for a platform, or None where there are none.

        Parameters
        ----------
        platform : str

        Returns
        -------
        PlatformInfo or None

        Examples
        --------
        >>> from gmemx import plugin
        >>> manifest = plugin.BundleManifest.from_dict({
        ...     "bundle_version": "1.0",
        ...     "plugin": {"name": "sample", "version": "1.0.0"},
        ...     "platforms": {"linux-x86_64": {"variants": {"release": {
        ...         "library": "lib/linux-x86_64/release/libsample.so",
        ...         "checksum": "sha256:" + 64 * "0",
        ...     }}}},
        ... })
        >>> manifest.get_platform("windows-x86_64") is None
        True
        """
        return self.platforms.get(platform)

    def platform(self, name: str | None = None) -> PlatformInfo:
        """Give the libraries for a platform, by default this machine's.

        Parameters
        ----------
        name : str, optional

        Raises
        ------
        BundleError
            Where there are none: the bundle was built for others.

        Returns
        -------
        PlatformInfo

        Examples
        --------
        >>> from gmemx import plugin
        >>> manifest = plugin.BundleManifest.from_dict({
        ...     "bundle_version": "1.0",
        ...     "plugin": {"name": "sample", "version": "1.0.0"},
        ...     "platforms": {"linux-x86_64": {"variants": {"release": {
        ...         "library": "lib/linux-x86_64/release/libsample.so",
        ...         "checksum": "sha256:" + 64 * "0",
        ...     }}}},
        ... })
        >>> manifest.platform("linux-x86_64").list_variants()
        ['release']
        """
        name = name or current_platform()
        found = self.platforms.get(name)
        if found is None:
            has = ", ".join(self.platforms)
            raise BundleError(f"the bundle has no library for {name}, only for {has}")
        return found

    def get_effective_build_info(
        self, platform: str, variant: str = DEFAULT_VARIANT
    ) -> BuildInfo | None:
        """Tell how a variant was built, or the whole bundle where nothing else is said.

        Parameters
        ----------
        platform, variant : str

        Examples
        --------
        >>> from gmemx import plugin
        >>> manifest = plugin.BundleManifest.from_dict({
        ...     "bundle_version": "1.0",
        ...     "plugin": {"name": "sample", "version": "1.0.0"},
        ...     "platforms": {"linux-x86_64": {"variants": {"release": {
        ...         "library": "lib/linux-x86_64/release/libsample.so",
        ...         "checksum": "sha256:" + 64 * "0",
        ...     }}}},
        ... })
        >>> manifest.get_effective_build_info("linux-x86_64", "release") is None
        True
        """
        own = self._variant(platform, variant)
        return (own and own.build_info) or self.build_info

    def get_effective_sbom(self, platform: str, variant: str = DEFAULT_VARIANT) -> Sbom | None:
        """Tell what a variant is made of, or the whole bundle where nothing else is said.

        Parameters
        ----------
        platform, variant : str

        Examples
        --------
        >>> from gmemx import plugin
        >>> manifest = plugin.BundleManifest.from_dict({
        ...     "bundle_version": "1.0",
        ...     "plugin": {"name": "sample", "version": "1.0.0"},
        ...     "platforms": {"linux-x86_64": {"variants": {"release": {
        ...         "library": "lib/linux-x86_64/release/libsample.so",
        ...         "checksum": "sha256:" + 64 * "0",
        ...     }}}},
        ... })
        >>> manifest.get_effective_sbom("linux-x86_64", "release") is None
        True
        """
        own = self._variant(platform, variant)
        return (own and own.sbom) or self.sbom

    def get_effective_schema_checksum(
        self, platform: str, variant: str = DEFAULT_VARIANT
    ) -> str | None:
        """Give the checksum of a variant's schemas, or of the bundle's.

        Parameters
        ----------
        platform, variant : str

        Examples
        --------
        >>> from gmemx import plugin
        >>> manifest = plugin.BundleManifest.from_dict({
        ...     "bundle_version": "1.0",
        ...     "plugin": {"name": "sample", "version": "1.0.0"},
        ...     "platforms": {"linux-x86_64": {"variants": {"release": {
        ...         "library": "lib/linux-x86_64/release/libsample.so",
        ...         "checksum": "sha256:" + 64 * "0",
        ...     }}}},
        ... })
        >>> manifest.get_effective_schema_checksum("linux-x86_64", "release") is None
        True
        """
        own = self._variant(platform, variant)
        return (own and own.schema_checksum) or self.schema_checksum

    def get_effective_schemas(
        self, platform: str, variant: str = DEFAULT_VARIANT
    ) -> Mapping[str, SchemaInfo]:
        """Give a variant's schemas, or the bundle's where it has none of its own.

        Parameters
        ----------
        platform, variant : str

        Examples
        --------
        >>> from gmemx import plugin
        >>> manifest = plugin.BundleManifest.from_dict({
        ...     "bundle_version": "1.0",
        ...     "plugin": {"name": "sample", "version": "1.0.0"},
        ...     "platforms": {"linux-x86_64": {"variants": {"release": {
        ...         "library": "lib/linux-x86_64/release/libsample.so",
        ...         "checksum": "sha256:" + 64 * "0",
        ...     }}}},
        ... })
        >>> manifest.get_effective_schemas("linux-x86_64", "release")
        {}
        """
        own = self._variant(platform, variant)
        return (own and own.schemas) or self.schemas

    def _variant(self, platform: str, variant: str) -> VariantInfo | None:
        found = self.platforms.get(platform)
        return found.variants.get(variant) if found else None
