"""Typed calls: objects to JSON, and JSON to the type that is wanted.

Pydantic models and msgspec structs do it themselves; neither library is imported here unless
such an object is given.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from gmemx.errors import SerializationError

Converter = Callable[[Any], Any]

SEQUENCES = {list: list, Sequence: list, MutableSequence: list, set: set, frozenset: frozenset}
MAPPINGS = (dict, Mapping, MutableMapping)
PLAIN = {str: "a string", bool: "true or false", type(None): "null"}


class _UnfitError(Exception):
    """What is wrong, told from the inside out."""


# ---- requests -------------------------------------------------------------------------


def encoded(request: object) -> str | bytes:
    """A request as JSON; bytes, of which JSON has none, are such a text already."""
    kind = type(request)
    try:
        if kind is dict or kind is list:
            return encode(request)
        if kind is bytes:
            return request
        if hasattr(kind, "__struct_fields__"):
            import msgspec

            return msgspec.json.encode(request)
        if hasattr(kind, "model_dump_json"):
            return request.model_dump_json()
        return encode(request)
    except (TypeError, ValueError, RecursionError) as error:
        raise SerializationError(f"the request has no form in JSON: {error}") from None


def plain(value: object) -> Any:
    """What JSON has no form for by itself, one step nearer to it."""
    kind = type(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(kind, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(kind, "__struct_fields__"):
        import msgspec

        return msgspec.to_builtins(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is a {kind.__name__}")


ENCODER = json.JSONEncoder(default=plain, ensure_ascii=False, allow_nan=False)
# What JSONEncoder makes anew for each text, at several times the cost of a small one. It does
# not look for cycles, which end at Python's limit of recursion.
WRITE = json.encoder.c_make_encoder and json.encoder.c_make_encoder(
    None, plain, json.encoder.encode_basestring, None, ": ", ", ", False, False, False
)
# What json.loads does in the end.
READ = json.JSONDecoder().scan_once


def encode(value: object) -> str:
    if WRITE is None or isinstance(value, str):
        return ENCODER.encode(value)
    return "".join(WRITE(value, 0))


def decode(text: str) -> Any:
    try:
        value, end = READ(text, 0)
    except StopIteration:
        end = -1
    # Space in front or behind, or an error, which it tells.
    return value if end == len(text) else json.loads(text)


# ---- responses ------------------------------------------------------------------------


def decoded(text: str, wanted: Any = None) -> Any:
    """The value of a JSON text, as the type that is wanted."""
    try:
        if wanted is None:
            return decode(text)
        if hasattr(wanted, "model_validate_json"):
            return wanted.model_validate_json(text)
        if hasattr(wanted, "__struct_fields__"):
            import msgspec

            return msgspec.json.decode(text, type=wanted)
        convert = converter_of(wanted)
        return convert(decode(text))
    except (_UnfitError, ValueError, RecursionError) as error:
        name = getattr(wanted, "__name__", None) or repr(wanted)
        raise SerializationError(f"the plugin's answer is no {name}: {error}") from None


@lru_cache(maxsize=512)
def converter_of(wanted: Any) -> Converter:
    """What makes a value of JSON one of a type; TypeError for a type that cannot be made."""
    origin = typing.get_origin(wanted)
    if origin is typing.Annotated:
        return converter_of(typing.get_args(wanted)[0])
    if origin in (typing.Required, typing.NotRequired) if hasattr(typing, "Required") else False:
        return converter_of(typing.get_args(wanted)[0])
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(wanted))
    if origin is typing.Literal:
        return _literal(typing.get_args(wanted))
    base = origin or wanted
    if base in SEQUENCES:
        return _sequence(SEQUENCES[base], *typing.get_args(wanted)[:1])
    if base is tuple:
        return _tuple(typing.get_args(wanted))
    if base in MAPPINGS:
        return _mapping(*typing.get_args(wanted))
    return _single(wanted, base)


def _single(wanted: Any, base: Any) -> Converter:
    if wanted in (Any, object):
        return lambda value: value
    if wanted in PLAIN or wanted is None:
        kind = type(None) if wanted is None else wanted
        return lambda value: value if type(value) is kind else _unfit(value, PLAIN[kind])
    if wanted is int:
        return lambda value: value if type(value) is int else _unfit(value, "an integer")
    if wanted is float:
        return _float
    if isinstance(base, type):
        if is_dataclass(base):
            return _Fields(base)
        if typing.is_typeddict(base):
            return _Keys(base)
        if hasattr(base, "model_validate"):
            return wanted.model_validate
        if hasattr(base, "__struct_fields__"):
            import msgspec

            return lambda value: msgspec.convert(value, wanted)
        if issubclass(base, Enum):
            return base
    raise TypeError(
        "a response_type is a dataclass, a pydantic model, a msgspec struct, a TypedDict, or made "
        f"of those and JSON's own types, not {wanted!r}"
    )


def _unfit(value: object, wanted: str) -> typing.NoReturn:
    shown = json.dumps(value)
    raise _UnfitError(f"{shown if len(shown) <= 60 else shown[:57] + '...'} is not {wanted}")


def _float(value: Any) -> float:
    return float(value) if type(value) in (int, float) else _unfit(value, "a number")


def _union(choices: tuple[Any, ...]) -> Converter:
    converters = [converter_of(choice) for choice in choices]

    def convert(value: Any) -> Any:
        wrong = []
        for one in converters:
            try:
                return one(value)
            except (_UnfitError, ValueError) as error:
                wrong.append(str(error))
        raise _UnfitError(", and ".join(wrong))

    return convert


def _literal(choices: tuple[Any, ...]) -> Converter:
    def convert(value: Any) -> Any:
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return choice
        return _unfit(value, f"one of {', '.join(map(repr, choices))}")

    return convert


def _sequence(make: Callable[[Any], Any], item: Any = Any) -> Converter:
    inner = converter_of(item)

    def convert(value: Any) -> Any:
        if type(value) is not list:
            _unfit(value, "a list")
        return make([inner(each) for each in value])

    return convert


def _tuple(items: tuple[Any, ...]) -> Converter:
    if not items or (len(items) == 2 and items[1] is Ellipsis):
        return _sequence(tuple, *items[:1])
    inner = [converter_of(item) for item in items]

    def convert(value: Any) -> Any:
        if type(value) is not list or len(value) != len(inner):
            _unfit(value, f"a list of {len(inner)}")
        return tuple(one(each) for one, each in zip(inner, value, strict=True))

    return convert


def _mapping(key: Any = str, item: Any = Any) -> Converter:
    if key not in (str, Any):
        raise TypeError(f"the keys of a response are strings, not {key!r}")
    inner = converter_of(item)

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            _unfit(value, "an object")
        return {name: inner(each) for name, each in value.items()}

    return convert


class _Members:
    """What an object's members become, found out at the first one: types may name themselves."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.known: list[tuple[str, bool, Converter]] | None = None

    def members(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            _unfit(value, "an object")
        if self.known is None:
            try:
                hints = typing.get_type_hints(self.kind)
            except NameError as error:
                raise TypeError(
                    f"the types in {self.kind.__name__} cannot be found: {error}"
                ) from None
            self.known = [
                (name, needed, converter_of(hints[name])) for name, needed in self.names()
            ]
        made = {}
        for name, needed, convert in self.known:
            if name in value:
                try:
                    made[name] = convert(value[name])
                except (_UnfitError, ValueError) as error:
                    raise _UnfitError(f"{name}: {error}") from None
            elif needed:
                raise _UnfitError(f"{name} is missing")
        return made

    def names(self) -> list[tuple[str, bool]]:
        raise NotImplementedError


class _Fields(_Members):
    """Makes a dataclass; what it has no field for is left out."""

    def names(self) -> list[tuple[str, bool]]:
        return [
            (field.name, field.default is MISSING and field.default_factory is MISSING)
            for field in fields(self.kind)
            if field.init
        ]

    def __call__(self, value: Any) -> Any:
        return self.kind(**self.members(value))


class _Keys(_Members):
    """Makes a TypedDict; other keys stay, as type checkers have it."""

    def names(self) -> list[tuple[str, bool]]:
        needed = self.kind.__required_keys__
        return [(name, name in needed) for name in self.kind.__annotations__]

    def __call__(self, value: Any) -> Any:
        return value | self.members(value)
