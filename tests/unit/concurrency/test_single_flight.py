from __future__ import annotations

import asyncio

import pytest

from src.concurrency.single_flight import SingleFlight


class Work:
    """Something slow that counts how often it is begun and how it ends."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.failure: Exception | None = None

    async def do(self) -> int:
        self.begun += 1
        number = self.begun
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return number


@pytest.fixture
async def work() -> Work:
    return Work()


async def begin(runs: SingleFlight[str, int], work: Work, count: int, key: str = "key") -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(runs.run(key, work.do)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_equal_keys_at_same_time_share_run(work: Work) -> None:
    tasks = await begin(SingleFlight(), work, 5)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1] * 5


async def test_other_keys_and_later_calls_run_anew(work: Work) -> None:
    runs: SingleFlight[str, int] = SingleFlight()
    tasks = await begin(runs, work, 1, "one") + await begin(runs, work, 1, "two")
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1, 2]
    assert await runs.run("one", work.do) == 3


async def test_failure_reaches_all_callers_and_is_forgotten(work: Work) -> None:
    runs: SingleFlight[str, int] = SingleFlight()
    tasks = await begin(runs, work, 3)
    work.failure = LookupError("broken")
    work.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [repr(outcome) for outcome in outcomes] == ["LookupError('broken')"] * 3
    work.failure = None
    assert await runs.run("key", work.do) == 2


async def test_cancelled_caller_does_not_end_shared_run(work: Work) -> None:
    first, second, third = await begin(SingleFlight(), work, 3)
    first.cancel()
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.gate.set()
    assert await second == 1
    assert (work.begun, work.cancelled) == (1, 0)


async def test_last_cancelled_caller_waits_for_end_of_run(work: Work) -> None:
    runs: SingleFlight[str, int] = SingleFlight()
    tasks = await begin(runs, work, 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert (work.begun, work.cancelled) == (1, 1)
    work.gate.set()
    assert await runs.run("key", work.do) == 2


async def test_needed_starter_waits_for_end_of_run(work: Work) -> None:
    runs: SingleFlight[str, int] = SingleFlight()
    starter = asyncio.create_task(runs.run("key", work.do, needs_starter=True))
    await asyncio.sleep(0)
    other = asyncio.create_task(runs.run("key", work.do, needs_starter=True))
    await asyncio.sleep(0)
    starter.cancel()
    await asyncio.sleep(0.01)
    assert not starter.done()
    work.gate.set()
    assert await other == 1
    with pytest.raises(asyncio.CancelledError):
        await starter


async def test_needed_starter_alone_is_cancelled_at_once(work: Work) -> None:
    starter = asyncio.create_task(SingleFlight[str, int]().run("key", work.do, needs_starter=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starter
    assert work.cancelled == 1


async def test_run_that_is_being_cancelled_is_not_joined(work: Work) -> None:
    runs: SingleFlight[str, int] = SingleFlight()
    slow, release = asyncio.Event(), asyncio.Event()

    async def end_slowly() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            slow.set()
            await release.wait()
        return 0

    first = asyncio.create_task(runs.run("key", end_slowly))
    await asyncio.sleep(0.01)
    first.cancel()
    await slow.wait()
    second = await begin(runs, work, 1)
    release.set()
    work.gate.set()
    assert await asyncio.gather(*second) == [1]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_other_key_joins_the_run_that_serves_it(work: Work) -> None:
    runs: SingleFlight[int, int] = SingleFlight(lambda running, wanted: wanted <= running)
    tasks = [asyncio.create_task(runs.run(key, work.do)) for key in (5, 3, 6)]
    await asyncio.sleep(0.01)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1, 1, 2]


async def test_closing_cancels_every_run(work: Work) -> None:
    runs: SingleFlight[str, int] = SingleFlight()
    tasks = await begin(runs, work, 2, "one") + await begin(runs, work, 1, "two")
    await runs.close()
    assert (work.begun, work.cancelled) == (2, 2)
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True))
