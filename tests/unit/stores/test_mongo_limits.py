"""The exchange's limits shared by hosts: one minute's weight for all, bans seen by all, and MongoDB may be away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from src.binance.exchange_ban import ExchangeBan
from src.binance.weight import WeightBudget
from src.domain.errors import ExchangeUnavailable
from src.stores.mongo_connection import MongoDatabase
from src.stores.mongo_driver import DriverName
from src.stores.mongo_limits import DEFAULT_TIMEOUT_S, MongoLimits
from tests.clocks import Stopwatch
from tests.mongo_server import MongoServer, driver_of, running_mongo_server

START_MS = 1_700_000_040_000 // 60_000 * 60_000
PATIENCE_S = 30.0
OpenHost = Callable[..., MongoLimits]


@pytest.fixture
def server() -> Iterator[MongoServer]:
    with running_mongo_server("limits") as running:
        yield running


@pytest.fixture
def clock() -> Stopwatch:
    """The time of all hosts; it begins with a minute."""
    return Stopwatch()


@pytest.fixture(params=["motor", "pymongo"])
def driver(request: pytest.FixtureRequest) -> DriverName:
    return driver_of(request.param)


@pytest.fixture
async def open_host(
    server: MongoServer, clock: Stopwatch, driver: DriverName, tmp_path: Path
) -> AsyncIterator[OpenHost]:
    opened = []

    def open_one(name: str = "a", *, ahead_ms: int = 0, timeout_s: float = PATIENCE_S) -> MongoLimits:
        opened.append(MongoDatabase(server.uri, "limits", driver=driver))
        local = ExchangeBan(tmp_path / name / "ban", now_s=lambda: START_MS / 1000 + clock.now_s)
        return MongoLimits(
            local,
            opened[-1],
            "spot",
            now_ms=lambda: START_MS + round(clock.now_s * 1000) + ahead_ms,
            monotonic=lambda: clock.now_s,
            timeout_s=timeout_s,
        )

    yield open_one
    for database in opened:
        await database.close()


async def told(server: MongoServer) -> None:
    """Wait until a pause is in the database."""
    deadline_s = time.monotonic() + 10
    while not server.client["limits"]["exchange_limits"].find_one({"paused_until_ms": {"$exists": True}}):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


async def test_weight_of_a_minute_is_of_all_hosts(open_host: OpenHost, clock: Stopwatch) -> None:
    clock.now_s = 0.0
    hosts = [open_host(name) for name in "abc"]
    waits = await asyncio.gather(*(hosts[number % 3].reserve(2, per_minute=20) for number in range(15)))
    assert waits.count(0.0) == 10
    assert {wait for wait in waits if wait} == {60.0}
    clock.now_s = 45.0
    assert await hosts[0].reserve(2, per_minute=20) == 15.0
    clock.now_s = 60.0
    assert await hosts[0].reserve(2, per_minute=20) == 0.0


async def test_clock_behind_counts_in_the_newest_minute(open_host: OpenHost, clock: Stopwatch) -> None:
    clock.now_s = 0.0
    ahead, behind = open_host("a", ahead_ms=1), open_host("b", ahead_ms=-1)
    assert await ahead.reserve(8, per_minute=10) == 0.0
    assert await behind.reserve(8, per_minute=10) == pytest.approx(60.001)


async def test_heavy_request_alone_is_let_through(open_host: OpenHost) -> None:
    assert await open_host().reserve(40, per_minute=10) == 0.0
    assert await open_host("b").reserve(1, per_minute=10) > 0


async def test_ban_of_one_host_stops_the_others(
    open_host: OpenHost, server: MongoServer, clock: Stopwatch, tmp_path: Path
) -> None:
    clock.now_s = 0.0
    here, there = open_host("a"), open_host("b")
    budget = WeightBudget(100, shared=there, monotonic=clock, sleep=clock.sleep)
    await budget.spend(1, until=clock.now_s)
    here.extend(300)
    here.extend(20)
    await told(server)
    with pytest.raises(ExchangeUnavailable, match=r"told us to send no requests.*Retry in 300 s\.") as caught:
        await budget.spend(1, until=clock.now_s + 30)
    assert caught.value.retry_after_s == 300
    with pytest.raises(ExchangeUnavailable, match="told us to send no requests"):
        budget.ensure_open(until=clock.now_s + 30)
    other_process = ExchangeBan(tmp_path / "b" / "ban", now_s=lambda: START_MS / 1000 + clock.now_s)
    assert other_process.left_s() == pytest.approx(300)
    await budget.spend(1, until=clock.now_s + 400)
    assert sum(clock.slept) == pytest.approx(300, abs=1)


async def test_ban_of_a_wrong_clock_is_not_obeyed(open_host: OpenHost, server: MongoServer) -> None:
    server.client["limits"]["exchange_limits"].insert_one(
        {"_id": "spot", "minute": 0, "used": 0, "counted": "", "paused_until_ms": START_MS * 2}
    )
    host = open_host()
    assert await host.reserve(1, per_minute=10) == 0.0
    assert host.left_s() <= 0


async def test_budget_waits_for_the_next_minute(open_host: OpenHost, clock: Stopwatch) -> None:
    clock.now_s = 0.0
    assert await open_host("a").reserve(10, per_minute=10) == 0.0
    budget = WeightBudget(10, shared=open_host("b"), monotonic=clock, sleep=clock.sleep)
    with pytest.raises(ExchangeUnavailable, match=r"used up its share.*Retry in 60 s\."):
        await budget.spend(4, until=30.0)
    await budget.spend(4, until=100.0)
    assert clock.now_s == pytest.approx(60.0)
    await budget.spend(4, until=60.5)  # what was refused above is not counted


async def test_silent_database_is_left_alone_and_logged_once(
    open_host: OpenHost, server: MongoServer, clock: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock.now_s = 120.0
    host = open_host(timeout_s=DEFAULT_TIMEOUT_S)
    assert await host.reserve(1, per_minute=1) == 0.0
    server.hang_up_before = lambda name, body: True
    for _ in range(5):
        assert await host.reserve(1, per_minute=1) == 0.0
    clock.now_s += 11
    assert await host.reserve(1, per_minute=1) == 0.0
    assert caplog.text.count("exchange limits not shared with other hosts") == 1
    server.hang_up_before = lambda name, body: False
    assert await host.reserve(1, per_minute=1) == 0.0
    deadline_s = time.monotonic() + 20
    while not await host.reserve(1, per_minute=1):
        clock.now_s = 120.0 if clock.now_s > 165 else clock.now_s + 11  # the driver looks for the server again
        host._silent_until_s = 0.0
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.1)
    assert caplog.text.count("exchange limits shared with other hosts again") == 1


async def test_stalled_database_delays_one_request_only(open_host: OpenHost, server: MongoServer) -> None:
    host = open_host(timeout_s=DEFAULT_TIMEOUT_S)
    assert await host.reserve(1, per_minute=10) == 0.0
    server.stall_before = lambda name, body: name == "findAndModify"
    started_s = time.monotonic()
    for _ in range(5):
        assert await host.reserve(1, per_minute=10) == 0.0
    assert time.monotonic() - started_s < 1.5
    server.stopping.set()
