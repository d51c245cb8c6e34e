"""Choose how many bars a bootstrap block has, so that blocks keep most of the returns' dependence."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def choose_block_length(returns: Floats) -> int:
    """Return the bars per block: max(round(b), round(n^⅓), ⌈n/1000⌉), at most ⌊n/3⌋ and at least 1.

    b is the optimal length for a circular block bootstrap of the mean (Patton, Politis & White 2009).
    """
    n = returns.size
    wanted = max(round(optimal_block_length(returns)), round(n ** (1 / 3)), -(-n // 1000))
    return int(max(1, min(wanted, n // 3)))


@njit(cache=True, nogil=True)
def optimal_block_length(returns: Floats) -> float:
    """Return the optimal circular block length of Politis & White (2004), as corrected by Patton et al. (2009).

    Lags are examined until a run of max(5, ⌊log₁₀ n⌋) autocorrelations is below 2√(log₁₀ n ÷ n). 1 without variance.
    The same as `b_cb` of arch's `optimal_block_length`, which computes all lags.
    """
    n = returns.size
    mean = 0.0
    for value in returns:
        mean += value
    mean /= n
    centered = returns - mean
    total = 0.0
    for value in centered:
        total += value * value
    if total <= 1e-300:
        return 1.0
    quiet_run = max(5, int(math.log10(n)))
    last_lag = min(math.ceil(math.sqrt(n)) + quiet_run, n - 2)
    bound = 2.0 * math.sqrt(math.log10(n) / n)
    covariances = np.zeros(last_lag + 1)
    run, bandwidth, is_found = 0, last_lag, False
    head, tail = 0.0, 0.0
    for lag in range(last_lag + 1):
        product = 0.0
        for t in range(lag, n):
            product += centered[t] * centered[t - lag]
        covariances[lag] = product / n
        head += centered[lag] * centered[lag]
        tail += centered[n - 1 - lag] * centered[n - 1 - lag]
        if not is_found:
            scale = math.sqrt(max(total - head, 0.0) * max(total - tail, 0.0))
            run = run + 1 if abs(product) < bound * scale else 0
            if run >= quiet_run and lag < last_lag:
                is_found = True
                bandwidth = min(2 * max(lag - quiet_run + 1, 1), last_lag)
        if is_found and lag >= bandwidth:
            break
    slope, variance = 0.0, covariances[0]
    for lag in range(1, bandwidth + 1):
        share = lag / bandwidth
        weight = 1.0 if share <= 0.5 else 2.0 * (1.0 - share)
        slope += 2.0 * weight * lag * covariances[lag]
        variance += 2.0 * weight * covariances[lag]
    if variance == 0.0:
        return 1.0
    length = (1.5 * slope * slope / (variance * variance) * n) ** (1.0 / 3.0)
    return float(min(length, math.ceil(min(3.0 * math.sqrt(n), n / 3.0))))
