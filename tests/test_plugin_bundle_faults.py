"""Bundles that are damaged, forged or made to do harm: each is refused, and nothing is written."""

import io
import itertools
import json
import os
import random
import stat
import struct
import threading
import zipfile

import pytest
from bundles import (
    FOREIGN,
    FOREIGN_KEY,
    LIBRARY,
    SCHEMA,
    Parts,
    cache,
    described,
    digest,
    here,
    key,
    linux_only,
    loader,
    path_in_bundle,
    read,
    refused,
    signed,
    zipped,
)

from gmemx.plugin import BundleError, BundleLimits, BundleLoader, MinisignKey, SignatureError

pytestmark = linux_only
__all__ = ["cache"]

GOOD = (LIBRARY, SCHEMA, ["docs/README.md"])
MANIFEST, LIB = "manifest.json", path_in_bundle()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "words.rbp"


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, cache):
    """Whatever a test does to a bundle, nothing comes to lie beside it."""
    yield
    assert not cache.exists()
    assert {name for name in os.listdir(tmp_path) if not name.endswith(".rbp")} == set()


# ---- damage -------------------------------------------------------------------------------


def test_the_bundle_that_the_others_are_made_of_is_good(path):
    assert read(signed(path)) == GOOD


@pytest.mark.parametrize("remainder", range(8))
def test_truncated_at_any_length(path, remainder):
    data = signed(path).read_bytes()
    for length in range(remainder, len(data), 8):
        path.write_bytes(data[:length])
        refused(path)


def test_turned_bits_are_noticed_or_do_not_matter(path):
    data = signed(path).read_bytes()
    unharmed = 0
    for place in range(len(data)):
        turned = bytearray(data)
        turned[place] ^= 1 << (place % 8)
        path.write_bytes(turned)
        try:
            assert read(path) == GOOD, place
        except BundleError:
            continue
        unharmed += 1
    # Times and permissions are nobody's business; all else is.
    assert unharmed < len(data) // 10


def test_random_damage(path):
    data = signed(path).read_bytes()
    chance = random.Random(7)
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(damaged))
            kind = chance.randrange(4)
            if kind == 0:
                damaged[place] = chance.randrange(256)
            elif kind == 1:
                del damaged[place : place + chance.randrange(1, 30)]
            elif kind == 2:
                damaged[place:place] = chance.randbytes(chance.randrange(1, 30))
            else:
                other = chance.randrange(len(damaged))
                damaged[place : place + 8] = damaged[other : other + 8]
        path.write_bytes(damaged)
        try:
            assert read(path) == GOOD
        except BundleError:
            continue


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6" + bytes(18), b"\x7fELF" * 100, bytes(5000)])
def test_what_is_no_bundle(path, data):
    path.write_bytes(data)
    refused(path)


def test_a_zip_file_that_is_no_bundle(path):
    path.write_bytes(zipped([("README.md", b"words")]))
    refused(path, "no file 'manifest.json'")


def test_something_before_or_behind(path):
    data = signed(path).read_bytes()
    for before, behind in ((b"#!/bin/sh\n", b""), (b"", b"\n"), (b"", b"x" * 100), (data, b"")):
        path.write_bytes(before + data + behind)
        refused(path)


def test_a_comment_behind_the_end(path):
    parts = Parts(signer=key())
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name, data in parts.contents().items():
            target.writestr(name, data)
        target.comment = b"PK\5\6" + bytes(18)
    path.write_bytes(archive.getvalue())
    refused(path)


# ---- names --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MANIFEST, LIB, f"{LIB}.minisig", "schema/message.json"])
@pytest.mark.parametrize("first", [True, False])
def test_a_name_twice(path, name, first):
    contents = list(Parts(signer=key()).contents().items())
    again = (name, b"another")
    with pytest.warns(UserWarning, match="Duplicate"):
        path.write_bytes(zipped([again, *contents] if first else [*contents, again]))
    refused(path, "twice")


@pytest.mark.parametrize(
    "name",
    ["../evil", "docs/../../evil", "/etc/evil", "docs\\..\\evil", "C:evil", "docs//evil", "./evil",
     "docs/evil\n", "docs/\x1b[2J", "x" * 300, "..", "docs/.."],
)  # fmt: skip
def test_names_that_lead_out(path, name):
    signed(path, files={**Parts().files, name: b"evil"})
    refused(path, "cannot have the file")


def test_a_name_that_is_cut_at_a_nul(path):
    data = signed(path, files={**Parts().files, "docs/evilX.txt": b"evil"}).read_bytes()
    path.write_bytes(data.replace(b"docs/evilX.txt", b"docs/evil\0.txt"))
    refused(path)


