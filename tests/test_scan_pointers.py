"""Paths of pointers lead from a module to a value, in the next run of the program too."""

import json

import numpy as np
import pytest
import scans
from scans import MIB, PAGE, Target, linux_only

from gmemx import errors, scan

pytestmark = linux_only


def chained(target, value):
    """The address of the first pointer, and that of the value that a chain leads to."""
    return target.ask("chain", value)


def modules(process):
    return process.regions(module=scans.target_program().name)


def test_the_chain_is_found_and_holds_in_other_runs(tmp_path):
    """module+offset -> +8 -> +8 -> +16, resolved after a restart, where all addresses differ."""
    saved = tmp_path / "paths"
    with Target() as target, scan.open_process(target.pid) as process:
        root, address = chained(target, 0x1234_5678_9ABC)
        with process.pointers() as pointers:
            paths = pointers.paths(address, depth=4, max_offset=64)
        known = [path for path in paths if path.offsets == (8, 8, 16)]
        assert known
        base = min(region.start for region in modules(process))
        (path,) = [path for path in known if path.offset == root - base]
        assert path.module == str(scans.target_program())
        assert path.resolve(process) == address
        assert process.read_value(path.resolve(process), "u64") == 0x1234_5678_9ABC
        paths.save(saved)
        first_address = address
    paths = scan.PointerPaths.load(saved)
    assert path in paths
    assert paths.target == first_address
    for value in (5, 6):
        with Target() as target, scan.open_process(target.pid) as process:
            root, address = chained(target, value)
            assert path.resolve(process) == address
            assert process.read_value(path.resolve(process), "u64") == value
            ends, there = paths.resolve(process)
            assert ends.dtype == np.uint64
            assert there.dtype == bool
            assert ends[list(paths).index(path)] == address
            held = paths.leading_to(process, address)
            assert path in held
            assert len(held) <= len(paths)
            found = process.pointers().paths(address, depth=4, max_offset=64)
            both = paths & found
            assert path in both
            assert set(both) == set(paths) & set(found)
            paths = both


