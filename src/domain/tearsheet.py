"""What a tear sheet shows of a result beside its metrics: rows, months, drawdowns, returns, costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.domain.reported import INSTANT, reported

_BARS = "bars"
_PERCENT = "per cent"
_QUOTE = "quote currency"

DEFAULT_DRAWDOWNS: Final = 10
MAX_DRAWDOWNS: Final = 1000


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
    """The returns from `low` to below `high`; the last bin has its `high` too.

    Returns of exactly 0 are in a bin whose `low` and `high` are 0, and in no other.
    """

    low: float = reported("Lowest return of the bin.", _PERCENT)
    high: float = reported("Upper end of the bin.", _PERCENT)
    count: int = reported("Bars with such a return.", "count")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnDistribution:
    """The distribution of the returns of equity per bar, the first against the starting cash."""

    bins: tuple[ReturnBin, ...] = reported(
        "A histogram in equal bins with 0 as one of the limits; the first and the last bin reach to the worst and the "
        "best return. If bars returned exactly 0, a bin from 0 to 0 counts them, and no other does."
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
    """The profit of a run before and after its costs: gross profit − slippage − fees − funding = net profit."""

    gross_profit: float = reported("Net profit + fees + slippage + funding: the same fills without costs.", _QUOTE)
    slippage: float = reported(
        "What market orders and stops paid beyond the price before slippage. Limits, targets and liquidations have "
        "none.",
        _QUOTE,
    )
    fees: float = reported("Fees of all fills.", _QUOTE)
    funding: float = reported("Funding that positions paid; negative if they got more.", _QUOTE)
    net_profit: float = reported("Final equity − starting cash.", _QUOTE)


class TradeOrder(StrEnum):
    """The order in which trades are listed; equal profits stay in the order of entry."""

    ENTRY = "entry"
    WORST = "worst"
    BEST = "best"


class SeriesColumn(NamedTuple):
    """A column of a result's rows: its meaning as a sentence, its unit, and whether it is read from the bars."""

    meaning: str
    unit: str
    needs_bars: bool = False


SERIES_COLUMNS: Final[Mapping[str, SeriesColumn]] = MappingProxyType(
    {
        "date": SeriesColumn("Open time of the bar, of a point's first one.", "ISO 8601, UTC"),
        "open": SeriesColumn("First price.", _QUOTE, needs_bars=True),
        "high": SeriesColumn("Highest price.", _QUOTE, needs_bars=True),
        "low": SeriesColumn("Lowest price.", _QUOTE, needs_bars=True),
        "close": SeriesColumn("Last price.", _QUOTE),
        "volume": SeriesColumn("Traded volume, in a point the sum.", "base asset", needs_bars=True),
        "equity": SeriesColumn("Cash + position × close, in a point the last.", _QUOTE),
        "cash": SeriesColumn("Cash at the close, in a point the last.", _QUOTE),
        "position": SeriesColumn("Units held at the close, negative when short, in a point the last.", "base asset"),
        "drawdown": SeriesColumn("(equity ÷ its running peak − 1) × 100, ≤ 0, in a point the lowest.", _PERCENT),
        "buy_and_hold": SeriesColumn(
            "Equity of buying at the first bar with the run's cash, size, costs and fill, and holding; in a point the "
            "last. Null if nothing could be bought.",
            _QUOTE,
            needs_bars=True,
        ),
        "rebased": SeriesColumn(
            "Equity ÷ starting cash × 100, in a point the last, to compare runs of different cash.", _PERCENT
        ),
        "signal": SeriesColumn("buy, sell or hold, decided at the close. Null in points: fills have them.", "text"),
        "probability": SeriesColumn("The model's P(class 1), in a point the last. Null if it has none.", "fraction"),
    }
)
"""The columns of a result's rows, in their order."""

RANGED_COLUMNS: Final = ("close", "equity", "buy_and_hold")
"""Columns whose lowest and highest value in each point are columns too, `<name>_low` and `<name>_high`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRequest:
    """Which rows of a result: columns by name (None: all), bars that open from `start_ms` to `end_ms` (both included),
    reduced to at most `points` rows (None: one for each bar), of which there may be `max_rows`.

    `allows_nulls` says whether columns that need the bars may be null if the bars are not to be had.
    """

    columns: tuple[str, ...] | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    points: int | None = None
    max_rows: int
    allows_nulls: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(SERIES_COLUMNS) if self.columns is None else self.columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultSeries:
    """Columns of a result's rows, oldest first, all of `length` rows.

    `columns` are by name; `date` holds milliseconds since the epoch (UTC), `signal` `Action` values. NaN is a missing
    value, and a column that is None has no values. `total` counts the bars of the chosen range, `bars_per_point` those
    of each row. `warnings` says, in sentences, why a column has no values.
    """

    columns: Mapping[str, NDArray[np.generic] | None]
    length: int
    total: int
    bars_per_point: int = 1
    warnings: tuple[str, ...] = ()
