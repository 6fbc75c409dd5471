"""Look at generative memory.

gmemx gen plot --seed 42 --output cells.png
gmemx gen plot --shape 1000,1000000 --distribution "normal(0, 2)" --slice "500, :300"
gmemx gen plot --shape 512,512 --distribution "integers(1, 7)" --dtype uint8 --generator philox

The picture shows a slice, its histogram with the distribution's density, and its
autocorrelation. It needs matplotlib: pip install 'gmemx[plot]'
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from types import EllipsisType

import gmemx
from gmemx.cli.arguments import positive, u64
from gmemx.distributions import Distribution, distribution_of

HELP = "draw generative memory"

MAKERS: dict[str, Callable[..., Distribution]] = {
    "uniform": gmemx.uniform,
    "normal": gmemx.normal,
    "integers": gmemx.integers,
    "bernoulli": gmemx.bernoulli,
    "choice": gmemx.choice,
}

Part = int | slice | EllipsisType


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``gmemx gen``: a command of its own."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    text = "draw a slice of an array, its histogram and its autocorrelation"
    child = actions.add_parser("plot", help=text, description=text.capitalize() + ".")
    child.add_argument("--seed", metavar="S", type=u64, default=0, help="seed (default 0)")
    child.add_argument(
        "--generator", metavar="G", default="vrns16", help="vrns16 (the default) or philox"
    )
    child.add_argument(
        "--shape", metavar="N,N", type=shape, default=(256, 256), help="shape (default 256,256)"
    )
    child.add_argument("--dtype", metavar="T", default="float64", help="dtype (default float64)")
    child.add_argument(
        "--offset", metavar="A", type=u64, default=0, help="address of the first cell (default 0)"
    )
    child.add_argument(
        "--distribution",
        metavar="D",
        type=distribution,
        default="uniform",
        help="uniform, normal, or with parameters: 'normal(0, 2)', 'integers(1, 7)', "
        "'bernoulli(0.3)', 'choice([1, 2], p=[0.9, 0.1])'",
    )
    child.add_argument(
        "--slice", metavar="I,I", type=key, default=..., help="what to draw, as a[...] has it"
    )
    child.add_argument("--bins", metavar="N", type=positive, help="bins of the histogram")
    child.add_argument(
        "--lags", metavar="N", type=positive, default=64, help="the greatest lag (default 64)"
    )
    child.add_argument(
        "-o", "--output", metavar="FILE", default="gmemx.png", help="PNG (default gmemx.png)"
    )


def run(args: argparse.Namespace) -> int:
    """Draw what was asked for.

    Parameters
    ----------
    args : argparse.Namespace
        As `configure` declares them.

    Returns
    -------
    int
        0.

    Raises
    ------
    ModuleNotFoundError
        Without matplotlib.
    OSError
        If the file cannot be written.
    ValueError, IndexError
        For an array or a slice that cannot be, or cannot be drawn.
    """
    context = gmemx.GMemContext(args.seed, generator=args.generator)
    array = context.array(
        args.shape, args.dtype, args.offset, distribution=args.distribution
    )[args.slice]  # fmt: skip
    if not isinstance(array, gmemx.VirtualArray):
        raise ValueError("the slice is a single element: there is nothing to draw")
    gmemx.plot(array, args.output, bins=args.bins, lags=args.lags)
    print(f"{args.output}: {array.size:,} elements, shape {array.shape}")
    return 0


def shape(text: str) -> tuple[int, ...]:
    """Read a shape, such as ``1000,1_000``."""
    try:
        return tuple(int(part, 0) for part in text.strip("()").rstrip(",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no shape: expected integers with commas between, such as 1000,1000"
        ) from None


def distribution(text: str) -> Distribution:
    """Read a distribution, such as ``normal`` or ``integers(1, 7)``."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return distribution_of(text.strip())
        if not isinstance(call.func, ast.Name) or call.func.id not in MAKERS:
            raise ValueError(f"expected one of {', '.join(MAKERS)}")
        arguments = [ast.literal_eval(argument) for argument in call.args]
        named = {str(more.arg): ast.literal_eval(more.value) for more in call.keywords}
        return MAKERS[call.func.id](*arguments, **named)
    except (SyntaxError, TypeError, ValueError, ArithmeticError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no distribution: {error}") from None


def key(text: str) -> tuple[Part, ...]:
    """Read an index, such as ``5, ::2`` or ``..., 0``."""
    return tuple(part_of(part.strip(), text) for part in text.strip("[]").split(","))


def part_of(part: str, text: str) -> Part:
    """Read one part of an index."""
    if part == "...":
        return ...
    try:
        numbers = [int(number, 0) if number.strip() else None for number in part.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) == 1 and numbers[0] is not None:
        return numbers[0]
    if len(numbers) in (2, 3):
        return slice(*numbers)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no index: expected integers, slices and ... with commas between, "
        "such as 5,::2"
    )
