"""Keys and signatures of minisign: those of other tools, and our own."""

import array
import base64
import shutil
import subprocess
import threading

import numpy as np
import pytest
from bundles import DATA, linux_only

from gmemx.plugin import MinisignKey, MinisignVerifier

pytestmark = linux_only

VECTORS = DATA / "minisign"
MESSAGE = (VECTORS / "message.txt").read_bytes()
# Signatures that other tools made, and the keys that they made them with.
SIGNED = (
    ("message.hashed", "open"),
    ("message.legacy", "open"),
    ("message.encrypted", "minisign"),
    ("message.python", "python"),
    ("message.rust", "rust"),
)
# What a small key costs; minisign's own takes 1 GiB and seconds.
CHEAP = 1 << 20


def text(name):
    return (VECTORS / name).read_text(encoding="utf-8")


def verifier(name):
    return MinisignVerifier(text(f"{name}.pub"))


def lines(name):
    return text(name).splitlines()


def joined(parts):
    return "\n".join(parts) + "\n"


def changed(line, byte, bit=0):
    """A line of base64 with a bit of its bytes turned."""
    data = bytearray(base64.b64decode(line))
    data[byte] ^= 1 << bit
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(("signature", "key"), SIGNED)
def test_signatures_of_other_tools_are_verified(signature, key):
    signature = text(f"{signature}.minisig")
    assert verifier(key).verify(MESSAGE, signature)
    assert verifier(key).verify(MESSAGE, signature.encode())
    # The line alone is a key as well, and so is what Windows makes of a file.
    assert MinisignVerifier(lines(f"{key}.pub")[1]).verify(MESSAGE, signature)
    assert verifier(key).verify(MESSAGE, signature.replace("\n", "\r\n"))
    assert not verifier(key).verify(MESSAGE + b"\n", signature)
    assert not verifier(key).verify(b"", signature)


@pytest.mark.parametrize(("signature", "key"), SIGNED)
def test_of_another_key_none_is(signature, key):
    signature = text(f"{signature}.minisig")
    for _, other in SIGNED:
        if other != key:
            assert not verifier(other).verify(MESSAGE, signature)


def test_nothing_at_all_can_be_signed():
    assert verifier("open").verify(b"", text("empty.minisig"))
    key = MinisignKey.generate()
    assert MinisignVerifier(key.public_key).verify(b"", key.sign(b""))


@pytest.mark.parametrize(("signature", "key"), SIGNED)
def test_every_byte_of_a_signature_counts(signature, key):
    parts = lines(f"{signature}.minisig")
    for line, length in ((1, 74), (3, 64)):
        for byte in range(length):
            turned = list(parts)
            turned[line] = changed(parts[line], byte, bit=byte % 8)
            if line == 1 and byte < 2:
                # Another algorithm, or none.
                try:
                    assert not verifier(key).verify(MESSAGE, joined(turned))
                except ValueError:
                    continue
            assert not verifier(key).verify(MESSAGE, joined(turned)), (line, byte)


def test_the_trusted_comment_is_signed_too():
    parts = lines("message.hashed.minisig")
    for comment in (parts[2] + "x", parts[2][:-1], "trusted comment: ", parts[2] + " "):
        assert not verifier("open").verify(MESSAGE, joined([*parts[:2], comment, parts[3]]))
    # The other one is not.
    assert verifier("open").verify(MESSAGE, joined(["untrusted comment: whatever", *parts[1:]]))


def test_the_comment_of_another_signature_does_not_fit():
    first, second = lines("message.hashed.minisig"), lines("message.legacy.minisig")
    assert not verifier("open").verify(MESSAGE, joined([*first[:2], *second[2:]]))


