"""Base of the responses' schemas, which also say where each field is read from: a shape is declared once."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from src.api.components import any_object
from src.domain.instants import format_instant
from src.domain.reported import INSTANT, ReportedField, reported_fields


class ResponseSchema(BaseModel):
    """A part of a response, described for OpenAPI; `of` makes it, without validation, from a domain value."""

    model_config = ConfigDict(protected_namespaces=())

    @classmethod
    def of(cls, value: object) -> dict[str, object]:
        """Return the fields of this part as JSON-able values, read from the attributes of a value."""
        return _presenter(cls)(value)


def at(path: str, description: str) -> Any:
    """Declare a field that is read from an attribute of another name; dots lead into attributes."""
    return Field(validation_alias=path, description=description)


@dataclass(frozen=True, slots=True)
class Written:
    """The function that writes the values of a type that is not JSON-able as it is."""

    write: Callable[[Any], object]


def schema_for(kind: type[Any], **others: type[ResponseSchema]) -> type[ResponseSchema]:
    """Return the response part of a report of the domain, with the same fields; it has the report's name + Schema.

    `others` are the parts of its fields that are not reports.
    """
    return _schema_for(typing.cast("typing.Hashable", kind), tuple(others.items()))


@cache
def _schema_for(kind: Any, others: tuple[tuple[str, type[ResponseSchema]], ...]) -> type[ResponseSchema]:
    found: dict[str, Any] = {}
    for item in reported_fields(kind):
        shown: Any = dict(others).get(item.name) or _shown_kind(item, others)
        shown = list[shown] if item.is_list else shown
        found[item.public_name] = (shown | None if item.is_optional else shown, at(item.name, item.description))
    paragraph = " ".join((kind.__doc__ or "").split("\n\n", 1)[0].split())
    return create_model(f"{kind.__name__}Schema", __base__=ResponseSchema, __doc__=paragraph, **found)


_PARAMETER_VALUES: Final = any_object("ParameterValues", "Values of parameters, by name.")


def _shown_kind(item: ReportedField, others: tuple[tuple[str, type[ResponseSchema]], ...]) -> Any:
    if item.unit == INSTANT:
        return Instant
    if typing.get_origin(item.kind) is Mapping:
        return Annotated[dict[str, Any], WithJsonSchema(_PARAMETER_VALUES)]
    return _schema_for(item.kind, others) if item.is_report else item.kind


Instant = Annotated[str, Written(format_instant)]
"""ISO 8601 text, of milliseconds since the epoch."""


@cache
def _presenter(cls: type[ResponseSchema]) -> Callable[[object], dict[str, object]]:
    fields = cls.model_fields
    readers = [attrgetter(str(field.validation_alias or name)) for name, field in fields.items()]
    found = ((name, _writer(field.annotation, field.metadata)) for name, field in fields.items())
    writers = [(name, write) for name, write in found if write is not None]

    def present(value: object) -> dict[str, object]:
        shown = {name: read(value) for name, read in zip(fields, readers, strict=True)}
        for name, write in writers:
            if shown[name] is not None:
                shown[name] = write(shown[name])
        return shown

    return present


def _writer(kind: Any, metadata: Iterable[object] = ()) -> Callable[[Any], object] | None:
    """Return the function that writes the values of a type; None for those that are JSON-able as they are."""
    for item in metadata:
        if isinstance(item, Written):
            return item.write
    members = typing.get_args(kind)
    if typing.get_origin(kind) is Annotated:
        return _writer(members[0], members[1:])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(filter(None, map(_writer, members)), None)
    if typing.get_origin(kind) is list and (write := _writer(members[0])) is not None:
        return lambda rows: [write(row) for row in rows]
    return _presenter(kind) if isinstance(kind, type) and issubclass(kind, ResponseSchema) else None
