"""Computing in turn: a few threads, a line before them that has an end, and first come, first served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar, TypeVarTuple, Unpack

from src.domain.errors import Busy

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")

_SHORTEST_RETRY_S: Final = 1.0
_NEWEST_SHARE: Final = 0.1
"""Weight of the newest run in the running mean of how long a run takes."""


class ComputeQueue:
    """Threads that compute, and places for the runs that use them or wait for them.

    A run that is refused costs nothing: the answer says so at once, and when to come back. Threads are enough where
    the arithmetic releases the GIL, as the engines, numpy and zlib do. A thread cannot be stopped: it is busy until
    its function returns, though the run that wanted it may have been cancelled meanwhile.

    Parameters
    ----------
    threads
        Functions that run at once, ≥ 1.
    max_waiting
        Places beyond those that the threads fill, ≥ 0.
    """

    def __init__(self, *, threads: int, max_waiting: int) -> None:
        self._threads = threads
        self._places = threads + max_waiting
        self._taken = 0
        self._mean_run_s = 0.0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="compute")

    @property
    def runs_under_way(self) -> int:
        """How many places are taken."""
        return self._taken

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for one whole run, from before its first step until after its last.

        Raises
        ------
        Busy
            Where all are taken.
        """
        if self._taken >= self._places:
            raise Busy(
                f"{self._taken} backtests are under way, which is as many as may be; try again later.",
                retry_after_s=max(_SHORTEST_RETRY_S, self._mean_run_s),
            )
        self._taken += 1
        started = time.monotonic()
        try:
            yield
        finally:
            self._taken -= 1
            self._mean_run_s += _NEWEST_SHARE * (time.monotonic() - started - self._mean_run_s)

    async def run(self, function: Callable[[Unpack[Arguments]], Answer], *arguments: *Arguments) -> Answer:
        """Call a function in a thread, after all those asked for before; one not yet begun can be cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def close(self) -> None:
        """Begin nothing more; what runs already is left to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
