"""Streams of jobs: what they yield, when they end, and how many there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import pytest

from src.api.job_streams import JobStreams
from src.domain.errors import Busy, job_not_found
from src.domain.jobs import Job, JobState
from src.service.jobs import JobService
from tests.jobs import make_job


class Jobs:
    """Jobs whose states a test sends; None deletes the job."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[Job | None] = asyncio.Queue()
        self.watching = 0

    async def watch(self, job_id: str) -> AsyncGenerator[Job, None]:
        self.watching += 1
        try:
            while True:
                job = await self.coming.get()
                if job is None:
                    raise job_not_found(job_id)
                yield job
                if job.state.is_final:
                    return
        finally:
            self.watching -= 1


def follow(streams: JobStreams, jobs: Jobs, *, user_id: str = "ann", idle_s: float = 60.0) -> Any:
    return streams.follow(cast("JobService", jobs), "job", user_id, idle_s=idle_s)


async def rest_of(states: Any) -> list[Job | None]:
    async with asyncio.timeout(10):
        return [state async for state in states]


async def test_stream_yields_states_until_the_final_one() -> None:
    jobs, running, done = Jobs(), make_job(state=JobState.RUNNING), make_job(state=JobState.SUCCEEDED)
    for job in (running, done):
        jobs.coming.put_nowait(job)
    assert await rest_of(follow(JobStreams(), jobs)) == [running, done]
    assert jobs.watching == 0


async def test_silent_job_yields_none_each_time() -> None:
    jobs = Jobs()
    async with aclosing(follow(JobStreams(), jobs, idle_s=0.01)) as states:
        assert [await anext(states), await anext(states)] == [None, None]
        jobs.coming.put_nowait(make_job(state=JobState.FAILED))
        assert (await rest_of(states))[-1] is not None
    assert jobs.watching == 0


async def test_deleted_job_ends_its_stream() -> None:
    jobs = Jobs()
    jobs.coming.put_nowait(None)
    assert await rest_of(follow(JobStreams(), jobs)) == []


async def test_stopping_process_ends_streams_and_refuses_more() -> None:
    streams, jobs = JobStreams(), Jobs()
    states = follow(streams, jobs)
    ending = asyncio.create_task(rest_of(states))
    await asyncio.sleep(0.05)
    streams.close()
    assert await ending == []
    assert jobs.watching == 0
    with pytest.raises(Busy, match="stopping"):
        streams.check_free("bob")


async def test_old_stream_ends() -> None:
    jobs = Jobs()
    assert await rest_of(follow(JobStreams(max_stream_s=0.05), jobs)) == []
    assert jobs.watching == 0


async def test_full_streams_refuse_another_until_one_ends() -> None:
    streams, jobs = JobStreams(max_streams=1), Jobs()
    jobs.coming.put_nowait(make_job(state=JobState.RUNNING))
    states = follow(streams, jobs)
    assert await anext(states)
    with pytest.raises(Busy, match="1 streams of jobs are open already"):
        streams.check_free("bob")
    await states.aclose()
    streams.check_free("bob")
    assert jobs.watching == 0


async def test_streams_of_one_user_leave_some_for_others() -> None:
    streams, jobs = JobStreams(max_streams_per_user=2), Jobs()
    open_ones = [follow(streams, jobs) for _ in range(2)]
    for states in open_ones:
        jobs.coming.put_nowait(make_job(state=JobState.RUNNING))
        assert await anext(states)
    with pytest.raises(Busy, match=r"^2 streams of this user's jobs are open already"):
        streams.check_free("ann")
    streams.check_free("bob")
    for states in open_ones:
        await states.aclose()
    streams.check_free("ann")


async def wait(streams: JobStreams, jobs: Jobs, *, wait_s: float, job: Job | None = None) -> Job:
    async with asyncio.timeout(10):
        return await streams.wait_for_end(cast("JobService", jobs), job or make_job(), wait_s=wait_s)


async def test_waiting_ends_with_the_job() -> None:
    jobs, done = Jobs(), make_job(state=JobState.SUCCEEDED)
    for job in (make_job(state=JobState.RUNNING), done):
        jobs.coming.put_nowait(job)
    assert await wait(JobStreams(), jobs, wait_s=60) == done
    assert jobs.watching == 0


async def test_wait_that_is_over_returns_the_job() -> None:
    jobs, running = Jobs(), make_job(state=JobState.RUNNING)
    jobs.coming.put_nowait(running)
    assert await wait(JobStreams(), jobs, wait_s=0.05) == running
    assert jobs.watching == 0


@pytest.mark.parametrize(("state", "wait_s"), [(JobState.QUEUED, 0.0), (JobState.FAILED, 60.0)])
async def test_nothing_is_waited_for_without_need(state: JobState, wait_s: float) -> None:
    jobs, job = Jobs(), make_job(state=state)
    assert await wait(JobStreams(), jobs, wait_s=wait_s, job=job) is job
    assert jobs.watching == 0


async def test_job_beyond_all_streams_is_not_waited_for() -> None:
    streams, jobs, job = JobStreams(max_streams=0), Jobs(), make_job()
    assert await wait(streams, jobs, wait_s=60, job=job) is job


async def test_canceled_wait_stops_watching() -> None:
    jobs = Jobs()
    waiting = asyncio.create_task(wait(JobStreams(), jobs, wait_s=60))
    await asyncio.sleep(0.05)
    assert jobs.watching == 1
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (waiting.cancelled(), jobs.watching) == (True, 0)


async def test_stopping_process_ends_waits() -> None:
    streams, jobs, job = JobStreams(), Jobs(), make_job()
    waiting = asyncio.create_task(wait(streams, jobs, wait_s=60, job=job))
    await asyncio.sleep(0.05)
    streams.close()
    assert await waiting is job
