"""An error that no caller waits for any longer."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from src.concurrency.single_flight import mark_as_seen


async def test_error_without_a_waiting_caller_is_not_reported_by_asyncio() -> None:
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    for is_seen in (True, False):
        outcome: asyncio.Future[None] = loop.create_future()
        if is_seen:
            outcome.add_done_callback(mark_as_seen)
        outcome.set_exception(ValueError("nobody waits"))
        await asyncio.sleep(0)
        del outcome
        gc.collect()
        assert len(reported) == (0 if is_seen else 1)


async def test_cancelled_work_has_no_error_to_read() -> None:
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outcome.cancel()
    mark_as_seen(outcome)
    assert outcome.cancelled()
