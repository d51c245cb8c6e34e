"""Judge the best row of a sweep: whether the choice is overfitted, and whether it beats buying and holding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.sweep_outcomes import SweepOverfitting, SweepSuperiority
from src.domain.sweeps import Goal, Objective
from src.judgement.overfitting import Criterion, measure_block_overfitting
from src.judgement.superiority import measure_streamed_superiority

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


_CRITERIA: Final[Mapping[str, Criterion]] = {
    "sharpe_ratio": Criterion.SHARPE_RATIO,
    "total_return": Criterion.TOTAL_RETURN,
    "final_equity": Criterion.TOTAL_RETURN,
    "cagr": Criterion.TOTAL_RETURN,
    "annual_volatility": Criterion.ANNUAL_VOLATILITY,
}
"""The objectives that sums over blocks of bars determine; others need drawdowns or trades, which may span blocks."""


def follows_from_blocks(objective: Objective) -> bool:
    """Return whether `overfitting_of` chooses rows by the objective itself, and not by the Sharpe ratio instead."""
    return objective.metric in _CRITERIA


def overfitting_of(
    block_sums: Floats, block_squares: Floats, bars_per_block: int, objective: Objective
) -> SweepOverfitting | None:
    """Return how overfitted the choice among rows is, from sums of returns and of squares [rows, S] over blocks.

    The rows are those that can be the best. They are chosen by the objective if the sums determine it, else by the
    highest Sharpe ratio. None under 100 bars, under two distinct rows that moved, and if a sum is not a number.
    """
    criterion = _CRITERIA.get(objective.metric, Criterion.SHARPE_RATIO)
    goal = objective.goal if follows_from_blocks(objective) else Goal.MAXIMIZE
    found = measure_block_overfitting(
        block_sums, block_squares, bars_per_block, criterion=criterion, prefers_less=goal is Goal.MINIMIZE
    )
    if found is None:
        return None
    low, high = found.pbo_noise_range
    return SweepOverfitting(
        pbo=found.pbo,
        pbo_noise_low=low,
        pbo_noise_high=high,
        probability_of_loss=found.probability_of_loss,
        degradation_slope=found.degradation_slope,
        rows=found.rows,
        blocks=found.blocks,
        criterion=criterion.value,
        direction=goal.value,
    )


def superiority_of(
    returns_of: Callable[[Numbers], Floats], rows: Numbers, market_returns: Floats
) -> SweepSuperiority | None:
    """Return whether the best of the rows beats the market by more than chance, by mean return, whatever the objective.

    `returns_of` returns the returns per bar [n, j] of up to 64 rows, and is called twice for each. None under 100 bars,
    if no row differs from the market, and if a return is not a number.
    """
    found = measure_streamed_superiority(returns_of, rows, market_returns)
    if found is None:
        return None
    return SweepSuperiority(
        p_value=found.p_value,
        lower=found.lower,
        upper=found.upper,
        superior_rows=len(found.superior_rows),
        rows=found.rows,
        block_length=found.block_length,
    )
