"""The least and the greatest value of each type that pass a comparison.

They are worked out on ordinals, where one below and one above are the next values.
"""

from cpython.float cimport PyFloat_CheckExact
from cpython.number cimport PyIndex_Check
from libc.stdint cimport uint64_t

from gmemx cimport libgmemx
from gmemx._buffers cimport shown
from gmemx._scan_values cimport (
    FIRST_FLOAT, GREATEST, LEAST, NAMES, TYPES, bits_of_ordinal, exact, float_bits, is_within,
    nearest, not_whole, number_of, told_of, too_large,
)

import operator
from math import ceil, floor, inf

import numpy as np

from gmemx.errors import InvalidArgumentError, ValueOverflowError

COMPARES = ("eq", "ne", "lt", "gt", "le", "ge", "between")


cdef class Slack:
    """How far from a value another still counts as equal to it."""
    # An exact number on either side; None for none.
    cdef object width
    # Whether the width is that of a rounding, which need not reach any value of a type.
    cdef bint is_rounding
    # Floats on either side; None for none.
    cdef object ulps


cdef Slack slack_of(object tolerance, object ulps, object rounded):
    cdef Slack slack = Slack()
    given = {"tolerance": tolerance, "ulps": ulps, "rounded": rounded}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise InvalidArgumentError(f"{names[0]} and {names[1]} cannot be given together")
    if tolerance is not None:
        number = exact(tolerance, "tolerance")
        if number < 0 or PyFloat_CheckExact(number):
            raise InvalidArgumentError(
                f"tolerance must be finite and not negative, not {tolerance}")
        slack.width = written(tolerance, number)
    elif rounded is not None:
        if isinstance(rounded, bool) or not PyIndex_Check(rounded):
            raise TypeError(f"rounded must be a number of decimals, not {type(rounded).__name__}")
        decimals = operator.index(rounded)
        if not -400 <= decimals <= 400:
            raise InvalidArgumentError(
                f"rounded must be from -400 to 400 decimals, not {shown(decimals)}")
        from fractions import Fraction

        slack.width = Fraction(10) ** -decimals / 2
        slack.is_rounding = True
    elif ulps is not None:
        if isinstance(ulps, bool) or not PyIndex_Check(ulps):
            raise TypeError(f"ulps must be an integer, not {type(ulps).__name__}")
        slack.ulps = operator.index(ulps)
        if slack.ulps < 0:
            raise InvalidArgumentError(f"ulps must not be negative, and it is {shown(slack.ulps)}")
    return slack


cdef object written(object value, object number):
    """The decimal number that a float is written as, which is what its writer means by it."""
    from fractions import Fraction

    # `number` is the exact one; those that are whole are written as they are.
    if isinstance(number, Fraction):
        if isinstance(value, float):
            return Fraction(float.__repr__(value))
        if isinstance(value, np.floating):
            return Fraction(str(value))
    return number


cdef object at_least(object number, int kind):
    """The ordinal of the least value that is not below a number."""
    if kind < FIRST_FLOAT:
        return ceil(number)
    found = nearest(number, kind)
    return found + 1 if number_of(bits_of_ordinal(found, kind, False), kind) < number else found


cdef object at_most(object number, int kind):
    if kind < FIRST_FLOAT:
        return floor(number)
    found = nearest(number, kind)
    return found - 1 if number_of(bits_of_ordinal(found, kind, False), kind) > number else found


cdef tuple around(object value, object number, int kind, Slack slack):
    """The ordinals of the least and the greatest value that count as equal to a number."""
    cdef bint is_infinite = PyFloat_CheckExact(number)
    if kind < FIRST_FLOAT and is_infinite:
        return (GREATEST[kind] + 1, GREATEST[kind] + 1) if number > 0 else (
            LEAST[kind] - 1, LEAST[kind] - 1)
    if slack.width is not None and not is_infinite:
        meant = written(value, number)
        low, high = at_least(meant - slack.width, kind), at_most(meant + slack.width, kind)
        if slack.is_rounding:
            return low, high
        # What is nearest to a number counts as equal to it, however small the tolerance.
        if kind >= FIRST_FLOAT:
            middle = nearest(number, kind)
        elif isinstance(number, int):
            middle = number
        else:
            return low, high
        return min(low, middle), max(high, middle)
    if kind < FIRST_FLOAT:
        return ceil(number), floor(number)
    middle = nearest(number, kind)
    if slack.ulps is None or is_infinite:
        return middle, middle
    most = GREATEST[kind] - 1
    return max(middle - slack.ulps, -most), min(middle + slack.ulps, most)


cdef int store(
    libgmemx.gmem_scan_bounds* out, object low, object high, int kind, bint negated
) except -1:
    low, high = max(low, LEAST[kind]), min(high, GREATEST[kind])
    # Not equal to nothing is everything.
    out.none = low > high and not negated
    if low > high:
        low, high = GREATEST[kind], LEAST[kind]
    out.lo = bits_of_ordinal(low, kind, True)
    out.hi = bits_of_ordinal(high, kind, False)
    return 0


