"""Objects in place of JSON."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union

import pytest
from plugins import both, linux_only, load

pytestmark = linux_only


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.5


@dataclass
class Shape:
    name: str
    points: list[Point]
    color: Color = Color.RED
    parent: Optional["Shape"] = None
    tags: dict[str, int] = field(default_factory=dict)
    made: str = field(default="here", init=False)


class Place(TypedDict, total=False):
    point: Point
    note: str


@pytest.fixture(scope="module")
def echo():
    """Calls by tag that give back what they are given."""
    with load() as plugin:
        yield lambda value, wanted=None: plugin.call_typed("echo", value, wanted)


@both
def test_dataclasses(isolate):
    with load(isolate=isolate) as plugin:
        shape = Shape("a", [Point(1, 2.0), Point(3)], Color.BLUE, Shape("b", []), {"k": 1})
        assert plugin.call_typed("echo", shape, Shape) == shape
        assert plugin.call_typed("echo", shape)["parent"]["name"] == "b"


@both
def test_bytes_are_json_already(isolate):
    with load(isolate=isolate) as plugin:
        assert plugin.call_typed("echo", b'{"x": 3, "y": 0.25}', Point) == Point(3, 0.25)
        assert plugin.call_typed("echo", b' ["\xc3\xa9"] ') == ["é"]


def test_members_that_are_not_known_are_left_out(echo):
    assert echo({"x": 1, "y": 2, "z": 3}, Point) == Point(1, 2.0)
    assert type(echo({"x": 1, "y": 2}, Point).y) is float
    assert echo({"x": 1}, Point) == Point(1)


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [
        ([{"x": 1}], list[Point], [Point(1)]),
        ([{"x": 1}, 7], tuple[Point, int], (Point(1), 7)),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, 2, 2], set[int], {1, 2}),
        ({"a": {"x": 1}}, dict[str, Point], {"a": Point(1)}),
        ({"point": {"x": 1}, "more": 2}, Place, {"point": Point(1), "more": 2}),
        (None, Optional[Point], None),  # noqa: UP045
        ({"x": 1}, Point | None, Point(1)),
        ("a", Union[int, str], "a"),  # noqa: UP007
        (7, Annotated[int, "seven"], 7),
        ("b", Literal["a", "b"], "b"),
        ("red", Color, Color.RED),
        (7, float, 7.0),
        (True, bool, True),
        ([1, "a"], list, [1, "a"]),
        ({"a": [1]}, dict, {"a": [1]}),
        ({"a": [1]}, Any, {"a": [1]}),
        ("é", str, "é"),
        (None, None, None),
    ],
)
def test_types(echo, value, wanted, expected):
    found = echo(value, wanted)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "wanted", "text"),
    [
        ({"y": 1}, Point, "no Point: x is missing"),
        ({"x": "1"}, Point, 'x: "1" is not an integer'),
        ({"x": True}, Point, "x: true is not an integer"),
        ({"x": 1.5}, Point, "x: 1.5 is not an integer"),
        ([1], Point, r"\[1\] is not an object"),
        ([{"x": None}], list[Point], "x: null is not an integer"),
        ({"name": "a", "points": [{}]}, Shape, "points: x is missing"),
        ("green", Color, "'green' is not a valid Color"),
        ("c", Literal["a", "b"], "one of 'a', 'b'"),
        ("c", int | None, "not an integer, and .* not null"),
        ([1], tuple[int, int], "list of 2"),
        (7, str, "not a string"),
    ],
)
def test_answers_that_do_not_fit(echo, value, wanted, text):
    from gmemx.plugin import SerializationError

    with pytest.raises(SerializationError, match=text) as failure:
        echo(value, wanted)
    assert isinstance(failure.value, ValueError)


class Row(NamedTuple):
    a: int


@pytest.mark.parametrize("wanted", [bytes, Row, dict[int, str], "Point", list[complex], 7])
def test_types_that_cannot_be_made_of_json(echo, wanted):
    with pytest.raises(TypeError):
        echo([], wanted)


@pytest.mark.parametrize("value", [[b"bytes"], {1, 2}, object(), float("nan"), {"a": {(1, 2): 3}}])
def test_requests_that_have_no_form_in_json(echo, value):
    from gmemx.plugin import SerializationError

    with pytest.raises(SerializationError, match="the request has no form"):
        echo(value)


def test_a_type_that_is_not_there(echo):
    namespace = {}
    exec("@dataclass\nclass Lost:\n    a: 'Nowhere'", {"dataclass": dataclass}, namespace)
    with pytest.raises(TypeError, match=r"types in Lost .*Nowhere"):
        echo({"a": 1}, namespace["Lost"])


def test_pydantic_models(echo):
    pydantic = pytest.importorskip("pydantic")
    from gmemx.plugin import SerializationError

    class Model(pydantic.BaseModel):
        x: int
        name: str = "none"

    @dataclass
    class Holder:
        model: Model

    assert echo(Model(x=1), Model) == Model(x=1)
    assert echo([{"x": 1}], list[Model]) == [Model(x=1)]
    assert echo(Holder(Model(x=2)), Holder) == Holder(Model(x=2))
    for value, wanted in (({"x": "no"}, Model), ([{}], list[Model])):
        with pytest.raises(SerializationError, match="x"):
            echo(value, wanted)


def test_msgspec_structs(echo):
    msgspec = pytest.importorskip("msgspec")
    from gmemx.plugin import SerializationError

    class Struct(msgspec.Struct):
        x: int
        name: str = "none"

    @dataclass
    class Holder:
        struct: Struct

    assert echo(Struct(1), Struct) == Struct(1)
    assert echo({"x": 1, "more": 2}, Struct) == Struct(1)
    assert echo(Holder(Struct(2)), Holder) == Holder(Struct(2))
    assert echo([{"x": 3}], list[Struct]) == [Struct(3)]
    for value, wanted in (({"x": "no"}, Struct), ([{}], list[Struct])):
        with pytest.raises(SerializationError, match="x"):
            echo(value, wanted)
