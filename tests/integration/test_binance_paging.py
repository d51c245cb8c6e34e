"""Check that real klines, served page by page over HTTP, equal the file."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from src.bars.simulated import simulate_bars
from src.binance.source import BinanceSource
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest, MarketSeries
from tests.clocks import FixedClock
from tests.exchange import EXCHANGE_INFO, KLINES, LoopbackExchange
from tests.exchange_series import Series, read_series


def make_source(exchange: LoopbackExchange, now_ms: int) -> BinanceSource:
    return BinanceSource(
        base_urls=[exchange.url], timeout_s=10, deadline_s=60, weight_per_minute=6000, clock=FixedClock(now_ms)
    )


async def fetch(series: Series, limit: int, *, start_ms: int | None = None) -> tuple[MarketSeries, int]:
    """Fetch from an exchange that has only this series, just after its last bar; return the result and the calls."""
    now_ms = int(series.open_time_ms[-1]) + series.interval.milliseconds + 1
    with LoopbackExchange([series], now_ms=now_ms, weight_limit=100_000) as exchange:
        source = make_source(exchange, now_ms)
        try:
            market = MarketRequest(symbol=series.symbol, interval=series.interval, limit=limit, start_ms=start_ms)
            return await source.fetch(market), exchange.count()
        finally:
            await source.close()


@pytest.mark.shared_data
@pytest.mark.parametrize("from_start", [True, False], ids=["from the start", "the newest"])
async def test_real_days_equal_the_file_in_four_calls(shared_data: Path, from_start: bool) -> None:
    series = read_series(shared_data / "BTCUSDT-1d.csv.gz", symbol="BTCUSDT", interval=INTERVALS["1d"])
    start_ms = int(series.open_time_ms[0]) if from_start else None
    found, calls = await fetch(series, 3292, start_ms=start_ms)
    assert len(found.bars) == 3292
    assert found.bars == series.bars()
    assert (found.quality.expected_bars, found.quality.gaps, found.warnings) == (3292, (), ())
    assert calls == 4


@pytest.mark.shared_data
@pytest.mark.parametrize("from_start", [True, False], ids=["from the start", "the newest"])
@pytest.mark.parametrize(
    ("file", "symbol", "interval", "present", "gaps", "missing"),
    [
        ("BTCUSDT-1w.csv.gz", "BTCUSDT", "1w", 447, 0, 0),
        ("BTCUSDT-1m-2018-02-01_2018-02-15_outage.csv.gz", "BTCUSDT", "1m", 19540, 3, 2060),
        ("BTCUSDT-1m-2024-12-30_2025-01-05_ms-to-us.csv.gz", "BTCUSDT", "1m", 10080, 0, 0),
        ("LUNAUSDT-1h.csv.gz", "LUNAUSDT", "1h", 15206, 10, 455),
        ("LUNAUSDT-1d-12col.csv.gz", "LUNAUSDT", "1d", 621, 1, 17),
        ("SOLUSDT-1h-listing.csv.gz", "SOLUSDT", "1h", 15887, 9, 18),
    ],
)
async def test_real_series_with_holes_equal_their_files(
    shared_data: Path, file: str, symbol: str, interval: str, present: int, gaps: int, missing: int, from_start: bool
) -> None:
    series = read_series(shared_data / file, symbol=symbol, interval=INTERVALS[interval])
    start_ms = int(series.open_time_ms[0]) if from_start else None
    found, _ = await fetch(series, 30_000, start_ms=start_ms)
    assert found.bars == series.bars()
    assert found.quality.present_bars == present
    assert (len(found.quality.gaps), sum(gap.missing_bars for gap in found.quality.gaps)) == (gaps, missing)
    assert found.quality.rejected_rows == ()
    assert any("another coin" in warning for warning in found.warnings) == (symbol == "LUNAUSDT")


async def test_pages_in_parallel_keep_their_order() -> None:
    bars = simulate_bars("BTCUSDT", INTERVALS["1m"], 1_700_000_000_000, 25_000, 7)
    found, calls = await fetch(Series.of(bars), 25_000)
    assert found.bars == bars
    assert found.quality.disordered_rows == 0
    assert calls <= 30


async def test_symbols_with_status_are_fetched_once_per_hour() -> None:
    series = [
        simulate_bars(name, INTERVALS["1d"], 1_700_000_000_000, 2, 7) for name in ("ZZZUSDT", "AAAUSDT", "DEADUSDT")
    ]
    seconds = [0.0]
    with LoopbackExchange(series, halted=["DEADUSDT"]) as exchange:
        source = BinanceSource(
            base_urls=[exchange.url], timeout_s=5, deadline_s=5, weight_per_minute=6000, clock=FixedClock(0),
            monotonic=lambda: seconds[0],
        )  # fmt: skip
        try:
            for _ in range(3):
                assert [(listing.symbol, listing.is_trading) for listing in await source.listings()] == [
                    ("AAAUSDT", True), ("DEADUSDT", False), ("ZZZUSDT", True),
                ]  # fmt: skip
            assert exchange.count(EXCHANGE_INFO) == 1
            seconds[0] = 3601
            await source.listings()
            assert exchange.count(EXCHANGE_INFO) == 2
        finally:
            await source.close()


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        ("", range(100, 600)),
        ("&limit=3", range(597, 600)),
        ("&limit=5000", range(600)),
        ("&startTime=0&limit=2", range(2)),
        (f"&startTime={10 * 3_600_000}&endTime={12 * 3_600_000}", range(10, 13)),
        (f"&startTime={10 * 3_600_000 + 1}&endTime={12 * 3_600_000 - 1}", range(11, 12)),
        (f"&endTime={12 * 3_600_000}&limit=2", range(11, 13)),
        (f"&startTime={900 * 3_600_000}", range(0)),
    ],
)
def test_loopback_exchange_pages_as_the_real_one(query: str, hours: range) -> None:
    bars = simulate_bars("BTCUSDT", INTERVALS["1h"], 0, 700, 7)
    with LoopbackExchange([bars], now_ms=599 * 3_600_000 + 5) as exchange:
        answer = httpx.get(f"{exchange.url}{KLINES}?symbol=BTCUSDT&interval=1h{query}")
    assert answer.headers["x-mbx-used-weight-1m"] == "2"
    assert [row[0] // 3_600_000 for row in answer.json()] == list(hours)
    assert all(len(row) == 12 and isinstance(row[4], str) for row in answer.json())
