"""Types by their names, and what a number means to each of them, without loss.

Ordinals are integers that order the values of a type: for integers themselves, for floats
counted from zero, so that the next float is the next ordinal.
"""

from cpython.float cimport PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.number cimport PyIndex_Check
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gmemx._buffers cimport shown

import operator
import sys
from math import inf, isinf, isnan, nextafter

import numpy as np

from gmemx.errors import InvalidArgumentError, ValueOverflowError

SIZES[:] = [1, 1, 2, 2, 4, 4, 8, 8, 4, 8]
NAMES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
         "float32", "float64")
DTYPES = tuple(np.dtype(name) for name in NAMES)
cdef tuple SHORT = ("i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64")
cdef dict BY_NAME = {name: i for i, name in enumerate(NAMES)} | {
    name: i for i, name in enumerate(SHORT)}
cdef dict BY_DTYPE = {dtype: i for i, dtype in enumerate(DTYPES)}
cdef dict FAMILIES = {
    "all": tuple(range(TYPES)),
    "ints": tuple(range(FIRST_FLOAT)),
    "floats": tuple(range(FIRST_FLOAT, TYPES)),
}
GREATEST = [int(np.iinfo(dtype).max) for dtype in DTYPES[:FIRST_FLOAT]] + [
    0x7F80_0000, 0x7FF0_0000_0000_0000]
LEAST = [int(np.iinfo(dtype).min) for dtype in DTYPES[:FIRST_FLOAT]] + [
    -0x7F80_0000, -0x7FF0_0000_0000_0000]


# ---- types ----------------------------------------------------------------------------------

cdef tuple named(object spec):
    """The number of a type, and the byte order that its name gives: '<', '>' or ''."""
    cdef str order = ""
    if isinstance(spec, str):
        if spec in BY_NAME:
            return BY_NAME[spec], ""
        order = spec[:1]
        if order not in ("<", ">", "="):
            raise unknown(spec)
    elif not isinstance(spec, (np.dtype, type)):
        # A DType of gmemx's.
        name = getattr(spec, "name", None)
        if isinstance(name, str) and name in BY_NAME:
            return BY_NAME[name], ""
        raise TypeError(
            f"a type is a name, a NumPy dtype, or several in a list, not {type(spec).__name__}")
    try:
        dtype = np.dtype(spec)
    except TypeError:
        raise unknown(spec) from None
    kind = BY_DTYPE.get(dtype.newbyteorder("="))
    if kind is None:
        raise unknown(spec)
    if dtype.byteorder in "<>":
        return kind, dtype.byteorder
    # NumPy forgets an order that is the machine's own.
    return kind, order if order in "<>" else ""


cdef object unknown(object spec):
    told = repr(spec)
    told = told if len(told) <= 60 else told[:57] + "..."
    return InvalidArgumentError(
        f"{told} is no type of a scan: it is one of {', '.join(SHORT)}, a NumPy dtype of these, "
        "several in a list, 'ints', 'floats' or 'all'")


cdef tuple types_of(object spec, object byteorder):
    cdef list kinds = []
    cdef set orders = set()
    if byteorder not in (None, "little", "big"):
        raise InvalidArgumentError(f"byteorder must be 'little' or 'big', not {byteorder!r}")
    if byteorder is not None:
        orders.add("<" if byteorder == "little" else ">")
    for each in spec if isinstance(spec, (list, tuple, set, frozenset)) else (spec,):
        if isinstance(each, str) and each in FAMILIES:
            kinds += [kind for kind in FAMILIES[each] if kind not in kinds]
            continue
        kind, order = named(each)
        if kind in kinds:
            continue
        kinds.append(kind)
        if order:
            orders.add(order)
    if not kinds:
        raise InvalidArgumentError("a scan needs at least one type, and the list is empty")
    if len(orders) > 1:
        raise InvalidArgumentError("the types of one scan have one byte order, and these have two")
    big = orders == {">"} if orders else sys.byteorder == "big"
    return tuple(kinds), big


