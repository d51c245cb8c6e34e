"""Parquet from several writers: kinds of times, kinds of numbers, and what is refused."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.datasets.reading.table import BarFileRejected
from tests.bar_files import read_here

FIRST_MS = 1_609_459_200_000  # 2021-01-01
HOUR_MS = 3_600_000


def parquet(times: Any, *, name: str = "Date", rows: int = 3, **overrides: Any) -> bytes:
    prices = pa.array(np.arange(1.0, rows + 1))
    columns = {name: times} | dict.fromkeys(("Open", "High", "Low", "Close", "Volume"), prices) | overrides
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


MILLISECONDS = FIRST_MS + HOUR_MS * np.arange(3)


@pytest.mark.parametrize(
    "times",
    [
        pa.array(MILLISECONDS),
        pa.array(MILLISECONDS // 1000),
        pa.array(MILLISECONDS * 1_000_000),
        pa.array(MILLISECONDS.astype(np.float64)),
        pa.array(MILLISECONDS, pa.timestamp("ms")),
        pa.array(MILLISECONDS // 1000, pa.timestamp("s", tz="Asia/Seoul")),
        pa.array(MILLISECONDS * 1000, pa.timestamp("us", tz="UTC")),
        pa.array(MILLISECONDS * 1_000_000, pa.timestamp("ns")),
        pa.array([f"2021-01-01T0{hour}:00:00Z" for hour in range(3)]),
        pa.array([f"2021-01-01 0{hour}:00" for hour in range(3)], pa.large_string()),
    ],
    ids=lambda times: str(times.type),
)
def test_times_of_every_parquet_type_are_read(times: pa.Array) -> None:
    assert read_here(parquet(times)).columns["time"].tolist() == MILLISECONDS.tolist()


def test_parquet_dates_are_midnights() -> None:
    times = read_here(parquet(pa.array([18628, 18629, 18630], pa.date32()))).columns["time"]
    assert times.tolist() == [FIRST_MS, FIRST_MS + 24 * HOUR_MS, FIRST_MS + 48 * HOUR_MS]


def test_wall_clock_times_are_read_in_the_declared_zone() -> None:
    content = parquet(pa.array(MILLISECONDS, pa.timestamp("ms")))
    table = read_here(content, timezone="Asia/Seoul")
    assert table.columns["time"].tolist() == (MILLISECONDS - 9 * HOUR_MS).tolist()
    assert not table.findings.is_zone_assumed
    assert read_here(content).findings.is_zone_assumed


@pytest.mark.parametrize(
    "prices",
    [
        pa.array([1, 2, 3], pa.int32()),
        pa.array([1, 2, 3], pa.float32()),
        pa.array(["1", "2", "3"]),
        pa.array([Decimal("1"), Decimal("2"), Decimal("3")]),
    ],
    ids=lambda prices: str(prices.type),
)
def test_numbers_of_every_parquet_type_are_read(prices: pa.Array) -> None:
    table = read_here(parquet(pa.array(MILLISECONDS), Close=prices))
    assert table.columns["close"].tolist() == [1.0, 2.0, 3.0]


def test_missing_number_becomes_nan() -> None:
    for prices in (pa.array([1.0, None, 3.0]), pa.array(["1", None, "3"])):
        assert np.isnan(read_here(parquet(pa.array(MILLISECONDS), Close=prices)).columns["close"]).tolist() == [
            False, True, False,
        ]  # fmt: skip


def test_index_of_pandas_is_the_time() -> None:
    frame = pd.DataFrame(
        np.ones((3, 5)),
        columns=["Open", "High", "Low", "Close", "Volume"],
        index=pd.to_datetime(MILLISECONDS, unit="ms", utc=True),
    )
    file = io.BytesIO()
    frame.to_parquet(file)
    assert read_here(file.getvalue()).columns["time"].tolist() == MILLISECONDS.tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (parquet(pa.array([FIRST_MS, None, FIRST_MS])), "Row 2 has no time"),
        (parquet(pa.array([True, False, True])), "The times are of the type 'bool'"),
        (parquet(pa.array(MILLISECONDS), Close=pa.array([[1], [2], [3]])), "The column 'Close' is of the type"),
        (parquet(pa.array(MILLISECONDS), Symbol=pa.array(["A", "B", "A"]).dictionary_encode()), "symbols: 'A', 'B'"),
        (parquet(pa.array(["2021-01-01"] * 3), Time=pa.array(["00:00"] * 3)), "Write both as one timestamp."),
        (parquet(pa.array(MILLISECONDS), Unix=pa.array(MILLISECONDS + 1000)), "Row 1: Unix is"),
        (parquet(pa.array(["01/02/2021"] * 3)), "Give dateFormat: DMY or MDY."),
        (parquet(pa.array(MILLISECONDS), name="when"), "names no column for the time"),
        (parquet(pa.array([], pa.int64()), rows=0), "no rows of bars"),
        (parquet(pa.array([f"2021-01-01T0{hour}Z" for hour in "0x2"])), "Line 2: Date is '2021-01-01T0xZ'"),
    ],
)
def test_unreadable_file_is_rejected_with_reason(content: bytes, words: str) -> None:
    with pytest.raises(BarFileRejected) as caught:
        read_here(content)
    assert words in caught.value.message


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Seoul"])
@pytest.mark.parametrize(
    ("unit", "number"),
    [("ms", 4 * 10**16), ("ms", -2_200_000_000_000), ("ms", 7_258_118_400_000), ("s", 8 * 10**9), ("s", -5),
     ("us", 2**62), ("ns", -1), ("ns", 2**63 - 1)],
)  # fmt: skip
def test_times_outside_range_are_rejected_with_row(unit: str, number: int, zone: str | None) -> None:
    times = pa.array([1_609_459_200, number, 1_609_466_400], pa.timestamp(unit, tz=zone))
    with pytest.raises(BarFileRejected, match=r"Row 2: Date is .* since 1970\. Allowed: times from 1970 to 2199"):
        read_here(parquet(times), timezone=None if zone else "Asia/Seoul")


def test_dates_outside_range_are_rejected_with_row() -> None:
    with pytest.raises(BarFileRejected, match="Row 3: Date"):
        read_here(parquet(pa.array([18628, 18629, -400], pa.date32())))


def test_date_beside_a_number_and_dates_as_texts_are_read() -> None:
    unix = pa.array(MILLISECONDS)
    for date in (
        pa.array([18628] * 3, pa.date32()),
        pa.array(MILLISECONDS, pa.timestamp("ms")),
        pa.array([f"1/1/2021 {hour}:00 AM" for hour in (12, 1, 2)]),
    ):
        table = read_here(parquet(date, Unix=unix, Symbol=pa.array(["A"] * 3)), date_format="MDY")
        assert table.columns["time"].tolist() == MILLISECONDS.tolist()
    days = read_here(parquet(pa.array([f"{day}.01.2021" for day in (1, 2, 13)]), Close=pa.array(["1,5", "2", "3"])))
    assert ((days.columns["time"] - FIRST_MS) // (24 * HOUR_MS)).tolist() == [0, 1, 12]
    assert days.columns["close"].tolist() == [1.5, 2.0, 3.0]
