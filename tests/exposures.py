"""Exposures of rules without an edge, their market, and their timing by rolling, for tests of the timing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FAST, SLOW = range(2, 9), (12, 16, 20, 28, 40, 60)
"""Lengths of 42 pairs of means."""


def market(n: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(n) * 0.02


def at_random(n: int, held: float, out: float, seed: int) -> Floats:
    """Exposure that is in and out for random numbers of bars, with these means."""
    rng = np.random.default_rng(seed)
    lengths = np.empty(n, np.int64)
    lengths[0::2], lengths[1::2] = rng.geometric(1 / held, n)[0::2], rng.geometric(1 / out, n)[1::2]
    return np.repeat(np.arange(n) % 2 == 0, lengths)[:n].astype(float)


def means_of(returns: Floats) -> Floats:
    """The exposures [42, n] of crossovers of means on the prices of these returns: many resemble each other."""
    close = np.cumprod(1 + returns)
    sums = np.concatenate(([0.0], np.cumsum(close)))
    averages = {length: (sums[length:] - sums[:-length]) / length for length in {*FAST, *SLOW}}
    rows = np.zeros((len(FAST) * len(SLOW), returns.size))
    for row, (fast, slow) in enumerate((fast, slow) for fast in FAST for slow in SLOW):
        # Decided at a close, and held over the next bar.
        rows[row, slow:] = (averages[fast][slow - fast :] > averages[slow])[:-1]
    return rows


def rolled(exposure: Floats, returns: Floats) -> Floats:
    """Earnings at every shift [n]."""
    return np.array([float((np.roll(exposure, shift) * returns).sum()) for shift in range(returns.size)])


def counted(n: int, mean_bars: float) -> list[int]:
    return [shift for shift in range(1, n) if min(shift, n - shift) >= 2 * mean_bars]
