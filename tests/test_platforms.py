"""What is for Linux is missing elsewhere, says why, and is in nobody's way."""

import subprocess
import sys
import textwrap

PROGRAM = """
    import sys
    sys.platform = "darwin"
    import gmemx
    from gmemx.cli import COMMANDS
    from gmemx.cli.chapters import CHAPTERS

    assert gmemx.GMemContext(42)[0] == 0.07779688409536653
    assert not hasattr(gmemx, "BufferPool") and "BufferPool" not in gmemx.__all__
    for kind in ("pool", "scan", "plugin"):
        assert kind not in COMMANDS and kind not in CHAPTERS
        assert not [name for name in sys.modules if name.startswith(f"gmemx.{kind}")]
    for name in ("BufferPool", "scan", "plugin", "nonsense"):
        try:
            getattr(gmemx, name)
        except AttributeError as error:
            print(error)
"""


def test_elsewhere_there_is_less():
    """As Python sees it: the library of such a system was not built here."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(PROGRAM)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "module 'gmemx' has no attribute 'BufferPool': shared pools are for Linux",
        "module 'gmemx' has no attribute 'scan': the scanner is for Linux",
        "module 'gmemx' has no attribute 'plugin': plugins are for Linux",
        "module 'gmemx' has no attribute 'nonsense'",
    ], done.stderr
