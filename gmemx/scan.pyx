"""Finding, watching and changing values in the memory of processes, and in other memory.

The first scan looks at everything, each later one at what is left. Nothing is stopped, and
memory that the process has not touched is not touched.

>>> import os
>>> import numpy as np
>>> from gmemx import scan
>>> secret = np.array([7, 1_234_567_891, 9], dtype="i4")
>>> with scan.open_process(os.getpid()) as process:
...     scanner = process.scanner("i32", process.regions(permissions="rw"))
...     count = scanner.initial_scan(1_234_567_891)
...     secret.ctypes.data + 4 in scanner.addresses()
True
"""

from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS, PyBUF_WRITABLE, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from libc.stdint cimport uint32_t, uint64_t

from gmemx cimport libgmemx
from gmemx._buffers cimport address_of, shown
from gmemx._scan_source cimport Process, Source
from gmemx.status cimport check

import operator
import os

from gmemx._scan_data import Change, Found, Match, Skipped, Step
from gmemx._scan_freeze import Freeze
from gmemx._scan_paths import PointerPath, PointerPaths
from gmemx._scan_pattern import Pattern, parse_hex_pattern, text_pattern
from gmemx._scan_pointers import PointerMap
from gmemx._scan_processes import (
    ProcessEntry, find_process_by_name, find_processes_by_name, list_processes, query_system_info,
)
from gmemx._scan_regions import Region, Regions
from gmemx._scan_stopped import Stopped
from gmemx._scanner import Scanner
from gmemx.errors import InvalidArgumentError

# What is only cimported is no attribute.
globals().update(Process=Process, Source=Source)


# ---- sources ------------------------------------------------------------------------------

def open_process(pid):
    """Open a live process, without stopping it.

    Parameters
    ----------
    pid : int

    Returns
    -------
    Process
        It stays this process, even if another gets the same pid later.

    Raises
    ------
    ProcessGoneError
        If there is none; a ProcessLookupError.
    PermissionError
        If it may not be looked into; the text tells why, and what would help.

    Examples
    --------
    >>> import os
    >>> from gmemx import scan
    >>> with scan.open_process(os.getpid()) as process:
    ...     process.pid == os.getpid(), process.alive
    (True, True)
    """
    if isinstance(pid, bool):
        raise TypeError("a pid must be an integer, not a truth value")
    try:
        number = operator.index(pid)
    except TypeError:
        raise TypeError(f"a pid must be an integer, not {type(pid).__name__}") from None
    if not 1 <= number < 2**31:
        raise InvalidArgumentError(f"a pid is from 1 to 2**31 - 1, and not {shown(number)}")
    cdef Process self = Process.__new__(Process)
    cdef uint32_t target = number
    self.pid = number
    with nogil:
        check(libgmemx.gmem_source_open_process(target, &self.ptr))
    try:
        with open(f"/proc/{number}/comm", "rb") as file:
            name = file.read().removesuffix(b"\n").decode("utf-8", "surrogateescape")
    except OSError:
        name = ""
    self.title = f"process {number} {name}"
    return self


def open_buffer(data, address=0):
    """Take memory of this process as a source.

    Parameters
    ----------
    data : bytes-like
        Contiguous: bytes, an array, a tensor, a buffer of a pool. It is not copied, and kept
        as long as the source or a scanner of it lives.
    address : int
        What its first byte is called.

    Returns
    -------
    Source

    Examples
    --------
    >>> import numpy as np
    >>> from gmemx import scan
    >>> data = np.zeros(1000)
    >>> data[300] = 2.5
    >>> scan.open_buffer(data).scanner("f64").initial_scan(2.5)
    1
    """
    cdef uint64_t start = address_of(address)
    cdef Source self = Source.__new__(Source)
    if not PyObject_CheckBuffer(data):
        raise TypeError(f"data must be a bytes-like object, not {type(data).__name__}")
    try:
        PyObject_GetBuffer(data, &self.view, PyBUF_ANY_CONTIGUOUS | PyBUF_WRITABLE)
    except (BufferError, ValueError):
        # Read-only, or something that is then said.
        try:
            PyObject_GetBuffer(data, &self.view, PyBUF_ANY_CONTIGUOUS)
        except ValueError as error:
            raise InvalidArgumentError(f"data must be contiguous memory: {error}") from None
    self.has_view = True
    check(libgmemx.gmem_source_from_bytes(
        self.view.buf, self.view.len, start, not self.view.readonly, &self.ptr))
    self.title = f"bytes of {type(data).__name__}"
    return self


