"""Bounds of each type for the core's tests; what is compared with is exact."""
from gmemx cimport libgmemx

# For WITHIN; see `Scanner.initial_scan`.
cdef int fill_bounds(
    libgmemx.gmem_scan_bounds* out, tuple kinds, str compare, object value, object high,
    object tolerance, object ulps, object rounded,
) except -1
# Amounts for INCREASED_BY and DECREASED_BY; whether the amount was negative.
cdef bint fill_amounts(
    libgmemx.gmem_scan_bounds* out, tuple kinds, object amount, object high,
    object tolerance, object rounded,
) except -1
# The same for PERCENT.
cdef int fill_percents(
    libgmemx.gmem_scan_bounds* out, tuple kinds, object low, object high, bint negative
) except -1
