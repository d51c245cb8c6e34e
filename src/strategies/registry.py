"""The strategies that need nothing but candles, by the choice that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from src.domain.runs import CrossoverChoice
from src.ports import Strategy
from src.strategies.crossover import Crossover

STRATEGIES: Final[Mapping[type, Callable[[Any], Strategy]]] = MappingProxyType({CrossoverChoice: Crossover})


def strategy_for(choice: object) -> Strategy:
    """Build the strategy of a choice.

    Raises
    ------
    KeyError
        Where no strategy is registered for this type of choice: a mistake of ours, not of the client's.
    """
    return STRATEGIES[type(choice)](choice)
