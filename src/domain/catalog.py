"""What a client can choose from: strategies and indicators with their parameters, so that a form can be made of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from src.domain.reported import reported


class ParameterType(StrEnum):
    """What a client sends for a parameter."""

    INTEGER = "INTEGER"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    TEXT = "TEXT"
    CHOICE = "CHOICE"
    TEXTS = "TEXTS"
    NUMBERS_BY_NAME = "NUMBERS_BY_NAME"

    @property
    def meaning(self) -> str:
        """One sentence for the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    ParameterType.INTEGER: "A whole number.",
    ParameterType.NUMBER: "A number.",
    ParameterType.BOOLEAN: "true or false.",
    ParameterType.TEXT: "Text.",
    ParameterType.CHOICE: "One of the choices.",
    ParameterType.TEXTS: "A list of texts.",
    ParameterType.NUMBERS_BY_NAME: "An object whose values are numbers.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterInfo:
    """A parameter of a strategy or an indicator."""

    name: str = reported(
        "Its name in requests; GraphQL takes it in camelCase too. a.b is the field b of an optional object a."
    )
    meaning: str = reported("What it does.")
    type: ParameterType = reported("What a client sends for it.")
    unit: str | None = reported("Its unit; null if it has none.")
    minimum: float | None = reported("The smallest number that is allowed; null if there is none.", "parameter's unit")
    maximum: float | None = reported("The largest number that is allowed; null if there is none.", "parameter's unit")
    excludes_minimum: bool = reported("Whether the number must be larger than the minimum.")
    excludes_maximum: bool = reported("Whether the number must be smaller than the maximum.")
    choices: tuple[str, ...] = reported("The allowed values; empty if any value of the type is allowed.")
    is_required: bool = reported("Whether a request must give it.")
    default: Any | None = reported("The value if it is not given; null if only words can say it, or if there is none.")
    default_meaning: str | None = reported("What applies if it is not given, in words; null if the default says it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyInfo:
    """A strategy that requests can name."""

    name: str = reported("Its name in requests; GraphQL takes it in camelCase too.")
    label: str = reported("Its name in results.")
    meaning: str = reported("Its rule, in one sentence.")
    parameters: tuple[ParameterInfo, ...] = reported("Its parameters; without any, a request names it with true.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndicatorInfo:
    """An indicator that strategies read."""

    name: str = reported("Its name.")
    meaning: str = reported("What it measures.")
    unit: str = reported("The unit of its values.")
    formula: str = reported("Its formula; x is the series, n the length, x[1] the value one bar before.")
    source: str = reported("Author and title that the formula is from.")
    columns: tuple[str, ...] = reported("The columns of the bars that it reads.")
    takes_series: bool = reported("Whether any other series may stand in the place of its only column.")
    lookback: int = reported("Bars before its first value, at the defaults.", "bars")
    parameters: tuple[ParameterInfo, ...] = reported("The numbers that it takes, in this order.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionInfo:
    """A function of rules."""

    name: str = reported("Its name.")
    signature: str = reported("How it is written, with its arguments.")
    meaning: str = reported("What it returns.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnInfo:
    """A column of the bars that rules read."""

    name: str = reported("Its name.")
    meaning: str = reported("What it holds.")
    minimum: float | None = reported("Its smallest value; null if there is none.", "column's unit")
    maximum: float | None = reported("Its largest value; null if there is none.", "column's unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyCatalog:
    """Strategies and indicators with their parameters, and the other words of rules."""

    strategies: tuple[StrategyInfo, ...] = reported("The strategies that requests can name.")
    indicators: tuple[IndicatorInfo, ...] = reported("The indicators.")
    functions: tuple[FunctionInfo, ...] = reported("The functions of rules beside the indicators.")
    columns: tuple[ColumnInfo, ...] = reported("The columns of the bars that rules read.")
