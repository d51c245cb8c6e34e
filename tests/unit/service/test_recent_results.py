"""Large results are kept for a short time: read once, never served after they are deleted, bounded in bytes."""

from __future__ import annotations

import asyncio

import pytest

from src.domain.errors import ResultNotFound
from src.domain.runs import BacktestResult
from src.service.recent_results import RecentResults
from tests.factories import make_result

BARS = 1000
BYTES = sum(
    array.nbytes
    for result in [make_result(BARS)]
    for array in (
        result.time_ms, result.close, result.signals.action, result.simulation.equity, result.simulation.cash,
        result.simulation.position, result.simulation.fills, result.simulation.trades,
    )
)  # fmt: skip


class CountedStore:
    """A store that counts how often it reads."""

    def __init__(self, *ids: str) -> None:
        self.results = {name: make_result(BARS, id=name) for name in ids}
        self.read: list[str] = []

    async def get(self, name: str) -> BacktestResult:
        self.read.append(name)
        result = self.results[name]
        await asyncio.sleep(0)
        return result

    async def owner(self, name: str) -> None:
        if name not in self.results:
            raise ResultNotFound("gone")


def getting(recent: RecentResults, store: CountedStore, name: str = "a") -> asyncio.Task[BacktestResult]:
    found = recent.get(name, read=lambda: store.get(name), check_exists=lambda: store.owner(name))
    return asyncio.ensure_future(found)


async def test_large_result_is_read_once() -> None:
    recent, store = RecentResults(min_bytes=BYTES), CountedStore("a")
    found = await asyncio.gather(*(getting(recent, store) for _ in range(3)))
    assert await getting(recent, store) is found[0] is found[2] is store.results["a"]
    assert store.read == ["a"]


async def test_small_or_oversized_result_is_not_kept() -> None:
    for recent in (RecentResults(min_bytes=BYTES + 1), RecentResults(min_bytes=1, max_bytes=BYTES - 1)):
        store = CountedStore("a")
        await getting(recent, store)
        await getting(recent, store)
        assert store.read == ["a", "a"]


async def test_deleted_result_is_not_served_though_kept() -> None:
    recent, store = RecentResults(min_bytes=1), CountedStore("a")
    await getting(recent, store)
    store.results.clear()
    for _ in range(2):
        with pytest.raises((ResultNotFound, KeyError)):
            await getting(recent, store)
    assert store.read == ["a", "a"], "it is forgotten once it is found to be gone"


async def test_result_deleted_during_read_is_not_served() -> None:
    recent, store = RecentResults(min_bytes=1), CountedStore("a")
    first = getting(recent, store)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.read == ["a"] and not first.done()
    store.results.clear()
    with pytest.raises(ResultNotFound):
        await first


async def test_oldest_results_make_room() -> None:
    recent, store = RecentResults(min_bytes=1, max_bytes=2 * BYTES), CountedStore("a", "b", "c")
    for name in ("a", "b", "a", "c", "a", "b"):
        await getting(recent, store, name)
    assert store.read == ["a", "b", "c", "b"]


async def test_unread_result_is_forgotten_after_a_while() -> None:
    recent, store = RecentResults(min_bytes=1, idle_s=0.0), CountedStore("a")
    await getting(recent, store)
    await asyncio.sleep(0.001)  # timers that are due run before this one
    await getting(recent, store)
    assert store.read == ["a", "a"]
