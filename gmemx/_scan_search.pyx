"""Searches of a source: its regions, and patterns of bytes in them."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gmemx cimport libgmemx
from gmemx._scan_operation cimport Operation, begin
from gmemx._scan_source cimport Source, positive
from gmemx.status cimport check

import numpy as np

from gmemx._scan_data import found_in, skipped_of
from gmemx._scan_regions import KINDS, Region, flags_of, ranges_of
from gmemx.errors import InvalidArgumentError


def all_regions(Source self not None):
    """Every region there is, a list of Region."""
    cdef libgmemx.gmem_regions* regions = NULL
    cdef libgmemx.gmem_region each
    cdef size_t i
    self.pin()
    try:
        with nogil:
            check(libgmemx.gmem_source_regions(self.ptr, &regions))
        found = []
        for i in range(libgmemx.gmem_regions_len(regions)):
            check(libgmemx.gmem_regions_get(regions, i, &each))
            found.append(Region(
                each.start, each.end, flags_of(each.permissions), KINDS[each.kind], each.offset,
                each.name.decode("utf-8", "surrogateescape"), each.inode,
                (each.device_major, each.device_minor)))
        return found
    finally:
        libgmemx.gmem_regions_free(regions)
        self.unpin()


cdef object ranges_in(Source self, object regions):
    cdef libgmemx.gmem_regions* found = NULL
    cdef libgmemx.gmem_region each
    cdef size_t i
    if regions is not None:
        return ranges_of(regions)
    spans = []
    with nogil:
        check(libgmemx.gmem_source_regions(self.ptr, &found))
    try:
        for i in range(libgmemx.gmem_regions_len(found)):
            check(libgmemx.gmem_regions_get(found, i, &each))
            # The kernel's own pages are no memory of the process's.
            if each.permissions & 1 and each.kind != libgmemx.GMEM_REGION_KIND_SPECIAL:
                spans.append((each.start, each.end))
    finally:
        libgmemx.gmem_regions_free(found)
    if not spans:
        raise InvalidArgumentError(f"there is nothing to scan: {self!r} has no readable region")
    return np.array(spans, dtype=np.uint64)


def find(Source self not None, wanted, regions, limit, alignment, threads, progress):
    """Where a pattern is, a Found."""
    cdef const uint8_t[::1] data = wanted.data
    cdef const uint8_t[::1] mask = wanted.mask
    cdef size_t most = 0 if limit is None else positive(limit, "limit")
    cdef uint32_t each = min(positive(alignment, "alignment"), 2**32 - 1)
    cdef Operation operation
    cdef libgmemx.gmem_found* found = NULL
    cdef int32_t status
    cdef const uint64_t[:, ::1] ranges
    self.pin()
    try:
        ranges = ranges_in(self, regions)
        operation = begin(self.running, threads, progress)
        with nogil:
            status = libgmemx.gmem_source_find(
                self.ptr, <const libgmemx.gmem_range*> &ranges[0, 0], ranges.shape[0],
                &data[0], &mask[0], data.shape[0], each, most, False, &operation.control, &found)
        operation.end(status)
        return taken(found)
    finally:
        libgmemx.gmem_found_free(found)
        self.unpin()


cdef object taken(const libgmemx.gmem_found* found):
    """The addresses, copied, and what was skipped."""
    cdef size_t i, n = libgmemx.gmem_found_len(found)
    cdef libgmemx.gmem_skipped each
    addresses = np.empty(n, dtype=np.uint64)
    cdef uint64_t[::1] room = addresses
    if n:
        memcpy(&room[0], libgmemx.gmem_found_data(found), n * sizeof(uint64_t))
    skipped = []
    for i in range(libgmemx.gmem_found_skipped_len(found)):
        check(libgmemx.gmem_found_skipped(found, i, &each))
        skipped.append(skipped_of(each.start, each.end, each.reason))
    return found_in(addresses, skipped)
