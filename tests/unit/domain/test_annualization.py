"""How many bars make a year, how much time has passed, and what a client may say about it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from src.bars.grid import bar_numbers, close_times_ms, open_times_ms
from src.domain.annualization import (
    MAX_BARS_PER_YEAR,
    Annualization,
    AnnualizationRule,
    AnnualizationSettings,
    annualize,
)
from src.domain.errors import InvalidInput
from src.domain.intervals import DAY_MS, INTERVALS
from tests.market import bars_at

NONE_ASKED = AnnualizationSettings()


def year_of(open_days: list[int] | range, settings: AnnualizationSettings = NONE_ASKED) -> Annualization:
    return annualize(bars_at([day * DAY_MS for day in open_days]), settings)


def business_days(count: int) -> list[int]:
    """Return day numbers from Monday to Friday, the first a Monday."""
    return [4 + day for day in range(count * 7 // 5 + 7) if day % 7 < 5][:count]


def test_bars_of_every_day_make_a_year_of_365() -> None:
    year = year_of(range(400))
    assert (year.bars_per_year, year.rule) == (365.0, AnnualizationRule.CALENDAR)
    assert year.elapsed_ms == 400 * DAY_MS


def test_business_days_are_counted_in_elapsed_time() -> None:
    # 104 weeks from the first Monday's open to the last Friday's close: two days less.
    year = year_of(business_days(520))
    assert year.elapsed_ms == (104 * 7 - 2) * DAY_MS
    assert year.rule is AnnualizationRule.OBSERVED
    assert year.bars_per_year == pytest.approx(520 / (726 / 365))


@pytest.mark.parametrize(
    ("missing", "rule"), [(5, AnnualizationRule.CALENDAR), (6, AnnualizationRule.OBSERVED)], ids=["95 %", "94 %"]
)
def test_coverage_of_95_percent_decides_the_rule(missing: int, rule: AnnualizationRule) -> None:
    days = [*range(10), *range(10 + missing, 100)]
    assert year_of(days).rule is rule


def test_requested_bars_per_year_override_the_data() -> None:
    year = year_of(business_days(520), AnnualizationSettings(bars_per_year=252))
    assert (year.bars_per_year, year.rule) == (252, AnnualizationRule.REQUESTED)
    assert year.elapsed_ms == 726 * DAY_MS


@pytest.mark.parametrize(("days", "is_too_short"), [(29, True), (30, False)])
def test_fewer_than_30_days_are_too_short(days: int, is_too_short: bool) -> None:
    assert year_of(range(days)).is_too_short is is_too_short


def test_risk_free_rate_compounds_to_its_year() -> None:
    year = year_of(business_days(520), AnnualizationSettings(risk_free_rate=0.05))
    assert (1 + year.risk_free_per_bar) ** year.bars_per_year == pytest.approx(1.05, rel=1e-12)
    assert year_of(range(40)).risk_free_per_bar == 0.0


@pytest.mark.parametrize("value", [0.0, -365.0, 0.99, MAX_BARS_PER_YEAR + 1, float("nan"), float("inf")])
def test_bars_per_year_outside_the_bounds_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"barsPerYear is .*\. Allowed: 1 ≤ x ≤ 31622400") as caught:
        AnnualizationSettings(bars_per_year=value)
    assert caught.value.field == "barsPerYear"


@pytest.mark.parametrize("value", [1.0, 5.0, -0.11, float("nan"), float("inf")])
def test_risk_free_rate_outside_the_bounds_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"riskFreeRate is .*0\.05 = 5 %") as caught:
        AnnualizationSettings(risk_free_rate=value)
    assert caught.value.field == "riskFreeRate"


def test_bounds_themselves_are_allowed() -> None:
    AnnualizationSettings(bars_per_year=1.0, risk_free_rate=-0.1)
    AnnualizationSettings(bars_per_year=MAX_BARS_PER_YEAR, risk_free_rate=0.999)


def test_months_end_with_the_calendar() -> None:
    opens = [int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000) for year in (2023, 2024) for month in (1, 2)]
    bars = bars_at(opens, interval="1M")
    assert bars.elapsed_ms == (365 + 31 + 29) * DAY_MS
    assert bars.interval.count_slots(opens[0], opens[-1]) == 14


@pytest.mark.parametrize("name", INTERVALS)
def test_next_open_and_slots_agree_with_the_exchange_grid(name: str) -> None:
    interval = INTERVALS[name]
    first = int(bar_numbers(np.array([1_700_000_000_000]), interval)[0])
    opens = open_times_ms(np.arange(first, first + 30), interval)
    for open_ms, close_ms in zip(opens.tolist(), close_times_ms(opens, interval).tolist(), strict=True):
        assert interval.next_open_ms(open_ms) == close_ms + 1
        assert interval.count_slots(int(opens[0]), open_ms) == opens.tolist().index(open_ms) + 1


def test_one_bar_lasts_as_long_as_its_interval() -> None:
    assert bars_at([0], interval="1w").elapsed_ms == 7 * DAY_MS
