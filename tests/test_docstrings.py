"""Every public name tells what it takes, and shows it by an example; the examples are run."""

import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

import pytest
from arrays import HAS_ZARR

import gmemx

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gmemx"
# Not modules: the entry point of the command, and the libraries, which have a suffix of modules.
NOT_IMPORTED = {"gmemx.__main__", "gmemx._sample_plugin", "gmemx.libgmemx"}
# Nor what this Python cannot have: it says so itself, which test_dask.py looks at.
NOT_IMPORTED |= set() if HAS_ZARR else {"gmemx.zarr"}
MODULES = ["gmemx"] + [
    found.name
    for found in pkgutil.walk_packages(gmemx.__path__, "gmemx.")
    if found.name not in NOT_IMPORTED
]
# What an example would need: a device, PyTorch, a core dump, a library on the path.
WITHOUT_EXAMPLE = {
    *("BufferPool.acquire_cuda", "BufferPool.preallocate_cuda", "BufferGuard.copy_to_cuda"),
    *("Tensor.to_torch", "open_core"),
    *("NativePluginLoader.load_by_name", "NativePluginLoader.load_by_name_with_config"),
    "BundleLoader.extract_library_to_temp",
}
# What modules of gmemx use among themselves, and what zarr calls.
WITHIN = re.compile(
    r"(Distribution|Uniform|Normal|Integers|Bernoulli|Choice)\.(check|is_whole|parameters)"
    r"|\w+Info\.(of|each)|VirtualStore\.\w+"
)
# A docstring that sends the reader to another one need not say it again.
ELSEWHERE = re.compile(r"(?:\b[Aa]s(?: of)?|\b[Ss]ee|same as|, with|^) `[\w.]+`", re.MULTILINE)


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("generative", "GMemContext.fetch_many"),
        ("generative", "GMemContext.fork"),
        ("pool", "BufferPool.add_ref"),
        ("tensor", "Tensor.matmul"),
    ],
)
def test_doctest_sees_the_compiled_methods(module, name):
    tests = doctest.DocTestFinder().find(importlib.import_module(f"gmemx.{module}"))
    found = {test.name for test in tests if test.examples}
    assert f"gmemx.{module}.{name}" in found


def described():
    """Each public class, method and function, with the name that a reader knows it by."""
    sys.path.insert(0, str(ROOT / "docs" / "site"))
    try:
        reference = importlib.import_module("python_reference")
    finally:
        sys.path.pop(0)
    seen = {}
    for module in reference.modules(PACKAGE):
        if f"gmemx.{module}" in NOT_IMPORTED:
            continue
        try:
            imported = importlib.import_module(f"gmemx.{module}")
        except ImportError:
            if sys.platform == "linux":
                raise
            continue
        for name in reference.public_names(PACKAGE, module):
            thing = getattr(imported, name)
            if not (getattr(thing, "__module__", None) or "").startswith("gmemx"):
                continue
            seen.setdefault(name, thing)
            if isinstance(thing, type):
                # What it inherits is its own to a reader, unless others than gmemx tell of it.
                kin = [base for base in thing.__mro__ if base.__module__.startswith("gmemx")]
                for each in dict.fromkeys(each for base in kin for each in vars(base)):
                    member = inspect.getattr_static(thing, each)
                    member = getattr(member, "__func__", member)
                    if each[0] != "_" and callable(member) and not isinstance(member, type):
                        seen.setdefault(f"{name}.{each}", member)
    return seen


DESCRIBED = described()


def arguments(thing):
    """The names that a caller gives; none where nobody can tell."""
    try:
        names = list(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        first = (thing.__doc__ or "").partition("\n")[0]
        found = re.fullmatch(r"\w+\((.*)\)(?: -> .+)?", first)
        names = re.findall(r"(?:^|, )\*{0,2}(\w+)", found[1]) if found else []
    return [name for name in names if name not in ("self", "cls", "args", "kwargs")]


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_public_name_is_described(name):
    thing = DESCRIBED[name]
    text = inspect.getdoc(thing) or ""
    assert text, "it has no docstring"
    # Exceptions are shown by what raises them, and told of on the page about errors.
    if (isinstance(thing, type) and issubclass(thing, Exception)) or WITHIN.fullmatch(name):
        return
    elsewhere = ELSEWHERE.search(text)
    if name not in WITHOUT_EXAMPLE and not elsewhere:
        assert ">>> " in text, "it has no example"
    if not isinstance(thing, type) and arguments(thing) and not elsewhere:
        assert "Parameters\n---" in text, f"it does not tell of {arguments(thing)}"
