"""Measure how certain a Sharpe ratio is after all trials: PSR, minimum track record, DSR.

Sharpe ratios are per bar here, kurtosis is the excess over 3, and probabilities are 0 to 1. Sources: Bailey & López de
Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio" (2014).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from src.domain.confidence import Deflation
from src.domain.trials import TrialStatistics
from src.judgement.lengths import whole_bars
from src.judgement.timing import deflate_p_value
from src.metrics.returns import moments

LEVEL: Final = 0.95
MIN_BARS: Final = 4
"""The kurtosis is not defined for fewer."""
MIN_TRIAL_VARIANCE: Final = 0.25
"""The least variance of the trials' t that the hurdle uses. Many near-duplicates would dilute it: 19–21 % of the best
rows without an edge passed, with this floor 5–7 %."""
MAX_TRIAL_VARIANCE: Final = 1.0
"""The variance of t without any edge. A higher variance comes from trials that truly lose or have foreknowledge, not
from luck: one trial with a Sharpe ratio of −8.7 lowered the DSR of an honest run from .999 to .346."""

LEDGER_SCOPE: Final = (
    "Trials that this service has seen of this user on this market. Searches made elsewhere are not counted."
)


def deflate(
    returns: NDArray[np.float64],
    ledger: TrialStatistics,
    *,
    risk_free_per_bar: float,
    bars_per_year: float,
    block_error: float | None,
    runs: int | None = None,
    active_trials: float = 1.0,
    timing_p_value: float | None = None,
    reduced_trials: int = 0,
    missing_trials: int = 0,
) -> Deflation:
    """Deflate the Sharpe ratio of returns per bar [n] that the ledger has already counted.

    `block_error` is the standard error of the ratio per bar (`Confidence.sharpe_error`). `runs` is the number of all
    counted runs, None if only the number of those that moved is known: the others are reported, but cannot win by luck.
    `timing_p_value` is deflated with the effective trials of the active returns. `reduced_trials` and `missing_trials`
    count what the ledger lacks (`TrialLedgerState`).
    """
    n = returns.size
    effective = max(ledger.effective_trials, 1.0)
    variance = ledger.t_variance
    used = None if variance is None else min(max(variance, MIN_TRIAL_VARIANCE), MAX_TRIAL_VARIANCE)
    # t ÷ √n is also the ratio for n bars, though t is from the trials' days: t hardly depends on the interval.
    hurdle = 0.0 if used is None else math.sqrt(used) * expected_maximum(effective) / math.sqrt(n)
    found = moments(returns, risk_free_per_bar)
    is_known = n >= MIN_BARS and found.deviation > 0
    sharpe = found.mean_excess / found.deviation if is_known else math.nan
    error = standard_error(sharpe, skew=found.skew, excess_kurtosis=found.excess_kurtosis, n=n) if is_known else None
    return Deflation(
        trials=ledger.trials if runs is None else runs,
        trials_effective=effective,
        average_correlation=ledger.average_correlation,
        trial_sharpe_variance=used,
        sharpe_hurdle=hurdle * math.sqrt(bars_per_year),
        psr=probability_above(sharpe, 0.0, error),
        psr_dependent=probability_above(sharpe, 0.0, block_error),
        dsr=probability_above(sharpe, hurdle, error),
        dsr_dependent=probability_above(sharpe, hurdle, block_error),
        min_track_record_bars=min_track_record(sharpe, error=error, n=n),
        luck_equivalent_trials=equivalent_trials(sharpe, n) if sharpe > 0 else None,
        min_backtest_bars=min_backtest_bars(sharpe * math.sqrt(bars_per_year), effective, bars_per_year),
        active_trials_effective=max(active_trials, 1.0),
        timing_deflated=None if timing_p_value is None else deflate_p_value(timing_p_value, active_trials),
        ledger_scope=LEDGER_SCOPE,
        reduced_trials=reduced_trials,
        missing_trials=missing_trials,
    )


def standard_error(sharpe: float, *, skew: float, excess_kurtosis: float, n: int) -> float | None:
    """Return √((1 − γ₃ SR + (γ₄ − 1)/4 SR²) ÷ (n − 1)), γ₄ = excess kurtosis + 3; None if that is not positive."""
    variance = (1 - skew * sharpe + (excess_kurtosis + 2) / 4 * sharpe**2) / (n - 1)
    return math.sqrt(variance) if math.isfinite(variance) and variance > 0 else None


def probability_above(sharpe: float, hurdle: float, error: float | None) -> float | None:
    """Return Φ((SR − hurdle) ÷ error): PSR against 0, DSR against the hurdle of the trials; None without an error."""
    if error is None or not math.isfinite(sharpe):
        return None
    return float(ndtr((sharpe - hurdle) / error))


def min_track_record(sharpe: float, *, error: float | None, n: int, hurdle: float = 0.0) -> int | None:
    """Return the bars from which PSR is 0.95: 1 + (n − 1) error² (z ÷ (SR − hurdle))², z = Φ⁻¹(0.95), rounded up.

    None if the ratio is not over the hurdle, and for more bars than clients can read.
    """
    if error is None or not sharpe > hurdle:
        return None
    bars = 1 + (n - 1) * (error * float(ndtri(LEVEL)) / (sharpe - hurdle)) ** 2
    return whole_bars(bars)


def expected_maximum(trials: float) -> float:
    """Return how many deviations above the mean the best of `trials` independent normal draws is expected.

    (1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e)) for N ≥ 2, γ Euler's constant. The formula is −∞ at N = 1: for 1 < N < 2
    the value is (N − 1) × that of N = 2, and for N ≤ 1 it is 0.
    """
    if trials < 2:
        return max(trials - 1, 0.0) * expected_maximum(2)
    gamma = float(np.euler_gamma)
    # Φ⁻¹(1 − q) = −Φ⁻¹(q), which keeps its digits if q is small.
    return float(-(1 - gamma) * ndtri(1 / trials) - gamma * ndtri(1 / (trials * math.e)))


def equivalent_trials(sharpe: float, n: int) -> float | None:
    """Return N such that the best of N independent trials without an edge is expected to have this ratio on n bars.

    "The best of N coin flippers would look like this." At least 1; None if no N up to 10¹⁵ is enough.
    """
    wanted = sharpe * math.sqrt(n)
    low, high = 1.0, 1e15
    if not expected_maximum(high) >= wanted:
        return None
    while high - low > 1e-9 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if expected_maximum(middle) >= wanted else (middle, high)
    return low


def min_backtest_bars(yearly_sharpe: float, trials: float, bars_per_year: float) -> int | None:
    """Return the number of bars below which the best of `trials` is expected to have this ratio without an edge.

    (E(N) ÷ SR)² years (Bailey, Borwein, López de Prado & Zhu, "Pseudo-Mathematics and Financial Charlatanism", 2014).
    None if the ratio is not over 0, for a single trial (nothing is chosen), and for more bars than clients can read.
    """
    if not yearly_sharpe > 0 or trials <= 1:
        return None
    bars = (expected_maximum(trials) / yearly_sharpe) ** 2 * bars_per_year
    return whole_bars(bars)
