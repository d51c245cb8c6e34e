"""Name the components of the OpenAPI document, also the schemas that FastAPI would leave inline."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from pydantic import WithJsonSchema

Schema = dict[str, Any]

REFERENCE: Final = "#/components/schemas/"
COMPONENT: Final = "x-component"
"""Marks a schema with its name and itself; the OpenAPI document has a reference in its place."""


_PUBLIC_NAMES: Final = {
    "BarColumnsSchema": "BarTable",
    "FeatureColumnsSchema": "FeatureTable",
    "FillDifferenceRow": "FillDifference",
    "FillRow": "Fill",
    "Format": "TableFormat",
    "GapRow": "DataGap",
    "IntervalSchema": "ConfidenceInterval",
    "JumpRow": "PriceJump",
    "MarketQualitySchema": "MarketDataQuality",
    "QualitySchema": "DataQuality",
    "ReadySchema": "Readiness",
    "ResultSchema": "BacktestResult",
    "SeriesSchema": "ResultSeries",
    "SummarySchema": "BacktestSummary",
    "SummaryPage": "BacktestPage",
    "TradeRow": "Trade",
}
"""Names that say more than the class's own; if GraphQL has the same type, they are GraphQL's."""


def public_name(class_name: str) -> str:
    """Return the public name of a response's class."""
    return _PUBLIC_NAMES.get(class_name) or class_name.removesuffix("Schema")


def name_of_kind(kind: Any) -> str:
    """Return the name of the type in a generic model: a class, an optional class, or a list."""
    members = [member for member in typing.get_args(kind) if member is not types.NoneType]
    if typing.get_origin(kind) is list:
        return f"{name_of_kind(members[0])}List"
    return name_of_kind(members[0]) if members else public_name(kind.__name__)


def component(name: str, schema: Mapping[str, Any]) -> Schema:
    """Return a schema that will be a component with this name."""
    return {**schema, COMPONENT: {"name": name, "schema": dict(schema)}}


def any_object(name: str, description: str) -> Schema:
    """Return the component of an object of any fields."""
    return component(name, {"type": "object", "additionalProperties": True, "description": description})


def text_enum(name: str, description: str, members: Mapping[str, str]) -> Schema:
    """Return the component of a closed list of texts, by the names that generated clients give them."""
    return component(
        name,
        {
            "type": "string",
            "enum": list(members.values()),
            "description": description,
            "x-enum-varnames": list(members),
        },
    )


def enum_of(kind: type[StrEnum], *, ignores_case: bool = False) -> Schema:
    """Return the component of an enum, described by the first line of its docstring."""
    text = (kind.__doc__ or "").partition("\n")[0]
    case = " Requests may write it in any case." if ignores_case else ""
    return text_enum(
        kind.__name__.removesuffix("Name"), f"{text}{case}", {member.name: member.value for member in kind}
    )


def words_enum(name: str, description: str, words: Iterable[str]) -> WithJsonSchema:
    """Return the schema of a text that is one of these words; clients name each by itself in upper case."""
    return WithJsonSchema(text_enum(name, description, {word.upper(): word for word in words}))


GRAPHQL_ERROR: Final = component(
    "GraphqlError",
    {
        "type": "object",
        "description": "An error as GraphQL writes it.",
        "properties": {
            "message": {"type": "string", "description": "What is wrong: what was sent, what is allowed."},
            "path": {"type": "array", "items": {}, "description": "Path in the data, if the document was executed."},
            "locations": {
                "type": "array",
                "items": any_object("GraphqlLocation", "A place in the document: line and column."),
                "description": "Places in the document.",
            },
            "extensions": {
                **any_object("GraphqlErrorExtensions", "What the service adds to an error."),
                "description": "`code` as in REST; `field` and `retryAfterS` (seconds) if known.",
            },
        },
        "required": ["message"],
    },
)
