"""Portfolios for tests: a request, bars of several symbols, and what running both gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.portfolio import PortfolioRequest, Rank
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.strategies.crossover import CrossoverParams
from tests.factories import make_market, make_request
from tests.job_attempts import GrowingBars
from tests.market import random_bars

SYMBOLS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
BARS = 260


def make_portfolio(**overrides: Any) -> PortfolioRequest:
    """A portfolio of three symbols in two places, on the newest bars."""
    backtest = make_request(
        market=make_market(symbol=SYMBOLS[0], limit=BARS),
        strategy=CrossoverParams(fast=3, slow=9),
        rules=TradingRules(fill=FillTiming.NEXT_OPEN),
        engine=EngineName.EVENT_DRIVEN,
    )
    given: dict[str, Any] = {"backtest": backtest, "symbols": SYMBOLS, "max_open": 2, "rank": Rank.MOMENTUM}
    return PortfolioRequest(**(given | {"rank_bars": 5} | overrides))


class SeveralBars:
    """A source that has the first `known` bars of each symbol; those of one begin later."""

    def __init__(self, *, known: int, bars: int) -> None:
        self.series = {
            symbol: GrowingBars(
                dataclasses.replace(random_bars(bars, seed=30 + number), symbol=symbol), known=known
            )
            for number, symbol in enumerate(SYMBOLS)
        }  # fmt: skip
        late = self.series[SYMBOLS[2]]
        late.bars = late.bars.slice(known - BARS // 2, len(late.bars))
        late.known = BARS // 2

    def grow(self, bars: int) -> None:
        for own in self.series.values():
            own.known += bars

    async def fetch(self, market: MarketRequest) -> MarketSeries:
        return await self.series[market.symbol].fetch(market)

    async def listings(self) -> Sequence[Listing]:
        return tuple(Listing(symbol=symbol, base=symbol[:3], quote="USDT") for symbol in self.series)

    async def close(self) -> None: ...
