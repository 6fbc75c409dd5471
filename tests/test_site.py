"""The pages of the documentation, and those that are made, hold what they are said to hold."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from arrays import HAS_ZARR

import gmemx
from gmemx import _failures, errors

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
DATA = ROOT / "tests" / "data"
PACKAGE = ROOT / "gmemx"
HEADER = (ROOT / "include" / "gmemx.h").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site():
    """The modules that make pages, which are no package."""
    sys.path.insert(0, str(DOCS / "site"))
    try:
        names = ("c_manual", "cython_api", "python_reference", "stage")
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.pop(0)


def rows(text):
    """The cells of all lines of tables, without heads and rules."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    for table in tables:
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def found(name):
    """What a dotted name stands for."""
    thing = gmemx
    for part in name.split(".")[1:]:
        thing = getattr(thing, part)
    return thing


# ---- From the five seeds ------------------------------------------------------


# What the seeds list in words; the tests of each run them.
IN_WORDS = """
    acquire_cpu acquire_cuda preallocate_cpu preallocate_cuda get get_mut set_ref_count add_ref
    release ref_count meta_index is_valid cpu_ptr cpu_ptr_mut cuda_ptr cuda_ptr_mut size forget
    open_process find_process_by_name query_system_info get_process_module_regions
    parse_hex_pattern read_process_memory write_process_memory create_interactive_scanner
    initial_scan filter_eq filter_increased set_value
"""
SEEDS = (DOCS / "seeds.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(gmemx(?:\.\w+)+)`", SEEDS))))
def test_every_name_that_replaces_another_is_there(name):
    if sys.platform != "linux" and re.match(r"gmemx\.(scan|plugin|Buffer)", name):
        pytest.skip("for Linux")
    assert found(name) is not None


def test_every_call_of_the_seeds_is_mapped():
    """What the programs of the seeds, as the tests have them, call or import."""
    text = "\n".join(row[0] for row in rows(SEEDS))
    bridge = (DATA / "generative_memory_bridge.py").read_text(encoding="utf-8")
    calls = set(re.findall(r"\bgmem_lib\.(gmem_\w+)", bridge))
    assert len(calls) == 5
    plugins = (DATA / "native_plugins.md").read_text(encoding="utf-8")
    for names in re.findall(r"from rustbridge\.\w+ import (.+)", plugins):
        calls |= {name.strip() for name in names.split(",")}
    calls |= set(re.findall(r"\bplugin\.(\w+)", plugins))
    calls |= set(IN_WORDS.split())
    missing = {name for name in calls if not re.search(rf"\b{name}\b", text)}
    assert not missing


# ---- Errors -------------------------------------------------------------------


ERRORS = (DOCS / "errors.md").read_text(encoding="utf-8")
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.GmemxError)
}


def test_every_status_has_its_row():
    """Against the header's enum, and what the code makes of each number."""
    declared = dict(re.findall(r"^  (GMEM_STATUS_\w+) = (\d+),$", HEADER, re.MULTILINE))
    told = {row[0].strip("`"): row for row in rows(ERRORS) if row[0].startswith("`GMEM_STATUS")}
    assert {name: row[1] for name, row in told.items()} == declared
    for _, number, kind, builtin, advice in told.values():
        if number == "0":
            continue
        error = _failures.from_status(int(number), "text")
        assert type(error) is CLASSES[kind.strip("`")]
        assert isinstance(error, found_builtin(builtin))
        assert advice


def found_builtin(name):
    import builtins

    return getattr(builtins, name)


def test_every_exception_is_told_of_with_its_other_class():
    told = set()
    for row in rows(ERRORS):
        for at, cell in enumerate(row):
            name = cell.strip("`")
            if name in CLASSES:
                told.add(name)
                builtin = row[at + 1]
                assert not builtin or issubclass(CLASSES[name], found_builtin(builtin)), name
    assert told | {"GmemxError", "PoolError"} == set(CLASSES)


def test_the_codes_of_plugins():
    codes = {row[0]: row[1] for row in rows(ERRORS) if row[0].isdigit()}
    assert len(codes) == 13
    for code, name in codes.items():
        assert type(_failures.plugin_error(int(code), "text")).__name__ == name.strip("`")


# ---- what is made of sources --------------------------------------------------


def test_the_c_manual_has_every_function_and_type(site):
    text = site["c_manual"].manual(HEADER)
    functions = set(re.findall(r"^[a-z].*?\b(gmem_\w+)\(", HEADER, re.MULTILINE))
    types = set(re.findall(r"^(?:typedef struct|\}) (gmem_\w+)", HEADER, re.MULTILINE))
    types |= set(re.findall(r"^enum (gmem_\w+)", HEADER, re.MULTILINE))
    assert len(functions) > 150
    shown = set(re.findall(r"^### `(\w+)`$", text, re.MULTILINE))
    assert shown == functions | types
    code = "\n".join(re.findall(r"```c\n(.*?)```", text, re.DOTALL))
    for line in HEADER.splitlines():
        # Each line of each declaration is there, but for comments and the preprocessor.
        if re.match(r"( +\w.*|gmem_\w+ gmem.*)[,;]$", line) and not line.startswith("  : "):
            assert line in code


