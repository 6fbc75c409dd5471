"""``gmemx interactive`` with its words in a pipe, on processes started here."""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_game import SIZE, until

if sys.platform != "linux":
    pytest.skip("the scanner is for Linux", allow_module_level=True)

from gmemx import scan
from gmemx.cli.interactive_finds import WORDS


class Session:
    """``gmemx interactive --json`` with its input held open."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gmemx", "interactive", *map(str, arguments), "--json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.hello = self.read()

    def read(self):
        return json.loads(self.process.stdout.readline())

    def say(self, line):
        """What is answered by one line."""
        print(line, file=self.process.stdin, flush=True)
        return self.read()

    def many(self, line):
        """What is answered by any number of lines."""
        print(line, file=self.process.stdin)
        print("type", file=self.process.stdin, flush=True)
        answers = []
        while "types" not in (answer := self.read()):
            answers.append(answer)
        return answers

    def end(self):
        self.process.stdin.close()
        status = self.process.wait()
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return status, errors


@pytest.fixture
def session(game):
    sessions = []

    def start(*arguments, of=game):
        sessions.append(Session(of.pid, *of.only, *arguments))
        return sessions[-1]

    yield start
    for started in sessions:
        started.process.kill()
        started.process.wait()


def test_unknown_value_is_narrowed_to_one(game, session):
    game.put(400, "i", 7)
    talk = session()
    assert talk.hello["types"] == ["int32"]
    assert talk.read()["count"] == SIZE // 4
    game.put(400, "i", 9)
    assert talk.say("filter inc")["count"] == 1
    game.put(400, "i", 8)
    assert talk.say("filter dec")["count"] == 1
    (found,) = talk.many("list")
    assert int(found["address"], 16) == game.address + 400
    assert (found["now"], found["value"], found["previous"]) == (8, 8, 9)
    assert talk.say("set 1000")["written"] == 1
    assert game.get(400, "i") == 1000
    assert talk.end() == (0, "")


def test_the_words_of_filter(game, session):
    values = [10, 20, 30, 40, 50]
    game.put(0, "i", *values)
    talk = session("--no-scan")

    def left(line):
        talk.say("scan between 1 100")
        count = talk.say(line)["count"]
        found = [record["value"] for record in talk.many("list")]
        assert len(found) == count
        return found

    assert left("filter eq 30") == [30]
    assert left("filter ne 30") == [10, 20, 40, 50]
    assert left("filter lt 30") == [10, 20]
    assert left("filter le 30") == [10, 20, 30]
    assert left("filter gt 30") == [40, 50]
    assert left("filter ge 0x1e") == [30, 40, 50]
    assert left("filter between 20 40") == [20, 30, 40]

    def after(line, *now):
        game.put(0, "i", *values)
        talk.say("scan between 1 100")
        game.put(0, "i", *now)
        talk.say(line)
        return [record["value"] for record in talk.many("list")]

    now = (11, 18, 30, 50, 40)
    assert after("filter inc", *now) == [11, 50]
    assert after("filter increased", *now) == [11, 50]
    assert after("filter dec", *now) == [18, 40]
    assert after("filter changed", *now) == [11, 18, 50, 40]
    assert after("filter unchanged", *now) == [30]
    assert after("filter incby 10", *now) == [50]
    assert after("filter decby 2", *now) == [18]
    assert after("filter incby 9% 11%", *now) == [11]
    assert after("filter decby 10%", *now) == [18, 40], "by that or more"
    assert after("filter decby 5% 15%", *now) == [18]


def test_filters_against_the_first_scan_and_a_checkpoint(game, session):
    game.put(0, "i", 10, 20)
    talk = session("--value-type", "i32", "--no-scan")
    talk.say("scan between 1 100")
    game.put(0, "i", 15, 25)
    assert talk.say("checkpoint save mid") == {"saved": "mid"}
    assert talk.say("filter changed")["count"] == 2
    game.put(0, "i", 12, 30)
    assert talk.say("rescan")["count"] == 2
    assert talk.say("filter inc first")["count"] == 2
    assert talk.say("filter inc mid")["count"] == 1
    assert [record["value"] for record in talk.many("list")] == [30]
    assert talk.many("checkpoint list") == [{"checkpoint": "mid"}]
    assert talk.say("checkpoint delete mid") == {"deleted": "mid"}
    assert talk.many("checkpoint list") == []
    assert "mid" in talk.say("filter inc mid")["error"]


def test_filter_checkpoint_keeps_steady_rates(game, session):
    game.put(0, "i", 10, 10, 10)
    talk = session("--no-scan")
    talk.say("scan between 1 100")
    for name, values in (("a", (10, 10, 10)), ("b", (20, 20, 20)), ("c", (30, 60, 31))):
        game.put(0, "i", *values)
        talk.say(f"checkpoint save {name}")
    assert talk.say("filter checkpoint a b c 20%")["count"] == 2
    assert talk.say("filter checkpoint a b c 1")["count"] == 1
    assert "nowhere" in talk.say("filter checkpoint a b nowhere 1%")["error"]


def test_undo_and_history(game, session):
    game.put(0, "i", 5, 5, 6)
    talk = session("--value", 5)
    assert talk.read()["count"] == 2
    game.put(0, "i", 6)
    assert talk.say("filter eq 6")["count"] == 1
    assert [record["count"] for record in talk.many("history")] == [2, 1]
    assert talk.say("undo")["count"] == 2
    assert "error" in talk.say("undo")
    assert talk.say("filter eq 5")["count"] == 1


def test_arithmetic_on_matches_and_addresses(game, session):
    game.put(0, "i", 100, 100)
    talk = session("--value", 100)
    talk.read()
    second = f"{game.address + 4:#x}"
    for line, expected in (
        ("add 10", [110, 110]),
        (f"sub 20 {second}", [110, 90]),
        ("mul 2 #0", [220, 90]),
        (f"div 4 {game.address + 4}", [220, 22]),
        ("div -3", [-73, -7]),
        (f"set 0x7f {second}", [-73, 127]),
    ):
        assert "written" in talk.say(line), line
        assert [game.get(0, "i"), game.get(4, "i")] == expected, line
    for line, words in (
        ("div 0", "divided by 0"),
        ("set 3000000000", "3000000000"),
        ("set 2.5", "2.5"),
        ("add x", "'x' is not a number"),
        ("set 5 somewhere", "'somewhere' is not an address"),
        ("set 5 #2", "no match #2"),
        ("set 5 #x", "not the number of a match"),
        ("set 5 0x10", "0x10"),
    ):
        assert words in talk.say(line)["error"], line
    assert [game.get(0, "i"), game.get(4, "i")] == [-73, 127]


def test_freeze_and_unfreeze(game, session):
    game.put(0, "i", 100, 100)
    talk = session("--value", 100)
    talk.read()
    assert talk.say("freeze 50 #0")["frozen"] == 1
    game.put(0, "i", 77, 77)
    until(lambda: game.get(0, "i") == 50)
    assert game.get(4, "i") == 77
    (held,) = talk.many("freeze list")
    assert (held["value"], held["active"]) == (50, True)
    assert [record["frozen"] for record in talk.many("list")] == [True, False]
    assert talk.say("unfreeze #0")["unfrozen"] == 1
    assert "error" in talk.say("unfreeze #0")
    game.put(0, "i", 60)
    assert talk.say("freeze now")["frozen"] == 2
    game.put(0, "i", 1, 1)
    until(lambda: [game.get(0, "i"), game.get(4, "i")] == [60, 77])
    talk.end()
    game.put(0, "i", 2)
    time.sleep(0.05)
    assert game.get(0, "i") == 2, "what ended holds nothing"


def test_a_value_that_may_rise(game, session):
    game.put(0, "i", 100)
    talk = session("--value", 100)
    talk.read()
    talk.say("freeze now up")
    game.put(0, "i", 500)
    time.sleep(0.1)
    assert game.get(0, "i") == 500
    game.put(0, "i", 400)
    until(lambda: game.get(0, "i") > 400)


def test_labels_are_saved_and_loaded(game, session, tmp_path):
    game.put(0, "i", 100, 100)
    talk = session("--value", 100)
    talk.read()
    assert talk.say("label #1 the health")["label"] == "the health"
    path = tmp_path / "a session.scan"
    assert talk.say(f'save "{path}"') == {"saved": str(path)}
    again = session("--load", path)
    assert again.read()["count"] == 2
    assert [record["label"] for record in again.many("list")] == [None, "the health"]
    (label,) = again.many("label")
    assert (label["label"], int(label["address"], 16)) == ("the health", game.address + 4)
    game.put(4, "i", 99)
    assert again.say("filter dec")["count"] == 1
    third = session("--no-scan")
    assert third.say(f'load "{path}"')["count"] == 2
    assert "no-such-file" in third.say("load no-such-file")["error"]


def test_watch_prints_changes_and_ctrl_c_ends_it(game, session):
    game.put(0, "i", 100)
    talk = session("--value", 100)
    talk.read()
    print("watch 60", file=talk.process.stdin, flush=True)
    change = None
    for value in range(101, 400):
        game.put(0, "i", value)
        if select.select([talk.process.stdout], [], [], 0.05)[0]:
            change = talk.read()
            break
    assert 100 <= change["old"] < change["new"] <= value
    assert int(change["address"], 16) == game.address
    talk.process.send_signal(signal.SIGINT)
    answers = []
    while "changes" not in (answer := talk.read()):
        answers.append(answer)
    assert answer["changes"] == 1 + len(answers)
    assert talk.say("type") == {"types": ["int32"]}
    assert talk.end() == (0, "")


def test_pattern_text_and_regions(game, session):
    marker = os.urandom(12)
    game.put_bytes(160, marker + b"A name" + "A name".encode("utf-16-le"))
    talk = session("--no-scan")

    def found(line):
        return [int(record["address"], 16) for record in talk.many(line)]

    assert game.address + 160 in found(f"pattern {marker.hex(' ')}")
    assert game.address + 160 in found(f"pattern {marker[:6].hex()} ?? {marker[7:].hex()}")
    assert game.address + 172 in found('text "A name"')
    assert game.address + 172 in found('text "a NAME" nocase')
    assert game.address + 178 in found('text "A name" utf-16-le')
    (region,) = talk.many("regions")
    assert (region["start"], region["size"]) == (f"{game.address:#x}", SIZE)
    assert len(talk.many("regions all")) > 10
    assert "odd" in talk.say("pattern abc")["error"]


def test_type_forgets_the_matches(game, session):
    game.put(0, "d", 1.5)
    talk = session("--value", 0)
    assert talk.read()["count"] > 1000
    assert talk.say("type f64") == {"types": ["float64"]}
    assert "nothing to compare with" in talk.say("filter changed")["error"]
    assert talk.say("filter eq 1.5")["count"] == 1
    assert talk.say("filter eq 1.4 tolerance 0.2")["count"] == 1
    assert talk.say("filter eq 2 rounded 0")["count"] == 1
    assert "i31" in talk.say("type i31")["error"]
    assert talk.say("type")["types"] == ["float64"]
    assert talk.say("rescan")["count"] == 1


def test_rescan_reads_anew(game, session):
    game.put(0, "i", 100)
    talk = session("--no-scan")
    assert talk.say("rescan")["count"] == SIZE // 4, "the first time it remembers everything"
    talk.say("filter eq 100")
    game.put(0, "i", 250)
    assert talk.say("rescan")["count"] == 1
    (found,) = talk.many("list")
    assert (found["value"], found["previous"]) == (250, 100)


def test_a_line_that_cannot_be_carried_out_ends_nothing(game, session):
    talk = session("--no-scan")
    for line, words in (
        ("dance", "no word 'dance'"),
        ("filter", "filter eq"),
        ("filter about 5", "about"),
        ("filter eq", "eq V"),
        ("filter eq five", "'five' is not a number"),
        ("filter eq 5 nearly 2", "tolerance"),
        ("filter between 1", "between A B"),
        ("filter changed", "nothing to compare with"),
        ("scan about 5", "about"),
        ("checkpoint", "checkpoint save NAME"),
        ("checkpoint keep a", "checkpoint save NAME"),
        ("list 0", "too few"),
        ("list many", "many"),
        ("freeze 5", "0 matches cannot be held still"),
        ("watch", "0 matches cannot be watched"),
        ("set", "set V [ADDR]"),
        ("undo it", "undo"),
        ("regions some", "regions [all]"),
        ("help dance", "no word 'dance'"),
        ('text "open', "cannot be read"),
        ("pointers", "pointers ADDR"),
        ("quit now", "quit"),
    ):
        answer = talk.say(line)
        assert list(answer) == ["error"], line
        assert words in answer["error"], line
        assert "\n" not in answer["error"]
    game.kill()
    assert "error" in talk.say("rescan")
    status, errors = talk.end()
    assert (status, errors) == (1, ""), "a script learns that not all could be done"


def test_pointers_lead_to_an_address(game, session):
    """Python's own memory has a pointer from a module somewhere."""
    talk = session("--no-scan")
    (module,) = (
        region
        for region in talk.many("regions all")
        if region["permissions"] == "rw-p" and os.path.basename(region["name"]) == "libc.so.6"
    )
    with scan.open_process(game.pid) as process:
        # Any pointer in it that points into writable memory.
        start = int(module["start"], 16)
        words = np.frombuffer(process.read(start, module["size"]), np.uint64)
        spans = [(r.start, r.end) for r in process.regions(permissions="rw", kind="heap")]
        hits = [
            (start + 8 * i, int(word))
            for i, word in enumerate(words)
            if any(low <= word < high for low, high in spans)
        ]
    place, pointed = hits[0]
    paths = talk.many(f"pointers {pointed + 16:#x} 1 64")
    assert any(
        path["offsets"][-1] == 16 and module["name"].endswith(path["module"]) for path in paths
    ), (hex(place), paths)


