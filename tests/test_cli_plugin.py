"""``gmemx plugin``: keys, bundles and plugins on the command line."""

import json
import os
import stat
import subprocess
import sys

import plugins_build
import pytest
from bundles import (
    FOREIGN,
    FOREIGN_KEY,
    LIBRARY,
    SCHEMA,
    Parts,
    cache,
    described,
    key,
    linux_only,
    path_in_bundle,
    signed,
    unzipped,
    zipped,
)

from gmemx.cli import main
from gmemx.plugin import MinisignKey, MinisignVerifier

pytestmark = linux_only
__all__ = ["cache"]


@pytest.fixture
def files(tmp_path):
    """What a bundle is made of, in the folder where commands run."""
    (tmp_path / "libwords.so").write_bytes(LIBRARY)
    (tmp_path / "message.json").write_text(SCHEMA)
    (tmp_path / "README.md").write_text("words\n")
    (tmp_path / "password").write_text("secret\nanything\n")
    return tmp_path


@pytest.fixture
def bundle(tmp_path):
    """A bundle, and the key that it was signed with in a file."""
    (tmp_path / "words.pub").write_text(key().public_text)
    return signed(tmp_path / "words.rbp")


def succeeded(done):
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def failed(done, *words):
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("gmemx plugin: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr, done.stderr


# ---- keys ---------------------------------------------------------------------------------


def test_keygen(command, tmp_path):
    text = succeeded(command("plugin", "keygen", "-W"))
    secret, public = tmp_path / "gmemx.key", tmp_path / "gmemx.pub"
    made = MinisignKey.read(secret.read_text())
    assert made.public_text == public.read_text()
    assert made.public_key in text
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["gmemx.key", "gmemx.pub"]


def test_keygen_replaces_nothing_by_itself(command, tmp_path):
    command("plugin", "keygen", "-W")
    before = (tmp_path / "gmemx.key").read_bytes()
    failed(command("plugin", "keygen", "-W"), "gmemx.key is there already")
    failed(command("plugin", "keygen", "-W", "-s", "other.key"), "gmemx.pub is there already")
    assert (tmp_path / "gmemx.key").read_bytes() == before
    assert not (tmp_path / "other.key").exists()
    (tmp_path / "gmemx.key").chmod(0o644)
    succeeded(command("plugin", "keygen", "-W", "--force"))
    assert (tmp_path / "gmemx.key").read_bytes() != before
    assert stat.S_IMODE((tmp_path / "gmemx.key").stat().st_mode) == 0o600


def test_keygen_with_a_password(command, tmp_path, files):
    words = ("-s", "a.key", "-p", "a.pub", "--password-file", "password", "--json")
    told = json.loads(succeeded(command("plugin", "keygen", *words)))
    made = MinisignKey.read((tmp_path / "a.key").read_text(), "secret")
    assert told == {
        "secret": "a.key",
        "public": "a.pub",
        "public_key": made.public_key,
        "key_id": made.key_id,
    }


class Terminal:
    """Standard input where somebody sits."""

    def isatty(self):
        return True


def test_passwords_are_asked_for(monkeypatch, tmp_path, files, capsys):
    left = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gmemx.cli.plugin_keys.getpass", lambda prompt: left.pop(0))
    monkeypatch.setattr(sys, "stdin", Terminal())
    left[:] = ["one", "another"]
    assert main(["plugin", "keygen"]) == 1
    assert "two passwords" in capsys.readouterr().err
    (tmp_path / "our.key").write_text(key().to_text("secret", memory=1 << 20))
    words = ["plugin", "bundle", "a.rbp", "--name", "a", "--version", "1", "-l", "libwords.so"]
    left[:] = ["wrong", "secret"]
    assert main([*words, "--key", "our.key"]) == 1
    assert "the password does not fit" in capsys.readouterr().err
    assert main([*words, "--key", "our.key"]) == 0
    assert left == []
    assert sorted(os.listdir(tmp_path))[:2] == ["README.md", "a.rbp"]


def test_a_password_where_nobody_can_be_asked(tmp_path, files):
    (tmp_path / "our.key").write_text(key().to_text("secret", memory=1 << 20))
    words = ["bundle", "a.rbp", "--name", "a", "--version", "1", "-l", "libwords.so"]
    done = subprocess.run(
        [sys.executable, "-m", "gmemx", "plugin", *words, "-k", "our.key"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    failed(done, "no terminal", "--password-file")


# ---- bundles ------------------------------------------------------------------------------


def test_a_bundle_is_written_and_verified(command, tmp_path, files):
    (tmp_path / "our.key").write_text(key().to_text("secret", memory=1 << 20))
    (tmp_path / "our.pub").write_text(key().public_text)
    text = succeeded(
        command(
            *("plugin", "bundle", "words.rbp", "--name", "words", "--version", "1.2.3"),
            *("--lib", "libwords.so", "--lib", "darwin-aarch64=libwords.so"),
            *("--lib", "darwin-aarch64:debug=libwords.so"),
            *("--schema", "message.json", "--schema", "deep/own.json=message.json"),
            *("--doc", "README.md", "--license", "MIT", "--author", "A", "--author", "B"),
            *("--license-file", "README.md", "--description", "Words."),
            *("--key", "our.key", "--password-file", "password"),
        )
    )
    assert f"signed with {key().key_id}" in text
    text = succeeded(command("plugin", "verify", "words.rbp", "--key", "our.pub"))
    assert f"words 1.2.3, all libraries signed with {key().key_id}" in text
    assert "nothing vouches for docs/README.md, legal/LICENSE" in text
    # The key itself does as well as its file, and any of several.
    others = ("--key", MinisignKey.generate().public_key)
    succeeded(command("plugin", "verify", "words.rbp", *others, "--key", key().public_key))
    found = unzipped(tmp_path / "words.rbp")
    assert found["lib/darwin-aarch64/debug/libwords.so"] == LIBRARY
    assert found["schema/deep/own.json"] == SCHEMA.encode()


def test_a_bundle_without_a_key(command, files):
    words = ("words.rbp", "--name", "words", "--version", "1", "-l", "libwords.so", "--json")
    told = json.loads(succeeded(command("plugin", "bundle", *words)))
    assert told["key_id"] is None
    assert told["manifest"]["plugin_name"] == "words"
    failed(command("plugin", "verify", "words.rbp", "-k", key().public_key), "is not signed")
    succeeded(command("plugin", "inspect", "words.rbp"))


def test_a_bundle_that_cannot_be(command, tmp_path, files):
    words = ("plugin", "bundle", "words.rbp", "--name", "words", "--version", "1")
    failed(command(*words, "-l", "none.so"), "none.so: No such file")
    failed(command(*words, "-l", "amiga-68k=libwords.so"), "no platform of bundles")
    failed(command(*words, "-l", "libwords.so", "-k", "README.md"), "secret key")
    failed(command(*words, "-l", "libwords.so", "--doc", "../x=README.md"), "'..' in it")
    assert not (tmp_path / "words.rbp").exists()


def test_verify_wants_to_know_whom_to_trust(command, bundle):
    failed(command("plugin", "verify", "words.rbp"), "--key names a public key")
    failed(command("plugin", "verify", "words.rbp", "-k", "x"), "neither a file nor a public key")
    failed(
        command("plugin", "verify", "words.rbp", "-k", MinisignKey.generate().public_key),
        "[12]", "was not signed with the trusted key",
    )  # fmt: skip
    failed(command("plugin", "verify", "words.rbp", "--embedded-key"), "no key of its own")
    failed(command("plugin", "verify", "none.rbp", "-k", "words.pub"), "there is no bundle")


def test_a_bundle_of_another_tool(command):
    text = succeeded(command("plugin", "verify", FOREIGN, "--key", FOREIGN_KEY))
    assert "words 2.1.0" in text
    text = succeeded(command("plugin", "verify", FOREIGN, "--embedded-key"))
    assert "anybody could have put there" in text


def test_inspect(command, bundle):
    text = succeeded(command("plugin", "inspect", "words.rbp"))
    for word in ("words 1.2.3", path_in_bundle(), "message.json", "not verified"):
        assert word in text
    text = succeeded(command("plugin", "inspect", "words.rbp", "--key", "words.pub"))
    assert key().key_id in text
    told = json.loads(succeeded(command("plugin", "inspect", "words.rbp", "--json")))
    assert told["manifest"]["plugin_version"] == "1.2.3"
    assert {"name": path_in_bundle(), "bytes": len(LIBRARY)} in told["files"]
    assert told["key_id"] is None


def test_what_strangers_say_does_not_move_the_cursor(command, tmp_path):
    plugin = {"name": "words", "version": "1", "description": "\x1b[2J\x1b]0;title\x07 \u202e"}
    signed(tmp_path / "words.rbp", manifest=described(plugin=plugin))
    text = succeeded(command("plugin", "inspect", "words.rbp"))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_extract(command, tmp_path, bundle, cache):
    text = succeeded(command("plugin", "extract", "words.rbp", "out", "-k", "words.pub"))
    assert (tmp_path / text.strip()).read_bytes() == LIBRARY
    failed(command("plugin", "extract", "words.rbp", "out", "-k", "words.pub"), "there already")
    words = ("--schema", "message.json", "--no-verify", "--json")
    told = json.loads(succeeded(command("plugin", "extract", "words.rbp", *words)))
    assert (tmp_path / told["path"]).read_text() == SCHEMA
    assert not cache.exists()
    told = succeeded(command("plugin", "extract", "words.rbp", "-k", "words.pub"))
    assert told.startswith(str(cache))
    for words, text in (
        (("--variant", "debug"), "no variant 'debug'"),
        (("--platform", "darwin-x86_64"), "no library for darwin-x86_64"),
        (("--schema", "../x"), "no schema '../x'"),
        (("--schema", "x", "--variant", "y"), "--schema goes without"),
    ):
        failed(command("plugin", "extract", "words.rbp", "-k", "words.pub", *words), text)
    failed(command("plugin", "extract", "words.rbp"), "--key names a public key")


def test_nothing_is_extracted_from_a_forged_bundle(command, tmp_path, bundle, cache):
    contents = Parts(signer=key()).contents()
    forged = {**contents, path_in_bundle(): b"evil"}
    (tmp_path / "forged.rbp").write_bytes(zipped(forged.items()))
    failed(command("plugin", "extract", "forged.rbp", "out", "-k", "words.pub"), "checksum")
    failed(command("plugin", "call", "forged.rbp", "x", "-k", "words.pub"), "checksum")
    assert not (tmp_path / "out").exists()
    assert not cache.exists()


# ---- plugins ------------------------------------------------------------------------------


def test_call(command, tmp_path, cache):
    library = plugins_build.echo()
    answer = succeeded(command("plugin", "call", library, "echo", '{"message": "hello"}'))
    assert json.loads(answer)["message"] == "hello"
    failed(command("plugin", "call", library, "no.such.tag"), "[6]")
    failed(command("plugin", "call", library, "echo", "-k", key().public_key), "is no bundle")
    failed(command("plugin", "call", library, "echo", "--config", "[]"), "must be a JSON object")
    failed(command("plugin", "call", tmp_path / "none.so", "echo"), "none.so")
    succeeded(
        command(
            *("plugin", "bundle", "echo.rbp", "--name", "echo", "--version", "1"),
            *("--lib", library),
        )
    )
    words = ("plugin", "call", "echo.rbp", "echo", '{"message": "hello"}')
    failed(command(*words), "--key names a public key")
    told = json.loads(succeeded(command(*words, "--no-verify", "--isolate", "--json")))
    assert told["message"] == "hello"


def test_call_with_bytes(tmp_path):
    # Number 2 answers with what it was sent.
    done = subprocess.run(
        [sys.executable, "-m", "gmemx", "plugin", "call", plugins_build.faults(), "2", "--raw"],
        cwd=tmp_path, input=b"\0\1\xff", capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"\0\1\xff"


def test_check(command):
    text = succeeded(command("plugin", "check", plugins_build.echo()))
    assert text.strip().endswith("all passed")
    done = command("plugin", "check", sys.executable, "--json")
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[0]["passed"] is False
    failed(command("plugin", "check", "none.so"), "none.so")


def test_help(command):
    text = succeeded(command("plugin", "--help"))
    for action in ("keygen", "bundle", "verify", "inspect", "extract", "call", "check"):
        assert action in text
        assert action in succeeded(command("plugin", action, "--help"))


def test_a_key_of_minisign_signs_a_bundle(command, tmp_path, files):
    text = (FOREIGN_KEY.parent / "open.key").read_text()
    (tmp_path / "open.key").write_text(text)
    words = ("words.rbp", "--name", "words", "--version", "1", "-l", "libwords.so")
    succeeded(command("plugin", "bundle", *words, "-k", "open.key"))
    public = MinisignVerifier((FOREIGN_KEY.parent / "open.pub").read_text())
    succeeded(command("plugin", "verify", "words.rbp", "-k", public.public_key))
