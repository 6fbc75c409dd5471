"""Written cells go to Parquet and NPZ and come back bit for bit; so does the original's log."""

import os
import random
import resource
import signal
import struct

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmemx import GMemContext

KINDS = ["npz", "parquet"]


def bits(context):
    addresses, values = context.overlay()
    return dict(zip(addresses.tolist(), values.view(np.uint64).tolist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20, deadline=None)
@given(cells=st.dictionaries(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), max_size=50))
def test_there_and_back(tmp_path_factory, kind, cells):
    path = tmp_path_factory.mktemp("exchange") / f"cells.{kind}"
    ctx = GMemContext(2**64 - 1, "philox")
    for address, value in cells.items():
        ctx.write_many([address], np.array([value], np.uint64).view(np.float64))
    assert ctx.export(path) == len(cells)
    found = GMemContext(2**64 - 1, "philox")
    found[3] = 1.0
    assert found.import_(path).cells == len(cells)
    del found[3 : 3 if 3 in cells else 4]
    assert bits(found) == cells
    assert os.listdir(path.parent) == [path.name]


def test_others_read_it(tmp_path):
    ctx = GMemContext(42)
    ctx[5:8] = [1.0, 2.0, 3.0]
    ctx.export(tmp_path / "cells.npz")
    with np.load(tmp_path / "cells.npz", allow_pickle=False) as arrays:
        assert arrays["address"].tolist() == [5, 6, 7]
        assert arrays["value"].tolist() == [1.0, 2.0, 3.0]
        assert (int(arrays["seed"]), str(arrays["generator"])) == (42, "vrns16")
    ctx.export(tmp_path / "cells.anything", format="parquet")
    table = pyarrow.parquet.read_table(tmp_path / "cells.anything")
    assert table.column("address").to_pylist() == [5, 6, 7]
    assert table.schema.metadata == {b"gmemx.seed": b"42", b"gmemx.generator": b"vrns16"}


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_or_generator_is_refused(tmp_path, kind):
    path = tmp_path / f"cells.{kind}"
    ctx = GMemContext(42)
    ctx[0] = 1.0
    ctx.export(path)
    for other, text in (
        (GMemContext(1), f"cells.{kind} has the seed 42, not 1"),
        (GMemContext(42, "philox"), "has the generator 'vrns16', not 'philox'"),
    ):
        with pytest.raises(ValueError, match=text):
            other.import_(path)
        assert other.overlay_count == 0


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_right(tmp_path, kind):
    path, rng = tmp_path / f"cells.{kind}", random.Random(2)
    ctx = GMemContext(42)
    ctx[0:500] = np.random.default_rng(1).random(500)
    ctx.export(path)
    whole, wanted, told = path.read_bytes(), bits(ctx), []
    for number in range(60):
        damaged = bytearray(whole)
        if number % 3 == 0:
            del damaged[rng.randrange(len(whole)) :]
        else:
            damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        found = GMemContext(42)
        try:
            found.import_(path)
            assert bits(found) == wanted
        except ValueError as error:
            told.append(str(error))
        assert found.overlay_count in (0, 500)
    assert len(told) > 20
    assert all(path.name in text for text in told)


@pytest.mark.parametrize("kind", KINDS)
def test_other_files_are_refused(tmp_path, kind):
    path = tmp_path / f"cells.{kind}"
    for content in (b"", b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"cells.{kind} is damaged, or no {kind} file"):
            GMemContext(1).import_(path)


def test_archives_of_something_else_are_refused(tmp_path):
    path = tmp_path / "cells.npz"
    np.save(tmp_path / "cells.npy", np.zeros(3))
    with pytest.raises(ValueError, match="it has one array only"):
        GMemContext(1).import_(tmp_path / "cells.npy", format="npz")
    np.savez(path, address=np.zeros(3), value=np.zeros(3), seed=1, generator="vrns16")
    with pytest.raises(ValueError, match="addresses and values are float64 and float64"):
        GMemContext(1).import_(path)
    np.savez(path, value=np.zeros(3))
    with pytest.raises(ValueError, match=r"cells\.npz .*it has no .*address"):
        GMemContext(1).import_(path)


def test_names_and_formats(tmp_path):
    ctx = GMemContext(1)
    with pytest.raises(ValueError, match=r"cells should end in .parquet or .npz"):
        ctx.export(tmp_path / "cells")
    with pytest.raises(ValueError, match="format must be 'parquet' or 'npz', not 'log'"):
        ctx.export(tmp_path / "cells.npz", format="log")
    with pytest.raises(ValueError, match=r"should end in .parquet or .npz or .log"):
        ctx.import_(tmp_path / "cells")
    with pytest.raises(FileNotFoundError, match=r"cells\.npz cannot be read"):
        ctx.import_(tmp_path / "cells.npz")
    with pytest.raises(FileNotFoundError, match=r"cells\.npz cannot be written"):
        ctx.export(tmp_path / "nowhere" / "cells.npz")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_what_was_there(tmp_path, kind):
    path = tmp_path / f"cells.{kind}"
    ctx = GMemContext(1)
    ctx[0] = 1.0
    ctx.export(path)
    before = path.read_bytes()
    ctx[0:50_000] = np.random.default_rng(1).random(50_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=f"cells.{kind} cannot be written"):
            ctx.export(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@settings(max_examples=40, deadline=None)
@given(
    records=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=40),
    torn=st.binary(max_size=15),
)
def test_the_original_s_log(tmp_path_factory, records, torn):
    """16 bytes a record; of one address the last record counts; a torn end is dropped."""
    path = tmp_path_factory.mktemp("log") / "cells.log"
    path.write_bytes(b"".join(struct.pack("<QQ", *record) for record in records) + torn)
    ctx = GMemContext(42)
    imported = ctx.import_(path)
    assert (imported.cells, imported.dropped_bytes) == (len(records), len(torn))
    assert bits(ctx) == dict(records)


def test_an_imported_log_is_kept(tmp_path):
    (tmp_path / "old.log").write_bytes(struct.pack("<Qd", 3, 0.5) + b"1234567")
    with GMemContext.open(tmp_path / "new.gmem", seed=42) as ctx:
        assert ctx.import_(tmp_path / "old.log").dropped_bytes == 7
    with GMemContext.open(tmp_path / "new.gmem") as ctx:
        assert ctx[3] == 0.5
