"""A store of candles around a loopback exchange, as tests want it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.bars.grid import open_time_ms
from src.binance.archive import BinanceArchive
from src.binance.source import BinanceSource
from src.domain.intervals import Interval
from src.domain.market import MarketRequest
from src.ports.clock import Clock
from tests.clocks import FixedClock
from tests.exchange import LoopbackExchange


@asynccontextmanager
async def caching(
    exchange: LoopbackExchange | str,
    folder: Path,
    now: int | Clock,
    *,
    with_archive: bool = False,
    max_bytes: int = 10**9,
) -> AsyncIterator[CachedSource]:
    """A source whose store is in `folder`, closed when the block ends; `now` is a time in milliseconds or a clock."""
    url = exchange if isinstance(exchange, str) else exchange.url
    clock = FixedClock(now) if isinstance(now, int) else now
    remote = BinanceSource(
        base_urls=[url], timeout_s=10, deadline_s=60, weight_per_minute=10**6, clock=clock, sleep=nap
    )
    archive = BinanceArchive(base_url=url, folder=folder / ".incoming", timeout_s=10) if with_archive else None
    source = CachedSource(remote, store=BarStore(folder, max_bytes=max_bytes), clock=clock, archive=archive)
    try:
        yield source
    finally:
        await source.close()


async def nap(seconds: float) -> None:
    """Sleep a little at most, so that retries are not slow."""
    await asyncio.sleep(min(seconds, 0.02))


def wish(
    symbol: str, interval: Interval, limit: int, *, start: int | None = None, end: int | None = None
) -> MarketRequest:
    """Ask for candles; `start` and `end` are candle numbers."""
    return MarketRequest(
        symbol=symbol,
        interval=interval,
        limit=limit,
        start_ms=None if start is None else open_time_ms(start, interval),
        end_ms=None if end is None else open_time_ms(end, interval),
    )
