"""Every case by library and name; each is a function without arguments."""

from functools import partial

from . import checks
from .routes import ROUTES
from .situations import DTYPES

CASES = {}


def add(library, name, function):
    known = CASES.setdefault(library, {})
    assert name not in known, name
    known[name] = function


def case(library):
    """Adds a function, which is named by the first line of its docstring."""

    def decorate(function):
        add(library, function.__doc__.splitlines()[0].rstrip("."), function)
        return function

    return decorate


for route in ROUTES:
    for dtype in DTYPES:
        add(route.library, f"{route.name}, {dtype}", partial(checks.outcomes, route, dtype))

# They add themselves.
from . import arrow, capsules, promises  # noqa: E402, F401
