"""Processor time: what is charged to whom, and what a user without any left may still do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from src.concurrency.paid_work import paid_by, payer
from src.domain.errors import RateLimited
from src.domain.rates import Rate, RateLimit
from src.jobs.threads import JobThreads
from src.rates.core_budget import LimitedCores
from src.rates.limiter import MovingWindowLimiter
from src.service.computing import ComputeQueue

LIMIT = RateLimit(rate=Rate.CORE_SECONDS, allowed=1, window_s=3600, setting="MAX_CORE_SECONDS_PER_HOUR")


@pytest.fixture
def limiter() -> MovingWindowLimiter:
    return MovingWindowLimiter([LIMIT])


@pytest.fixture
def budget(limiter: MovingWindowLimiter) -> LimitedCores:
    return LimitedCores(limiter)


@pytest.fixture
async def queue(budget: LimitedCores) -> AsyncIterator[ComputeQueue]:
    opened = ComputeQueue(threads=2, max_waiting=4, budget=budget)
    yield opened
    await opened.close()


def burn(seconds: float) -> float:
    """Use so many seconds of this thread's processor time, and return them."""
    started_s = time.thread_time()
    while time.thread_time() - started_s < seconds:
        pass
    return time.thread_time() - started_s


def used_by(limiter: MovingWindowLimiter, user_id: str) -> float:
    use = limiter.read_use(f"user {user_id}", Rate.CORE_SECONDS)
    assert use is not None
    return use.used


async def test_functions_are_charged_to_the_user_of_the_slot(queue: ComputeQueue, limiter: MovingWindowLimiter) -> None:
    async def run(user_id: str, seconds: float) -> None:
        async with queue.slot(user_id):
            await asyncio.gather(queue.run(burn, seconds), queue.run(burn, seconds))

    await asyncio.gather(run("ann", 0.1), run("bob", 0.02))
    assert used_by(limiter, "ann") == pytest.approx(0.2, abs=0.05)
    assert used_by(limiter, "bob") == pytest.approx(0.04, abs=0.02)


async def test_waiting_is_not_charged(queue: ComputeQueue, limiter: MovingWindowLimiter) -> None:
    async with queue.slot("ann"):
        await queue.run(time.sleep, 0.2)
    assert used_by(limiter, "ann") < 0.1


async def test_failed_function_is_charged(queue: ComputeQueue, limiter: MovingWindowLimiter) -> None:
    def fail() -> None:
        burn(0.05)
        raise ValueError

    async with queue.slot("ann"):
        with pytest.raises(ValueError):
            await queue.run(fail)
    assert used_by(limiter, "ann") > 0.04


async def test_cancelled_run_pays_until_its_thread_ends(queue: ComputeQueue, limiter: MovingWindowLimiter) -> None:
    async def run() -> None:
        async with queue.slot("ann"):
            await queue.run(burn, 0.3)

    running = asyncio.create_task(run())
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(10):
        while used_by(limiter, "ann") < 0.25:
            await asyncio.sleep(0.01)


async def test_new_run_without_time_left_is_refused(queue: ComputeQueue, budget: LimitedCores) -> None:
    budget.charge("ann", 1.5)
    with pytest.raises(RateLimited):
        async with queue.slot("ann"):
            pytest.fail("it got a slot")
    async with queue.slot("bob"):
        assert payer() == "bob"
    assert payer() is None


async def test_reading_without_time_left_is_allowed_and_charged(
    queue: ComputeQueue, budget: LimitedCores, limiter: MovingWindowLimiter
) -> None:
    budget.charge("ann", 1.5)
    async with queue.slot("ann", is_reading=True):
        await queue.run(burn, 0.05)
    assert used_by(limiter, "ann") > 1.54


async def test_run_inside_a_job_goes_on_without_time_left(queue: ComputeQueue, budget: LimitedCores) -> None:
    budget.charge("ann", 1.5)
    with paid_by("ann"):
        async with queue.slot("ann"):
            await queue.run(burn, 0.001)


async def test_threads_of_a_job_are_charged_to_its_user(budget: LimitedCores, limiter: MovingWindowLimiter) -> None:
    threads = JobThreads(2, budget)
    with paid_by("ann"):
        await asyncio.gather(threads.run(burn, 0.05), threads.run(burn, 0.05))
    await threads.run(burn, 0.05)  # of nobody
    threads.close()
    assert used_by(limiter, "ann") == pytest.approx(0.1, abs=0.04)


async def test_queue_without_budget_charges_nobody() -> None:
    queue = ComputeQueue(threads=1, max_waiting=1)
    async with queue.slot("ann"):
        assert payer() is None
        assert await queue.run(burn, 0.001) >= 0.001
    await queue.close()
