"""Turn rules into a program: check names, types and numbers, and merge equal parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from src.domain.errors import InvalidInput, InvalidRule
from src.domain.strategy import MAX_WARM_UP_BARS
from src.indicators.indicator import Indicator
from src.indicators.registry import INDICATORS
from src.strategies.rules.evaluation import FUNCTIONS_OF_ONE, fold
from src.strategies.rules.faults import Source, similar_name
from src.strategies.rules.parsing import parse
from src.strategies.rules.printing import print_rule
from src.strategies.rules.program import Program, Step, StepTable, find_last_reads
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
from src.strategies.rules.vocabulary import COLUMN_RANGES, COLUMNS, FUNCTIONS, known_names, signature_of

MAX_WARNINGS: Final = 5
"""The most warnings about one rule."""
MAX_LOOKBACK: Final = MAX_WARM_UP_BARS
"""Bars, for `x[n]` and for a whole rule: with a longer lookback, the first bars of a range would have no value."""


_ARGUMENTS: Final[Mapping[str, tuple[int, int | None]]] = {
    **dict.fromkeys(FUNCTIONS_OF_ONE, (1, 1)),
    "model": (0, 0),
    "min": (2, None),
    "max": (2, None),
}
"""The minimum and maximum number of arguments of a function (None: no maximum); (2, 2) if it is not listed."""


class Compiler:
    """Collects the steps of the rules of one request."""

    def __init__(self, parameters: Mapping[str, float]) -> None:
        self._parameters: Final = parameters
        self._steps: Final = StepTable()
        self._outputs: Final[dict[str, int]] = {}
        self._calls: Final[list[str]] = []
        self._names: Final[list[str]] = []
        self._warnings: Final[list[str]] = []

    def add_rule(self, text: str, field: str) -> Node:
        """Add a rule and return its tree; raises InvalidRule, and the rule is not added."""
        tree = parse(text, field)
        reading = _Reading(Source(text, field), self._parameters, self._steps)
        self._outputs[field] = reading.condition(tree, "A rule is a condition")
        self._calls.extend(reading.calls)
        self._names.extend(reading.names)
        self._warnings.extend(reading.warnings)
        return tree

    def build(self) -> Program:
        """Return the program of the rules that were added."""
        steps = self._steps.steps()
        return Program(
            steps=steps,
            outputs=dict(self._outputs),
            last_reads=find_last_reads(steps, self._outputs.values()),
            indicators=tuple(dict.fromkeys(name for name in self._calls if name in INDICATORS)),
            parameters=tuple(dict.fromkeys(self._names)),
            reads_model="model" in self._calls,
            warnings=tuple(self._warnings),
        )


class _Reading:
    """Reads one rule; each method returns the number of the step that computes a part of it."""

    def __init__(self, source: Source, parameters: Mapping[str, float], steps: StepTable) -> None:
        self._source = source
        self._parameters = parameters
        self._steps = steps
        self.calls: Final[list[str]] = []
        """The names of functions and indicators, and those of parameters, in the order of the text."""
        self.names: Final[list[str]] = []
        self.warnings: Final[list[str]] = []

    def condition(self, node: Node, reason: str) -> int:
        """Add a part that must be a condition; `reason` begins the error's sentence."""
        step = self._any(node)
        if not self._steps[step].is_condition:
            problem = "{reason}, and {got!r} is a number. Compare it, as in rsi(14) < 30."
            raise self._source.fault(node.at, problem, reason=reason, got=print_rule(node))
        return step

    def number(self, node: Node, reason: str) -> int:
        """Add a part that must be a number."""
        step = self._any(node)
        if self._steps[step].is_condition:
            problem = "{reason}, and {got!r} is a condition."
            raise self._source.fault(node.at, problem, reason=reason, got=print_rule(node))
        return step

    def _any(self, node: Node) -> int:
        match node:
            case Number(value):
                step = self._constant(node, value)
            case Parameter(name):
                step = self._constant(node, self._value_of(node, name))
            case Column(name):
                step = self._column(node, name)
            case Call(name, arguments):
                step = self._call(node, name, arguments)
            case Earlier(value, bars):
                step = self._earlier(node, value, bars)
            case Negative(value):
                step = self._add(node, "negative", inputs=(self.number(value, "- takes a number"),))
            case Arithmetic(operator, left, right):
                step = self._arithmetic(node, operator, left, right)
            case Comparison(operator, left, right):
                step = self._comparison(node, operator, left, right)
            case Not(value):
                joined = self.condition(value, "not takes a condition")
                step = self._add(node, "not", inputs=(joined,), is_condition=True)
            case Logic(operator, items):
                inputs = tuple(self.condition(item, f"{operator} joins conditions") for item in items)
                step = self._add(node, operator, inputs=inputs, is_condition=True)
            case _:
                raise TypeError(f"{type(node).__name__} cannot be part of a rule")
        return step

    def _comparison(self, node: Node, operator: str, left: Node, right: Node) -> int:
        inputs = self._numbers(operator, (left, right))
        for column, step, other in ((left, inputs[1], right), (right, inputs[0], left)):
            bounds = COLUMN_RANGES.get(column.name) if isinstance(column, Column) else None
            value = self._steps[step].constant
            if bounds is not None and value is not None and not bounds[0] <= value <= bounds[1]:
                problem = "{name} is compared with {got}, which it never is. Allowed: {least} to {most}."
                raise self._source.fault(
                    other.at, problem, name=print_rule(column), got=f"{value:.15g}", least=bounds[0], most=bounds[1]
                )
        left_value, right_value = (self._steps[step].constant for step in inputs)
        if inputs[0] == inputs[1] or (left_value is not None and right_value is not None):
            self._warn(node, "{got!r} compares what does not change: it is the same at each bar.")
        self._warn_if_out_of_range(node, inputs)
        return self._add(node, operator, inputs=inputs, is_condition=True)

    def _warn_if_out_of_range(self, node: Node, inputs: tuple[int, ...]) -> None:
        """Warn of an indicator that is compared with, or crosses, a number that it never reaches."""
        left, right = (self._steps[number] for number in inputs)
        for step, level in ((left, right.constant), (right, left.constant)):
            indicator = INDICATORS.get(step.operation)
            bounds = indicator.value_range if indicator is not None and level is not None else None
            if bounds is not None and level is not None and not bounds[0] <= level <= bounds[1]:
                problem = "{got!r} is the same at each bar: {name} is from {least:g} to {most:g}."
                self._warn(node, problem, name=step.operation, least=bounds[0], most=bounds[1])

    def _warn(self, node: Node, problem: str, **facts: object) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(self._source.note(node.at, problem, got=print_rule(node), **facts))

    def _numbers(self, operator: str, nodes: Sequence[Node]) -> tuple[int, ...]:
        return tuple(self.number(node, f"{operator} takes numbers") for node in nodes)

    def _value_of(self, node: Node, name: str) -> float:
        self.names.append(name)
        if name in self._parameters:
            return float(self._parameters[name])
        given = tuple(self._parameters) or "none"
        raise self._source.fault(
            node.at, "{@parameters} has no {got!r}. Given: {given}.{hint}", got=name, given=given,
            hint=_suggest(name, self._parameters),
        )  # fmt: skip

    def _column(self, node: Node, name: str) -> int:
        if name in COLUMNS:
            return self._add(node, name)
        if name in FUNCTIONS or name in INDICATORS:
            problem = "{name} is a function. Write it with brackets: {signature}."
            raise self._source.fault(node.at, problem, name=name, signature=signature_of(name))
        if name in self._parameters:
            raise self._unknown(node, name, f" Did you mean {{{name}}}, the parameter?")
        # A single letter resembles a known name only by chance.
        is_own = name[0] != "_" and (len(name) == 1 or similar_name(name, known_names()) is None)
        raise self._unknown(node, name, f" A number of your own is written {{{name}}}." if is_own else "")

    def _unknown(self, node: Node, name: str, hint: str = "") -> InvalidRule:
        return self._source.fault(
            node.at, "Unknown name {got!r}.{hint} Known columns: {columns}. Known functions: {functions}.",
            got=name, hint=hint or _suggest(name, known_names()),
            columns=tuple(COLUMNS), functions=tuple(sorted((*FUNCTIONS, *INDICATORS))),
        )  # fmt: skip

    def _arithmetic(self, node: Node, operator: str, left: Node, right: Node) -> int:
        inputs = self._numbers(operator, (left, right))
        if operator in "/%" and self._steps[inputs[1]].constant == 0:
            raise self._source.fault(right.at, "Division by zero: {got!r} is 0 at each bar.", got=print_rule(right))
        divisor = self._steps[inputs[1]]
        if operator in "/%" and divisor.operation == "-" and divisor.inputs[0] == divisor.inputs[1]:
            self._warn(node, "{got!r} divides by zero at each bar, and has no value.")
        return self._add(node, operator, inputs=inputs)

    def _earlier(self, node: Node, value: Node, bars: Node) -> int:
        step = self._any(value)
        if self._steps[step].constant is not None:
            problem = "{got!r} is the same at each bar: [n] needs a column, a function or a condition before it."
            raise self._source.fault(value.at, problem, got=print_rule(value))
        back = self._steps[self.number(bars, "[n] takes a number")].constant
        if back is None or back != math.floor(back) or not 0 <= back <= MAX_LOOKBACK:
            got = print_rule(bars) if back is None else f"{back:.15g}"
            problem = "[n] is {got}. Allowed: a constant whole number, 0 ≤ n ≤ {most} (bars back)."
            raise self._source.fault(bars.at, problem, got=got, most=MAX_LOOKBACK)
        is_condition = self._steps[step].is_condition
        return self._add(
            node, "earlier", numbers=(back,), inputs=(step,), is_condition=is_condition, lookback=int(back)
        )

    def _call(self, node: Node, name: str, arguments: Sequence[Node]) -> int:
        self.calls.append(name)
        if name in INDICATORS:
            return self._indicator(node, INDICATORS[name], arguments)
        if name in COLUMNS:
            problem = "{name} is a column, not a function. Write {name}, or {name}[1] for the bar before."
            raise self._source.fault(node.at, problem, name=name)
        if name not in FUNCTIONS:
            raise self._unknown(node, name)
        least, most = _ARGUMENTS.get(name, (2, 2))
        if len(arguments) < least or (most is not None and len(arguments) > most):
            got = f"{len(arguments) or 'no'} argument{'' if len(arguments) == 1 else 's'}"
            problem = "{name} has {got}. Write {signature}."
            raise self._source.fault(node.at, problem, name=name, got=got, signature=signature_of(name))
        inputs = self._numbers(name, arguments)
        if name in ("min", "max"):
            first, *others = inputs
            for other in others:
                first = self._add(node, name, inputs=(first, other))
            return first
        is_crossing = name.startswith("crosses")
        if is_crossing:
            self._warn_if_out_of_range(node, inputs)
        return self._add(node, name, inputs=inputs, is_condition=is_crossing, lookback=int(is_crossing))

    def _indicator(self, node: Node, indicator: Indicator, arguments: Sequence[Node]) -> int:
        steps = self._numbers(indicator.name, arguments)
        series: tuple[int, ...] = ()
        if steps and indicator.takes_series and self._steps[steps[0]].constant is None:
            series, steps, arguments = steps[:1], steps[1:], arguments[1:]
        numbers = self._arguments(node, indicator, arguments, [self._steps[step].constant for step in steps])
        inputs = series or tuple(self._add(node, column) for column in indicator.columns)
        return self._add(
            node, indicator.name, numbers=tuple(map(float, numbers)), inputs=inputs,
            lookback=indicator.count_lookback(*numbers), history=indicator.count_memory(*numbers),
            history_ms=indicator.memory_ms,
        )  # fmt: skip

    def _arguments(
        self, node: Node, indicator: Indicator, nodes: Sequence[Node], values: Sequence[float | None]
    ) -> tuple[float, ...]:
        """Return all numbers of an indicator, its defaults included, checked."""
        if len(values) > len(indicator.arguments):
            others = [signature_of(name) for name in INDICATORS if name.endswith(f"_{indicator.name}")]
            problem = "{name} has too many arguments. Write {signature}."
            at = nodes[len(indicator.arguments)].at
            signature = " or ".join((signature_of(indicator.name), *others))
            raise self._source.fault(at, problem, name=indicator.name, signature=signature)
        for part, value, argument in zip(nodes, values, indicator.arguments, strict=False):
            if value is None:
                problem = "{name} of {function} is {got!r}, which may change from bar to bar. Write {signature}."
                raise self._source.fault(
                    part.at, problem, name=argument.parameter.name, function=indicator.name, got=print_rule(part),
                    signature=signature_of(indicator.name),
                )  # fmt: skip
            try:
                argument.check(int(value) if value.is_integer() else value)
            except InvalidInput as error:
                raise self._source.fault(part.at, "{name}: {why}", name=indicator.name, why=error.text) from error
        try:
            return indicator.complete([value for value in values if value is not None])
        except InvalidInput as error:
            raise self._source.fault(node.at, "{name}: {why}", name=indicator.name, why=error.text) from error

    def _constant(self, node: Node, value: float) -> int:
        return self._add(node, "constant", numbers=(value,), constant=value)

    def _add(self, node: Node, operation: str, *, inputs: tuple[int, ...] = (), **known: Any) -> int:
        """Return the step of a part; constant numbers are computed now."""
        if inputs and not known.get("is_condition"):
            constants = [value for number in inputs if (value := self._steps[number].constant) is not None]
            if len(constants) == len(inputs):
                return self._fold(node, operation, constants)
        number = self._steps.add(Step(operation=operation, inputs=inputs, **known))
        lookback = self._steps[number].lookback
        if lookback > MAX_LOOKBACK:
            problem = "{got!r} looks back {bars:,} bars. Maximum: {most:,}."
            raise self._source.fault(node.at, problem, got=print_rule(node), bars=lookback, most=MAX_LOOKBACK)
        return number

    def _fold(self, node: Node, operation: str, constants: Sequence[float]) -> int:
        """Return the step of a constant number, computed now."""
        value = fold(operation, constants)
        if not math.isfinite(value):
            raise self._source.fault(node.at, "{got!r} is too large a number.", got=print_rule(node))
        return self._constant(node, value)


def _suggest(name: str, known: Iterable[str]) -> str:
    similar = similar_name(name, known)
    return "" if similar is None else f" Did you mean {similar}?"
