"""Declare the fields of a report once, with unit and meaning; both APIs and the reference page are made from them."""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache
from typing import Any, Final, NamedTuple

_KEY: Final = "reported"

INSTANT: Final = "ISO 8601, UTC"
"""The unit of a time: the domain has milliseconds since the epoch, clients read text."""


class ReportedField(NamedTuple):
    """A field of a report: `kind` is its type without None, or that of a list's items; `meaning` is a sentence."""

    name: str
    kind: Any
    is_list: bool
    is_optional: bool
    unit: str
    meaning: str
    shown_as: str = ""

    @property
    def public_name(self) -> str:
        """The name that clients see, in snake_case: that of a time does not name the domain's unit."""
        if self.shown_as:
            return self.shown_as
        return self.name.removesuffix("_ms") if self.unit == INSTANT else self.name

    @property
    def description(self) -> str:
        """The meaning with the unit."""
        return f"{self.meaning} Unit: {self.unit}." if self.unit else self.meaning

    @property
    def is_report(self) -> bool:
        """Whether its values are reports themselves."""
        return isinstance(self.kind, type) and dataclasses.is_dataclass(self.kind)


def reported(meaning: str, unit: str = "", *, name: str = "", default: Any = dataclasses.MISSING) -> Any:
    """Declare the field of a dataclass as a field of a report; `meaning` is a sentence.

    `name` is what clients see it as, in snake_case; if empty, the field's own.
    """
    return dataclasses.field(default=default, metadata={_KEY: (unit, meaning, name)})


def reported_fields(kind: type) -> tuple[ReportedField, ...]:
    """Return the declared fields of a report, in order; fields that are not declared are not shown to clients."""
    return _reported_fields(typing.cast("typing.Hashable", kind))


@cache
def _reported_fields(kind: Any) -> tuple[ReportedField, ...]:
    hints = typing.get_type_hints(kind)
    declared = [item for item in dataclasses.fields(kind) if _KEY in item.metadata]
    return tuple(ReportedField(item.name, *_parts_of(hints[item.name]), *item.metadata[_KEY]) for item in declared)


def _parts_of(hint: Any) -> tuple[Any, bool, bool]:
    """Return the type without list and None, whether it is a list, and whether it allows None."""
    members = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        [inner] = [member for member in members if member is not types.NoneType]
        kind, is_list, _ = _parts_of(inner)
        return kind, is_list, True
    return (members[0], True, False) if typing.get_origin(hint) is tuple else (hint, False, False)
