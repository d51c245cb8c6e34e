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


async def test_function_runs_in_another_thread(queue: ComputeQueue) -> None:
    assert await queue.run(divmod, 17, 5) == (3, 2)
    assert await queue.run(threading.get_ident) != threading.get_ident()


async def test_exception_of_function_reaches_caller(queue: ComputeQueue) -> None:
    with pytest.raises(ZeroDivisionError):
        await queue.run(divmod, 1, 0)


async def hold(queue: ComputeQueue, user_id: str, gate: asyncio.Event, held: list[str]) -> None:
    async with queue.slot(user_id):
        held.append(user_id)
        await gate.wait()


async def start(
    queue: ComputeQueue, users: list[str], gate: asyncio.Event, held: list[str]
) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(hold(queue, user, gate, held)) for user in users]
    await asyncio.sleep(0)
    return tasks


async def test_run_beyond_maximum_is_rejected_at_once(queue: ComputeQueue) -> None:
    gate, held = asyncio.Event(), list[str]()
    tasks = await start(queue, ["a", "a", "a"], gate, held)
    assert queue.runs_under_way == 3
    with pytest.raises(Busy, match=r"3 backtests are already queued\. Retry in 1 s\.") as caught:
        await hold(queue, "a", gate, held)
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= 1
    gate.set()
    await asyncio.gather(*tasks)
    assert queue.runs_under_way == 0


async def test_one_user_cannot_fill_the_queue_for_another() -> None:
    queue = ComputeQueue(threads=2, max_waiting=8)
    gate, held = asyncio.Event(), list[str]()
    tasks = await start(queue, ["greedy"] * 10, gate, held)
    # Half of the six slots; the other three are for others, though the greedy user's runs fill the queue.
    assert held == ["greedy"] * 3
    others = await start(queue, ["b", "c", "d", "e"], gate, held)
    assert held == ["greedy"] * 3 + ["b", "c", "d"]
    assert queue.runs_under_way == 10
    gate.set()
    ends = await asyncio.gather(*tasks, *others, return_exceptions=True)
    assert [isinstance(end, Busy) for end in ends] == [False] * 6 + [True] * 4 + [False] * 4
    await queue.close()


async def test_run_waiting_too_long_is_rejected() -> None:
    queue = ComputeQueue(threads=1, max_waiting=1, max_wait_s=0.02)
    async with queue.slot("a"):
        with pytest.raises(Busy, match=r"queued for 0\.02 s.*Retry in 1 s"):
            await hold(queue, "b", asyncio.Event(), [])
    await queue.close()


async def test_queue_names_its_own_work() -> None:
    queue = ComputeQueue(threads=1, max_waiting=1, slots=1, work="estimate")
    gate, held = asyncio.Event(), list[str]()
    tasks = await start(queue, ["a", "a"], gate, held)
    assert held == ["a"]
    with pytest.raises(Busy, match=r"^2 estimates are already queued"):
        await hold(queue, "a", gate, held)
    gate.set()
    await asyncio.gather(*tasks)
    await queue.close()


async def test_closed_queue_rejects_runs() -> None:
    queue = ComputeQueue(threads=1, max_waiting=1)
    await queue.close()
    with pytest.raises(Busy, match="stopping"):
        await hold(queue, "a", asyncio.Event(), [])


async def test_failed_run_frees_its_slot(queue: ComputeQueue) -> None:
    for _ in range(5):
        with pytest.raises(LookupError):
            async with queue.slot("a"):
                raise LookupError
    assert queue.runs_under_way == 0


async def test_functions_run_in_order_on_limited_threads(queue: ComputeQueue) -> None:
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


async def test_function_cancelled_before_start_never_runs(queue: ComputeQueue) -> None:
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