def test_a_comment_is_its_own_declarations(site):
    header = """\
// One.
//
// Errors: none.
int a(void);

// Two of a kind.
int b(void);
int c(void);

int d(void);

/* In a block,
 * of lines. */
static inline int e(int x) { return '{' + x; }
"""
    entries = list(site["c_manual"].entries(header))
    assert [(entry.name, entry.comment) for entry in entries] == [
        ("a", "One.\n\nErrors: none."),
        ("b", "Two of a kind."),
        ("d", ""),
        ("e", "In a block,\nof lines."),
    ]
    assert entries[1].code == "int b(void);\nint c(void);"
    assert entries[3].code == "static inline int e(int x);"
    assert site["c_manual"].prose(entries[0].comment) == "One.\n\n**Errors:** none."


def test_the_plugin_header_has_every_export(site):
    header = (ROOT / "include" / "gmemx_plugin.h").read_text(encoding="utf-8")
    text = site["c_manual"].plugin_manual(header)
    exports = re.findall(r"^GMEMX_PLUGIN_EXPORT .*?\b(plugin_\w+|rb_\w+)\(", header, re.MULTILINE)
    assert len(exports) == 11
    for name in exports:
        assert f"{name}(" in text


def test_the_cython_page_has_every_declaration(site):
    text = site["cython_api"].page(PACKAGE)
    public = [path for path in PACKAGE.glob("*.pxd") if path.stem[0] != "_"]
    for path in public:
        if path.stem == "libgmemx":
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if re.match(r"\s*cdef .*\(", line):
                assert line.strip() in text, (path.name, line)


def test_public_names_are_there(site):
    """The reference tells of what can be imported, and of all that `gmemx` itself gives."""
    reference = site["python_reference"]
    names = set()
    for module in reference.modules(PACKAGE):
        if module == "zarr" and not HAS_ZARR:
            continue
        imported = importlib.import_module(f"gmemx.{module}")
        for name in reference.public_names(PACKAGE, module):
            assert hasattr(imported, name), (module, name)
            names.add(name)
    handed_on = {name for name in gmemx.__all__ if callable(getattr(gmemx, name))}
    own = handed_on - names - {"FastGMemContext"}
    assert "info" in own
    for name in own:
        assert f"autofunction:: gmemx.{name}\n" in reference.package_page(PACKAGE)


def test_every_page_is_in_one_list(site):
    index = site["stage"].with_all_pages((DOCS / "index.md").read_text(encoding="utf-8"))
    lists = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    named = [line for text in lists for line in text.split("\n") if line and line[0] != ":"]
    assert len(named) == len(set(named))
    made = {"reference/index", "benchmarks", "contributing", "architecture", "changelog"}
    assert set(named) == made | {path.stem for path in DOCS.glob("*.md")} - {"index"}


def test_links_lead_to_pages_or_copies(site, tmp_path):
    text = (
        "[a](pool.md#waiting) [b](../include/gmemx.h) [c](../examples/pool.py) "
        "[d](../tests/interop) [e](https://example.org) [f](../benchmarks/README.md#results)"
    )
    turned = site["stage"].linked(text, DOCS, "scan.md", tmp_path)
    assert turned == (
        "[a](pool.md#waiting) [b](reference/c.md) [c](files/examples/pool.py) "
        "`d` [e](https://example.org) [f](benchmarks.md#results)"
    )
    copy = tmp_path / "files" / "examples" / "pool.py"
    assert copy.read_bytes() == (ROOT / "examples" / "pool.py").read_bytes()


# ---- without a network --------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        ('<a href="https://example.org">a link may lead anywhere</a>', None),
        ('<script src="here.js"></script><link rel="next" href="missing.html">', None),
        ('<script src="https://cdn.example.org/x.js"></script>', "cdn.example.org"),
        ('<link rel="stylesheet" href="//fonts.example.org/a.css">', "fonts.example.org"),
        ('<img src="http://example.org/x.png">', "example.org/x.png"),
        ("<style>@import url(https://example.org/a.css);</style>", "example.org/a.css"),
        ('<script src="gone.js?v=1"></script>', "gone.js"),
    ],
)
def test_what_a_page_loads(tmp_path, html, complaint):
    """ci/offline.py, which `make docs` ends with."""
    (tmp_path / "page.html").write_text(html)
    (tmp_path / "here.js").touch()
    command = [sys.executable, ROOT / "ci" / "offline.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == (complaint is not None)
    assert (complaint or "") in done.stderr