def open_file(path, address=0):
    """Take a file as a source, read only.

    Parameters
    ----------
    path : path
    address : int
        What its first byte is called.

    Returns
    -------
    Source

    Raises
    ------
    OSError
        If it cannot be opened.

    Examples
    --------
    >>> with open_file(__file__, address=0x1000) as source:
    ...     source.read(0x1001, 3)
    b'ELF'
    """
    cdef uint64_t start = address_of(address)
    cdef bytes encoded = os.fsencode(path)
    cdef Source self = Source.__new__(Source)
    cdef const char* name = encoded
    with nogil:
        check(libgmemx.gmem_source_open_file(name, start, &self.ptr))
    self.title = f"file {os.fsdecode(path)}"
    return self


def open_core(path):
    """Take an ELF core dump as a source, at the addresses of the process that it is of.

    Parameters
    ----------
    path : path

    Returns
    -------
    Source
        What the dump leaves out is skipped.

    Raises
    ------
    ValueError
        If the file is no core dump.
    """
    cdef bytes encoded = os.fsencode(path)
    cdef Source self = Source.__new__(Source)
    cdef const char* name = encoded
    with nogil:
        check(libgmemx.gmem_source_open_core(name, &self.ptr))
    self.title = f"core {os.fsdecode(path)}"
    return self


# ---- one call each --------------------------------------------------------------------------

def get_process_module_regions(Source process not None):
    """The regions of a process that files are mapped to: its program and libraries.

    Parameters
    ----------
    process : Source

    Returns
    -------
    Regions

    Examples
    --------
    >>> import os
    >>> with open_process(os.getpid()) as process:
    ...     {region.kind for region in get_process_module_regions(process)}
    {'file'}
    """
    return process.regions(kind="file")


def read_process_memory(Source process not None, address, size):
    """`Source.read`.

    Parameters
    ----------
    process : Source
    address, size : int

    Returns
    -------
    bytes

    Raises
    ------
    OSError
        If not all can be read.

    Examples
    --------
    >>> read_process_memory(open_buffer(b"some bytes"), 5, 5)
    b'bytes'
    """
    return process.read(address, size)


def write_process_memory(Source process not None, address, data):
    """`Source.write`.

    Parameters
    ----------
    process : Source
    address : int
    data : bytes-like

    Returns
    -------
    int
        How many bytes were written: all of them.

    Raises
    ------
    OSError
        If not all could be written.

    Examples
    --------
    >>> memory = bytearray(b"some bytes")
    >>> write_process_memory(open_buffer(memory), 0, b"more")
    4
    """
    return process.write(address, data)


def create_interactive_scanner(Source process not None, regions=None, type="int32", **options):
    """A `Scanner`; see there.

    Parameters
    ----------
    process : Source
    regions, type, **options
        As of `Source.scanner`.

    Returns
    -------
    Scanner

    Examples
    --------
    >>> import numpy as np
    >>> from gmemx import scan
    >>> memory = np.array([1, 5, 9, 5], "int32")
    >>> source = scan.open_buffer(memory)
    >>> create_interactive_scanner(source, None, "int32").initial_scan(5)
    2
    """
    return Scanner(process, type, regions, **options)


