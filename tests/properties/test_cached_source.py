"""Whatever is requested in whatever order, the bar cache gives what the exchange gives, and asks for it once.

The oracle is the exchange itself: its rows of that moment, cut to the request, then cleaned.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from src.bar_cache.bar_store import BarStore
from src.bar_cache.cached_source import CachedSource
from src.bar_cache.coverage import SETTLE_MS
from src.bars.grid import bar_number, bar_numbers, close_times_ms, last_closed_open_ms, open_time_ms, open_times_ms
from src.bars.klines import Klines, clean
from src.binance.clock_skew import ClockSkew
from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.errors import ExchangeUnavailable, InvalidInput
from src.domain.intervals import INTERVALS, Interval
from src.domain.market import Listing, MarketRequest, MarketSeries
from tests.clocks import MovingClock
from tests.thoroughness import examples

LENGTH = 240
"""Bars that the exchange has, about the border of two files."""
BORDER_MS = 1_704_067_200_000
"""2024-01-01: a year, a month and a day begin."""
EVERY_INTERVAL = ("1s", "1m", "1h", "1w", "1M", "3d")
SETTLED = 5.0
"""The volume of every bar, once it is final."""


@dataclass(slots=True)
class Exchange:
    """A source of raw rows in memory: with gaps, repeated rows and impossible ones.

    Bars appear `lag_ms` after their close, and their volume is one too low until `SETTLE_MS` after it. `asked_again`
    counts how often a bar was requested that was final, and had a later one.
    """

    rows: Klines
    clock: MovingClock
    interval: Interval
    lag_ms: int = 0
    asked: int = 0
    asked_again: Counter[int] = field(default_factory=Counter)
    failing: int = 0
    direct: int = 0
    origin: str = "Binance"
    skew: ClockSkew = field(default_factory=ClockSkew)

    def now(self) -> Klines:
        """Return the rows as they are now; those of bars that still form are among them."""
        now_ms, closes = self.clock.moment_ms, self.rows.close_time_ms
        rows = self.rows.pick(
            (closes <= now_ms - self.lag_ms) | ((closes > now_ms) & (self.rows.open_time_ms <= now_ms))
        )
        is_open = rows.close_time_ms > now_ms - SETTLE_MS
        return replace(rows, volume=np.where(is_open, SETTLED - 1, rows.volume))

    async def candles(self, symbol: str, interval: Interval, *, start_ms: int, end_ms: int) -> Klines:
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise ExchangeUnavailable("The exchange has a fault of its own (HTTP 500).")
        rows = self.now()
        self.asked += 1
        closed = rows.open_time_ms[rows.close_time_ms <= self.clock.moment_ms - SETTLE_MS]
        if len(closed):
            final = bar_numbers(closed, interval)[:-1]
            first, last = bar_number(start_ms, interval), bar_number(end_ms, interval)
            self.asked_again.update(set(final[(final >= first) & (final <= last)].tolist()))
        return rows.pick((rows.open_time_ms >= start_ms) & (rows.open_time_ms <= end_ms))

    async def first_open_ms(self, symbol: str, interval: Interval) -> int | None:
        return int(self.rows.open_time_ms.min()) if len(self.rows) else None

    async def last_open_ms(self, symbol: str, interval: Interval, *, end_ms: int) -> int | None:
        times = self.now().open_time_ms
        times = times[times <= end_ms]
        return int(times.max()) if len(times) else None

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        found = oracle(self.now(), market, self.clock.moment_ms)
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
        volume=np.full(len(times), SETTLED),
        close_time_ms=close_times_ms(times, interval),
    )


def oracle(rows: Klines, market: MarketRequest, now_ms: int) -> tuple[Bars, DataQuality] | None:
    """Return what a direct fetch returns: the requested rows, cut, then cleaned."""
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


def damage(folder: Path, chance: random.Random) -> None:
    """Do to one file what disks, people and killed processes do."""
    files = sorted(file for file in folder.glob("BTCUSDT/*/*") if file.is_file())
    if not files:
        return
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    match chance.choice(["gone", "cut", "flipped", "empty", "half written", "strange"]):
        case "gone":
            file.unlink()
        case "cut":
            file.write_bytes(content[: chance.randrange(len(content) + 1)])
        case "flipped" if content:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            file.write_bytes(content)
        case "empty":
            file.write_bytes(b"")
        case "half written":
            file.with_name(".99999999-1.ab.part").write_bytes(content[:100])
        case _:
            file.with_name("index").write_bytes(content)


def put_back(folder: Path, before: dict[Path, bytes], chance: random.Random) -> None:
    """Leave a file that was merged into another one, as a process does that is killed in between."""
    removed = [file for file in before if not file.exists() and file.suffix in {".segment", ".gap"}]
    if removed:
        file = chance.choice(removed)
        file.write_bytes(before[file])


def volumes_of(bars: Bars, now_ms: int) -> NDArray[np.float64]:
    """Return the volumes with those replaced that a bar may have shown until it became final."""
    is_recent = close_times_ms(bars.open_time_ms, bars.interval) > now_ms - 2 * SETTLE_MS
    return np.where(is_recent & (bars.volume == SETTLED - 1), SETTLED, bars.volume)


def assert_same(found: MarketSeries, expected: tuple[Bars, DataQuality], now_ms: int) -> None:
    bars = expected[0]
    assert replace(found.bars, volume=volumes_of(found.bars, now_ms)) == replace(bars, volume=volumes_of(bars, now_ms))
    assert found.quality == expected[1]


@settings(max_examples=examples(120))
@given(
    data=st.data(), name=st.sampled_from(EVERY_INTERVAL), is_small=st.booleans(), is_rough=st.booleans(),
    lag_ms=st.sampled_from([0, 0, 7_000, 40_000]), seed=st.integers(0, 999),
)  # fmt: skip
def test_requests_in_any_order_match_exchange(
    data: st.DataObject, name: str, is_small: bool, is_rough: bool, lag_ms: int, seed: int
) -> None:
    interval, chance = INTERVALS[name], random.Random(seed)
    first = bar_number(BORDER_MS, interval) - LENGTH // 2
    offset_ms = 86_400_000 if name == "3d" else 0
    holes = data.draw(st.sets(st.integers(1, LENGTH - 1), max_size=40), label="holes")
    if data.draw(st.booleans(), label="trading ends"):
        holes |= set(range(data.draw(st.integers(1, LENGTH - 1), label="last bar"), LENGTH))
    odd = data.draw(st.sets(st.integers(1, LENGTH - 1), max_size=4), label="odd")
    clock = MovingClock(open_time_ms(first + LENGTH // 2, interval) + offset_ms)
    exchange = Exchange(make_rows(interval, first, holes, odd, offset_ms, seed), clock, interval, lag_ms)
    is_calm = not (is_small or is_rough)

    async def ask(source: CachedSource, market: MarketRequest) -> None:
        expected = oracle(exchange.now(), market, clock.moment_ms)
        try:
            found = await source.fetch(market)
        except InvalidInput:
            assert expected is None
        except ExchangeUnavailable:
            assert is_rough
        else:
            assert expected is not None
            assert_same(found, expected, clock.moment_ms)

    async def run(folder: Path) -> None:
        sources = [
            CachedSource(exchange, store=BarStore(folder, max_bytes=3000 if is_small else 10**9), clock=clock)
            for _ in range(2)
        ]
        for _ in range(data.draw(st.integers(1, 7), label="steps")):
            steps = [0, 1, 999, 59_999, 60_000, 61_000, interval.milliseconds, 5 * interval.milliseconds]
            clock.moment_ms += data.draw(st.sampled_from([*steps, 100 * interval.milliseconds]), label="time goes by")
            before = {file: file.read_bytes() for file in folder.glob("BTCUSDT/*/*") if file.is_file()}
            # Not by `chance`, whose later numbers depend on the order in which concurrent requests end.
            count = data.draw(st.sampled_from([1, 1, 3]), label="requests at once")
            markets = [data.draw(requests(interval, first), label="request") for _ in range(count)]
            exchange.failing = int(is_rough and chance.random() < 0.2)
            await asyncio.gather(*(ask(chance.choice(sources), market) for market in markets))
            exchange.failing = 0
            if is_rough:
                put_back(folder, before, chance) if chance.random() < 0.5 else damage(folder, chance)
                continue
            calls = exchange.asked
            for market in markets:
                await ask(chance.choice(sources), market)
            # A newest bar that does not exist yet is requested until it does.
            newest = bar_number(last_closed_open_ms(clock.moment_ms, interval) - offset_ms, interval)
            exists = newest in bar_numbers(exchange.now().closed(clock.moment_ms).open_time_ms, interval)
            assert is_small or not exists or exchange.asked == calls
        # What the cache cannot give is fetched past it; that must not be how the rest is fetched.
        assert not is_calm or name == "3d" or exchange.direct == 0
        assert not is_calm or max(exchange.asked_again.values(), default=0) <= 1
        for source in sources:
            await source.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
