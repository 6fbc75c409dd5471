"""Core dumps for the tests: an ELF file of what a child of theirs has in memory."""

import struct
from pathlib import Path

PT_LOAD, PT_NOTE = 1, 4
ET_CORE, EM_X86_64, EM_AARCH64 = 4, 62, 183
NT_PRSTATUS, NT_FILE = 1, 0x46494C45
PAGE = 4096


def readable(pid):
    """The regions of a process that can be dumped: (start, end, flags, offset, name)."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, flags, offset, _, _, *name = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in span.split("-"))
        if flags[0] == "r" and name[:1] not in (["[vvar]"], ["[vsyscall]"], ["[vvar_vclock]"]):
            yield start, end, flags, int(offset, 16), name[0] if name else ""


def note(kind, data):
    """A note of CORE's, padded as ELF wants it."""
    name = b"CORE\0\0\0\0"
    return struct.pack("<III", 5, len(data), kind) + name + data + bytes(-len(data) % 4)


def files_note(regions):
    """NT_FILE: which file is mapped where."""
    mapped = [(s, e, o, n) for s, e, _, o, n in regions if n.startswith("/")]
    data = struct.pack("<QQ", len(mapped), PAGE)
    for start, end, offset, _ in mapped:
        data += struct.pack("<QQQ", start, end, offset // PAGE)
    return note(NT_FILE, data + b"".join(name.encode() + b"\0" for *_, name in mapped))


def write_core(path, pid, left_out=(), machine=EM_X86_64):
    """Write a dump of all that can be read; of `left_out` addresses only that they were there."""
    regions = list(readable(pid))
    notes = note(NT_PRSTATUS, bytes(336)) + files_note(regions)
    headers = 1 + len(regions)
    at = 64 + 56 * headers
    table = [struct.pack("<IIQQQQQQ", PT_NOTE, 0, at, 0, 0, len(notes), 0, 4)]
    at += len(notes)
    at += -at % PAGE
    bodies = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, flags, _, _ in regions:
            bits = 4 | (flags[1] == "w") << 1 | (flags[2] == "x")
            size = end - start
            if any(start <= address < end for address in left_out):
                body = b""
            else:
                memory.seek(start)
                body = memory.read(size)
                assert len(body) == size
            table.append(
                struct.pack("<IIQQQQQQ", PT_LOAD, bits, at, start, 0, len(body), size, PAGE)
            )
            bodies.append((at, body))
            at += len(body)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = identity + struct.pack(
        "<HHIQQQIHHHHHH", ET_CORE, machine, 1, 0, 64, 0, 0, 64, 56, headers, 0, 0, 0
    )
    with open(path, "wb") as file:
        file.write(head + b"".join(table) + notes)
        for offset, body in bodies:
            file.seek(offset)
            file.write(body)
    return regions
