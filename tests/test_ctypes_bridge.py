"""The ctypes bridge of the first version, as it was printed, runs against the shipped library.

``data/generative_memory_bridge.py`` is that text to the letter; only the line
with the library's path is replaced, at run time.
"""

import ctypes
import gc
import hashlib
from pathlib import Path

import pytest

import gmemx

BRIDGE = Path(__file__).parent / "data" / "generative_memory_bridge.py"
AS_PRINTED = "1e17fc7807af9725e72221e14b37a4f9a3f0843d0532d7652b2dd1428ac1ba79"
PATH_LINE = (
    'lib_path = os.path.join(os.path.dirname(__file__), "..", '
    '"gmem_rs", "target", "release", "gmem_rs.dll")\n'
)


@pytest.fixture(scope="module")
def bridge():
    """The names that the bridge defines."""
    text = BRIDGE.read_text(encoding="utf-8")
    assert text.count(PATH_LINE) == 1
    text = text.replace(PATH_LINE, f"lib_path = {str(gmemx.library_path())!r}\n")
    names = {"__name__": "bridge", "__file__": str(BRIDGE)}
    exec(compile(text, str(BRIDGE), "exec"), names)
    return names


def test_the_bridge_is_as_printed():
    """No formatter and no kind hand has changed it."""
    text = BRIDGE.read_bytes().replace(b"\r\n", b"\n")
    assert hashlib.sha256(text).hexdigest() == AS_PRINTED


def test_library_path_is_a_file_that_ctypes_loads():
    """The path that a bridge of one's own starts from."""
    assert Path(gmemx.library_path()).is_file()
    assert Path(gmemx.library_path()).parent == Path(gmemx.get_library_dir())
    assert ctypes.CDLL(str(gmemx.library_path())).gmem_context_new


def test_reads(bridge):
    """fetch and indexing give the golden values."""
    context = bridge["FastGMemContext"](seed=0x1337)
    assert context.fetch(0xBEEFCACE) == 0.8869011942861773
    assert context[0xBEEFCACE] == 0.8869011942861773
    assert bridge["FastGMemContext"](2**64 - 1)[2**64 - 1] == 0.8970458753468261


def test_writes(bridge):
    """write and item assignment, and the count."""
    context = bridge["FastGMemContext"](42)
    assert context.overlay_count == 0
    context.write(5, 1)
    context[2**64 - 1] = -2.5
    context[5] = 3.0
    assert (context.fetch(5), context[2**64 - 1], context.overlay_count) == (3.0, -2.5, 2)


def test_it_agrees_with_the_package(bridge):
    """The bridge's class and gmemx's, of one name, are interchangeable."""
    old, new = bridge["FastGMemContext"](99), gmemx.FastGMemContext(99)
    for address in (0, 1, 2**20, 2**40, 2**63, 2**64 - 1):
        assert old[address] == new[address]
        old[address] = new[address] = address / 3
        assert old.fetch(address) == new.fetch(address)
    assert old.overlay_count == new.overlay_count


def test_it_frees_what_it_makes(bridge):
    """__del__ runs without complaint, for thousands."""
    for seed in range(5000):
        bridge["FastGMemContext"](seed)[seed] = 1.0
    gc.collect()


def test_null_as_the_bridge_may_pass_it(bridge):
    """The functions without a status shrug NULL off."""
    library = bridge["gmem_lib"]
    assert library.gmem_fetch(None, 5) == 0.0
    assert library.gmem_write(None, 5, 1.0) is None
    assert library.gmem_overlay_count(None) == 0
    assert library.gmem_context_free(None) is None
