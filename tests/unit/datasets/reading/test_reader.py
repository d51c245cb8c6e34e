"""Files wait for their turn: one of each user at a time, a few at once, and not without end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from src.datasets.reading.reader import _Turns
from src.domain.errors import Busy


async def hold(turns: _Turns, user_id: str, reading: list[str], go: asyncio.Event) -> None:
    async with turns.of(user_id):
        reading.append(user_id)
        await go.wait()


async def waiting(turns: _Turns, users: list[str], reading: list[str], go: asyncio.Event) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(hold(turns, user, reading, go)) for user in users]
    await asyncio.sleep(0.01)
    return tasks


async def test_one_user_s_files_leave_room_for_another_s() -> None:
    turns, reading, go = _Turns(), list[str](), asyncio.Event()
    tasks = await waiting(turns, ["evil"] * 5 + ["honest"], reading, go)
    assert reading == ["evil", "honest"]
    go.set()
    await asyncio.gather(*tasks)
    assert len(reading) == 6


async def test_who_would_wait_too_long_is_told_so_at_once() -> None:
    turns, reading, go = _Turns(), list[str](), asyncio.Event()
    tasks = await waiting(turns, ["evil"] * 9, reading, go)
    with pytest.raises(Busy) as busy:
        await hold(turns, "evil", reading, go)
    assert busy.value.retry_after_s
    tasks += await waiting(turns, [f"user {n}" for n in range(9)], reading, go)
    with pytest.raises(Busy):
        await hold(turns, "honest", reading, go)
    go.set()
    await asyncio.gather(*tasks)
    async with turns.of("honest"):
        pass


async def test_who_goes_away_while_waiting_waits_no_more() -> None:
    turns, reading, go = _Turns(), list[str](), asyncio.Event()
    for _ in range(30):
        tasks = await waiting(turns, ["evil"] * 9, reading, go)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(turns.of("evil"))
        await stack.enter_async_context(turns.of("honest"))
