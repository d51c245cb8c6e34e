"""Check the bar cache around the exchange: nothing is fetched twice, by any caller, however a fetch ends."""

from __future__ import annotations

import asyncio
import logging
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.bar_cache.bar_store import BarStore
from src.bar_cache.segments import Segment
from src.bars.grid import bar_number, open_time_ms
from src.bars.resampling import resample
from src.bars.simulated import simulate_bars
from src.domain.bars import Bars
from src.domain.errors import ExchangeError, InvalidInput, SymbolNotFound
from src.domain.intervals import INTERVALS
from tests import exchange_faults as faults
from tests.clocks import MovingClock
from tests.exchange import KLINES, LoopbackExchange
from tests.exchange_series import Series
from tests.market_store import caching, wish

MINUTE, HOUR, DAY = INTERVALS["1m"], INTERVALS["1h"], INTERVALS["1d"]
FIRST = 28_000_000
"""Number of the first minute, in March 2023."""
COUNT = 9_000
LAST = FIRST + COUNT - 1
BARS: Bars = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), COUNT, 7)
NOW_MS = open_time_ms(LAST + 1, MINUTE)


def part(first: int, count: int) -> Bars:
    return BARS.slice(first - FIRST, first - FIRST + count)


async def test_repeated_request_makes_no_exchange_call(tmp_path: Path) -> None:
    wishes = [
        wish("BTCUSDT", MINUTE, 2500),
        wish("BTCUSDT", MINUTE, 2500, end=LAST - 100),
        wish("BTCUSDT", MINUTE, 1500, start=FIRST + 10),
        wish("BTCUSDT", MINUTE, 5000, start=FIRST + 10, end=FIRST + 400),
        wish("BTCUSDT", MINUTE, 20_000),
        wish("BTCUSDT", MINUTE, 20_000, start=FIRST - 5000),
    ]
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        for market in wishes:
            async with caching(exchange, tmp_path / str(market.limit), NOW_MS) as source:
                first = await source.fetch(market)
                calls = len(exchange.asked)
                again = await source.fetch(market)
            async with caching(exchange, tmp_path / str(market.limit), NOW_MS) as other_process:
                later = await other_process.fetch(market)
            assert len(exchange.asked) == calls
            assert first == again == later


async def test_longer_request_fetches_only_the_difference(tmp_path: Path) -> None:
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS) as source:
            await source.fetch(wish("BTCUSDT", MINUTE, 1000, end=LAST - 2000))
            exchange.asked.clear()
            found = await source.fetch(wish("BTCUSDT", MINUTE, 3500, end=LAST - 1500))
            assert found.bars == part(LAST - 1500 - 3499, 3500)
            asked = sorted((int(one.params["startTime"]), int(one.params["endTime"])) for one in exchange.asked)
    pages = [(LAST - 4999, LAST - 3000), (LAST - 1999, LAST - 1500)]
    covered = {minute for start, end in asked for minute in range(start // 60_000, end // 60_000 + 1)}
    assert covered == {minute for first, last in pages for minute in range(first, last + 1)}


async def test_every_interval_has_its_own_series(tmp_path: Path) -> None:
    months = simulate_bars("BTCUSDT", INTERVALS["1M"], 1_600_000_000_000, 60, 7)
    last = int(np.searchsorted(months.open_time_ms, NOW_MS)) - 2
    with LoopbackExchange([BARS, months], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS) as source:
            for _ in range(2):
                assert (await source.fetch(wish("BTCUSDT", MINUTE, 5))).bars == part(LAST - 4, 5)
                assert (await source.fetch(wish("BTCUSDT", INTERVALS["1M"], 20))).bars == months.slice(
                    last - 19, last + 1
                )
            assert exchange.count() == 2


async def test_fifty_requests_for_one_series_share_a_download(tmp_path: Path) -> None:
    market = wish("BTCUSDT", MINUTE, 4000, start=FIRST + 100)
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path / "alone", NOW_MS) as source:
            await source.fetch(market)
            alone = len(exchange.asked)
        exchange.asked.clear()
        async with caching(exchange, tmp_path / "together", NOW_MS) as source:
            found = await asyncio.gather(*(source.fetch(market) for _ in range(50)))
        assert len(exchange.asked) == alone
    assert all(series.bars == part(FIRST + 100, 4000) for series in found)


async def test_cancelled_request_does_not_cancel_the_download(tmp_path: Path) -> None:
    market = wish("BTCUSDT", MINUTE, 3000)
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        exchange.script(KLINES, [faults.hang(0.3)])
        async with caching(exchange, tmp_path, NOW_MS) as source:
            first, second = (asyncio.create_task(source.fetch(market)) for _ in range(2))
            while not exchange.asked:
                await asyncio.sleep(0.01)
            (shown,) = source.progress.snapshot()
            assert (shown.symbol, shown.interval, shown.expected_bars, shown.done_bars) == ("BTCUSDT", "1m", 3000, 0)
            first.cancel()
            assert (await second).bars == part(LAST - 2999, 3000)
            assert source.progress.snapshot() == ()
        assert first.cancelled()
        assert exchange.count() == 3


@pytest.mark.parametrize("is_same_process", [True, False])
async def test_small_request_does_not_wait_for_large_download(tmp_path: Path, is_same_process: bool) -> None:
    bars = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), 180_000, 7)
    now_ms = open_time_ms(FIRST + 180_000, MINUTE)
    with LoopbackExchange([bars], now_ms=now_ms, weight_limit=10**6) as exchange:
        exchange.script(KLINES, [faults.hang(0.1)] * 1000)
        async with caching(exchange, tmp_path, now_ms) as source, caching(exchange, tmp_path, now_ms) as second:
            large = asyncio.create_task(source.fetch(wish("BTCUSDT", MINUTE, 180_000, start=FIRST)))
            while exchange.count() < 20:
                await asyncio.sleep(0.02)
            small = await (source if is_same_process else second).fetch(wish("BTCUSDT", MINUTE, 1000))
            assert not large.done()
            assert exchange.count() < 140
            assert small.bars == bars.slice(179_000, 180_000)
            assert (await large).bars == bars


