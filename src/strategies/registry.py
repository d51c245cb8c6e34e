"""The registry of strategies: one line each. Requests, stored results and the documentation use these names."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from src.domain.strategy import StrategyParams
from src.ports.computing import Strategy
from src.strategies.bollinger import Bollinger
from src.strategies.buy_and_hold import BuyAndHold
from src.strategies.crossover import Crossover
from src.strategies.donchian import Donchian
from src.strategies.ema_crossover import EmaCrossover
from src.strategies.macd import Macd
from src.strategies.model_signals import ModelStrategy
from src.strategies.rsi import Rsi
from src.strategies.rules.strategy import Rules
from src.strategies.schedule import Schedule, ScheduleParams
from src.strategies.supertrend import Supertrend
from src.strategies.up_down import UpDown

STRATEGIES: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {
        "ma_crossover": Crossover,
        "ema_crossover": EmaCrossover,
        "rsi": Rsi,
        "macd": Macd,
        "bollinger": Bollinger,
        "donchian": Donchian,
        "supertrend": Supertrend,
        "buy_and_hold": BuyAndHold,
        "up_down": UpDown,
        "model": ModelStrategy,
        "rules": Rules,
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
    """Return one sentence on a strategy."""
    return first_line(STRATEGIES[name])


def first_line(kind: type[Any]) -> str:
    """Return the first line of a class's docstring, which clients read."""
    return (kind.__doc__ or "").partition("\n")[0]


def label_of(name: str) -> str:
    """Return the name that people read in results."""
    label: str = STRATEGIES[name].label
    return label


STORED_PARAMS: Final[Mapping[str, type[StrategyParams]]] = MappingProxyType({**PARAMS, "walk_forward": ScheduleParams})
"""All classes of parameters that stored results can have, by name; jobs also store one that requests cannot name."""

_BY_PARAMS: Final = {params_of(strategy): strategy for strategy in STRATEGIES.values()}


def strategy_for(params: StrategyParams) -> Strategy:
    """Build the strategy that has these parameters; raises KeyError if none is registered, which is a bug."""
    if isinstance(params, ScheduleParams):
        return Schedule(params, strategy_for)
    strategy: Strategy = _BY_PARAMS[type(params)](params)
    return strategy
