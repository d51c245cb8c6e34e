"""Describe the domain's rules for single values in JSON Schema, for OpenAPI.

The domain has the checks and their messages. Rules about two fields are in `rules`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from src.domain.datasets import DATASET_NAME_PATTERN
from src.domain.market import MarketRequest
from src.domain.model_files import MAX_MODEL_NAME_LENGTH, USER_ID_PATTERN
from src.domain.parameters import Bounds, DeclaredParameter, parameters_of

Schema = dict[str, Any]

MAXIMUM_SETTING: Final = "x-maximum-setting"
"""Names the setting whose value is the maximum, which `with_maxima` writes beside it."""


def schema_of(item: DeclaredParameter) -> Schema:
    """Return the schema that a parameter's declaration allows."""
    declared = item.parameter
    schema: Schema = {} if declared.bounds is None else _schema_of_bounds(declared.bounds)
    if declared.maximum_setting:
        schema[MAXIMUM_SETTING] = declared.maximum_setting
    if declared.pattern:
        schema["pattern"] = declared.pattern
    if declared.excluded_pattern:
        schema["not"] = {"type": "string", "pattern": declared.excluded_pattern}
    if declared.max_length is not None:
        schema["maxLength"] = declared.max_length
    if declared.choices:
        schema["enum"] = list(declared.choices)
    if isinstance(item.public_kind, type) and issubclass(item.public_kind, StrEnum):
        schema |= any_case(*item.public_kind)
    if declared.example is not None:
        schema["examples"] = [declared.example]
    return schema


def _schema_of_bounds(bounds: Bounds) -> Schema:
    schema: Schema = {}
    if math.isfinite(bounds.minimum):
        schema["exclusiveMinimum" if bounds.is_minimum_open else "minimum"] = bounds.minimum
    if math.isfinite(bounds.maximum):
        schema["exclusiveMaximum" if bounds.is_maximum_open else "maximum"] = bounds.maximum
    return schema


def optional(schema: Schema) -> Schema:
    """Return a schema that also allows null: all its rules but `enum` concern values of their own type only."""
    return {**schema, "enum": [*schema["enum"], None]} if "enum" in schema else schema


def any_case(*members: StrEnum) -> Schema:
    """Return the schema of members' names in upper or lower case; the checks ignore case."""
    return {"enum": [text for member in members for text in dict.fromkeys((member.value, member.value.lower()))]}


def with_maxima(node: Any, settings: Mapping[str, int]) -> Any:
    """Return a document with the value of each maximum that a setting decides."""
    if isinstance(node, list):
        return [with_maxima(item, settings) for item in node]
    if not isinstance(node, dict):
        return node
    found = {name: with_maxima(item, settings) for name, item in node.items()}
    if MAXIMUM_SETTING in found:
        found["maximum"] = settings[found[MAXIMUM_SETTING]]
    return found


_MARKET: Final = {item.parameter.name: schema_of(item) for item in parameters_of(MarketRequest)}

USER_ID: Final[Schema] = {"pattern": USER_ID_PATTERN}
SYMBOL: Final = _MARKET["symbol"]
DATASET_NAME: Final[Schema] = {"pattern": DATASET_NAME_PATTERN}
MODEL_NAME: Final[Schema] = {"maxLength": MAX_MODEL_NAME_LENGTH}
INTERVAL: Final = _MARKET["interval"]
CURSOR: Final[Schema] = {"minLength": 1}
DATE: Final = _MARKET["start_date"]
COUNT: Final = _MARKET["limit"]
ROWS: Final[Schema] = {MAXIMUM_SETTING: "MAX_ROWS_PER_ANSWER"}