async def test_download_without_waiters_ends_and_restarts(tmp_path: Path) -> None:
    market = wish("BTCUSDT", MINUTE, 3000)
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        exchange.script(KLINES, [faults.hang(30)])
        async with caching(exchange, tmp_path, NOW_MS) as source:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await source.fetch(market)
            async with asyncio.timeout(5):
                assert (await source.fetch(market)).bars == part(LAST - 2999, 3000)


async def test_bar_fetched_at_its_close_is_fetched_again(tmp_path: Path) -> None:
    clock = MovingClock(NOW_MS + 1_000)
    changed = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), COUNT, 8)
    market = wish("BTCUSDT", MINUTE, 100, end=LAST)
    with LoopbackExchange([BARS], now_ms=NOW_MS + 10**7) as exchange:
        async with caching(exchange, tmp_path, clock) as source:
            before = await source.fetch(market)
            exchange.add(changed)  # what the exchange had said of the last minute was not its last word
            assert await source.fetch(market) == before
            assert exchange.count() == 1
            clock.moment_ms += 61_000
            after = await source.fetch(market)
            assert exchange.count() == 2
            clock.moment_ms += 10**6
            assert await source.fetch(market) == after
            assert exchange.count() == 2
    assert after.bars.slice(0, 99) == before.bars.slice(0, 99)
    assert after.bars.slice(99, 100) == changed.slice(COUNT - 1, COUNT)


async def test_bars_closed_meanwhile_are_added(tmp_path: Path) -> None:
    clock = MovingClock(open_time_ms(LAST - 50, MINUTE) + 5)
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, clock) as source:
            for minute in range(LAST - 50, LAST, 7):
                clock.moment_ms = open_time_ms(minute, MINUTE) + 5
                found = await source.fetch(wish("BTCUSDT", MINUTE, 1500))
                assert found.bars == part(minute - 1500, 1500)
            assert exchange.count() <= 2 + 8


async def test_late_bar_is_fetched_until_it_comes(tmp_path: Path) -> None:
    late = BARS.slice(0, COUNT - 1)
    with LoopbackExchange([late], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS + 100) as source:
            assert (await source.fetch(wish("BTCUSDT", MINUTE, 10))).bars == part(LAST - 10, 10)
            assert exchange.count() <= 8
            exchange.add(BARS)
            assert (await source.fetch(wish("BTCUSDT", MINUTE, 10))).bars == part(LAST - 9, 10)
            assert exchange.count() <= 9


