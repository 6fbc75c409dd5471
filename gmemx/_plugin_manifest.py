"""What a bundle says of itself: `manifest.json`.

Fields that are not known are left alone: newer tools may write more.
"""

from __future__ import annotations

import platform as machine
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gmemx._plugin_fields import Fields, parse_json, refuse, shown, unsafe
from gmemx.errors import BundleError

VERSIONS = ("1.0", "1.1")
PLATFORMS = tuple(
    f"{system}-{processor}"
    for system in ("linux", "darwin", "windows")
    for processor in ("x86_64", "aarch64")
)
DEFAULT_VARIANT = "release"

VARIANT = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


def current_platform() -> str:
    """Name this machine as bundles do.

    Returns
    -------
    str
        The system and the processor.

    Examples
    --------
    >>> from gmemx.plugin import BundleLoader
    >>> BundleLoader.get_current_platform().partition("-")[0]
    'linux'
    """
    processor = machine.machine().lower()
    processor = {"amd64": "x86_64", "arm64": "aarch64"}.get(processor, processor)
    return f"{machine.system().lower()}-{processor}"


@dataclass(frozen=True)
class GitInfo:
    """What a bundle was built from."""

    commit: str | None = None
    branch: str | None = None
    tag: str | None = None
    dirty: bool | None = None

    @classmethod
    def of(cls, fields: Fields) -> GitInfo:
        """Check the fields of ``git``."""
        texts = {key: fields.text(key) for key in ("commit", "branch", "tag")}
        return cls(**texts, dirty=fields.get("dirty", bool, "true or false"))


@dataclass(frozen=True)
class BuildInfo:
    """How, when and by whom a bundle was built; nothing of it can be verified.

    Examples
    --------
    >>> from gmemx import plugin
    >>> plugin.BuildInfo(compiler="cc 12").compiler
    'cc 12'
    """

    built_by: str | None = None
    built_at: str | None = None
    host: str | None = None
    compiler: str | None = None
    rustbridge_version: str | None = None
    git: GitInfo | None = None
    custom: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, fields: Fields) -> BuildInfo:
        """Check the fields of ``build_info``."""
        keys = ("built_by", "built_at", "host", "compiler", "rustbridge_version")
        return cls(
            **{key: fields.text(key) for key in keys},
            git=fields.made("git", GitInfo.of),
            custom=fields.get("custom", dict, "an object"),
        )


@dataclass(frozen=True)
class Sbom:
    """Which files of a bundle list what it is made of."""

    cyclonedx: str | None = None
    spdx: str | None = None

    @classmethod
    def of(cls, fields: Fields) -> Sbom:
        """Check the fields of ``sbom``."""
        return cls(cyclonedx=fields.name("cyclonedx"), spdx=fields.name("spdx"))


@dataclass(frozen=True)
class SchemaInfo:
    """A file that describes messages of the plugin.

    Attributes
    ----------
    path : str
        In the bundle.
    checksum : str
        SHA-256, in hexadecimal.
    format : str or None
        Such as ``"json-schema"`` or ``"c-header"``.
    description : str or None

    Examples
    --------
    >>> from gmemx import plugin
    >>> plugin.SchemaInfo(path="schema/a.json", checksum=64 * "0").path
    'schema/a.json'
    """

    path: str
    checksum: str
    format: str | None = None
    description: str | None = None

    @classmethod
    def of(cls, fields: Fields) -> SchemaInfo:
        """Check the fields of one of ``schemas``."""
        path = fields.needed("path")
        fields.check_name("path", path)
        return cls(path, fields.checksum(), fields.text("format"), fields.text("description"))

    @classmethod
    def each(cls, fields: Fields) -> dict[str, SchemaInfo]:
        """All ``schemas``; their names are those of files once they are extracted."""
        schemas = fields.each("schemas", cls.of)
        for name in schemas:
            reason = unsafe(name)
            if reason is not None:
                where = fields.path("schemas")
                refuse(f"{where} cannot have the name {shown(name)}: {reason}")
        return schemas


