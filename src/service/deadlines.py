"""Limit the time of the work that a request waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.domain.errors import TimedOut


def deadline_after(seconds: float) -> float:
    """Return the time `seconds` from now, by the event loop's clock."""
    return asyncio.get_running_loop().time() + seconds


@asynccontextmanager
async def until(deadline_s: float, too_late: TimedOut) -> AsyncIterator[None]:
    """Run the block until a time of the event loop's clock; raises `too_late` if it takes longer."""
    try:
        async with asyncio.timeout_at(deadline_s):
            yield
    except TimeoutError:
        raise too_late from None
