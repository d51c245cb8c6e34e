"""Whatever is asked in whatever order, the store gives what the exchange itself would give, and asks for it once."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.bar_cache.segments import SEGMENT_BARS
from src.bars.grid import bar_number, close_times_ms, last_closed_open_ms, open_time_ms, open_times_ms
from src.bars.klines import Klines, clean
from src.binance.clock_skew import ClockSkew
from src.domain.errors import ExchangeUnavailable, InvalidInput
from src.domain.market import INTERVALS, Bars, DataQuality, Interval, Listing, MarketRequest, MarketSeries
from tests.clocks import MovingClock

LENGTH = 240
"""Candle numbers that the exchange's series spans, about the border of two files."""
EVERY_INTERVAL = ("1m", "1h", "1w", "1M", "3d")


@dataclass(slots=True)
class Exchange:
    """A source of raw rows in memory: with holes, repeated rows and impossible ones."""

    rows: Klines
    clock: MovingClock
    asked: Counter[int]
    failing: int = 0
    direct: int = 0
    origin: str = "Binance"
    skew: ClockSkew = field(default_factory=ClockSkew)

    async def candles(self, symbol: str, interval: Interval, *, start_ms: int, end_ms: int) -> Klines:
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise ExchangeUnavailable("The exchange has a fault of its own (HTTP 500).")
        times = self.rows.open_time_ms
        self.asked.update(
            range(bar_number(start_ms, interval), bar_number(min(end_ms, self.clock.moment_ms), interval) + 1)
        )
        return self.rows.pick((times >= start_ms) & (times <= end_ms) & (times <= self.clock.moment_ms))

    async def first_open_ms(self, symbol: str, interval: Interval) -> int | None:
        return int(self.rows.open_time_ms.min()) if len(self.rows) else None

    async def last_open_ms(self, symbol: str, interval: Interval, *, end_ms: int) -> int | None:
        times = self.rows.open_time_ms
        times = times[times <= min(end_ms, self.clock.moment_ms)]
        return int(times.max()) if len(times) else None

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        found = oracle(self.rows, market, self.clock.moment_ms)
        if found is None:
            raise InvalidInput("The exchange has no such candles.")
        self.direct += 1
        return MarketSeries(bars=found[0], quality=found[1], origin=self.origin)

    async def listings(self) -> Sequence[Listing]:
        return ()

    async def close(self) -> None:
        return None


def make_rows(interval: Interval, first: int, holes: set[int], odd: set[int], offset_ms: int, seed: int) -> Klines:
    numbers = np.array([n for n in range(first, first + LENGTH) if n - first not in holes], dtype=np.int64)
    numbers = np.sort(np.concatenate([numbers, [first + n for n in odd if n % 3 == 0 and n not in holes]]))
    times = open_times_ms(numbers.astype(np.int64), interval) + offset_ms
    # One price for one time, so that a repeated row repeats it.
    price = 100 + np.round(3 * np.sin(times / interval.milliseconds + seed), 2)
    is_odd = np.isin(numbers - first, [n for n in odd if n % 3])
    return Klines(
        open_time_ms=times,
        open=price,
        high=np.where(is_odd, 1.0, price + 1),
        low=price - 1,
        close=price,
        volume=np.full(len(times), 5.0),
        close_time_ms=close_times_ms(times, interval),
    )


def oracle(rows: Klines, market: MarketRequest, now_ms: int) -> tuple[Bars, DataQuality] | None:
    """What a direct fetch gives: the rows asked for, cut, then cleaned."""
    rows = rows.closed(now_ms)
    end_ms = now_ms if market.end_ms is None else market.end_ms
    rows = rows.pick((rows.open_time_ms >= (market.start_ms or 0)) & (rows.open_time_ms <= end_ms))
    rows = rows.newest(market.limit) if market.start_ms is None else rows.oldest(market.limit)
    bars, quality = clean(rows, symbol="BTCUSDT", interval=market.interval, now_ms=now_ms)
    return (bars, quality) if len(bars) else None


@st.composite
def requests(draw: st.DrawFn, interval: Interval, first: int) -> MarketRequest:
    def moment() -> int:
        number = draw(st.integers(-20, LENGTH + 20))
        return max(0, open_time_ms(first + number, interval) + draw(st.sampled_from([0, 0, 1, -1])))

    ends = sorted(moment() for _ in range(2))
    kind = draw(st.sampled_from(["newest", "up to", "from", "between"]))
    return MarketRequest(
        symbol="BTCUSDT",
        interval=interval,
        limit=draw(st.sampled_from([1, 2, 17, 60, 1000])),
        start_ms=ends[0] if kind in {"from", "between"} else None,
        end_ms=ends[1] if kind in {"up to", "between"} else None,
    )


@settings(max_examples=60)
@given(data=st.data(), name=st.sampled_from(EVERY_INTERVAL), small=st.booleans(), seed=st.integers(0, 99))
def test_any_requests_in_any_order_get_what_the_exchange_has(
    data: st.DataObject, name: str, small: bool, seed: int
) -> None:
    interval = INTERVALS[name]
    first = 650 if name == "1M" else 2500 if name == "1w" else SEGMENT_BARS * (1 if name != "1m" else 400) - LENGTH // 2
    if name == "3d":
        first = 5000
    offset_ms = 86_400_000 if name == "3d" else 0
    holes = data.draw(st.sets(st.integers(1, LENGTH - 1), max_size=40), label="holes")
    odd = data.draw(st.sets(st.integers(1, LENGTH - 1), max_size=4), label="odd")
    clock = MovingClock(open_time_ms(first + LENGTH // 2, interval) + offset_ms)
    exchange = Exchange(make_rows(interval, first, holes, odd, offset_ms, seed), clock, Counter())

    async def run(folder: Path) -> None:
        source = CachedSource(exchange, store=BarStore(folder, max_bytes=3000 if small else 10**9), clock=clock)
        for _ in range(data.draw(st.integers(1, 7), label="requests")):
            clock.moment_ms += data.draw(
                st.sampled_from([0, 1, 999, interval.milliseconds, 5 * interval.milliseconds]), label="time goes by"
            )
            market = data.draw(requests(interval, first), label="request")
            if data.draw(st.integers(0, 9), label="fault") == 0:
                exchange.failing = 1
            expected = oracle(exchange.rows, market, clock.moment_ms)
            try:
                found = await source.fetch(market)
            except InvalidInput:
                assert expected is None
                continue
            except ExchangeUnavailable:
                continue
            finally:
                exchange.failing = 0
            assert expected is not None
            assert found.bars == expected[0]
            assert found.quality == expected[1]
            calls = exchange.asked.total()
            assert (await source.fetch(market)).bars == found.bars
            # A newest candle that has not come yet is asked for until it does.
            newest = bar_number(last_closed_open_ms(clock.moment_ms, interval) - offset_ms, interval) - first
            assert small or newest in holes or exchange.asked.total() == calls
        # What no store can answer goes past it; that must not be how the others are answered.
        assert small or name == "3d" or exchange.direct == 0
        await source.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
