"""What every result store does with a result: save, read, delete. One suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from src.domain.errors import Conflict, ResultNotFound, StoreUnavailable
from src.domain.judgement import LedgerSnapshot, SampleResult
from src.domain.signals import Signals, StrategyDescription
from src.domain.trials import TrialStatistics
from src.domain.verdict import VerdictLevel
from src.ports.stores import ResultStore
from tests.contracts.result_stores import ids_of_pages
from tests.equality import assert_identical
from tests.factories import START_MS, make_metrics, make_result
from tests.judgements import make_judgement


async def test_result_is_read_back_to_the_bit(store: ResultStore) -> None:
    probability = np.array([np.nan, 0.25, -0.0, np.inf, 5e-324, 1.0, 0.5, 0.1 + 0.2, np.nan, 0.0])
    signals = Signals(
        action=np.zeros(10, dtype=np.int8),
        strategy=StrategyDescription(
            name="модель", parameters={"columns": ("Open", "Close"), "threshold": 0.5, "kind": None, "wide": 2**80}
        ),
        probability=probability,
    )
    result = make_result(signals=signals, warnings=("price gap €",), created_ms=START_MS + 2**40)
    await store.save(result)
    assert_identical(await store.get(result.id), result)


async def test_judged_result_is_read_back_whole(store: ResultStore) -> None:
    judgement = make_judgement()
    statistics = TrialStatistics(trials=3, average_correlation=0.1 + 0.2, t_variance=5e-324)
    result = make_result(
        verdict_level=judgement.verdict.level,
        out_of_sample_level=VerdictLevel.DOUBTFUL,
        judgement=judgement,
        in_sample=SampleResult(metrics=make_metrics(), judgement=None),
        out_of_sample=SampleResult(metrics=make_metrics(bars=9), judgement=judgement),
        ledger=LedgerSnapshot(
            total=statistics, active=statistics, total_before=statistics, active_before=statistics,
            head_before="", head_after="ab" * 32,
        ),
    )  # fmt: skip
    await store.save(result)
    assert_identical(await store.get(result.id), result)
    [summary] = await store.summaries([result.id])
    assert (summary.verdict_level, summary.out_of_sample_level) == (VerdictLevel.DISPROVED, VerdictLevel.DOUBTFUL)


async def test_summary_is_the_result_without_its_tables(store: ResultStore) -> None:
    result = make_result(warnings=("one", "two"))
    await store.save(result)
    [summary] = await store.summaries([result.id])
    for name in ("id", "created_ms", "request", "metrics", "origin", "warnings"):
        assert_identical(getattr(summary, name), getattr(result, name))


async def test_summaries_come_in_the_order_asked_for(store: ResultStore) -> None:
    for name in "abc":
        await store.save(make_result(id=name))
    assert [summary.id for summary in await store.summaries(["c", "a", "c", "b"])] == ["c", "a", "c", "b"]
    assert list(await store.summaries([])) == []
    with pytest.raises(ResultNotFound, match="'missing'"):
        await store.summaries(["a", "missing", "b"])


@pytest.mark.parametrize("result_id", ["missing", "", "x" * 5000, "\ud800", "a\0b", "' OR 1=1 --", '{"$gt": ""}'])
async def test_unknown_id_is_not_found(store: ResultStore, result_id: str) -> None:
    await store.save(make_result())
    with pytest.raises(ResultNotFound):
        await store.get(result_id)
    with pytest.raises(ResultNotFound):
        await store.summaries([result_id])
    with pytest.raises(ResultNotFound):
        await store.delete(result_id)
    assert await ids_of_pages(store, first=10) == [["result-1"]]


async def test_same_id_is_stored_only_once(store: ResultStore) -> None:
    result = make_result()
    await store.save(result)
    with pytest.raises(Conflict):
        await store.save(make_result(bars=20))
    assert_identical(await store.get(result.id), result)


async def test_deleted_result_frees_its_id(store: ResultStore) -> None:
    await store.save(make_result())
    await store.save(make_result(id="other"))
    await store.delete("result-1")
    with pytest.raises(ResultNotFound):
        await store.get("result-1")
    with pytest.raises(ResultNotFound):
        await store.delete("result-1")
    assert await ids_of_pages(store, first=10) == [["other"]]
    again = make_result(bars=30)
    await store.save(again)
    assert_identical(await store.get("result-1"), again)


async def test_million_bars_are_read_back_to_the_bit(store: ResultStore) -> None:
    bars = 1_000_001
    noise = np.random.default_rng(7)
    signals = Signals(
        action=noise.integers(-1, 2, bars, dtype=np.int8),
        strategy=StrategyDescription(name="noise"),
        probability=noise.random(bars),
    )
    result = make_result(bars, close=noise.random(bars), signals=signals)
    await store.save(result)
    assert_identical(await store.get(result.id), result)
    await store.delete(result.id)


async def test_many_at_once(store: ResultStore) -> None:
    names = [f"{number:02}" for number in range(20)]
    await asyncio.gather(*(store.save(make_result(id=name)) for name in names))
    read = await asyncio.gather(*(store.get(name) for name in names))
    assert [result.id for result in read] == names


async def test_cancelled_save_is_stored_whole_or_not(store: ResultStore) -> None:
    assert await store.is_reachable()
    for number in range(10):
        task = asyncio.create_task(store.save(make_result(200, id=str(number))))
        await asyncio.sleep(number * 0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await store.save(make_result(id="after"))  # nothing of the cancelled save is in the way
    [ids] = await ids_of_pages(store, first=50)
    assert "after" in ids
    for result_id in ids:
        assert_identical(await store.get(result_id), make_result(10 if result_id == "after" else 200, id=result_id))


async def test_closed_store_raises_store_unavailable(store: ResultStore) -> None:
    await store.save(make_result())
    assert await store.is_reachable()
    await store.close()
    await store.close()
    assert not await store.is_reachable()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get("result-1")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.save(make_result(id="late"))
