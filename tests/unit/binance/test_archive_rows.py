"""Files of the bulk archive, as they come and as they should not."""

from __future__ import annotations

import zipfile
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from src.bars.klines import Klines, MalformedKlines
from src.bars.resampling import resample
from src.bars.simulated import simulate_bars
from src.binance.archive_rows import BLOCK_ROWS, max_csv_bytes, read_blocks
from src.domain.intervals import INTERVALS
from tests.archive_files import zip_of_rows, zip_of_text
from tests.exchange_faults import Row
from tests.exchange_series import Series

MINUTE = INTERVALS["1m"]
START_MS = 1_704_067_200_000
BARS = simulate_bars("BTCUSDT", MINUTE, START_MS, 1440, 7)
ROWS: list[Row] = Series.of(BARS).rows(0, len(BARS))
FIVES: list[Row] = Series.of(resample(BARS, INTERVALS["5m"])).rows(0, 288)
MEMBER = "BTCUSDT-1m-2024-01-01.csv"


def blocks_of(file: Path, candles: int) -> Generator[Klines]:
    stop_ms = START_MS + candles * MINUTE.milliseconds
    return read_blocks(file, member=MEMBER, interval=MINUTE, start_ms=START_MS, stop_ms=stop_ms, candles=candles)


def read(file: Path, content: bytes, *, candles: int = 1440) -> Klines:
    file.write_bytes(content)
    return Klines.joined(blocks_of(file, candles))


@pytest.mark.parametrize("has_header", [False, True])
@pytest.mark.parametrize("unit", [1, 1000], ids=["milliseconds", "microseconds"])
def test_rows_are_read_with_any_header_and_unit(tmp_path: Path, has_header: bool, unit: int) -> None:
    rows = [[int(row[0]) * unit, *row[1:6], int(row[6]) * unit + unit - 1, *row[7:11], "12345.6"] for row in ROWS]
    found = read(tmp_path / "day.zip", zip_of_rows(MEMBER, rows, has_header=has_header))
    for name in ("open_time_ms", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(found, name), getattr(BARS, name)), name
    assert np.array_equal(found.close_time_ms, BARS.open_time_ms + 59_999)


def test_long_file_is_read_in_blocks(tmp_path: Path) -> None:
    count = BLOCK_ROWS + 1000
    rows = [[START_MS + 60_000 * n, "1", "1", "1", "1", "1", START_MS + 60_000 * n + 59_999] for n in range(count)]
    (tmp_path / "long.zip").write_bytes(zip_of_rows(MEMBER, rows))
    blocks = blocks_of(tmp_path / "long.zip", count)
    assert [len(block) for block in blocks] == [BLOCK_ROWS, 1000]


def test_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    content = zip_of_text(MEMBER, "0" * (max_csv_bytes(1440) + 1))
    assert len(content) < 10_000
    with pytest.raises(MalformedKlines, match="declares"):
        read(tmp_path / "bomb.zip", content)


def test_zip_bomb_with_forged_size_is_not_unpacked(tmp_path: Path) -> None:
    content = bytearray(zip_of_text(MEMBER, "1,1,1,1,1,1,1\n" * 10**6))
    true_size, told = (14 * 10**6).to_bytes(4, "little"), (5000).to_bytes(4, "little")
    assert content.count(true_size) == 2
    with pytest.raises(MalformedKlines):
        read(tmp_path / "bomb.zip", bytes(content.replace(true_size, told)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a sound zip"),
        (b"PK\x03\x04", "not a sound zip"),
        (zip_of_text("BTCUSDT-1m-2024-01-01.txt", "1"), "exactly BTCUSDT-1m-2024-01-01.csv"),
        (zip_of_rows("ETHUSDT-1m-2024-01-01.csv", ROWS), "exactly"),
        (zip_of_rows("BTCUSDT-5m-2024-01-01.csv", ROWS), "exactly"),
        (zip_of_rows("BTCUSDT-1m-2024-01-02.csv", ROWS), "exactly"),
        (zip_of_rows("BTCUSDT/" + MEMBER, ROWS), "exactly"),
        (zip_of_rows(MEMBER, FIVES), "do not last 1m"),
        (zip_of_text(MEMBER, "1,2,3\n"), "not a table"),
        (zip_of_text(MEMBER, "1,2,3,4,5,6,7\n1,2,3\n"), "not a table"),
        (zip_of_text(MEMBER, f"{START_MS},a,b,c,d,e,{START_MS}\n"), "not a table"),
        (zip_of_text(MEMBER, f"{START_MS},1,1,1,1,1,\n"), "not a table"),
        (zip_of_text(MEMBER, "99999999999999999999,1,1,1,1,1,5\n"), "not a table|another time"),
        (zip_of_rows(MEMBER, [[START_MS - 1, *ROWS[0][1:]]]), "another time"),
        (zip_of_rows(MEMBER, [[START_MS + 1440 * 60_000, *ROWS[0][1:]]]), "another time"),
        (zip_of_rows(MEMBER, ROWS)[:-100], "not a sound zip"),
    ],
)
def test_file_without_klines_is_malformed(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(MalformedKlines, match=words):
        read(tmp_path / "file.zip", content)


def test_damaged_content_is_malformed(tmp_path: Path) -> None:
    content = bytearray(zip_of_rows(MEMBER, ROWS))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(MalformedKlines):
        read(tmp_path / "file.zip", bytes(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_damage_is_found_in_any_compression(tmp_path: Path, method: int, at: float) -> None:
    file = tmp_path / "file.zip"
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(MEMBER, "\n".join(",".join(map(str, row)) for row in ROWS))
    content = bytearray(file.read_bytes())
    for place in range(8):
        content[int(len(content) * at) + place] ^= 0x5A
    with pytest.raises(MalformedKlines):
        read(file, bytes(content))


def test_encrypted_file_is_malformed(tmp_path: Path) -> None:
    file = tmp_path / "file.zip"
    content = bytearray(zip_of_rows(MEMBER, ROWS))
    content[6] |= 1  # the flag in the member's own header …
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1  # … and in the directory
    with pytest.raises(MalformedKlines, match="not a sound zip"):
        read(file, bytes(content))


def test_second_member_is_malformed(tmp_path: Path) -> None:
    file = tmp_path / "file.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(MEMBER, "1")
        archive.writestr("b.csv", "1")
    with pytest.raises(MalformedKlines, match="exactly"):
        read(file, file.read_bytes())


def test_empty_csv_has_no_rows(tmp_path: Path) -> None:
    assert len(read(tmp_path / "file.zip", zip_of_text(MEMBER, "\n"))) == 0
