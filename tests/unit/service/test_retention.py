"""Old results are deleted at the start and after each pause, and never if they are kept for ever."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from src.domain.errors import StoreUnavailable
from src.domain.intervals import DAY_MS
from src.service.retention import Cleaning, Retention
from tests.clocks import MovingClock


class RecordingStore:
    def __init__(self) -> None:
        self.asked: list[int] = []
        self.failure: StoreUnavailable | None = None

    async def delete_older(self, created_before_ms: int) -> int:
        self.asked.append(created_before_ms)
        if self.failure is not None:
            raise self.failure
        return 1


async def test_old_results_are_deleted_every_pause() -> None:
    store, clock = RecordingStore(), MovingClock(100 * DAY_MS)
    task = asyncio.create_task(Retention(cast("Any", store), clock, keep_days=30, pause_s=0.001).run())
    while not store.asked:
        await asyncio.sleep(0.001)
    store.failure = StoreUnavailable("away")
    clock.moment_ms = 101 * DAY_MS
    while 71 * DAY_MS not in store.asked:
        await asyncio.sleep(0.001)
    store.failure = None
    seen = len(store.asked)
    while len(store.asked) < seen + 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(store.asked) == {70 * DAY_MS, 71 * DAY_MS}


async def test_zero_days_keep_results_forever() -> None:
    store = RecordingStore()
    await Retention(cast("Any", store), MovingClock(100 * DAY_MS), keep_days=0).run()
    assert store.asked == []


class RecordingObjects:
    def __init__(self) -> None:
        self.cleaned = 0

    async def clean(self) -> None:
        self.cleaned += 1
        if self.cleaned == 1:
            raise StoreUnavailable("away")


async def test_cleaning_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    store = RecordingObjects()
    task = asyncio.create_task(Cleaning(store, pause_s=0.001).run())
    while store.cleaned < 3:
        await asyncio.sleep(0.001)
    task.cancel()
    assert "object store not cleaned: error=away" in caplog.text
