"""Downloads that several requests wait for: whoever needs what is already under way joins it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from src.market_data.bar_series import BarSeries
from src.market_data.paging import PAGE_ROWS
from src.market_data.planner import PAGES_ONLY_UP_TO

_SMALL_BARS: Final = PAGES_ONLY_UP_TO * PAGE_ROWS
_MUCH_LARGER: Final = 4


@dataclass(slots=True, kw_only=True, eq=False)
class _Flight:
    series: BarSeries
    start: int
    stop: int
    task: asyncio.Task[None]
    waiting: int = 0


class Flights:
    """The downloads of one process. They go on while anybody waits for them, whoever began them."""

    def __init__(self) -> None:
        self._flights: list[_Flight] = []

    async def join(
        self, series: BarSeries, start: int, stop: int, begin: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Wait for a download of the candles `start` ≤ number < `stop`: one under way, or a new one by `begin`."""
        flight = self._under_way(series, start, stop)
        if flight is None:
            flight = _Flight(series=series, start=start, stop=stop, task=asyncio.create_task(begin()))
            self._flights.append(flight)
            flight.task.add_done_callback(self._landed)
        flight.waiting += 1
        try:
            await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()

    async def close(self) -> None:
        """Give up all downloads, and wait until they have let go of their locks."""
        tasks = [flight.task for flight in self._flights]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _under_way(self, series: BarSeries, start: int, stop: int) -> _Flight | None:
        return next(
            (
                flight
                for flight in self._flights
                # One that nobody waits for any more is being given up.
                if flight.waiting and flight.series == series and flight.start <= start and stop <= flight.stop
                if not _keeps_waiting(flight.stop - flight.start, stop - start)
            ),
            None,
        )

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flights = [flight for flight in self._flights if flight.task is not task]
        if not task.cancelled():
            task.exception()  # it is theirs who wait; where nobody does, it has been logged


def _keeps_waiting(flight_bars: int, wanted_bars: int) -> bool:
    """Tell whether a few pages would wait for a whole download, where they are quicker asked for by themselves."""
    return wanted_bars <= _SMALL_BARS < flight_bars and flight_bars > _MUCH_LARGER * wanted_bars