def scan_pattern(Source source not None, regions, pattern, **options):
    """Search for a pattern of bytes, once.

    Parameters
    ----------
    source : Source
    regions : Regions or iterable of Region or (start, end), or None
    pattern : Pattern, str of hex digits, or bytes
    **options
        As `Source.find` takes them.

    Returns
    -------
    Found
        The addresses, an array of uint64.

    Examples
    --------
    >>> from gmemx import scan
    >>> scan.scan_pattern(scan.open_buffer(bytes.fromhex("00488b0d")), None, "48 8? 0d").tolist()
    [1]
    """
    return source.find(pattern, regions, **options)


def scan_text(
    Source source not None, regions, text, encoding="utf-8", bint ignore_case=False, **options
):
    """Search for a text, once.

    Parameters
    ----------
    source : Source
    regions : Regions or iterable of Region or (start, end), or None
    text : str
    encoding : str
        One of Python's; ``utf-16`` and ``utf-32`` mean little endian.
    ignore_case : bool
        Whether ASCII letters fit in either case.
    **options
        As `Source.find` takes them.

    Returns
    -------
    Found
        The addresses, an array of uint64.

    Examples
    --------
    >>> from gmemx import scan
    >>> source = scan.open_buffer("..Größe..größe".encode("utf-16-le"))
    >>> scan.scan_text(source, None, "größe", "utf-16", ignore_case=True).tolist()
    [4, 18]
    """
    return source.find(text_pattern(text, encoding, ignore_case), regions, **options)


def scan_pointers(
    Source source not None, regions, target, depth=5, max_offset=4096, limit=None, **options
):
    """Search for paths of pointers to an address, once: `Source.pointers`, then its `paths`.

    The options are those of both: threads, progress, stop.

    Parameters
    ----------
    source, regions, **options
        As of `Source.pointers`.
    target, depth, max_offset, limit
        As of `PointerMap.paths`.

    Returns
    -------
    PointerPaths

    Examples
    --------
    >>> source = open_buffer(bytes(64), address=0x1000)
    >>> len(scan_pointers(source, None, 0x1008))  # a buffer has no module to begin at
    0
    """
    stop = options.pop("stop", False)
    with source.pointers(regions, stop=stop, **options) as pointers:
        return pointers.paths(target, depth, max_offset, limit, **options)


def scan_pattern_async(source, regions, pattern, **options):
    """`scan_pattern` to be awaited; cancelling the await cancels it.

    Parameters
    ----------
    source, regions, pattern, **options
        As of `scan_pattern`.

    Returns
    -------
    awaitable of Found

    Examples
    --------
    >>> import asyncio
    >>> found = asyncio.run(scan_pattern_async(open_buffer(b"one two"), None, "74 77"))
    >>> found.tolist()
    [4]
    """
    from gmemx._scan_async import awaited

    return awaited(scan_pattern, source, regions, pattern, **options)


def scan_text_async(source, regions, text, encoding="utf-8", ignore_case=False, **options):
    """`scan_text` to be awaited; cancelling the await cancels it.

    Parameters
    ----------
    source, regions, text, encoding, ignore_case, **options
        As of `scan_text`.

    Returns
    -------
    awaitable of Found

    Examples
    --------
    >>> import asyncio
    >>> found = asyncio.run(scan_text_async(open_buffer(b"one two"), None, "two"))
    >>> found.tolist()
    [4]
    """
    from gmemx._scan_async import awaited

    return awaited(scan_text, source, regions, text, encoding, ignore_case, **options)


def scan_pointers_async(source, regions, target, depth=5, max_offset=4096, limit=None, **options):
    """`scan_pointers` to be awaited; cancelling the await cancels it.

    Parameters
    ----------
    source, regions, target, depth, max_offset, limit, **options
        As of `scan_pointers`.

    Returns
    -------
    awaitable of PointerPaths

    Examples
    --------
    >>> import asyncio
    >>> source = open_buffer(bytes(64), address=0x1000)
    >>> len(asyncio.run(scan_pointers_async(source, None, 0x1008)))
    0
    """
    from gmemx._scan_async import awaited

    return awaited(scan_pointers, source, regions, target, depth, max_offset, limit, **options)
