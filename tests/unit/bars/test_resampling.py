"""Coarser bars made from finer ones are the exchange's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.bars.grid import open_time_ms
from src.bars.resampling import finer_intervals, resample
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from tests.exchange_series import read_series

MINUTE, HOUR, DAY = INTERVALS["1m"], INTERVALS["1h"], INTERVALS["1d"]
MIDNIGHT_MS = 1_704_067_200_000
"""Monday, 2024-01-01"""


def candles(*rows: tuple[int, float, float, float, float, float], interval: str = "1m") -> Bars:
    """Bars from rows of (bar number after midnight, open, high, low, close, volume)."""
    columns = np.array(rows, dtype=np.float64).T
    length = INTERVALS[interval].milliseconds
    return Bars(
        symbol="BTCUSDT", interval=INTERVALS[interval], open_time_ms=MIDNIGHT_MS + columns[0].astype(np.int64) * length,
        open=columns[1], high=columns[2], low=columns[3], close=columns[4], volume=columns[5],
    )  # fmt: skip


def rows_of(bars: Bars) -> list[tuple[float, ...]]:
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [tuple(float(column[row]) for column in columns) for row in range(len(bars))]


def test_open_high_low_close_and_volume_are_combined() -> None:
    three = resample(
        candles((0, 10, 12, 9, 11, 0.1), (1, 11, 15, 11, 14, 0.2), (2, 14, 14, 8, 9, 0.3), (3, 9, 9, 9, 9, 1)),
        INTERVALS["3m"],
    )
    assert rows_of(three) == [(10, 15, 8, 9, 0.6)]
    assert three.open_time_ms.tolist() == [MIDNIGHT_MS]


def test_bars_without_trades_set_no_price() -> None:
    silent_first = candles((0, 50, 50, 50, 50, 0), (1, 10, 12, 9, 11, 1), (2, 11, 11, 11, 11, 0))
    assert rows_of(resample(silent_first, INTERVALS["3m"])) == [(10, 12, 9, 11, 1)]


def test_hour_without_trades_repeats_last_price() -> None:
    silent = candles((0, 50, 50, 50, 50, 0), (1, 50, 50, 50, 50, 0), (2, 50, 50, 50, 50, 0))
    assert rows_of(resample(silent, INTERVALS["3m"])) == [(50, 50, 50, 50, 0)]


def test_missing_hours_stay_missing() -> None:
    holed = candles((0, 1, 1, 1, 1, 1), (59, 2, 2, 2, 2, 1), (130, 3, 3, 3, 3, 1), (179, 4, 4, 4, 4, 1))
    hours = resample(holed, HOUR)
    assert hours.open_time_ms.tolist() == [MIDNIGHT_MS, MIDNIGHT_MS + 2 * HOUR.milliseconds]
    assert rows_of(hours) == [(1, 2, 1, 2, 2), (3, 4, 3, 4, 2)]


def test_incomplete_coarser_bars_are_left_out() -> None:
    minutes = candles(*((number, 1, 1, 1, 1, 1) for number in range(30, 150)))
    assert resample(minutes, HOUR).open_time_ms.tolist() == [MIDNIGHT_MS + HOUR.milliseconds]
    whole = resample(minutes, HOUR, start_ms=MIDNIGHT_MS, stop_ms=MIDNIGHT_MS + 3 * HOUR.milliseconds)
    assert len(whole) == 3
    assert len(resample(minutes.slice(0, 0), HOUR)) == 0
    assert len(resample(minutes.slice(0, 20), HOUR)) == 0


def test_no_bar_contains_anything_after_its_close() -> None:
    hours = candles(*((number, 1, 1 + number, 1, 1 + number, 1) for number in range(9)), interval="1h")
    late = replace(hours, open_time_ms=hours.open_time_ms + 30 * MINUTE.milliseconds)
    made = resample(late, INTERVALS["4h"])
    assert ((made.open_time_ms - MIDNIGHT_MS) / MINUTE.milliseconds).tolist() == [30, 270]
    for row, opened_ms in enumerate(made.open_time_ms):
        inside = (late.open_time_ms >= opened_ms) & (
            late.open_time_ms + HOUR.milliseconds <= opened_ms + 4 * HOUR.milliseconds
        )
        assert made.close[row] == late.close[inside][-1]
        assert made.high[row] == late.high[inside].max()


def test_weeks_open_on_monday_and_months_on_the_first() -> None:
    days = candles(
        *((number, 1 + number, 1 + number, 1 + number, 1 + number, 1) for number in range(91)), interval="1d"
    )
    weeks = resample(days, INTERVALS["1w"])
    assert ((weeks.open_time_ms - MIDNIGHT_MS) % (7 * 86_400_000) == 0).all()
    assert rows_of(weeks)[1] == (8, 14, 8, 14, 7)
    months = resample(days, INTERVALS["1M"])
    assert months.open_time_ms.tolist() == [open_time_ms(648 + month, INTERVALS["1M"]) for month in range(3)]
    assert [row[4] for row in rows_of(months)] == [31, 29, 31]


def test_only_dividing_intervals_are_finer() -> None:
    assert [finer.name for finer in finer_intervals(INTERVALS["8h"])] == [
        "4h", "2h", "1h", "30m", "15m", "5m", "3m", "1m", "1s",
    ]  # fmt: skip
    assert [finer.name for finer in finer_intervals(INTERVALS["1M"])][:3] == ["1d", "12h", "8h"]
    assert list(finer_intervals(INTERVALS["3d"])) == []
    assert list(finer_intervals(INTERVALS["1s"])) == []
    with pytest.raises(ValueError, match="1h bars cannot be made from 1d"):
        resample(candles((0, 1, 1, 1, 1, 1), interval="1d"), HOUR)


@pytest.mark.shared_data
@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_resampled_real_minutes_equal_real_hours_and_days(shared_data: Path, interval: str) -> None:
    to = INTERVALS[interval]
    real = read_series(shared_data / f"BTCUSDT-{interval}.csv.gz", symbol="BTCUSDT", interval=to).bars()
    compared = 0
    for file in (
        "BTCUSDT-1m-2018-02-01_2018-02-15_outage.csv.gz",
        "BTCUSDT-1m-2021-04_2021-06.csv.gz",
        "BTCUSDT-1m-2024.parquet",
        "BTCUSDT-1m-2024-12-30_2025-01-05_ms-to-us.csv.gz",
    ):
        made = resample(read_series(shared_data / file, symbol="BTCUSDT", interval=MINUTE).bars(), to)
        first = int(np.searchsorted(real.open_time_ms, made.open_time_ms[0]))
        same = real.slice(first, first + len(made))
        for name in ("open_time_ms", "open", "high", "low", "close"):
            assert np.array_equal(getattr(made, name), getattr(same, name)), (file, name)
        compared += len(made)
    assert compared == {"1h": 11_458, "1d": 479}[interval]


@pytest.mark.shared_data
def test_resampled_real_days_equal_real_weeks(shared_data: Path) -> None:
    days = read_series(shared_data / "BTCUSDT-1d.csv.gz", symbol="BTCUSDT", interval=DAY).bars()
    real = read_series(shared_data / "BTCUSDT-1w.csv.gz", symbol="BTCUSDT", interval=INTERVALS["1w"]).bars()
    # The first week opens before the listing, of which nothing is missing either.
    made = resample(days, INTERVALS["1w"], start_ms=int(real.open_time_ms[0])).slice(0, len(real))
    for name in ("open_time_ms", "open", "high", "low", "close"):
        assert np.array_equal(getattr(made, name), getattr(real, name)), name
