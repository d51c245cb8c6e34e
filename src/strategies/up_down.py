"""The simplest rule there is: hold after a day that rose, stay out after one that fell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from src.domain.market import Bars
from src.domain.signals import Action, Signals, StrategyDescription


@dataclass(frozen=True, slots=True)
class UpDown:
    """Long from a close above the one before until a close below the one before; an equal close changes nothing."""

    def signals(self, bars: Bars) -> Signals:
        """Return the edges of the wish, decided at each close."""
        change = np.sign(np.diff(bars.close)).astype(np.int8)
        moves = np.flatnonzero(change)
        directions = change[moves]
        # The book starts flat: a fall before the first rise sells nothing.
        previous = np.concatenate((np.array([Action.SELL], dtype=np.int8), directions[:-1]))
        edges = directions != previous
        action = np.zeros(len(bars), dtype=np.int8)
        action[moves[edges] + 1] = directions[edges]
        return Signals(action=action, strategy=StrategyDescription(name="Up/Down Day"))
