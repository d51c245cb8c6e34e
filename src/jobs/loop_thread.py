"""Run an event loop in a thread of its own, so that encryption and unpacking never delay the loop that responds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

Outcome = TypeVar("Outcome")

_JOIN_S: Final = 5.0


class LoopThread:
    """An event loop that runs in a daemon thread until it is stopped."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Run a coroutine there; if the caller is cancelled, the coroutine is too."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    async def stop(self) -> None:
        """Stop the loop and wait for its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, _JOIN_S)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()


@asynccontextmanager
async def loop_thread(name: str) -> AsyncIterator[LoopThread]:
    """Provide an event loop in another thread, which is stopped at the end."""
    thread = LoopThread(name)
    try:
        yield thread
    finally:
        await asyncio.shield(thread.stop())
