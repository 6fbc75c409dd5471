"""``gmemx plugin keygen``, and how the other commands come to their keys."""

from __future__ import annotations

import argparse
import os
import sys
from base64 import b64decode
from getpass import getpass
from pathlib import Path

from gmemx._plugin_bundle import BundleLoader
from gmemx._plugin_minisign import MinisignKey, MinisignVerifier
from gmemx.cli.output import Output

# Of what is made: the secret one is for its owner's eyes only.
SECRET, PUBLIC = 0o600, 0o644
# What a key file says of how its password was used.
SCRYPT = b"Sc"


def add_keygen(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx plugin keygen``."""
    parser.add_argument(
        *("-s", "--secret"), metavar="FILE", type=Path, default=Path("gmemx.key"),
        help="where the secret key goes (default gmemx.key)",
    )  # fmt: skip
    parser.add_argument(
        *("-p", "--public"), metavar="FILE", type=Path, default=Path("gmemx.pub"),
        help="where the public key goes (default gmemx.pub)",
    )  # fmt: skip
    parser.add_argument("-f", "--force", action="store_true", help="replace keys that are there")
    add_password(parser)


def add_password(parser: argparse.ArgumentParser) -> None:
    """Add the ways to give the password of a secret key."""
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("-W", "--no-password", action="store_true", help="the key has no password")
    ways.add_argument(
        "--password-file", metavar="FILE", type=Path, help="its first line is the password"
    )


def add_trust(parser: argparse.ArgumentParser, *, unverified: bool = True) -> None:
    """Add whose signatures are believed."""
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        *("-k", "--key"), metavar="KEY", action="append", default=[],
        help="a public key that is trusted: a .pub file, or the line that begins with RW; "
        "may be given several times",
    )  # fmt: skip
    trust.add_argument(
        "--embedded-key",
        action="store_true",
        help="believe the key in the bundle itself: the bundle is whole then, whoever made it",
    )
    if unverified:
        trust.add_argument(
            "--no-verify", action="store_true", help="do not ask for signatures at all"
        )


def loader_of(args: argparse.Namespace, *, verify: bool = True) -> BundleLoader:
    """Make the loader that the arguments of `add_trust` ask for."""
    verify = verify and not getattr(args, "no_verify", False)
    if verify and not args.key and not args.embedded_key:
        raise ValueError("whose signature is to be trusted? --key names a public key")
    return BundleLoader(
        verify_signatures=verify,
        trusted_keys=[public_key(key) for key in args.key],
        allow_embedded_key=args.embedded_key,
    )


def public_key(given: str) -> MinisignVerifier:
    """Take a public key as it is typed: a file, or the key itself."""
    if os.path.exists(given):
        return MinisignVerifier(Path(given).read_bytes())
    try:
        return MinisignVerifier(given)
    except ValueError as error:
        raise ValueError(f"{given} is neither a file nor a public key: {error}") from None


def secret_key(args: argparse.Namespace) -> MinisignKey:
    """Read the secret key in the file ``args.key``, and ask for its password if it has one."""
    text = args.key.read_bytes()
    if args.no_password:
        return MinisignKey.read(text)
    if args.password_file is not None:
        return MinisignKey.read(text, _from_file(args.password_file))
    password = _asked(f"Password of {args.key}: ") if _encrypted(text) else None
    return MinisignKey.read(text, password)


def _encrypted(text: bytes) -> bool:
    """Tell whether a secret key has a password; what is no key at all has none."""
    try:
        return b64decode(text.split(b"\n")[1].strip(), validate=True)[2:4] == SCRYPT
    except (ValueError, IndexError):
        return False


def keygen(args: argparse.Namespace) -> int:
    """Make a pair of keys."""
    for path in (args.secret, args.public):
        if path.exists() and not args.force:
            raise ValueError(f"{path} is there already: --force replaces it")
    password = None
    if args.password_file is not None:
        password = _from_file(args.password_file)
    elif not args.no_password:
        password = _asked("Password for the secret key: ")
        if password != _asked("The same again: "):
            raise ValueError("these were two passwords")
    key = MinisignKey.generate()
    _write(args.secret, key.to_text(password), SECRET)
    _write(args.public, key.public_text, PUBLIC)
    output = Output(as_json=args.json)
    output.say(
        f"{args.secret} signs: keep it to yourself\n"
        f"{args.public} verifies: give it to all who load your bundles\n"
        f"{key.public_key}",
        secret=str(args.secret),
        public=str(args.public),
        public_key=key.public_key,
        key_id=key.key_id,
    )
    return 0


def _write(path: Path, text: str, mode: int) -> None:
    """Write a key, never into a file that others have open or may read."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(unfinished, flags, mode), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(unfinished, path)


def _from_file(path: Path) -> bytes:
    return path.read_bytes().split(b"\n")[0].removesuffix(b"\r")


def _asked(prompt: str) -> bytes:
    if not sys.stdin.isatty():
        raise ValueError("there is no terminal to ask for a password: --password-file has one")
    return getpass(prompt).encode("utf-8", "surrogateescape")
