"""A slow evaluator of rules, one bar at a time, written from docs/rules.md and from nothing else of ours.

Only the values of indicators come from the registry, whose own tests compare them with their definitions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.indicators.indicator import read_columns
from src.indicators.registry import INDICATORS
from src.strategies.rules.tree import (
    Arithmetic,
    Call,
    Column,
    Comparison,
    Earlier,
    Logic,
    Negative,
    Node,
    Not,
    Number,
    Parameter,
)


class Reference:
    """Evaluates trees on some bars."""

    def __init__(
        self,
        bars: Bars,
        parameters: Mapping[str, float] | None = None,
        predictions: NDArray[np.float64] | None = None,
    ) -> None:
        self.bars = bars
        self.parameters = dict(parameters or {})
        self.predictions = predictions
        self.series: dict[tuple[str, tuple[Node, ...]], NDArray[np.float64]] = {}
        """Of each indicator met so far. Computed anew at each bar, a nested one takes as many times as bars squared."""

    def condition(self, tree: Node) -> list[bool]:
        return [bool(self.at(tree, bar)) for bar in range(len(self.bars))]

    def at(self, node: Node, bar: int) -> float | bool:
        """The value at a bar: NaN if a number is missing."""
        match node:
            case Number(value):
                return value
            case Parameter(name):
                return self.parameters[name]
            case Column(name):
                return self.column(name, bar)
            case Call(name, arguments):
                return self.call(name, arguments, bar)
            case Earlier(value, bars):
                back = bar - int(self.at(bars, bar))
                return self.at(value, back) if back >= 0 else self.missing(value)
            case Negative(value):
                return -self.at(value, bar)
            case Arithmetic(operator, left, right):
                return calculate(operator, self.at(left, bar), self.at(right, bar))
            case Comparison(operator, left, right):
                return compare(operator, self.at(left, bar), self.at(right, bar))
            case Not(value):
                return not self.at(value, bar)
            case Logic("and", items):
                return all(self.at(item, bar) for item in items)
            case Logic("or", items):
                return any(self.at(item, bar) for item in items)
        raise AssertionError(node)

    def missing(self, node: Node) -> float | bool:
        is_crossing = isinstance(node, Call) and node.name.startswith("crosses")
        if isinstance(node, Earlier):
            return self.missing(node.value)
        return False if is_crossing or isinstance(node, Comparison | Not | Logic) else math.nan

    def column(self, name: str, bar: int) -> float:
        if name in ("hour", "weekday"):
            time = np.datetime64(int(self.bars.open_time_ms[bar]), "ms").item()
            return float(time.hour if name == "hour" else time.isoweekday())
        return float(getattr(self.bars, name)[bar])

    def call(self, name: str, arguments: tuple[Node, ...], bar: int) -> float | bool:
        if name == "model":
            assert self.predictions is not None
            return float(self.predictions[bar])
        if name in ("crosses_above", "crosses_below"):
            if bar == 0:
                return False
            was, now = ("<=", ">") if name == "crosses_above" else (">=", "<")
            before, after = ([self.at(argument, one) for argument in arguments] for one in (bar - 1, bar))
            return compare(was, *before) and compare(now, *after)
        if name in INDICATORS:
            if (name, arguments) not in self.series:
                self.series[name, arguments] = self.indicator(name, arguments)
            return float(self.series[name, arguments][bar])
        values = [self.at(argument, bar) for argument in arguments]
        if any(math.isnan(value) for value in values):
            return math.nan
        return {"abs": lambda x: abs(x[0]), "min": min, "max": max}[name](values)  # type: ignore[operator,no-any-return]

    def indicator(self, name: str, arguments: tuple[Node, ...]) -> NDArray[np.float64]:
        indicator = INDICATORS[name]
        columns = read_columns(self.bars, indicator.columns)
        if arguments and indicator.takes_series and not is_constant(arguments[0]):
            series, *arguments = arguments  # type: ignore[assignment]
            columns = [np.array([self.at(series, bar) for bar in range(len(self.bars))], dtype=np.float64)]
        return indicator.compute(columns, *(self.at(argument, 0) for argument in arguments))


def is_constant(node: Node) -> bool:
    if isinstance(node, Column | Earlier):
        return False
    if isinstance(node, Call) and node.name not in ("abs", "min", "max"):
        return False
    return all(map(is_constant, node.children))


def calculate(operator: str, left: float, right: float) -> float:
    try:
        value = {
            "+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right,
            "/": lambda: left / right, "%": lambda: left % right,
        }[operator]()  # fmt: skip
    except (ZeroDivisionError, OverflowError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def compare(operator: str, left: float, right: float) -> bool:
    if math.isnan(left) or math.isnan(right):
        return False
    is_equal = math.isclose(left, right, rel_tol=1e-12, abs_tol=0)
    is_less = left < right and not is_equal
    is_greater = left > right and not is_equal
    return {
        "<": is_less, "<=": is_less or is_equal, ">": is_greater, ">=": is_greater or is_equal,
        "==": is_equal, "!=": not is_equal,
    }[operator]  # fmt: skip
