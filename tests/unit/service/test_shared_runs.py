from __future__ import annotations

import asyncio

import pytest

from src.service.shared_runs import SharedRuns


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


async def begin(runs: SharedRuns[str, int], work: Work, count: int, key: str = "key") -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(runs.run(key, work.do)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_the_same_at_the_same_time_is_done_once(work: Work) -> None:
    tasks = await begin(SharedRuns(), work, 5)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1] * 5


async def test_other_keys_and_later_times_are_done_anew(work: Work) -> None:
    runs: SharedRuns[str, int] = SharedRuns()
    tasks = await begin(runs, work, 1, "one") + await begin(runs, work, 1, "two")
    work.gate.set()
    assert await asyncio.gather(*tasks) == [1, 2]
    assert await runs.run("one", work.do) == 3


async def test_a_failure_reaches_all_and_is_not_remembered(work: Work) -> None:
    runs: SharedRuns[str, int] = SharedRuns()
    tasks = await begin(runs, work, 3)
    work.failure = LookupError("broken")
    work.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [repr(outcome) for outcome in outcomes] == ["LookupError('broken')"] * 3
    work.failure = None
    assert await runs.run("key", work.do) == 2


async def test_one_who_leaves_takes_nothing_from_the_others(work: Work) -> None:
    first, second, third = await begin(SharedRuns(), work, 3)
    first.cancel()
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.gate.set()
    assert await second == 1
    assert (work.begun, work.cancelled) == (1, 0)


async def test_the_last_who_leaves_ends_the_run_before_he_is_gone(work: Work) -> None:
    runs: SharedRuns[str, int] = SharedRuns()
    tasks = await begin(runs, work, 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert (work.begun, work.cancelled) == (1, 1)
    work.gate.set()
    assert await runs.run("key", work.do) == 2


async def test_a_starter_whose_things_are_in_use_stays_until_the_end(work: Work) -> None:
    runs: SharedRuns[str, int] = SharedRuns()
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


async def test_a_starter_alone_does_not_stay(work: Work) -> None:
    starter = asyncio.create_task(SharedRuns[str, int]().run("key", work.do, needs_starter=True))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starter
    assert work.cancelled == 1
