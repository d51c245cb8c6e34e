"""Define the calls to the exchange that the bar cache needs beyond those of every source."""

from __future__ import annotations

from typing import Protocol

from src.bars.klines import Klines
from src.binance.clock_skew import ClockSkew
from src.domain.intervals import Interval
from src.ports.market import BarSource


class RemoteSource(BarSource, Protocol):
    """A `BarSource` that also fetches raw ranges."""

    @property
    def origin(self) -> str:
        """Return its name as shown to users."""
        ...

    @property
    def skew(self) -> ClockSkew:
        """Return the difference between its clock and ours."""
        ...

    async def candles(self, symbol: str, interval: Interval, *, start_ms: int, end_ms: int) -> Klines:
        """Return all klines of closed bars that open from `start_ms` to `end_ms`, both included; there may be none.

        Raises
        ------
        SymbolNotFound, InvalidInput, ExchangeError
        """
        ...

    async def last_open_ms(self, symbol: str, interval: Interval, *, end_ms: int) -> int | None:
        """Return when the last bar that opens by `end_ms` opens; None if there is none. Raises as `candles` does."""
        ...

    async def first_open_ms(self, symbol: str, interval: Interval) -> int | None:
        """Return when the very first bar opens; None if there is none. Raises as `candles` does."""
        ...
