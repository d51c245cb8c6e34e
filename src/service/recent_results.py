"""Keep the large results that were read last for a short time, because a chart that is zoomed reads one many times."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from src.concurrency.single_flight import SingleFlight
from src.domain.errors import ResultNotFound
from src.domain.runs import BacktestResult

MAX_BYTES: Final = 256 * 1024 * 1024
"""A result of 3 million bars has 150 MB."""
MIN_BYTES: Final = 4 * 1024 * 1024
"""Smaller results are read in 20 ms or less."""
IDLE_S: Final = 60.0


@dataclass(slots=True, eq=False)
class RecentResults:
    """Results by id, at most `max_bytes` together, each for `idle_s` after it was last read.

    A result never changes, and an id is never reused. Each read checks that it still exists.
    """

    max_bytes: int = MAX_BYTES
    min_bytes: int = MIN_BYTES
    idle_s: float = IDLE_S
    _kept: OrderedDict[str, tuple[BacktestResult, asyncio.TimerHandle]] = field(default_factory=OrderedDict)
    _reads: SingleFlight[str, BacktestResult] = field(default_factory=SingleFlight)

    async def get(
        self,
        result_id: str,
        *,
        read: Callable[[], Coroutine[Any, Any, BacktestResult]],
        check_exists: Callable[[], Awaitable[object]],
    ) -> BacktestResult:
        """Return a result: the kept one if `check_exists` raises nothing, else the one that `read` returns.

        Simultaneous callers share one read.
        """
        if result_id in self._kept:
            result, _ = self._kept[result_id]
        else:
            result = await self._reads.run(result_id, read)
            if not self.min_bytes <= _size_of(result) <= self.max_bytes:
                return result
        try:
            # It may have been deleted since it was read, or while another caller read it.
            await check_exists()
        except ResultNotFound:
            self.forget(result_id)
            raise
        self._keep(result)
        return result

    def forget(self, result_id: str) -> None:
        """Stop keeping a result."""
        if result_id in self._kept:
            self._kept.pop(result_id)[1].cancel()

    def _keep(self, result: BacktestResult) -> None:
        self.forget(result.id)
        timer = asyncio.get_running_loop().call_later(self.idle_s, self.forget, result.id)
        self._kept[result.id] = (result, timer)
        while sum(_size_of(kept) for kept, _ in self._kept.values()) > self.max_bytes:
            self.forget(next(iter(self._kept)))


def _size_of(result: BacktestResult) -> int:
    """Return the bytes of a result's arrays."""
    simulation, signals = result.simulation, result.signals
    arrays = (
        result.time_ms,
        result.close,
        signals.action,
        signals.probability,
        simulation.equity,
        simulation.cash,
        simulation.position,
        simulation.fills,
        simulation.trades,
    )
    return sum(array.nbytes for array in arrays if array is not None)