def test_a_signature_with_another_number_is_of_another_key():
    parts = lines("message.hashed.minisig")
    parts[1] = changed(parts[1], 5)
    assert not verifier("open").verify(MESSAGE, joined(parts))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "4 lines"),
        ("a\nb\nc\nd\n", 'begins with "untrusted comment: "'),
        ("untrusted comment: x\nAAAA\ntrusted comment: x\nAAAA\n", "must have 74 bytes"),
        (joined([*lines("message.hashed.minisig"), "more"]), "but has more"),
        (joined(lines("message.hashed.minisig")[:3]), "but has 3"),
        (text("message.hashed.minisig").replace("\ntrusted", "\nTrusted"), "trusted comment: "),
        (joined([*lines("message.hashed.minisig")[:3], "AAAA"]), "must have 64 bytes"),
        (joined([*lines("message.hashed.minisig")[:3], "A" * 86 + "=="]), None),
        (joined([*lines("message.hashed.minisig")[:3], "not base64!"]), "not base64"),
        (joined([*lines("message.hashed.minisig")[:3], "A" * 10_000]), "has more"),
        ("\0", "NUL"),
        (b"\xff\xfe", "UTF-8"),
        ("\ud800", "half a character"),
    ],
)
def test_what_is_no_signature(given, sentence):
    if sentence is None:
        assert not verifier("open").verify(MESSAGE, given)
        return
    with pytest.raises(ValueError, match=sentence):
        verifier("open").verify(MESSAGE, given)


@pytest.mark.parametrize("length", range(0, 280, 7))
def test_a_cut_signature(length):
    with pytest.raises(ValueError, match=r"signature|comment|begins"):
        verifier("open").verify(MESSAGE, text("message.hashed.minisig")[:length])


def public(algorithm=b"Ed", number=bytes(8), point=bytes(32)):
    return base64.b64encode(algorithm + number + point).decode()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "42 bytes"),
        ("RW", "base64|42 bytes"),
        ("RW" * 1000, "has more"),
        ("not a key at all, really", "base64"),
        (public(b"Ee"), "another algorithm"),
        # Points that anybody can sign for: 0, 1, and one that is not on the curve.
        (public(), "no point"),
        (public(point=b"\1" + bytes(31)), "no point"),
        (public(point=b"\2" + bytes(31)), "no point"),
        (public(point=b"\xff" * 32), "no point"),
        (f"comment: x\n{lines('open.pub')[1]}\n", 'begins with "untrusted comment: "'),
        (text("open.pub") + "more\n", "2 lines"),
        (f"{lines('open.pub')[1]}\0", "NUL"),
    ],
)
def test_what_is_no_public_key(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        MinisignVerifier(given)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="str or bytes, not int"):
        MinisignVerifier(7)
    with pytest.raises(TypeError, match="contiguous buffer, such as bytes, not str"):
        verifier("open").verify("text", text("message.hashed.minisig"))
    with pytest.raises(TypeError, match="password must be a str, bytes or None, not int"):
        MinisignKey.read(text("open.key"), 7)
    with pytest.raises(TypeError, match=r"generate\(\) or MinisignKey.read"):
        MinisignKey()
    with pytest.raises(ValueError, match="contiguous"):
        verifier("open").verify(memoryview(b"abcdef")[::2], text("message.hashed.minisig"))


@pytest.mark.parametrize(
    ("name", "password"),
    [("open", None), ("open", "ignored"), ("python", "secret"), ("rust", b"secret")],
)
def test_secret_keys_of_other_tools(name, password):
    key = MinisignKey.read(text(f"{name}.key"), password)
    assert key.public_key == lines(f"{name}.pub")[1]
    assert verifier(name).verify(MESSAGE, key.sign(MESSAGE))


def test_a_secret_key_of_minisign_that_costs_a_gibibyte():
    try:
        key = MinisignKey.read(text("minisign.key"), "secret")
    except MemoryError:
        pytest.skip("the system has no such memory")
    assert key.public_key == lines("minisign.pub")[1]


def test_a_wrong_password():
    with pytest.raises(ValueError, match="the password does not fit"):
        MinisignKey.read(text("python.key"), "Secret")
    with pytest.raises(ValueError, match="encrypted, and no password was given"):
        MinisignKey.read(text("python.key"))
    with pytest.raises(ValueError, match="the password does not fit"):
        MinisignKey.read(text("python.key"), "")


@pytest.mark.parametrize("byte", [0, 2, 4, 60, 70, 100, 157])
def test_a_damaged_secret_key(byte):
    comment, line = lines("open.key")
    if byte == 60:
        # The number of a key: minisign writes no checksum where there is no password.
        key = MinisignKey.read(joined([comment, changed(line, byte)]))
        assert key.public_key != lines("open.pub")[1]
        return
    with pytest.raises(ValueError, match=r"damaged|algorithm|scrypt|cost"):
        MinisignKey.read(joined([comment, changed(line, byte)]))


