from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from src.domain.errors import Busy
from src.service.computing import ComputeQueue


@pytest.fixture
async def queue() -> AsyncIterator[ComputeQueue]:
    opened = ComputeQueue(threads=2, max_waiting=1)
    yield opened
    await opened.close()


async def test_a_function_runs_in_another_thread(queue: ComputeQueue) -> None:
    assert await queue.run(divmod, 17, 5) == (3, 2)
    assert await queue.run(threading.get_ident) != threading.get_ident()


async def test_what_goes_wrong_reaches_the_caller(queue: ComputeQueue) -> None:
    with pytest.raises(ZeroDivisionError):
        await queue.run(divmod, 1, 0)


async def test_one_more_than_there_are_places_is_refused_at_once(queue: ComputeQueue) -> None:
    with queue.place(), queue.place(), queue.place():
        assert queue.runs_under_way == 3
        with pytest.raises(Busy, match="3 backtests are under way") as caught, queue.place():
            pass
        assert caught.value.retry_after_s is not None
        assert caught.value.retry_after_s >= 1
    with queue.place():
        assert queue.runs_under_way == 1


async def test_a_place_is_free_again_when_its_run_fails(queue: ComputeQueue) -> None:
    for _ in range(5):
        with pytest.raises(LookupError), queue.place():
            raise LookupError
    assert queue.runs_under_way == 0


async def test_first_come_first_served_and_no_more_at_once_than_threads(queue: ComputeQueue) -> None:
    gate = threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        gate.wait(10)

    running = [asyncio.create_task(queue.run(work, number)) for number in range(6)]
    while len(begun) < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    assert begun == [0, 1]
    gate.set()
    await asyncio.gather(*running)
    assert begun == list(range(6))


async def test_what_is_cancelled_before_its_turn_is_never_begun(queue: ComputeQueue) -> None:
    gate = threading.Event()
    begun: list[str] = []
    busy = [asyncio.create_task(queue.run(gate.wait, 10)) for _ in range(2)]
    waiting = asyncio.create_task(queue.run(begun.append, "too late"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    await asyncio.gather(*busy)
    await queue.run(begun.append, "next")
    assert begun == ["next"]
