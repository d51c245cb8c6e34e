"""How certain the figures of a result are: intervals of resampled bars, and the correction for all trials."""

from __future__ import annotations

from dataclasses import dataclass

from src.domain.reported import reported
from src.domain.units import BARS, COUNT, FRACTION, PERCENT, PROBABILITY, RATIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Both ends, in the unit of the figure that they belong to."""

    low: float = reported("Lower end, in the figure's unit.")
    high: float = reported("Upper end, in the figure's unit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownRange:
    """The maximum drawdown of the next path."""

    median: float = reported("Half of the paths fall further.", PERCENT)
    high95: float = reported("5 of 100 paths fall further.", PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeOfNextPath:
    """Where another path of as many bars of the same strategy ends in 95 of 100 cases.

    In simulations the ranges held the next path in 90–96 % of cases, and in 86–93 % for strategies that are out of the
    market for long (250 and 1,000 bars; `tests/benchmarks/judgement_coverage.py`).
    """

    total_return: Interval | None = reported("Range of the total return; null if it overflows.", PERCENT)
    cagr: Interval | None = reported("Range of the cagr; null if it overflows, and under 30 days.", PERCENT)
    max_drawdown: DrawdownRange = reported("Range of the maximum drawdown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Intervals of the result's figures, from resampled blocks of bars and from its trades.

    Those from bars are null under 100 bars, without variance, and if a return is not a number; those from trades under
    10 closed trades.
    """

    level: float = reported("Nominal coverage of the intervals; in simulations 0.92 to 0.96.", FRACTION)
    method: str = reported("How the bars are resampled.")
    block_length: int | None = reported("Length of the blocks, so that dependence is kept.", BARS)
    resamples: int = reported("Number of resamples.", COUNT)
    seed: str = reported(
        "First 8 bytes of the SHA-256 of the returns: equal returns give equal intervals.", "hexadecimal"
    )
    sharpe_ratio: Interval | None = reported("Interval of the Sharpe ratio.", RATIO)
    sharpe_error: float | None = reported("Standard error of the Sharpe ratio per bar, from blocks.", RATIO)
    win_rate: Interval | None = reported("Interval of the win rate (Wilson 1927).", PERCENT)
    profit_factor: Interval | None = reported("Interval of the profit factor.", RATIO)
    range_of_next_path: RangeOfNextPath | None = reported(
        "Where another path of as many bars would end; no confidence interval."
    )
    trade_autocorrelation: float | None = reported("Autocorrelation of neighboring trades' profits.", RATIO)
    are_trades_autocorrelated: bool = reported(
        "Whether it exceeds 2 ÷ √trades: win rate and profit factor then vary more than their intervals say."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflation:
    """The Sharpe ratio's probabilities, corrected for the number of trials.

    Those of blocks know autocorrelation, those of the closed form do not; the smaller of both counts. Null without
    variance, under 4 bars, and without a standard error.
    """

    trials: int = reported("Different runs of this user on this market, this one included.", COUNT)
    trials_effective: float = reported("To how many independent trials those that moved amount, at least 1.", COUNT)
    average_correlation: float | None = reported("Mean correlation of all pairs of trials; null under two.", RATIO)
    trial_sharpe_variance: float | None = reported(
        "Variance of the trials' t = SR √n, at least 0.25 and at most 1; null under two.", RATIO
    )
    sharpe_hurdle: float = reported(
        "Sharpe ratio that the best of so many trials without an edge is expected to have.", RATIO
    )
    psr: float | None = reported("Probability that the true Sharpe ratio is over 0, closed form.", PROBABILITY)
    psr_dependent: float | None = reported("The same with the standard error of blocks.", PROBABILITY)
    dsr: float | None = reported("Probability that the true Sharpe ratio is over the hurdle, closed form.", PROBABILITY)
    dsr_dependent: float | None = reported("The same with the standard error of blocks.", PROBABILITY)
    min_track_record_bars: int | None = reported(
        "Bars from which psr would be 0.95; null if the ratio is not over 0, and over 2³¹ − 1.", BARS
    )
    luck_equivalent_trials: float | None = reported(
        "The best of so many coin flippers is expected to look as good; null if no number is enough.", COUNT
    )
    min_backtest_bars: int | None = reported(
        "Under so many bars the best of the effective trials is expected to look as good without an edge; null for one "
        "trial, if the ratio is not over 0, and over 2³¹ − 1.",
        BARS,
    )
    active_trials_effective: float | None = reported(
        "To how many independent trials the runs amount without the market, at least 1; null for results of earlier "
        "versions.",
        COUNT,
    )
    timing_deflated: float | None = reported(
        "The timing test's p-value for the best of so many; null without the test, and for results of earlier "
        "versions.",
        PROBABILITY,
    )
    ledger_scope: str = reported("Which trials were counted.")
    reduced_trials: int = reported(
        "Trials of which the service keeps only sums, to bound its store: an equal run counts again, and the effective "
        "trials are then at most so many.",
        COUNT,
        default=0,
    )
    missing_trials: int = reported(
        "Trials that may be missing at most: the service has removed the sums of so many on markets of this kind, and "
        "this market may be one of them.",
        COUNT,
        default=0,
    )
