"""Convert names between spellings: REST writes snake_case, GraphQL camelCase, and each reads both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from src.domain.errors import InvalidInput

Value = TypeVar("Value")

_OTHER_REST_NAMES: Final = {"mlModelFile": "file"}
"""Fields whose name in REST's forms differs from GraphQL's argument."""

_SNAKE_CASE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+")


def camel_case(name: str) -> str:
    """Return `name` with `_x` written as `X`; unchanged if it is not snake_case (`__typename`, `initCash`)."""
    if not _SNAKE_CASE.fullmatch(name):
        return name
    head, *rest = name.split("_")
    return head + "".join(part[0].upper() + part[1:] for part in rest)


def snake_case(name: str) -> str:
    """Return a public camelCase name in snake_case."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def rest_name(field: str) -> str:
    """Return REST's name of a field that has a declared name (camelCase), or REST's already; headers keep theirs."""
    if "-" in field:
        return field
    return _OTHER_REST_NAMES.get(field) or snake_case(field)


def as_written(place: Iterable[str], sent: object) -> str | None:
    """Return the path to a field, given in snake_case, in the client's spelling; None if it was not sent."""
    names = []
    for part in place:
        fields = {snake_case(name): (name, value) for name, value in sent.items()} if isinstance(sent, Mapping) else {}
        if part not in fields:
            return None
        name, sent = fields[part]
        names.append(name)
    return ".".join(names)


def in_one_spelling(fields: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Return fields under their snake_case names; InvalidInput if one came in both spellings."""
    result: dict[str, Value] = {}
    written: dict[str, str] = {}
    for name, value in fields:
        key = snake_case(name)
        if key in result:
            raise same_field(key, written[key], name)
        written[key] = name
        result[key] = value
    return result


def same_field(field: str, first: str, second: str) -> InvalidInput:
    """Build the error for a field that was sent under two names, or twice under one."""
    return InvalidInput(
        "{first!r} and {second!r} are both given. Allowed: one of them.", field=field, first=first, second=second
    )
