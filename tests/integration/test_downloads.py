"""Check the bar cache through the whole service: bars are fetched once, and the download is shown meanwhile."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx

from tests.exchange import KLINES
from tests.exchange_faults import hang
from tests.user_document import CAMEL_INPUT

PROGRESS = "{ downloads { symbol interval doneBars expectedBars share ways startedAt } }"


def run(url: str, **changes: Any) -> Any:
    return httpx.post(f"{url}/api/backtests", json={**CAMEL_INPUT, **changes}, timeout=30).json()


def test_repeated_request_makes_no_exchange_call(own_service: Any) -> None:
    url, exchange = own_service()
    first = run(url)["data"]
    calls = exchange.count(KLINES)
    assert calls > 0
    second = run(url)["data"]
    assert exchange.count(KLINES) == calls
    assert second["data_fingerprint"] == first["data_fingerprint"]
    assert second["metrics"] == first["metrics"]
    assert second["data"] == first["data"]
    longer = run(url, fetchInput={"symbol": "BTCUSDT", "interval": "1d", "limit": 1200})["data"]
    assert longer["metrics"]["bars"] == 1200
    assert exchange.count(KLINES) > calls


def test_running_download_is_shown_by_both_apis(own_service: Any) -> None:
    url, exchange = own_service()
    assert httpx.get(f"{url}/api/data/downloads").json()["data"] == []
    exchange.script(KLINES, [hang(1.5)])
    asking = threading.Thread(target=run, args=(url,))
    asking.start()
    seen: list[Any] = []
    deadline = time.monotonic() + 10
    while not seen and time.monotonic() < deadline:
        seen = httpx.get(f"{url}/api/data/downloads").json()["data"]
    by_graphql = httpx.post(f"{url}/graphql", json={"query": PROGRESS}).json()["data"]["downloads"]
    asking.join()
    [download] = seen
    assert (download["symbol"], download["interval"]) == ("BTCUSDT", "1d")
    assert 0 <= download["share"] <= 1
    assert download["expected_bars"] >= 1000
    assert by_graphql[0]["startedAt"] == download["started_at"]
    assert httpx.get(f"{url}/api/data/downloads").json()["data"] == []
