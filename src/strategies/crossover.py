"""The moving-average crossover: two means of the close, and the bars at which they cross."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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


ROUNDING: Final = 1e-14
"""Relative difference up to which two means are equal. Prices are decimals and their means binary numbers: 98.8 can
come out of three prices and of two with another last bit. Where means of prices with a tick do differ, it is by more
than tick ÷ (price × fast × slow), some 1e-10."""


def crossings(fast: NDArray[np.float64], slow: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the action [n]: buy where fast rises from ≤ to > slow, sell where it falls from ≥ to < (see `ROUNDING`).

    Where either is NaN, at this bar or the one before, there is no crossing.
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
