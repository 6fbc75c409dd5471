"""What can be scanned: processes, buffers, files and core dumps."""

from cpython.buffer cimport (
    PyBUF_CONTIG, PyBUF_CONTIG_RO, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp cimport bool

from gmemx cimport libgmemx
from gmemx._buffers cimport address_of, shown
from gmemx._scan_values cimport SIZES, bits_of, number_of, swapped, type_of
from gmemx.status cimport check

import operator
import sys
from errno import EFAULT
from functools import partial
from weakref import WeakSet

from gmemx._scan_pattern import pattern_of
from gmemx._scan_regions import Filter, Regions
from gmemx.errors import InvalidArgumentError, IoError, OutOfMemoryError, UnsupportedError

# Bytes between two looks for Ctrl-C: some milliseconds.
cdef size_t PATIENCE = 1 << 26


cdef class Source:
    """Memory that can be looked into, and perhaps written.

    Made by `open_process`, `open_buffer`, `open_file` and `open_core`; a context manager.
    Every method may be called from several threads. Closing one ends its freezes, and closes
    the scanners that were made from it; calls that run are finished first.

    Examples
    --------
    >>> from gmemx import scan
    >>> with scan.open_buffer(bytearray(b"....*...."), address=0x1000) as source:
    ...     source.write(0x1005, b"!")
    ...     source.read(0x1004, 3)
    1
    b'*!.'
    """

    def __cinit__(self, *arguments, **options):
        self.running = set()
        self.dependents = WeakSet()
        self.frozen = {}

    def __init__(self):
        raise TypeError(
            "a source is made by open_process, open_buffer, open_file or open_core")

    def __dealloc__(self):
        libgmemx.gmem_freezer_free(self.freezer)
        self.freezer = NULL
        self.release()

    cdef void release(self) noexcept:
        """Let go of the memory, which nobody uses any more."""
        cdef libgmemx.gmem_source* ptr = self.ptr
        self.ptr = NULL
        libgmemx.gmem_source_free(ptr)
        if self.has_view:
            self.has_view = False
            PyBuffer_Release(&self.view)

    # ---- for other extensions -------------------------------------------------

    cdef int c_read(self, uint64_t address, void* out, size_t n) noexcept nogil:
        cdef size_t got = 0
        cdef int status = libgmemx.gmem_source_read(self.ptr, address, out, n, &got)
        if status == libgmemx.GMEM_STATUS_OK and got < n:
            return libgmemx.GMEM_STATUS_OUT_OF_RANGE
        return status

    cdef int c_write(self, uint64_t address, const void* data, size_t n) noexcept nogil:
        cdef size_t done = 0
        cdef int status = libgmemx.gmem_source_write(self.ptr, address, data, n, False, &done)
        if status == libgmemx.GMEM_STATUS_OK and done < n:
            return libgmemx.GMEM_STATUS_OUT_OF_RANGE
        return status

    cdef int c_read_i32(self, uint64_t address, int32_t* out) noexcept nogil:
        return self.c_read(address, out, sizeof(int32_t))

    cdef int c_read_u32(self, uint64_t address, uint32_t* out) noexcept nogil:
        return self.c_read(address, out, sizeof(uint32_t))

    cdef int c_read_i64(self, uint64_t address, int64_t* out) noexcept nogil:
        return self.c_read(address, out, sizeof(int64_t))

    cdef int c_read_u64(self, uint64_t address, uint64_t* out) noexcept nogil:
        return self.c_read(address, out, sizeof(uint64_t))

    cdef int c_read_f32(self, uint64_t address, float* out) noexcept nogil:
        return self.c_read(address, out, sizeof(float))

    cdef int c_read_f64(self, uint64_t address, double* out) noexcept nogil:
        return self.c_read(address, out, sizeof(double))

    cdef int pin(self) except -1:
        if self.is_closed:
            raise InvalidArgumentError(f"{self!r} is closed")
        self.uses += 1
        return 0

    cdef void unpin(self) noexcept:
        self.uses -= 1
        if self.is_closed and self.uses == 0:
            self.release()

    # ---- what it is -------------------------------------------------------------

    @property
    def kind(self):
        """'process', 'bytes', 'file' or 'core'."""
        return self.title.partition(" ")[0]

    @property
    def alive(self):
        """Whether the memory is still there: False once a process has ended, or it is closed."""
        return not self.is_closed and libgmemx.gmem_source_alive(self.ptr)

    @property
    def closed(self):
        """Whether it was closed."""
        return self.is_closed

    def close(self):
        """Let go of the memory. What was made from it is closed too; again does nothing.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> source.close()
        >>> source.closed
        True
        """
        cdef libgmemx.gmem_freezer* freezer = self.freezer
        if self.is_closed:
            return
        self.is_closed = True
        self.freezer = NULL
        self.frozen.clear()
        if freezer is not NULL:
            with nogil:
                libgmemx.gmem_freezer_free(freezer)
        for dependent in list(self.dependents):
            dependent.close()
        if self.uses == 0:
            self.release()

    def cancel(self):
        """Make the searches that run on it end with CancelledError; from any thread.

        A scanner's own scans are cancelled by `Scanner.cancel`.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> source.cancel()  # nothing runs
        >>> len(source.read(0, 16))
        16
        """
        for canceller in list(self.running):
            canceller.cancel()

    def __enter__(self):
        self.pin()
        self.unpin()
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def __repr__(self):
        return f"<Source of {self.title}{', closed' if self.is_closed else ''}>"

    # ---- regions ------------------------------------------------------------------

    def regions(
        self, *, permissions=None, kind=None, module=None, start=None, end=None,
        max_size=None, min_size=None,
    ):
        """The regions there are now.

        Parameters
        ----------
        permissions : str, optional
            Letters that must be there, of ``r``, ``w``, ``x``, ``s`` (shared) and ``p``
            (private), with a ``!`` before one that must not: ``"rw"``, ``"rx!w"``.
        kind : str or iterable of str, optional
            'heap', 'stack', 'anonymous', 'file', 'shared', 'special' or 'image'.
        module : str or iterable of str, optional
            Names or paths of mapped files, or globs of them.
        start, end : int, optional
            Where to look; regions that reach farther are cut.
        max_size, min_size : int, optional
            Bytes of a whole region.

        Returns
        -------
        Regions
            In order of addresses. It keeps the filter: a scan reads it anew.

        Raises
        ------
        ProcessGoneError
            If the process has ended.
        ValueError
            For a filter that makes no sense.

        Examples
        --------
        >>> import os
        >>> from gmemx import scan
        >>> with scan.open_process(os.getpid()) as me:
        ...     stack = me.regions(kind="stack", permissions="rw")
        ...     len(stack), stack[0].permissions
        (1, 'rw-p')
        """
        from gmemx._scan_search import all_regions

        chosen = Filter(permissions, kind, module, start, end, max_size, min_size)
        return Regions(partial(all_regions, self), chosen, self.title)

    # ---- bytes ----------------------------------------------------------------------

    def read(self, address, size, *, bint partial=False):
        """Bytes from an address on.

        Parameters
        ----------
        address, size : int
        partial : bool
            Whether to be content with what there is before the first byte that cannot be read.

        Returns
        -------
        bytes

        Raises
        ------
        OSError
            If not all can be read; the text has the first address that cannot.

        Examples
        --------
        >>> from gmemx import scan
        >>> scan.open_buffer(b"some bytes", address=0x1000).read(0x1005, 5)
        b'bytes'
        """
        cdef uint64_t start = address_of(address)
        cdef size_t got
        cdef Py_ssize_t n = size_of(size)
        data = PyBytes_FromStringAndSize(NULL, n)
        got = read_into(self, start, PyBytes_AS_STRING(data), n)
        if got == <size_t> n:
            return data
        if not partial:
            raise unreadable(start, got, n)
        return data[:got]

    def read_into(self, address, buffer):
        """Fill a writable, contiguous buffer; how many bytes there were to read.

        Parameters
        ----------
        address : int
        buffer : writable buffer

        Examples
        --------
        >>> from gmemx import scan
        >>> room = bytearray(4)
        >>> with scan.open_buffer(b"abc") as source:
        ...     source.read_into(1, room), room
        (2, bytearray(b'bc\\x00\\x00'))
        """
        cdef uint64_t start = address_of(address)
        cdef Py_buffer view
        if not PyObject_CheckBuffer(buffer):
            raise TypeError(f"buffer must be a writable buffer, not {type(buffer).__name__}")
        PyObject_GetBuffer(buffer, &view, PyBUF_CONTIG)
        try:
            return read_into(self, start, <char*> view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def write(self, address, data, *, bint force=False):
        """Write bytes from an address on, and look whether they are there.

        Parameters
        ----------
        address : int
        data : bytes-like
        force : bool
            Whether to write also where the process itself may only read, as a debugger can.

        Returns
        -------
        int
            How many bytes were written: all of them.

        Raises
        ------
        OSError
            If not all could be written; those before the address in the text were.

        Examples
        --------
        >>> from gmemx import scan
        >>> memory = bytearray(b"some bytes")
        >>> scan.open_buffer(memory).write(0, b"more")
        4
        >>> memory
        bytearray(b'more bytes')
        """
        cdef uint64_t start = address_of(address)
        cdef Py_buffer view
        cdef size_t done = 0
        if not PyObject_CheckBuffer(data):
            raise TypeError(f"data must be bytes, not {type(data).__name__}")
        PyObject_GetBuffer(data, &view, PyBUF_CONTIG_RO)
        try:
            self.pin()
            try:
                with nogil:
                    check(libgmemx.gmem_source_write(
                        self.ptr, start, view.buf, view.len, force, &done))
            finally:
                self.unpin()
            if done < <size_t> view.len:
                raise unwritable(start + done, force)
            return done
        finally:
            PyBuffer_Release(&view)

    # ---- values -----------------------------------------------------------------------

    def read_value(self, address, type):
        """The value at an address.

        Parameters
        ----------
        address : int
        type : str, numpy.dtype or type
            One of ``i8`` to ``i64``, ``u8`` to ``u64``, ``f32``, ``f64``, or as NumPy has it;
            big endian as in ``">i4"``.

        Returns
        -------
        int or float

        Examples
        --------
        >>> from gmemx import scan
        >>> with scan.open_buffer(b"\\xff\\xff\\x00\\x01") as source:
        ...     source.read_value(0, "i16"), source.read_value(2, ">u2")
        (-1, 1)
        """
        cdef uint64_t start = address_of(address)
        cdef uint64_t bits = 0
        cdef bint big = False
        cdef int kind = type_of(type, &big)
        cdef size_t size = SIZES[kind]
        cdef size_t got = read_into(self, start, <char*> &bits, size)
        if got < size:
            raise unreadable(start, got, size)
        if big != (sys.byteorder == "big"):
            bits = swapped(bits, size)
        return number_of(bits, kind)

    def write_value(self, address, value, type, *, bint force=False):
        """Write one value; OverflowError where the type cannot hold it.

        Parameters as of `read_value` and `write`.

        Parameters
        ----------
        address, value, type, force
            As of `read_value` and `write`.

        Raises
        ------
        OverflowError
            If the type cannot hold the value.
        OSError
            If it cannot be written there.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> source.write_value(4, -1, "int32")
        >>> memory.tolist()
        [1, -1, 9, 5]
        """
        cdef bint big = False
        cdef int kind = type_of(type, &big)
        cdef size_t size = SIZES[kind]
        cdef uint64_t bits = bits_of(value, kind)
        if big != (sys.byteorder == "big"):
            bits = swapped(bits, size)
        self.write(address, PyBytes_FromStringAndSize(<char*> &bits, size), force=force)

    def read_many(self, addresses, type, *, bint partial=False):
        """The values at any addresses.

        Parameters
        ----------
        addresses : array_like of int
        type : str, numpy.dtype or type
            As of `read_value`.
        partial : bool
            Whether to be content where some cannot be read.

        Returns
        -------
        numpy.ndarray
            In the shape of `addresses`.
        numpy.ndarray of bool
            With `partial` only: which of them could be read; the others are 0.

        Raises
        ------
        OSError
            If one cannot be read, and `partial` is not said.

        Examples
        --------
        >>> from gmemx import scan
        >>> with scan.open_buffer(bytes(range(8))) as source:
        ...     source.read_many([6, 0], "u8")
        ...     source.read_many([6, 7], "u16", partial=True)
        array([6, 0], dtype=uint8)
        (array([1798,    0], dtype=uint16), array([ True, False]))
        """
        from gmemx._scan_cells import read_many

        return read_many(self, addresses, type, partial)

    def write_many(self, addresses, values, type, *, bint force=False, bint partial=False):
        """Write values at any addresses; where one comes twice, the later stays.

        Parameters
        ----------
        addresses : array_like of int
        values : array_like of int or float
            One, or one for each address, in the same shape.
        type : str, numpy.dtype or type
            As of `read_value`.
        force : bool
            As of `write`.
        partial : bool
            Whether to be content where some cannot be written.

        Returns
        -------
        int, or numpy.ndarray of bool with `partial`
            How many were written; or which.

        Raises
        ------
        OSError
            If one cannot be written, and `partial` is not said. The others are.
        OverflowError
            If the type cannot hold a value. Nothing is written then.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> source.write_many([0, 12], [7, 8], "int32")
        2
        >>> memory.tolist()
        [7, 5, 9, 8]
        """
        from gmemx._scan_cells import write_many

        return write_many(self, addresses, values, type, force, partial)

    # ---- what is made from it -----------------------------------------------------------

    def find(
        self, pattern, regions=None, *, limit=None, alignment=1, bint ignore_case=False,
        threads=None, progress=None, bint stop=False,
    ):
        """Search for a pattern of bytes.

        Parameters
        ----------
        pattern : Pattern, str or bytes-like
            A string is one of hex digits, as `parse_hex_pattern` reads it.
        regions : Regions or iterable of Region or (start, end), optional
            Where to search; None for all that can be read.
        limit : int, optional
            How many to be content with: the lowest addresses.
        alignment : int
            Addresses are multiples of it, a power of two.
        ignore_case : bool
            Whether the bytes of ASCII letters stand for both cases.
        threads : int, optional
            The most threads; None for one a core.
        progress : callable, optional
            Called as ``progress(done, total)``, in bytes, up to twenty times a second; what it
            raises ends the search.
        stop : bool
            Whether to stop the process meanwhile.

        Returns
        -------
        Found
            An array of uint64, sorted, with the ranges that could not be read as its
            ``skipped``.

        Raises
        ------
        ValueError
            For a malformed pattern, or no region at all.
        CancelledError
            If it was cancelled.

        Examples
        --------
        >>> from gmemx import scan
        >>> with scan.open_buffer(b"..HELLO..hello", address=0x100) as source:
        ...     [hex(address) for address in source.find(b"hello", ignore_case=True)]
        ['0x102', '0x109']
        """
        from gmemx._scan_search import find

        wanted = pattern_of(pattern, ignore_case)
        if not stop:
            return find(self, wanted, regions, limit, alignment, threads, progress)
        with self.stop():
            return find(self, wanted, regions, limit, alignment, threads, progress)

    def scanner(self, type="int32", regions=None, **options):
        """A `Scanner` of this source; the options are its own.

        Parameters
        ----------
        type : str, numpy.dtype, type, or several
        regions : Regions or iterable of Region or (start, end), optional
            None for all that can be read.
        **options
            As `Scanner` has them.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> with scan.open_buffer(np.arange(5, dtype="i4")) as source:
        ...     scanner = source.scanner("i32")
        ...     scanner.initial_scan(3), scanner.addresses()
        (1, array([12], dtype=uint64))
        """
        from gmemx._scanner import Scanner

        return Scanner(self, type, regions, **options)

    def pointers(self, regions=None, *, threads=None, progress=None, bint stop=False):
        """A `PointerMap` of this moment: all pointers that lie in the regions.

        Parameters
        ----------
        regions : Regions or iterable of Region or (start, end), optional
            Where they may lie; None for all that can be read.
        threads, progress, stop
            As of `find`.

        Returns
        -------
        PointerMap

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([0x1008, 5], "uint64")  # the first points to the second
        >>> len(scan.open_buffer(memory, address=0x1000).pointers())
        1
        """
        from gmemx._scan_pointers import pointer_map

        return pointer_map(self, regions, threads, progress, stop)

    def freeze(self, address, value, type, direction=None, interval=0.005):
        """Keep a value as it is, from a thread of the library's own.

        Parameters
        ----------
        address : int
        value : int or float
        type : str, numpy.dtype or type
            As of `read_value`.
        direction : {None, 'up', 'down'}
            Changes in that direction are let be, and kept from then on.
        interval : float
            Seconds between two looks.

        Returns
        -------
        Freeze
            It ends with its `stop`, or with the source.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([1, 5, 9, 5], "int32")
        >>> source = scan.open_buffer(memory)
        >>> with source.freeze(4, 5, "int32", interval=0.001) as frozen:
        ...     frozen.value
        5
        """
        from gmemx._scan_freeze import freeze

        return freeze(self, address, value, type, direction, interval)

    @property
    def freezes(self):
        """What is frozen now, a list of `Freeze`."""
        from gmemx._scan_freeze import freezes

        return freezes(self)

    def watch(self, addresses, type, interval=0.01, timeout=None):
        """Wait for changes of values.

        Parameters
        ----------
        addresses : int or array_like of int
        type : str, numpy.dtype or type
            As of `read_value`.
        interval : float
            Seconds between two looks.
        timeout : float, optional
            Seconds after which it ends; None for never.

        Returns
        -------
        iterator of Change
            It ends when the process does.

        Examples
        --------
        >>> from gmemx import scan
        >>> data = bytearray(8)
        >>> with scan.open_buffer(data) as source:
        ...     changes = source.watch([0, 1], "u8", timeout=60)
        ...     data[1] = 5
        ...     change = next(changes)
        >>> change.address, change.old, change.new
        (1, 0, 5)
        """
        from gmemx._scan_watch import watch

        return watch(self, addresses, type, interval, timeout)

    def stop(self):
        """Stop the process, until the `Stopped` that this gives is left or told to resume.

        Raises
        ------
        NotImplementedError
            If the source is no process.

        Returns
        -------
        Stopped

        Examples
        --------
        >>> import subprocess, sys
        >>> from gmemx import scan
        >>> program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        >>> child = subprocess.Popen(program, stdin=subprocess.PIPE)
        >>> with scan.open_process(child.pid) as process, process.stop():
        ...     len(process.regions()) > 0
        True
        >>> child.communicate()[0] is None
        True
        """
        from gmemx._scan_stopped import Stopped

        return Stopped(self)

    def _stop(self):
        """Stop the process; it is pinned until `_resume`, so that a closed one still can."""
        cdef bool stopped = False
        if not isinstance(self, Process):
            raise UnsupportedError(f"only a process can be stopped, and {self!r} is none")
        self.pin()
        try:
            with nogil:
                check(libgmemx.gmem_source_stop(self.ptr, &stopped))
        except BaseException:
            self.unpin()
            raise

    def _resume(self):
        """Take one `_stop` back."""
        try:
            with nogil:
                check(libgmemx.gmem_source_resume(self.ptr))
        finally:
            self.unpin()


cdef class Process(Source):
    """A live process, held so that no other can take its place.

    Made by `open_process`; see `Source` for what can be done with it.

    Attributes
    ----------
    pid : int

    Examples
    --------
    >>> import os
    >>> from gmemx import scan
    >>> with scan.open_process(os.getpid()) as process:
    ...     process.pid == os.getpid()
    True
    """

    @property
    def name(self):
        """Its name as the kernel has it; of one that has ended, as it was."""
        return self.title.split(" ", 2)[2]

    @property
    def stopped(self):
        """Whether it stands still, stopped by us or by others."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                status = file.read()
        except OSError:
            return False
        # The name before the state may have blanks and parentheses in it.
        return self.alive and status.rpartition(b") ")[2][:1] in (b"T", b"t")

    def __repr__(self):
        tail = ", closed" if self.is_closed else "" if self.alive else ", ended"
        return f"<Process {self.pid} {self.name!r}{tail}>"


# ---- what the methods are made of ---------------------------------------------------------

cdef Py_ssize_t size_of(object size) except -1:
    number = positive(size, "size") if size != 0 else 0
    if number > sys.maxsize - 64:
        raise OutOfMemoryError(f"{shown(number)} bytes are more than memory can hold")
    return number


cdef object positive(object value, str name):
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}") from None
    if number < 1 or number >= 2**63:
        raise InvalidArgumentError(
            f"{name} must be at least 1 and below 2**63, not {shown(number)}")
    return number


cdef size_t read_into(Source self, uint64_t start, char* out, size_t n) except? 0xFFFF_FFFF:
    cdef size_t done = 0, part, got = 0
    self.pin()
    try:
        while done < n:
            part = min(PATIENCE, n - done)
            with nogil:
                check(libgmemx.gmem_source_read(self.ptr, start + done, out + done, part, &got))
            done += got
            if got < part:
                break
            if done < n:
                PyErr_CheckSignals()
    finally:
        self.unpin()
    return done


cdef object unreadable(object start, size_t got, size_t n):
    return IoError(
        EFAULT,
        f"{n - got} of {n} bytes cannot be read: nothing readable is mapped at "
        f"{start + got:#x}")


cdef object unwritable(object address, bint force):
    tail = "" if force else ", or may only be read, which force=True would overrule"
    return IoError(EFAULT, f"the bytes at {address:#x} cannot be written: nothing is mapped{tail}")
