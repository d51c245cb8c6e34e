"""What a tear sheet shows of a result beside its metrics: rows, months, drawdowns, returns, costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from src.domain.reported import INSTANT, reported

_BARS = "bars"
_PERCENT = "per cent"
_QUOTE = "quote currency"


@dataclass(frozen=True, slots=True, kw_only=True)
class YearOfMonths:
    """The returns of one calendar year (UTC), month by month."""

    year: int = reported("The calendar year.")
    months: tuple[float | None, ...] = reported(
        "Return of January to December: equity after the month's last bar ÷ equity before its first bar − 1; null "
        "without a bar in it, or without equity before it.",
        _PERCENT,
    )
    total: float | None = reported("Return of the year, computed alike.", _PERCENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyReturns:
    """The returns of equity by calendar month; a bar belongs to the month in which it opens (UTC)."""

    years: tuple[YearOfMonths, ...] = reported("Each year from the first bar to the last, oldest first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownPeriod:
    """One fall of equity below its running peak, which is at first the starting cash."""

    start_ms: int = reported("Open time of the first bar below the peak.", INSTANT)
    bottom_ms: int = reported("Open time of the bar with the lowest equity, the first of them.", INSTANT)
    end_ms: int | None = reported(
        "Open time of the bar that reaches the peak again; null if the drawdown lasts to the last bar.", INSTANT
    )
    depth: float = reported("(peak − lowest equity) ÷ peak × 100, positive.", _PERCENT)
    bars: int = reported("Bars below the peak.", _BARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnBin:
    """The returns from `low` to below `high`; the last bin has its `high` too."""

    low: float = reported("Lowest return of the bin.", _PERCENT)
    high: float = reported("Upper end of the bin.", _PERCENT)
    count: int = reported("Bars with such a return.", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnDistribution:
    """The distribution of the returns of equity per bar, the first against the starting cash."""

    bins: tuple[ReturnBin, ...] = reported(
        "A histogram in equal bins with 0 as one of the limits; the first and the last bin reach to the worst and the "
        "best return."
    )
    bars: int = reported("Number of returns.", "count")
    mean: float = reported("Mean.", _PERCENT)
    median: float = reported("Median.", _PERCENT)
    deviation: float | None = reported("Sample deviation; null with one bar.", _PERCENT)
    worst: float = reported("Lowest return.", _PERCENT)
    best: float = reported("Highest return.", _PERCENT)
    gaining_bars: int = reported("Bars with a return above 0.", "count")
    losing_bars: int = reported("Bars with a return below 0.", "count")
    value_at_risk_95: float = reported("5th percentile, as the metric value_at_risk (negative: a loss).", _PERCENT)
    expected_shortfall_95: float = reported(
        "Mean of the worst 5 % of the returns, as the metric cvar (negative: a loss).", _PERCENT
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBreakdown:
    """The profit of a run before and after its costs: gross profit − slippage − fees = net profit."""

    gross_profit: float = reported("Net profit + fees + slippage: the same fills without costs.", _QUOTE)
    slippage: float = reported(
        "What market orders and stops paid beyond the price before slippage. Limits, targets and liquidations have "
        "none.",
        _QUOTE,
    )
    fees: float = reported("Fees of all fills.", _QUOTE)
    net_profit: float = reported("Final equity − starting cash.", _QUOTE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultSeries:
    """Columns of a result's rows, oldest first, all of one length.

    `columns` are by name; `date` holds milliseconds since the epoch (UTC), `signal` `Action` values; NaN is no number,
    and a column None has no values at all. `total` counts the bars of the chosen range, `bars_per_point` those of each
    row. `warnings` says, in sentences, why a column has no values.
    """

    columns: Mapping[str, NDArray[np.generic] | None]
    total: int
    bars_per_point: int = 1
    warnings: tuple[str, ...] = field(default=())
