"""Where bars come from: sources, cached markets, users' datasets, downloads in progress."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from src.domain.bars import Bars
from src.domain.datasets import BarFileDeclaration, Dataset
from src.domain.funding_rates import FundingRates
from src.domain.intervals import Interval
from src.domain.market import CachedMarket, FetchProgress, Listing, MarketRequest, MarketSeries


class BarSource(Protocol):
    """A source of bars."""

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        """Return the requested closed bars, oldest first; at least one.

        Raises
        ------
        SymbolNotFound, InvalidInput, ExchangeError
        """
        ...

    async def listings(self) -> Sequence[Listing]:
        """Return the symbols of this source, sorted by name; those that no longer trade are among them."""
        ...

    async def close(self) -> None:
        """Release connections and files."""
        ...


class FundingSource(Protocol):
    """Reads the rates of funding that the exchange published."""

    async def rates(self, symbol: str) -> FundingRates:
        """Return all rates of a symbol up to now, at least one; raises SymbolNotFound, ExchangeError."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class SharedLimits(Protocol):
    """The pauses and the used weight of one interface of the exchange, shared by all that send it requests."""

    def left_s(self) -> float:
        """Return at once the seconds left of a pause, as far as is known here; 0 or less if there is none."""
        ...

    def extend(self, seconds: float) -> None:
        """Make all senders wait for `seconds` from now; a shorter pause never shortens a longer one."""
        ...

    async def reserve(self, weight: int, *, per_minute: int) -> float:
        """Count weight before it is used in this minute, in which all senders together may use `per_minute`.

        Returns 0 if it was counted, else the seconds to wait before trying again. It also learns of the others' pause.
        It never fails: if the others cannot be reached, they are ignored.
        """
        ...


class CachedMarkets(Protocol):
    """Names and reads the bars that are stored already; nothing is downloaded."""

    async def cached_markets(self, interval: Interval, start_ms: int, end_ms: int) -> Sequence[CachedMarket]:
        """Return the longest stored range of each symbol between two open times, both included, sorted by symbol."""
        ...

    async def cached_bars(self, market: CachedMarket) -> Bars | None:
        """Return these bars; None if they are no longer stored. Raises StoreUnavailable."""
        ...


class DatasetStore(Protocol):
    """Stores users' datasets, separated by user."""

    async def receive(
        self,
        *,
        user_id: str,
        name: str,
        original_filename: str,
        declared: BarFileDeclaration,
        chunks: AsyncIterator[bytes],
    ) -> Dataset:
        """Read a file of bars and store them; if this raises or is cancelled, nothing stays behind.

        Raises
        ------
        InvalidInput, UnsupportedFormat, TooLarge, TimedOut, Busy, StoreUnavailable
        Conflict
            If the user has a dataset of that name, or as many as allowed.
        """
        ...

    async def list(self, user_id: str) -> Sequence[Dataset]:
        """Return a user's datasets, newest first."""
        ...

    async def get(self, user_id: str, name: str) -> Dataset:
        """Return the description of a user's dataset; raises SourceNotFound."""
        ...

    async def source(self, user_id: str, name: str) -> BarSource:
        """Return a user's dataset as a source; raises SourceNotFound."""
        ...

    async def rates(self, user_id: str, name: str) -> tuple[Dataset, FundingRates]:
        """Return a user's dataset of funding; raises SourceNotFound, InvalidInput if it has bars, StoreUnavailable."""
        ...

    async def delete(self, user_id: str, name: str) -> None:
        """Remove a user's dataset, even a damaged one; raises SourceNotFound."""
        ...

    async def remove_leftovers(self) -> int:
        """Remove the files of unfinished uploads; return how many."""
        ...


class DownloadBoard(Protocol):
    """Lists the downloads of bars in progress in this process."""

    def snapshot(self) -> Sequence[FetchProgress]:
        """Return them, oldest first."""
        ...
