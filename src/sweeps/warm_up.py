"""Find how many bars before the range the rows of a sweep read."""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from src.domain.errors import InvalidInput
from src.domain.sweeps import SweepRequest
from src.sweeps.parameters import apply_values
from src.sweeps.space import build_space

MAX_CORNERS: Final = 256


def warm_up_bars_of(request: SweepRequest) -> int:
    """Return how many bars before the range to fetch: the most that the strategy asks for at the ends of its ranges.

    A strategy reads more bars with a larger length or a smaller one, never with one between. Raises InvalidInput if a
    parameter cannot be swept.
    """
    backtest = request.backtest
    if backtest.pinned_warm_up_bars is not None:
        return backtest.pinned_warm_up_bars
    space = build_space(request)
    ends = [column.ends if column.item.path[0] == "strategy" else column.ends[:1] for column in space.columns]
    found = 0
    for corner in itertools.islice(itertools.product(*ends), MAX_CORNERS):
        try:
            variant = apply_values(backtest, space.plain_of(np.array(corner)))
        except InvalidInput:
            continue  # a combination that is excluded
        found = max(found, variant.strategy.warm_up_bars(backtest.market.interval))
    return found
