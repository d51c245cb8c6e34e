"""Find how many bars before the range the rows of a sweep read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np

from src.domain.errors import InvalidInput
from src.domain.strategy import MAX_WARM_UP_BARS, StrategyParams
from src.domain.sweeps import SweepRequest
from src.sweeps.parameters import apply_values
from src.sweeps.space import build_space

MAX_CORNERS: Final = 256


def warm_up_bars_of(request: SweepRequest) -> int:
    """Return how many bars before the range to fetch: the most that the strategy asks for at the ends of its ranges.

    A strategy reads more bars with a larger length or a smaller one, never with one between. Raises InvalidInput if a
    parameter cannot be swept.
    """
    pinned = request.backtest.pinned_warm_up_bars
    if pinned is not None:
        return pinned
    interval = request.backtest.market.interval
    return max((strategy.warm_up_bars(interval) for strategy in _strategies_at_ends(request)), default=0)


def window_warm_up_of(request: SweepRequest) -> int:
    """Return how many bars before a training window its rows read, so that each row can trade from the first bar on.

    Also strategies that ask for no bars before a range, such as the crossover, read those of their lookback.
    """
    bars = (strategy.lookback_bars or 0 for strategy in _strategies_at_ends(request))
    return min(MAX_WARM_UP_BARS, max(warm_up_bars_of(request), *bars, 0))


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
