"""The registry of strategies: one line each. Requests, stored results and the documentation use these names."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from src.domain.strategy import StrategyParams
from src.ports import Strategy
from src.strategies.crossover import Crossover
from src.strategies.model_signals import ModelStrategy
from src.strategies.up_down import UpDown

STRATEGIES: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "ma_crossover": Crossover,
        "up_down": UpDown,
        "model": ModelStrategy,
    }
)
"""Never change a released name: stored results contain it."""


def params_of(strategy: type[Any]) -> type[StrategyParams]:
    """Return the class of a strategy's parameters."""
    kind: type[StrategyParams] = typing.get_type_hints(strategy)["params"]
    return kind


PARAMS: Final[Mapping[str, type[StrategyParams]]] = MappingProxyType(
    {name: params_of(strategy) for name, strategy in STRATEGIES.items()}
)
"""The class of each strategy's parameters, by the strategy's name."""


def summary_of(name: str) -> str:
    """Return one sentence on a strategy: the first line of its docstring."""
    return (STRATEGIES[name].__doc__ or "").partition("\n")[0]


_BY_PARAMS: Final = {params_of(strategy): strategy for strategy in STRATEGIES.values()}


def strategy_for(params: StrategyParams) -> Strategy:
    """Build the strategy that has these parameters; raises KeyError if none is registered, which is a bug."""
    strategy: Strategy = _BY_PARAMS[type(params)](params)
    return strategy
