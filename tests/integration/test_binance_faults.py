"""Check that a request ends in time with the right bars or the right error, whatever the exchange does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from src.bars.simulated import simulate_bars
from src.binance.source import BinanceSource
from src.domain.bars import Bars
from src.domain.errors import (
    ExchangeError,
    ExchangeRefused,
    ExchangeTimeout,
    ExchangeUnavailable,
    InvalidInput,
    ServiceError,
    SymbolNotFound,
)
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest, MarketSeries
from tests import exchange_faults as faults
from tests.clocks import FixedClock
from tests.exchange import EXCHANGE_INFO, KLINES, LoopbackExchange
from tests.exchange_faults import Fault
from tests.ports import unused_port

MINUTE = INTERVALS["1m"]
BARS: Bars = simulate_bars("BTCUSDT", MINUTE, 1_700_000_040_000, 4500, 7)
NOW_MS = int(BARS.open_time_ms[-1]) + MINUTE.milliseconds
DEADLINE_S = 3.0


_IDLE: list[LoopbackExchange] = []


@contextmanager
def played() -> Iterator[LoopbackExchange]:
    """Yield an exchange that knows BARS, shared: starting a server for each test would take most of the time."""
    exchange = _IDLE.pop() if _IDLE else LoopbackExchange([BARS], now_ms=NOW_MS).start()
    exchange.reset()
    try:
        yield exchange
    finally:
        _IDLE.append(exchange)


@pytest.fixture(scope="module", autouse=True)
def _stop_exchanges() -> Iterator[None]:
    yield
    while _IDLE:
        _IDLE.pop().stop()


async def nap(seconds: float) -> None:
    """Sleep only briefly: a longer wait is repeated by its caller, so retries are not slow here."""
    await asyncio.sleep(min(seconds, 0.02))


def make_source(
    *urls: str,
    timeout_s: float = 1.0,
    deadline_s: float = DEADLINE_S,
    weight: int = 6000,
    sleep: Callable[[float], Awaitable[None]] = nap,
) -> BinanceSource:
    return BinanceSource(
        base_urls=urls,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
        weight_per_minute=weight,
        clock=FixedClock(NOW_MS),
        sleep=sleep,
    )


def wish(limit: int, start_ms: int | None = None) -> MarketRequest:
    return MarketRequest(symbol="BTCUSDT", interval=MINUTE, limit=limit, start_ms=start_ms)


async def fetch(source: BinanceSource, limit: int = 1000, *, start_ms: int | None = None) -> MarketSeries:
    """Fetch and close, well within the time limit of a client."""
    began = time.monotonic()
    try:
        return await source.fetch(wish(limit, start_ms))
    finally:
        await source.close()
        assert time.monotonic() - began < DEADLINE_S + 1


async def failure(source: BinanceSource, kind: type[ServiceError], limit: int = 1000) -> ServiceError:
    with pytest.raises(kind) as caught:
        await fetch(source, limit)
    assert type(caught.value) is kind
    assert "<" not in caught.value.message
    return caught.value


def closed_port() -> str:
    """Return the address of a port on which no process listens."""
    return f"http://127.0.0.1:{unused_port()}"


TRANSIENT = {
    "500 twice": [faults.server_error(), faults.server_error()],
    "502, 503, 504": [faults.server_error(status) for status in (502, 503, 504)],
    "half a JSON": [faults.half_json()],
    "a cut connection": [faults.cut_connection()],
    "no JSON": [faults.not_klines("<html>hello</html>")],
    "an object": [faults.not_klines('{"rows": []}')],
    "ragged rows": [faults.not_klines("[[1700000040000]]")],
    "another time": [faults.other_page(-(10**9))],
    "an empty body": [faults.not_klines("")],
    "an empty page": [faults.empty_page()],
    "a short silence": [faults.hang(2.0)],
}


@pytest.mark.parametrize("script", TRANSIENT.values(), ids=TRANSIENT)
async def test_transient_fault_is_retried_and_succeeds(script: list[Fault]) -> None:
    with played() as exchange:
        exchange.script(KLINES, script)
        found = await fetch(make_source(exchange.url))
        assert exchange.count() <= len(script) + 2
    assert found.bars == BARS.slice(3500, 4500)
    assert found.warnings == ()


LASTING: dict[str, tuple[Fault, type[ServiceError], str]] = {
    "500": (faults.server_error(), ExchangeUnavailable, "HTTP 500"),
    "half a JSON": (faults.half_json(), ExchangeRefused, "not JSON"),
    "a cut connection": (faults.cut_connection(), ExchangeUnavailable, "could not be reached"),
    "an object": (faults.not_klines('{"rows": []}'), ExchangeRefused, "response is invalid"),
    "another time": (faults.other_page(-(10**9)), ExchangeRefused, "outside the range"),
    "nothing for 60 s": (faults.hang(60), ExchangeTimeout, "did not"),
    "451": (faults.restricted_location(), ExchangeRefused, "legal reasons"),
    "403 with HTML": (faults.firewall_page(), ExchangeRefused, "firewall"),
    "a redirect": (faults.redirect("http://127.0.0.1:9/"), ExchangeRefused, "HTTP 302"),
    "404": (Fault(status=404, body=b"<html>"), ExchangeRefused, "HTTP 404"),
    "a flood": (faults.not_klines("[" + " " * 3_000_000), ExchangeRefused, "longer than"),
    "-1121": (faults.refusal(-1121, "Invalid symbol."), SymbolNotFound, "BTCUSDT: Invalid symbol."),
    "-1120": (faults.refusal(-1120, "Invalid interval."), InvalidInput, "1m: Invalid interval."),
    "-1100": (faults.refusal(-1100, "Illegal characters in 'symbol'."), SymbolNotFound, "Illegal characters"),
    "-1102": (faults.refusal(-1102, "Mandatory parameter missing."), ExchangeRefused, "code -1102"),
    "words with tags": (faults.refusal(-9, "a\x07b" + "c" * 5000), ExchangeRefused, "abccc"),
}


@pytest.mark.parametrize(("fault", "kind", "words"), LASTING.values(), ids=LASTING)
async def test_lasting_fault_ends_in_right_error_in_time(fault: Fault, kind: type[ServiceError], words: str) -> None:
    with played() as exchange:
        exchange.script(KLINES, [fault] * 20)
        error = await failure(make_source(exchange.url), kind)
        assert words in error.message
        assert len(error.message) < 400
        assert exchange.count() <= 6


@pytest.mark.parametrize(
    "fault", [faults.restricted_location(), faults.firewall_page(), faults.refusal(-1121, "Invalid symbol.")]
)
async def test_definite_refusal_is_not_retried(fault: Fault) -> None:
    with played() as exchange:
        exchange.script(KLINES, [fault])
        with pytest.raises(ServiceError):
            await fetch(make_source(exchange.url))
        assert exchange.count() == 1


@pytest.mark.parametrize("fault", [faults.too_many_requests(1), faults.banned(1)], ids=["429", "418"])
async def test_short_ban_is_awaited_and_request_succeeds(fault: Fault) -> None:
    with played() as exchange:
        exchange.script(KLINES, [fault])
        found = await fetch(make_source(exchange.url))
        first, second = exchange.asked
        assert second.at_s - first.at_s >= 1
    assert found.bars == BARS.slice(3500, 4500)


@pytest.mark.parametrize(
    ("fault", "wait_s"),
    [
        (faults.too_many_requests(37), 37),
        (faults.too_many_requests(None), 60),
        (faults.banned(259_200), 259_200),
        (faults.banned(None), 120),
        (Fault(status=429, headers={"Retry-After": "soon"}), 60),
        (Fault(status=429, headers={"Retry-After": "-5"}), 60),
    ],
)
async def test_long_ban_is_an_error_for_every_request(fault: Fault, wait_s: int) -> None:
    with played() as exchange:
        exchange.script(KLINES, [fault])
        source = make_source(exchange.url, exchange.url)
        try:
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(ExchangeUnavailable) as caught:
                    await source.fetch(wish(10))
                assert time.monotonic() - began < 1
                assert caught.value.retry_after_s == pytest.approx(wait_s, abs=1)
            with pytest.raises(ExchangeUnavailable):
                await source.listings()
        finally:
            await source.close()
        assert exchange.count() == 1, "asked although it was told to stop"
        assert exchange.count(EXCHANGE_INFO) == 0


async def test_one_429_stops_all_requests_of_the_process() -> None:
    with played() as exchange:
        exchange.script(KLINES, [faults.too_many_requests(1)])
        is_paused = asyncio.Event()

        async def nap_and_tell(seconds: float) -> None:
            is_paused.set()
            await nap(seconds)

        source = make_source(exchange.url, sleep=nap_and_tell)
        try:
            first = asyncio.create_task(source.fetch(wish(10)))
            await is_paused.wait()
            others = [source.fetch(wish(10 + number)) for number in range(30)]
            answers = await asyncio.gather(first, *others)
        finally:
            await source.close()
        told, *later = exchange.asked
        assert min(one.at_s for one in later) - told.at_s >= 1
    assert [len(answer.bars) for answer in answers] == [10, *range(10, 40)]


async def test_weight_budget_is_enforced_before_the_exchange() -> None:
    with played() as exchange:
        error = await failure(make_source(exchange.url, weight=6), ExchangeUnavailable, limit=4500)
        assert exchange.count() <= 3
    assert error.retry_after_s == pytest.approx(60, abs=2)


async def test_weight_used_by_others_is_read_from_responses() -> None:
    with played() as exchange:
        exchange.script(KLINES, [Fault(headers={"X-MBX-USED-WEIGHT-1M": "5999"})])
        await failure(make_source(exchange.url), ExchangeUnavailable, limit=2000)
        assert exchange.count() == 1


@pytest.mark.parametrize("page", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(
    "fault",
    [faults.dropped_rows(100, 7), faults.dropped_rows(0, 3), faults.dropped_rows(990, 10), faults.empty_page()],
    ids=["dropped within", "dropped at the start", "dropped at the end", "empty page"],
)
async def test_rows_that_one_page_lost_are_found(page: int, fault: Fault) -> None:
    for start_ms in (None, int(BARS.open_time_ms[0])):
        with played() as exchange:
            exchange.script(KLINES, [None] * page + [fault])
            found = await fetch(make_source(exchange.url), 4500, start_ms=start_ms)
        assert found.bars == BARS
        assert found.warnings == ()


async def test_repeated_and_disordered_rows_are_sorted_and_reported() -> None:
    with played() as exchange:
        exchange.script(KLINES, [faults.reversed_rows(), faults.repeated_rows(10, 5)])
        found = await fetch(make_source(exchange.url), 4500)
    assert found.bars == BARS
    assert found.quality.duplicate_rows == 5
    assert found.quality.disordered_rows > 0
    assert len(found.warnings) == 2


@pytest.mark.parametrize(
    ("column", "value"), [(2, "0.001"), (3, "1000000"), (4, "-1"), (1, "NaN"), (5, "-3"), (4, "cheap")]
)
async def test_impossible_bar_is_rejected_and_named(column: int, value: str) -> None:
    bad = faults.altered_candle(int(BARS.open_time_ms[4495]), column, value)
    with played() as exchange:
        exchange.script(KLINES, [bad] * 20)
        found = await fetch(make_source(exchange.url), 10)
    assert len(found.bars) == 9
    assert [row.open_time_ms for row in found.quality.rejected_rows] == [BARS.open_time_ms[4495]]
    assert "left out as impossible" in " ".join(found.warnings)


@pytest.mark.parametrize(("column", "value"), [(2, "0.001"), (4, "cheap"), (0, 5)])
async def test_impossible_bar_is_fetched_again(column: int, value: int | str) -> None:
    time_ms = int(BARS.open_time_ms[4495])
    with played() as exchange:
        exchange.script(KLINES, [faults.altered_candle(time_ms, column, time_ms + 5 if column == 0 else value)])
        found = await fetch(make_source(exchange.url), 10)
        assert exchange.count() == 2
    assert found.bars == BARS.slice(4490, 4500)
    assert found.warnings == ()


async def test_page_of_impossible_bars_returns_none() -> None:
    with played() as exchange:
        exchange.script(KLINES, [faults.altered_row(0, 4, "-1")] * 20)
        error = await failure(make_source(exchange.url), ExchangeRefused, limit=1)
    assert "a price is not above 0" in error.message


async def test_concurrent_symbol_requests_wait_as_long_as_one() -> None:
    with played() as exchange:
        exchange.script(EXCHANGE_INFO, [faults.hang(60)] * 20)
        source = make_source(exchange.url, deadline_s=1.0)
        began = time.monotonic()
        answers = await asyncio.gather(*(source.listings() for _ in range(5)), return_exceptions=True)
        assert time.monotonic() - began < 2
        assert [type(answer) for answer in answers] == [ExchangeTimeout] * 5
        await source.close()


@pytest.mark.parametrize(
    "first",
    [faults.restricted_location(), faults.firewall_page(), faults.server_error(), faults.half_json(), faults.hang(60)],
    ids=["451", "403 with HTML", "500", "half a JSON", "silence"],
)
async def test_second_host_serves_if_the_first_fails(first: Fault) -> None:
    with played() as broken, played() as sound:
        broken.script(KLINES, [first] * 50)
        found = await fetch(make_source(broken.url, sound.url), 4500)
        assert found.bars == BARS
        assert broken.count() <= 1, "the host that failed was asked for every page"
        assert sound.count() == 5


async def test_second_host_serves_if_the_first_is_unreachable() -> None:
    with played() as sound:
        found = await fetch(make_source(closed_port(), sound.url))
    assert found.bars == BARS.slice(3500, 4500)


async def test_second_host_is_retried_after_its_own_fault() -> None:
    with played() as refusing, played() as slipping:
        refusing.script(KLINES, [faults.restricted_location()] * 20)
        slipping.script(KLINES, [faults.server_error(), faults.server_error()])
        found = await fetch(make_source(refusing.url, slipping.url))
    assert found.bars == BARS.slice(3500, 4500)


@pytest.mark.parametrize(
    ("scripts", "kind"),
    [
        ([[faults.restricted_location()], [faults.server_error()]], ExchangeRefused),
        ([[faults.server_error()], [faults.firewall_page()]], ExchangeRefused),
        ([[faults.server_error()], [faults.server_error()]], ExchangeUnavailable),
    ],
)
async def test_refusal_is_reported_before_other_failures(
    scripts: Iterable[list[Fault]], kind: type[ExchangeError]
) -> None:
    with played() as one, played() as other:
        for exchange, script in zip((one, other), scripts, strict=True):
            exchange.script(KLINES, script * 20)
        await failure(make_source(one.url, other.url), kind)


async def test_unreachable_hosts_are_reported_in_time() -> None:
    error = await failure(make_source(closed_port(), closed_port()), ExchangeUnavailable)
    assert error.message == "The exchange could not be reached."


@pytest.mark.parametrize("answer", ["[]", "{}", '{"symbols": 5}', '{"symbols": [1]}', "half"])
async def test_invalid_list_of_symbols_is_refused(answer: str) -> None:
    with played() as exchange:
        exchange.script(EXCHANGE_INFO, [faults.not_klines(answer)] * 20)
        source = make_source(exchange.url)
        with pytest.raises(ExchangeRefused):
            await source.listings()
        await source.close()
