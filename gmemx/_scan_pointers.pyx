"""The pointers of a process at one moment, and the ways that lead to an address."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from gmemx cimport libgmemx
from gmemx._buffers cimport address_of
from gmemx._scan_operation cimport Operation, begin
from gmemx._scan_search cimport ranges_in
from gmemx._scan_source cimport Source, positive
from gmemx.status cimport check

from gmemx._scan_data import skipped_of
from gmemx._scan_paths import PointerPath, PointerPaths
from gmemx.errors import InvalidArgumentError

cdef enum:
    # More steps than any path has.
    MOST_STEPS = 64


@cython.final
cdef class PointerMap:
    """All pointers of a process at one moment; a context manager.

    Made by `Source.pointers`. It does not change with the process, and outlives it.

    Examples
    --------
    >>> import numpy as np
    >>> from gmemx import scan
    >>> memory = np.array([0x1008, 5], "uint64")  # the first points to the second
    >>> pointers = scan.open_buffer(memory, address=0x1000).pointers()
    >>> len(pointers)
    1
    """

    cdef libgmemx.gmem_pointers* ptr
    cdef set running
    # Searches that run; and whether it is freed when they have ended.
    cdef Py_ssize_t uses
    cdef bint is_closed
    cdef object __weakref__

    def __init__(self):
        raise TypeError("a pointer map is made by Source.pointers")

    def __dealloc__(self):
        libgmemx.gmem_pointers_free(self.ptr)

    @property
    def closed(self):
        """Whether it was closed."""
        return self.is_closed

    def close(self):
        """Free it; searches that run are finished first.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([0x1008, 5], "uint64")  # the first points to the second
        >>> pointers = scan.open_buffer(memory, address=0x1000).pointers()
        >>> pointers.close()
        >>> pointers.closed
        True
        """
        self.is_closed = True
        if self.uses == 0:
            libgmemx.gmem_pointers_free(self.ptr)
            self.ptr = NULL

    def cancel(self):
        """Make the searches that run end with CancelledError; from any thread.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([0x1008, 5], "uint64")  # the first points to the second
        >>> pointers = scan.open_buffer(memory, address=0x1000).pointers()
        >>> pointers.cancel()  # nothing runs
        >>> pointers.closed
        False
        """
        for canceller in list(self.running):
            canceller.cancel()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        self.close()

    def __len__(self):
        return libgmemx.gmem_pointers_len(self.ptr)

    @property
    def skipped(self):
        """What could not be read, a list of Skipped."""
        cdef libgmemx.gmem_skipped each
        cdef size_t i
        found = []
        for i in range(libgmemx.gmem_pointers_skipped_len(self.ptr)):
            check(libgmemx.gmem_pointers_skipped(self.ptr, i, &each))
            found.append(skipped_of(each.start, each.end, each.reason))
        return found

    def __repr__(self):
        return f"<PointerMap{', closed' if self.is_closed else f' of {len(self)} pointers'}>"

    def paths(
        self, target, depth=5, max_offset=4096, limit=None, *, threads=None, progress=None
    ):
        """Paths of pointers that lead from a module to an address, the short ones first.

        Parameters
        ----------
        target : int
        depth : int
            How many pointers a path has at most.
        max_offset : int
            How far behind the place that a pointer points to the next one may lie.
        limit : int, optional
            How many to be content with.
        threads, progress
            See `Source.find`.

        Returns
        -------
        PointerPaths

        Raises
        ------
        CancelledError
            If it was cancelled.

        Examples
        --------
        >>> import numpy as np
        >>> from gmemx import scan
        >>> memory = np.array([0x1008, 5], "uint64")  # the first points to the second
        >>> pointers = scan.open_buffer(memory, address=0x1000).pointers()
        >>> len(pointers.paths(0x1008))  # a buffer has no module to begin at
        0
        """
        cdef uint64_t address = address_of(target)
        cdef uint32_t steps = min(positive(depth, "depth"), 2**32 - 1)
        cdef uint32_t reach
        cdef size_t most = 0 if limit is None else positive(limit, "limit")
        cdef libgmemx.gmem_paths* found = NULL
        cdef Operation operation
        cdef int32_t status
        if max_offset != 0:
            positive(max_offset, "max_offset")
        if max_offset > 2**31:
            raise InvalidArgumentError(f"max_offset must be at most 2**31, not {max_offset}")
        reach = max_offset
        if self.is_closed:
            raise InvalidArgumentError("the pointer map is closed")
        operation = begin(self.running, threads, progress)
        self.uses += 1
        try:
            with nogil:
                status = libgmemx.gmem_pointers_paths(
                    self.ptr, address, steps, reach, most, &operation.control, &found)
            operation.end(status)
            return PointerPaths(listed(found), address)
        finally:
            libgmemx.gmem_paths_free(found)
            self.uses -= 1
            if self.is_closed:
                self.close()


cdef list listed(const libgmemx.gmem_paths* paths):
    cdef size_t i, n = libgmemx.gmem_paths_len(paths), steps = 0
    cdef uint32_t module = 0
    cdef uint64_t offset = 0
    cdef int64_t[MOST_STEPS] offsets
    cdef const char* name = NULL
    names, made = {}, []
    for i in range(n):
        check(libgmemx.gmem_paths_get(
            paths, i, &module, &offset, offsets, MOST_STEPS, &steps))
        if module not in names:
            check(libgmemx.gmem_paths_module(paths, module, &name))
            names[module] = name.decode("utf-8", "surrogateescape")
        made.append(PointerPath(
            names[module], offset, tuple([offsets[k] for k in range(steps)])))
    return made


def pointer_map(Source source not None, regions, threads, progress, bint stop):
    """`Source.pointers`."""
    cdef PointerMap self = PointerMap.__new__(PointerMap)
    cdef Operation operation
    cdef int32_t status
    cdef const uint64_t[:, ::1] ranges
    if stop:
        with source.stop():
            return pointer_map(source, regions, threads, progress, False)
    source.pin()
    try:
        ranges = ranges_in(source, regions)
        self.running = set()
        operation = begin(source.running, threads, progress)
        with nogil:
            status = libgmemx.gmem_pointers_new(
                source.ptr, <const libgmemx.gmem_range*> &ranges[0, 0], ranges.shape[0],
                &operation.control, &self.ptr)
        operation.end(status)
        return self
    finally:
        source.unpin()
