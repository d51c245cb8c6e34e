"""The up/down-day strategy, the simplest rule: long after a bar that rose, flat after a bar that fell."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.strategy import StrategyInputs, StrategyParams


@dataclass(frozen=True, slots=True, kw_only=True)
class UpDownParams(StrategyParams):
    """The strategy has no parameters."""


@dataclass(frozen=True, slots=True)
class UpDown:
    """Long from a close above the one before until a close below the one before; an equal close changes nothing."""

    params: UpDownParams = field(default_factory=UpDownParams)

    def signals(self, inputs: StrategyInputs) -> Signals:
        """Return the edges of the target position, decided at each close."""
        change = np.sign(np.diff(inputs.bars.close)).astype(np.int8)
        moves = np.flatnonzero(change)
        directions = change[moves]
        # The position starts flat, so a fall before the first rise sells nothing.
        previous = np.concatenate((np.array([Action.SELL], dtype=np.int8), directions[:-1]))
        edges = directions != previous
        action = np.zeros(len(inputs.bars), dtype=np.int8)
        action[moves[edges] + 1] = directions[edges]
        return Signals(action=action, strategy=StrategyDescription(name="Up/Down Day"))
