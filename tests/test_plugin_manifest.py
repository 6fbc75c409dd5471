"""`manifest.json`: what is taken from it, and what is refused."""

import copy
import json

import pytest
from bundles import LIBRARY, described, digest, here, linux_only, path_in_bundle

from gmemx.plugin import BundleError, BundleManifest

pytestmark = linux_only

FULL = described(
    bundle_version="1.1",
    plugin={
        "name": "words",
        "version": "1.2.3",
        "description": "words\nof two lines",
        "authors": ["A", "B"],
        "license": "MIT",
        "repository": "https://example.org",
    },
    public_key="RW...",
    build_info={
        "built_by": "me",
        "built_at": "2026-01-01T00:00:00Z",
        "host": "x86_64",
        "compiler": "cc",
        "rustbridge_version": "1.0.1",
        "git": {"commit": "abc", "branch": "main", "tag": "v1", "dirty": False},
        "custom": {"job": "7"},
    },
    sbom={"cyclonedx": "sbom/sbom.cdx.json", "spdx": "sbom/sbom.spdx.json"},
    schema_checksum="abc",
    notices="docs/NOTICES.txt",
    license_file="legal/LICENSE",
    bridges={"jni": {}},
    api={"messages": []},
)


def platform(**variants):
    return {here(): {"variants": variants}}


def variant(**changes):
    return {"library": path_in_bundle(), "checksum": f"sha256:{digest(LIBRARY)}", **changes}


def test_all_fields():
    manifest = BundleManifest.from_json(json.dumps(FULL))
    assert manifest == BundleManifest.from_dict(FULL)
    assert (manifest.plugin_name, manifest.plugin_version) == ("words", "1.2.3")
    assert manifest.plugin_info.authors == ("A", "B")
    assert manifest.plugin_info.description == "words\nof two lines"
    assert manifest.build_info.git.dirty is False
    assert manifest.build_info.custom == {"job": "7"}
    assert manifest.sbom.spdx == "sbom/sbom.spdx.json"
    assert manifest.schemas["message.json"].format == "json-schema"
    assert manifest.bridges.jni == {}
    assert manifest.api == {"messages": []}
    info = manifest.get_platform(here())
    assert info.library == info.get_library("release") == path_in_bundle()
    assert info.get_checksum("release") == info.checksum == f"sha256:{digest(LIBRARY)}"
    assert (info.get_default_variant(), info.list_variants()) == ("release", ["release"])
    assert manifest.get_platform("darwin-aarch64") is None


def test_the_least_that_is_needed():
    manifest = BundleManifest.from_dict(described(schemas=None))
    assert manifest.schemas == {}
    assert manifest.build_info is manifest.sbom is manifest.public_key is manifest.bridges is None


def test_null_is_nothing():
    nothing = dict.fromkeys(("build_info", "sbom", "notices", "public_key", "schemas", "bridges"))
    assert BundleManifest.from_dict({**described(), **nothing}).schemas == {}


def test_unknown_fields_are_left_alone():
    data = copy.deepcopy(FULL)
    data["future"] = {"anything": [1, None]}
    data["plugin"]["future"] = 7
    data["platforms"][here()]["future"] = 7
    data["platforms"][here()]["variants"]["release"]["future"] = "x"
    data["schemas"]["message.json"]["future"] = []
    assert BundleManifest.from_dict(data) == BundleManifest.from_dict(FULL)


def test_what_a_variant_says_of_itself_comes_first():
    own = {
        "build_info": {"built_by": "somebody"},
        "sbom": {"spdx": "sbom/own.json"},
        "schema_checksum": "own",
        "schemas": {"own.h": {"path": "schema/own.h", "checksum": digest(b"")}},
    }
    data = {**FULL, "platforms": platform(release=variant(), debug=variant(**own))}
    manifest = BundleManifest.from_dict(data)
    assert manifest.get_effective_build_info(here()).built_by == "me"
    assert manifest.get_effective_build_info(here(), "debug").built_by == "somebody"
    assert manifest.get_effective_build_info("linux-none").built_by == "me"
    assert manifest.get_effective_sbom(here(), "debug").spdx == "sbom/own.json"
    assert manifest.get_effective_sbom(here()).spdx == "sbom/sbom.spdx.json"
    assert manifest.get_effective_schema_checksum(here(), "debug") == "own"
    assert manifest.get_effective_schema_checksum(here()) == "abc"
    assert list(manifest.get_effective_schemas(here(), "debug")) == ["own.h"]
    assert list(manifest.get_effective_schemas(here(), "none")) == ["message.json"]


def test_a_library_without_variants_around_it_is_the_release():
    manifest = BundleManifest.from_dict(described(platforms={here(): variant()}))
    assert manifest.get_platform(here()).list_variants() == ["release"]


def test_no_other_variant_or_platform_is_taken():
    manifest = BundleManifest.from_dict(described())
    with pytest.raises(BundleError, match="no variant 'debug'") as caught:
        manifest.platform().variant("debug")
    assert caught.value.error_code == 4
    with pytest.raises(BundleError, match=f"no library for darwin-x86_64, only for {here()}"):
        manifest.platform("darwin-x86_64")