@pytest.mark.parametrize("limit", [1, 1000, 5000, 400_000])
async def test_delisted_symbol_costs_few_calls(tmp_path: Path, limit: int) -> None:
    clock = MovingClock(NOW_MS + 700 * DAY.milliseconds + 5_000)
    with LoopbackExchange([BARS], now_ms=clock.moment_ms) as exchange:
        async with caching(exchange, tmp_path, clock) as source:
            found = await source.fetch(wish("BTCUSDT", MINUTE, limit))
            assert found.bars == part(LAST + 1 - min(limit, COUNT), min(limit, COUNT))
            assert "trading has ended" in " ".join(found.warnings)
            assert exchange.count() <= 10 + min(limit, COUNT) // 1000
            for later_ms in (0, 62_000, 62_000, 10 * DAY.milliseconds):
                exchange.reset()
                clock.moment_ms += later_ms
                exchange.now_ms = clock.moment_ms
                assert (await source.fetch(wish("BTCUSDT", MINUTE, limit))).bars == found.bars
                # The last minute's bar may still come.
                assert exchange.count() <= 4
            # The symbol does not count as delisted without end.
            exchange.add(simulate_bars("BTCUSDT", MINUTE, clock.moment_ms // 60_000 * 60_000 - 120_000, 2, 7))
            clock.moment_ms += 120_000
            exchange.now_ms = clock.moment_ms
            assert len((await source.fetch(wish("BTCUSDT", MINUTE, 1))).bars) == 1


@pytest.mark.parametrize("silent", [1, 20, 3000])
async def test_bars_before_the_newest_gap_are_fetched(tmp_path: Path, silent: int) -> None:
    clock = MovingClock(open_time_ms(FIRST + 2000, MINUTE) + 5)
    with LoopbackExchange([BARS.slice(0, COUNT - silent)], now_ms=clock.moment_ms) as exchange:
        async with caching(exchange, tmp_path, clock) as source:
            await source.fetch(wish("BTCUSDT", MINUTE, 50))
            for later_ms in (NOW_MS - clock.moment_ms, 0, 70_000):
                clock.moment_ms += later_ms
                exchange.now_ms = clock.moment_ms
                found = await source.fetch(wish("BTCUSDT", MINUTE, 500))
                assert found.bars == part(LAST + 1 - silent - 500, 500)
                assert (await source.fetch(wish("BTCUSDT", MINUTE, 5000))).bars == part(LAST + 1 - silent - 5000, 5000)


async def test_partly_known_gap_costs_few_calls(tmp_path: Path) -> None:
    now_ms = NOW_MS + 300 * DAY.milliseconds
    with LoopbackExchange([BARS], now_ms=now_ms) as exchange:
        async with caching(exchange, tmp_path, now_ms) as source:
            with pytest.raises(InvalidInput):
                await source.fetch(wish("BTCUSDT", MINUTE, 1000, start=LAST + 100_000))
            exchange.reset()
            assert (await source.fetch(wish("BTCUSDT", MINUTE, 2))).bars == part(LAST - 1, 2)
            assert exchange.count() <= 10


async def test_bars_missed_by_wrong_clock_are_found_later(tmp_path: Path) -> None:
    clock = MovingClock(NOW_MS + 5 * HOUR.milliseconds)
    with LoopbackExchange([BARS.slice(0, COUNT - 100)], now_ms=NOW_MS - 100 * 60_000) as exchange:
        async with caching(exchange, tmp_path, clock) as source:
            await source.fetch(wish("BTCUSDT", MINUTE, 10))
            exchange.add(BARS)
            exchange.now_ms = clock.moment_ms = NOW_MS
            assert (await source.fetch(wish("BTCUSDT", MINUTE, 300))).bars == part(LAST - 299, 300)


@pytest.mark.parametrize("ahead_ms", [70_000, 120_000, 3_000_000])
@pytest.mark.parametrize("is_stored", [True, False])
async def test_clock_ahead_stores_no_unclosed_bar(tmp_path: Path, ahead_ms: int, is_stored: bool) -> None:
    hours = resample(BARS, HOUR)
    forming = len(hours) - 1
    exchange_ms = int(hours.open_time_ms[forming]) + HOUR.milliseconds - 30_000
    clock = MovingClock(exchange_ms + ahead_ms)
    folder = tmp_path
    if not is_stored:
        folder = tmp_path / "file"
        folder.write_text("a file where the folder should be")
    with LoopbackExchange([hours], now_ms=exchange_ms) as exchange:
        async with caching(exchange, folder, clock) as source:
            found = await source.fetch(wish("BTCUSDT", HOUR, 20))
            assert found.bars == hours.slice(forming - 20, forming)
            assert [sentence for sentence in found.warnings if "ahead of the exchange's" in sentence]
            exchange.reset()
            exchange.now_ms = exchange_ms + 100_000
            clock.moment_ms += 100_000
            assert (await source.fetch(wish("BTCUSDT", HOUR, 20))).bars == hours.slice(forming - 19, forming + 1)


@pytest.mark.parametrize("kind", ["segment", "tail"])
@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "empty", "gone", "another series", "another range"])
async def test_damaged_file_is_noticed_and_fetched_again(
    tmp_path: Path, damage: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    market = wish("BTCUSDT", MINUTE, 3000)
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS) as source:
            before = await source.fetch(market)
            calls = exchange.count()
            (file,) = (tmp_path / "BTCUSDT" / "1m").glob(f"*.{kind}")
            content = bytearray(file.read_bytes())
            match damage:
                case "flipped bit":
                    content[len(content) // 2] ^= 4
                    file.write_bytes(content)
                case "cut short":
                    file.write_bytes(content[:-8])
                case "empty":
                    file.write_bytes(b"")
                case "another series":
                    other = Segment.named(file.name)
                    assert other is not None
                    content = content.replace(b"BTCUSDT", b"ETHUSDT", 1)
                    file.unlink()
                    file.with_name(replace(other, checksum=zlib.crc32(content)).name).write_bytes(content)
                case "another range":
                    other = Segment.named(file.name)
                    assert other is not None
                    file.rename(file.with_name(replace(other, start=other.start - 5).name))
                case "gone":
                    file.unlink()
            with caplog.at_level(logging.WARNING):
                assert await source.fetch(market) == before
            assert calls < exchange.count() <= 2 * calls
            assert damage == "gone" or "fetched again" in caplog.text
            calls = exchange.count()
            assert await source.fetch(market) == before
            assert exchange.count() == calls


async def test_unwritable_cache_does_not_fail_requests(tmp_path: Path) -> None:
    (tmp_path / "bars").write_text("a file where the folder should be")
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path / "bars", NOW_MS) as source:
            assert (await source.fetch(wish("BTCUSDT", MINUTE, 100))).bars == part(LAST - 99, 100)


