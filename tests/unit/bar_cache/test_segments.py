"""A file of bars is read as it was written, or is reported as damaged."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from src.bar_cache.segments import DamagedSegment, Segment, decode, encode
from src.bars.checked import CheckedBars, no_checked_bars
from src.bars.simulated import simulate_bars
from src.domain.bar_quality import RejectedRow
from src.domain.intervals import INTERVALS

MINUTE = INTERVALS["1m"]
CANDLES = CheckedBars(
    bars=simulate_bars("BTCUSDT", MINUTE, 1_700_000_000_000, 20, 7),
    rejected=(RejectedRow(open_time_ms=1_700_000_000_001, reason="a price is not above 0"),),
    duplicate_times_ms=(5, 5),
    disordered_times_ms=(7,),
    irregular_times_ms=(8, 9),
)
FIRST = 28_333_333
SEGMENT, CONTENT = encode(CANDLES, FIRST, FIRST + 30)


def read(content: bytes, segment: Segment = SEGMENT, *, symbol: str = "BTCUSDT", interval: str = "1m") -> CheckedBars:
    return decode(content, segment, symbol=symbol, interval=INTERVALS[interval])


def test_decoded_file_equals_encoded_bars() -> None:
    found = read(CONTENT)
    assert found.bars == CANDLES.bars
    assert found.rejected == CANDLES.rejected
    assert found.duplicate_times_ms == (5, 5)
    assert (found.disordered_times_ms, found.irregular_times_ms) == ((7,), (8, 9))
    assert not found.bars.open_time_ms.flags.writeable


def test_tail_without_bars_is_encoded() -> None:
    segment, content = encode(no_checked_bars("BTCUSDT", MINUTE), 5, 7, asked_ms=11)
    assert read(content, segment).is_empty
    assert segment.offset_ms is None


@pytest.mark.parametrize(
    "segment",
    [
        SEGMENT,
        encode(CANDLES, FIRST, FIRST + 30, asked_ms=1_700_001_200_000)[0],
        encode(no_checked_bars("BTCUSDT", MINUTE), 5, 7, asked_ms=11)[0],
        Segment(start=3, stop=9),
        Segment(start=3, stop=9, asked_ms=5),
        Segment(start=0, stop=9, is_first=True),
        Segment(start=3, stop=9, offset_ms=86_400_000, checksum=0),
    ],
    ids=lambda segment: segment.name,
)
def test_segment_is_parsed_from_its_name(segment: Segment) -> None:
    assert Segment.named(segment.name) == segment


@pytest.mark.parametrize(
    "name",
    [
        "index", "00000417-9c0de1a2.bars", "00000417-12345678.bars", "3-9", "9-3.gap", "3-3.gap", "3-9.gap.part",
        "3-9.segment", "3-9-0-9c0de1a.segment", "3-9-0-9C0DE1A2.segment", "3-9-0-9c0de1a2.tail", "\u0663-9.gap",
        "3-9-0-9c0de1a2-5.segment", "-3-9.gap", f"3-{'9' * 16}.gap", "3-9.gap\n", "03-9.gap", "3-9-5.gap", "3-9.late",
        "3-9-5.first", "3-9.other", ".1-2.0a.part",
    ],
)  # fmt: skip
def test_unknown_file_names_are_no_segments(name: str) -> None:
    assert Segment.named(name) is None


@pytest.mark.parametrize("at", [*range(0, 24), *range(24, len(CONTENT), 37)])
def test_changed_byte_fails_checksum(at: int) -> None:
    changed = bytearray(CONTENT)
    changed[at] ^= 0x10
    with pytest.raises(DamagedSegment, match="checksum"):
        read(bytes(changed))


@pytest.mark.parametrize("length", [0, 3, 15, 16, 100, len(CONTENT) - 1])
def test_truncated_file_is_damaged(length: int) -> None:
    with pytest.raises(DamagedSegment):
        read(CONTENT[:length])


def test_file_of_other_series_or_layout_is_damaged() -> None:
    with pytest.raises(DamagedSegment, match="BTCUSDT 1m"):
        read(CONTENT, symbol="ETHUSDT")
    with pytest.raises(DamagedSegment, match="BTCUSDT 1m"):
        read(CONTENT, interval="1h")
    with pytest.raises(DamagedSegment, match="BTCUSDT 1m"):
        read(CONTENT, replace(SEGMENT, stop=FIRST + 31))
    for content in (b"BARS\0\0\0\1" + CONTENT[8:], CONTENT[:8] + b"\xff" * 8 + CONTENT[16:], CONTENT[:9], b""):
        with pytest.raises(DamagedSegment, match=r"layout|header"):
            read(content, replace(SEGMENT, checksum=zlib.crc32(content)))


def test_joined_parts_equal_whole_series() -> None:
    bars = CANDLES.bars
    border = int(bars.open_time_ms[7])
    parts = [CANDLES.between(0, border), CANDLES.between(border, 2**62)]
    whole = CheckedBars.joined(iter(parts), max_bars=len(bars) + 5)
    assert whole.bars == bars
    assert whole.rejected == CANDLES.rejected
    assert np.array_equal(whole.row_times_ms(), CANDLES.row_times_ms())
