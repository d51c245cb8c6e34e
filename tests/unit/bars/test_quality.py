"""The report on bars: counted by hand on small series, and as documented on the real files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from src.bars.klines import Klines, clean
from src.bars.quality import assess
from src.bars.quality_warnings import describe_quality
from src.domain.bar_quality import DataQuality, Gap, Jump
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from tests.exchange_series import read_series

HOUR = 3_600_000


def hours(numbers: list[int], *, closes: list[float] | None = None, volumes: list[float] | None = None) -> Bars:
    price = np.array(closes or [1.0] * len(numbers))
    return Bars(
        symbol="LUNAUSDT", interval=INTERVALS["1h"], open_time_ms=np.array(numbers, dtype=np.int64) * HOUR,
        open=price, high=price, low=price, close=price,
        volume=np.array(volumes or [1.0] * len(numbers)),
    )  # fmt: skip


def test_quality_of_no_bars_has_no_times() -> None:
    report = assess(hours([]), duplicate_rows=2)
    assert (report.expected_bars, report.present_bars, report.duplicate_rows) == (0, 0, 2)
    assert report.first_open_ms is None
    assert report.last_close_ms is None


def test_complete_bars_have_no_gap() -> None:
    report = assess(hours([5, 6, 7]))
    assert (report.first_open_ms, report.last_close_ms) == (5 * HOUR, 8 * HOUR - 1)
    assert (report.expected_bars, report.present_bars, report.gaps, report.jumps) == (3, 3, (), ())


def test_each_gap_has_its_length() -> None:
    report = assess(hours([0, 1, 4, 5, 20]))
    assert report.gaps == (
        Gap(after_ms=HOUR, next_ms=4 * HOUR, missing_bars=2),
        Gap(after_ms=5 * HOUR, next_ms=20 * HOUR, missing_bars=14),
    )
    assert report.expected_bars == 21


@pytest.mark.parametrize(
    ("numbers", "volumes", "expected"),
    [
        ([0, 1, 2], [1, 1, 1], (0, 0, 0)),
        ([0, 1, 2, 3, 4], [0, 0, 1, 0, 1], (3, 2, 2)),
        ([0, 1, 2], [0, 0, 0], (3, 1, 3)),
        ([0, 1, 5, 6, 7], [1, 0, 0, 0, 1], (3, 2, 2)),  # a gap ends a run
        ([0], [0], (1, 1, 1)),
    ],
)
def test_runs_without_trades_are_counted(
    numbers: list[int], volumes: list[float], expected: tuple[int, int, int]
) -> None:
    report = assess(hours(numbers, volumes=volumes))
    assert (report.zero_volume_bars, report.zero_volume_runs, report.longest_zero_volume_run) == expected


def test_threefold_price_change_across_gap_is_jump() -> None:
    report = assess(hours([0, 2, 4, 6, 7], closes=[1.0, 3.0, 1.0, 2.9, 900.0]))
    assert report.jumps == (
        Jump(after_ms=0, next_ms=2 * HOUR, ratio=3.0),
        Jump(after_ms=2 * HOUR, next_ms=4 * HOUR, ratio=pytest.approx(1 / 3)),
    )


def test_many_bars_without_trades_are_warned_of() -> None:
    silent = hours(list(range(10)), volumes=[0.0] * 2 + [1.0] * 8)
    (sentence,) = describe_quality(assess(silent), silent)
    assert sentence.startswith("2 of 10 LUNAUSDT 1h bars have no trade at all, up to 2 in a row")
    lively = hours(list(range(100)), volumes=[0.0] + [1.0] * 99)
    assert describe_quality(assess(lively), lively) == ()


def test_irregular_closing_times_are_warned_of() -> None:
    bars = hours([0, 1])
    (sentence,) = describe_quality(assess(bars, irregular_close_times=1), bars)
    assert sentence.startswith("1 LUNAUSDT 1h bar closed at another time")


def real(folder: Path, name: str) -> tuple[Bars, DataQuality]:
    symbol, interval = name.split("-", maxsplit=1)[0], INTERVALS[name.split("-")[1].split(".", maxsplit=1)[0]]
    series = read_series(folder / name, symbol=symbol, interval=interval)
    klines = Klines(**{field.name: getattr(series, field.name) for field in fields(Klines)})
    return clean(klines, symbol=symbol, interval=interval, now_ms=10**13)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "rows", "gaps", "missing", "irregular"),
    [
        ("BTCUSDT-1d.csv.gz", 3292, 0, 0, 0),
        ("BTCUSDT-1w.csv.gz", 447, 0, 0, 0),
        ("BTCUSDT-1h.csv.gz", 72540, 28, 128, 0),
        ("BTCUSDT-1m-2018-02-01_2018-02-15_outage.csv.gz", 19540, 3, 2060, 2),
        ("BTCUSDT-1m-2021-04_2021-06.csv.gz", 130606, 2, 434, 1),
        ("BTCUSDT-1m-2024-12-30_2025-01-05_ms-to-us.csv.gz", 10080, 0, 0, 0),
        ("BTCUSDT-1m-2024.parquet", 527040, 0, 0, 0),
        ("LUNAUSDT-1h.csv.gz", 15206, 10, 455, 0),
        ("LUNAUSDT-1d-12col.csv.gz", 621, 1, 17, 1),
        ("SOLUSDT-1h-listing.csv.gz", 15887, 9, 18, 0),
    ],
)
def test_real_files_have_known_gaps(
    shared_data: Path, name: str, rows: int, gaps: int, missing: int, irregular: int
) -> None:
    _, report = real(shared_data, name)
    assert report.present_bars == rows
    assert (len(report.gaps), sum(gap.missing_bars for gap in report.gaps)) == (gaps, missing)
    assert report.irregular_close_times == irregular
    assert (report.duplicate_rows, report.disordered_rows, report.rejected_rows) == (0, 0, ())


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["BTCUSDT-1d.csv.gz", "BTCUSDT-1w.csv.gz", "BTCUSDT-1m-2024.parquet",
                                  "BTCUSDT-1m-2024-12-30_2025-01-05_ms-to-us.csv.gz"])  # fmt: skip
def test_real_files_without_faults_give_no_warning(shared_data: Path, name: str) -> None:
    bars, report = real(shared_data, name)
    assert describe_quality(report, bars) == ()


@pytest.mark.shared_data
def test_outage_in_real_file_is_named(shared_data: Path) -> None:
    bars, report = real(shared_data, "BTCUSDT-1m-2018-02-01_2018-02-15_outage.csv.gz")
    assert max(gap.missing_bars for gap in report.gaps) == 2011
    assert [sentence.split(":")[0] for sentence in describe_quality(report, bars)] == [
        "BTCUSDT 1m has 3 gaps",
        "2 BTCUSDT 1m bars closed at another time than the interval says, as the exchange does where trading stops "
        "or starts again.",
    ]
    assert "2,011 between 2018-02-08T00:28Z and 2018-02-09T10:00Z" in describe_quality(report, bars)[0]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "missing", "back"),
    [("LUNAUSDT-1h.csv.gz", 437, "2022-05-31T06:00Z"), ("LUNAUSDT-1d-12col.csv.gz", 17, "2022-05-31")],
)
def test_relisted_coin_in_real_file_is_suspected(shared_data: Path, name: str, missing: int, back: str) -> None:
    bars, report = real(shared_data, name)
    (jump,) = report.jumps
    assert jump.ratio == pytest.approx(20_000)
    (sentence,) = [sentence for sentence in describe_quality(report, bars) if "another coin" in sentence]
    assert f"0.00005 to 1 (20,000.0×) across the gap of {missing}" in sentence
    assert f"between 2022-05-13 and {back}" in sentence


@pytest.mark.shared_data
def test_listing_within_a_day_is_the_first_bar(shared_data: Path) -> None:
    bars, report = real(shared_data, "SOLUSDT-1h-listing.csv.gz")
    assert report.first_open_ms == 1_597_125_600_000  # 2020-08-11T06:00Z
    assert len(describe_quality(report, bars)) == 1
