"""ci/abi.py finds whatever an extension or a C program compiled earlier would stumble over."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

spec = importlib.util.spec_from_file_location("abi", ROOT / "ci" / "abi.py")
abi = importlib.util.module_from_spec(spec)
spec.loader.exec_module(abi)


@pytest.fixture
def changed(tmp_path):
    """Changes a copy of the record, one file and one place in it; what is said of that."""
    shutil.copytree(abi.RECORD, tmp_path / "now")

    def change(file, before, after):
        path = tmp_path / "now" / file
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, before
        path.write_text(text.replace(before, after), encoding="utf-8")
        return abi.compare(abi.RECORD, tmp_path / "now")

    return change


def test_nothing_was_taken_away_since_the_last_release():
    assert abi.compare(abi.RECORD, ROOT) == []


def test_everything_is_recorded():
    """The parser knows each function and each struct, and every public class."""
    header = (abi.RECORD / "include" / "gmemx.h").read_text(encoding="utf-8")
    found = abi.c_interface(header)
    code = re.sub(r"//[^\n]*", "", header)
    assert set(found["functions"]) == set(re.findall(r"\b(gmem_\w+)\s*\(", code))
    assert set(found["structs"]) == set(re.findall(r"^\} (\w+);", code, re.MULTILINE))
    constants = {name for enum in found["enums"] for name in enum}
    assert constants == set(re.findall(r"\b(GMEM_[A-Z]\w+) = ", code))
    for name, classes in {
        "generative": {"GMemContext"},
        "array": {"VirtualArray"},
        "tensor": {"Tensor"},
        "pool": {"BufferPool", "BufferGuard"},
        "_scan_source": {"Source", "Process"},
        "plugin": {"NativePlugin"},
    }.items():
        text = (abi.RECORD / "gmemx" / f"{name}.pxd").read_text(encoding="utf-8")
        recorded = abi.cython_interface(text)["classes"]
        assert set(recorded) == classes
        assert all(recorded[cls]["fields"] or recorded[cls]["base"] for cls in classes)
        assert all(recorded[cls]["methods"] or recorded[cls]["base"] for cls in classes)


TENSOR, HEADER = "gmemx/tensor.pxd", "include/gmemx.h"
LAST_METHOD = "    cdef int writable(self) except -1\n"
NDIM = "    cdef int c_ndim(self) noexcept nogil\n"
DATA = "    cdef char* c_data(self) noexcept nogil\n"
KEEPER = "    cdef object keeper\n"


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        (TENSOR, LAST_METHOD, LAST_METHOD + "    cdef int more(self) except -1\n"),
        (
            TENSOR,
            "    cdef object __weakref__\n",
            "    cdef object __weakref__\n    cdef int more\n",
        ),
        (TENSOR, "# A new tensor with", "cdef int more()\n# A new tensor with"),
        (
            HEADER,
            "gmem_status gmem_abi_check(",
            "int32_t gmem_more(void);\ngmem_status gmem_abi_check(",
        ),
        (HEADER, "GMEM_STATUS_PLUGIN = 16,", "GMEM_STATUS_PLUGIN = 16,\n  GMEM_STATUS_MORE = 17,"),
        (HEADER, "gmem_abi_check(uint32_t built_for)", "gmem_abi_check(uint32_t abi)"),
        (HEADER, "enum gmem_status\n", "/* a comment */ enum gmem_status\n"),
    ],
)
def test_additions_pass(changed, file, before, after):
    """At the end of a class; of functions and numbers anywhere; and names of parameters."""
    assert changed(file, before, after) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "named"),
    [
        (TENSOR, DATA + NDIM, NDIM + DATA, ["method 1 of Tensor", "c_data", "c_ndim"]),
        (TENSOR, NDIM, "", ["method 2 of Tensor", "c_ndim"]),
        (TENSOR, NDIM, NDIM.replace("int", "long"), ["method 2", "long c_ndim"]),
        (TENSOR, NDIM, NDIM.replace(" nogil", ""), ["method 2", "c_ndim(self) noexcept`"]),
        (TENSOR, NDIM, "    cdef int more(self)\n" + NDIM, ["method 2", "more(self)"]),
        (TENSOR, LAST_METHOD, "", ["method 14 of Tensor", "is gone"]),
        (TENSOR, KEEPER, "    cdef int more\n" + KEEPER, ["field 10 of Tensor", "more"]),
        (TENSOR, "bint zeroed)", "bint zeroed, int more)", ["tensor_new", "int more"]),
        (TENSOR, "cdef class Tensor:", "cdef class Matrix:", ["class Tensor was removed"]),
        ("gmemx/scan.pxd", "cimport Process, Source", "cimport Source", ["Process", "cimported"]),
        (HEADER, "_NOT_FOUND = 6,", "_NOT_FOUND = 60,", ["GMEM_STATUS_NOT_FOUND was 6", "60"]),
        (HEADER, "  GMEM_STATUS_IO = 9,\n", "", ["GMEM_STATUS_IO = 9 was removed"]),
        (HEADER, "_PLUGIN = 16,", "_PLUGIN = 16,\n  GMEM_STATUS_X = 9,", ["X = 9", "STATUS_IO"]),
        (HEADER, "gmem_abi_check(uint32_t", "gmem_abi_check(uint64_t", ["gmem_abi_check", "64_t"]),
        (HEADER, "uint32_t gmem_abi_version(void);", "", ["gmem_abi_version was removed"]),
        (HEADER, "  double a;\n", "  double a;\n  double more;\n", ["gmem_distribution", "more"]),
        ("include/gmemx_plugin.h", "_FFI = 12,", "_FFI = 14,", ["GMEMX_PLUGIN_FFI was 12"]),
    ],
)
def test_everything_else_is_named(changed, file, before, after, named):
    """One sentence, which names the file and the thing."""
    (sentence,) = changed(file, before, after)
    assert sentence.startswith(Path(file).name + ": ")
    assert [word for word in named if word not in sentence] == []


def test_a_raised_abi_lifts_the_rules_for_c_alone(changed):
    changed(HEADER, "GMEM_STATUS_NOT_FOUND = 6,", "GMEM_STATUS_NOT_FOUND = 60,")
    assert changed(HEADER, "GMEM_ABI_VERSION = 1,", "GMEM_ABI_VERSION = 2,") == []
    (sentence,) = changed(TENSOR, NDIM, "")
    assert "c_ndim" in sentence
