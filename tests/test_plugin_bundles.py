"""Bundles, read and written, in both styles of `BundleLoader`."""

import os
import stat
from pathlib import Path

import plugins_build
import pytest
from bundles import (
    DATA,
    FOREIGN,
    FOREIGN_KEY,
    LIBRARY,
    PLATFORMS,
    SCHEMA,
    cache,
    here,
    key,
    linux_only,
    loader,
    path_in_bundle,
    read,
    refused,
    signed,
    unzipped,
)

from gmemx.plugin import (
    BundleError,
    BundleLimits,
    BundleLoader,
    MinisignKey,
    MinisignVerifier,
    SignatureError,
    generate_keys,
    write_bundle,
)

pytestmark = linux_only
__all__ = ["cache"]


@pytest.fixture
def files(tmp_path):
    """A library, a schema and a document, to be put into a bundle."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "libwords.so").write_bytes(LIBRARY)
    (folder / "message.json").write_text(SCHEMA)
    (folder / "words.h").write_text("int words(void);\n")
    (folder / "README.md").write_text("words\n")
    return folder


def written(path, files, **changes):
    arguments = {
        "name": "words",
        "version": "1.2.3",
        "libraries": files / "libwords.so",
        "schemas": [files / "message.json"],
        "docs": [files / "README.md"],
        "key": key(),
    }
    return write_bundle(path, **{**arguments, **changes})


# ---- reading ------------------------------------------------------------------------------


def test_a_bundle_of_its_own(tmp_path, cache):
    path = signed(tmp_path / "words.rbp")
    with loader(path) as bundle:
        assert bundle.manifest.plugin_name == "words"
        assert bundle.signed_by == key().key_id
        assert bundle.read_library() == LIBRARY
        assert bundle.read_schema("message.json") == SCHEMA
        assert bundle.list_variants() == ["release"]
        assert bundle.list_variants("darwin-x86_64") == []
        assert dict(bundle.sizes())[path_in_bundle()] == len(LIBRARY)
        assert bundle.verify() == ["docs/README.md"]
        assert repr(bundle) == f"<Bundle {path}>"
        library = bundle.extract_library()
        assert library.read_bytes() == LIBRARY
        assert cache in library.parents
    assert library.exists()
    with pytest.raises(BundleError, match="is closed"):
        bundle.read_library()
    assert bundle.manifest.plugin_name == "words"


def test_bundles_by_their_paths(tmp_path, cache):
    path = signed(tmp_path / "words.rbp")
    bundles = BundleLoader(verify_signatures=True, public_key_override=key().public_key)
    assert bundles.get_manifest(path).plugin_version == "1.2.3"
    assert bundles.get_manifest(str(path)) == bundles.get_manifest(path)
    assert "docs/README.md" in bundles.list_files(path)
    assert (path_in_bundle(), len(LIBRARY)) in bundles.sizes(path)
    assert bundles.list_variants(path) == ["release"]
    assert bundles.get_default_variant(path) == "release"
    assert list(bundles.get_schemas(path)) == ["message.json"]
    assert bundles.read_schema(path, "message.json") == SCHEMA
    assert bundles.get_build_info(path) is bundles.get_effective_build_info(path) is None
    assert bundles.extract_library(path, tmp_path / "a").read_bytes() == LIBRARY
    assert bundles.extract_library_variant(path, tmp_path / "b", "release").exists()
    assert bundles.extract_schema(path, "message.json", tmp_path / "a").read_text() == SCHEMA
    temporary = bundles.extract_library_to_temp(path)
    assert stat.S_IMODE(temporary.parent.stat().st_mode) == 0o700
    assert temporary.read_bytes() == LIBRARY
    temporary.unlink()
    temporary.parent.rmdir()
    assert not cache.exists()


def test_the_arguments_that_programs_know():
    public = key().public_key
    for made in (
        BundleLoader(True, public),
        BundleLoader(True, public_key_override=public),
        BundleLoader(None, True, public),
        BundleLoader(trusted_keys=[public]),
        BundleLoader(trusted_keys=public),
        BundleLoader(public_key=key().public_text),
        BundleLoader(public_key=MinisignVerifier(public)),
    ):
        assert repr(made) == f"<BundleLoader of any bundle: {key().key_id}>"
    assert "not verified" in repr(BundleLoader(False))
    assert "not verified" in repr(BundleLoader(verify_signatures=False))
    assert "no key" in repr(BundleLoader())
    assert BundleLoader("x.rbp").get_current_platform() in PLATFORMS


def test_arguments_that_make_no_sense(tmp_path):
    with pytest.raises(ValueError, match="public key"):
        BundleLoader(public_key="RW")
    with pytest.raises(ValueError, match="public key"):
        BundleLoader(trusted_keys=[key().public_key, "no key"])
    with pytest.raises(TypeError, match="verify_signatures must be True or False"):
        BundleLoader("x.rbp", "yes")
    with pytest.raises(TypeError, match="the path of one is wanted"):
        BundleLoader(False).get_manifest()
    with pytest.raises(FileNotFoundError, match="there is no bundle"):
        BundleLoader(False).get_manifest(tmp_path / "none.rbp")
    for path in (tmp_path, os.devnull):
        with pytest.raises(BundleError, match="no regular file"):
            BundleLoader(False).get_manifest(path)
    with pytest.raises(BundleError, match="cannot be opened"):
        BundleLoader(False).get_manifest("a\0b")


def test_a_key_in_a_file(tmp_path):
    (tmp_path / "words.pub").write_text(key().public_text)
    assert read(signed(tmp_path / "words.rbp"), public_key=tmp_path / "words.pub")


def test_any_of_the_trusted_keys_is_enough(tmp_path):
    path = signed(tmp_path / "words.rbp")
    others = [key(1).public_key, key(2).public_key]
    assert read(path, public_key=None, trusted_keys=[*others, key().public_key])
    refused(path, key(1).key_id, error=SignatureError, public_key=None, trusted_keys=others)


def test_without_a_key_nothing_is_believed(tmp_path):
    path = signed(tmp_path / "words.rbp")
    refused(path, "no trusted key", error=SignatureError, public_key=None)
    with pytest.raises(SignatureError) as caught:
        BundleLoader(path).open()
    assert caught.value.error_code == 12
    # Names can be had without one.
    assert "manifest.json" in BundleLoader(path).list_files()
    assert "manifest.json" in dict(BundleLoader(path).sizes())


def test_the_bundles_own_key_only_where_the_caller_agrees(tmp_path, files):
    path = tmp_path / "words.rbp"
    written(path, files)
    refused(path, "no trusted key", error=SignatureError, public_key=None)
    assert read(path, public_key=None, allow_embedded_key=True)
    # A pinned key is not replaced by the bundle's.
    refused(
        path, "trusted key", error=SignatureError,
        public_key=key(1).public_key, allow_embedded_key=True,
    )  # fmt: skip


def test_a_bundle_that_is_not_signed(tmp_path, files):
    path = tmp_path / "words.rbp"
    assert written(path, files, key=None).public_key is None
    assert [name for name in unzipped(path) if name.endswith(".minisig")] == []
    refused(path, "is not signed", error=SignatureError)
    refused(path, "has no key", error=SignatureError, public_key=None, allow_embedded_key=True)
    assert read(path, public_key=None, verify_signatures=False)[0] == LIBRARY


def test_a_folder_gets_what_was_verified_and_nothing_else(tmp_path):
    path = signed(tmp_path / "words.rbp")
    folder = tmp_path / "new" / "folder"
    with loader(path) as bundle:
        library = bundle.extract_library(folder)
        assert stat.S_IMODE(library.stat().st_mode) & 0o700 == 0o700
        library.write_bytes(b"mine")
        with pytest.raises(FileExistsError, match="is there already"):
            bundle.extract_library(folder)
        assert library.read_bytes() == b"mine"
        schema = bundle.extract_schema("message.json", folder)
        assert bundle.extract_schema("message.json", folder) == schema
        schema.write_text("mine")
        with pytest.raises(BundleError, match="is there already"):
            bundle.extract_schema("message.json", folder)
    assert sorted(os.listdir(folder)) == ["libwords.so", "message.json"]


def test_a_link_in_the_folder_is_not_followed(tmp_path):
    path = signed(tmp_path / "words.rbp")
    (tmp_path / "libwords.so").symlink_to(tmp_path / "target")
    with loader(path) as bundle, pytest.raises(FileExistsError):
        bundle.extract_library(tmp_path)
    assert not (tmp_path / "target").exists()


def test_what_is_not_in_a_bundle(tmp_path):
    with loader(signed(tmp_path / "words.rbp")) as bundle:
        with pytest.raises(BundleError, match=r"has no schema '\.\./x'; it has message.json"):
            bundle.extract_schema("../x", tmp_path)
        with pytest.raises(BundleError, match="no variant 'debug'"):
            bundle.read_library(variant="debug")
        with pytest.raises(BundleError, match="no library for windows-x86_64"):
            bundle.extract_library(tmp_path, platform="windows-x86_64")


def test_a_schema_that_is_no_text(tmp_path, files):
    (files / "message.json").write_bytes(b"\xff")
    written(tmp_path / "words.rbp", files)
    with loader(tmp_path / "words.rbp") as bundle:
        with pytest.raises(BundleError, match="no text"):
            bundle.read_schema("message.json")
        assert bundle.extract_schema("message.json", tmp_path).read_bytes() == b"\xff"


def test_a_bundle_of_another_tool():
    with BundleLoader(FOREIGN, public_key=FOREIGN_KEY) as bundle:
        assert bundle.manifest.plugin_name == "words"
        assert sorted(bundle.list_variants("linux-x86_64")) == ["debug", "release"]
        library = bundle.read_library(platform="linux-x86_64", variant="debug")
        assert library == (DATA / "minisign" / "message.txt").read_bytes()
        assert bundle.verify() == ["legal/LICENSE"]
        assert '"title"' in bundle.read_schema("messages.json")
    assert BundleLoader(FOREIGN, allow_embedded_key=True).open().signed_by is not None
    with pytest.raises(SignatureError):
        BundleLoader(FOREIGN, public_key=key().public_key).open()


@pytest.mark.skipif(
    "GMEMX_TEST_BUNDLE" not in os.environ, reason="GMEMX_TEST_BUNDLE names no bundle"
)
def test_a_bundle_from_outside(cache):
    path = os.environ["GMEMX_TEST_BUNDLE"]
    public = os.environ.get("GMEMX_TEST_BUNDLE_KEY")
    trusted = {"public_key": public} if public else {"verify_signatures": False}
    with BundleLoader(path, **trusted) as bundle:
        bundle.verify()
        with bundle.load() as plugin:
            assert plugin.state.name == "ACTIVE"


# ---- writing ------------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path, files):
    made = written(
        tmp_path / "words.rbp",
        files,
        libraries={
            here(): files / "libwords.so",
            (here(), "debug"): files / "libwords.so",
            ("darwin-aarch64", "release"): files / "libwords.so",
        },
        schemas={"deep/message.json": files / "message.json", "words.h": files / "words.h"},
        docs={"a/README.md": files / "README.md"},
        description="words",
        authors=["A", "B"],
        license="MIT",
        repository="https://example.org",
        license_file=files / "README.md",
        notices=files / "README.md",
        sbom={"spdx": files / "message.json"},
        build_info={"built_by": "a test", "git": {"commit": "abc"}, "custom": {"x": "y"}},
        builds={(here(), "debug"): {"profile": "debug"}},
    )
    with loader(tmp_path / "words.rbp") as bundle:
        assert bundle.manifest == made
        assert bundle.verify() == [
            "docs/NOTICES.txt",
            "docs/a/README.md",
            "legal/LICENSE",
            "sbom/message.json",
        ]
        assert bundle.list_variants() == ["debug", "release"]
        assert bundle.list_variants("darwin-aarch64") == ["release"]
        assert bundle.extract_schema("deep/message.json", tmp_path).parts[-2:] == (
            "deep",
            "message.json",
        )
    assert made.plugin_info.authors == ("A", "B")
    assert made.public_key == key().public_key
    assert made.schemas["words.h"].format == "c-header"
    assert made.platforms[here()].variants["debug"].build == {"profile": "debug"}
    assert made.build_info.git.commit == "abc"
    assert (made.notices, made.license_file) == ("docs/NOTICES.txt", "legal/LICENSE")


def test_the_same_files_give_the_same_bytes(tmp_path, files):
    two = {(here(), "release"): files / "libwords.so", (here(), "debug"): files / "libwords.so"}
    written(tmp_path / "a.rbp", files, libraries=two)
    os.utime(files / "libwords.so", (0, 0))
    os.chmod(files / "libwords.so", 0o600)
    written(tmp_path / "b.rbp", files, libraries=dict(reversed(two.items())))
    assert (tmp_path / "a.rbp").read_bytes() == (tmp_path / "b.rbp").read_bytes()
    written(tmp_path / "a.rbp", files, libraries=two, version="1.2.4")
    assert (tmp_path / "a.rbp").read_bytes() != (tmp_path / "b.rbp").read_bytes()


def test_the_comment_of_a_signature_names_the_file(tmp_path, files):
    written(tmp_path / "words.rbp", files)
    found = unzipped(tmp_path / "words.rbp")
    for name in ("manifest.json", path_in_bundle()):
        signature = found[f"{name}.minisig"].decode()
        assert signature.splitlines()[2] == f"trusted comment: file:{name}"
    assert next(iter(found)) == "manifest.json"


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_libraries_of_any_sort(tmp_path, files, size):
    # Three megabytes of zeros would be taken for a bomb if they were packed.
    (files / "libwords.so").write_bytes(bytes(size))
    written(tmp_path / "words.rbp", files)
    assert read(tmp_path / "words.rbp")[0] == bytes(size)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"libraries": {"amiga-68k": "libwords.so"}}, "no platform of bundles"),
        ({"libraries": {(PLATFORMS[0], "debug"): "libwords.so"}}, "must have a variant 'release'"),
        ({"libraries": {(PLATFORMS[0], "../x"): "libwords.so"}}, "it has '..' in it"),
        ({"libraries": {}}, "platforms must have at least one"),
        ({"name": ""}, "plugin.name"),
        ({"version": "1\n2"}, "plugin.version"),
        ({"schemas": {"../x": "message.json"}}, "it has '..' in it"),
        ({"schemas": {"/x": "message.json"}}, "cannot have the file"),
        ({"schemas": ["message.json", "message.json"]}, "the same name"),
        ({"docs": {"": "README.md"}}, "cannot have the file"),
        ({"docs": {"NOTICES.txt": "README.md"}, "notices": "README.md"}, "two files would have"),
        ({"sbom": {"other": "README.md"}}, "cyclonedx, spdx"),
        ({"build_info": {"git": 7}}, "build_info.git must be an object"),
    ],
)
def test_what_no_bundle_can_have(tmp_path, files, monkeypatch, changes, sentence):
    monkeypatch.chdir(files)
    path = tmp_path / "words.rbp"
    path.write_bytes(b"before")
    with pytest.raises(BundleError) as caught:
        written(path, files, **changes)
    assert sentence in caught.value.message
    assert path.read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["files", "words.rbp"]


def test_keys_as_texts_and_files(tmp_path, files):
    secret, public = generate_keys()
    (tmp_path / "secret.key").write_text(secret)
    for number, given in enumerate((secret, tmp_path / "secret.key", MinisignKey.read(secret))):
        path = tmp_path / f"{number}.rbp"
        written(path, files, key=given)
        assert BundleLoader(path, trusted_keys=[public]).manifest.plugin_name == "words"
        assert read(path, public_key=public.splitlines()[1])
    assert (tmp_path / "0.rbp").read_bytes() == (tmp_path / "1.rbp").read_bytes()
    with pytest.raises(ValueError, match="secret key"):
        written(tmp_path / "3.rbp", files, key=public)
    assert not (tmp_path / "3.rbp").exists()


def test_files_that_are_not_there(tmp_path, files):
    with pytest.raises(FileNotFoundError):
        written(tmp_path / "words.rbp", files, libraries=files / "none.so")
    with pytest.raises(TypeError, match="a mapping or a list"):
        written(tmp_path / "words.rbp", files, docs="README.md")
    with pytest.raises(FileNotFoundError):
        written(tmp_path / "none" / "words.rbp", files)
    assert os.listdir(tmp_path) == ["files"]


# ---- loading ------------------------------------------------------------------------------


@pytest.fixture
def echo(tmp_path, cache):
    """A signed bundle with a plugin that can be called."""
    path = tmp_path / "echo.rbp"
    library = plugins_build.faults()
    write_bundle(
        path,
        name="echo",
        version="1.0.0",
        libraries={(here(), "release"): library, (here(), "debug"): library},
        key=key(),
    )
    return path


def test_a_plugin_out_of_a_bundle(echo, cache):
    with loader(echo) as bundle, bundle.load() as plugin:
        assert plugin.call("echo", "{}") is not None
        assert cache in Path(plugin.path).parents


def test_a_plugin_by_the_path_of_its_bundle(echo):
    from gmemx.plugin import PluginConfig

    bundles = loader()
    with bundles.load(echo) as plugin:
        assert plugin.state.name == "ACTIVE"
    seen = []
    config = PluginConfig.defaults()
    with bundles.load_with_config(echo, config, lambda *entry: seen.append(entry)) as plugin:
        assert plugin.state.name == "ACTIVE"
    with bundles.load_variant_with_config(echo, "debug", config) as plugin:
        assert plugin.state.name == "ACTIVE"
    with pytest.raises(BundleError, match="no variant 'none'"):
        bundles.load_variant_with_config(echo, "none", config)


def test_what_is_not_verified_is_not_loaded(echo, cache):
    with pytest.raises(SignatureError):
        BundleLoader(public_key=MinisignKey.generate().public_key).load(echo)
    with pytest.raises(SignatureError):
        BundleLoader().load(echo)
    with pytest.raises(BundleError, match="are allowed"):
        loader(limits=BundleLimits(entry=100)).load(echo)
    assert not cache.exists()
