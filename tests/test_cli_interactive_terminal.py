"""``gmemx interactive`` on a terminal; and its engine, without a process."""

from __future__ import annotations

import io
import os
import re
import select
import struct
import subprocess
import sys
import time

import pytest
from cli_game import SIZE

if sys.platform != "linux":
    pytest.skip("the scanner is for Linux", allow_module_level=True)

import pty

from gmemx import scan
from gmemx.cli.interactive_engine import Engine
from gmemx.cli.interactive_finds import WORDS
from gmemx.cli.output import Output

# ---- on a terminal --------------------------------------------------------------


class Terminal:
    """``gmemx interactive`` at the other end of a pseudo-terminal."""

    def __init__(self, folder, *arguments):
        environment = os.environ | {
            "XDG_STATE_HOME": str(folder),
            "TERM": "xterm",
            "COLUMNS": "100",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }
        self._here, there = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gmemx", "interactive", *map(str, arguments)],
            stdin=there,
            stdout=there,
            stderr=there,
            env=environment,
            start_new_session=True,
        )
        os.close(there)
        self.seen = ""

    def send(self, keys):
        self.seen = ""
        os.write(self._here, keys.encode())

    def wait(self, pattern):
        """Read until something is seen, without the codes that move the cursor."""
        end = time.monotonic() + 60
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self._here], [], [], max(0, end - time.monotonic()))
            assert ready, f"{pattern!r} in {self.seen!r}"
            try:
                text = os.read(self._here, 65536).decode()
            except OSError:
                raise AssertionError(f"it ended before {pattern!r}: {self.seen!r}") from None
            self.seen += re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>])", "", text)
        return self.seen

    def end(self):
        status = self.process.wait(30)
        os.close(self._here)
        return status


@pytest.fixture
def terminal(game, tmp_path):
    terminals = []

    def start(*arguments):
        terminals.append(Terminal(tmp_path, game.pid, *game.only, *arguments))
        return terminals[-1]

    yield start
    for started in terminals:
        started.process.kill()
        started.process.wait()


def test_tab_completes_and_ctrl_d_quits(game, terminal):
    game.put(0, "i", 123454321)
    screen = terminal()
    screen.wait(rf"int32 {SIZE // 4:,}>")
    screen.send("filt\teq 123454321\r")
    screen.wait(r"1 match of 16,384\s+int32 1>")
    screen.send("li\t\r")
    assert f"{game.address:#x}" in screen.wait(r"int32 1>\s*$")
    screen.send("filter unch\t\r")
    screen.wait(r"filter unchanged\s+1 match\s+int32 1>")
    screen.send("\x04")
    assert screen.end() == 0


def test_history_lasts_and_ctrl_c_clears_the_line(terminal, tmp_path):
    screen = terminal("--no-scan")
    screen.wait("int32 0>")
    screen.send("type f32\r")
    screen.wait("float32\\s+float32 0>")
    screen.send("type i8\x03")
    screen.wait("type i8.*\\s+float32 0>")
    screen.send("dance\r")
    screen.wait("there is no word 'dance': help lists them\\s+float32 0>")
    screen.send("quit\r")
    assert screen.end() == 0, "on a terminal a mistake is no failure"

    again = terminal("--no-scan")
    again.wait("int32 0>")
    again.send("\x1b[A\x1b[A\x1b[A\r")
    again.wait("float32\\s+float32 0>")
    again.send("\x04")
    assert again.end() == 0
    assert (tmp_path / "gmemx" / "interactive_history").stat().st_mode & 0o077 == 0


def test_without_a_prompt_library(game, tmp_path):
    """One sentence, before anything is scanned."""
    here, there = pty.openpty()
    source = (
        "import sys; sys.modules['prompt_toolkit'] = None; from gmemx.cli import main; "
        f"sys.exit(main(['interactive', '{game.pid}']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        stdin=there,
        stdout=there,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(there)
    os.close(here)
    assert done.returncode == 1
    assert done.stderr == "gmemx interactive needs prompt_toolkit: pip install 'gmemx[cli]'\n"


# ---- the engine, without a process ----------------------------------------------


@pytest.fixture
def engine():
    memory = bytearray(struct.pack("=6i", 10, 20, 30, 40, 50, 60))
    with scan.open_buffer(memory, address=0x1000) as source:
        regions = source.regions()
        out, err = io.StringIO(), io.StringIO()
        made = Engine(
            source,
            regions,
            source.scanner("int32", regions),
            Output(as_json=False, out=out, err=err),
            WORDS,
        )
        made.memory, made.said, made.complained = memory, out, err
        yield made
        made.close()


def test_completions(engine):
    assert engine.completions("fi") == ["filter"]
    assert engine.completions("un") == ["undo", "unfreeze"]
    assert set(engine.completions("")) == set(WORDS)
    assert engine.completions("filter i") == ["inc", "increased", "incby"]
    assert engine.completions("f ch") == ["changed", "checkpoint"]
    assert engine.completions("type f") == ["f32", "f64", "floats"]
    assert engine.completions("help und") == ["undo"]
    assert engine.completions("dance ") == []
    engine.execute("scan")
    engine.execute("checkpoint save before")
    assert engine.completions("filter inc ") == ["first", "before"]
    assert engine.completions("filter checkpoint b") == ["before"]
    assert engine.completions("checkpoint delete ") == ["before"]
    assert engine.completions("checkpoint ") == ["save", "list", "delete"]
    assert engine.completions("set 5 #") == [f"#{i}" for i in range(6)]
    assert engine.completions("filter eq 5 t") == ["tolerance"]


def test_short_words(engine):
    for line in ("scan", "f gt 30", "l", "s 7", "h", "q"):
        assert engine.execute(line), engine.complained.getvalue()
    assert struct.unpack("=6i", engine.memory) == (10, 20, 30, 7, 7, 7)
    assert not engine.open


def test_ctrl_c_in_a_scan_changes_nothing(engine, monkeypatch):
    engine.execute("scan between 20 40")

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    class Interrupted:
        skipped, types = (), ("int32",)
        filter_eq = interrupted

        def __len__(self):
            return 3

    monkeypatch.setattr(engine, "scanner", Interrupted())
    assert not engine.execute("filter eq 20")
    assert engine.complained.getvalue() == "interrupted: the matches are as they were\n"
    monkeypatch.undo()
    assert engine.execute("filter eq 20")
    assert engine.said.getvalue().endswith("1 match of 3\n")


def test_several_types_are_listed_with_their_names(engine):
    engine.execute("type ints")
    engine.execute("scan eq 30")
    engine.execute("list")
    said = engine.said.getvalue()
    for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32"):
        assert f" {name} " in said
    assert " int64 " not in said, "its address is no multiple of 8"
