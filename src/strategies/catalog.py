"""List the registered strategies and indicators with their parameters, and the other words of rules."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from enum import StrEnum
from functools import cache
from typing import Any, Final

from src.domain.catalog import (
    ColumnInfo,
    FunctionInfo,
    IndicatorInfo,
    ParameterInfo,
    ParameterType,
    StrategyCatalog,
    StrategyInfo,
)
from src.domain.parameters import DeclaredParameter, Parameter, parameters_of
from src.indicators.indicator import Argument, Indicator
from src.indicators.registry import INDICATORS
from src.strategies.registry import PARAMS, label_of, summary_of
from src.strategies.rules.vocabulary import COLUMN_RANGES, COLUMNS, FUNCTIONS

_TYPES: Final[Mapping[Any, ParameterType]] = {
    int: ParameterType.INTEGER,
    float: ParameterType.NUMBER,
    bool: ParameterType.BOOLEAN,
    str: ParameterType.TEXT,
    tuple: ParameterType.TEXTS,
    Mapping: ParameterType.NUMBERS_BY_NAME,
}


@cache
def build_catalog() -> StrategyCatalog:
    """Return all strategies and indicators, in the order of their registries, and the other words of rules."""
    return StrategyCatalog(
        strategies=tuple(_describe_strategy(name) for name in PARAMS),
        indicators=tuple(_describe_indicator(indicator) for indicator in INDICATORS.values()),
        functions=tuple(
            FunctionInfo(name=name, signature=signature, meaning=f"{meaning}.")
            for name, (signature, meaning) in FUNCTIONS.items()
        ),
        columns=tuple(_describe_column(name, meaning) for name, meaning in COLUMNS.items()),
    )


def _describe_column(name: str, meaning: str) -> ColumnInfo:
    least, most = COLUMN_RANGES.get(name, (None, None))
    return ColumnInfo(name=name, meaning=f"{meaning}.", minimum=least, maximum=most)


def _describe_strategy(name: str) -> StrategyInfo:
    return StrategyInfo(
        name=name,
        label=label_of(name),
        meaning=summary_of(name),
        parameters=tuple(_describe_parameter(item) for item in parameters_of(PARAMS[name])),
    )


def _describe_parameter(item: DeclaredParameter) -> ParameterInfo:
    kind = item.public_kind
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        shape, choices = ParameterType.CHOICE, tuple(member.value for member in kind)
    else:
        shape = ParameterType.CHOICE if item.parameter.choices else _TYPES[typing.get_origin(kind) or kind]
        choices = item.parameter.choices
    return _describe(
        item.parameter,
        shape,
        name=item.request_name,
        choices=choices,
        is_required=item.default is MISSING,
        default=_to_plain(item.public_default),
        default_meaning=item.parameter.default_meaning or None,
    )


def _to_plain(value: object) -> object:
    return value.value if isinstance(value, StrEnum) else value


def _describe_indicator(indicator: Indicator) -> IndicatorInfo:
    return IndicatorInfo(
        name=indicator.name,
        meaning=indicator.meaning,
        unit=indicator.unit,
        formula=indicator.formula,
        source=indicator.source,
        columns=indicator.columns,
        takes_series=indicator.takes_series,
        lookback=indicator.lookback(),
        parameters=tuple(_describe_argument(argument) for argument in indicator.arguments),
    )


def _describe_argument(argument: Argument) -> ParameterInfo:
    shape = ParameterType.INTEGER if argument.is_whole else ParameterType.NUMBER
    return _describe(argument.parameter, shape, name=argument.parameter.name, default=argument.default)


def _describe(
    declared: Parameter,
    shape: ParameterType,
    *,
    name: str,
    choices: tuple[str, ...] = (),
    is_required: bool = False,
    default: object,
    default_meaning: str | None = None,
) -> ParameterInfo:
    bounds = declared.bounds
    return ParameterInfo(
        name=name,
        meaning=f"{declared.meaning.rstrip('.')}.",
        type=shape,
        unit=declared.unit or None,
        minimum=None if bounds is None or math.isinf(bounds.minimum) else bounds.minimum,
        maximum=None if bounds is None or math.isinf(bounds.maximum) else bounds.maximum,
        excludes_minimum=bounds is not None and bounds.is_minimum_open,
        excludes_maximum=bounds is not None and bounds.is_maximum_open,
        choices=choices,
        is_required=is_required,
        default=default,
        default_meaning=default_meaning,
    )