cdef int type_of(object spec, bint* big) except -1:
    kinds, order = types_of(spec, None)
    if len(kinds) != 1:
        raise InvalidArgumentError(f"one type is wanted here, not {len(kinds)}: {spec!r}")
    big[0] = order
    return kinds[0]


# ---- numbers ----------------------------------------------------------------------------------

cdef object exact(object value, str name):
    """An int, a Fraction that is none, or an infinite float."""
    if PyLong_CheckExact(value):
        return value
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a number, not a truth value")
    if PyIndex_Check(value):
        return operator.index(value)
    from fractions import Fraction
    from decimal import Decimal
    from numbers import Rational

    if isinstance(value, (float, np.floating, Decimal)):
        if isnan(value):
            raise InvalidArgumentError(f"{name} must be a number, and NaN is equal to none")
        if isinf(value):
            return inf if value > 0 else -inf
        number = Fraction(*value.as_integer_ratio())
    elif isinstance(value, Rational):
        number = Fraction(value)
    else:
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    return number.numerator if number.denominator == 1 else number


cdef object float_of(object number):
    """The nearest float64."""
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


cdef uint64_t float_bits(object number, int kind) except? 0xFFFF_FFFF_FFFF_FFFF:
    """The bits of the nearest value of a float type; infinite where there is no nearer."""
    cdef double wide = float_of(number)
    cdef float narrow
    cdef uint64_t bits
    cdef uint32_t half
    memcpy(&bits, &wide, 8)
    if kind != FIRST_FLOAT:
        return bits
    if not PyFloat_CheckExact(number) and not isinf(wide):
        # Rounded twice it could come out wrong: so the first time to the odd one.
        back = exact(wide, "")
        if back != number:
            if abs(back) > abs(number):
                wide = nextafter(wide, 0.0)
                memcpy(&bits, &wide, 8)
            bits |= 1
            memcpy(&wide, &bits, 8)
    narrow = <float> wide
    memcpy(&half, &narrow, 4)
    return half


cdef object ordinal_of(uint64_t bits, int kind):
    cdef uint64_t sign = (<uint64_t> 1) << (31 if kind == FIRST_FLOAT else 63)
    cdef object magnitude = bits & ~sign
    return -magnitude if bits & sign else magnitude


cdef uint64_t bits_of_ordinal(
    object ordinal, int kind, bint is_lower
) except? 0xFFFF_FFFF_FFFF_FFFF:
    cdef uint64_t sign
    if kind < FIRST_FLOAT:
        return <uint64_t> (ordinal & 0xFFFF_FFFF_FFFF_FFFF)
    sign = (<uint64_t> 1) << (31 if kind == FIRST_FLOAT else 63)
    # Of the two zeros the lower bound is the negative one.
    if ordinal < 0 or (ordinal == 0 and is_lower):
        return sign | <uint64_t> (-ordinal)
    return <uint64_t> ordinal


cdef object number_of(uint64_t bits, int kind):
    cdef double wide
    cdef float narrow
    cdef uint32_t half
    cdef int unused
    if kind == FIRST_FLOAT:
        half = <uint32_t> bits
        memcpy(&narrow, &half, 4)
        return narrow
    if kind > FIRST_FLOAT:
        memcpy(&wide, &bits, 8)
        return wide
    unused = 64 - 8 * <int> SIZES[kind]
    if LEAST[kind] == 0:
        return (bits << unused) >> unused
    return (<int64_t> (bits << unused)) >> unused


cdef object nearest(object number, int kind):
    """The ordinal of the nearest float."""
    return ordinal_of(float_bits(number, kind), kind)


cdef bint is_within(object number, int kind) except -1:
    """Whether a number lies in what a type reaches."""
    if kind < FIRST_FLOAT:
        return LEAST[kind] <= number <= GREATEST[kind]
    return isinf(number) if PyFloat_CheckExact(number) else (
        abs(nearest(number, kind)) < GREATEST[kind])


