"""Who gets the next slot, who is refused, and that no slot is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from src.concurrency.fair_queue import FairQueue, Refusals
from src.domain.errors import Busy, SandboxUnavailable

REFUSALS = Refusals(
    full="{held} held and {waiting} waiting, {callers} in all, retry in {retry} s",
    late="waited {waited:g} s, retry in {retry} s",
    closed=lambda: SandboxUnavailable("stopping"),
)


class Line:
    """Callers that get slots one after the other and write down who had one."""

    def __init__(
        self, *, slots: int = 1, max_waiting: int = 10, max_wait_s: float | None = 10.0, per_user: int | None = None
    ) -> None:
        self.slots = FairQueue(
            slots=slots,
            max_waiting=max_waiting,
            max_wait_s=max_wait_s,
            max_slots_per_user=per_user,
            refusals=REFUSALS,
        )
        self.served: list[str] = []
        self.inside = self.most_inside = 0

    async def call(self, name: str, seconds: float = 0.0) -> None:
        async with self.slots.slot(name[0]):
            self.served.append(name)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.inside -= 1

    async def queue(self, *names: str, seconds: float = 0.0) -> list[asyncio.Task[None]]:
        """Start calls one after the other; each is in the line, or in, when the next begins."""
        tasks = []
        for name in names:
            tasks.append(asyncio.create_task(self.call(name, seconds)))
            await asyncio.sleep(0)
        return tasks

    @asynccontextmanager
    async def all_slots_held(self, by: str = "z") -> AsyncIterator[None]:
        async with self.slots.slot(by):
            yield


async def test_calls_of_one_user_are_served_in_order() -> None:
    line = Line()
    async with line.all_slots_held():
        tasks = await line.queue("a1", "a2", "a3")
    await asyncio.gather(*tasks)
    assert line.served == ["a1", "a2", "a3"]


async def test_callers_never_exceed_slots() -> None:
    line = Line(slots=3)
    await asyncio.gather(*await line.queue(*(f"a{number}" for number in range(9)), seconds=0.001))
    assert len(line.served) == 9
    assert line.most_inside == 3


async def test_slots_alternate_between_users() -> None:
    line = Line()
    async with line.all_slots_held():
        tasks = await line.queue("a1", "a2", "a3", "b1", "c1", "c2")
    await asyncio.gather(*tasks)
    assert line.served == ["a1", "b1", "c1", "a2", "c2", "a3"]


async def test_user_without_slot_is_served_first() -> None:
    line = Line(slots=2)
    tasks = await line.queue("a1", "a2", "a3", "a4", "b1", seconds=0.01)
    await asyncio.gather(*tasks)
    assert line.served[:3] == ["a1", "a2", "b1"]


async def test_full_queue_rejects_call_with_retry_after() -> None:
    line = Line(max_waiting=2)
    async with line.all_slots_held():
        tasks = await line.queue("a1", "a2")
        with pytest.raises(Busy, match="1 held and 2 waiting, 3 in all, retry in 1 s") as caught:
            await line.call("a3")
        assert (caught.value.retry_after_s or 0) >= 1
    await asyncio.gather(*tasks)
    assert line.served == ["a1", "a2"]


async def test_one_user_cannot_fill_queue_for_another() -> None:
    line = Line(max_waiting=4)
    async with line.all_slots_held():
        tasks = await line.queue("a1", "a2", "a3", "a4", "b1", "b2", "b3")
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    # a3 and a4 made way; with two each, b's third has no better claim than they.
    assert [isinstance(outcome, Busy) for outcome in outcomes] == [False, False, True, True, False, False, True]
    assert line.served == ["a1", "b1", "a2", "b2"]


async def test_waiting_too_long_rejects_call() -> None:
    line = Line(max_wait_s=0.02)
    async with line.all_slots_held():
        with pytest.raises(Busy, match=r"waited 0\.02 s, retry in 1 s"):
            await line.call("a1")
    await line.call("a2")
    assert line.served == ["a2"]


async def test_cancelled_caller_leaves_queue() -> None:
    line = Line()
    async with line.all_slots_held():
        first, second = await line.queue("a1", "a2")
        first.cancel()
    await second
    assert line.served == ["a2"]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_slot_given_during_cancellation_is_passed_on() -> None:
    line = Line()
    async with line.all_slots_held():
        first, second = await line.queue("a1", "a2")
    first.cancel()  # its turn has come, but it has not heard of it
    await asyncio.wait_for(second, 1)
    assert line.served == ["a2"]


async def test_failing_block_releases_slot() -> None:
    line = Line()
    with pytest.raises(ValueError, match="no"):
        async with line.slots.slot("a"):
            raise ValueError("no")
    await asyncio.wait_for(line.call("a1"), 1)


async def test_close_rejects_all_callers() -> None:
    line = Line()
    async with line.all_slots_held():
        [waiting] = await line.queue("a1")
        line.slots.close()
        with pytest.raises(SandboxUnavailable, match="stopping"):
            await waiting
    with pytest.raises(SandboxUnavailable, match="stopping"):
        await line.call("a2")


async def test_user_at_its_limit_leaves_slots_to_others() -> None:
    line = Line(slots=3, per_user=2, max_wait_s=None)
    tasks = await line.queue("a1", "a2", "a3", "b1", seconds=0.01)
    assert (line.slots.held, line.slots.waiting) == (3, 1)
    assert line.served == ["a1", "a2", "b1"]
    await asyncio.gather(*tasks)
    assert line.served == ["a1", "a2", "b1", "a3"]
    assert (line.slots.held, line.slots.waiting) == (0, 0)


async def test_free_slot_skips_users_at_their_limit() -> None:
    line = Line(slots=2, per_user=1)
    async with line.slots.slot("a"):
        async with line.slots.slot("z"):
            tasks = await line.queue("a1", "b1")
        await asyncio.sleep(0.01)
        assert line.served == ["b1"]
    await asyncio.gather(*tasks)
    assert line.served == ["b1", "a1"]
