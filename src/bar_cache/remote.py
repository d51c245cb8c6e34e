"""What the store of candles needs from the exchange behind it, beyond what every source can do."""

from __future__ import annotations

from typing import Protocol

from src.bars.klines import Klines
from src.binance.clock_skew import ClockSkew
from src.domain.market import Interval
from src.ports import BarSource


class RemoteSource(BarSource, Protocol):
    """A `BarSource` far away that can also be asked for bare ranges."""

    @property
    def origin(self) -> str:
        """Return its name for people."""
        ...

    @property
    def skew(self) -> ClockSkew:
        """Return what is known of its clock."""
        ...

    async def candles(self, symbol: str, interval: Interval, *, start_ms: int, end_ms: int) -> Klines:
        """Return all rows of closed candles that open from `start_ms` to `end_ms`, both included; maybe none.

        Raises
        ------
        SymbolNotFound, InvalidInput, ExchangeError
        """
        ...

    async def last_open_ms(self, symbol: str, interval: Interval, *, end_ms: int) -> int | None:
        """Return when the last candle opened that opened by `end_ms`; None where there is none. Raises as `candles`."""
        ...

    async def first_open_ms(self, symbol: str, interval: Interval) -> int | None:
        """Return when the very first candle opened; None where there is none at all. Raises as `candles` does."""
        ...