@pytest.mark.parametrize("name", ["../message.json", "/tmp/message.json", "a/../../b", "a\\b"])
def test_schemas_whose_names_lead_out(path, name):
    schemas = {name: described()["schemas"]["message.json"]}
    signed(path, manifest=described(schemas=schemas))
    refused(path, "schemas cannot have the name")
    with pytest.raises(BundleError, match="schemas cannot have the name"):
        loader().extract_schema(path, name, path.parent)


def special(name, mode):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    return entry


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
@pytest.mark.parametrize("name", [LIB, "docs/other"])
def test_links_and_devices(path, name, mode):
    contents = Parts(signer=key()).contents()
    data = contents.pop(name, b"/etc/passwd")
    path.write_bytes(zipped([*contents.items(), (special(name, mode), data)]))
    refused(path, "no regular file")


def test_folders_are_left_alone(path):
    contents = Parts(signer=key()).contents()
    folder = special("docs/", stat.S_IFDIR | 0o755)
    path.write_bytes(zipped([*contents.items(), (folder, b"")]))
    assert read(path) == GOOD


def test_a_folder_with_contents(path):
    contents = Parts(signer=key()).contents()
    path.write_bytes(zipped([*contents.items(), (special("docs/", stat.S_IFDIR), b"evil")]))
    refused(path, "a folder with contents")


# ---- sizes --------------------------------------------------------------------------------


def test_a_bomb(path):
    signed(path, files={**Parts().files, "docs/bomb": bytes(64 << 20)})
    refused(path, "times as large")
    # Also where it is the library, and everything else about it is right.
    bomb = bytes(64 << 20)
    library = {"library": LIB, "checksum": f"sha256:{digest(bomb)}"}
    manifest = described(platforms={here(): {"variants": {"release": library}}})
    signed(path, manifest=manifest, files={**Parts().files, LIB: bomb})
    refused(path, "times as large")


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"file": 1000}, "1,000 are allowed"),
        ({"entries": 3}, "more than the 3 allowed"),
        ({"entry": 1000}, "1,000 are allowed"),
        ({"total": 2000}, "more than the 2,000 allowed"),
        ({"manifest": 100}, "more than 100"),
    ],
)
def test_limits(path, limits, sentence):
    refused(signed(path), sentence, limits=BundleLimits(**limits))
    assert read(path) == GOOD


def test_too_many_files(path):
    files = {f"docs/{i}": b"" for i in range(5000)}
    signed(path, files={**Parts().files, **files})
    refused(path, "more than the 4,096 allowed")


# Where fields stand in the directory's entries, and in the headers before the files.
CENTRAL, HEADER = b"PK\1\2", b"PK\3\4"
FIELDS = {
    CENTRAL: {"flags": (8, "H"), "method": (10, "H"), "crc": (16, "I"), "packed": (20, "I"),
              "size": (24, "I"), "disk": (34, "H"), "offset": (42, "I")},
    HEADER: {"flags": (6, "H"), "method": (8, "H"), "crc": (14, "I"), "packed": (18, "I"),
             "size": (22, "I"), "name length": (26, "H"), "extra length": (28, "H")},
}  # fmt: skip


def patched(data, magic, number, field, value):
    """The bytes of a ZIP file with a field of one of its entries changed."""
    place = -1
    for _ in range(number + 1):
        place = data.index(magic, place + 1)
    offset, kind = FIELDS[magic][field]
    turned = bytearray(data)
    struct.pack_into(f"<{kind}", turned, place + offset, value)
    return bytes(turned)


@pytest.mark.parametrize("magic", [CENTRAL, HEADER], ids=["directory", "header"])
@pytest.mark.parametrize("value", [0, 1, 0x41, 0xFFFF, 7, 12, 14])
def test_headers_that_say_something_else(path, magic, value):
    data = signed(path).read_bytes()
    for field, number in itertools.product(FIELDS[magic], range(4)):
        turned = patched(data, magic, number, field, value)
        if turned == data:
            continue
        path.write_bytes(turned)
        refused(path)


@pytest.mark.parametrize("bit", [0x1, 0x20, 0x40, 0x2000])
def test_encrypted_files(path, bit):
    data = signed(path).read_bytes()
    for magic in (CENTRAL, HEADER):
        data = patched(data, magic, 2, "flags", bit)
    path.write_bytes(data)
    refused(path, "encrypted" if bit != 0x20 else "patch")


def test_other_methods_of_packing(path):
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", method) as archive:
            for name, data in Parts(signer=key()).contents().items():
                archive.writestr(name, data)
        path.write_bytes(target.getvalue())
        refused(path, "unknown method")


