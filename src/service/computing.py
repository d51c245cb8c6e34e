"""Compute backtests: a few threads, and a fair bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar, TypeVarTuple, Unpack

from src.concurrency.fair_queue import FairQueue, Refusals
from src.domain.errors import Busy

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")

_REFUSALS: Final = Refusals(
    full="{callers} backtests are already queued. Retry in {retry} s.",
    late="The backtest was queued for {waited:g} s, and others are still before it. Retry in {retry} s.",
    closed=lambda: Busy("The service is stopping. Try again later."),
)


class ComputeQueue:
    """Threads that compute, and slots for the runs that use them, which no user can fill for the others.

    A run that is refused costs nothing: the error says so at once, and when to come back. Threads are enough if the
    arithmetic releases the GIL, as the engines, numpy and zlib do. A thread cannot be stopped: it is busy until
    its function returns, though the run that wanted it may have been cancelled meanwhile.

    A run holds its slot while it fetches bars and asks its model too, so there are more slots than threads: half of
    `max_waiting` more. The other half waits, where fairness applies, and one user holds at most half of the slots.

    Parameters
    ----------
    threads
        Functions that run at once, ≥ 1.
    max_waiting
        Runs beyond those that the threads compute, ≥ 0.
    max_wait_s
        Seconds after which a run that waits for its slot is refused; None: never.
    """

    def __init__(self, *, threads: int, max_waiting: int, max_wait_s: float | None = None) -> None:
        slots = threads + max_waiting // 2
        self._queue = FairQueue(
            slots=slots,
            max_waiting=threads + max_waiting - slots,
            max_wait_s=max_wait_s,
            max_slots_per_user=max(threads, slots // 2),
            refusals=_REFUSALS,
        )
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="compute")

    @property
    def runs_under_way(self) -> int:
        """How many runs hold a slot or wait for one."""
        return self._queue.held + self._queue.waiting

    def slot(self, user_id: str) -> AbstractAsyncContextManager[None]:
        """Wait for a slot and hold it for one whole run, from before its first step until after its last.

        Raises
        ------
        Busy
            If the queue is full, the wait too long, or another user's share due.
        """
        return self._queue.slot(user_id)

    async def run(self, function: Callable[[Unpack[Arguments]], Answer], *arguments: *Arguments) -> Answer:
        """Call a function in a thread, after all those asked for before; one not yet begun can be cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def close(self) -> None:
        """Begin nothing more; what runs already is left to its end."""
        self._queue.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
