"""Compute jobs in threads of their own, with a lower priority than the threads that respond to requests."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, TypeVarTuple, Unpack

from src.concurrency.paid_work import charging
from src.concurrency.threads import run_in_pool
from src.ports.rates import CoreBudget

Outcome = TypeVar("Outcome")
Arguments = TypeVarTuple("Arguments")

NICENESS: Final = 10
"""On a busy machine such a thread gets a tenth of a normal one's time."""


class JobThreads:
    """Threads for the jobs of one process; they are started when first needed.

    On Linux each thread has a priority. Elsewhere it is that of the whole process, so it is left unchanged.
    """

    def __init__(self, count: int, budget: CoreBudget | None = None) -> None:
        self.count = count
        self._budget = budget
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="job", initializer=_lower_priority)

    async def run(self, function: Callable[[Unpack[Arguments]], Outcome], *arguments: *Arguments) -> Outcome:
        """Call a function in a thread, first come first served; a call that has not begun can be cancelled."""
        if self._budget is not None:
            function = charging(function, self._budget.charge)
        return await run_in_pool(self._executor, function, *arguments)

    def close(self) -> None:
        """Start no more functions; running ones continue to their end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _lower_priority() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