cdef int fill_bounds(
    libgmemx.gmem_scan_bounds* out, tuple kinds, str compare, object value, object high,
    object tolerance, object ulps, object rounded,
) except -1:
    cdef Slack slack = slack_of(tolerance, ulps, rounded)
    cdef int kind
    cdef size_t i
    cdef bint is_equality = compare == "eq" or compare == "ne"
    cdef bint any_fits = False, any_high_fits = False, any_whole = False
    if slack.ulps is not None and max(kinds) < FIRST_FLOAT:
        raise InvalidArgumentError("ulps are for floats: give a tolerance for integers")
    number = exact(value, "the value")
    ending = number
    if compare == "between":
        ending = exact(high, "high")
        if ending < number:
            raise InvalidArgumentError(
                f"the first of two bounds must not be above the second, and {value} is "
                f"above {high}")
    for i, kind in enumerate(kinds):
        fitting = is_within(number, kind)
        any_fits |= fitting
        low, top = around(value, number, kind, slack)
        if is_equality:
            whole = kind >= FIRST_FLOAT or slack.width is not None or low <= top
            any_whole |= fitting and whole
            if not (fitting and whole):
                out[i].none, out[i].lo, out[i].hi = True, 0, 0
                continue
        if compare == "lt":
            low, top = LEAST[kind], low - 1
        elif compare == "le":
            low, top = LEAST[kind], top
        elif compare == "gt":
            low, top = top + 1, GREATEST[kind]
        elif compare == "ge":
            low, top = low, GREATEST[kind]
        elif compare == "between":
            any_high_fits |= is_within(ending, kind)
            _, top = around(high, ending, kind, slack)
        store(out + i, low, top, kind, compare == "ne")
    if not any_fits:
        raise too_large(number, kinds)
    if is_equality and not any_whole:
        raise not_whole(number, kinds)
    if compare == "between" and not any_high_fits:
        raise too_large(ending, kinds)
    return 0


cdef bint fill_amounts(
    libgmemx.gmem_scan_bounds* out, tuple kinds, object amount, object high,
    object tolerance, object rounded,
) except -1:
    cdef Slack slack = slack_of(tolerance, None, rounded)
    cdef int kind
    cdef size_t i
    cdef bint any_fits = False, any_whole = False, negative
    number = exact(amount, "the amount")
    ending = number if high is None else exact(high, "high")
    if PyFloat_CheckExact(number) or PyFloat_CheckExact(ending):
        raise InvalidArgumentError("an amount must be finite, and this is infinite")
    negative = number < 0
    if negative:
        if high is not None:
            raise InvalidArgumentError(f"a range of amounts must not begin below 0, at {amount}")
        number, amount = -number, -amount
        ending = number
    if high is None:
        high = amount
    if ending < number:
        raise InvalidArgumentError(
            f"the first of two amounts must not be above the second, and {amount} is above {high}")
    for i, kind in enumerate(kinds):
        if kind < FIRST_FLOAT:
            # As large as the amount between the least and the greatest value.
            if number > GREATEST[kind] - LEAST[kind]:
                out[i].none, out[i].lo, out[i].hi = True, 0, 0
                continue
            any_fits = True
            low, _ = around(amount, number, 7, slack)
            _, top = around(high, ending, 7, slack)
            any_whole |= low <= top or slack.width is not None
            kind = 7
        else:
            any_fits = any_whole = True
            # Differences of either float type are float64.
            kind = TYPES - 1
            low, _ = around(amount, number, kind, slack)
            _, top = around(high, ending, kind, slack)
        store(out + i, max(low, 0), top, kind, False)
    if not any_fits:
        raise ValueOverflowError(
            f"no value of {' or '.join(NAMES[kind] for kind in kinds)} can change by "
            f"{told_of(number)}")
    if not any_whole:
        raise not_whole(number, kinds)
    return negative


cdef int fill_percents(
    libgmemx.gmem_scan_bounds* out, tuple kinds, object low, object high, bint negative
) except -1:
    cdef uint64_t least, most
    first = exact(low, "the percentage")
    last = inf if high is None else exact(high, "the percentage")
    if first < 0 or last < first:
        raise InvalidArgumentError(
            f"percentages must be from 0 up, the lower one first, not {low} and {high}"
            if high is not None else f"a percentage must not be negative, and it is {low}")
    if PyFloat_CheckExact(first):
        raise InvalidArgumentError("a percentage must be finite, and this is infinite")
    if negative:
        first, last = -last, -first
    least, most = float_bits(first, TYPES - 1), float_bits(last, TYPES - 1)
    for i in range(len(kinds)):
        out[i].lo, out[i].hi, out[i].none = least, most, False
    return 0
