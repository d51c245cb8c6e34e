"""Parameters declared on dataclasses: found, described, built from what clients gave, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from enum import StrEnum

import pytest

from src.domain.errors import InvalidInput
from src.domain.parameters import (
    AT_LEAST_ONE,
    FRACTION,
    POSITIVE_FRACTION,
    Bounds,
    build,
    check_parameters,
    groups_of,
    own_parameters_of,
    parameter,
    parameters_of,
)


class Color(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    rate: float = parameter(name="inner_rate", meaning="A rate", default=0.5, unit="fraction", bounds=FRACTION)
    count: int | None = parameter(
        name="count", meaning="A count.", default=None, unit="bars", bounds=AT_LEAST_ONE, is_event_driven_only=True
    )

    def __post_init__(self) -> None:
        check_parameters(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str = parameter(name="name", meaning="A name", read=lambda text, field: f"{field}:{text.strip()}")
    inner: Inner = field(default_factory=Inner)
    color: Color = parameter(name="color", meaning="A color", default=Color.RED, default_meaning="the engine's")
    length: int = parameter(
        name="length", meaning="A length", default=60, read=lambda text, _: len(text), write=lambda value: "x" * value
    )
    columns: tuple[str, ...] | None = parameter(name="columns", meaning="Columns", default=None)
    plain: int = 3


def test_parameters_are_found_in_nested_dataclasses_in_order() -> None:
    assert [(item.parameter.name, item.path, item.is_optional) for item in parameters_of(Outer)] == [
        ("name", ("name",), False),
        ("inner_rate", ("inner", "rate"), False),
        ("count", ("inner", "count"), True),
        ("color", ("color",), False),
        ("length", ("length",), False),
        ("columns", ("columns",), True),
    ]


def test_parameter_reads_its_value_from_the_root() -> None:
    value = Outer(name="a", inner=Inner(rate=0.25, count=4), length=2)
    assert [item.write(item.of(value)) for item in parameters_of(Outer)] == ["a", 0.25, 4, Color.RED, "xx", None]


@pytest.mark.parametrize(
    ("name", "kind", "default", "description"),
    [
        ("name", str, None, "A name"),
        ("inner_rate", float, 0.5, "A rate. Fraction, 0 ≤ x < 1, default 0.5."),
        ("count", int, None, "A count. Bars, 1 ≤ x, event-driven engine only."),
        ("color", Color, None, "A color. If not given: the engine's."),
        ("length", str, "x" * 60, f"A length. Default {'x' * 60}."),
        ("columns", tuple[str, ...], None, "Columns"),
    ],
)
def test_public_type_default_and_description(name: str, kind: object, default: object, description: str) -> None:
    [item] = [item for item in parameters_of(Outer) if item.parameter.name == name]
    assert (item.public_kind, item.public_default, item.description) == (kind, default, description)


def test_required_parameter_has_no_default() -> None:
    assert [item.parameter.name for item in parameters_of(Outer) if item.default is MISSING] == ["name"]


def test_build_fills_defaults_and_nested_dataclasses() -> None:
    assert build(Outer, {"name": " a ", "inner_rate": None, "color": ""}) == Outer(name="name:a")
    given = {"name": "b", "count": 7, "color": "blue", "length": "four", "columns": ["Open", "Close"], "unknown": 1}
    assert build(Outer, given, plain=9) == Outer(
        name="name:b", inner=Inner(count=7), color=Color.BLUE, length=4, columns=("Open", "Close"), plain=9
    )


def test_build_accepts_fields_built_before() -> None:
    assert build(Outer, {"name": "a", "inner_rate": 0.1}, inner=Inner(rate=0.9)).inner.rate == 0.9


@pytest.mark.parametrize(
    ("given", "field_name", "message"),
    [
        ({}, "name", "name is required."),
        ({"name": "a", "inner_rate": 1.0}, "innerRate", "innerRate is 1.0. Allowed: 0 ≤ x < 1 (fraction)."),
        ({"name": "a", "count": 0}, "count", "count is 0. Allowed: 1 ≤ x (bars)."),
        ({"name": "a", "color": "green"}, "color", "color is 'green'. Allowed: RED, BLUE."),
    ],
)
def test_build_rejects_value_with_field_and_allowed(given: dict[str, object], field_name: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(Outer, given)
    assert (caught.value.field, caught.value.message) == (field_name, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    numbers: Mapping[str, float] | None = parameter(name="my_numbers", meaning="Numbers by name", default=None)


def test_numbers_by_name_keep_their_names() -> None:
    assert build(Named, {"my_numbers": {"fastLength": 3, "slow_length": 0.5}}).numbers == {
        "fastLength": 3, "slow_length": 0.5,
    }  # fmt: skip
    assert build(Named, {}).numbers is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "myNumbers is [1]. Allowed: an object whose values are numbers."),
        ("n", "myNumbers is 'n'. Allowed: an object whose values are numbers."),
        ({"n": "1"}, "myNumbers has '1' for 'n'. Allowed: numbers."),
        ({"n": True}, "myNumbers has true for 'n'. Allowed: numbers."),
        ({"n": {}}, "myNumbers has {} for 'n'. Allowed: numbers."),
    ],
)
def test_numbers_by_name_are_checked(value: object, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(Named, {"my_numbers": value})
    assert (caught.value.field, caught.value.message) == ("myNumbers", message)


def test_required_empty_text_is_left_to_its_reader() -> None:
    assert build(Outer, {"name": ""}).name == "name:"


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "text"),
    [
        (FRACTION, [0, 0.999], [-0.1, 1, float("nan")], "0 ≤ x < 1"),
        (POSITIVE_FRACTION, [1e-9, 0.999], [0, 1], "0 < x < 1"),
        (Bounds(minimum=0, is_minimum_open=True), [1e-300, 1e300], [0, float("inf")], "0 < x"),
        (AT_LEAST_ONE, [1, 2**70], [0], "1 ≤ x"),
        (Bounds(minimum=-2, maximum=3), [-2, 3], [-2.1, 3.1], "-2 ≤ x ≤ 3"),
        (Bounds(maximum=3, is_maximum_open=True), [-1e300], [3, float("-inf")], "x < 3"),
    ],
)
def test_bounds_contain_and_format_their_numbers(
    bounds: Bounds, inside: list[float], outside: list[float], text: str
) -> None:
    assert [value in bounds for value in (*inside, *outside)] == [True] * len(inside) + [False] * len(outside)
    assert str(bounds) == text


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    name: str = parameter(name="name", meaning="A name")
    inner: Inner | None = None


@pytest.mark.parametrize("inner", [None, {}, {"count": None}, {"inner_rate": None, "count": ""}])
def test_group_without_given_value_is_none(inner: dict[str, object] | None) -> None:
    choice = build(Choice, {"name": "a", "count": 4, "inner": inner})
    assert choice == Choice(name="a", inner=None)
    assert [item.of(choice) for item in parameters_of(Choice)] == ["a", None, None]


@pytest.mark.parametrize(("given", "inner"), [({"count": 4}, Inner(count=4)), ({"inner_rate": 0.0}, Inner(rate=0.0))])
def test_group_with_one_given_value_is_built(given: dict[str, object], inner: Inner) -> None:
    choice = build(Choice, {"name": "a", "inner": given})
    assert choice == Choice(name="a", inner=inner)


def test_group_has_parameters_of_its_own_in_requests() -> None:
    assert groups_of(Choice) == {"inner": Inner}
    assert groups_of(Outer) == {}
    assert [item.request_name for item in parameters_of(Choice)] == ["name", "inner.inner_rate", "inner.count"]
    assert [item.request_name for item in own_parameters_of(Choice)] == ["name"]
    assert own_parameters_of(Outer) == parameters_of(Outer)
