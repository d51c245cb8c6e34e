"""The words of rules beside the indicators, with their meanings; the documentation is compared with them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from src.indicators.registry import INDICATORS

COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open": "The bar's first price",
        "high": "The bar's highest price",
        "low": "The bar's lowest price",
        "close": "The bar's last price",
        "volume": "What was traded in the bar, in the base asset",
        "hour": "The hour of the bar's open, 0…23 UTC",
        "weekday": "The day of the bar's open in UTC: Monday 1, …, Sunday 7 (ISO 8601)",
    }
)

COLUMN_RANGES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({"hour": (0, 23), "weekday": (1, 7)})
"""The least and the greatest value of the columns that have both."""

FUNCTIONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "crosses_above": ("crosses_above(a, b)", "Condition: a ≤ b at the bar before, and a > b at this bar"),
        "crosses_below": ("crosses_below(a, b)", "Condition: a ≥ b at the bar before, and a < b at this bar"),
        "abs": ("abs(x)", "The number without its sign"),
        "max": ("max(a, b, …)", "The largest of two or more numbers of one bar; highest(x, n) looks back over bars"),
        "min": ("min(a, b, …)", "The smallest of two or more numbers of one bar; lowest(x, n) looks back over bars"),
        "model": ("model()", "The model's prediction at this bar: a probability, a value or a label"),
    }
)
"""How each function is written, and what it means."""


def known_names() -> tuple[str, ...]:
    """Return all names that a rule may hold."""
    return (*COLUMNS, *FUNCTIONS, *INDICATORS)


def signature_of(name: str) -> str:
    """Return how a function or an indicator is written, with its defaults: `rsi(x = close, length = 14)`."""
    if name in FUNCTIONS:
        return FUNCTIONS[name][0]
    indicator = INDICATORS[name]
    series = [f"x = {indicator.columns[0]}"] if indicator.takes_series else []
    numbers = [f"{argument.parameter.name} = {argument.default:g}" for argument in indicator.arguments]
    return f"{name}({', '.join((*series, *numbers))})"
