"""The up/down-day strategy, the simplest rule: long after a bar that rose, flat after a bar that fell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from src.domain.signals import Action, Predictions, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs, StrategyParams


@dataclass(frozen=True, slots=True, kw_only=True)
class UpDownParams(StrategyParams):
    """The strategy has no parameters."""

    @property
    def lookback_bars(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class UpDown:
    """Long from a close above the one before until a close below the one before; an equal close changes nothing."""

    label: ClassVar[str] = "Up/Down Day"

    params: UpDownParams = field(default_factory=UpDownParams)

    def describe(self, predictions: Predictions | None = None) -> StrategyDescription:  # noqa: ARG002
        """Return the name; see `ports.Strategy`."""
        return StrategyDescription(name=self.label)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the changes of the target position, decided at each close; bars before the range are not read."""
        close = inputs.bars.close[inputs.warm_up :]
        change = np.sign(np.diff(close)).astype(np.int8)
        moves = np.flatnonzero(change)
        directions = change[moves]
        # The position starts flat, so a fall before the first rise sells nothing.
        previous = np.concatenate((np.array([Action.SELL], dtype=np.int8), directions[:-1]))
        edges = directions != previous
        action = np.zeros(len(close), dtype=np.int8)
        action[moves[edges] + 1] = directions[edges]
        return Signals(action=action, strategy=self.describe())
