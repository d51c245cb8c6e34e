"""Run a program on bars: each step once, on whole arrays, which are freed after their last use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.bars import Bars
from src.domain.strategy import SeriesMemory
from src.indicators.indicator import BAR_COLUMNS, read_columns
from src.indicators.registry import INDICATORS
from src.strategies.rules import kernels
from src.strategies.rules.kernels import EQUAL, GREATER, LESS, Conditions, Numbers
from src.strategies.rules.program import Program, Step

Values = NDArray[Any]
_HOUR_MS: Final = 3_600_000
_THURSDAY: Final = 3
"""1970-01-01 was a Thursday, three days after a Monday."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleInputs:
    """What rules read: bars [n], and a model's predictions [n] if a rule calls model().

    `memory` keeps indicators for other rules that read the same bars and predictions.
    """

    bars: Bars
    predictions: Numbers | None = None
    memory: SeriesMemory | None = None

    def column(self, name: str) -> Numbers:
        """Return a column of `vocabulary.COLUMNS`, the time in milliseconds, or the predictions, [n]."""
        if name in BAR_COLUMNS:
            return read_columns(self.bars, (name,))[0]
        hours = self.bars.open_time_ms // _HOUR_MS
        if name == "hour":
            return (hours % 24).astype(np.float64)
        if name == "weekday":
            return ((hours // 24 + _THURSDAY) % 7 + 1).astype(np.float64)
        if name == "model" and self.predictions is not None:
            return self.predictions
        raise ValueError(f"the inputs have no {name}")


def evaluate(program: Program, inputs: RuleInputs) -> dict[str, Conditions]:
    """Return whether each rule is true at each bar [n], by the rules' fields; the arrays are read-only."""
    values: list[Values | None] = [None] * len(program.steps)
    keys = None if inputs.memory is None else program.keys
    for number, step in enumerate(program.steps):
        read = [value for source in step.inputs if (value := values[source]) is not None]
        if inputs.memory is not None and keys is not None and step.operation in INDICATORS:
            values[number] = inputs.memory.recall(keys[number], partial(run_step, step, read, inputs))
        else:
            values[number] = run_step(step, read, inputs)
        for source in program.last_reads[number]:
            values[source] = None
    return {field: value for field, step in program.outputs.items() if (value := values[step]) is not None}


def run_step(step: Step, read: Sequence[Values], inputs: RuleInputs) -> Values:
    """Return the value of one step [n] ([1] for a constant number), given the values of the steps that it reads."""
    n = len(inputs.bars)
    if step.constant is not None:
        result: Values = np.array([step.constant])
    elif step.operation in OPERATIONS:
        result = OPERATIONS[step.operation](read, step.numbers, n)
    elif step.operation in INDICATORS:
        result = INDICATORS[step.operation].compute(read, *step.numbers)
    else:
        result = inputs.column(step.operation)
    # Compiled functions exist for read-only arrays only; see `indicators.indicator`.
    return freeze(result, result.dtype)


def fold(operation: str, constants: Sequence[float]) -> float:
    """Return the result of an operation on numbers that are the same at each bar; NaN if it has none."""
    if operation in FUNCTIONS_OF_ONE:
        return float(FUNCTIONS_OF_ONE[operation](np.array(constants))[0])
    # Not compiled: an error about a rule must not wait for the compiler.
    calculate: Callable[..., Numbers] = kernels.calculate.py_func
    left, right = (np.array([value]) for value in constants)
    with np.errstate(all="ignore"):
        return float(calculate(left, right, CALCULATIONS[operation], 1)[0])


Operation = Callable[[Sequence[Values], tuple[float, ...], int], Values]


def _calculate(code: int, read: Sequence[Values], _: tuple[float, ...], n: int) -> Numbers:
    result: Numbers = kernels.calculate(read[0], read[1], code, n)
    return result


def _compare(accepted: int, read: Sequence[Values], _: tuple[float, ...], n: int) -> Conditions:
    result: Conditions = kernels.compare(read[0], read[1], accepted, n)
    return result


def _cross_above(read: Sequence[Values], _: tuple[float, ...], n: int) -> Conditions:
    result: Conditions = kernels.cross_above(read[0], read[1], n)
    return result


def _cross_below(read: Sequence[Values], numbers: tuple[float, ...], n: int) -> Conditions:
    return _cross_above((read[1], read[0]), numbers, n)


def _shift(read: Sequence[Values], numbers: tuple[float, ...], n: int) -> Values:
    """Return the values some bars earlier; before the first bar, numbers are missing and conditions are false."""
    values, bars = read[0], min(int(numbers[0]), n)
    result = np.empty_like(values)
    result[:bars] = False if values.dtype == np.bool_ else np.nan
    result[bars:] = values[: n - bars]
    return result


def _apply(function: Callable[[Numbers], Numbers], read: Sequence[Values], *_: object) -> Numbers:
    return function(read[0])


def _join(function: Callable[..., Conditions], read: Sequence[Values], *_: object) -> Conditions:
    return reduce(function, read)


CALCULATIONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "+": kernels.ADD,
        "-": kernels.SUBTRACT,
        "*": kernels.MULTIPLY,
        "/": kernels.DIVIDE,
        "%": kernels.REMAINDER,
        "min": kernels.MINIMUM,
        "max": kernels.MAXIMUM,
    }
)

FUNCTIONS_OF_ONE: Final[Mapping[str, Callable[[Numbers], Numbers]]] = MappingProxyType(
    {
        "negative": np.negative,
        "abs": np.abs,
    }
)
"""From a number at each bar [n] to another, NaN if it is missing, and never infinite; "negative" is written -x."""

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        **{name: partial(_calculate, code) for name, code in CALCULATIONS.items()},
        **{name: partial(_apply, function) for name, function in FUNCTIONS_OF_ONE.items()},
        "<": partial(_compare, LESS),
        "<=": partial(_compare, LESS + EQUAL),
        ">": partial(_compare, GREATER),
        ">=": partial(_compare, GREATER + EQUAL),
        "==": partial(_compare, EQUAL),
        "!=": partial(_compare, LESS + GREATER),
        "crosses_above": _cross_above,
        "crosses_below": _cross_below,
        "and": partial(_join, np.logical_and),
        "or": partial(_join, np.logical_or),
        "not": lambda read, *_: np.logical_not(read[0]),
        "earlier": _shift,
    }
)
"""Steps on earlier steps, by the names that `compiling` gives them."""
