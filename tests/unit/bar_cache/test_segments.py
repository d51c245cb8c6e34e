"""A file of candles gives back what was written, or says that it does not."""

from __future__ import annotations

import numpy as np
import pytest

from src.bar_cache.segments import DamagedSegment, decode, encode
from src.bars.checked import CheckedCandles, no_candles
from src.bars.simulated import simulate_bars
from src.domain.market import INTERVALS, RejectedRow

MINUTE = INTERVALS["1m"]
CANDLES = CheckedCandles(
    bars=simulate_bars("BTCUSDT", MINUTE, 1_700_000_000_000, 20, 7),
    rejected=(RejectedRow(open_time_ms=1_700_000_000_001, reason="a price is not above 0"),),
    duplicate_times_ms=(5, 5),
    disordered_times_ms=(7,),
    irregular_times_ms=(8, 9),
)
CONTENT, CHECKSUM = encode(CANDLES)


def read(content: bytes, *, symbol: str = "BTCUSDT", interval: str = "1m", checksum: int = CHECKSUM) -> CheckedCandles:
    return decode(content, symbol=symbol, interval=INTERVALS[interval], checksum=checksum)


def test_what_was_written_comes_back() -> None:
    found = read(CONTENT)
    assert found.bars == CANDLES.bars
    assert found.rejected == CANDLES.rejected
    assert found.duplicate_times_ms == (5, 5)
    assert (found.disordered_times_ms, found.irregular_times_ms) == ((7,), (8, 9))
    assert not found.bars.open_time_ms.flags.writeable


def test_nothing_is_a_file_too() -> None:
    content, checksum = encode(no_candles("BTCUSDT", MINUTE))
    assert read(content, checksum=checksum).is_empty


@pytest.mark.parametrize("at", [*range(0, 24), *range(24, len(CONTENT), 37)])
def test_no_changed_byte_goes_unnoticed(at: int) -> None:
    changed = bytearray(CONTENT)
    changed[at] ^= 0x10
    if 12 <= at < 16:  # the header's length is not under the checksum: what it leads to must not be believed either
        with pytest.raises(DamagedSegment, match=r"header"):
            read(bytes(changed))
        return
    with pytest.raises(DamagedSegment, match="checksum"):
        read(bytes(changed))


@pytest.mark.parametrize("length", [0, 3, 15, 16, 100, len(CONTENT) - 1])
def test_a_file_that_is_cut_short_is_noticed(length: int) -> None:
    with pytest.raises(DamagedSegment):
        read(CONTENT[:length])


def test_a_file_of_another_series_or_another_time_is_noticed() -> None:
    with pytest.raises(DamagedSegment, match="BTCUSDT 1m"):
        read(CONTENT, symbol="ETHUSDT")
    with pytest.raises(DamagedSegment, match="BTCUSDT 1m"):
        read(CONTENT, interval="1h")
    with pytest.raises(DamagedSegment, match="checksum"):
        read(CONTENT, checksum=CHECKSUM ^ 1)


def test_parts_join_to_the_whole() -> None:
    bars = CANDLES.bars
    border = int(bars.open_time_ms[7])
    parts = [CANDLES.between(0, border), CANDLES.between(border, 2**62)]
    whole = CheckedCandles.joined(parts)
    assert whole.bars == bars
    assert whole.rejected == CANDLES.rejected
    assert np.array_equal(whole.row_times_ms(), CANDLES.row_times_ms())
