"""Declare a request's parameters once, as fields of frozen dataclasses with name, unit, bounds and meaning.

Everything that reads or shows parameters is derived from these declarations: REST bodies and forms, GraphQL inputs,
the settings in responses, the tables of the documentation.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

from src.domain.errors import InvalidInput, bad_value, inside, missing

_KEY: Final = "parameter"
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")

Declared = TypeVar("Declared")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """An interval of allowed numbers; an open end is not allowed itself."""

    minimum: float = -math.inf
    maximum: float = math.inf
    is_minimum_open: bool = False
    is_maximum_open: bool = False

    def __contains__(self, value: float) -> bool:
        is_above = value > self.minimum if self.is_minimum_open else value >= self.minimum
        is_below = value < self.maximum if self.is_maximum_open else value <= self.maximum
        return is_above and is_below and math.isfinite(value)

    def __str__(self) -> str:
        low = "" if self.minimum == -math.inf else f"{self.minimum:.15g} {'<' if self.is_minimum_open else '≤'} "
        high = "" if self.maximum == math.inf else f" {'<' if self.is_maximum_open else '≤'} {self.maximum:.15g}"
        return f"{low}x{high}"


FRACTION: Final = Bounds(minimum=0, maximum=1, is_maximum_open=True)
POSITIVE_FRACTION: Final = Bounds(minimum=0, maximum=1, is_minimum_open=True, is_maximum_open=True)
AT_LEAST_ONE: Final = Bounds(minimum=1)

MAX_COUNT: Final = 2**31 - 1
"""GraphQL's Int has 32 bits. A count of a stored result that GraphQL's responses always have must fit them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """The public description of a parameter.

    Parameters
    ----------
    name
        Public name in snake_case; GraphQL spells it in camelCase.
    meaning
        One sentence for the documentation, without the unit, bounds and default, which are appended.
    unit
        "fraction", "bars", "quote currency", …; empty if it is not a number.
    bounds
        The allowed numbers; None if all are.
    default_meaning
        What applies if it is not given, unless the default value tells it.
    is_event_driven_only
        Whether the vectorized engine rejects it.
    pattern, excluded_pattern, max_length, choices
        The allowed text, for schemas: a regular expression of JSON Schema, one that must match nowhere, a length, a
        closed list. The length of a list of rungs is checked too.
    example
        A value for readers of schemas.
    maximum_setting
        The setting that bounds the number from above, if an operator decides that.
    read, write
        Convert the client's text to the field's value and back, if they differ; `read` gets the camelCase name too.
    """

    name: str
    meaning: str
    unit: str = ""
    bounds: Bounds | None = None
    default_meaning: str = ""
    is_event_driven_only: bool = False
    pattern: str = ""
    excluded_pattern: str = ""
    max_length: int | None = None
    choices: tuple[str, ...] = ()
    example: object = None
    maximum_setting: str = ""
    read: Callable[[str, str], object] | None = None
    write: Callable[[Any], object] | None = None

    @property
    def field(self) -> str:
        """The name that errors give it (camelCase)."""
        return field_name(self.name)

    def check(self, value: object) -> None:
        """Raise InvalidInput if a number is outside the bounds."""
        if self.bounds is not None and isinstance(value, (int, float)) and value not in self.bounds:
            unit = f" ({self.unit})" if self.unit else ""
            raise bad_value(self.field, got=value, allowed=f"{self.bounds}{unit}")


