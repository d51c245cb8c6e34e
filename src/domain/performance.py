"""The metrics of a simulation: the name, unit and definition of each, in one table."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

from src.domain.error_text import quote
from src.domain.instants import check_times
from src.domain.parameters import MAX_COUNT
from src.domain.units import BARS, COUNT, PERCENT, QUOTE, RATIO


class MetricDefinition(NamedTuple):
    """A metric's public name (snake_case), unit and one-sentence definition."""

    name: str
    unit: str
    definition: str


def _metric(unit: str, definition: str) -> dict[str, str]:
    return {"unit": unit, "definition": definition}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Every metric of the contract; None if it does not exist (no trades, no variance, no loss).

    r_t are returns of equity per bar, the first against the starting cash; A is `bars_per_year`; Y are the elapsed
    years of 365 days from the first open to the last close; f = (1 + riskFreeRate)^(1/A) − 1 is the risk-free rate per
    bar; deviations are sample deviations (n−1). Trades count when closed. A denominator that is within the rounding
    error of its terms counts as 0.

    Raises ValueError if a time cannot be written as ISO 8601, or a count is not 0 to `MAX_COUNT`.
    """

    strategy_name: str = field(metadata=_metric("text", "Name of the strategy that gave the signals."))
    start: int = field(metadata=_metric("ISO 8601, UTC", "Open time of the first bar."))
    end: int = field(metadata=_metric("ISO 8601, UTC", "Open time of the last bar."))
    bars: int = field(metadata=_metric(COUNT, "Number of bars n."))
    final_equity: float = field(metadata=_metric(QUOTE, "Equity at the last close."))
    total_return: float = field(metadata=_metric(PERCENT, "(final equity ÷ starting cash − 1) × 100."))
    buy_and_hold_return: float | None = field(
        metadata=_metric(PERCENT, "(last close ÷ first close − 1) × 100, without costs.")
    )
    cagr: float | None = field(
        metadata=_metric(PERCENT, "((final equity ÷ starting cash)^(1/Y) − 1) × 100; null under 30 days.")
    )
    annual_volatility: float | None = field(metadata=_metric(PERCENT, "Deviation of r × √A × 100."))
    sharpe_ratio: float | None = field(metadata=_metric(RATIO, "Mean of (r − f) ÷ deviation of r × √A."))
    sortino_ratio: float | None = field(metadata=_metric(RATIO, "Mean of (r − f) ÷ √(mean of min(r − f, 0)²) × √A."))
    calmar_ratio: float | None = field(metadata=_metric(RATIO, "cagr ÷ max_drawdown; null under 30 days."))
    omega_ratio: float | None = field(metadata=_metric(RATIO, "Sum of positive r ÷ |sum of negative r|."))
    max_drawdown: float = field(
        metadata=_metric(
            PERCENT,
            "Largest fall of equity from its running peak (at first the starting cash) ÷ that peak × 100, positive.",
        )
    )
    max_drawdown_duration: int | None = field(
        metadata=_metric(
            BARS, "Most bars in a row below a peak of equity, up to the bar that recovers it (or the last bar)."
        )
    )
    average_drawdown: float | None = field(metadata=_metric(PERCENT, "Mean depth of all drawdowns × 100, positive."))
    ulcer_index: float | None = field(metadata=_metric(PERCENT, "√(mean of squared drawdown per bar) × 100."))
    value_at_risk: float | None = field(metadata=_metric(PERCENT, "5th percentile of r × 100 (negative: a loss)."))
    cvar: float | None = field(
        metadata=_metric(PERCENT, "Mean of the worst ⌊0.05 (n−1)⌋ + 1 values of r × 100 (negative: a loss).")
    )
    skew: float | None = field(metadata=_metric(RATIO, "Sample skewness of r, bias-corrected (as pandas)."))
    kurtosis: float | None = field(metadata=_metric(RATIO, "Sample excess kurtosis of r, bias-corrected (as pandas)."))
    tail_ratio: float | None = field(metadata=_metric(RATIO, "|95th percentile of r| ÷ |5th percentile of r|."))
    alpha: float | None = field(
        metadata=_metric(
            PERCENT,
            "((1 + mean of (r − f − beta × (b − f)))^A − 1) × 100, b the returns of the close per bar (0 at the "
            "first); null under 30 days.",
        )
    )
    beta: float | None = field(
        metadata=_metric(RATIO, "Covariance of r and b ÷ variance of b; null where the close grows evenly.")
    )
    exposure: float = field(metadata=_metric(PERCENT, "Share of bars that end with a position × 100."))
    turnover: float | None = field(metadata=_metric(RATIO, "Traded value of all fills ÷ mean equity."))
    total_fees: float = field(metadata=_metric(QUOTE, "Sum of the fees of all fills."))
    total_funding: float = field(
        default=0.0, metadata=_metric(QUOTE, "Sum of the funding that all trades paid; negative if they got more.")
    )
    liquidation_distance: float | None = field(
        default=None,
        metadata=_metric(
            PERCENT,
            "Smallest (p − liquidation level) ÷ mean entry price × 100 of a long, (level − p) ÷ … of a short: p is the "
            "worst price of each bar at whose end a position was open, and in a bar that closed one its open and the "
            "price of that fill; 0 if one was liquidated; null without leverage or a position.",
        ),
    )
    total_trades: int = field(metadata=_metric(COUNT, "Closed trades."))
    open_trades: int = field(metadata=_metric(COUNT, "Trades still open at the last bar (0 or 1)."))
    winning_trades: int = field(metadata=_metric(COUNT, "Closed trades with profit > 0 after fees."))
    losing_trades: int = field(metadata=_metric(COUNT, "Closed trades with profit < 0 after fees."))
    win_rate: float | None = field(metadata=_metric(PERCENT, "Winning ÷ closed trades × 100."))
    profit_factor: float | None = field(
        metadata=_metric(RATIO, "Sum of profits ÷ |sum of losses| of closed trades; null without a loss.")
    )
    expectancy: float | None = field(metadata=_metric(QUOTE, "Mean profit of a closed trade."))
    average_win: float | None = field(metadata=_metric(PERCENT, "Mean return of winning trades × 100."))
    average_loss: float | None = field(metadata=_metric(PERCENT, "Mean return of losing trades × 100 (negative)."))
    best_trade: float | None = field(metadata=_metric(PERCENT, "Largest return of a closed trade × 100."))
    worst_trade: float | None = field(metadata=_metric(PERCENT, "Smallest return of a closed trade × 100."))
    average_trade_duration: float | None = field(
        metadata=_metric(BARS, "Mean of exit bar − entry bar of closed trades.")
    )
    max_consecutive_wins: int = field(metadata=_metric(COUNT, "Longest run of winning trades."))
    max_consecutive_losses: int = field(metadata=_metric(COUNT, "Longest run of losing trades."))
    sqn: float | None = field(
        metadata=_metric(RATIO, "System quality number: √trades × mean profit ÷ deviation of profit.")
    )
    kelly: float | None = field(
        metadata=_metric(RATIO, "Kelly fraction: W − (1 − W) ÷ (mean win ÷ |mean loss|), W the share of wins.")
    )
    bars_per_year: float = field(
        metadata=_metric(RATIO, "A, the number of bars in a year; annualisation says where from.")
    )
    annualisation: str | None = field(
        default=None,
        metadata=_metric(
            "text",
            "What gave A: requested (barsPerYear of the request), calendar (365 days ÷ bar length), or observed "
            "(bars ÷ Y, where bars fill less than 95 % of the time).",
        ),
    )

    def __post_init__(self) -> None:
        check_times(start=self.start, end=self.end)
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None and not 0 <= count <= MAX_COUNT:
                raise ValueError(f"{name} is {quote(count)}, which is not a count up to {MAX_COUNT}")


_COUNTS: Final = tuple(item.name for item in fields(Metrics) if item.metadata["unit"] in (COUNT, BARS))

METRIC_DEFINITIONS: Final = tuple(
    MetricDefinition(item.name, item.metadata["unit"], item.metadata["definition"]) for item in fields(Metrics)
)

HEAD_METRICS: Final = (
    "total_trades",
    "open_trades",
    "winning_trades",
    "losing_trades",
    "profit_factor",
    "win_rate",
    "total_return",
    "sharpe_ratio",
    "max_drawdown",
)
"""The metrics that clients also look for on the result itself."""