cdef object too_large(object number, tuple kinds):
    told = told_of(number)
    if len(kinds) > 1:
        return ValueOverflowError(f"{told} fits none of {', '.join(NAMES[kind] for kind in kinds)}")
    kind = kinds[0]
    if kind >= FIRST_FLOAT:
        return ValueOverflowError(f"{told} is more than {NAMES[kind]} can hold")
    return ValueOverflowError(
        f"{told} does not fit {NAMES[kind]}, which goes from {LEAST[kind]} to {GREATEST[kind]}")


cdef object not_whole(object number, tuple kinds):
    return InvalidArgumentError(
        f"{told_of(number)} is not a whole number, as {NAMES[kinds[0]]} holds")


cdef str told_of(object number):
    """A number for a message: as an integer where it is one that 64 bits could hold."""
    if isinstance(number, int) and (abs(number) < 2**70 or float_of(number) != number):
        return shown(number)
    return repr(float_of(number))


cdef bint fits(object value, int kind, uint64_t* bits) except -1:
    if isinstance(value, (float, np.floating)) and isnan(value):
        if kind < FIRST_FLOAT:
            raise InvalidArgumentError(f"NaN is not a whole number, as {NAMES[kind]} holds")
        bits[0] = 0x7FC0_0000 if kind == FIRST_FLOAT else 0x7FF8_0000_0000_0000
        return True
    number = exact(value, "the value")
    if not is_within(number, kind):
        return False
    if kind >= FIRST_FLOAT:
        bits[0] = float_bits(number, kind)
        # Minus zero is equal to zero, and written as it is.
        if number == 0 and isinstance(value, (float, np.floating)) and np.signbit(value):
            bits[0] = bits_of_ordinal(0, kind, True)
        return True
    if not isinstance(number, int):
        raise not_whole(number, (kind,))
    bits[0] = bits_of_ordinal(number, kind, False)
    return True


cdef uint64_t bits_of(object value, int kind) except? 0xFFFF_FFFF_FFFF_FFFF:
    cdef uint64_t bits = 0
    if not fits(value, kind, &bits):
        raise too_large(exact(value, "the value"), (kind,))
    return bits


cdef uint64_t swapped(uint64_t bits, size_t size) noexcept:
    cdef uint64_t out = 0
    cdef size_t i
    for i in range(size):
        out = out << 8 | (bits >> 8 * i & 0xFF)
    return out


# ---- many values ------------------------------------------------------------------------------

cdef object value_array(object values, int kind):
    dtype = DTYPES[kind]
    array = np.asarray(values)
    if array.dtype == dtype:
        return np.require(array, requirements="CA")
    given = array.dtype.kind
    if kind < FIRST_FLOAT and given == "f" and not isinstance(values, (np.ndarray, np.generic)):
        # NumPy makes floats of integers on both sides of 2**63.
        array, given = np.asarray(values, dtype=object), "O"
    if given == "O" or (array.size == 0 and not isinstance(values, np.ndarray)):
        converted = np.empty(array.shape, dtype=dtype)
        for i, value in enumerate(array.flat):
            converted.flat[i] = number_of(bits_of(value, kind), kind)
        return converted
    if given not in "iuf":
        raise TypeError(f"values must be real numbers, not {array.dtype}")
    if kind >= FIRST_FLOAT:
        with np.errstate(over="ignore"):
            converted = array.astype(dtype)
        lost = np.isinf(converted) & ~np.isinf(array) if given == "f" else ()
        if np.any(lost):
            raise too_large(exact(array[lost].flat[0], "a value"), (kind,))
        return np.require(converted, requirements="CA")
    if given == "f":
        array = array.astype(np.float64)
        wrong = array != np.trunc(array)
        # The bound above is a power of two, and so a float.
        outside = (array < float(LEAST[kind])) | (array >= float(GREATEST[kind] + 1))
    else:
        wrong = np.False_
        outside = (array < LEAST[kind]) | (array > GREATEST[kind])
    bad = wrong | outside
    if np.any(bad):
        # Raises for the first of them.
        bits_of(array[bad].flat[0], kind)
    return np.require(array.astype(dtype), requirements="CA")
