"""The moving-average crossover strategy: signals at the bars at which two means of the close cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.parameters import AT_LEAST_ONE, Bounds, parameter
from src.domain.signals import Action, Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs, StrategyParams
from src.indicators.moving_average import simple_moving_average


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossoverParams(StrategyParams):
    """Buy if the fast moving average of closes crosses above the slow one, sell if it crosses below."""

    ordered_pairs: ClassVar = (("fast", "slow"),)

    fast: int = parameter(
        name="fast",
        meaning="Length of the fast moving average of the close; less than slow",
        default=20,
        unit="bars",
        bounds=AT_LEAST_ONE,
    )
    slow: int = parameter(
        name="slow",
        meaning="Length of the slow moving average of the close",
        default=50,
        unit="bars",
        bounds=Bounds(minimum=2),
    )

    def __post_init__(self) -> None:
        self.check_values()

    @property
    def lookback_bars(self) -> int:
        return self.slow


@dataclass(frozen=True, slots=True)
class Crossover:
    """Moving-average crossover: buy if the fast mean crosses from ≤ to > the slow one, sell if from ≥ to <."""

    label: ClassVar[str] = "MA Crossover"

    params: CrossoverParams

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the lengths; see `ports.Strategy`."""
        return describe_crossover(self.params.fast, self.params.slow)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the crossings; the first `slow` bars give none, as both means must exist at this bar and before."""
        close, fast, slow = inputs.bars.close, self.params.fast, self.params.slow
        warnings: tuple[str, ...] = ()
        if len(close) <= slow:
            warnings = (
                f"{len(close)} bars are too few for a mean of {slow}: the strategy gives no signal. "
                "Ask for more bars (limit) or a shorter slow mean.",
            )
        action = crossings(*(_read_mean(inputs, length) for length in (fast, slow)))
        return Signals(
            action=action[inputs.warm_up :],
            strategy=self.describe(),
            warnings=warnings,
        )


def describe_crossover(fast: int, slow: int) -> StrategyDescription:
    """Return the description of a crossover of means of these lengths.

    These names were released before the parameters were declared; stored results have them.
    """
    return StrategyDescription(name=Crossover.label, parameters={"fastMaPeriod": fast, "slowMaPeriod": slow})


def _read_mean(inputs: StrategyInputs, length: int) -> NDArray[np.float64]:
    return inputs.recall(("mean of the close", length), lambda: simple_moving_average(inputs.bars.close, length))


ROUNDING: Final = 1e-14
"""Relative difference up to which two means are equal. Means of decimal prices are rounded: the mean 98.8 of two prices
and of three prices can differ in the last bit. Means of prices with a tick that do differ, differ by more than
tick ÷ (price × fast × slow), about 1e-10."""


def crossings(fast: NDArray[np.float64], slow: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the action [n]: buy if fast rises from ≤ to > slow, sell if it falls from ≥ to < (see `ROUNDING`).

    There is no crossing if either is NaN, at this bar or the one before.
    """
    action = np.zeros(fast.size, dtype=np.int8)
    # NaN makes every comparison false.
    margin = ROUNDING * slow
    is_above, is_below = fast > slow + margin, fast < slow - margin
    is_known = np.isfinite(fast) & np.isfinite(slow)
    both_known = is_known[1:] & is_known[:-1]
    action[1:][both_known & is_above[1:] & ~is_above[:-1]] = Action.BUY
    action[1:][both_known & is_below[1:] & ~is_below[:-1]] = Action.SELL
    return action
