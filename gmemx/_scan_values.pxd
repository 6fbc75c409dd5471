"""The ten types a scanner knows, and exact numbers of them.

The numbers are those of ``gmem_value_type``.
"""
from libc.stdint cimport uint64_t

from gmemx cimport libgmemx

cdef enum:
    TYPES = 10
    FIRST_FLOAT = 8

# Bytes of each type.
cdef size_t[TYPES] SIZES
# NumPy's names and dtypes, in the byte order of this machine.
cdef tuple NAMES, DTYPES

# The numbers of the types that `spec` names, and whether they are big endian.
cdef tuple types_of(object spec, object byteorder)
# As types_of, where it must be one.
cdef int type_of(object spec, bint* big) except -1
# An int, a Fraction that is none, or an infinite float; `name` is what the caller calls it.
cdef object exact(object value, str name)
# The bits of a number as a value of the type, sign- or zero-extended; never rounded but to
# the nearest float. ValueError, OverflowError or TypeError where it is none.
cdef uint64_t bits_of(object value, int kind) except? 0xFFFF_FFFF_FFFF_FFFF
# As bits_of, and whether it fits at all in place of the error for one that does not.
cdef bint fits(object value, int kind, uint64_t* bits) except -1
# The number for the bits of a value.
cdef object number_of(uint64_t bits, int kind)
# The bounds of each type for a test; what is compared with is exact. See `Scanner.initial_scan`.
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
# Values for cells of a type, as an array of it; errors as of bits_of.
cdef object value_array(object values, int kind)
# The bytes of a value turned round.
cdef uint64_t swapped(uint64_t bits, size_t size) noexcept
