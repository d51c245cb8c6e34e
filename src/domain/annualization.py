"""Decide how many bars make a year, to scale figures per bar to figures per year."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from src.domain.bars import Bars
from src.domain.intervals import DAY_MS, YEAR_MS
from src.domain.parameters import Bounds, check_parameters, parameter

MIN_BARS_PER_YEAR: Final = 1.0
MAX_BARS_PER_YEAR: Final = 366 * 86_400.0
"""One bar a year to one bar a second: the range of the intervals that exist."""

MIN_RISK_FREE_RATE: Final = -0.1
MAX_RISK_FREE_RATE: Final = 1.0
"""Exclusive. A rate of 1 or more is probably meant as per cent (5 for 5 %)."""

MIN_COVERAGE: Final = 0.95
"""Minimum share of slots with a bar of a market that trades all year. Outages of an exchange leave more; weekends and
holidays leave less (a 5-day week 71 %)."""

MIN_ELAPSED_MS: Final = 30 * DAY_MS
"""Growth of a shorter time says nothing about a year: 200 minutes at +0.1 % each are 10^114 % a year."""


class AnnualizationRule(StrEnum):
    """The origin of the number of bars per year."""

    REQUESTED = "requested"
    """`barsPerYear` of the request."""
    CALENDAR = "calendar"
    """365 days ÷ bar length: at least `MIN_COVERAGE` of the slots hold a bar."""
    OBSERVED = "observed"
    """Bars ÷ elapsed years: fewer slots hold a bar, as with shares and currencies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnualizationSettings:
    """The parameters of a request that scale figures to a year."""

    bars_per_year: float | None = parameter(
        name="bars_per_year",
        meaning="Number of bars in a year, which deviations are scaled with",
        default=None,
        unit="bars",
        bounds=Bounds(minimum=MIN_BARS_PER_YEAR, maximum=MAX_BARS_PER_YEAR),
        default_meaning="from the bars themselves",
    )
    risk_free_rate: float = parameter(
        name="risk_free_rate",
        meaning="Risk-free rate in Sharpe, Sortino and alpha",
        default=0.0,
        unit="fraction per year, 0.05 = 5 %",
        bounds=Bounds(minimum=MIN_RISK_FREE_RATE, maximum=MAX_RISK_FREE_RATE, is_maximum_open=True),
    )

    def __post_init__(self) -> None:
        check_parameters(self)


DEFAULT_ANNUALIZATION: Final = AnnualizationSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Annualization:
    """The yearly scale of one backtest: `elapsed_ms` from first open to last close, `risk_free_per_bar` a fraction."""

    bars_per_year: float
    rule: AnnualizationRule
    elapsed_ms: int
    risk_free_per_bar: float

    @property
    def elapsed_years(self) -> float:
        """Return the elapsed time in years of 365 days."""
        return self.elapsed_ms / YEAR_MS

    @property
    def is_too_short(self) -> bool:
        """Return whether growth must not be projected to a year."""
        return self.elapsed_ms < MIN_ELAPSED_MS


def annualize(bars: Bars, settings: AnnualizationSettings) -> Annualization:
    """Return the number of bars per year and the risk-free rate per bar.

    The rate per bar is (1 + R)^(1/A) − 1, as empyrical and vectorbt convert a yearly rate (both in `omega_ratio`).
    """
    slots = bars.interval.count_slots(int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]))
    if settings.bars_per_year is not None:
        per_year, rule = settings.bars_per_year, AnnualizationRule.REQUESTED
    elif len(bars) >= MIN_COVERAGE * slots:
        per_year, rule = bars.interval.bars_per_year, AnnualizationRule.CALENDAR
    else:
        per_year, rule = len(bars) / (bars.elapsed_ms / YEAR_MS), AnnualizationRule.OBSERVED
    return Annualization(
        bars_per_year=per_year,
        rule=rule,
        elapsed_ms=bars.elapsed_ms,
        risk_free_per_bar=math.expm1(math.log1p(settings.risk_free_rate) / per_year),
    )
