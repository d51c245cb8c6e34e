"""Rows of the exchange become bars; what cannot be believed is left out, counted and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from src.bars.klines import Klines, MalformedKlines, clean, parse_rows
from src.bars.quality import assess
from src.domain.bar_quality import DataQuality, Gap, RejectedRow
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from tests.counting import counted_calls

MINUTE = 60_000
FAR_FUTURE_MS = 4_000_000_000_000


def row(open_time_ms: int, *, open: Any = "10", high: Any = "12", low: Any = "9", close: Any = "11",
        volume: Any = "5", close_time_ms: int | None = None) -> list[Any]:  # fmt: skip
    """One twelve-element row of a minute."""
    closes = open_time_ms + MINUTE - 1 if close_time_ms is None else close_time_ms
    return [open_time_ms, open, high, low, close, volume, closes, "50", 3, "1", "2", "0"]


def minutes(*numbers: int) -> list[list[Any]]:
    return [row(number * MINUTE) for number in numbers]


def clean_rows(rows: object, *, interval: str = "1m", now_ms: int = FAR_FUTURE_MS) -> tuple[Bars, DataQuality]:
    return clean(parse_rows(rows), symbol="BTCUSDT", interval=INTERVALS[interval], now_ms=now_ms)


def test_row_is_parsed_exactly() -> None:
    rows = [[1502928000000, "4261.48000000", "4485.39000000", "4200.74000000", "4285.08000000", "795.15037700",
             1503014399999, "3454770.05073206", 3427, "616.24854100", "2678216.40060401", "8733.91139481"]]  # fmt: skip
    bars, quality = clean_rows(rows, interval="1d")
    columns = (bars.open_time_ms, bars.open, bars.high, bars.low, bars.close, bars.volume)
    assert [column.tolist() for column in columns] == [
        [1502928000000], [4261.48], [4485.39], [4200.74], [4285.08], [795.150377],
    ]  # fmt: skip
    assert quality == assess(bars, irregular_close_times=0)


def test_microseconds_are_recognized_by_size() -> None:
    bars, _ = clean_rows([row(1735689540000), row(1735689600000000, close_time_ms=1735689659999999)])
    assert bars.open_time_ms.tolist() == [1735689540000, 1735689600000]


def test_empty_page_has_no_klines() -> None:
    bars, quality = clean_rows([])
    assert len(bars) == 0
    assert quality == DataQuality(expected_bars=0, present_bars=0)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"code": -1121}, "not a list"),
        ("[[1]]", "not a list"),
        (None, "not a list"),
        ([1, 2], "a row is not a list"),
        (["123456789012"], "a row is not a list"),
        ([[1, "2", "3"]], "3 elements"),
        ([row(0), row(MINUTE)[:11]], "differ in length"),
        ([row(0), ["yesterday", *row(0)[1:]]], "not a whole number"),
        ([[None, *row(0)[1:]]], "not a whole number"),
        ([row(-1)], "outside 1970 to 9999"),
        ([row(10**18 * 9)], "outside 1970 to 9999"),
        ([row(10**30)], "not a whole number"),
        ([[[5], *row(0)[1:]]], "not a whole number"),
    ],
)
def test_anything_but_klines_is_malformed(rows: object, complaint: str) -> None:
    with pytest.raises(MalformedKlines, match=complaint):
        parse_rows(rows)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"close": "NaN"}, "not finite"),
        ({"close": "cheap"}, "not finite"),
        ({"high": None}, "not finite"),
        ({"high": ["12"]}, "not finite"),
        ({"high": 10**400}, "not finite"),
        ({"high": "Infinity"}, "not finite"),
        ({"volume": "inf"}, "not finite"),
        ({"low": "0"}, "not above 0"),
        ({"low": "-9"}, "not above 0"),
        ({"low": "9e-12"}, "price is not within 1e-11 and 1e+15"),
        ({"high": "1.1e15"}, "price is not within 1e-11 and 1e+15"),
        ({"volume": "-0.1"}, "volume is negative"),
        ({"volume": "9e-19"}, "volume is neither 0 nor within 1e-18 and 1e+36"),
        ({"volume": "1.1e36"}, "volume is neither 0 nor within 1e-18 and 1e+36"),
        ({"high": "8"}, "high is below low"),
        ({"open": "12.5"}, "open lies outside"),
        ({"open": "8.5"}, "open lies outside"),
        ({"close": "12.5"}, "close lies outside"),
        ({"close_time_ms": MINUTE - 1}, "closes before it opens"),
    ],
)
def test_invalid_row_is_rejected_with_reason(cells: dict[str, Any], reason: str) -> None:
    bars, quality = clean_rows([row(0), row(MINUTE, **cells), row(2 * MINUTE)])
    assert bars.open_time_ms.tolist() == [0, 2 * MINUTE]
    assert [rejected.open_time_ms for rejected in quality.rejected_rows] == [MINUTE]
    assert reason in quality.rejected_rows[0].reason
    assert quality.gaps == (Gap(after_ms=0, next_ms=2 * MINUTE, missing_bars=1),)


def test_row_off_grid_of_others_is_rejected() -> None:
    bars, quality = clean_rows([*minutes(0, 1), row(MINUTE + 7000), *minutes(2, 3)])
    assert bars.open_time_ms.tolist() == [0, MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert quality.rejected_rows == (
        RejectedRow(open_time_ms=MINUTE + 7000, reason="it does not open where bars of this interval open"),
    )


@pytest.mark.parametrize(("now_ms", "kept"), [(3 * MINUTE - 2, 2), (3 * MINUTE - 1, 3), (3 * MINUTE, 3)])
def test_forming_bar_is_dropped_without_fault(now_ms: int, kept: int) -> None:
    bars, quality = clean_rows(minutes(0, 1, 2), now_ms=now_ms)
    assert len(bars) == kept
    assert quality == assess(bars, irregular_close_times=0)
    assert quality.expected_bars == kept


def test_repeated_rows_count_once() -> None:
    bars, quality = clean_rows(minutes(0, 1, 1, 1, 2))
    assert bars.open_time_ms.tolist() == [0, MINUTE, 2 * MINUTE]
    assert (quality.duplicate_rows, quality.rejected_rows) == (2, ())


def test_contradicting_rows_of_one_time_are_rejected() -> None:
    bars, quality = clean_rows([*minutes(0, 1), row(MINUTE, close="9.5"), *minutes(2)])
    assert bars.open_time_ms.tolist() == [0, 2 * MINUTE]
    assert quality.rejected_rows == (
        RejectedRow(open_time_ms=MINUTE, reason="two different bars came for the same time"),
    )
    assert quality.duplicate_rows == 0


def test_disordered_rows_are_sorted_and_counted() -> None:
    bars, quality = clean_rows(minutes(3, 4, 0, 1, 2))
    assert bars.open_time_ms.tolist() == [number * MINUTE for number in range(5)]
    assert (quality.disordered_rows, quality.gaps) == (1, ())


@pytest.mark.parametrize(
    ("interval", "opens", "missing"),
    [
        ("1m", ["2024-01-01T00:00", "2024-01-01T00:01", "2024-01-01T00:05"], 3),
        ("3d", ["2017-08-16", "2017-08-19", "2017-08-25"], 1),
        ("1w", ["2017-08-14", "2017-08-21", "2017-09-04"], 1),
        ("1M", ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"], 0),
        ("1M", ["2023-12-01", "2024-01-01", "2024-03-01"], 1),
        ("1M", ["2023-01-01", "2024-01-01"], 11),
    ],
)
def test_gaps_are_counted_in_bars_of_the_interval(interval: str, opens: list[str], missing: int) -> None:
    times = [int(np.datetime64(text, "ms").astype(np.int64)) for text in opens]
    bars, quality = clean_rows([row(time) for time in times], interval=interval)
    assert len(bars) == len(times)
    assert sum(gap.missing_bars for gap in quality.gaps) == missing
    assert quality.expected_bars == len(times) + missing


def test_oldest_and_newest_count_bars_not_rows() -> None:
    klines = parse_rows(minutes(0, 1, 1, 2, 3))
    assert klines.oldest(2).open_time_ms.tolist() == [0, MINUTE, MINUTE]
    assert klines.newest(3).open_time_ms.tolist() == [MINUTE, MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert len(klines.newest(9)) == 5
    assert Klines.joined([]).open_time_ms.tolist() == []


def test_parsing_loops_over_columns_only() -> None:
    def calls_of(rows: int) -> int:
        page = parse_rows(minutes(*range(100)))
        times = np.arange(rows, dtype=np.int64) * MINUTE
        price = np.full(rows, 10.0)
        klines = Klines(open_time_ms=times, open=price, high=price, low=price, close=price, volume=price,
                        close_time_ms=times + MINUTE - 1)  # fmt: skip
        with counted_calls() as count:
            bars, _ = clean(Klines.joined([klines, page]), symbol="X", interval=INTERVALS["1m"], now_ms=FAR_FUTURE_MS)
        assert len(bars) == rows - 100
        return count.calls

    calls_of(1000)  # what is imported or compiled at the first call
    assert calls_of(300_000) == calls_of(1000)


def test_cells_that_are_lists_are_rejected() -> None:
    bars, quality = clean_rows([row(n * MINUTE, high=["12"]) for n in range(3)])
    assert len(bars) == 0
    assert {rejected.reason for rejected in quality.rejected_rows} == {"a number is missing or not finite"}
