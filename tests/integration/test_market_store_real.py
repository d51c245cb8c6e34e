"""Check that real klines through the bar cache equal their files, by both ways, cold and warm, with their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.bars.grid import bar_number
from src.binance.source import BinanceSource
from src.domain.intervals import INTERVALS
from tests.clocks import FixedClock
from tests.exchange import LoopbackExchange
from tests.exchange_series import read_series
from tests.market_store import caching, wish

pytestmark = pytest.mark.shared_data


@pytest.mark.parametrize("from_start", [True, False], ids=["from the start", "the newest"])
@pytest.mark.parametrize(
    ("file", "symbol", "interval", "present", "gaps", "missing"),
    [
        ("BTCUSDT-1d.csv.gz", "BTCUSDT", "1d", 3292, 0, 0),
        ("BTCUSDT-1w.csv.gz", "BTCUSDT", "1w", 447, 0, 0),
        ("BTCUSDT-1m-2018-02-01_2018-02-15_outage.csv.gz", "BTCUSDT", "1m", 19540, 3, 2060),
        ("BTCUSDT-1m-2024-12-30_2025-01-05_ms-to-us.csv.gz", "BTCUSDT", "1m", 10080, 0, 0),
        ("LUNAUSDT-1h.csv.gz", "LUNAUSDT", "1h", 15206, 10, 455),
        ("LUNAUSDT-1d-12col.csv.gz", "LUNAUSDT", "1d", 621, 1, 17),
        ("SOLUSDT-1h-listing.csv.gz", "SOLUSDT", "1h", 15887, 9, 18),
    ],
)
async def test_cache_returns_the_same_as_direct_fetch(
    shared_data: Path,
    tmp_path: Path,
    file: str,
    symbol: str,
    interval: str,
    present: int,
    gaps: int,
    missing: int,
    from_start: bool,
) -> None:
    series = read_series(shared_data / file, symbol=symbol, interval=INTERVALS[interval])
    now_ms = int(series.close_time_ms[-1]) + 1
    first = bar_number(int(series.open_time_ms[0]), series.interval) if from_start else None
    market = wish(symbol, series.interval, 30_000, start=first)
    with LoopbackExchange([series], now_ms=now_ms, weight_limit=10**6) as exchange:
        remote = BinanceSource(
            base_urls=[exchange.url], timeout_s=10, deadline_s=60, weight_per_minute=10**6, clock=FixedClock(now_ms)
        )
        direct = await remote.fetch(market)
        await remote.close()
        async with caching(exchange, tmp_path, now_ms) as source:
            cold = await source.fetch(market)
            calls = len(exchange.asked)
            warm = await source.fetch(market)
            assert len(exchange.asked) == calls
    assert direct == cold == warm
    assert warm.bars == series.bars()
    assert warm.quality.present_bars == present
    assert (len(warm.quality.gaps), sum(gap.missing_bars for gap in warm.quality.gaps)) == (gaps, missing)
    assert any("another coin" in warning for warning in warm.warnings) == (symbol == "LUNAUSDT")


async def test_three_months_of_minutes_come_as_files(shared_data: Path, tmp_path: Path) -> None:
    series = read_series(shared_data / "BTCUSDT-1m-2021-04_2021-06.csv.gz", symbol="BTCUSDT", interval=INTERVALS["1m"])
    now_ms = int(series.close_time_ms[-1]) + 20 * 86_400_000
    first = bar_number(int(series.open_time_ms[0]), series.interval)
    market = wish("BTCUSDT", series.interval, 200_000, start=first, end=first + 91 * 1440 - 1)
    native = read_series(shared_data / "BTCUSDT-1h.csv.gz", symbol="BTCUSDT", interval=INTERVALS["1h"])
    with LoopbackExchange([series, native], now_ms=now_ms) as exchange:
        async with caching(exchange, tmp_path, now_ms, with_archive=True) as source:
            cold = await source.fetch(market)
            assert exchange.count_files() == 3
            # The first bar, and the two outages, which no file explains.
            assert exchange.count() <= 2 + 2 * 3
            calls = len(exchange.asked)
            warm = await source.fetch(market)
            assert len(exchange.asked) == calls
            # Minutes are missing in the first half of the time; the exchange has them.
            first_hour = first // 60
            half = await source.fetch(
                wish("BTCUSDT", INTERVALS["1h"], 5000, start=first_hour + 1100, end=first_hour + 2183)
            )
            assert len(exchange.asked) == calls
            hours = await source.fetch(wish("BTCUSDT", INTERVALS["1h"], 5000, start=first_hour, end=first_hour + 2183))
            assert len(exchange.asked) > calls
    assert cold == warm
    assert cold.bars == series.bars()
    assert [gap.missing_bars for gap in cold.quality.gaps] == [150, 284]
    real = native.bars()
    at = int((real.open_time_ms < hours.bars.open_time_ms[0]).sum())
    real = real.slice(at, at + len(hours.bars))
    assert hours.bars == real
    assert len(half.bars) == 1084
    assert half.origin == "Binance (1h bars made from its 1m bars)"
    for name in ("open_time_ms", "open", "high", "low", "close"):
        assert (getattr(half.bars, name) == getattr(real, name)[-1084:]).all(), name
    assert len(hours.bars) == 2184 - 2 - 3
