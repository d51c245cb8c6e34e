"""What values may be, for OpenAPI: the rules of the domain in the words of JSON Schema.

The checks themselves, and their messages, are the domain's. Rules about two fields (fast < slow) cannot be
written here.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final

from src.domain.datasets import DATASET_NAME_PATTERN
from src.domain.instants import INSTANT_PATTERN
from src.domain.market import INTERVALS, MAX_SYMBOL_TEXT_LENGTH, SYMBOL_PATTERN
from src.domain.model_files import MAX_MODEL_NAME_LENGTH, USER_ID_PATTERN
from src.domain.parameters import Bounds, DeclaredParameter

Schema = dict[str, Any]

USER_ID: Final[Schema] = {"pattern": USER_ID_PATTERN}
SYMBOL: Final[Schema] = {"pattern": SYMBOL_PATTERN, "maxLength": MAX_SYMBOL_TEXT_LENGTH}
DATASET_NAME: Final[Schema] = {"pattern": DATASET_NAME_PATTERN}
MODEL_NAME: Final[Schema] = {"maxLength": MAX_MODEL_NAME_LENGTH}
INTERVAL: Final[Schema] = {"enum": list(INTERVALS)}
CURSOR: Final[Schema] = {"minLength": 1}
DATE: Final[Schema] = {"pattern": INSTANT_PATTERN}
COUNT: Final[Schema] = {"minimum": 1}


def schema_of(item: DeclaredParameter) -> Schema:
    """Return what a parameter's declaration allows."""
    declared = item.parameter
    schema: Schema = {} if declared.bounds is None else _schema_of_bounds(declared.bounds)
    if declared.pattern:
        schema["pattern"] = declared.pattern
    if declared.max_length is not None:
        schema["maxLength"] = declared.max_length
    if declared.choices:
        schema["enum"] = list(declared.choices)
    if isinstance(item.public_kind, type) and issubclass(item.public_kind, StrEnum):
        schema |= any_case(item.public_kind)
    return schema


def _schema_of_bounds(bounds: Bounds) -> Schema:
    schema: Schema = {}
    if math.isfinite(bounds.minimum):
        schema["exclusiveMinimum" if bounds.is_minimum_open else "minimum"] = bounds.minimum
    if math.isfinite(bounds.maximum):
        schema["exclusiveMaximum" if bounds.is_maximum_open else "maximum"] = bounds.maximum
    return schema


def optional(schema: Schema) -> Schema:
    """Return a schema that allows null as well: all but `enum` concern values of their own type only."""
    return {**schema, "enum": [*schema["enum"], None]} if "enum" in schema else schema


def any_case(kind: type[StrEnum]) -> Schema:
    """Return the schema of a member's name in capitals or small letters; the checks take it in any case."""
    return {"enum": [text for member in kind for text in dict.fromkeys((member.value, member.value.lower()))]}
