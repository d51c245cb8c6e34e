"""A year of minutes (527,040 candles): from a loopback exchange by both ways, and from the store.

The candles are the real ones of 2024 where this machine has them, else simulated ones of the same number. The loopback
exchange is faster than any real one, so the ratios are the least that a user sees.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.bars.simulated import simulate_bars
from src.binance.archive import BinanceArchive
from src.binance.source import BinanceSource
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest, MarketSeries
from tests.benchmarks.measurement import Measurement
from tests.clocks import FixedClock
from tests.conftest import SHARED_DATA
from tests.exchange import LoopbackExchange
from tests.exchange_series import Series, read_series

MINUTE = INTERVALS["1m"]
YEAR_BARS = 527_040
YEAR_START_MS = 1_704_067_200_000
NOW_MS = YEAR_START_MS + (YEAR_BARS + 30 * 1440) * MINUTE.milliseconds
WARM_RUNS = 20


def measure() -> list[Measurement]:
    """Measure both cold ways, and the warm read against each."""
    return asyncio.run(_measure())


async def _measure() -> list[Measurement]:
    series = _year()
    units = f"{len(series):,} bars"
    with (
        tempfile.TemporaryDirectory() as folder,
        LoopbackExchange([series], now_ms=NOW_MS, weight_limit=10**9) as exchange,
    ):
        _make_all_files(exchange)
        by_pages = _source(exchange, Path(folder) / "pages", with_archive=False)
        by_files = _source(exchange, Path(folder) / "files", with_archive=True)
        try:
            pages_s = await _timed(lambda: _fetch(by_pages, series))
            files_s = await _timed(lambda: _fetch(by_files, series))
            warm_s = min([await _timed(lambda: _fetch(by_files, series)) for _ in range(WARM_RUNS)])
            for source in (by_pages, by_files):
                assert (await _fetch(source, series)).bars == series.bars()
        finally:
            await by_pages.close()
            await by_files.close()
    return [
        Measurement(
            name="cold fetch from the bulk archive",
            seconds=files_s,
            units=units,
            peer_name="cold fetch page by page",
            peer_seconds=pages_s,
        ),
        Measurement(
            name="warm read of the store",
            seconds=warm_s,
            units=units,
            peer_name="cold fetch page by page",
            peer_seconds=pages_s,
            target="≥ 100× faster, and under 60 ms",
        ),
        Measurement(
            name="warm read of the store",
            seconds=warm_s,
            units=units,
            peer_name="cold fetch from the bulk archive",
            peer_seconds=files_s,
        ),
    ]


def _year() -> Series:
    file = SHARED_DATA / "BTCUSDT-1m-2024.parquet"
    if file.exists():
        return read_series(file, symbol="BTCUSDT", interval=MINUTE)
    return Series.of(simulate_bars("BTCUSDT", MINUTE, YEAR_START_MS, YEAR_BARS, 7))


def _make_all_files(exchange: LoopbackExchange) -> None:
    """Let the exchange pack its files before the clock runs."""
    for month in range(1, 13):
        path = f"/data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-{month:02d}.zip"
        assert exchange.archive.content(path, now_ms=NOW_MS)


def _source(exchange: LoopbackExchange, folder: Path, *, with_archive: bool) -> CachedSource:
    clock = FixedClock(NOW_MS)
    remote = BinanceSource(base_urls=[exchange.url], timeout_s=30, deadline_s=600, weight_per_minute=10**9, clock=clock)
    archive = BinanceArchive(base_url=exchange.url, folder=folder / ".incoming", timeout_s=30)
    return CachedSource(
        remote, store=BarStore(folder, max_bytes=2**31), clock=clock, archive=archive if with_archive else None
    )


async def _fetch(source: CachedSource, series: Series) -> MarketSeries:
    market = MarketRequest(
        symbol="BTCUSDT",
        interval=MINUTE,
        limit=len(series),
        start_ms=int(series.open_time_ms[0]),
        end_ms=int(series.open_time_ms[-1]),
    )
    found = await source.fetch(market)
    assert len(found.bars) == len(series)
    assert found.warnings == ()
    return found


async def _timed(work: Callable[[], Coroutine[Any, Any, object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started
