"""Slices of the address space, which is too long for Python's own."""

from gmemx._buffers cimport shown

import operator

from gmemx.errors import InvalidArgumentError, OutOfRangeError

cdef object CELLS = 2**64


cdef class Run:
    pass


cdef object bound(object value, object default, str name):
    if value is None:
        return default
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"slice {name} must be an integer or None, not {type(value).__name__}"
        ) from None
    if not 0 <= number <= CELLS:
        raise OutOfRangeError(f"slice {name} {shown(number)} is outside [0, 2**64]")
    return number


cdef Run run_of(slice where):
    cdef Run run = Run.__new__(Run)
    try:
        step = 1 if where.step is None else operator.index(where.step)
    except TypeError:
        raise TypeError(
            f"slice step must be an integer or None, not {type(where.step).__name__}"
        ) from None
    if step == 0:
        raise InvalidArgumentError("slice step must not be zero")
    start = bound(where.start, 0 if step > 0 else CELLS - 1, "start")
    if step > 0:
        run.n = max(0, -((start - bound(where.stop, CELLS, "stop")) // step))
    else:
        if start == CELLS:
            raise OutOfRangeError("slice start 2**64 is no address: a backward slice begins below")
        run.n = max(0, -((bound(where.stop, -1, "stop") - start) // -step))
    run.start = start % CELLS
    # A step of 2**64 and more reaches one cell at most, and must not become 0.
    run.step = step % CELLS if run.n > 1 else 1
    return run
