"""The buy-and-hold strategy, the benchmark of all others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from src.domain.signals import Action, Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs, StrategyParams


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyAndHoldParams(StrategyParams):
    """The strategy has no parameters."""

    @property
    def lookback_bars(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class BuyAndHold:
    """Buy at the first bar of the range, and never sell."""

    label: ClassVar[str] = "Buy and Hold"

    params: BuyAndHoldParams = field(default_factory=BuyAndHoldParams)

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name and the declared parameters; see `ports.Strategy`."""
        return self.params.describe(self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return one buy, at the first bar."""
        action = np.zeros(len(inputs.bars) - inputs.warm_up, dtype=np.int8)
        action[:1] = Action.BUY
        return Signals(action=action, strategy=self.describe())
