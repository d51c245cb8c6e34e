from __future__ import annotations

import pandas as pd
import pytest

from src.domain.errors import InvalidInput
from src.domain.intervals import DAY_MS, INTERVALS, YEAR_MS
from src.service.periods import elapsed_time_warnings, parse_period_ms
from tests.market import bars_at


@pytest.mark.parametrize("period", ["1min", "5min", "30s", "h", "4h", "1D", "D", "7D", "250ms", "1h30min", "1D12h"])
def test_period_has_length_of_pandas_offset(period: str) -> None:
    named = period if period[0].isdigit() else f"1{period}"
    assert parse_period_ms(period) == pd.Timedelta(named).total_seconds() * 1000


@pytest.mark.parametrize(
    ("period", "length_ms"),
    [
        ("1m", 60_000),
        ("1M", YEAR_MS // 12),
        ("ME", YEAR_MS // 12),
        ("1H", 3_600_000),
        ("15T", 900_000),
        ("30S", 30_000),
        ("W", 7 * DAY_MS),
        ("2W", 14 * DAY_MS),
        ("W-MON", 7 * DAY_MS),
        (" 1d ", DAY_MS),
    ],
)
def test_retired_spellings_are_parsed(period: str, length_ms: int) -> None:
    assert parse_period_ms(period) == length_ms


@pytest.mark.parametrize("period", ["", "0D", "-1D", "1Q", "B", "1e3D", "99999999999D", "366D", "soon"])
def test_missing_period_gives_no_warning(period: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_period_ms(period)
    assert caught.value.field == "period"


@pytest.mark.parametrize(
    ("interval", "bars", "written"),
    [("1m", 200, "3 h 20 min"), ("1d", 29, "29 d"), ("1h", 25, "1 d 1 h"), ("1s", 1, "1 s"), ("1h", 719, "29 d 23 h")],
)
def test_short_time_gives_warning_with_duration(interval: str, bars: int, written: str) -> None:
    length_ms = INTERVALS[interval].milliseconds
    (warning,) = elapsed_time_warnings(bars_at([length_ms * bar for bar in range(bars)], interval=interval))
    assert warning.startswith(f"The bars cover {written}, less than 30 days: cagr, calmar_ratio and alpha are null")


def test_thirty_days_need_no_warning() -> None:
    assert elapsed_time_warnings(bars_at([DAY_MS * day for day in range(30)])) == ()
