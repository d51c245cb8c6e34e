"""The moving-average crossover: two means of the close, and the bars at which they cross."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.domain.market import Bars
from src.domain.runs import CrossoverChoice
from src.domain.signals import Action, Signals, StrategyDescription
from src.strategies.moving_average import simple_moving_average


@dataclass(frozen=True, slots=True)
class Crossover:
    """Buy where the fast mean crosses from ≤ to > the slow one, sell where it crosses from ≥ to <."""

    choice: CrossoverChoice

    def signals(self, bars: Bars) -> Signals:
        """Return the crossings; the first slow bars give none, for want of a slow mean at both ends of the step."""
        fast = simple_moving_average(bars.close, self.choice.fast)
        slow = simple_moving_average(bars.close, self.choice.slow)
        warnings: tuple[str, ...] = ()
        if len(bars) <= self.choice.slow:
            warnings = (
                f"{len(bars)} bars are too few for a mean of {self.choice.slow}: the strategy gives no signal. "
                "Ask for more bars (limit) or a shorter slow mean.",
            )
        return Signals(
            action=crossings(fast, slow),
            strategy=StrategyDescription(
                name="MA Crossover",
                parameters={"fastMaPeriod": self.choice.fast, "slowMaPeriod": self.choice.slow},
            ),
            warnings=warnings,
        )


def crossings(fast: NDArray[np.float64], slow: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the action [n]: buy where fast rises from ≤ to > slow, sell where it falls from ≥ to <.

    Where either is NaN, at this bar or the one before, there is no crossing.
    """
    action = np.zeros(fast.size, dtype=np.int8)
    # NaN makes every comparison false.
    was_below, was_above = fast[:-1] <= slow[:-1], fast[:-1] >= slow[:-1]
    action[1:][was_below & (fast[1:] > slow[1:])] = Action.BUY
    action[1:][was_above & (fast[1:] < slow[1:])] = Action.SELL
    return action
