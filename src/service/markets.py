"""Return the bars, features and symbols of markets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from src.domain.errors import TimedOut, bad_value
from src.domain.market import SIMULATED, MarketRequest, MarketSeries
from src.domain.model_files import check_user_id
from src.domain.signals import Features
from src.domain.symbols import MAX_SYMBOL_LENGTH, is_symbol, normalize_symbol
from src.features.ohlcv import build_features
from src.service.computing import ComputeQueue
from src.service.deadlines import deadline_after, until
from src.service.sources import SourceCatalog

SIMULATED_WARNING: Final = "The bars are simulated: no market ever printed these prices."


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketService:
    """The use cases of markets; `timeout_s` is the longest time of one request, waiting included."""

    sources: SourceCatalog
    computing: ComputeQueue
    timeout_s: float

    async def fetch_bars(self, market: MarketRequest, *, user_id: str | None = None) -> MarketSeries:
        """Return the bars that a backtest of this market would use; the source may be a dataset of `user_id`.

        Raises any ServiceError: Busy if too much work is queued, TimedOut after `timeout_s`.
        """
        source = await self.sources.find(market.source, user_id=None if user_id is None else check_user_id(user_id))
        too_much = TimedOut(
            "The bars took longer than the limit of {most:g} s. Ask for fewer ({@limit}).", most=self.timeout_s
        )
        deadline_s = deadline_after(self.timeout_s)
        async with self.computing.slot(user_id or "", is_reading=True), until(deadline_s, too_much):
            series = await source.fetch(market)
        # A result says so in its verdict; bars alone have none.
        if market.source == SIMULATED:
            series = replace(series, warnings=(SIMULATED_WARNING, *series.warnings))
        return series

    async def fetch_features(
        self, market: MarketRequest, *, user_id: str | None = None
    ) -> tuple[MarketSeries, Features]:
        """Return the bars of a market and the features that a model would receive for them, to the bit."""
        series = await self.fetch_bars(market, user_id=user_id)
        return series, await self.computing.run(build_features, series.bars)

    async def list_symbols(self, *, quote_asset: str | None = None, is_trading_only: bool = True) -> Sequence[str]:
        """Return the symbols of the default source, sorted.

        Parameters
        ----------
        quote_asset
            Only symbols priced in this asset (`USDT`, in any case).
        is_trading_only
            Whether to leave out symbols that do not trade now.
        """
        quote = None if quote_asset is None else _check_asset(quote_asset)
        return [
            listing.symbol
            for listing in await self.sources.default.listings()
            if (listing.is_trading or not is_trading_only) and quote in (None, listing.quote)
        ]


def _check_asset(name: str) -> str:
    asset = name.strip()
    if not is_symbol(asset):
        allowed = f"1 to {MAX_SYMBOL_LENGTH} letters and digits, such as USDT"
        raise bad_value("quoteAsset", got=name, allowed=allowed)
    return normalize_symbol(asset)
