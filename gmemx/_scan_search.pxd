from gmemx._scan_source cimport Source

# What a scan is to go through, rows of start and end, read anew; None for all that is readable.
cdef object ranges_in(Source self, object regions)