@pytest.mark.parametrize(
    ("work", "memory"), [(0, 0), (1 << 20, 1 << 40), (1 << 40, 1 << 25), (0, 3)]
)
def test_a_key_that_would_cost_too_much(work, memory):
    comment, line = lines("python.key")
    data = bytearray(base64.b64decode(line))
    data[38:46], data[46:54] = work.to_bytes(8, "little"), memory.to_bytes(8, "little")
    with pytest.raises(ValueError, match="must cost between"):
        MinisignKey.read(joined([comment, base64.b64encode(data).decode()]), "secret")


@pytest.mark.parametrize("password", [None, "secret", b"\xff\0", "", "p\u00e4ss"])
def test_our_keys_are_read_again(password):
    key = MinisignKey.generate()
    written = key.to_text(password, memory=CHEAP)
    again = MinisignKey.read(written, password)
    assert again.public_key == key.public_key
    assert again.sign(MESSAGE, "x") == key.sign(MESSAGE, "x")
    assert written != key.to_text(password, memory=CHEAP) or password is None


def test_a_strange_cost_is_refused():
    for memory in (1, (1 << 20) - 1, (1 << 30) + 1, 1 << 60):
        with pytest.raises(ValueError, match="must cost between"):
            MinisignKey.generate().to_text("secret", memory=memory)


def test_signing_gives_the_same_for_the_same():
    key = MinisignKey.generate()
    assert key.sign(MESSAGE, "a") == key.sign(bytearray(MESSAGE), "a")
    assert key.sign(MESSAGE, "a") == key.sign(array.array("B", MESSAGE), "a")
    assert key.sign(MESSAGE, "a") == key.sign(np.frombuffer(MESSAGE, np.uint8), "a")
    assert key.sign(MESSAGE, "a") != key.sign(MESSAGE, "b")
    assert key.sign(MESSAGE).splitlines()[2].startswith("trusted comment: timestamp:")


@pytest.mark.parametrize("comment", ["", "x" * 8000, "\u00e4\u00f6\u00fc \U0001f511", "a\tb"])
def test_comments(comment):
    key = MinisignKey.generate()
    signature = key.sign(MESSAGE, comment)
    assert signature.splitlines()[2] == f"trusted comment: {comment}"
    assert MinisignVerifier(key.public_text).verify(MESSAGE, signature)


@pytest.mark.parametrize("comment", ["a\nb", "a\rb", " a", "a ", "x" * 8001, "a\0b", "\x1b[2J"])
def test_comments_that_are_refused(comment):
    with pytest.raises(ValueError, match="comment"):
        MinisignKey.generate().sign(MESSAGE, comment)


def test_what_keys_tell_of_themselves():
    key = MinisignKey.read(text("open.key"))
    number = lines("open.pub")[0].rpartition(" ")[2]
    assert key.public_text == text("open.pub")
    assert (key.key_id, verifier("open").key_id) == (number, number)
    assert repr(key) == f"<MinisignKey {number}>"
    assert repr(verifier("open")) == f"MinisignVerifier({key.public_key!r})"


def test_many_threads_at_once():
    key = MinisignKey.generate()
    verified, data = [], bytes(300_000)

    def work():
        for i in range(20):
            signature = key.sign(data, f"{i}")
            verified.append(MinisignVerifier(key.public_key).verify(data, signature))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verified == [True] * 80


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_minisign_itself_takes_ours(tmp_path):
    key = MinisignKey.generate()
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "message.minisig").write_text(key.sign(MESSAGE, "for minisign"))
    (tmp_path / "our.pub").write_text(key.public_text)
    (tmp_path / "open.key").write_text(key.to_text())
    (tmp_path / "our.key").write_text(key.to_text("secret", memory=1 << 24))

    def minisign(*words, password=None):
        done = subprocess.run(
            ["minisign", *words], cwd=tmp_path, input=password, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "for minisign" in minisign("-V", "-p", "our.pub", "-m", "message")
    for name, password in (("open.key", None), ("our.key", "secret\n")):
        minisign("-S", "-s", name, "-m", "message", "-x", "theirs", password=password)
        assert "verified" in minisign("-V", "-p", "our.pub", "-m", "message", "-x", "theirs")
        signature = (tmp_path / "theirs").read_text()
        assert MinisignVerifier(key.public_key).verify(MESSAGE, signature)
