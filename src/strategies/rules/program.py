"""All rules of a request as one list of steps, in which each distinct part is computed once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from src.domain.intervals import Interval
from src.domain.strategy import MAX_WARM_UP_BARS


class Step(NamedTuple):
    """A number or condition at each bar, computed from earlier steps.

    A tuple, because a frozen dataclass takes four times as long to create: a rule has dozens of steps, and each request
    compiles some.

    Parameters
    ----------
    operation, numbers, inputs
        The operation, a name of `evaluation.OPERATIONS` or an indicator; its constant numbers; the steps that it reads.
    constant
        The value, if it is a number that is the same at each bar.
    lookback
        Bars before the first value.
    history, history_ms
        Bars, and further time, that must be known before a bar so that its value does not depend on where the history
        begins; None if the start of the history always counts.
    """

    operation: str
    numbers: tuple[float, ...] = ()
    inputs: tuple[int, ...] = ()
    is_condition: bool = False
    constant: float | None = None
    lookback: int = 0
    history: int | None = 0
    history_ms: int = 0


StepKey = tuple[str, tuple[float, ...], float | None, tuple[Any, ...]]
"""Operation, numbers and constant of a step, and the keys of those that it reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The steps of some rules.

    `outputs` are the steps of the rules by their fields; `last_reads` lists for each step those that no later step
    reads. `indicators` and `parameters` are the names that the rules use, in the order of the text. `warnings` are
    sentences about valid parts that the client probably did not mean.
    """

    steps: tuple[Step, ...]
    outputs: Mapping[str, int]
    last_reads: tuple[tuple[int, ...], ...]
    indicators: tuple[str, ...]
    parameters: tuple[str, ...]
    reads_model: bool
    warnings: tuple[str, ...] = ()

    @property
    def lookback_bars(self) -> int:
        """The bars before the first one at which every rule has all its values, if no bar is missing."""
        return max((self.steps[step].lookback for step in self.outputs.values()), default=0)

    @property
    def keys(self) -> tuple[StepKey, ...]:
        """The key of each step, equal for steps of other programs that compute the same."""
        keys: list[StepKey] = []
        for step in self.steps:
            keys.append((step.operation, step.numbers, step.constant, tuple(keys[source] for source in step.inputs)))
        return tuple(keys)

    def warm_up_bars(self, interval: Interval) -> int:
        """Return how many bars to read before the range so that the rules do not depend on where the history begins.

        At most `MAX_WARM_UP_BARS`, even if no number of bars is enough (obv).
        """
        return max((self._warm_up(self.steps[step], interval) for step in self.outputs.values()), default=0)

    def _warm_up(self, step: Step, interval: Interval) -> int:
        if step.history is None:
            return MAX_WARM_UP_BARS
        return min(MAX_WARM_UP_BARS, step.history + math.ceil(step.history_ms / interval.milliseconds))


class StepTable:
    """Steps under construction, each distinct one once."""

    def __init__(self) -> None:
        self._steps: Final[list[Step]] = []
        self._known: Final[dict[tuple[str, tuple[float, ...], tuple[int, ...]], int]] = {}

    def __getitem__(self, number: int) -> Step:
        return self._steps[number]

    def add(self, step: Step) -> int:
        """Return the number of an equal step, old or new; the bars of the steps that it reads are added to its own."""
        key = step.operation, step.numbers, step.inputs
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._steps)
            self._steps.append(self._extend(step) if step.inputs else step)
        return number

    def _extend(self, step: Step) -> Step:
        lookback, history_ms, longest, is_endless = 0, 0, 0, step.history is None
        for number in step.inputs:
            read = self._steps[number]
            lookback, history_ms = max(lookback, read.lookback), max(history_ms, read.history_ms)
            if read.history is None:
                is_endless = True
            else:
                longest = max(longest, read.history)
        return Step(
            operation=step.operation,
            numbers=step.numbers,
            inputs=step.inputs,
            is_condition=step.is_condition,
            constant=step.constant,
            lookback=step.lookback + lookback,
            # Bars that the step needs to forget where the history begins, those of what it reads included.
            history=None if is_endless else step.lookback + (step.history or 0) + longest,
            history_ms=step.history_ms + history_ms,
        )

    def steps(self) -> tuple[Step, ...]:
        """Return all steps."""
        return tuple(self._steps)


def find_last_reads(steps: tuple[Step, ...], outputs: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    """Return for each step the steps that it is the last to read, except the outputs."""
    last = {source: number for number, step in enumerate(steps) for source in step.inputs}
    kept = set(outputs)
    return tuple(
        tuple(source for source in dict.fromkeys(step.inputs) if last[source] == number and source not in kept)
        for number, step in enumerate(steps)
    )
