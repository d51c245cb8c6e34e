"""The line before the sandbox: who is let in next, who is refused, and that no place is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from src.domain.errors import Busy, SandboxUnavailable
from src.sandbox.turns import Turns


class Line:
    """Callers that take turns and write down who had one."""

    def __init__(self, *, places: int = 1, most_waiting: int = 10, longest_wait_s: float = 10.0) -> None:
        self.turns = Turns(places=places, most_waiting=most_waiting, longest_wait_s=longest_wait_s)
        self.served: list[str] = []
        self.inside = self.most_inside = 0

    async def call(self, name: str, seconds: float = 0.0) -> None:
        async with self.turns.turn(name[0]):
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
    async def all_places_taken(self, by: str = "z") -> AsyncIterator[None]:
        async with self.turns.turn(by):
            yield


async def test_one_users_calls_are_served_as_they_came() -> None:
    line = Line()
    async with line.all_places_taken():
        tasks = await line.queue("a1", "a2", "a3")
    await asyncio.gather(*tasks)
    assert line.served == ["a1", "a2", "a3"]


async def test_no_more_are_in_at_once_than_there_are_places() -> None:
    line = Line(places=3)
    await asyncio.gather(*await line.queue(*(f"a{number}" for number in range(9)), seconds=0.001))
    assert len(line.served) == 9
    assert line.most_inside == 3


async def test_users_take_turns_however_many_calls_one_has() -> None:
    line = Line()
    async with line.all_places_taken():
        tasks = await line.queue("a1", "a2", "a3", "b1", "c1", "c2")
    await asyncio.gather(*tasks)
    assert line.served == ["a1", "b1", "c1", "a2", "c2", "a3"]


async def test_who_has_none_in_comes_before_who_has() -> None:
    line = Line(places=2)
    tasks = await line.queue("a1", "a2", "a3", "a4", "b1", seconds=0.01)
    await asyncio.gather(*tasks)
    assert line.served[:3] == ["a1", "a2", "b1"]


async def test_a_full_line_refuses_and_says_when_to_come_back() -> None:
    line = Line(most_waiting=2)
    async with line.all_places_taken():
        tasks = await line.queue("a1", "a2")
        with pytest.raises(Busy, match=r"2 models wait to be opened.*try again later") as caught:
            await line.call("a3")
        assert (caught.value.retry_after_s or 0) >= 1
    await asyncio.gather(*tasks)
    assert line.served == ["a1", "a2"]


async def test_one_user_cannot_fill_the_line_for_another() -> None:
    line = Line(most_waiting=4)
    async with line.all_places_taken():
        tasks = await line.queue("a1", "a2", "a3", "a4", "b1", "b2", "b3")
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    # a3 and a4 made way; with two each, b's third has no better claim than they.
    assert [isinstance(outcome, Busy) for outcome in outcomes] == [False, False, True, True, False, False, True]
    assert line.served == ["a1", "b1", "a2", "b2"]


async def test_waiting_has_a_limit_of_its_own() -> None:
    line = Line(longest_wait_s=0.02)
    async with line.all_places_taken():
        with pytest.raises(Busy, match=r"waited 0\.02 s for its turn"):
            await line.call("a1")
    await line.call("a2")
    assert line.served == ["a2"]


async def test_a_cancelled_caller_leaves_the_line() -> None:
    line = Line()
    async with line.all_places_taken():
        first, second = await line.queue("a1", "a2")
        first.cancel()
    await second
    assert line.served == ["a2"]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_turn_that_comes_with_the_cancelling_is_passed_on() -> None:
    line = Line()
    async with line.all_places_taken():
        first, second = await line.queue("a1", "a2")
    first.cancel()  # its turn has come, but it has not heard of it
    await asyncio.wait_for(second, 1)
    assert line.served == ["a2"]


async def test_a_failing_turn_gives_its_place_back() -> None:
    line = Line()
    with pytest.raises(ValueError, match="no"):
        async with line.turns.turn("a"):
            raise ValueError("no")
    await asyncio.wait_for(line.call("a1"), 1)


async def test_closing_sends_all_away() -> None:
    line = Line()
    async with line.all_places_taken():
        [waiting] = await line.queue("a1")
        line.turns.close()
        with pytest.raises(SandboxUnavailable, match="stopping"):
            await waiting
    with pytest.raises(SandboxUnavailable, match="stopping"):
        await line.call("a2")
