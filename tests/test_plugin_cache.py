"""The cache of libraries: one file for each content, this user's alone, whole or not there."""

import hashlib
import os
import stat
import subprocess
import sys
import time

import pytest
from bundles import LIBRARY, cache, digest, key, linux_only, loader, signed

from gmemx._plugin_cache import Cache
from gmemx.plugin import BundleError

pytestmark = linux_only
__all__ = ["cache"]

DIGEST = digest(LIBRARY)


def put(data=LIBRARY, name="libwords.so"):
    return Cache().put(data, hashlib.sha256(data).hexdigest(), name)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_file_lies_under_its_hash(cache):
    path = put()
    assert path == str(cache / DIGEST / "libwords.so")
    assert (cache / DIGEST / "libwords.so").read_bytes() == LIBRARY
    assert (mode(cache), mode(cache / DIGEST), mode(path)) == (0o700, 0o700, 0o500)


def test_what_is_there_is_used_again(cache):
    before = os.stat(put())
    assert os.stat(put()).st_ino == before.st_ino
    assert os.listdir(cache / DIGEST) == ["libwords.so"]


def test_other_contents_lie_elsewhere(cache):
    assert put(b"a") != put(b"b")
    assert put(b"a", "x.so") != put(b"a", "y.so")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_whatever_the_umask_is(cache, umask):
    before = os.umask(umask)
    try:
        if umask == 0o777 and os.geteuid() != 0:
            pytest.skip("only root may use a folder without permissions")
        path = put()
    finally:
        os.umask(before)
    assert mode(path) == 0o500


@pytest.mark.parametrize("how", ["changed", "cut", "empty", "longer", "link", "writable", "folder"])
def test_what_became_of_a_file_is_never_used(cache, tmp_path, how):
    path = put()
    os.chmod(path, 0o700)
    if how == "changed":
        with open(path, "r+b") as file:
            file.write(b"X")
    elif how in ("cut", "empty"):
        os.truncate(path, 100 if how == "cut" else 0)
    elif how == "longer":
        with open(path, "ab") as file:
            file.write(b"X")
    elif how == "link":
        (tmp_path / "elsewhere").write_bytes(LIBRARY)
        os.unlink(path)
        os.symlink(tmp_path / "elsewhere", path)
    elif how == "writable":
        os.chmod(path, 0o777)
    elif how == "folder":
        os.unlink(path)
        os.mkdir(path)
        with pytest.raises(BundleError, match="cannot be kept"):
            put()
        return
    assert put() == path
    with open(path, "rb") as file:
        assert file.read() == LIBRARY
    assert mode(path) == 0o500
    assert not os.path.islink(path)


@pytest.mark.parametrize("bits", [0o750, 0o755, 0o770, 0o707])
def test_a_folder_that_others_may_look_into_is_refused(cache, bits):
    cache.mkdir()
    cache.chmod(bits)
    with pytest.raises(BundleError, match="must belong to this user alone"):
        put()
    assert os.listdir(cache) == []


def test_a_folder_of_a_hash_that_others_may_write_to_is_refused(cache):
    put()
    (cache / DIGEST).chmod(0o777)
    with pytest.raises(BundleError, match="must belong to this user alone"):
        put()


def test_a_link_for_a_folder_is_refused(cache, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="GMEMX_PLUGIN_CACHE names another"):
        put()
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_file_for_a_folder_is_refused(cache):
    cache.write_bytes(b"")
    with pytest.raises(BundleError, match="GMEMX_PLUGIN_CACHE names another"):
        put()


def test_a_folder_above_that_others_can_change_is_refused(monkeypatch, tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("GMEMX_PLUGIN_CACHE", str(tmp_path / "open" / "cache"))
    with pytest.raises(BundleError, match="others can change"):
        put()
    # As in /tmp, where nobody can rename what is another's.
    (tmp_path / "open").chmod(0o1777)
    assert put()


@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root gives files away"
)
def test_a_folder_of_somebody_else_is_refused(cache):
    cache.mkdir(mode=0o700)
    os.chown(cache, 1234, 1234)
    with pytest.raises(BundleError, match="its owner is 1234"):
        put()


def test_the_usual_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("GMEMX_PLUGIN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert put().startswith(str(tmp_path / "home" / "gmemx" / "plugins"))
    # Where that cannot be, a folder for temporary files.
    (tmp_path / "home" / "gmemx" / "plugins").chmod(0o755)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert put().startswith(str(tmp_path / f"gmemx-plugins-{os.geteuid()}"))


def test_what_was_left_half_written_is_removed(cache):
    put()
    old, new = cache / DIGEST / ".new-old", cache / DIGEST / ".new-new"
    for left in (old, new):
        left.write_bytes(b"")
    os.utime(old, (time.time() - 7200,) * 2)
    os.unlink(cache / DIGEST / "libwords.so")
    put()
    assert sorted(os.listdir(cache / DIGEST)) == [".new-new", "libwords.so"]


def test_a_full_disk_leaves_nothing_behind(cache, monkeypatch):
    put(b"something else")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gmemx._plugin_cache.os.fchmod", full)
    with pytest.raises(BundleError, match="No space left on device"):
        put()
    assert os.listdir(cache / DIGEST) == []


MANY = """
import sys
from gmemx.plugin import BundleLoader
for _ in range(30):
    with BundleLoader(sys.argv[1], public_key=sys.argv[2]) as bundle:
        path = bundle.extract_library()
        with open(path, "rb") as file:
            assert len(file.read()) == int(sys.argv[3])
    if sys.argv[4] == "remove":
        import os
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
"""


def test_many_processes_at_once(cache, tmp_path):
    bundle = signed(tmp_path / "words.rbp")
    words = [str(bundle), key().public_key, str(len(LIBRARY))]
    processes = [
        subprocess.Popen([sys.executable, "-c", MANY, *words, "keep"], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in processes:
        _, text = process.communicate(timeout=120)
        assert process.returncode == 0, text.decode()
    assert os.listdir(cache / DIGEST) == ["libwords.so"]


def test_the_cache_may_be_removed_at_any_time(cache, tmp_path):
    bundle = signed(tmp_path / "words.rbp")
    words = [str(bundle), key().public_key, str(len(LIBRARY))]
    done = subprocess.run(
        [sys.executable, "-c", MANY, *words, "remove"], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    with loader(bundle) as opened:
        assert opened.extract_library().read_bytes() == LIBRARY