@dataclass(frozen=True)
class VariantInfo:
    """A library, and what it overrides of the manifest for itself.

    Attributes
    ----------
    library : str
        Its path in the bundle, below ``lib/``.
    checksum : str
        SHA-256, in hexadecimal behind ``sha256:``.
    build : object
        What the builder chose to say of it.

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
    >>> manifest.platform("linux-x86_64").variant().checksum[:7]
    'sha256:'
    """

    library: str
    checksum: str
    build: Any = None
    build_info: BuildInfo | None = None
    sbom: Sbom | None = None
    schema_checksum: str | None = None
    schemas: Mapping[str, SchemaInfo] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Fields) -> VariantInfo:
        """Check the fields of one of ``variants``."""
        library = fields.needed("library")
        fields.check_name("library", library)
        return cls(
            library=library,
            checksum=fields.checksum(),
            build=fields.data.get("build"),
            build_info=fields.made("build_info", BuildInfo.of),
            sbom=fields.made("sbom", Sbom.of),
            schema_checksum=fields.text("schema_checksum"),
            schemas=SchemaInfo.each(fields),
        )


@dataclass(frozen=True)
class PlatformInfo:
    """The libraries for a platform.

    Attributes
    ----------
    variants : mapping of str to VariantInfo
    default_variant : str
        ``"release"`` unless the bundle says otherwise.

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

    variants: Mapping[str, VariantInfo]
    default_variant: str = DEFAULT_VARIANT

    @classmethod
    def of(cls, fields: Fields) -> PlatformInfo:
        """Check the fields of one of ``platforms``."""
        variants = fields.each("variants", VariantInfo.of)
        if not variants:
            # As the first files had it: the library without variants around it.
            variants = {DEFAULT_VARIANT: VariantInfo.of(fields)}
        for name in variants:
            if VARIANT.fullmatch(name) is None:
                refuse(f"{fields.where} cannot have a variant {shown(name)}: names are a-z, 0-9")
        if DEFAULT_VARIANT not in variants:
            refuse(f"{fields.where} must have a variant {DEFAULT_VARIANT!r}, but has not")
        default = fields.text("default_variant") or DEFAULT_VARIANT
        if default not in variants:
            refuse(f"{fields.path('default_variant')} is {shown(default)}, which is no variant")
        return cls(variants, default)

    @property
    def library(self) -> str:
        """The path of the default variant's library."""
        return self.variants[self.default_variant].library

    @property
    def checksum(self) -> str:
        """The checksum of the default variant's library."""
        return self.variants[self.default_variant].checksum

    def get_library(self, variant: str) -> str:
        """Give the path of a variant's library.

        Parameters
        ----------
        variant : str

        Returns
        -------
        str

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
        >>> manifest.platform("linux-x86_64").get_library("release")
        'lib/linux-x86_64/release/libsample.so'
        """
        return self.variant(variant).library

    def get_checksum(self, variant: str) -> str:
        """Give the checksum of a variant's library.

        Parameters
        ----------
        variant : str

        Returns
        -------
        str

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
        >>> manifest.platform("linux-x86_64").get_checksum("release")[:7]
        'sha256:'
        """
        return self.variant(variant).checksum

    def get_default_variant(self) -> str:
        """Name the variant that is loaded where none is asked for.

        Returns
        -------
        str

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
        >>> manifest.platform("linux-x86_64").get_default_variant()
        'release'
        """
        return self.default_variant

    def list_variants(self) -> list[str]:
        """Name all variants.

        Returns
        -------
        list of str

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
        return list(self.variants)

    def variant(self, name: str | None = None) -> VariantInfo:
        """Give a variant, by default the default one; never another than was asked for.

        Parameters
        ----------
        name : str, optional

        Returns
        -------
        VariantInfo

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
        >>> manifest.platform("linux-x86_64").variant().library
        'lib/linux-x86_64/release/libsample.so'
        """
        found = self.variants.get(name or self.default_variant)
        if found is None:
            has = ", ".join(self.variants)
            raise BundleError(f"the bundle has no variant {name!r} for this platform, but {has}")
        return found


@dataclass(frozen=True)
class PluginInfo:
    """Who made a plugin, and under which terms.

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
    >>> manifest.plugin_info.version
    '1.0.0'
    """

    name: str
    version: str
    description: str | None = None
    authors: tuple[str, ...] = ()
    license: str | None = None
    repository: str | None = None

    @classmethod
    def of(cls, fields: Fields) -> PluginInfo:
        """Check the fields of ``plugin``."""
        authors = fields.get("authors", list, "a list") or []
        if not all(isinstance(author, str) for author in authors):
            refuse(f"{fields.path('authors')} must be a list of texts, not {shown(authors)}")
        return cls(
            fields.needed("name"),
            fields.needed("version"),
            authors=tuple(authors),
            **{key: fields.text(key) for key in ("description", "license", "repository")},
        )


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
