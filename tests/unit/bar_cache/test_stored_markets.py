"""The longest stored range of each symbol in a window is found by file names, and read back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from src.bar_cache.bar_store import BarStore
from src.bar_cache.stored_markets import find_markets, read_market
from src.bars.checked import CheckedBars
from src.bars.grid import bar_number, open_time_ms
from src.bars.simulated import simulate_bars
from src.domain.intervals import INTERVALS

MINUTE = INTERVALS["1m"]
FIRST = bar_number(1_711_929_600_000, MINUTE)
BARS = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), 200, 7)
LATER_MS = open_time_ms(FIRST + 10_000, MINUTE)


def test_longest_range_of_window_is_found_and_read(tmp_path: Path) -> None:
    store = BarStore(tmp_path, max_bytes=10**9)
    series = store.series("BTCUSDT", MINUTE)
    # Bars 80 to 99 were never requested.
    ranges = ((FIRST, FIRST + 80), (FIRST + 100, FIRST + 200))
    series.put(CheckedBars(bars=BARS), ranges, asked_ms=LATER_MS)
    window = open_time_ms(FIRST + 10, MINUTE), open_time_ms(FIRST + 149, MINUTE)
    [found] = find_markets(store, MINUTE, *window)
    assert (found.symbol, found.start, found.stop, found.bars) == ("BTCUSDT", FIRST + 10, FIRST + 80, 70)
    bars = read_market(store, found)
    assert bars is not None
    assert np.array_equal(bars.close, BARS.close[10:80])
    assert find_markets(store, INTERVALS["1h"], *window) == []
    for file in series.folder.iterdir():
        file.unlink()
    assert read_market(store, found) is None
    assert find_markets(store, MINUTE, *window) == []


def test_unreadable_series_is_left_out_of_the_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = BarStore(tmp_path, max_bytes=10**9)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        series = store.series(symbol, MINUTE)
        series.put(CheckedBars(bars=BARS), ((FIRST, FIRST + 200),), asked_ms=LATER_MS)
    broken = store.series("BTCUSDT", MINUTE).folder
    shutil.rmtree(broken)
    broken.write_text("no folder")
    window = open_time_ms(FIRST, MINUTE), open_time_ms(FIRST + 199, MINUTE)
    assert [one.symbol for one in find_markets(store, MINUTE, *window)] == ["ETHUSDT"]
    assert "series=BTCUSDT 1m" in caplog.text
