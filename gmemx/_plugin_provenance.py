"""Who made a plugin, how it was built, and which files describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gmemx._plugin_fields import Fields, refuse, shown, unsafe


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
