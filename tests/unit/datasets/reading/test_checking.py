"""Rows of a file become bars: the interval found, bad rows left out and named, misread files refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from src.datasets.reading.checking import check_rows
from src.datasets.reading.reader import BarFileRows
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.datasets import BarFileDeclaration
from src.domain.errors import InvalidInput
from src.domain.intervals import INTERVALS
from tests.bar_files import csv_of, days, read_here

NOW_MS = 1_700_000_000_000
FIRST_MS = 1_609_459_200_000  # 2021-01-01
HOUR_MS = 3_600_000


def rows_of(text: str, **declared: Any) -> BarFileRows:
    table = read_here(text, **declared)
    findings = table.findings
    return BarFileRows(
        columns=table.columns, units=tuple(findings.units), is_zone_assumed=findings.is_zone_assumed,
        offsets=tuple(findings.offsets), unreadable=tuple(findings.unreadable),
        unreadable_cells=findings.unreadable_cells, other_symbol=findings.other_symbol,
    )  # fmt: skip


def check(text: str, *, interval: str | None = None, **declared: Any) -> tuple[Bars, DataQuality, tuple[str, ...]]:
    declaration = BarFileDeclaration(symbol="BTCUSDT", interval=INTERVALS[interval] if interval else None)
    return check_rows(rows_of(text, **declared), declaration, now_ms=NOW_MS)


def spaced(milliseconds: int, *, count: int = 30, first_ms: int = FIRST_MS) -> str:
    return csv_of([[first_ms + milliseconds * row, 10, 12, 9, 11, 5] for row in range(count)])


@pytest.mark.parametrize("name", [name for name in INTERVALS if name != "1M"])
def test_interval_is_found_from_spacing(name: str) -> None:
    bars, quality, _ = check(spaced(INTERVALS[name].milliseconds))
    assert bars.interval is INTERVALS[name]
    assert quality.gaps == ()


def test_month_interval_is_found_from_calendar() -> None:
    months = [[f"{2019 + number // 12}-{number % 12 + 1:02}-01", 10, 12, 9, 11, 5] for number in range(24)]
    bars, quality, _ = check(csv_of(months))
    assert bars.interval.name == "1M"
    assert (quality.expected_bars, quality.gaps) == (24, ())


def test_interval_is_found_despite_gaps() -> None:
    rows = [row for number, row in enumerate(days(60)) if number % 7 < 5]  # a market that rests at weekends
    bars, quality, _ = check(csv_of(rows))
    assert bars.interval.name == "1d"
    assert {gap.missing_bars for gap in quality.gaps} == {2}


@pytest.mark.parametrize(
    ("text", "interval", "words"),
    [
        (spaced(7 * 60_000), None, "7 minutes apart, which is no interval"),
        (spaced(HOUR_MS), "1d", "interval is '1d', but the bars of the file are 1 hours apart"),
        (spaced(HOUR_MS, count=1), None, "a single bar, which shows no interval"),
    ],
)
def test_unfitting_interval_is_rejected(text: str, interval: str | None, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        check(text, interval=interval)
    assert caught.value.field == "interval"


def test_declared_interval_may_be_finer_than_spacing() -> None:
    bars, quality, _ = check(spaced(2 * HOUR_MS), interval="1h")
    assert bars.interval.name == "1h"
    assert len(quality.gaps) == 29
    assert len(check(spaced(HOUR_MS, count=1), interval="1h")[0]) == 1


def test_bad_rows_are_rejected_counted_and_named() -> None:
    rows = days(60)
    rows[3][2] = 1  # high below low
    rows[7][1] = "abc"
    rows[11][5] = -4
    rows.append(rows[20])  # twice
    rows.append([rows[30][0], 1, 1, 1, 1, 1])  # another bar for a time that is taken
    bars, quality, warnings = check(csv_of(rows))
    assert len(bars) == 56
    assert [row.reason for row in quality.rejected_rows] == [
        "high is below low", "a number is missing or not finite", "the volume is negative",
        "two different bars came for the same time",
    ]  # fmt: skip
    assert (quality.duplicate_rows, quality.disordered_rows) == (1, 1)
    told = " ".join(warnings)
    assert "4 BTCUSDT 1d bars left out as impossible" in told
    assert "1 cells are no numbers, and their rows were left out: line 9: Open is 'abc'." in told
    assert "name no zone and were taken for UTC" in told


def test_forming_bars_are_left_out() -> None:
    bars, _, warnings = check(spaced(HOUR_MS, first_ms=NOW_MS // HOUR_MS * HOUR_MS - 20 * HOUR_MS))
    assert len(bars) == 20
    assert warnings == ("10 rows were left out because their bars are not closed yet.",)


@pytest.mark.parametrize("column", ["Symbol", "<TICKER>"])
@pytest.mark.parametrize(
    ("written", "is_told"),
    [("BTCUSD", True), ("ETHUSDT", True), ("BTCUSDT", False), ("btc/usdt", False), ("BTC_USDT ", False), ("", False)],
)
def test_other_symbol_than_declared_is_warned_of(column: str, written: str, is_told: bool) -> None:
    rows = [[*row, written] for row in days(30)]
    _, _, warnings = check(csv_of(rows, f"Date,Open,High,Low,Close,Volume,{column}"))
    sentence = f"The file's rows name the symbol {written!r}; they were kept as BTCUSDT, as declared."
    assert [warning for warning in warnings if "symbol" in warning] == ([sentence] if is_told else [])


def test_probably_misread_file_is_rejected() -> None:
    rows = days(60)
    for row in rows[::2]:
        row[4] = "1.2.3"
    with pytest.raises(InvalidInput, match=r"30 of the 60 rows of the file are invalid.*line 2: Close is '1.2.3'"):
        check(csv_of(rows))
    with pytest.raises(InvalidInput, match=r"No bar of the file is closed.*Check unit"):
        check(spaced(HOUR_MS, first_ms=7_000_000_000_000))


def test_file_with_too_many_gaps_is_rejected() -> None:
    times = FIRST_MS + 2_000 * np.arange(100_002)
    ones = np.ones(len(times))
    rows = BarFileRows(
        columns={"time": times} | dict.fromkeys(("open", "high", "low", "close", "volume"), ones),
        units=("ms",), is_zone_assumed=False, offsets=(), unreadable=(), unreadable_cells=0,
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="100,001 gaps between 1s bars"):
        check_rows(rows, BarFileDeclaration(symbol="BTCUSDT", interval=INTERVALS["1s"]), now_ms=NOW_MS)


def test_days_in_daylight_saving_zone_are_rejected() -> None:
    with pytest.raises(InvalidInput, match="zone with daylight-saving time") as caught:
        check(csv_of(days(300)), timezone="Europe/Berlin")
    assert caught.value.field == "timezone"
    assert len(check(csv_of(days(300)), timezone="Asia/Seoul")[0]) == 300


KLINES = "open_time,open,high,low,close,volume,close_time"


@pytest.mark.parametrize(("offset", "odd", "expected"), [(-1, 0, 0), (-1, 2, 2), (0, 0, None), (-1000, 0, None)])
def test_closing_times_count_if_written_as_exchange_does(offset: int, odd: int, expected: int | None) -> None:
    rows = [[FIRST_MS + HOUR_MS * n, 10, 12, 9, 11, 5, FIRST_MS + HOUR_MS * (n + 1) + offset] for n in range(30)]
    for row in rows[:odd]:
        row[6] -= 60_000
    assert check(csv_of(rows, KLINES))[1].irregular_close_times == expected
