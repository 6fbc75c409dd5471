"""The core's scanner as an object: handles, arrays and bounds; `Scanner` is made of it."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.string cimport memset

from gmemx cimport libgmemx
from gmemx._buffers cimport address_of
from gmemx._scan_bounds cimport fill_amounts, fill_bounds, fill_percents
from gmemx._scan_operation cimport Operation, begin
from gmemx._scan_search cimport ranges_in
from gmemx._scan_source cimport Source, positive
from gmemx._scan_values cimport DTYPES, NAMES, TYPES, bits_of, exact, number_of, type_of, types_of
from gmemx.status cimport check

import os
from contextlib import contextmanager
from errno import EFAULT

import numpy as np

from gmemx._scan_bounds import COMPARES
from gmemx._scan_data import skipped_of
from gmemx.errors import (
    DivisionError, InvalidArgumentError, IoError, NotFoundError, OutOfRangeError,
    UnknownCheckpointError,
)

# Tests by name.
cdef dict CHANGES = {
    "changed": libgmemx.GMEM_SCAN_KIND_CHANGED,
    "unchanged": libgmemx.GMEM_SCAN_KIND_UNCHANGED,
    "increased": libgmemx.GMEM_SCAN_KIND_INCREASED,
    "decreased": libgmemx.GMEM_SCAN_KIND_DECREASED,
}
cdef dict EDITS = {
    "set": libgmemx.GMEM_SCAN_EDIT_SET,
    "add": libgmemx.GMEM_SCAN_EDIT_ADD,
    "sub": libgmemx.GMEM_SCAN_EDIT_SUBTRACT,
    "mul": libgmemx.GMEM_SCAN_EDIT_MULTIPLY,
    "div": libgmemx.GMEM_SCAN_EDIT_DIVIDE,
}
# What a name of a checkpoint is not, since comparisons mean something else by it.
RESERVED = ("last", "first")


cdef bytes name_of(object name):
    if not isinstance(name, str):
        raise TypeError(f"a checkpoint's name is a string, not {type(name).__name__}")
    if "\0" in name:
        raise InvalidArgumentError(f"a checkpoint's name has no NUL in it, as {name!r} has")
    return (<str> name).encode("utf-8", "surrogatepass")


cdef object checkpoint_name(const libgmemx.gmem_scanner* scanner, size_t i):
    """A name of a checkpoint, None where it changed meanwhile."""
    cdef size_t length = 0, room
    cdef bytes text
    if libgmemx.gmem_scanner_checkpoint_name(scanner, i, NULL, 0, &length):
        return None
    room = length
    text = PyBytes_FromStringAndSize(NULL, room)
    # Behind its bytes is a NUL.
    if libgmemx.gmem_scanner_checkpoint_name(
            scanner, i, PyBytes_AS_STRING(text), room + 1, &length) or length != room:
        return None
    return text.decode()


cdef str described(str compare, object value, object high, tolerance, ulps, rounded):
    """A test in a few words."""
    told = f"{compare} {value}" if high is None else f"{compare} {value} to {high}"
    if tolerance is not None:
        told += f" (tolerance {tolerance})"
    elif ulps is not None:
        told += f" ({ulps} ulps)"
    elif rounded is not None:
        told += f" ({rounded} decimals)"
    return told


# Said here too: of what the declaration says only this takes tp_clear away.
@cython.no_gc_clear
cdef class Engine:
    """A scanner of the core, with what it was made by."""

    def __init__(
        self, source, types, *, alignment=None, byteorder=None, history=None, memory=None,
        folder=None,
    ):
        self.prepare(source, history, memory, folder)
        self.kinds, self.big = types_of(types, byteorder)
        self.alignment = None if alignment is None else positive(alignment, "alignment")
        if self.alignment is not None and self.alignment > 2**32 - 1:
            raise InvalidArgumentError(
                f"alignment must be a power of two up to 4096, not {self.alignment}")
        self.make()

    def prepare(self, source, history, memory, folder):
        """Everything but what is looked for."""
        if not isinstance(source, Source):
            raise TypeError(
                f"a scanner needs a Source, as open_process gives one, not {type(source).__name__}")
        self.source = source
        self.history = 16 if history is None else positive(history, "history") if history else 0
        self.memory = None if memory is None else positive(memory, "memory")
        self.folder = None if folder is None else os.fsencode(folder)
        self.running = set()

    def make(self):
        """Make the handle."""
        cdef libgmemx.gmem_scanner_options options
        cdef int32_t[TYPES] kinds
        cdef size_t i, n = len(self.kinds)
        cdef libgmemx.gmem_scanner* made = NULL
        self.fill(&options)
        for i in range(n):
            kinds[i] = self.kinds[i]
        self.source.pin()
        try:
            check(libgmemx.gmem_scanner_new(self.source.ptr, kinds, n, &options, &made))
            self.adopt(made)
        finally:
            self.source.unpin()

    cdef void fill(self, libgmemx.gmem_scanner_options* options) noexcept:
        memset(options, 0, sizeof(options[0]))
        options.alignment = self.alignment or 0
        options.big_endian = self.big
        options.history = self.history
        options.memory = self.memory or 0
        if self.folder is not None:
            options.folder = <const char*> <bytes> self.folder

    cdef int adopt(self, libgmemx.gmem_scanner* made) except -1:
        self.ptr = made
        # Pinned as long as there is a handle.
        self.source.pin()
        self.source.dependents.add(self)
        return 0

    def __dealloc__(self):
        if self.ptr is not NULL:
            self.release()

    cdef void release(self) noexcept:
        libgmemx.gmem_scanner_free(self.ptr)
        self.ptr = NULL
        self.source.unpin()

    cdef int pin(self) except -1:
        if self.is_closed:
            which = repr(self.source) if self.source.is_closed else "the scanner"
            raise InvalidArgumentError(f"{which} is closed")
        self.uses += 1
        return 0

    cdef void unpin(self) noexcept:
        self.uses -= 1
        if self.is_closed and self.uses == 0 and self.ptr is not NULL:
            self.release()

    @property
    def closed(self):
        return self.is_closed

    def close(self):
        """Forget the matches; calls that run are finished first."""
        if not self.is_closed:
            self.is_closed = True
            self.uses += 1
            self.unpin()

    def cancel(self):
        """Make what runs end with CancelledError."""
        for canceller in list(self.running):
            canceller.cancel()

    @contextmanager
    def pinned(self):
        """Keeps it from being freed; InvalidArgumentError where it is closed."""
        self.pin()
        try:
            yield
        finally:
            self.unpin()

    # ---- scans --------------------------------------------------------------------

    def first(self, regions, how):
        """An initial scan of everything."""
        cdef libgmemx.gmem_scan_test test
        memset(&test, 0, sizeof(test))
        test.kind = libgmemx.GMEM_SCAN_KIND_ANY
        self.run(&test, True, regions, how)
        return "unknown value"

    def rescan(self, how):
        """Read the matches anew, and keep all that can be read."""
        cdef libgmemx.gmem_scan_test test
        memset(&test, 0, sizeof(test))
        test.kind = libgmemx.GMEM_SCAN_KIND_ANY
        self.run(&test, False, None, how)
        return "rescan"

    def compare(self, is_first, regions, compare, value, high, slack, how):
        """A scan for values; `slack` is a tolerance, ulps and rounded."""
        cdef libgmemx.gmem_scan_test test
        cdef libgmemx.gmem_scan_bounds[TYPES] bounds
        memset(&test, 0, sizeof(test))
        if compare not in COMPARES:
            raise InvalidArgumentError(
                f"compare must be one of {', '.join(COMPARES)}, not {compare!r}")
        if (high is not None) != (compare == "between"):
            raise InvalidArgumentError(
                "compare='between' needs a value and high" if high is None
                else f"high belongs to compare='between', and not to {compare!r}")
        tolerance, ulps, rounded = slack
        fill_bounds(bounds, self.kinds, compare, value, high, tolerance, ulps, rounded)
        test.kind = libgmemx.GMEM_SCAN_KIND_WITHIN
        test.negate = compare == "ne"
        test.bounds = bounds
        self.run(&test, is_first, regions, how)
        return described(compare, value, high, tolerance, ulps, rounded)

    def change(self, name, against, how):
        """A scan for 'changed', 'unchanged', 'increased' or 'decreased' values."""
        cdef libgmemx.gmem_scan_test test
        memset(&test, 0, sizeof(test))
        test.kind = CHANGES[name]
        self.run_against(&test, against, how)
        return f"{name} since {against}"

    def change_by(self, decreased, amount, high, tolerance, rounded, against, how):
        """A scan for values that changed by an amount."""
        cdef libgmemx.gmem_scan_test test
        cdef libgmemx.gmem_scan_bounds[TYPES] bounds
        memset(&test, 0, sizeof(test))
        turned = fill_amounts(bounds, self.kinds, amount, high, tolerance, rounded)
        test.kind = (
            libgmemx.GMEM_SCAN_KIND_DECREASED_BY if decreased != turned
            else libgmemx.GMEM_SCAN_KIND_INCREASED_BY)
        test.bounds = bounds
        self.run_against(&test, against, how)
        way = "decreased" if decreased else "increased"
        told = described("", amount, high, tolerance, None, rounded)
        return f"{way} by{told} since {against}"

    def change_by_percent(self, decreased, low, high, against, how):
        """A scan for values that changed by a part of what they were."""
        cdef libgmemx.gmem_scan_test test
        cdef libgmemx.gmem_scan_bounds[TYPES] bounds
        memset(&test, 0, sizeof(test))
        fill_percents(bounds, self.kinds, low, high, decreased)
        test.kind = libgmemx.GMEM_SCAN_KIND_PERCENT
        test.bounds = bounds
        self.run_against(&test, against, how)
        way = "decreased" if decreased else "increased"
        part = f"{low}% or more" if high is None else f"{low}% to {high}%"
        return f"{way} by {part} since {against}"

    cdef int run_against(
        self, libgmemx.gmem_scan_test* test, object against, dict how
    ) except -1:
        """Run a test that compares with the last scan, the first, or a checkpoint."""
        cdef bytes name
        if against == "last":
            test.against = libgmemx.GMEM_SCAN_AGAINST_LAST
        elif against == "first":
            test.against = libgmemx.GMEM_SCAN_AGAINST_FIRST
        else:
            name = name_of(against)
            test.against, test.checkpoint = libgmemx.GMEM_SCAN_AGAINST_CHECKPOINT, name
        try:
            return self.run(test, False, None, how)
        except NotFoundError as error:
            raise UnknownCheckpointError(str(error)) from None

    cdef int run(
        self, const libgmemx.gmem_scan_test* test, bint is_first, object regions, dict how
    ) except -1:
        """A first scan of regions, or a later one."""
        cdef Operation operation
        cdef int32_t status
        cdef const uint64_t[:, ::1] ranges
        if how["stop"]:
            with self.source.stop():
                return self.run(test, is_first, regions, dict(how, stop=False))
        if is_first:
            self.source.pin()
            try:
                ranges = ranges_in(self.source, regions)
            finally:
                self.source.unpin()
        operation = begin(self.running, how["threads"], how["progress"])
        if is_first:
            with nogil:
                status = libgmemx.gmem_scanner_first(
                    self.ptr, <const libgmemx.gmem_range*> &ranges[0, 0], ranges.shape[0], test,
                    &operation.control)
        else:
            with nogil:
                status = libgmemx.gmem_scanner_next(self.ptr, test, &operation.control)
        return operation.end(status)

    def keep(self, mask):
        """Keep the matches for which a mask of all is true."""
        cdef const uint8_t[::1] kept = mask
        cdef size_t n = kept.shape[0]
        cdef uint8_t none = 0
        cdef const uint8_t* data = &kept[0] if n else &none
        with nogil:
            check(libgmemx.gmem_scanner_retain(self.ptr, <size_t> -1, data, n))

    def undo(self):
        check(libgmemx.gmem_scanner_undo(self.ptr))

    # ---- checkpoints ------------------------------------------------------------------

    def save_checkpoint(self, name, how):
        """Read the matches' values, and keep them by a name."""
        cdef Operation operation
        cdef int32_t status
        cdef bytes text = name_of(name)
        cdef const char* raw = text
        if name in RESERVED or not name:
            raise InvalidArgumentError(
                f"a checkpoint cannot be called {name!r}: 'last' and 'first' mean scans")
        if how["stop"]:
            with self.source.stop():
                return self.save_checkpoint(name, dict(how, stop=False))
        operation = begin(self.running, how["threads"], how["progress"])
        with nogil:
            status = libgmemx.gmem_scanner_checkpoint_save(self.ptr, raw, &operation.control)
        operation.end(status)

    def delete_checkpoint(self, name):
        cdef bytes text = name_of(name)
        try:
            check(libgmemx.gmem_scanner_checkpoint_delete(self.ptr, text))
        except NotFoundError as error:
            raise UnknownCheckpointError(str(error)) from None

    def checkpoints(self):
        """Their names."""
        cdef size_t i
        self.pin()
        try:
            while True:
                n = libgmemx.gmem_scanner_checkpoints(self.ptr)
                found = [checkpoint_name(self.ptr, i) for i in range(n)]
                # Another thread may have deleted one meanwhile.
                if None not in found:
                    return found
        finally:
            self.unpin()

    def filter_checkpoint(self, a, b, c, double margin, how):
        """Keep what changed from a to b as from b to c."""
        cdef Operation operation
        cdef int32_t status
        cdef bytes first = name_of(a), second = name_of(b), third = name_of(c)
        cdef const char* one = first
        cdef const char* two = second
        cdef const char* three = third
        operation = begin(self.running, how["threads"], how["progress"])
        with nogil:
            status = libgmemx.gmem_scanner_checkpoint_filter(
                self.ptr, one, two, three, margin, &operation.control)
        try:
            operation.end(status)
        except NotFoundError as error:
            raise UnknownCheckpointError(str(error)) from None
        return f"alike from {a} to {b} to {c}, within {margin}%"

    # ---- what was found ------------------------------------------------------------------

    @property
    def types(self):
        """NumPy's names of the types."""
        return tuple(NAMES[kind] for kind in self.kinds)

    def index_of(self, type):
        """Which of the scanner's types is meant."""
        cdef bint big = False
        if type is None:
            if len(self.kinds) > 1:
                raise InvalidArgumentError(
                    f"the scanner has several types: say which of {', '.join(self.types)} is meant")
            return 0
        kind = type_of(type, &big)
        if kind not in self.kinds:
            raise InvalidArgumentError(
                f"the scanner looks for {', '.join(self.types)}, and not for {NAMES[kind]}")
        return self.kinds.index(kind)

    def count(self, size_t index):
        self.pin()
        try:
            return libgmemx.gmem_scanner_count(self.ptr, index)
        finally:
            self.unpin()

    def arrays(self, size_t index, wanted, limit=None):
        """Arrays of a type's matches, of 'addresses', 'current', 'previous' and 'first'."""
        cdef size_t n
        cdef int32_t status
        cdef uint64_t* addresses
        cdef uint8_t* current
        cdef uint8_t* previous
        cdef uint8_t* first
        cdef uint8_t[::1] room
        self.pin()
        try:
            while True:
                n = libgmemx.gmem_scanner_count(self.ptr, index)
                if limit is not None:
                    n = min(n, <size_t> limit)
                dtype = DTYPES[self.kinds[index]]
                made = {
                    name: np.empty(n, dtype=np.uint64 if name == "addresses" else dtype)
                    for name in wanted}
                pointers = {name: array.ctypes.data for name, array in made.items()}
                addresses = <uint64_t*> <size_t> pointers.get("addresses", 0)
                current = <uint8_t*> <size_t> pointers.get("current", 0)
                previous = <uint8_t*> <size_t> pointers.get("previous", 0)
                first = <uint8_t*> <size_t> pointers.get("first", 0)
                with nogil:
                    status = libgmemx.gmem_scanner_get(
                        self.ptr, index, 0, n, addresses, current, previous, first)
                if status == libgmemx.GMEM_STATUS_OUT_OF_RANGE:
                    # Another thread has narrowed them down meanwhile.
                    continue
                check(status)
                return [made[name] for name in wanted]
        finally:
            self.unpin()

    def skipped(self):
        """What the last scan could not read, a list of Skipped."""
        cdef libgmemx.gmem_skipped each
        cdef size_t i
        found = []
        self.pin()
        try:
            for i in range(libgmemx.gmem_scanner_skipped_len(self.ptr)):
                check(libgmemx.gmem_scanner_skipped(self.ptr, i, &each))
                found.append(skipped_of(each.start, each.end, each.reason))
        finally:
            self.unpin()
        return found

    def used(self):
        """Bytes of snapshots in memory, and on disk."""
        cdef uint64_t ram = 0, disk = 0
        self.pin()
        try:
            check(libgmemx.gmem_scanner_memory(self.ptr, &ram, &disk))
        finally:
            self.unpin()
        return ram, disk

    # ---- changing what was found -------------------------------------------------------------

    def of_type(self, name):
        """An engine that looks for one type of several, in the same byte order."""
        if len(self.kinds) == 1:
            return self
        return Engine(self.source, name, byteorder="big" if self.big else "little")

    def edit(self, operation, value, address, bint force):
        """Change the matches, or what is at an address; how many were."""
        cdef uint64_t[TYPES] operands
        cdef uint64_t written = 0, at
        cdef const uint64_t* where = NULL
        cdef int32_t op
        cdef size_t i, n = len(self.kinds)
        if operation != "set":
            value = exact(value, "the value")
            if operation in ("add", "sub") and value < 0:
                # What an unsigned type cannot hold it can still be changed by.
                operation, value = "sub" if operation == "add" else "add", -value
        for i in range(n):
            operands[i] = bits_of(value, self.kinds[i])
            if operation == "div" and number_of(operands[i], self.kinds[i]) == 0:
                raise DivisionError(
                    f"values of {NAMES[self.kinds[i]]} cannot be divided by {value}")
        op = EDITS[operation]
        if address is not None:
            at = address_of(address)
            where = &at
        self.pin()
        try:
            with nogil:
                check(libgmemx.gmem_scanner_edit(
                    self.ptr, op, operands, where, where is not NULL, force, &written))
        except OutOfRangeError as error:
            # As everywhere else where there is no memory.
            raise IoError(EFAULT, str(error)) from None
        finally:
            self.unpin()
        return written
