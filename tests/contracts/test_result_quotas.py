"""What every result store deletes: results beyond a user's quota, and old ones."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from src.domain.errors import ResultNotFound, TooLarge
from src.domain.runs import BacktestResult
from src.ports.stores import ResultStore
from tests.contracts.result_stores import OpenStore, ids_of_pages, quota
from tests.factories import START_MS, make_result


async def test_full_quota_deletes_the_users_oldest_results(open_store: OpenStore) -> None:
    store = open_store(quota(max_results=3))
    await store.save(make_result(id="other", user_id="bob", created_ms=START_MS))
    for number in range(5):
        await store.save(make_result(id=f"result-{number}", created_ms=START_MS + number))
        expected = [f"result-{kept}" for kept in range(number, max(-1, number - 3), -1)]
        assert await ids_of_pages(store, first=10, user_id="alice") == [expected]
    assert await ids_of_pages(store, first=10, user_id="bob") == [["other"]]
    with pytest.raises(ResultNotFound):
        await store.get("result-1")


async def test_new_result_with_slow_clock_is_not_deleted(open_store: OpenStore) -> None:
    store = open_store(quota(max_results=2))
    for name, created_ms in (("a", 20), ("b", 30), ("late", 10)):
        await store.save(make_result(id=name, created_ms=START_MS + created_ms))
    assert await ids_of_pages(store, first=10) == [["b", "late"]]


async def test_bytes_of_a_user_stay_within_the_quota(open_store: OpenStore) -> None:
    def large(name: str, created_ms: int) -> BacktestResult:
        close = np.random.default_rng(created_ms).random(20_000)  # 160 KB that do not compress
        return make_result(20_000, id=name, close=close, created_ms=START_MS + created_ms)

    store = open_store(quota(max_bytes=900_000))
    for number in range(4):
        await store.save(large(f"large-{number}", number))
    await store.save(make_result(id="small", created_ms=START_MS + 10))
    [names] = await ids_of_pages(store, first=10)
    assert names[0] == "small"
    assert 1 <= len(names) - 1 < 4
    assert names[1:] == [f"large-{number}" for number in range(3, 4 - len(names), -1)]
    strict = open_store(quota(max_bytes=50_000))
    with pytest.raises(TooLarge, match=r"Maximum for all results of a user: .* MiB \(MAX_RESULT_MB_PER_USER\)"):
        await strict.save(large("too-large", 20))
    assert await ids_of_pages(strict, first=10) == [names]
    await strict.save(make_result(id="smaller", created_ms=START_MS + 30))
    assert await ids_of_pages(strict, first=10) == [["smaller", "small"]]


async def test_many_saves_at_once_stay_within_the_quota(open_store: OpenStore) -> None:
    stores = [open_store(quota(max_results=5)) for _ in range(3)]
    results = [make_result(id=f"{number:02}", created_ms=START_MS + number) for number in range(24)]
    await asyncio.gather(*(stores[number % 3].save(result) for number, result in enumerate(results)))
    await stores[0].save(make_result(id="last", created_ms=START_MS + 100))
    [names] = await ids_of_pages(stores[0], first=50)
    assert names[0] == "last"
    assert len(names) == 5
    assert len(await stores[0].summaries(names)) == 5


async def test_results_made_before_a_time_are_deleted(store: ResultStore) -> None:
    for number in range(130):
        await store.save(make_result(id=f"{number:03}", user_id=f"user-{number % 2}", created_ms=START_MS + number))
    assert await store.delete_older(START_MS) == 0
    assert await store.delete_older(START_MS + 120) == 120
    assert await ids_of_pages(store, first=50) == [[f"{number:03}" for number in range(129, 119, -1)]]


async def test_usage_counts_results_and_bytes(store: ResultStore) -> None:
    empty = await store.usage()
    assert empty.results == 0
    for name in "ab":
        await store.save(make_result(50_000, id=name, close=np.random.default_rng(1).random(50_000)))
    used = await store.usage()
    assert used.results == 2
    assert used.size_bytes - empty.size_bytes > 2 * 400_000
