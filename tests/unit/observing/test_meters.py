"""Check what queues, stores, the exchange's client and the sandbox count, as `/metrics` shows it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from src.bars.clock import SystemClock
from src.binance.client import BinanceApi
from src.concurrency.fair_queue import FairQueue, Refusals
from src.domain.errors import Busy, ServiceError, StoreUnavailable
from src.observing.meters import ChildEnd
from src.observing.prometheus_meters import PrometheusMeters
from src.sandbox.tasks import Outcome
from src.stores.measured import measure_store
from tests.exchange import KLINES, LoopbackExchange
from tests.exchange_faults import cut_connection, server_error, too_many_requests
from tests.market import random_bars

REFUSALS = Refusals(full="full {retry}", late="late {retry}", closed=lambda: Busy("closed"))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def meters(registry: CollectorRegistry) -> PrometheusMeters:
    return PrometheusMeters(registry)


def values_of(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """Return the values above 0 of a metric, by the last of its labels."""
    samples = (sample for metric in registry.collect() for sample in metric.samples if sample.name == name)
    return {[*sample.labels.values()][-1]: sample.value for sample in samples if sample.value}


async def test_queue_shows_running_and_waiting(registry: CollectorRegistry, meters: PrometheusMeters) -> None:
    queue = FairQueue(slots=1, max_waiting=2, max_wait_s=None, refusals=REFUSALS, meter=meters.queue("backtests"))

    async def call() -> None:
        async with queue.slot("ann"):
            await asyncio.sleep(0)

    async with queue.slot("bob"):
        waiting = [asyncio.create_task(call()) for _ in range(2)]
        await asyncio.sleep(0)
        assert values_of(registry, "queue_running") == {"backtests": 1}
        assert values_of(registry, "queue_waiting") == {"backtests": 2}
        waiting.pop().cancel()
        await asyncio.sleep(0)
        assert values_of(registry, "queue_waiting") == {"backtests": 1}
    await asyncio.gather(*waiting)
    assert values_of(registry, "queue_running") == values_of(registry, "queue_waiting") == {}


async def test_queue_counts_each_kind_of_refusal_once(registry: CollectorRegistry, meters: PrometheusMeters) -> None:
    queue = FairQueue(slots=1, max_waiting=2, max_wait_s=0.05, refusals=REFUSALS, meter=meters.queue("models"))

    async def call(user: str) -> None:
        with suppress(Busy):
            async with queue.slot(user):
                pass

    async with queue.slot("zoe"):
        waiting = [asyncio.create_task(call("ann")) for _ in range(2)]
        await asyncio.sleep(0)
        await call("ann")  # the queue is full
        waiting.append(asyncio.create_task(call("bob")))  # displaces the second of ann
        await asyncio.sleep(0)
        await asyncio.gather(*waiting)  # the two that are left wait too long
        queue.close()
        await call("ann")
    assert values_of(registry, "queue_refusals_total") == {"full": 1, "displaced": 1, "late": 2, "closed": 1}


class Store:
    """A store with one method of each kind."""

    def __init__(self) -> None:
        self.closed = False

    async def save(self, value: int, *, twice: bool = False) -> int:
        await asyncio.sleep(0.002)
        return value * (2 if twice else 1)

    async def get(self, error: Exception) -> None:
        raise error

    async def chunks(self) -> AsyncIterator[int]:
        yield 1

    def name(self) -> str:
        return "store"


async def test_store_is_timed_and_does_what_it_did(registry: CollectorRegistry, meters: PrometheusMeters) -> None:
    store = measure_store(Store(), "results", meters.stores)
    assert [await store.save(3), await store.save(3, twice=True)] == [3, 6]
    assert [chunk async for chunk in store.chunks()] == [1]
    assert store.name() == "store"
    assert values_of(registry, "store_operation_duration_seconds_count") == {"save": 2}
    assert 0.004 <= values_of(registry, "store_operation_duration_seconds_sum")["save"] < 5


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreUnavailable("away"), "STORE_UNAVAILABLE"), (Busy("full"), "BUSY"), (RuntimeError("bug"), "OTHER")],
)
async def test_store_error_is_counted_by_code_and_raised(
    registry: CollectorRegistry, meters: PrometheusMeters, error: Exception, code: str
) -> None:
    store = measure_store(Store(), "jobs", meters.stores)
    with pytest.raises(type(error)):
        await store.get(error)
    assert values_of(registry, "store_errors_total") == {code: 1}
    assert values_of(registry, "store_operation_duration_seconds_count") == {"get": 1}


async def test_exchange_requests_are_counted_by_status_and_weight(
    registry: CollectorRegistry, meters: PrometheusMeters
) -> None:
    async def no_sleep(_: float) -> None:
        return

    with LoopbackExchange([random_bars(5, seed=1, interval="1d")]) as exchange:
        exchange.script(KLINES, [server_error(), server_error(599), cut_connection(), too_many_requests(1)])
        api = BinanceApi(
            base_urls=[exchange.url],
            timeout_s=5.0,
            weight_per_minute=1000,
            clock=SystemClock(),
            sleep=no_sleep,
            meter=meters.exchange,
        )
        try:
            with suppress(ServiceError):
                params = {"symbol": "BTCUSDT", "interval": "1d"}
                await api.get(KLINES, params, weight=2, until=api.until(60), max_bytes=10**6, read=lambda page: page)
        finally:
            await api.close()
        asked = len(exchange.asked)
    counted = values_of(registry, "exchange_responses_total")
    assert {name: counted[name] for name in ("500", "other", "unreachable", "429")} == {
        "500": 1, "other": 1, "unreachable": 1, "429": 1,
    }  # fmt: skip
    assert sum(counted.values()) == asked
    assert registry.get_sample_value("exchange_weight_total") == 2 * asked
    assert registry.get_sample_value("exchange_used_weight") > 0


@pytest.mark.parametrize(
    ("wait_status", "end"),
    [
        (None, ChildEnd.DEADLINE),
        (signal.SIGSYS, ChildEnd.SIGNAL),
        (signal.SIGKILL | 0x80, ChildEnd.SIGNAL),
        (3 << 8, ChildEnd.EXITED),
        (0, ChildEnd.REPLIED),
    ],
)
def test_end_of_a_child_is_read_from_its_wait_status(wait_status: int | None, end: ChildEnd) -> None:
    assert Outcome(wait_status=wait_status, reply=b"").end is end


def test_series_exist_before_anything_happens(registry: CollectorRegistry, meters: PrometheusMeters) -> None:
    meters.queue("backtests")
    found = {(sample.name, *sample.labels.values()) for metric in registry.collect() for sample in metric.samples}
    assert {
        ("queue_refusals_total", "backtests", "full"),
        ("sandbox_children_total", "deadline"),
        ("exchange_responses_total", "429"),
        ("queue_waiting", "backtests"),
    } <= found
