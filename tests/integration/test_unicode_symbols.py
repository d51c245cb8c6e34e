"""Check that a symbol in another script works wherever BTCUSDT does (issue 9, item 8)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from src.bar_cache.bar_store import BarStore
from src.bars.grid import bar_number
from src.bars.simulated import simulate_bars
from src.domain.intervals import INTERVALS
from tests.exchange import KLINES, LoopbackExchange
from tests.market import random_bars
from tests.market_store import caching, wish

SYMBOL = "币安人生USDT"
FIVE = INTERVALS["5m"]
FIRST_MS = 1_727_740_800_000  # 2024-10-01


def listed_days() -> Any:
    return replace(random_bars(1500, seed=17), symbol=SYMBOL)


async def test_unicode_symbol_is_fetched_and_cached(tmp_path: Path) -> None:
    bars = simulate_bars(SYMBOL, FIVE, FIRST_MS, 288 * 100, 7)
    now_ms = FIRST_MS + 288 * 99 * FIVE.milliseconds
    asked = wish(SYMBOL, FIVE, 288 * 99, start=bar_number(FIRST_MS, FIVE))
    with LoopbackExchange([bars], now_ms=now_ms, weight_limit=10**6) as exchange:
        async with caching(exchange, tmp_path, now_ms, with_archive=True) as source:
            assert (await source.fetch(asked)).bars == bars.slice(0, 288 * 99)
        assert exchange.count_files() >= 3
        assert all(one.status == 200 for one in exchange.asked if one.path.endswith(".zip"))
        calls = len(exchange.asked)
        async with caching(exchange, tmp_path, now_ms, with_archive=True) as source:
            assert (await source.fetch(asked)).bars == bars.slice(0, 288 * 99)
        assert len(exchange.asked) == calls
    assert [series.symbol for series in BarStore(tmp_path, max_bytes=1).stored()] == [SYMBOL]
    assert BarStore(tmp_path, max_bytes=1).evict() > 0


def test_symbol_works_through_both_apis(own_service: Any) -> None:
    url, exchange = own_service()
    exchange.add(listed_days())
    query = """query ($symbol: String!) {
      fetchCoinList { coins }
      fetchOhlcv(input: {symbol: $symbol, limit: 5}) { Close }
    }"""
    answer = httpx.post(f"{url}/graphql", json={"query": query, "variables": {"symbol": "币安人生/usdt"}}).json()
    assert SYMBOL in answer["data"]["fetchCoinList"]["coins"]
    assert len(answer["data"]["fetchOhlcv"]) == 5
    quality = httpx.get(f"{url}/api/data/quality", params={"symbol": SYMBOL, "limit": 7}).json()
    assert (quality["data"]["symbol"], quality["data"]["present_bars"]) == (SYMBOL, 7)
    calls = exchange.count(KLINES)
    body = {"user_id": "me", "symbol": "币安人生-USDT", "limit": 5, "fast": 1, "slow": 2}
    result = httpx.post(f"{url}/api/backtests", json=body, timeout=60).json()["data"]
    assert exchange.count(KLINES) == calls
    assert result["symbol"] == SYMBOL
    assert httpx.get(f"{url}/api/backtests/{result['id']}").json()["data"]["symbol"] == SYMBOL
    listed = httpx.get(f"{url}/api/backtests", params={"user_id": "me", "symbol": SYMBOL}).json()["data"]
    assert [one["symbol"] for one in listed["items"]] == [SYMBOL]


def test_unlisted_unicode_symbol_gets_the_exchanges_error(own_service: Any) -> None:
    url, _ = own_service()
    answer = httpx.get(f"{url}/api/data/quality", params={"symbol": SYMBOL})
    assert (answer.status_code, answer.json()["code"]) == (404, "SYMBOL_NOT_FOUND")
    assert SYMBOL in answer.json()["message"]
