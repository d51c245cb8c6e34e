"""Check several processes on one bar cache: nothing is lost or fetched twice, and a killed one harms no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.bar_cache.bar_store import BarStore
from src.bars.grid import open_time_ms
from src.bars.simulated import simulate_bars
from src.bars.slot_ranges import count, within
from src.binance.exchange_ban import ExchangeBan
from src.domain.intervals import INTERVALS
from tests import exchange_faults as faults
from tests.download_process import begin
from tests.exchange import KLINES, LoopbackExchange
from tests.market_store import caching, wish

MINUTE = INTERVALS["1m"]
FIRST, COUNT = 28_000_000, 150_000
BARS = simulate_bars("BTCUSDT", MINUTE, open_time_ms(FIRST, MINUTE), COUNT, 7)
NOW_MS = open_time_ms(FIRST + COUNT, MINUTE) + 10**7
PATIENCE_S = 120.0


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with LoopbackExchange([BARS], now_ms=NOW_MS, weight_limit=10**6) as playing:
        yield playing


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stored(folder: Path) -> int:
    known = BarStore(folder, max_bytes=0).series("BTCUSDT", MINUTE).coverage().settled
    return count(within(known, FIRST, FIRST + COUNT))


async def test_killed_fetch_leaves_readable_cache_and_resumes(exchange: LoopbackExchange, tmp_path: Path) -> None:
    kept = 0
    for _ in range(2):
        process = begin(exchange.url, tmp_path, NOW_MS, FIRST, COUNT)
        try:
            wait_for(lambda before=kept: stored(tmp_path) > before)
        finally:
            process.kill()
            process.communicate()
        kept = stored(tmp_path)
    assert 0 < kept < COUNT
    coverage = BarStore(tmp_path, max_bytes=0).series("BTCUSDT", MINUTE).coverage()
    known, *_ = within(coverage.settled, FIRST, FIRST + COUNT)
    # Another exchange, as the first may still be answering questions of the dead.
    with LoopbackExchange([BARS], now_ms=NOW_MS, weight_limit=10**6) as later:
        async with caching(later, tmp_path, NOW_MS) as source:
            part = await source.fetch(wish("BTCUSDT", MINUTE, 1000, start=known[0], end=known[1] - 1))
            assert part.bars == BARS.slice(known[0] - FIRST, known[0] - FIRST + 1000)
            assert later.count() == 0
            whole = await source.fetch(wish("BTCUSDT", MINUTE, COUNT, start=FIRST))
        assert later.count() <= (COUNT - kept) // 1000 + 2
    assert whole.bars == BARS
    assert [file.name for file in (tmp_path / "BTCUSDT" / "1m").iterdir() if file.suffix == ".part"] == []


def test_two_processes_fill_one_series_and_lose_nothing(exchange: LoopbackExchange, tmp_path: Path) -> None:
    half, third = COUNT // 2, COUNT // 3
    processes = [
        begin(exchange.url, tmp_path, NOW_MS, FIRST, half + 5000),
        begin(exchange.url, tmp_path, NOW_MS, FIRST + third, half + 5000),
    ]
    printed = [process.communicate(timeout=PATIENCE_S)[0].strip() for process in processes]
    assert printed == [
        BARS.slice(0, half + 5000).fingerprint(),
        BARS.slice(third, third + half + 5000).fingerprint(),
    ]
    assert stored(tmp_path) == third + half + 5000
    starts = [one.params["startTime"] for one in exchange.asked if one.params["limit"] == "1000"]
    assert len(starts) == len(set(starts))
    assert len(starts) <= (third + half + 5000) // 1000 + 10


def test_ban_of_one_process_stops_the_others(exchange: LoopbackExchange, tmp_path: Path) -> None:
    exchange.script(KLINES, [faults.too_many_requests(retry_after_s=300)])
    first = begin(exchange.url, tmp_path, NOW_MS, FIRST, 10)
    assert first.communicate(timeout=PATIENCE_S)[0].strip() == "stopped for 300.0"
    second = begin(exchange.url, tmp_path, NOW_MS, FIRST, 10)
    told = second.communicate(timeout=PATIENCE_S)[0].strip()
    assert told.startswith("stopped for ")
    assert 200 < float(told.removeprefix("stopped for ")) <= 300
    assert exchange.count() == 1
    assert ExchangeBan(tmp_path / ".rate-limit").left_s() > 200