def naive_paths(memory, module, target, depth, max_offset):
    """Paths by trying every pointer there is, backwards; one ends where a module is reached."""
    name, low, high = module
    found = set()

    def back(address, offsets, places):
        for place, pointer in memory.items():
            if not 0 <= address - pointer <= max_offset or place in places:
                continue
            path = (address - pointer, *offsets)
            if low <= place < high:
                found.add((name, place - low, path))
            elif len(path) < depth:
                back(place, path, (*places, place))

    back(target, (), ())
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limits", [(1, 64), (2, 64), (3, 16), (3, 200)])
def test_all_paths_are_found(seed, limits, tmp_path):
    """As many as a search of every pointer finds, with the same limits."""
    depth, reach = limits
    rng = np.random.default_rng(seed)
    path = tmp_path / "module.bin"
    path.write_bytes(bytes(PAGE))
    with Target() as target, scan.open_process(target.pid) as process:
        module = target.fresh(PAGE, path=path)
        heap = target.fresh(PAGE)
        cells = np.zeros(2 * PAGE // 8, np.uint64)
        places = [*range(module, module + PAGE, 8), *range(heap, heap + PAGE, 8)]
        chosen = rng.choice(cells.size, 120, replace=False)
        for i in chosen:
            cells[i] = heap + int(rng.integers(0, PAGE))
        target.put(module, cells[: PAGE // 8])
        target.put(heap, cells[PAGE // 8 :])
        memory = {places[i]: int(cells[i]) for i in chosen}
        address = heap + int(rng.integers(100, PAGE)) & ~7
        regions = process.regions(start=module, end=module + PAGE)
        regions = regions + process.regions(start=heap, end=heap + PAGE)
        found = process.pointers(regions).paths(address, depth=depth, max_offset=reach)
        want = naive_paths(memory, (str(path), module, module + PAGE), address, depth, reach)
        assert {(p.module, p.offset, p.offsets) for p in found} == want
        assert len(found) == len(want)
        for each in found:
            assert each.resolve(process) == address
        lengths = [len(each.offsets) for each in found]
        assert lengths == sorted(lengths)
        if len(found) > 3:
            few = process.pointers(regions).paths(address, depth=depth, max_offset=reach, limit=3)
            assert len(few) == 3
            assert set(few) <= set(found)


def test_cycles_end():
    """A list whose end points to its beginning has only so many paths."""
    with Target() as target, scan.open_process(target.pid) as process:
        heap = target.fresh(PAGE)
        cells = np.full(PAGE // 8, heap, np.uint64)
        target.put(heap, cells)
        found = process.pointers().paths(heap + 64, depth=6, max_offset=4096, limit=1000)
        assert len(found) <= 1000


def test_pointers_that_lead_nowhere(tmp_path):
    """None, and no error: the module is not there, or a pointer is not."""
    with Target() as target, scan.open_process(target.pid) as process:
        chained(target, 1)
        program = str(scans.target_program())
        assert scan.PointerPath("/no/such/module", 0, (8,)).resolve(process) is None
        assert scan.PointerPath(program, 2**40, (8,)).resolve(process) is None
        assert scan.PointerPath(program, 0, (8, 8)).resolve(process) is None
        paths = scan.PointerPaths([scan.PointerPath("/no/such/module", 0, (8,))])
        ends, there = paths.resolve(process)
        assert (ends.tolist(), there.tolist()) == ([0], [False])
        assert list(paths.leading_to(process, 0)) == []


def test_maps_outlive_their_process():
    """What was true at that moment stays known."""
    with Target() as target:
        process = scan.open_process(target.pid)
        _, address = chained(target, 1)
        pointers = process.pointers()
    assert not process.alive
    assert pointers.paths(address, depth=3, max_offset=64)
    pointers.close()
    with pytest.raises(ValueError, match="closed"):
        pointers.paths(address)


def test_pointers_in_one_call():
    """scan_pointers makes the map and asks it."""
    with Target() as target, scan.open_process(target.pid) as process:
        _, address = chained(target, 1)
        paths = scan.scan_pointers(process, None, address, depth=3, max_offset=64)
        assert paths == process.pointers().paths(address, depth=3, max_offset=64)
        assert len(paths) > 0


def test_no_untouched_memory_is_read(tmp_path):
    """A gigabyte that nobody wrote has no pointers, and stays as it is."""
    with Target() as target, scan.open_process(target.pid) as process:
        target.map(1 << 30)
        before = target.resident()
        process.pointers()
        assert target.resident() - before < 2 * MIB


def test_files_that_hold_no_paths(tmp_path):
    """ValueError with the file's name; a file that is missing is that."""
    path = tmp_path / "damaged.json"
    good = {"format": "gmemx pointer paths", "target": 5, "modules": ["a"], "paths": [[0, 1, 2]]}
    path.write_text(json.dumps(good))
    assert list(scan.PointerPaths.load(path)) == [scan.PointerPath("a", 1, (2,))]
    for text in (
        "", "[]", "{}", "null", '{"format": 5}', json.dumps(good)[:-5],
        json.dumps(good | {"paths": [[7, 1, 2]]}), json.dumps(good | {"paths": [[0, "x"]]}),
        json.dumps(good | {"paths": 5}), json.dumps(good | {"target": None}),
        json.dumps(good | {"format": "other"}),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match="damaged"):
            scan.PointerPaths.load(path)
    with pytest.raises(FileNotFoundError):
        scan.PointerPaths.load(tmp_path / "no such")


def test_limits_that_make_no_sense():
    """Depth, offsets, limits and addresses."""
    with Target() as target, scan.open_process(target.pid) as process:
        pointers = process.pointers()
        for options, mention in (
            ({"depth": 0}, "depth"), ({"depth": -1}, "depth"), ({"max_offset": -1}, "max_offset"),
            ({"max_offset": 2**40}, "max_offset"), ({"limit": 0}, "limit"),
            ({"limit": -3}, "limit"),
            ({"depth": 1000}, "1000|depth"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=mention):
                pointers.paths(5, **options)
        for wrong in (-1, 2**64):
            with pytest.raises((ValueError, IndexError, OverflowError)) as caught:
                pointers.paths(wrong)
            assert isinstance(caught.value, errors.GmemxError)
        with pytest.raises(TypeError):
            pointers.paths("0x1234")
