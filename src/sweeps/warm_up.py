"""Find how many bars before the range the rows of a sweep read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np

from src.domain.errors import InvalidInput
from src.domain.runs import BacktestRequest
from src.domain.strategy import MAX_WARM_UP_BARS, StrategyParams
from src.domain.sweeps import SweepRequest
from src.sweeps.combinations import Combinations, apply_values
from src.sweeps.space import build_space

MAX_CORNERS: Final = 256
MAX_CHECKED: Final = 2_000
"""The most distinct strategies whose lookback is computed: 0.6 ms each if they are rules."""


def warm_up_bars_of(request: SweepRequest) -> int:
    """Return how many bars before the range to fetch: the most that the strategy reads at the ends of its ranges.

    The number of bars is largest at one end of a parameter's range, never between its ends. Raises InvalidInput if a
    parameter cannot be swept.
    """
    pinned = request.backtest.pinned_warm_up_bars
    if pinned is not None:
        return pinned
    interval = request.backtest.market.interval
    return max((strategy.warm_up_bars(interval) for strategy in _strategies_at_ends(request)), default=0)


def window_warm_up_of(request: SweepRequest) -> int:
    """Return how many bars before a training window its rows read, so that each row can trade from the first bar on.

    Strategies that ask for no bars before a range, such as the crossover, read the bars of their lookback too.
    """
    bars = (strategy.lookback_bars or 0 for strategy in _strategies_at_ends(request))
    return min(MAX_WARM_UP_BARS, max(warm_up_bars_of(request), *bars, 0))


def check_lookbacks(request: SweepRequest, combinations: Combinations) -> None:
    """Raise InvalidInput if a row looks back over more bars than the request asks for: it could never have a signal."""
    market = request.backtest.market
    if not any(_is_too_long(strategy, request.backtest) for strategy in _strategies_at_ends(request)):
        return
    # The ends of the ranges need not form a row: constraints may exclude it, and a LIST pairs its values.
    places = [place for place, column in enumerate(combinations.space.columns) if column.item.path[0] == "strategy"]
    firsts = [0]
    if places:
        firsts = np.unique(combinations.values[:, places], axis=0, return_index=True)[1].tolist()
    for row in sorted(firsts, reverse=True)[:MAX_CHECKED]:
        values = combinations.plain(row)
        strategy = apply_values(request.backtest, values).strategy
        if _is_too_long(strategy, request.backtest):
            field = "startDate" if market.is_whole_range else "limit"
            raise InvalidInput(
                "{field}: there are at most {bars:,} bars, and a row looks back over {longest:,}, so that it never has "
                "a signal: {values}. Ask for more bars, or sweep shorter lengths.",
                field=field, bars=market.limit, longest=strategy.lookback_bars,
                values=tuple(f"{name} {value}" for name, value in values.items()),
            )  # fmt: skip


def _is_too_long(strategy: StrategyParams, backtest: BacktestRequest) -> bool:
    pinned = backtest.pinned_warm_up_bars
    before = strategy.warm_up_bars(backtest.market.interval) if pinned is None else pinned
    return (strategy.lookback_bars or 0) >= backtest.market.limit + before


def _strategies_at_ends(request: SweepRequest) -> Iterator[StrategyParams]:
    """Yield the strategies with the smallest and the largest values of each parameter, combined."""
    backtest = request.backtest
    space = build_space(request)
    ends = [column.ends if column.item.path[0] == "strategy" else column.ends[:1] for column in space.columns]
    for corner in itertools.islice(itertools.product(*ends), MAX_CORNERS):
        try:
            yield apply_values(backtest, space.plain_of(np.array(corner))).strategy
        except InvalidInput:
            continue  # a combination that is excluded
