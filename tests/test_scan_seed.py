"""The seed's program runs as it was written, on a process of this test."""

import numpy as np
import pytest
import scans
from scans import Target, linux_only

pytestmark = linux_only

SEED = """
import gmemx.scan as memscan

# Find and open process
pid = memscan.find_process_by_name({name!r})
proc = memscan.open_process(pid)

# Get memory regions
modules = memscan.get_process_module_regions(proc)

# Create scanner
scanner = memscan.create_interactive_scanner(proc, modules, "i32")

# Scan and filter
scanner.initial_scan()
grow()
scanner.filter_eq(100)
grow()
scanner.filter_increased()

# Modify values
scanner.set_value(999)
"""


@pytest.fixture
def target(tmp_path):
    """A process of a name that no other has."""
    program = tmp_path / f"seed-{tmp_path.name[-9:]}"
    program.write_bytes(scans.target_program().read_bytes())
    program.chmod(0o755)
    with Target(program) as started:
        yield started, program.name


def test_the_seed(target):
    """Its counter, in a module of the program, becomes 999."""
    process, name = target
    _, data, *_ = process.ask("places")
    value = [99]

    def grow():
        value[0] += 1
        process.put(data + 8, np.array(value, np.int32))

    names = {"grow": grow}
    exec(SEED.format(name=name), names)
    scanner = names["scanner"]
    assert names["pid"] == process.pid
    assert scanner.match_count() == 1
    assert scanner.get_matches()[0].address == data + 8
    assert process.values(data + 8, 1, "i4").tolist() == [999]


def test_every_word_of_the_seed(target):
    """The names that its description lists."""
    from gmemx import scan

    started, name = target
    names = (
        "open_process find_process_by_name query_system_info get_process_module_regions "
        "parse_hex_pattern read_process_memory write_process_memory create_interactive_scanner"
    )
    for each in names.split():
        assert callable(getattr(scan, each))
    proc = scan.open_process(scan.find_process_by_name(name))
    start = started.array(np.array([10, 20, 30], np.int16))
    assert scan.write_process_memory(proc, start, b"\x0b\0") == 2
    assert scan.read_process_memory(proc, start, 2) == b"\x0b\0"
    scanner = scan.create_interactive_scanner(proc, [(start, start + 6)], "i16")
    assert scanner.initial_scan() == 3
    assert scanner.filter_gt(10) == 3
    assert scanner.filter_lt(30) == 2
    assert [m.value for m in scanner.get_matches()] == [11, 20]
    for name in ("before", "between", "after"):
        scanner.save_checkpoint(name)
        scanner.add_value(5)
    assert set(scanner.list_checkpoints()) == {"before", "between", "after"}
    assert scanner.filter_checkpoint("before", "between", "after", 1.0) == 2
    assert scanner.filter_increased() == 2
    assert scanner.filter_unchanged() == 2
    assert scanner.filter_changed() == 0
    scanner.undo()
    assert scanner.filter_decreased() == 0
    scanner.undo()
    scanner.sub_value(15)
    scanner.mul_value(2)
    scanner.div_value(4)
    scanner.set_value_at(start + 4, -1)
    assert started.values(start, 3, "i2").tolist() == [5, 10, -1]
    assert scanner.rescan() == 2
    scanner.delete_checkpoint("between")
    scanner.set_value_type("u8")
    scanner.set_alignment(2)
    assert scanner.initial_scan() == 3
