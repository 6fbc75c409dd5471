"""``gmemx plugin bundle``, ``verify``, ``inspect`` and ``extract``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gmemx._plugin_bundle_writer import write_bundle
from gmemx._plugin_manifest import BundleManifest
from gmemx._plugin_opened import Bundle
from gmemx._plugin_platforms import DEFAULT_VARIANT, current_platform
from gmemx.cli.output import Output, amount
from gmemx.cli.plugin_keys import add_password, add_trust, loader_of, secret_key


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin bundle``."""
    parser.add_argument("output", metavar="BUNDLE", type=Path, help="the bundle to write")
    parser.add_argument("--name", required=True, help="of the plugin")
    parser.add_argument("--version", required=True, help="of the plugin")
    parser.add_argument(
        *("-l", "--lib"), metavar="[PLATFORM[:VARIANT]=]FILE", action="append", required=True,
        help="a library; without a platform it is for this machine; may be given several times",
    )  # fmt: skip
    for option, text in (
        ("--schema", "a file that describes messages"),
        ("--doc", "a document"),
    ):
        parser.add_argument(
            option, metavar="[NAME=]FILE", action="append", default=[], help=f"{text}; repeatable"
        )
    for option, text in (
        ("--description", "what the plugin is for"),
        ("--license", "its licence, such as MIT"),
        ("--repository", "where its source is"),
    ):
        parser.add_argument(option, metavar="TEXT", help=text)
    parser.add_argument(
        "--author", metavar="TEXT", action="append", default=[], help="who made it; repeatable"
    )
    parser.add_argument("--license-file", metavar="FILE", type=Path, help="the licence itself")
    parser.add_argument("--notices", metavar="FILE", type=Path, help="notices of what is in it")
    parser.add_argument(
        *("-k", "--key"), metavar="FILE", type=Path,
        help="the secret key to sign with; without one the bundle is not signed",
    )  # fmt: skip
    add_password(parser)


def bundle(args: argparse.Namespace) -> int:
    """Write a bundle."""
    key = secret_key(args) if args.key else None
    manifest = write_bundle(
        args.output,
        name=args.name,
        version=args.version,
        libraries=dict(map(_library, args.lib)),
        schemas=dict(map(_named, args.schema)),
        docs=dict(map(_named, args.doc)),
        key=key,
        description=args.description,
        authors=args.author,
        license=args.license,
        repository=args.repository,
        license_file=args.license_file,
        notices=args.notices,
    )
    size = args.output.stat().st_size
    signed = f"signed with {key.key_id}" if key else "not signed"
    Output(as_json=args.json).say(
        f"{args.output}: {manifest.plugin_name} {manifest.plugin_version}, "
        f"{amount(size)}, {signed}",
        bundle=str(args.output),
        bytes=size,
        key_id=key.key_id if key else None,
        manifest=asdict(manifest),
    )
    return 0


def _library(given: str) -> tuple[tuple[str, str], str]:
    where, equals, file = given.rpartition("=")
    platform, _, variant = where.partition(":")
    # A file of that name may well have "=" in it.
    if not equals or "/" in where:
        platform, variant, file = "", "", given
    return (platform or current_platform(), variant or DEFAULT_VARIANT), file


def _named(given: str) -> tuple[str, str]:
    name, _, file = given.partition("=")
    return (name, file) if file else (Path(given).name, given)


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin verify``."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    add_trust(parser, unverified=False)


def verify(args: argparse.Namespace) -> int:
    """Verify a bundle."""
    with loader_of(args).open(args.bundle) as opened:
        others = opened.verify()
        manifest, signer = opened.manifest, opened.signed_by
    text = f"{args.bundle}: {_title(manifest)}, all libraries signed with {signer}"
    if args.embedded_key:
        text += "\nthis is the bundle's own key, which anybody could have put there"
    if others:
        text += f"\nnothing vouches for {', '.join(map(_plain, others))}"
    Output(as_json=args.json).say(
        text,
        bundle=str(args.bundle),
        name=manifest.plugin_name,
        version=manifest.plugin_version,
        key_id=signer,
        key_is_the_bundles_own=args.embedded_key,
        not_covered=others,
    )
    return 0


def add_inspect(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin inspect``."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    add_trust(parser, unverified=False)


def inspect(args: argparse.Namespace) -> int:
    """Show what is in a bundle, verified where a key is given."""
    asked = bool(args.key or args.embedded_key)
    output = Output(as_json=args.json)
    with loader_of(args, verify=asked).open(args.bundle) as opened:
        manifest = opened.manifest
        files = opened.sizes()
        signer = opened.signed_by
    if args.json:
        listed = [{"name": name, "bytes": size} for name, size in files]
        output.emit({"manifest": asdict(manifest), "files": listed, "key_id": signer})
        return 0
    output.table((_title(manifest), ""), list(_facts(manifest, signer)), (), left=range(2))
    output.table(
        ("platform", "variant", "library", "sha256"),
        [
            (platform, variant, _plain(info.library), info.checksum[-64:][:16])
            for platform, variants in manifest.platforms.items()
            for variant, info in variants.variants.items()
        ],
        (),
        left=range(4),
    )
    output.table(("file", "bytes"), [(name, f"{size:,}") for name, size in files], ())
    return 0


def _title(manifest: BundleManifest) -> str:
    return f"{manifest.plugin_name} {manifest.plugin_version}"


def _facts(manifest: BundleManifest, signer: str | None) -> Iterator[tuple[str, str]]:
    info = manifest.plugin_info
    facts: Iterable[tuple[str, Any]] = (
        ("description", info.description),
        ("authors", ", ".join(info.authors)),
        ("license", info.license),
        ("repository", info.repository),
        ("schemas", ", ".join(manifest.schemas)),
        ("format", manifest.bundle_version),
        ("key in the bundle", manifest.public_key),
        ("signed with", signer or "not verified: --key says whom to trust"),
    )
    for name, value in facts:
        if value:
            yield name, _plain(value)


def _plain(text: str) -> str:
    """A text of strangers without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def add_extract(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin extract``."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    parser.add_argument(
        *("folder",), metavar="FOLDER", type=Path, nargs="?",
        help="by default libraries go to the cache, schemas to this folder",
    )  # fmt: skip
    parser.add_argument("--platform", help="by default this machine's")
    parser.add_argument("--variant", help="by default the bundle's default, release")
    parser.add_argument("--schema", metavar="NAME", help="a schema instead of the library")
    add_trust(parser)


def extract(args: argparse.Namespace) -> int:
    """Write a library or a schema to a folder, and print where."""
    if args.schema and (args.platform or args.variant):
        raise ValueError("--schema goes without --platform and --variant")
    with loader_of(args).open(args.bundle) as opened:
        path = _extracted(opened, args)
    Output(as_json=args.json).say(str(path), path=str(path))
    return 0


def _extracted(opened: Bundle, args: argparse.Namespace) -> Path:
    if args.schema:
        return opened.extract_schema(args.schema, args.folder or Path())
    return opened.extract_library(args.folder, variant=args.variant, platform=args.platform)
