"""Judge the best row of a sweep: whether the choice is overfitted, and whether it beats buying and holding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from src.domain.sweeps import SweepOverfitting, SweepSuperiority
from src.judgement.overfitting import measure_block_overfitting
from src.judgement.superiority import measure_streamed_superiority

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def overfitting_of(block_sums: Floats, block_squares: Floats, bars_per_block: int) -> SweepOverfitting | None:
    """Return how much the choice among rows is overfitted, from sums of returns and of squares [rows, S] over blocks.

    None under 100 bars or two rows that moved and differ, and if a sum is not a number.
    """
    found = measure_block_overfitting(block_sums, block_squares, bars_per_block)
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
    )


def superiority_of(
    returns_of: Callable[[Numbers], Floats], rows: Numbers, market_returns: Floats
) -> SweepSuperiority | None:
    """Return whether the best of the rows beats the market by more than chance.

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
