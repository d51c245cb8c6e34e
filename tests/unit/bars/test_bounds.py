"""Prices and volumes that no figure could be made of: kept out on every way in, named where a user can see it."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.bar_cache.segments import DamagedSegment, decode
from src.bar_cache.segments import encode as encode_segment
from src.bars.checked import CheckedBars
from src.bars.klines import Klines, clean, parse_rows
from src.bars.quality import assess
from src.bars.resampling import resample
from src.binance.archive_rows import read_blocks
from src.datasets.files import encode as encode_dataset
from src.datasets.reading.checking import check_rows
from src.datasets.reading.reader import BarFileRows
from src.datasets.source import DatasetSource
from src.domain.bar_quality import DataQuality
from src.domain.bars import MAX_PRICE, MAX_VOLUME, MIN_PRICE, MIN_VOLUME, Bars
from src.domain.datasets import BarFileDeclaration, Dataset
from src.domain.errors import InvalidInput, StoreUnavailable
from src.domain.intervals import DAY_MS, INTERVALS
from src.domain.market import MarketRequest
from tests.archive_files import zip_of_text
from tests.bar_files import read_here
from tests.market import random_bars

DAY = INTERVALS["1d"]
NOW_MS = 1_900_000_000_000
FIRST_MS = 1_704_067_200_000
ROWS = 24
BAD = 7
"""The row that each file has out of bounds."""

BELOW_PRICE, ABOVE_PRICE = np.nextafter(MIN_PRICE, 0), np.nextafter(MAX_PRICE, np.inf)
OUTSIDE = {
    "price below": ((BELOW_PRICE, 1.0, BELOW_PRICE, 1.0, 5.0), "a price is not within 1e-11 and 1e+15"),
    "price above": ((1.0, ABOVE_PRICE, 1.0, 1.0, 5.0), "a price is not within 1e-11 and 1e+15"),
    "huge price": ((1e300, 1e300, 1e300, 1e300, 5.0), "a price is not within 1e-11 and 1e+15"),
    "tiny price": ((1e-300, 1e-300, 1e-300, 1e-300, 5.0), "a price is not within 1e-11 and 1e+15"),
    "volume below": ((1.0, 1.0, 1.0, 1.0, 1e-320), "the volume is neither 0 nor within 1e-18 and 1e+36"),
    "volume above": ((1.0, 1.0, 1.0, 1.0, 1e300), "the volume is neither 0 nor within 1e-18 and 1e+36"),
}


def table(bad: tuple[float, ...]) -> pd.DataFrame:
    """Days of 1 with one row out of bounds, as users name the columns."""
    numbers = [(1.0, 1.0, 1.0, 1.0, 5.0)] * ROWS
    numbers[BAD] = bad
    frame = pd.DataFrame(numbers, columns=["Open", "High", "Low", "Close", "Volume"])
    frame.insert(0, "timestamp", FIRST_MS + DAY_MS * np.arange(ROWS))
    return frame


def from_exchange(frame: pd.DataFrame) -> tuple[Bars, DataQuality]:
    rows = [[time, *map(repr, numbers), time + DAY_MS - 1] for time, *numbers in frame.itertuples(index=False)]
    return clean(parse_rows(rows), symbol="BTCUSDT", interval=DAY, now_ms=NOW_MS)


def from_archive(frame: pd.DataFrame, folder: Path) -> tuple[Bars, DataQuality]:
    frame = frame.assign(close_time=frame["timestamp"] + DAY_MS - 1)
    text = frame.to_csv(index=False, header=False)
    (folder / "file.zip").write_bytes(zip_of_text("days.csv", text))
    blocks = read_blocks(
        folder / "file.zip", member="days.csv", interval=DAY, start_ms=FIRST_MS, stop_ms=NOW_MS, candles=ROWS
    )
    return clean(Klines.joined(blocks), symbol="BTCUSDT", interval=DAY, now_ms=NOW_MS)


def from_file(content: bytes) -> tuple[Bars, DataQuality, tuple[str, ...]]:
    read = read_here(content)
    rows = BarFileRows(
        columns=read.columns, units=(), is_zone_assumed=False, offsets=(), unreadable=(), unreadable_cells=0
    )
    return check_rows(rows, BarFileDeclaration(symbol="BTCUSDT"), now_ms=NOW_MS)


def parquet_of(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(("bad", "reason"), OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("way", ["exchange", "archive", "csv", "parquet"])
def test_row_out_of_bounds_is_rejected(way: str, bad: tuple[float, ...], reason: str, tmp_path: Path) -> None:
    frame = table(bad)
    sentences: tuple[str, ...] = ()
    if way == "exchange":
        bars, quality = from_exchange(frame)
    elif way == "archive":
        bars, quality = from_archive(frame, tmp_path)
    else:
        content = frame.to_csv(index=False).encode() if way == "csv" else parquet_of(frame)
        bars, quality, sentences = from_file(content)
        assert any("2024-01-08" in sentence and reason in sentence for sentence in sentences)
    assert len(bars) == ROWS - 1
    assert [(row.open_time_ms, row.reason) for row in quality.rejected_rows] == [(FIRST_MS + BAD * DAY_MS, reason)]


@pytest.mark.parametrize(("bad", "reason"), OUTSIDE.values(), ids=OUTSIDE)
def test_file_out_of_bounds_is_rejected_with_reason(bad: tuple[float, ...], reason: str) -> None:
    frame = table(bad)
    frame.iloc[:, 1:] = bad
    with pytest.raises(InvalidInput) as caught:
        from_file(frame.to_csv(index=False).encode())
    assert reason in caught.value.message
    assert caught.value.field == "file"


def edges(**columns: Any) -> Bars:
    given = {name: np.ones(3) for name in ("open", "high", "low", "close", "volume")} | columns
    return Bars(symbol="EDGE", interval=DAY, open_time_ms=np.arange(3, dtype=np.int64) * DAY_MS, **given)


def test_bars_at_bounds_are_accepted() -> None:
    edges(low=np.full(3, MIN_PRICE), high=np.full(3, MAX_PRICE), volume=np.array([0.0, MIN_VOLUME, MAX_VOLUME]))


@pytest.mark.parametrize(
    ("name", "value"),
    [("low", BELOW_PRICE), ("high", ABOVE_PRICE), ("volume", MIN_VOLUME / 2), ("volume", MAX_VOLUME * 2)],
)
def test_bars_beyond_bounds_are_rejected(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="row 1 is not a possible bar"):
        edges(**{name: np.array([1.0, value, 1.0])})


def replaced(content: bytes, old: float, new: float) -> bytes:
    """Exchange a number in the bytes of a file."""
    assert content.count(struct.pack("<d", old)) == 1
    return content.replace(struct.pack("<d", old), struct.pack("<d", new))


def test_stored_segment_beyond_bounds_is_damaged() -> None:
    """It is dropped and fetched again, as every damaged one is."""
    bars = edges(volume=np.array([3.0, 3.5, 4.0]))
    segment, content = encode_segment(CheckedBars(bars=bars), 0, 9)
    forged = replaced(content, 3.5, 1e300)
    with pytest.raises(DamagedSegment, match="row 1 is not a possible bar"):
        decode(forged, replace(segment, checksum=zlib.crc32(forged)), symbol="EDGE", interval=DAY)


def test_dataset_beyond_bounds_asks_for_new_upload(tmp_path: Path) -> None:
    bars = random_bars(5)
    dataset = Dataset(
        name="old", user_id="me", symbol="TESTUSDT", interval=DAY, bars=5, original_filename="old.csv", size_bytes=1,
        sha256="0" * 64, fingerprint="0" * 64, uploaded_ms=NOW_MS, quality=assess(bars), warnings=(),
    )  # fmt: skip
    broken = dataclasses.replace(bars)
    object.__setattr__(broken, "volume", np.full(5, 1e300))
    path = tmp_path / "old.bars"
    path.write_bytes(encode_dataset(dataset, broken))
    with pytest.raises(StoreUnavailable, match="Upload it again"):
        asyncio.run(DatasetSource(path).fetch(MarketRequest(symbol="TESTUSDT", interval=DAY, limit=5)))


def test_resampled_volume_beyond_maximum_is_rejected() -> None:
    bars = dataclasses.replace(random_bars(48, interval="1h"), volume=np.full(48, MAX_VOLUME / 2))
    with pytest.raises(InvalidInput, match=r"volumes of a 1d bar add up to 1\.2e\+37\. Allowed: at most 1e\+36"):
        resample(bars, DAY)
