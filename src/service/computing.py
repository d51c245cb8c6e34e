"""Compute backtests on a few threads, behind a fair bounded queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, TypeVarTuple, Unpack

from src.concurrency.fair_queue import FairQueue, Refusals
from src.concurrency.paid_work import charging, paid_by
from src.concurrency.threads import run_in_pool
from src.domain.errors import Busy
from src.observing.meters import UNMEASURED, QueueMeter
from src.ports.rates import CoreBudget

Computed = TypeVar("Computed")
Arguments = TypeVarTuple("Arguments")


def _refusals(work: str) -> Refusals:
    return Refusals(
        full="{callers} " + work + "s are already queued. Retry in {retry} s.",
        late="The " + work + " was queued for {waited:g} s, and others are still before it. Retry in {retry} s.",
        closed=lambda: Busy("The service is stopping. Try again later."),
    )


class ComputeQueue:
    """Threads that compute, and slots for the runs that use them, of which one user holds at most half.

    A run that does not fit is rejected at once. Threads suffice because the engines, numpy and zlib release the GIL. A
    thread cannot be stopped: it is busy until its function returns, even if the run is cancelled.

    A run also holds its slot while it fetches bars and runs its model, so there are more slots than threads, by half of
    `max_waiting`. The other half waits in the queue, which is fair.

    Parameters
    ----------
    threads
        Functions that run at the same time, ≥ 1.
    max_waiting
        Runs beyond those that the threads compute, ≥ 0.
    max_wait_s
        Seconds after which a run that waits for its slot is rejected; None: never.
    slots
        Runs that hold a slot; None: as above. Runs that only compute need no more than threads.
    work
        What a run is, in the error of one that is rejected.
    meter
        What counts the runs.
    budget
        What charges the user of a slot for the processor time of functions; None if that is not limited.
    """

    def __init__(
        self,
        *,
        threads: int,
        max_waiting: int,
        max_wait_s: float | None = None,
        slots: int | None = None,
        work: str = "backtest",
        meter: QueueMeter = UNMEASURED,
        budget: CoreBudget | None = None,
    ) -> None:
        slots = threads + max_waiting // 2 if slots is None else slots
        self._queue = FairQueue(
            slots=slots,
            max_waiting=threads + max_waiting - slots,
            max_wait_s=max_wait_s,
            max_slots_per_user=max(threads, slots // 2),
            refusals=_refusals(work),
            meter=meter,
        )
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="compute")
        self._budget = budget

    @property
    def runs_under_way(self) -> int:
        """The number of runs that hold a slot or wait for one."""
        return self._queue.held + self._queue.waiting

    def slot(self, user_id: str, *, is_reading: bool = False) -> AbstractAsyncContextManager[None]:
        """Wait for a slot and hold it for one whole run, which the user pays for.

        Raises Busy if the queue is full, the wait is too long, or another user displaces this run; RateLimited if the
        user has no processor time left, unless the run only reads existing data (`is_reading`).
        """
        return self._queue.slot(user_id) if self._budget is None else self._paid_slot(user_id, self._budget, is_reading)

    @asynccontextmanager
    async def _paid_slot(self, user_id: str, budget: CoreBudget, is_reading: bool) -> AsyncIterator[None]:
        if not is_reading:
            budget.admit(user_id)
        async with self._queue.slot(user_id):
            with paid_by(user_id):
                yield

    async def run(self, function: Callable[[Unpack[Arguments]], Computed], *arguments: *Arguments) -> Computed:
        """Call a function in a thread, first come first served; a call that has not begun can be cancelled."""
        if self._budget is not None:
            function = charging(function, self._budget.charge)
        return await run_in_pool(self._executor, function, *arguments)

    async def close(self) -> None:
        """Start no more functions; running ones continue to their end."""
        self._queue.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
