"""The libraries in a bundle: for which platforms, and in which variants."""

from __future__ import annotations

import platform as machine
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gmemx._plugin_fields import Fields, refuse, shown
from gmemx._plugin_provenance import BuildInfo, Sbom, SchemaInfo
from gmemx.errors import BundleError

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
