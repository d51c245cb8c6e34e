"""Portfolios for tests: a request, bars of several symbols, and what running both gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from src.domain.confidence import Confidence, Deflation, Interval
from src.domain.judgement import FillBand
from src.domain.market import Listing, MarketRequest, MarketSeries
from src.domain.portfolio import Correlations, PortfolioConclusion, PortfolioRequest, Rank, SymbolSummary
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.domain.verdict import NotChecked, Reason, ReasonCode, Verdict, VerdictLevel
from src.strategies.crossover import CrossoverParams
from tests.factories import make_market, make_metrics, make_request
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


def make_portfolio_conclusion() -> PortfolioConclusion:
    """What a portfolio of one traded symbol and one that was not might say."""
    deflated: dict[str, Any] = dict.fromkeys(item.name for item in dataclasses.fields(Deflation))
    deflated |= {"trials": 3, "trials_effective": 1.5, "sharpe_hurdle": 0.1 + 0.2, "active_trials_effective": 1.0}
    deflated |= {"ledger_scope": "Some.", "reduced_trials": 0, "missing_trials": 0}
    range_ = Interval(low=-0.5, high=1.5)
    own = dict.fromkeys((item.name for item in dataclasses.fields(SymbolSummary)), None)
    numbers = dict.fromkeys(("profit", "contribution", "exposure", "total_fees", "total_funding"), 0.1 + 0.2)
    counts = dict.fromkeys(("bars", "start_ms", "end_ms", "total_trades", "open_trades", "refused_entries"), 7)
    texts = {"symbol": SYMBOLS[0], "bars_fingerprint": "0" * 64, "funding_fingerprint": "1" * 64}
    added = {"reduced_entries": 1, "dropped_entries": 2, "ambiguous_bars": 3, "liquidations": 0, "step_size": 0.1}
    summary = SymbolSummary(**(own | numbers | counts | texts | added))  # type: ignore[arg-type]
    return PortfolioConclusion(
        metrics=make_metrics(),
        confidence=Confidence(
            level=0.95, method="blocks", block_length=None, resamples=10, seed="0f", sharpe_ratio=range_,
            sharpe_error=0.125, win_rate=None, profit_factor=None, range_of_next_path=None, trade_autocorrelation=None,
            are_trades_autocorrelated=False,
        ),
        verdict=Verdict(
            level=VerdictLevel.DOUBTFUL,
            reasons=(
                Reason(
                    code=ReasonCode.THIN_COST_MARGIN, level=VerdictLevel.DOUBTFUL, text="é", value=-0.0, threshold=None,
                    unit="per cent", false_alarm_rate=0.05,
                ),
            ),
            not_checked=(NotChecked(code="TIMING", why="Why."),),
        ),
        deflation=Deflation(**deflated),
        symbols=(summary, dataclasses.replace(summary, symbol=SYMBOLS[1], win_rate=50.0)),
        correlations=Correlations(symbols=SYMBOLS[:2], values=(1.0, None, None, 1.0), mean=None),
        most_open=1,
        refused_entries=14,
        warnings=("é",),
        reduced_entries=2,
        dropped_entries=4,
        ambiguous_bars=6,
        liquidations=0,
        fill_band=FillBand(pessimistic_return=-0.5, optimistic_return=0.1 + 0.2, ambiguous_bars=6),
    )  # fmt: skip


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