@pytest.mark.parametrize("name", ["0", "debug", "opt-size", "a-b-c", "release2"])
def test_names_of_variants(name):
    manifest = BundleManifest.from_dict(
        described(platforms=platform(release=variant(), **{name: variant()}))
    )
    assert name in manifest.get_platform(here()).list_variants()


@pytest.mark.parametrize("version", ["2.0", "1", "1.2", "", "1.0 ", 1.0, None])
def test_unknown_versions_are_refused(version):
    data = {**described(), "bundle_version": version}
    with pytest.raises(BundleError, match="bundle_version"):
        BundleManifest.from_dict(data)


UNSAFE = (
    "", "/etc/passwd", "../x", "a/../../x", "a/..", "..", ".", "a//b", "a/./b", "a/", "a\\b",
    "..\\x", "C:x", "c:/x", "a\0b", "a\nb", "a\x1b[2Jb", "a\u202eb", "\ud800", "x" * 256,
    "/".join(["x" * 200] * 6),
)  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("where", ["schema", "schema path", "library", "notices", "sbom"])
def test_names_that_lead_out_are_refused(where, name):
    data = copy.deepcopy(FULL)
    if where == "schema":
        data["schemas"] = {name: data["schemas"]["message.json"]}
    elif where == "schema path":
        data["schemas"]["message.json"]["path"] = name
    elif where == "library":
        data["platforms"] = platform(release=variant(library=name))
    elif where == "notices":
        data["notices"] = name
    else:
        data["sbom"] = {"spdx": name}
    with pytest.raises(BundleError, match=r"manifest\.json: .*(cannot|must)") as caught:
        BundleManifest.from_json(json.dumps(data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plugin": None}, "plugin is missing"),
        ({"plugin": []}, "plugin must be an object, not []"),
        ({"plugin": {"version": "1"}}, "plugin.name is missing"),
        ({"plugin": {"name": "x"}}, "plugin.version is missing"),
        ({"plugin": {"name": "", "version": "1"}}, "plugin.name must be a text of one line"),
        ({"plugin": {"name": "a\nb", "version": "1"}}, "plugin.name must be a text of one line"),
        ({"plugin": {"name": 7, "version": "1"}}, "plugin.name must be a text, not 7"),
        (
            {"plugin": {"name": "x", "version": "1", "authors": "me"}},
            "plugin.authors must be a list",
        ),
        (
            {"plugin": {"name": "x", "version": "1", "authors": [7]}},
            "plugin.authors must be a list of texts",
        ),
        ({"platforms": None}, "platforms must have at least one"),
        ({"platforms": {}}, "platforms must have at least one"),
        ({"platforms": [1]}, "platforms must be an object"),
        ({"platforms": {"amiga-68k": {"variants": {"release": variant()}}}}, "'amiga-68k'"),
        ({"platforms": platform()}, "library is missing"),
        ({"platforms": platform(debug=variant())}, "must have a variant 'release'"),
        ({"platforms": platform(release=variant(), Debug=variant())}, "variant 'Debug'"),
        ({"platforms": platform(release=variant(), **{"-x": variant()})}, "variant '-x'"),
        ({"platforms": platform(release=variant(), **{"a/../b": variant()})}, "a/../b"),
        ({"platforms": platform(release=[])}, "release must be an object"),
        ({"platforms": platform(release=variant(checksum=None))}, "checksum is missing"),
        ({"platforms": platform(release=variant(checksum="md5:x"))}, "'sha256:' and 64 digits"),
        ({"platforms": platform(release=variant(checksum="0" * 63))}, "64 digits"),
        ({"platforms": platform(release=variant(checksum=f"{'0' * 64}\n"))}, "one line"),
        ({"platforms": platform(release=variant(library="bin/x"))}, "must be below lib/"),
        (
            {"platforms": {here(): {"variants": {"release": variant()}, "default_variant": "x"}}},
            "default_variant is 'x', which is no variant",
        ),
        ({"schemas": {"x": {"path": "schema/x"}}}, "schemas.x.checksum is missing"),
        ({"schemas": {"x": 7}}, "schemas.x must be an object, not 7"),
        ({"public_key": 7}, "public_key must be a text"),
        ({"build_info": {"git": {"dirty": "no"}}}, "git.dirty must be true or false"),
        ({"build_info": "x" * 500}, "..."),
    ],
)
def test_what_is_no_manifest(changes, sentence):
    with pytest.raises(BundleError) as caught:
        BundleManifest.from_dict(described(**changes))
    assert sentence in caught.value.message
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '"x"', "{} {}", '{"bundle_version": NaN}', "[" * 100_000,
     '{"x": ' + "9" * 10_000 + "}", b"\xff\xfe{\0}\0", b'{"x": "\xff"}', "\ufeff{}"],
    ids=lambda text: str(text[:12]),
)  # fmt: skip
def test_what_is_no_json(text):
    with pytest.raises(BundleError, match=r"manifest\.json") as caught:
        BundleManifest.from_json(text)
    assert "\n" not in str(caught.value)


def test_a_key_twice_is_refused():
    text = json.dumps(described())
    twice = text.replace('"name": "words"', '"name": "words", "name": "others"')
    with pytest.raises(BundleError, match="the key 'name' is there twice"):
        BundleManifest.from_json(twice)