async def test_full_cache_drops_least_recently_used_series(tmp_path: Path) -> None:
    symbols = ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
    series = [simulate_bars(name, MINUTE, open_time_ms(FIRST, MINUTE), 1000, 7) for name in symbols]
    with LoopbackExchange(series, now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS, max_bytes=2 * 50_000) as source:
            for name in symbols:
                await source.fetch(wish(name, MINUTE, 1000, start=FIRST, end=FIRST + 999))
            store = BarStore(tmp_path, max_bytes=0)
            assert store.size_bytes() <= 2 * 50_000
            exchange.asked.clear()
            for name in ("CCCUSDT", "BBBUSDT"):
                await source.fetch(wish(name, MINUTE, 1000, start=FIRST, end=FIRST + 999))
            assert exchange.asked == []
            await source.fetch(wish("AAAUSDT", MINUTE, 1000, start=FIRST, end=FIRST + 999))
            assert exchange.asked


async def test_cache_smaller_than_a_request_still_serves(tmp_path: Path) -> None:
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS, max_bytes=1000) as source:
            wishes = [wish("BTCUSDT", MINUTE, 2000, end=LAST - step) for step in range(0, 5000, 700)]
            for found in await asyncio.gather(*(source.fetch(market) for market in wishes)):
                assert len(found.bars) == 2000
        assert BarStore(tmp_path, max_bytes=0).size_bytes() <= 1000


@pytest.mark.parametrize(
    "script",
    [
        [faults.dropped_rows(3, 40)],
        [faults.dropped_rows(0, 7)],
        [faults.dropped_rows(990, 10)],
        [None, faults.dropped_rows(500, 1), faults.dropped_rows(980, 20)],
        [faults.repeated_rows(10, 30), faults.repeated_rows(0, 1000)],
        [faults.reversed_rows(), faults.reversed_rows(), faults.reversed_rows()],
        [faults.empty_page()],
        [None, faults.empty_page(), None, faults.empty_page()],
        [faults.half_json(), faults.cut_connection(), faults.server_error()],
        [faults.other_page(60_000 * 5000)],
        [faults.every_nth_dropped(9)],
        [None, *[faults.every_nth_dropped(18)] * 4],
        [None, faults.empty_page(), faults.empty_page()],
        [faults.altered_row(7, 2, "0.01"), faults.altered_row(0, 1, "NaN"), faults.altered_row(999, 5, "-1")],
    ],
    ids=lambda script: f"{len(script)} answers",
)
async def test_exchange_faults_leave_no_wrong_bar_cached(tmp_path: Path, script: list[faults.Fault | None]) -> None:
    market = wish("BTCUSDT", MINUTE, 5000, start=FIRST + 50)
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS) as source:
            # The first two calls find the first bar.
            exchange.script(KLINES, [None, None, *script])
            found = await source.fetch(market)
            calls = exchange.count()
            again = await source.fetch(market)
            assert exchange.count() == calls
    assert found.bars == again.bars == part(FIRST + 50, 5000)
    assert found.quality == again.quality
    assert found.quality.gaps == ()


