"""The same thing asked for twice at once is done once, and both get it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class _Flight(Generic[Answer]):
    """A run under way and how many wait for it."""

    def __init__(self, task: asyncio.Task[Answer]) -> None:
        self.task = task
        self.waiting = 0


class SharedRuns(Generic[Key, Answer]):
    """Runs by their key, for as long as they last; nothing is remembered of one that has ended.

    A run belongs to all who wait for it: it goes on when one of them is cancelled, and is cancelled with the last.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight[Answer]] = {}

    async def run(
        self, key: Key, start: Callable[[], Coroutine[Any, Any, Answer]], *, needs_starter: bool = False
    ) -> Answer:
        """Return what the run of this key gives (or raise what it raises), starting it where there is none.

        Parameters
        ----------
        needs_starter
            The run uses something that the caller takes away when he leaves. Cancelled while others wait for his run,
            he stays until it has ended.
        """
        flight = self._flights.get(key)
        is_starter = flight is None
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(start()))
            flight.task.add_done_callback(functools.partial(self._end, key))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if needs_starter and is_starter and flight.waiting > 1:
                await asyncio.wait([flight.task])
            raise
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._forget(key, flight.task)  # whoever asks from now on begins anew
                flight.task.cancel()
                # Whoever called may clean up behind the run, so it must have ended before he goes on.
                await asyncio.wait([flight.task])

    def _end(self, key: Key, task: asyncio.Task[Answer]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # seen: asyncio reports errors that nobody was left to hear

    def _forget(self, key: Key, task: asyncio.Task[Answer]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