def test_text_output_in_a_pipe(command, game):
    """Sentences and tables, each line once, and errors on standard error."""
    game.put(0, "i", 123454321)
    done = subprocess.run(
        [sys.executable, "-m", "gmemx", "interactive", str(game.pid), *game.only],
        input="# a comment\n\nfilter eq 123454321\nlist\ndance\nset 5\nhelp\nhelp filter\nquit\nl",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "there is no word 'dance': help lists them\n"
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{game.name} ({game.pid}): 65.5 kB in 1 regions")
    assert lines[1] == f"{SIZE // 4:,} matches"
    assert lines[2] == f"1 match of {SIZE // 4:,}"
    (row,) = (line.split() for line in lines if "0x" in line and "123454321" in line)
    assert row[:4] == ["0", f"{game.address:#x}", "123454321", "123454321"]
    assert "1 written" in lines
    for word in WORDS:
        assert any(line.strip().startswith(word) for line in lines), word
    assert any(line.startswith("filter incby|decby N   ") for line in lines)


def test_many_matches_are_listed_in_part(command, game):
    run = [sys.executable, "-m", "gmemx", "interactive", str(game.pid), *game.only, "--value", "0"]
    done = subprocess.run(run, input="list 3\nlist", capture_output=True, text=True)
    assert done.returncode == 0
    assert f"and {SIZE // 4 - 3:,} more: list N, list all" in done.stdout
    assert f"and {SIZE // 4 - 20:,} more: list N, list all" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["no-such-process"], 1, "no process is called"),
        (["{pid}", "--value-type", "i31"], 1, "i31"),
        (["{pid}", "--alignment", "3"], 1, "3"),
        (["{pid}", "--value", "1", "--no-scan"], 2, "not allowed with"),
        (["--file", "{file}", "--stop"], 1, "--stop is for processes"),
    ],
)
def test_bad_beginnings_get_a_sentence(command, game, tmp_path, arguments, status, words):
    (tmp_path / "file").write_bytes(bytes(100))
    done = command("interactive", *(word.format(pid=game.pid, file="file") for word in arguments))
    assert done.returncode == status, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_is_scanned_too(tmp_path, command):
    (tmp_path / "file").write_bytes(struct.pack("=4i", 1, 2, 3, 123454321))
    done = subprocess.run(
        [sys.executable, "-m", "gmemx", "interactive", "--file", "file", "--json"],
        cwd=tmp_path,
        input="filter eq 123454321\nlist\nset 5\n",
        capture_output=True,
        text=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[1]["count"] == 4
    assert int(answers[3]["address"], 16) == 12
    assert "error" in answers[4]
    assert done.returncode == 1
