"""The ten types a scanner knows, and exact numbers of them.

The numbers are those of ``gmem_value_type``.
"""
from libc.stdint cimport uint64_t

cdef enum:
    TYPES = 10
    FIRST_FLOAT = 8

# Bytes of each type.
cdef size_t[TYPES] SIZES
# NumPy's names and dtypes, in the byte order of this machine.
cdef tuple NAMES, DTYPES
# The least and the greatest ordinal of each type; of floats those of the infinities.
cdef list GREATEST, LEAST

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
# The bits of the nearest value of a float type; infinite where there is no nearer.
cdef uint64_t float_bits(object number, int kind) except? 0xFFFF_FFFF_FFFF_FFFF
# The bits of the value with an ordinal; a lower bound is the negative one of two zeros.
cdef uint64_t bits_of_ordinal(
    object ordinal, int kind, bint is_lower
) except? 0xFFFF_FFFF_FFFF_FFFF
# The ordinal of the nearest float.
cdef object nearest(object number, int kind)
# Whether an exact number lies in what a type reaches.
cdef bint is_within(object number, int kind) except -1
# The errors for a number that no type can hold, or that is not whole; a number for a message.
cdef object too_large(object number, tuple kinds)
cdef object not_whole(object number, tuple kinds)
cdef str told_of(object number)
# Values for cells of a type, as an array of it; errors as of bits_of.
cdef object value_array(object values, int kind)
# The bytes of a value turned round.
cdef uint64_t swapped(uint64_t bits, size_t size) noexcept