class DeclaredParameter(NamedTuple):
    """A parameter and the field that holds it.

    `path` are the names of the fields from the root dataclass to it; `kind` is the field's type without None; `default`
    is `dataclasses.MISSING` if it must be given. `group` is the object of the request that has it, empty if that is the
    root's own; see `groups_of`.
    """

    parameter: Parameter
    path: tuple[str, ...]
    kind: Any
    is_optional: bool
    default: object
    group: str = ""

    @property
    def request_name(self) -> str:
        """Its public name, after that of its group and a dot if it is in one."""
        return f"{self.group}.{self.parameter.name}" if self.group else self.parameter.name

    @property
    def public_kind(self) -> Any:
        """The type that clients write: text if the parameter has a reader of its own."""
        return str if self.parameter.read is not None else self.kind

    @property
    def rung_kind(self) -> type | None:
        """The dataclass of which clients write a list of objects, with its own parameters; None for other types."""
        return _rung_kind(self.kind)

    @property
    def public_default(self) -> object:
        """The default as clients write it; None if there is none, or if `default_meaning` describes it."""
        if self.default is dataclasses.MISSING or self.parameter.default_meaning:
            return None
        return self.write(self.default)

    @property
    def description(self) -> str:
        """The meaning with unit, bounds and default."""
        parameter = self.parameter
        parts = [parameter.unit, "" if parameter.bounds is None else str(parameter.bounds)]
        if parameter.is_event_driven_only:
            parts.append("event-driven engine only")
        if parameter.default_meaning:
            parts.append(f"if not given: {parameter.default_meaning}")
        elif self.public_default is not None:
            parts.append(f"default {_shown_default(self.public_default)}")
        facts = ", ".join(part for part in parts if part)
        return f"{parameter.meaning.rstrip('.')}. {facts[:1].upper()}{facts[1:]}." if facts else parameter.meaning

    def of(self, root: object) -> Any:
        """Return the value that a root dataclass holds; None if the dataclass that declares it is absent."""
        value = root
        for name in self.path:
            value = None if value is None else getattr(value, name)
        return value

    def write(self, value: object) -> object:
        """Return a value as clients write it, a list of rungs with their public names."""
        if self.rung_kind is not None and isinstance(value, tuple):
            own = parameters_of(self.rung_kind)
            return [{item.parameter.name: item.write(item.of(rung)) for item in own} for rung in value]
        return value if value is None or self.parameter.write is None else self.parameter.write(value)


def field_name(name: str) -> str:
    """Return the name of a parameter in camelCase, as errors give it."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def parameter(*, default: Any = dataclasses.MISSING, **known: Any) -> Any:
    """Declare the field of a dataclass as a parameter of the request; `known` as in `Parameter`."""
    return dataclasses.field(default=default, metadata={_KEY: Parameter(**known)})


class _Field(NamedTuple):
    """A field of a dataclass: its parameter, or None if it is not one; its type without None."""

    name: str
    parameter: Parameter | None
    kind: Any
    is_optional: bool
    default: object

    @property
    def holds_parameters(self) -> bool:
        """Whether it is a dataclass that may declare parameters itself."""
        return self.parameter is None and isinstance(self.kind, type) and dataclasses.is_dataclass(self.kind)


@cache
def _fields_of(kind: Hashable) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(
        _Field(item.name, item.metadata.get(_KEY), *_without_none(hints[item.name]), item.default)
        for item in dataclasses.fields(kind)  # type: ignore[arg-type]
    )


def parameters_of(kind: type) -> tuple[DeclaredParameter, ...]:
    """Return the parameters of a dataclass and of the dataclasses in it, in the order of declaration."""
    return _parameters_of(typing.cast("Hashable", kind))


@cache
def _parameters_of(kind: Hashable) -> tuple[DeclaredParameter, ...]:
    found: list[DeclaredParameter] = []
    for item in _fields_of(kind):
        if item.parameter is not None:
            found.append(DeclaredParameter(item.parameter, (item.name,), item.kind, item.is_optional, item.default))
        elif item.holds_parameters:
            group = item.name if item.is_optional else ""
            found += [inner._replace(path=(item.name, *inner.path), group=group) for inner in parameters_of(item.kind)]
    return tuple(found)


def names_of_required(parameters: Iterable[DeclaredParameter]) -> tuple[str, ...]:
    """Return the public names of those that have no default."""
    return tuple(item.parameter.name for item in parameters if item.default is dataclasses.MISSING)


def own_parameters_of(kind: type) -> tuple[DeclaredParameter, ...]:
    """Return the parameters of a dataclass that are in no group."""
    return tuple(item for item in parameters_of(kind) if not item.group)


def groups_of(kind: type) -> Mapping[str, type]:
    """Return the groups of a dataclass, by name: the dataclasses in it that may be None.

    A request gives each as an object of its own, without which it is None.
    """
    return {
        item.name: item.kind
        for item in _fields_of(typing.cast("Hashable", kind))
        if item.holds_parameters and item.is_optional
    }


def check_parameters(value: object) -> None:
    """Raise InvalidInput if a parameter of this dataclass, not of one in it, is outside its bounds."""
    for item in _fields_of(typing.cast("Hashable", type(value))):
        if item.parameter is not None:
            item.parameter.check(getattr(value, item.name))


def build(kind: type[Declared], given: Mapping[str, object], **others: object) -> Declared:
    """Build a dataclass from a client's values by public names; None or a missing value gives the default.

    Empty text counts as missing, unless the parameter is required. A group (`groups_of`) is None unless `given` has a
    mapping with a value in it. `others` are fields that are built already, by their own names. Raises InvalidInput if a
    required parameter is missing, or a value is not allowed.
    """
    values = dict(others)
    for item in _fields_of(typing.cast("Hashable", kind)):
        if item.name in values:
            continue
        if item.holds_parameters:
            group = given.get(item.name) if item.is_optional else given
            if isinstance(group, Mapping) and not (item.is_optional and _is_empty(group)):
                values[item.name] = build(item.kind, group)
        elif item.parameter is not None:
            value = given.get(item.parameter.name)
            is_given = value != "" or item.default is dataclasses.MISSING
            if value is not None and is_given:
                values[item.name] = _read(item.parameter, item.kind, value)
            elif item.default is dataclasses.MISSING:
                raise missing(item.parameter.field)
    return kind(**values)


def to_snake_case(name: str) -> str:
    """Return a name as REST spells it, if GraphQL's spelling came."""
    return _CAMEL.sub(r"_\1", name).lower()


