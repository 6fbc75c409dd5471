"""Contexts kept in files: what was flushed is there, whoever opens the file and how."""

import copy
import gc
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemx import GMemContext
from gmemx.errors import GmemxError, LockedError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cells.gmem"


def bits(context):
    """{address: bits of the value} of all written cells."""
    addresses, values = context.overlay()
    return dict(zip(addresses.tolist(), values.view(np.uint64).tolist(), strict=True))


def in_a_child(work):
    """Runs work in a forked child; what it returned, or the exception it ended with."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        try:
            result = work()
        except BaseException as error:
            result = error
        theirs.send(result)
        os._exit(0)
    theirs.close()
    result = ours.recv()
    assert os.waitpid(pid, 0)[1] == 0
    return result


# ---- opening and reopening ---------------------------------------------------


def test_cells_are_there_again_bit_for_bit(path):
    odd = np.array([0x7FF8DEADBEEF0001, 0xFFF0000000000000, 1, 1 << 63], np.uint64)
    with GMemContext.open(path, seed=42, generator="philox") as ctx:
        ctx[10:14] = odd.view(np.float64)
        ctx[2**64 - 1] = 1.5
        assert ctx.path == str(path)
        assert not ctx.read_only
        assert ctx.unflushed
    with GMemContext.open(path) as ctx:
        assert (ctx.seed, ctx.generator, ctx.overlay_count) == (42, "philox", 5)
        assert ctx[10:14].view(np.uint64).tolist() == odd.tolist()
        assert ctx[2**64 - 1] == 1.5
        assert ctx[5] == GMemContext(42, "philox")[5]
        assert not ctx.unflushed


def test_more_pages_than_are_put_in_at_once(path):
    # A file's pages are put in a million at a time, one batch while the next is read.
    n = 1_100_000
    values = np.random.default_rng(3).random(n)
    with GMemContext.open(path, seed=1) as ctx:
        ctx[5 : 5 + 64 * n : 64] = values
        ctx[7] = 0.125
    for read_only in (False, True):
        with GMemContext.open(path, read_only=read_only) as ctx:
            assert ctx.overlay_count == n + 1
            addresses, found = ctx.overlay()
            expected = np.insert(np.arange(5, 5 + 64 * n, 64, dtype=np.uint64), 1, 7)
            np.testing.assert_array_equal(addresses, expected)
            np.testing.assert_array_equal(found, np.insert(values, 1, 0.125))


def test_only_what_was_flushed_is_there(path):
    ctx = GMemContext.open(path, seed=1)
    ctx[0] = 0.5
    ctx.flush()
    ctx[1] = 0.25
    reader = GMemContext.open(path, read_only=True)
    assert bits(reader).keys() == {0}
    with pytest.warns(ResourceWarning, match="written since its last flush is lost"):
        del ctx
    with GMemContext.open(path) as ctx:
        assert bits(ctx).keys() == {0}


def test_a_context_that_was_flushed_and_not_closed_only_warns(path):
    ctx = GMemContext.open(path, seed=1)
    ctx[0] = 0.5
    ctx.flush()
    with pytest.warns(ResourceWarning, match=r"cells.gmem was not closed$"):
        del ctx


def test_closed_contexts_and_readers_warn_of_nothing(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GMemContext.open(path, seed=1).close()
        reader = GMemContext.open(path, read_only=True)
        del reader
        gc.collect()


def test_a_new_file_needs_a_seed(path):
    with pytest.raises(ValueError, match=r"cells.gmem, and to make it a seed is needed"):
        GMemContext.open(path)
    with pytest.raises(FileNotFoundError, match=r"cells\.gmem"):
        GMemContext.open(path, seed=1, create=False)
    with pytest.raises(FileNotFoundError, match=r"cells\.gmem"):
        GMemContext.open(path, seed=1, read_only=True)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        GMemContext.open(path.parent / "nowhere" / "file", seed=1)
    assert os.listdir(path.parent) == []


def test_another_seed_or_generator_is_refused(path):
    GMemContext.open(path, seed=7).close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"cells\.gmem has the seed 7, not 8"):
        GMemContext.open(path, seed=8)
    with pytest.raises(ValueError, match=r"has the generator 'vrns16', not 'philox'"):
        GMemContext.open(path, generator="philox", read_only=True)
    assert path.read_bytes() == before
    with GMemContext.open(path, seed=7, generator="vrns16") as ctx:
        assert ctx.seed == 7


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"seed": "x"}, TypeError),
        ({"seed": -1}, OverflowError),
        ({"seed": 1, "generator": "mt19937"}, ValueError),
        ({"seed": 1, "generator": 3}, TypeError),
        ({"seed": 1, "autoflush": 0}, ValueError),
        ({"seed": 1, "autoflush": float("nan")}, ValueError),
        ({"seed": 1, "autoflush": "often"}, TypeError),
        ({"seed": 1, "autoflush": 1, "read_only": True}, ValueError),
    ],
)
def test_bad_arguments_make_no_file(path, arguments, kind):
    with pytest.raises(kind):
        GMemContext.open(path, **arguments)
    assert os.listdir(path.parent) == []


def test_paths_of_every_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    strange = os.fsdecode(b"caf\xe9 \xff.gmem")
    for path in (strange, os.fsencode("plain.gmem"), tmp_path / "pathlike.gmem"):
        with GMemContext.open(path, seed=3) as ctx:
            assert os.path.samefile(ctx.path, path)
            ctx[0] = 1.0
            monkeypatch.chdir("/")
        monkeypatch.chdir(tmp_path)
        assert GMemContext.open(path, read_only=True)[0] == 1.0
    with pytest.raises(ValueError, match="NUL"):
        GMemContext.open("a\0b", seed=1)


# ---- everything that is written ---------------------------------------------

near = st.sampled_from([0, 64, 4096, 2**40, 2**63, 2**64 - 300])
step = st.one_of(
    st.tuples(st.just("run"), near, st.integers(0, 200), st.integers(1, 100)),
    st.tuples(st.just("scatter"), near, st.integers(1, 3000), st.integers(1, 60)),
    st.tuples(st.just("erase"), near, st.integers(0, 150), st.integers(1, 150)),
    st.sampled_from([("clear",), ("flush",), ("close",), ("drop",), ("compact",)]),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(step, max_size=25), salt=st.integers(0, 2**32))
def test_any_history_is_that_of_a_dict(tmp_path_factory, steps, salt):
    """Whatever is done, the file has the cells as of the last flush."""
    path = tmp_path_factory.mktemp("history") / "file"
    rng = np.random.default_rng(salt)
    ctx, now, kept = GMemContext.open(path, seed=5), {}, {}
    for kind, *rest in steps:
        if kind in ("run", "scatter"):
            start, first, n = rest
            start = min(start + (first if kind == "run" else 0), 2**64 - 1)
            n = min(n, 2**64 - start)
            values = rng.integers(0, 2**64, n, np.uint64)
            if kind == "run":
                addresses = [start + i for i in range(n)]
                ctx[start : start + n] = values.view(np.float64)
            else:
                addresses = [(start + int(i) * first) % 2**64 for i in rng.integers(0, 500, n)]
                ctx.write_many(np.array(addresses, np.uint64), values.view(np.float64))
            now.update(zip(addresses, values.tolist(), strict=True))
        elif kind == "erase":
            start, first, n = rest
            stop = min(start + first + n, 2**64)
            del ctx[start + first : stop]
            now = {at: value for at, value in now.items() if not start + first <= at < stop}
        elif kind == "clear":
            ctx.clear()
            now = {}
        elif kind in ("flush", "compact"):
            getattr(ctx, kind)()
            kept = dict(now)
        elif kind == "close":
            ctx.close()
            ctx, kept = GMemContext.open(path, seed=5), dict(now)
        elif kind == "drop":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del ctx
                ctx, now = GMemContext.open(path), dict(kept)
        assert ctx.overlay_count == len(now)
    assert bits(GMemContext.open(path, read_only=True)) == kept
    ctx.close()
    assert bits(GMemContext.open(path, read_only=True)) == now


def test_arrays_write_to_the_file(path):
    with GMemContext.open(path, seed=9) as ctx:
        array = ctx.array((100, 50))
        array[3, :] = 2.0
    with GMemContext.open(path) as ctx:
        assert (ctx.array((100, 50))[3, :].numpy() == 2.0).all()
        assert ctx.overlay_count == 50


def test_writers_while_it_flushes_lose_nothing(path):
    """Each cell is in the flush that is under way or in the next."""
    with GMemContext.open(path, seed=2) as ctx:
        enough = threading.Event()
        ends = {}

        def write(lane):
            i = 0
            while not enough.is_set():
                ctx[lane * 2**32 + i * 37] = i
                ctx[lane * 2**32 + 2**31 + i * 64 : lane * 2**32 + 2**31 + i * 64 + 40] = i
                if i % 50 == 49:
                    del ctx[lane * 2**32 + i * 37]
                i += 1
            ends[lane] = i

        lanes = [threading.Thread(target=write, args=(lane,)) for lane in range(3)]
        for lane in lanes:
            lane.start()
        for _ in range(6):
            ctx.flush()
        enough.set()
        for lane in lanes:
            lane.join()
        ctx.flush()
        assert not ctx.unflushed
        assert ctx.overlay_count == sum(i - i // 50 + i * 40 for i in ends.values())
        assert bits(GMemContext.open(path, read_only=True)) == bits(ctx)


def test_a_flush_is_one_moment(path):
    """Of two cells that one thread writes in turn, a file never has the later one alone."""
    with GMemContext.open(path, seed=2) as ctx:
        ended = threading.Event()

        def write():
            i = 0.0
            while not ended.is_set():
                i += 1.0
                ctx[0] = i
                ctx[2**40] = i

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(30):
                ctx.flush()
                reader = GMemContext.open(path, read_only=True)
                first, later = reader[0], reader[2**40]
                assert not reader.is_written(2**40) or first in (later, later + 1)
        finally:
            ended.set()
            writer.join()


def test_compact_gives_room_back(path):
    with GMemContext.open(path, seed=2) as ctx:
        ctx[0:300_000] = 1.0
        ctx.flush()
        grown = path.stat().st_size
        del ctx[64:300_000]
        saved = ctx.compact()
        assert saved > grown // 2
        assert path.stat().st_size <= grown - saved
        ctx[7] = 2.0
    assert len(bits(GMemContext.open(path, read_only=True))) == 64


# ---- several of them --------------------------------------------------------


def test_one_writer_in_one_process(path):
    with GMemContext.open(path, seed=4) as ctx:
        ctx[0] = 1.0
        with pytest.raises(BlockingIOError, match=r"cells\.gmem is open for writing") as caught:
            GMemContext.open(path)
        assert isinstance(caught.value, LockedError)
        assert isinstance(caught.value, GmemxError)
    with GMemContext.open(path) as ctx:
        assert ctx[0] == 1.0


def test_one_writer_among_processes(path):
    script = (
        "import sys; from gmemx import GMemContext\n"
        "ctx = GMemContext.open(sys.argv[1], seed=4); ctx[3] = 0.5; ctx.flush()\n"
        "print('ready', flush=True); sys.stdin.read(); ctx.close()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        text=True,
    )
    try:
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(BlockingIOError, match=r"cells\.gmem"):
            GMemContext.open(path)
        assert GMemContext.open(path, read_only=True)[3] == 0.5
    finally:
        other.communicate(timeout=60)
    assert other.returncode == 0
    GMemContext.open(path).close()


def test_readers_follow_when_they_are_told_to(path):
    with GMemContext.open(path, seed=4) as ctx:
        readers = [GMemContext.open(path, read_only=True) for _ in range(3)]
        ctx[5:105] = 1.0
        assert not any(reader.refresh() for reader in readers)
        ctx.flush()
        assert readers[0].overlay_count == 0
        assert readers[0].refresh()
        assert not readers[0].refresh()
        assert bits(readers[0]) == bits(ctx)
        assert readers[1].overlay_count == 0
        ctx.clear()
        ctx.flush()
        assert readers[0].refresh()
        assert readers[0].overlay_count == 0
        with pytest.raises(ValueError, match="only a context that reads"):
            ctx.refresh()
    with pytest.raises(ValueError, match="only a context that reads"):
        GMemContext(4).refresh()


def test_readers_beside_a_busy_writer_see_whole_flushes(path):
    """All cells of a run have one value after each flush, so a mixture would be seen."""
    with GMemContext.open(path, seed=4) as ctx:
        ctx[0:2000] = 0.0
        ctx.flush()
        ended = threading.Event()

        def write():
            i = 0.0
            while not ended.is_set():
                i += 1.0
                ctx[0:2000] = i
                ctx.flush()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen, deadline = set(), time.monotonic() + 60
            while len(seen) < 4 and time.monotonic() < deadline:
                values = np.unique(GMemContext.open(path, read_only=True)[0:2000])
                assert len(values) == 1
                seen.add(values[0])
        finally:
            ended.set()
            writer.join()
        assert len(seen) >= 4


def test_a_reader_changes_nothing(path):
    with GMemContext.open(path, seed=4) as ctx:
        ctx[0] = 1.0
    before = path.read_bytes()
    reader = GMemContext.open(path, read_only=True)
    assert reader.read_only
    assert "read_only=True" in repr(reader)

    def assign():
        reader[0] = 2.0

    def assign_run():
        reader[0:9] = 2.0

    def erase():
        del reader[0]

    for change in (
        assign,
        assign_run,
        erase,
        reader.clear,
        reader.compact,
        lambda: reader.write(0, 2.0),
        lambda: reader.write_many([0], [2.0]),
        lambda: reader.array(3).__setitem__(slice(None), 2.0),
    ):
        with pytest.raises(PermissionError, match=r"cells\.gmem cannot be changed"):
            change()
    reader.flush()
    reader.close()
    assert path.read_bytes() == before
    copy_of = GMemContext.open(path, read_only=True).fork()
    copy_of[0] = 2.0
    assert copy_of[0] == 2.0
    assert copy_of.path is None


# ---- the end ----------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
def test_after_closing_all_is_refused(path, kept):
    ctx = GMemContext.open(path, seed=4) if kept else GMemContext(4)
    array, out = ctx.array((2, 3)), np.empty(3)
    with ctx as same:
        assert same is ctx
        ctx[0] = 1.0
    ctx.close()
    assert ctx.closed
    assert "closed" in repr(ctx)
    assert ctx.seed == 4
    for use in (
        lambda: ctx[0],
        lambda: ctx[0:3],
        lambda: ctx.fetch(0),
        lambda: ctx.fetch_into(0, out),
        lambda: ctx.fetch_many([0]),
        lambda: ctx.is_written(0),
        lambda: ctx.overlay_count,
        lambda: ctx.write(0, 1.0),
        lambda: ctx.__setitem__(0, 1.0),
        lambda: ctx.__setitem__(slice(0, 3), 1.0),
        lambda: ctx.__delitem__(0),
        lambda: ctx.sum(0, 10),
        lambda: ctx.tensor(0, 3),
        lambda: pickle.dumps(ctx),
        lambda: array[0].numpy(),
        lambda: array.sum(),
        ctx.overlay,
        ctx.clear,
        ctx.fork,
        ctx.flush,
        ctx.compact,
        ctx.__enter__,
    ):
        with pytest.raises(ValueError, match="the context is closed"):
            use()


def test_copies_have_no_file(path):
    with GMemContext.open(path, seed=4) as ctx:
        ctx[0] = 1.0
        copies = [ctx.fork(), copy.copy(ctx), copy.deepcopy(ctx), pickle.loads(pickle.dumps(ctx))]
        for one in copies:
            assert one.path is None
            assert one[0] == 1.0
            one[1] = 2.0
            one.flush()
            one.close()
        assert not ctx.is_written(1)


def test_a_forked_child_leaves_the_file_alone(path):
    ctx = GMemContext.open(path, seed=4)
    ctx[0] = 1.0
    ctx.flush()

    def child():
        ctx[1] = 2.0
        assert ctx[0] == 1.0
        told = []
        for use in (ctx.flush, ctx.compact, ctx.close):
            try:
                use()
            except ValueError as error:
                told.append(str(error))
        return told

    told = in_a_child(child)
    assert len(told) == 3
    assert all("cells.gmem belongs to process" in text for text in told)

    def end_of_the_object():
        nonlocal ctx
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del ctx
            gc.collect()
        return "gone"

    assert in_a_child(end_of_the_object) == "gone"
    with pytest.raises(BlockingIOError):
        GMemContext.open(path)
    ctx[2] = 3.0
    ctx.close()
    assert bits(GMemContext.open(path, read_only=True)).keys() == {0, 2}


def test_autoflush(path):
    ctx = GMemContext.open(path, seed=4, autoflush=0.01)
    assert ctx.autoflush == 0.01
    ctx[3] = 1.0
    deadline = time.monotonic() + 60
    while ctx.unflushed and time.monotonic() < deadline:
        time.sleep(0.005)
    assert GMemContext.open(path, read_only=True)[3] == 1.0
    ctx.close()
    names = {thread.name for thread in threading.enumerate()}
    assert "gmemx autoflush" not in names
    assert GMemContext.open(path, read_only=True).autoflush is None


def test_autoflush_ends_with_its_context(path):
    ctx = GMemContext.open(path, seed=4, autoflush=0.01)
    thread = next(one for one in threading.enumerate() if one.name == "gmemx autoflush")

    def let_go():
        nonlocal ctx
        del ctx
        thread.join(60)

    # The thread may be the last to have it.
    with pytest.warns(ResourceWarning):
        let_go()
    assert not thread.is_alive()


def test_autoflush_tells_of_a_failure_once(path, caplog):
    """The child of a fork may not flush, so there it fails, again and again."""
    ctx = GMemContext.open(path, seed=4)

    def child():
        from gmemx._autoflush import Autoflush

        with caplog.at_level(logging.ERROR, "gmemx.generative"):
            Autoflush(ctx, 0.005)
            deadline = time.monotonic() + 60
            while not caplog.records and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(0.1)
        return [record.getMessage() for record in caplog.records]

    told = in_a_child(child)
    assert len(told) == 1
    assert "belongs to process" in told[0]
    ctx.close()
