from __future__ import annotations

import asyncio
import threading
import time

import pytest

from src.concurrency.threads import in_thread


async def test_cancelled_task_waits_for_its_thread() -> None:
    done = threading.Event()

    def work() -> None:
        time.sleep(0.1)
        done.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0.01)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_results_and_errors_are_passed_on() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)