def _is_empty(group: Mapping[str, object]) -> bool:
    return all(value is None or value == "" for value in group.values())


def member_of(kind: type[StrEnum], text: str, *, field: str) -> StrEnum:
    """Return the member that a client named, in any case; raises InvalidInput."""
    for member in kind:
        if member.value.lower() == text.lower():
            return member
    raise bad_value(field, got=text, allowed=kind)


def _read(declared: Parameter, kind: Any, value: object) -> object:
    if declared.read is not None:
        return declared.read(str(value), declared.field)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return member_of(kind, str(value), field=declared.field)
    if typing.get_origin(kind) is Mapping:
        return _read_numbers(declared, value)
    if (rung_kind := _rung_kind(kind)) is not None:
        return _read_rungs(declared, rung_kind, value)
    return tuple(value) if isinstance(value, list) else value


def _read_numbers(declared: Parameter, value: object) -> Mapping[str, float]:
    """Return numbers by name; the names are the client's own, and are spelled as they came."""
    if not isinstance(value, Mapping):
        raise bad_value(declared.field, got=value, allowed="an object whose values are numbers")
    for name, number in value.items():
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            raise InvalidInput(
                "{field} has {got!r} for {name!r}. Allowed: numbers.", field=declared.field, got=number, name=name
            )
    return dict(value)


def _rung_kind(kind: Any) -> type | None:
    item = next(iter(typing.get_args(kind)), None) if typing.get_origin(kind) is tuple else None
    return item if isinstance(item, type) and dataclasses.is_dataclass(item) else None


def _read_rungs(declared: Parameter, kind: type, value: object) -> tuple[Any, ...]:
    """Return a list of objects as dataclasses; errors name the rung by its place, from 0: `takeProfits[1].rate`."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(rung, Mapping) for rung in value):
        raise bad_value(declared.field, got=value, allowed="a list of objects")
    if declared.max_length is not None and len(value) > declared.max_length:
        raise InvalidInput(
            "{field} has {count} rungs. Maximum: {most}.",
            field=declared.field, count=len(value), most=declared.max_length,
        )  # fmt: skip
    found: list[Any] = []
    for place, rung in enumerate(value):
        with inside(f"{declared.field}[{place}]"):
            found.append(build(kind, rung))
    return tuple(found)


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(hint) if member is not types.NoneType]
        if len(members) == 1:
            return members[0], True
    return hint, False


def _shown_default(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
