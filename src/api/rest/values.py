"""Describe the domain's rules for single values in JSON Schema, for OpenAPI.

The domain has the checks and their messages. Rules about two fields are in `rules`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from src.api.components import Schema, enum_of, text_enum
from src.domain.datasets import DATASET_NAME_PATTERN
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest
from src.domain.model_files import MAX_MODEL_NAME_LENGTH, USER_ID_PATTERN
from src.domain.parameters import Bounds, DeclaredParameter, parameters_of
from src.domain.sweeps import ROW_METRICS

MAXIMUM_SETTING: Final = "x-maximum-setting"
"""Names the setting whose value is the maximum, which `with_maxima` writes beside it."""


_UNITS: Final = {"s": "SECOND", "m": "MINUTE", "h": "HOUR", "d": "DAY", "w": "WEEK", "M": "MONTH"}
INTERVAL: Final = text_enum(
    "BarInterval",
    "The length of a bar: 1m is a minute, and 1M a month.",
    {f"{_UNITS[name[-1]]}_{name[:-1]}": name for name in INTERVALS},
)
_ROW_METRIC: Final = text_enum(
    "RowMetric", "A metric of the rows of a sweep.", {name.upper(): name for name in ROW_METRICS}
)
_CHOICES: Final = {tuple(INTERVALS): INTERVAL, ROW_METRICS: _ROW_METRIC}


def schema_of(item: DeclaredParameter) -> Schema:
    """Return what a parameter's declaration allows, beside its type or `enum_schema_of`."""
    declared = item.parameter
    schema: Schema = {} if declared.bounds is None else _schema_of_bounds(declared.bounds)
    if declared.maximum_setting:
        schema[MAXIMUM_SETTING] = declared.maximum_setting
    if declared.pattern:
        schema["pattern"] = declared.pattern
    if declared.excluded_pattern:
        schema["not"] = {"type": "string", "pattern": declared.excluded_pattern}
    if declared.max_length is not None:
        schema["maxLength" if item.rung_kind is None else "maxItems"] = declared.max_length
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


def enum_schema_of(item: DeclaredParameter) -> Schema | None:
    """Return the schema of a parameter that is one of a closed list of texts; None for others."""
    if item.parameter.choices:
        return _CHOICES[item.parameter.choices]
    if isinstance(item.public_kind, type) and issubclass(item.public_kind, StrEnum):
        return enum_of(item.public_kind, ignores_case=True)
    return None


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
CURSOR: Final[Schema] = {"minLength": 1}
DATE: Final = _MARKET["start_date"]
COUNT: Final = _MARKET["limit"]
ROWS: Final[Schema] = {MAXIMUM_SETTING: "MAX_ROWS_PER_ANSWER"}
