"""Shapes and strides of virtual arrays: tuples of Python's integers, which have no end.

Strides count cells. Nothing here knows of a context or of values.
"""

import math
import operator
from collections.abc import Iterator
from typing import Any

from gmemx.errors import InvalidArgumentError, OutOfRangeError

CELLS = 2**64
MAX_NDIM = 64
# Elements between two looks for Ctrl-C: some tens of milliseconds.
PATIENCE = 1 << 22
# More elements of eight bytes than there is memory for.
TOO_MANY = 2**60

Ints = tuple[int, ...]


def shape_of(shape: Any) -> Ints:
    """A shape as a tuple, checked."""
    extents = shape if isinstance(shape, (tuple, list)) else (shape,)
    if len(extents) > MAX_NDIM:
        raise InvalidArgumentError(
            f"an array has at most {MAX_NDIM} dimensions, not {len(extents)}"
        )
    numbers = []
    for extent in extents:
        try:
            number = operator.index(extent)
        except TypeError:
            raise TypeError(
                f"a shape is an integer or a tuple of them, not {type(extent).__name__}"
            ) from None
        if number < 0:
            raise InvalidArgumentError(f"an extent must not be negative, and one is {number}")
        if number > CELLS:
            raise OutOfRangeError("an extent of more than 2**64 would leave [0, 2**64)")
        numbers.append(number)
    return tuple(numbers)


def strides_of(shape: Ints, order: str) -> Ints:
    """The strides of an array whose cells follow each other in that order."""
    strides, step = [], 1
    for extent in reversed(shape) if order == "C" else shape:
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides)) if order == "C" else tuple(strides)


def order_of(shape: Ints, strides: Ints) -> str | None:
    """'C' or 'F' where the cells follow each other in that order, otherwise None."""
    if 0 in shape:
        return "C"
    for order in "CF":
        fits = zip(shape, strides, strides_of(shape, order), strict=True)
        if all(extent == 1 or stride == step for extent, stride, step in fits):
            return order
    return None


def position(index: Any, axis: int, shape: Ints) -> int:
    """An index into an axis, counted from its front."""
    number = operator.index(index)
    extent = shape[axis]
    if not -extent <= number < extent:
        shown = number if number.bit_length() <= 256 else f"of {number.bit_length()} bits"
        raise OutOfRangeError(f"index {shown} is out of bounds for axis {axis} with size {extent}")
    return number + extent if number < 0 else number


def select(shape: Ints, strides: Ints, key: Any) -> tuple[int, Ints, Ints]:
    """What an index leaves: the distance to its first cell, shape and strides."""
    parts = complete(shape, key)
    offset, left, steps, axis = 0, [], [], 0
    for part in parts:
        if part is None:
            left.append(1)
            steps.append(0)
            continue
        if isinstance(part, slice):
            run = range(*bounds(part, shape[axis]))
            count = length(run)
            if count:
                offset += run[0] * strides[axis]
            left.append(count)
            steps.append(strides[axis] * run.step)
        else:
            offset += position(part, axis, shape) * strides[axis]
        axis += 1
    if len(left) > MAX_NDIM:
        raise InvalidArgumentError(f"an array has at most {MAX_NDIM} dimensions")
    # Nothing is there to point to, and no address is made up.
    return (0 if 0 in left else offset), tuple(left), tuple(steps)


def bounds(part: slice, extent: int) -> tuple[int, int, int]:
    """Start, stop and step of a slice of so many."""
    try:
        return part.indices(extent)
    except ValueError:
        raise InvalidArgumentError("slice step must not be zero") from None