async def test_invalid_rows_are_not_stored_but_recorded(tmp_path: Path) -> None:
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        spoilt = faults.altered_candle(int(BARS.open_time_ms[COUNT - 1000 + 7]), 2, "0.01")
        exchange.script(KLINES, [spoilt] * 9)
        async with caching(exchange, tmp_path, NOW_MS) as source:
            found = await source.fetch(wish("BTCUSDT", MINUTE, 1000))
            again = await source.fetch(wish("BTCUSDT", MINUTE, 1000))
            other = await source.fetch(wish("BTCUSDT", MINUTE, 900))
        assert exchange.count() == 2
    assert [row.open_time_ms for row in found.quality.rejected_rows] == [int(BARS.open_time_ms[COUNT - 1000 + 7])]
    assert found == again
    assert len(found.bars) == 999
    assert other.quality.rejected_rows == ()


async def test_errors_leave_earlier_fetches_only(tmp_path: Path) -> None:
    market = wish("BTCUSDT", MINUTE, 2000)
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS) as source:
            kept = (await source.fetch(wish("BTCUSDT", MINUTE, 1000))).bars
            exchange.script(KLINES, [faults.server_error()] * 20)
            with pytest.raises(ExchangeError):
                await source.fetch(market)
            exchange.reset()
            assert (await source.fetch(market)).bars.slice(1000, 2000) == kept
            assert exchange.count() == 1
            with pytest.raises(SymbolNotFound):
                await source.fetch(wish("NOSUCHCOIN", MINUTE, 10))
    assert not (tmp_path / "NOSUCHCOIN").exists()


async def test_coarser_bars_are_built_from_cached_finer_ones(tmp_path: Path) -> None:
    with LoopbackExchange([BARS], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS) as source:
            minutes = await source.fetch(wish("BTCUSDT", MINUTE, COUNT))
            calls = exchange.count()
            first_hour = bar_number(NOW_MS, HOUR) - 100
            hours = await source.fetch(wish("BTCUSDT", HOUR, 100))
            assert exchange.count() == calls
    assert len(hours.bars) == 100
    assert int(hours.bars.open_time_ms[0]) == open_time_ms(first_hour, HOUR)
    assert hours.origin == "Binance (1h bars made from its 1m bars)"
    last_hour = minutes.bars.open_time_ms >= hours.bars.open_time_ms[-1]
    last_hour &= minutes.bars.open_time_ms < hours.bars.open_time_ms[-1] + HOUR.milliseconds
    assert hours.bars.high[-1] == minutes.bars.high[last_hour].max()


def holed(kind: str, row: int) -> Series:
    """Return the minutes with one that is absent, or impossible."""
    whole = Series.of(BARS)
    if kind == "impossible row":
        return replace(whole, high=np.where(np.arange(COUNT) == row, 0.01, whole.high))
    columns = ("open_time_ms", "open", "high", "low", "close", "volume", "close_time_ms")
    return replace(whole, **{name: np.delete(getattr(whole, name), row) for name in columns})


@pytest.mark.parametrize("kind", ["outage", "impossible row"])
async def test_coarser_bars_are_not_built_across_gaps(tmp_path: Path, kind: str) -> None:
    hours = resample(BARS, HOUR)
    with LoopbackExchange([holed(kind, COUNT - 3000), hours], now_ms=NOW_MS) as exchange:
        async with caching(exchange, tmp_path, NOW_MS) as source:
            await source.fetch(wish("BTCUSDT", MINUTE, COUNT - 100))
            exchange.reset()
            newest = await source.fetch(wish("BTCUSDT", HOUR, 20))
            assert exchange.count() == 0
            found = await source.fetch(wish("BTCUSDT", HOUR, 100))
            assert exchange.count() == 1
    assert newest.bars == hours.slice(len(hours) - 20, len(hours))
    assert found.bars == hours.slice(len(hours) - 100, len(hours))
    assert (found.origin, found.warnings) == ("Binance", ())


async def test_two_series_are_filled_at_the_same_time(tmp_path: Path) -> None:
    names = ("AAAUSDT", "BBBUSDT")
    series = [simulate_bars(name, DAY, 1_600_000_000_000, 50, 7) for name in names]
    with LoopbackExchange(series, now_ms=NOW_MS) as exchange:
        exchange.script(KLINES, [faults.hang(0.2), faults.hang(0.2)])
        async with caching(exchange, tmp_path, NOW_MS) as source:
            found = await asyncio.gather(
                *(source.fetch(wish(name, DAY, 10, end=bar_number(1_600_000_000_000, DAY) + 20)) for name in names)
            )
    assert [len(one.bars) for one in found] == [10, 10]