def test_files_that_overlap(path):
    # Two names for the same bytes, as bombs have them.
    data = signed(path, files={**Parts().files, "docs/again.md": b"words\n"}).read_bytes()
    first = data.index(b"docs/README.md") - 30
    place = data.rindex(b"docs/again.md") - 46
    turned = bytearray(data)
    struct.pack_into("<I", turned, place + 42, first)
    path.write_bytes(turned)
    refused(path, "not where it should be")


def test_sizes_behind_the_data_are_known_too(path):
    class Pipe(io.RawIOBase):
        """What cannot go back, so that sizes are written behind the data."""

        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, piece):
            self.data += bytes(piece)
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in Parts(signer=key()).contents().items():
            archive.writestr(name, data)
    path.write_bytes(pipe.data)
    assert read(path) == GOOD


def test_sizes_for_large_files_are_known_too(path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in Parts(signer=key()).contents().items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    path.write_bytes(target.getvalue())
    assert read(path) == GOOD
    place = target.getvalue().index(b"\1\0\x10\0") + 4
    turned = bytearray(target.getvalue())
    turned[place] ^= 1
    path.write_bytes(turned)
    refused(path, "in two ways")


def test_an_end_for_large_files_is_refused(path):
    data = signed(path).read_bytes()
    end = data.rindex(b"PK\5\6")
    _, _, _, _, entries, length, start, _ = struct.unpack("<4s4H2IH", data[end:])
    large = struct.pack(
        "<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, length, start
    ) + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    path.write_bytes(data[:end] + large + data[end:])
    with zipfile.ZipFile(path) as archive:
        assert MANIFEST in archive.namelist()
    refused(path, "very large files")


# ---- contents -----------------------------------------------------------------------------


def test_a_wrong_checksum(path):
    library = {"library": LIB, "checksum": f"sha256:{digest(b'another')}"}
    signed(path, manifest=described(platforms={here(): {"variants": {"release": library}}}))
    refused(path, "does not fit its checksum")
    refused(path, "does not fit its checksum", verify_signatures=False)


def test_a_checksum_is_verified_without_signatures(path):
    signed(path, files={**Parts().files, LIB: b"another"}, signer=None)
    refused(path, "does not fit its checksum", public_key=None, verify_signatures=False)
    signed(path, files={**Parts().files, "schema/message.json": b"{}"}, signer=None)
    refused(path, "does not fit its checksum", public_key=None, verify_signatures=False)


def test_checksums_of_either_kind(path):
    manifest = described()
    manifest["platforms"][here()]["variants"]["release"]["checksum"] = digest(LIBRARY).upper()
    manifest["schemas"]["message.json"]["checksum"] = f"sha256:{digest(SCHEMA.encode())}"
    assert read(signed(path, manifest=manifest)) == GOOD


def test_a_wrong_key(path):
    signed(path, signer=MinisignKey.generate())
    text = refused(path, "was not signed with the trusted key", error=SignatureError)
    assert key().key_id in text


def test_a_forged_bundle_with_its_own_key(path):
    thief = MinisignKey.generate()
    signed(path, signer=thief, manifest=described(public_key=thief.public_key))
    refused(path, error=SignatureError)
    refused(path, error=SignatureError, allow_embedded_key=True)
    refused(path, "no trusted key", error=SignatureError, public_key=None)
    assert read(path, public_key=None, allow_embedded_key=True) == GOOD


@pytest.mark.parametrize("own", [7, None, "", "RW", "\ud800", "x" * 100_000, []])
def test_a_bundles_own_key_that_is_none(path, own):
    manifest = json.dumps({**described(), "public_key": own}).encode()
    signed(path, raw_manifest=manifest)
    refused(path, "key", public_key=None, allow_embedded_key=True)


def test_a_tampered_manifest(path):
    contents = Parts(signer=key()).contents()
    tampered = contents[MANIFEST].replace(b"1.2.3", b"1.2.4")
    path.write_bytes(zipped({**contents, MANIFEST: tampered}.items()))
    refused(path, "was changed since", error=SignatureError)
    # Even where it means the same.
    path.write_bytes(zipped({**contents, MANIFEST: contents[MANIFEST] + b"\n"}.items()))
    refused(path, "was changed since", error=SignatureError)


def test_a_tampered_library(path):
    contents = Parts(signer=key()).contents()
    path.write_bytes(zipped({**contents, LIB: LIBRARY + b"\0"}.items()))
    refused(path, "does not fit its checksum")


def test_the_signature_of_another_file(path):
    contents = Parts(signer=key()).contents()
    swapped = {
        **contents,
        f"{MANIFEST}.minisig": contents[f"{LIB}.minisig"],
        f"{LIB}.minisig": contents[f"{MANIFEST}.minisig"],
    }
    path.write_bytes(zipped(swapped.items()))
    refused(path, error=SignatureError)
    path.write_bytes(
        zipped({**contents, f"{LIB}.minisig": contents[f"{MANIFEST}.minisig"]}.items())
    )
    refused(path, f"{LIB} in", "was not signed with the key", error=SignatureError)


def test_a_library_that_another_trusted_key_signed(path):
    # Each by itself is trusted, but they did not sign the same bundle.
    files = {**Parts().files, f"{LIB}.minisig": key(1).sign(LIBRARY).encode()}
    signed(path, files=files)
    refused(
        path, "which signed the manifest", error=SignatureError, trusted_keys=[key(1).public_key]
    )


@pytest.mark.parametrize("name", [MANIFEST, LIB])
def test_a_signature_that_is_missing_or_none(path, name):
    contents = Parts(signer=key()).contents()
    del contents[f"{name}.minisig"]
    path.write_bytes(zipped(contents.items()))
    refused(path, f"{name} in", "is not signed", error=SignatureError)
    for text in (b"", b"words", b"\xff\xfe", b"\0" * 300, b"x\n" * 4):
        path.write_bytes(zipped({**contents, f"{name}.minisig": text}.items()))
        refused(path, "is no signature", error=SignatureError)


@pytest.mark.parametrize("version", ["2.0", "0.9", "1.0.0", ""])
def test_an_unknown_version(path, version):
    signed(path, manifest=described(bundle_version=version))
    refused(path, "bundle_version")


def test_a_missing_platform(path):
    other = "linux-aarch64" if here() != "linux-aarch64" else "linux-x86_64"
    library = {"library": LIB, "checksum": f"sha256:{digest(LIBRARY)}"}
    signed(path, manifest=described(platforms={other: {"variants": {"release": library}}}))
    refused(path, f"no library for {here()}, only for {other}")


def test_a_missing_library_and_a_missing_schema(path):
    files = Parts().files
    signed(path, files={name: data for name, data in files.items() if name != LIB})
    refused(path, f"has no file '{LIB}'")
    signed(path, files={name: data for name, data in files.items() if "schema" not in name})
    refused(path, "has no file 'schema/message.json'")


def test_a_library_that_is_a_folder(path):
    library = {"library": "lib/x", "checksum": f"sha256:{digest(b'')}"}
    manifest = described(platforms={here(): {"variants": {"release": library}}})
    contents = Parts(signer=key(), manifest=manifest).contents()
    path.write_bytes(zipped([*contents.items(), (special("lib/x/", stat.S_IFDIR), b"")]))
    refused(path, "has no file 'lib/x'")


def test_a_bundle_of_another_tool_that_was_changed(path):
    data = FOREIGN.read_bytes()
    for place in range(0, len(data), 3):
        turned = bytearray(data)
        turned[place] ^= 0x10
        path.write_bytes(turned)
        try:
            with BundleLoader(path, public_key=FOREIGN_KEY) as bundle:
                bundle.verify()
        except BundleError:
            continue


def test_a_bundle_that_is_replaced_while_it_is_open(path):
    with loader(signed(path)) as bundle:
        other = path.with_name("other.rbp")
        signed(other, files={**Parts().files, LIB: b"another"})
        os.replace(other, path)
        assert bundle.read_library() == LIBRARY


def test_a_bundle_that_is_overwritten_while_it_is_open(path):
    data = os.urandom(1 << 20)
    library = {"library": LIB, "checksum": f"sha256:{digest(data)}"}
    manifest = described(platforms={here(): {"variants": {"release": library}}})
    signed(path, manifest=manifest, files={**Parts().files, LIB: data})
    with loader(path) as bundle:
        assert bundle.read_library() == data
        with open(path, "r+b") as file:
            file.write(os.urandom(path.stat().st_size))
        with pytest.raises(BundleError):
            bundle.read_library()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.rbp")
    refused(tmp_path / "pipe.rbp", "no regular file")


def test_threads_read_one_bundle(path):
    found = []
    with loader(signed(path)) as bundle:

        def work():
            for _ in range(50):
                found.append((bundle.read_library(), bundle.read_schema("message.json")))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [GOOD[:2]] * 200


def test_nothing_is_left_open(path):
    signed(path)
    read(path)
    before = len(os.listdir("/proc/self/fd"))
    bad = path.with_name("bad.rbp")
    bad.write_bytes(path.read_bytes()[:-1])
    for _ in range(50):
        read(path)
        refused(bad)
        refused(path, public_key=key(1).public_key)
    assert len(os.listdir("/proc/self/fd")) == before
