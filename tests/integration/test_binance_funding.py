"""Rates of funding from the exchange's futures API: read page by page, kept, refused, and paid by a served run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from src.binance.funding import FIRST_MS, MAX_SYMBOLS, PAGE_ROWS, BinanceFunding
from src.domain.errors import ExchangeRefused, ExchangeTimeout, ExchangeUnavailable, ServiceError, SymbolNotFound
from tests import exchange_faults as faults
from tests.clocks import FixedClock
from tests.exchange import FUNDING, LoopbackExchange
from tests.exchange_faults import Fault
from tests.ports import unused_port
from tests.sweeps_served import data_of, start, wait

EIGHT_HOURS_MS = 8 * 3_600_000
COUNT = 2_345
TIMES = FIRST_MS + EIGHT_HOURS_MS * np.arange(1, COUNT + 1)
LATE = [3, 0, 7, 12]
"""The exchange stamps some rates a few ms late."""
ROWS = [(time_ms + LATE[place % 4], f"{(place % 7 - 3) / 1e5:.8f}") for place, time_ms in enumerate(TIMES.tolist())]
NOW_MS = int(TIMES[-1]) + 3_600_000


@pytest.fixture(scope="module")
def played() -> Iterator[LoopbackExchange]:
    with LoopbackExchange([], now_ms=NOW_MS) as exchange:
        yield exchange


@pytest.fixture
def exchange(played: LoopbackExchange) -> LoopbackExchange:
    played.reset()
    played.funding = {"BTCUSDT": ROWS}
    return played


async def nap(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.02))


def make_source(url: str, *, now_ms: int = NOW_MS, deadline_s: float = 3.0) -> BinanceFunding:
    return BinanceFunding(base_url=url, timeout_s=1.0, deadline_s=deadline_s, clock=FixedClock(now_ms), sleep=nap)


async def read(source: BinanceFunding, symbol: str = "BTCUSDT") -> Any:
    try:
        return await source.rates(symbol)
    finally:
        await source.close()


async def test_pages_are_read_and_times_rounded(exchange: LoopbackExchange) -> None:
    found = await read(make_source(exchange.url))
    np.testing.assert_array_equal(found.time_ms, TIMES)
    np.testing.assert_array_equal(found.rate, [float(rate) for _, rate in ROWS])
    asked = [one.params for one in exchange.asked]
    assert [one["limit"] for one in asked] == [str(PAGE_ROWS)] * 3
    assert [int(one["startTime"]) for one in asked] == [FIRST_MS, ROWS[999][0] + 60_000, ROWS[1999][0] + 60_000]
    assert {one["endTime"] for one in asked} == {str(NOW_MS)}


async def test_full_last_page_is_followed_by_another(exchange: LoopbackExchange) -> None:
    exchange.funding = {"BTCUSDT": ROWS[:PAGE_ROWS]}
    found = await read(make_source(exchange.url))
    assert (len(found.rate), exchange.count(FUNDING)) == (PAGE_ROWS, 2)


async def test_later_call_asks_only_for_what_is_new(exchange: LoopbackExchange) -> None:
    source = make_source(exchange.url)
    exchange.funding = {"BTCUSDT": ROWS[:1500]}
    assert len((await source.rates("BTCUSDT")).rate) == 1500
    exchange.reset()
    exchange.funding = {"BTCUSDT": ROWS[:1502]}
    found = await source.rates("BTCUSDT")
    await source.close()
    assert len(found.rate) == 1502
    assert [int(one.params["startTime"]) for one in exchange.asked] == [ROWS[1499][0] + 60_000]
    whole = await read(make_source(exchange.url))
    assert found.fingerprint == whole.fingerprint


async def test_simultaneous_calls_share_one_reading(exchange: LoopbackExchange) -> None:
    source = make_source(exchange.url)
    both = await asyncio.gather(source.rates("BTCUSDT"), source.rates("BTCUSDT"))
    await source.close()
    assert both[0].fingerprint == both[1].fingerprint
    assert exchange.count(FUNDING) == 3


async def test_failed_page_alone_is_asked_for_again(exchange: LoopbackExchange) -> None:
    source = make_source(exchange.url)
    exchange.script(FUNDING, [None, faults.refusal(-1003, "no", status=400)])
    with pytest.raises(ExchangeRefused):
        await source.rates("BTCUSDT")
    exchange.reset()
    assert len((await source.rates("BTCUSDT")).rate) == COUNT
    await source.close()
    assert int(exchange.asked[0].params["startTime"]) == ROWS[999][0] + 60_000


async def test_number_of_kept_symbols_is_bounded(exchange: LoopbackExchange) -> None:
    names = [f"COIN{number}USDT" for number in range(MAX_SYMBOLS + 1)]
    exchange.funding = dict.fromkeys(names, ROWS[:1])
    source = make_source(exchange.url)
    for name in names:
        await source.rates(name)
    exchange.reset()
    for name in (names[-1], names[0]):
        await source.rates(name)
    await source.close()
    assert [int(one.params["startTime"]) for one in exchange.asked] == [ROWS[0][0] + 60_000, FIRST_MS]


REFUSALS: dict[str, tuple[list[Fault | None], type[ServiceError], str]] = {
    "location": ([faults.restricted_location()] * 5, ExchangeRefused, "does not serve this server's location"),
    "firewall": ([faults.firewall_page()] * 5, ExchangeRefused, "firewall refuses requests"),
    "unknown": ([faults.refusal(-1121, "Invalid symbol.")], SymbolNotFound, "Invalid symbol."),
    "other refusal": ([faults.refusal(-4000, "Not now.")], ExchangeRefused, "code -4000"),
    "ban": ([faults.banned(retry_after_s=600)], ExchangeUnavailable, "told us to send no requests for now"),
    "too many": (
        [faults.too_many_requests(retry_after_s=600)],
        ExchangeUnavailable,
        "told us to send no requests for now",
    ),
    "failure": ([faults.server_error()] * 9, ExchangeUnavailable, "HTTP 500"),
    "too long": (
        [Fault(status=200, body=b"[" + b" " * 1_100_000 + b"]")] * 5,
        ExchangeRefused,
        "longer than 1,048,576",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_refusal_says_to_upload_a_file(exchange: LoopbackExchange, name: str) -> None:
    script, kind, words = REFUSALS[name]
    exchange.script(FUNDING, script)
    with pytest.raises(kind) as caught:
        await read(make_source(exchange.url))
    assert type(caught.value) is kind
    message = caught.value.message
    assert message.startswith("The exchange's rates of funding of BTCUSDT cannot be read. ")
    assert words in message
    assert message.endswith("Any backtest can pay a constant rate: funding CONSTANT with fundingRate.")
    assert "<" not in message
    if name in ("ban", "too many"):
        assert caught.value.retry_after_s is not None
        assert caught.value.retry_after_s > 500


async def test_unreachable_and_slow_exchanges_say_so(exchange: LoopbackExchange) -> None:
    with pytest.raises(
        ExchangeUnavailable, match=r"could not be reached\. For a backtest of one symbol, upload a file"
    ):
        await read(make_source(f"http://127.0.0.1:{unused_port()}"))
    exchange.script(FUNDING, [Fault(hang_s=5.0)])
    with pytest.raises(ExchangeTimeout, match=r"within 0\.3 s\. For a backtest of one symbol, upload a file"):
        await read(make_source(exchange.url, deadline_s=0.3))


async def test_symbol_without_rates_is_not_found(exchange: LoopbackExchange) -> None:
    exchange.funding = {"NEWUSDT": []}
    with pytest.raises(
        SymbolNotFound, match=r"no perpetual future of that name\. For a backtest of one symbol, upload a file"
    ):
        await read(make_source(exchange.url), "NEWUSDT")


PAGES: dict[str, object] = {
    "an object": {"rows": []},
    "rows that are lists": [[TIMES[0].item(), "0.0001"]],
    "no time": [{"fundingRate": "0.0001"}],
    "a time as text": [{"fundingTime": str(TIMES[0]), "fundingRate": "0.0001"}],
    "no rate": [{"fundingTime": int(TIMES[0])}],
    "a word": [{"fundingTime": int(TIMES[0]), "fundingRate": "much"}],
    "NaN": [{"fundingTime": int(TIMES[0]), "fundingRate": "nan"}],
    "a whole": [{"fundingTime": int(TIMES[0]), "fundingRate": "1.0"}],
    "descending": [{"fundingTime": int(time_ms), "fundingRate": "0.0001"} for time_ms in TIMES[1::-1]],
    "twice": [{"fundingTime": int(TIMES[0]), "fundingRate": "0.0001"}] * 2,
    "before the first": [{"fundingTime": FIRST_MS - 1, "fundingRate": "0.0001"}],
    "after the last": [{"fundingTime": NOW_MS + 1, "fundingRate": "0.0001"}],
}


@pytest.mark.parametrize("name", PAGES)
async def test_invalid_page_gives_no_rates(exchange: LoopbackExchange, name: str) -> None:
    exchange.script(FUNDING, [Fault(status=200, body=json.dumps(PAGES[name]).encode())] * 9)
    with pytest.raises(ExchangeRefused, match=r"response is invalid: .*\. For a backtest of one symbol, upload a file"):
        await read(make_source(exchange.url))


RULES = {"engine": "EVENT_DRIVEN", "direction": "BOTH", "funding": "HISTORY"}
MARKET = {"symbol": "BTCUSDT", "interval": "4h", "limit": 400, "source": "simulated", "seed": 7}
RUN = """mutation ($input: BacktestInput!) { runEventDrivenBacktest(input: $input) {
  fundingFingerprint settings { funding fundingHistory } metrics { totalFunding } } }"""

OwnService = Callable[..., tuple[str, LoopbackExchange]]


def run(service: str, **changes: Any) -> httpx.Response:
    return httpx.post(f"{service}/api/backtests", json={"user_id": "payer", **MARKET, **RULES, **changes}, timeout=60)


def rates_of(bars: list[dict[str, Any]], rate: str, *, beyond: int) -> list[tuple[int, str]]:
    """Return a rate at each mark of bars, and at so many marks before and after them."""
    first, last = (int(np.datetime64(bars[place]["Date"][:16], "ms").astype(int)) for place in (0, -1))
    marks = range(-(-first // EIGHT_HOURS_MS) - beyond, last // EIGHT_HOURS_MS + 1 + beyond)
    return [(mark * EIGHT_HOURS_MS + 2, rate) for mark in marks]


def test_served_run_pays_exchange_rates(own_service: OwnService) -> None:
    service, exchange = own_service()
    constant = run(service, funding="CONSTANT", funding_rate=0.0005).json()["data"]
    exchange.funding = {"BTCUSDT": rates_of(constant["data"], "0.00050000", beyond=5)}
    found = run(service).json()["data"]
    assert found["metrics"]["total_funding"] == constant["metrics"]["total_funding"] != 0
    assert (found["settings"]["funding"], found["settings"]["funding_history"]) == ("HISTORY", None)
    assert found["funding_fingerprint"] is not None
    assert not any("marks of funding" in warning for warning in found["warnings"])
    body = {
        "query": RUN,
        "variables": {
            "input": {
                "userId": "payer",
                "symbol": "BTCUSDT",
                "fetchInput": MARKET,
                "direction": "BOTH",
                "funding": "HISTORY",
            }
        },
    }
    answer = httpx.post(f"{service}/graphql", json=body, timeout=60).json()["data"]["runEventDrivenBacktest"]
    assert answer["fundingFingerprint"] == found["funding_fingerprint"]
    assert answer["settings"] == {"funding": "HISTORY", "fundingHistory": None}
    rerun = f"{service}/api/backtests/{found['id']}/rerun"
    # Rates that came since, outside of the bars, change nothing.
    exchange.funding = {
        "BTCUSDT": [*exchange.funding["BTCUSDT"], (exchange.funding["BTCUSDT"][-1][0] + 60_000, "0.01")]
    }
    assert httpx.post(rerun, timeout=60).json()["data"]["differences"] == []
    assert httpx.get(f"{service}/api/backtests/{found['id']}/neighbors", timeout=60).status_code == 200


def test_portfolio_keeps_the_rates_of_each_symbol(own_service: OwnService) -> None:
    service, exchange = own_service()
    single = run(service, funding="NONE").json()["data"]
    symbols = {"BTCUSDT": "0.00050000", "ETHUSDT": "0.00010000"}
    exchange.funding = {symbol: rates_of(single["data"], rate, beyond=3) for symbol, rate in symbols.items()}
    backtest = {"user_id": "payer", **MARKET, **RULES}
    del backtest["symbol"]
    body = {"symbols": list(symbols), "backtest": backtest, "wait_seconds": 60}
    found = httpx.post(f"{service}/api/portfolios", json=body, timeout=90).json()["data"]["conclusion"]
    prints = [share["funding_fingerprint"] for share in found["symbols"]]
    assert prints[0] == run(service).json()["data"]["funding_fingerprint"]
    assert None not in prints
    assert prints[0] != prints[1]


def test_served_run_without_future_must_upload(own_service: OwnService) -> None:
    service, exchange = own_service()
    unknown = run(service)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "SYMBOL_NOT_FOUND")
    assert unknown.json()["detail"].endswith("a constant rate: funding CONSTANT with funding_rate.")
    exchange.script(FUNDING, [faults.restricted_location()] * 5)
    refused = run(service)
    assert (refused.status_code, refused.json()["code"]) == (502, "EXCHANGE_REFUSED")
    assert (
        "for legal reasons (HTTP 451). For a backtest of one symbol, upload a file of rates" in refused.json()["detail"]
    )


def test_service_without_futures_requires_a_history(own_service: OwnService) -> None:
    service, _ = own_service(binance_futures_url=None)
    answer = run(service)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("funding is HISTORY, and this service reads no rates")


def test_rows_of_a_sweep_pay_exchange_rates(own_service: OwnService) -> None:
    service, exchange = own_service()
    bars = run(service, funding="NONE").json()["data"]["data"]
    exchange.funding = {"BTCUSDT": rates_of(bars, "0.00050000", beyond=3)}
    backtest = {"user_id": "payer", **MARKET, **RULES}
    asked = {"backtest": backtest, "parameters": [{"name": "fast", "values": [3, 5]}, {"name": "slow", "values": [20]}]}
    job_id = start(service, "/api/sweeps", asked)
    wait(service, job_id)
    rows = data_of(httpx.get(f"{service}/api/sweeps/{job_id}/rows", timeout=60))
    for fast in (3, 5):
        alone = data_of(run(service, fast=fast, slow=20))["metrics"]
        assert alone["total_funding"] != 0
        assert repr(alone["final_equity"]) in json.dumps(rows)
