"""What a system lacks is refused in a sentence that names it, and is in nobody's way."""

import pathlib
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).parent.parent

PROGRAM = """
    import asyncio, ctypes, logging, numpy, pathlib, sys, tempfile
    sys.platform = {system!r}
    # These modules are not built there.
    sys.modules.update(dict.fromkeys(["gmemx.pool", "gmemx.cuda", "gmemx.scan"]))
    import gmemx
    from gmemx import plugin
    from gmemx.cli import COMMANDS
    from gmemx.cli.chapters import CHAPTERS

    assert gmemx.GMemContext(42)[0] == 0.07779688409536653
    assert gmemx.full(3, 2.0).sum() == 6.0
    assert "BufferPool" not in gmemx.__all__
    assert not {{"pool", "scan"}} & {{*COMMANDS, *CHAPTERS}}
    with plugin.load({sample!r}) as sample:
        assert sample.call("echo", "[1]") == "[1]"

    def refused(what):
        try:
            what()
        except NotImplementedError as error:
            assert isinstance(error, gmemx.GmemxError)
            print(error)

    refused(lambda: gmemx.BufferPool("a", capacity=4))
    refused(lambda: gmemx.pool)
    refused(lambda: exec("from gmemx import scan"))
    refused(lambda: plugin.load({sample!r}, isolate=True))
    refused(lambda: plugin.check({sample!r}))
    refused(lambda: plugin.BundleLoader())
"""


def elsewhere(system):
    """What a program says there, as Python sees it: no library of such a system is here."""
    from gmemx import plugin

    program = textwrap.dedent(PROGRAM).format(system=system, sample=plugin.sample_library())
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_on_macos_what_rests_on_linux_is_refused():
    only = "on Linux only, and this is macOS"
    assert elsewhere("darwin") == [
        f"gmemx has shared pools {only}",
        f"gmemx has shared pools {only}",
        f"gmemx has the scanner {only}",
        f"gmemx has plugins with a process of their own {only}",
        f"gmemx has the checks of a plugin's library {only}",
    ]


def test_on_windows_bundles_are_refused_too():
    said = elsewhere("win32")
    assert said[0] == "gmemx has shared pools on Linux only, and this is Windows"
    assert said[-1] == "gmemx has bundles of plugins on Linux and macOS only, and this is Windows"
    assert len(said) == 6


def test_readme_and_docs_have_the_same_table():
    def table(name):
        text = (ROOT / name).read_text(encoding="utf-8")
        return text.partition("<!-- platforms -->\n")[2].partition("<!-- end -->")[0].strip()

    rows = table("docs/platforms.md")
    assert rows == table("README.md")
    assert rows.count("\n") == 6
    cells = [cell.strip() for row in rows.splitlines()[2:] for cell in row.split("|")[2:-1]]
    assert {*cells} <= {"tested", "compiles, untested", "not supported"}
