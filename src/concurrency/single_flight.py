"""Run the same work once if several callers ask for it at the same time: `SingleFlight`.

It remembers no result. Objects that are opened once and kept (a database, the exchange's list of symbols) need another
mechanism.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import operator
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

logger = logging.getLogger(__name__)

Key = TypeVar("Key")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Run(Generic[Key, Result]):
    key: Key
    task: asyncio.Task[Result]
    waiting: int = 0


class SingleFlight(Generic[Key, Result]):
    """The shared runs in progress, by key.

    All callers that wait for a run share it. It continues if one of them is cancelled; if all are, it is cancelled too.

    Parameters
    ----------
    serves
        Whether the result of the first key also serves the second key; by default if the keys are equal.
    """

    def __init__(self, serves: Callable[[Key, Key], bool] = operator.eq) -> None:
        self._serves = serves
        self._runs: list[_Run[Key, Result]] = []

    async def run(
        self, key: Key, start: Callable[[], Coroutine[Any, Any, Result]], *, needs_starter: bool = False
    ) -> Result:
        """Return the result of the run that serves this key, or raise its error; start a run if there is none.

        Parameters
        ----------
        needs_starter
            Whether the run uses something that its starter removes on return. If the starter is cancelled while others
            wait, it returns only after the run has ended.
        """
        run = self._find(key)
        is_starter = run is None
        if run is None:
            run = _Run(key, asyncio.create_task(start()))
            self._runs.append(run)
            run.task.add_done_callback(functools.partial(self._end, run))
        run.waiting += 1
        try:
            return await asyncio.shield(run.task)
        except asyncio.CancelledError:
            if needs_starter and is_starter and run.waiting > 1:
                await asyncio.wait([run.task])
            raise
        finally:
            run.waiting -= 1
            if not run.waiting and not run.task.done():
                run.task.cancel()
                # The caller may remove what the run uses, so the run must end before the caller continues.
                await asyncio.wait([run.task])

    async def close(self) -> None:
        """Cancel all runs, and wait until they have ended."""
        tasks = [run.task for run in self._runs]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _find(self, key: Key) -> _Run[Key, Result] | None:
        # A run without waiting callers is being cancelled.
        return next((run for run in self._runs if run.waiting and self._serves(run.key, key)), None)

    def _end(self, run: _Run[Key, Result], task: asyncio.Task[Result]) -> None:
        self._runs.remove(run)
        mark_as_seen(task)


def mark_as_seen(outcome: asyncio.Future[Any]) -> None:
    """Read the exception, so that asyncio does not report it if every caller was cancelled."""
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        logger.debug("shared work failed: error=%s", error)