def length(run: range) -> int:
    """The length of a range, which len() does not give beyond sys.maxsize."""
    distance = run.stop - run.start
    return max(0, -(-distance // run.step))


def complete(shape: Ints, key: Any) -> list[Any]:
    """An index with a part for every axis, and Nones between."""
    parts = key if isinstance(key, tuple) else (key,)
    given = ellipses = 0
    for part in parts:
        if part is Ellipsis:
            ellipses += 1
        elif part is not None:
            if not isinstance(part, slice) and not is_index(part):
                raise TypeError(
                    "a virtual array is indexed by integers, slices, ellipsis and None, "
                    f"not {type(part).__name__}"
                )
            given += 1
    if ellipses > 1:
        raise OutOfRangeError("an index can have only one ellipsis ('...')")
    if given > len(shape):
        raise OutOfRangeError(
            f"too many indices for array: array is {len(shape)}-dimensional, "
            f"but {given} were indexed"
        )
    full: list[Any] = []
    for part in parts if ellipses else (*parts, Ellipsis):
        full += [slice(None)] * (len(shape) - given) if part is Ellipsis else [part]
    return full


def is_index(part: Any) -> bool:
    """Whether something is an integer, and no bool."""
    return hasattr(part, "__index__") and type(part).__name__ not in ("bool", "bool_", "ndarray")


def axis_of(axis: Any, ndim: int) -> int:
    """The number of an axis; IndexError where there is none."""
    try:
        number = operator.index(axis)
    except TypeError:
        raise TypeError(f"an axis is an integer, not {type(axis).__name__}") from None
    if not -ndim <= number < ndim:
        raise OutOfRangeError(f"axis {number} is out of bounds for array of dimension {ndim}")
    return number % ndim


def permutation(axes: tuple[Any, ...], ndim: int) -> list[int]:
    """The axes that `transpose` is given, or all of them backwards."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        axes = tuple(axes[0] or ())
        if ndim and not axes:
            axes = tuple(reversed(range(ndim)))
    elif not axes:
        axes = tuple(reversed(range(ndim)))
    numbers = [axis_of(axis, ndim) for axis in axes]
    if sorted(numbers) != list(range(ndim)):
        raise InvalidArgumentError(f"axes {tuple(axes)} are no permutation of {ndim} axes")
    return numbers


def reshaped(shape: Ints, strides: Ints, wanted: tuple[Any, ...]) -> tuple[Ints, Ints]:
    """Another shape of the same elements in C order; ValueError where no strides give it."""
    if len(wanted) == 1 and isinstance(wanted[0], (tuple, list)):
        wanted = tuple(wanted[0])
    size, numbers = math.prod(shape), [operator.index(extent) for extent in wanted]
    known = math.prod(number for number in numbers if number != -1)
    if numbers.count(-1) == 1 and known > 0 and size % known == 0:
        numbers[numbers.index(-1)] = size // known
    new = shape_of(tuple(number if number != -1 else 0 for number in numbers))
    if -1 in numbers or math.prod(new) != size:
        raise InvalidArgumentError(
            f"cannot reshape array of size {size} into shape {tuple(wanted)}"
        )
    if size == 0:
        return new, strides_of(new, "C")
    # Axes that are walked evenly make one run; each new axis must divide the run it falls into.
    runs: list[tuple[int, int]] = []
    for extent, stride in zip(shape, strides, strict=True):
        if extent == 1:
            continue
        if runs and runs[-1][1] == stride * extent:
            runs[-1] = (runs[-1][0] * extent, stride)
        else:
            runs.append((extent, stride))
    steps, left, step = [], 1, 1
    for extent in reversed(new):
        if extent != 1 and left == 1 and runs:
            left, step = runs.pop()
        if left % extent:
            raise InvalidArgumentError(
                f"an array of shape {shape} and strides {strides} has no view of shape {new}: "
                "reshape what numpy() gives"
            )
        steps.append(step)
        left //= extent
        step *= extent
    return new, tuple(reversed(steps))


def natural(strides: Ints) -> list[int]:
    """The axes in the order in which cells lie closest: the furthest apart first."""
    return sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]))


def parts(shape: Ints, limit: int) -> Iterator[tuple[Ints, slice | None]]:
    """Cut an array into pieces that follow each other in C order, of about `limit` elements.

    Each is given as the indices of the leading axes and a slice of the next one, all of which
    it takes; without an axis left the slice is None.
    """
    if 0 in shape:
        return
    axis, inner = len(shape), 1
    while axis > 0 and inner * shape[axis - 1] <= limit:
        axis -= 1
        inner *= shape[axis]
    if axis == 0:
        yield (), (slice(0, shape[0]) if shape else None)
        return
    axis -= 1
    rows = max(1, limit // inner)
    for leading in indices(shape[:axis]):
        start = 0
        while start < shape[axis]:
            stop = min(start + rows, shape[axis])
            yield leading, slice(start, stop)
            start = stop


def indices(shape: Ints) -> Iterator[Ints]:
    """All indices of an array in C order; itertools.product would keep every extent in memory."""
    at = [0] * len(shape)
    while True:
        yield tuple(at)
        for axis in reversed(range(len(shape))):
            at[axis] += 1
            if at[axis] < shape[axis]:
                break
            at[axis] = 0
        else:
            return
