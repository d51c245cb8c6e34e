"""Submit jobs, and find them again: one suite over SQLite and MongoDB."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from src.domain.errors import Conflict, InvalidInput, JobNotFound
from src.domain.jobs import (
    JobKind,
    JobState,
)
from src.domain.walk_forward import WalkForwardRequest
from src.ports.jobs import JobStore
from tests.contracts.stored_jobs import OpenStore
from tests.factories import START_MS, make_request
from tests.jobs import ENOUGH, contents, make_job, make_sweep, submit
from tests.portfolios import make_portfolio


async def test_submitted_job_is_read_back(open_store: OpenStore) -> None:
    job = make_job(total=100, warnings=("one", "two"))
    request = make_sweep(1000)
    stored = await open_store().submit(job, request, idempotency=None, quota=ENOUGH)
    again = open_store()
    assert stored == await again.get(job.id) == job
    assert await again.read_request(job.id) == request
    assert await again.owner(job.id) == "ann"
    assert await again.read_conclusion(job.id) is None
    assert await again.spans(job.id) == []
    assert await contents(again, job.id) == []
    assert await again.get_many([job.id, "other"]) == {job.id: job}


@pytest.mark.parametrize("kind", [JobKind.WALK_FORWARD, JobKind.BACKTEST, JobKind.PORTFOLIO])
async def test_every_kind_of_request_is_read_back(store: JobStore, kind: JobKind) -> None:
    request: Any = make_request()
    if kind is JobKind.WALK_FORWARD:
        request = WalkForwardRequest(sweep=make_sweep(), train_bars=100, test_bars=20)
    elif kind is JobKind.PORTFOLIO:
        request = make_portfolio()
    job = await store.submit(make_job(kind=kind), request, idempotency=None, quota=ENOUGH)
    assert await store.read_request(job.id) == request


async def test_unknown_job_is_not_found(store: JobStore) -> None:
    for job_id in ("other", "", "x" * 1000, "\ud800"):
        for call in (store.get, store.owner, store.read_request, store.read_conclusion, store.delete):
            with pytest.raises(JobNotFound):
                await call(job_id)
        with pytest.raises(JobNotFound):
            await store.cancel(job_id, now_ms=START_MS)
        with pytest.raises(JobNotFound):
            await store.resume(job_id, quota=ENOUGH)
        with pytest.raises(JobNotFound):
            await contents(store, job_id)
    assert await store.spans("other") == []
    assert await store.get_many(["other", "\ud800"]) == {}


async def test_equal_key_returns_the_earlier_job(open_store: OpenStore) -> None:
    first = await submit(open_store(), key="k")
    assert await submit(open_store(), key="k") == first
    with pytest.raises(Conflict, match="another request"):
        await submit(open_store(), key="k", digest="1")
    assert (await submit(open_store(), key="k", user_id="bob")).id != first.id
    await open_store().delete(first.id)
    assert (await submit(open_store(), key="k", digest="1")).id != first.id


async def test_concurrent_equal_keys_make_one_job(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(4)]
    jobs = await asyncio.gather(*(submit(store, key="k") for store in stores for _ in range(3)))
    assert len({job.id for job in jobs}) == 1
    assert len((await stores[0].list(user_id="ann", first=100, after=None)).jobs) == 1


async def test_lists_are_paged_newest_first(store: JobStore) -> None:
    jobs = [await submit(store, created_ms=START_MS + number // 2) for number in range(7)]
    await submit(store, user_id="bob")
    await store.cancel(jobs[3].id, now_ms=START_MS)
    expected = sorted(jobs, key=lambda job: (job.created_ms, job.id), reverse=True)
    found: list[str] = []
    after = None
    while True:
        page = await store.list(user_id="ann", first=3, after=after)
        found += [job.id for job in page.jobs]
        after = page.next_cursor
        if after is None:
            break
    assert found == [job.id for job in expected]
    cancelled = await store.list(user_id="ann", first=3, after=None, state=JobState.CANCELLED)
    assert [job.id for job in cancelled.jobs] == [jobs[3].id]
    for first, cursor in ((0, None), (101, None), (1, "x")):
        with pytest.raises(InvalidInput):
            await store.list(user_id="ann", first=first, after=cursor)
    assert (await store.list(user_id="\ud800", first=3, after=None)).jobs == ()
