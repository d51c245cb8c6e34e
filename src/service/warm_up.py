"""Run once everything that is compiled or imported on first use, so that the first client does not wait for it."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from src.domain.bar_quality import DataQuality
from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest, MarketSeries
from src.domain.order_rules import Exits, Sizing
from src.domain.runs import BacktestRequest
from src.domain.signals import OutputKind, Predictions
from src.domain.strategy import ModelParams, StrategyInputs
from src.domain.sweeps import Search, SearchKind, SweepRequest, SweptParameter, ValueRange
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.domain.trial_states import EMPTY_LEDGER, LedgerUpdate
from src.engines.event_driven import EventDrivenEngine
from src.engines.portfolio import run_portfolio
from src.features.ohlcv import build_features
from src.indicators.indicator import read_columns
from src.indicators.registry import INDICATORS
from src.judgement.overfitting import measure_overfitting
from src.ports.computing import Engine
from src.service.judging import conclude, examine_parts, split_run, take_snapshot
from src.service.pipeline import compute
from src.service.timing import Stopwatch
from src.strategies.crossover import Crossover, CrossoverParams
from src.strategies.ema_crossover import EmaCrossoverParams
from src.strategies.model_signals import signals_from_predictions
from src.strategies.rules.strategy import Rules, RulesParams
from src.strategies.up_down import UpDown
from src.sweeps.estimating import estimate_sweep
from src.tearsheet.distribution import describe_returns
from src.tearsheet.drawdowns import find_drawdowns


def warm_up(engines: Mapping[EngineName, Engine]) -> None:
    """Run every engine, strategy, feature and indicator once on a few bars.

    Blocking; takes seconds if the compile cache is empty.
    """
    bars = _wave(200)
    build_features(bars)
    for indicator in INDICATORS.values():
        indicator.compute(read_columns(bars, indicator.columns))
    UpDown().signals(StrategyInputs(bars=bars))
    find_drawdowns(bars.open_time_ms, bars.close, 100.0, first=1)
    describe_returns(bars.close, 100.0)
    signals_from_predictions(Predictions(values=np.tile([0.0, 1.0], 100), kind=OutputKind.PROBABILITY))
    request = BacktestRequest(
        user_id="warm-up",
        market=MarketRequest(symbol=bars.symbol, interval=bars.interval, limit=len(bars)),
        strategy=CrossoverParams(fast=3, slow=8),
        rules=TradingRules(fill=FillTiming.SAME_CLOSE),
        engine=EngineName.VECTORIZED,
    )
    for engine in engines:
        _run(replace(request, engine=engine), bars, engines)
    if EngineName.EVENT_DRIVEN in engines:
        exits = Exits(stop_loss_rate=0.02, take_profit_rate=0.04, trailing_stop_rate=0.03)
        rules = replace(request.rules, exits=exits)
        _run(replace(request, engine=EngineName.EVENT_DRIVEN, rules=rules), bars, engines)


def warm_up_rules() -> None:
    """Build the parser of rules and load what computes them, for the first client that sends a rule.

    Blocking; 0.1 s, seconds if the compile cache is empty. Not in `warm_up`, because all clients wait for that, and few
    send rules.
    """
    params = RulesParams(buy="crosses_above(close, sma(5)) and close > 1 + open / 2", short="close < sma(9)")
    Rules(params).signals(StrategyInputs(bars=_wave(200)))


def warm_up_detail() -> None:
    """Load the code that walks through finer bars inside bars, and the code that sizes by volatility.

    Blocking; a second, and half a minute of one core if the compile cache is empty: a first client would wait. Not
    in `warm_up`, for the same reason as `warm_up_rules`.
    """
    bars = replace(_wave(800), inside=_wave(800))
    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN, detail=INTERVALS["1h"], sizing=Sizing(volatility_target=0.5),
        exits=Exits(stop_loss_rate=0.02),
    )  # fmt: skip
    EventDrivenEngine().run(bars, Crossover(CrossoverParams(fast=3, slow=8)).signals(StrategyInputs(bars=bars)), rules)


def warm_up_portfolios() -> None:
    """Load the code that trades several symbols with one cash; see `warm_up_detail`."""
    bars = _wave(200)
    signals = Crossover(CrossoverParams(fast=3, slow=8)).signals(StrategyInputs(bars=bars))
    run_portfolio([bars], [signals], [TradingRules(fill=FillTiming.NEXT_OPEN)], most_open=1)


def warm_up_sweeps() -> None:
    """Load the code that computes the rows of sweeps and tests the best of them, by running each kernel once.

    Blocking; a second, and half a minute of one core if the compile cache is empty. Not in `warm_up`, for the same
    reason as `warm_up_rules`.
    """
    swept = (SweptParameter(name="fast", values=(2, 3)), SweptParameter(name="slow", values=(4, 5)))
    request = BacktestRequest(
        user_id="warm-up",
        market=MarketRequest(symbol="WARMUP", interval=INTERVALS["1d"], limit=200),
        strategy=CrossoverParams(),
        rules=TradingRules(fill=FillTiming.NEXT_OPEN),
        engine=EngineName.VECTORIZED,
    )
    stopped = replace(request.rules, exits=Exits(stop_loss_rate=0.1))
    for backtest in (
        request,
        replace(request, strategy=EmaCrossoverParams()),
        replace(request, engine=EngineName.EVENT_DRIVEN, rules=stopped),
    ):
        estimate_sweep(SweepRequest(backtest=backtest, parameters=swept), len(swept) ** 2)
    drawn = (
        SweptParameter(name="fast", range=ValueRange(start=2.0, end=9.0)),
        SweptParameter(name="fees", range=ValueRange(start=0.0, end=0.01)),
    )
    estimate_sweep(SweepRequest(backtest=request, parameters=drawn, search=Search(kind=SearchKind.RANDOM)), 100)
    thresholds = (SweptParameter(name="threshold", values=(0.4, 0.6)),)
    estimate_sweep(SweepRequest(backtest=replace(request, strategy=ModelParams()), parameters=thresholds), 100)
    measure_overfitting(np.random.Generator(np.random.Philox(1)).normal(size=(200, 3)))


def _run(request: BacktestRequest, bars: Bars, engines: Mapping[EngineName, Engine]) -> None:
    """Compute and judge a backtest."""
    quality = DataQuality(expected_bars=len(bars), present_bars=len(bars))
    series = MarketSeries(bars=bars, quality=quality, origin="warm-up")
    computed = compute(request, bars, None, engines, Stopwatch())
    parts = split_run(request, series, None, computed, engines, bars.fingerprint())
    update = LedgerUpdate(before=EMPTY_LEDGER, after=EMPTY_LEDGER.add(parts.entry))
    conclude(examine_parts(parts, request, engines), take_snapshot(update), rows=None, not_checked=())


def settle_memory() -> None:
    """Exclude all objects that exist now from garbage collection.

    A full collection visits every object, also modules and schemas that are never freed, and blocks all requests:
    140 ms, or less than 0.1 ms once frozen (`python -m tests.start_up frozen`). A little garbage is frozen too.
    """
    gc.freeze()


def _wave(n: int) -> Bars:
    """Return bars that go up and down, so that a crossover trades."""
    close = 100 + 10 * np.sin(np.arange(n) / 5)
    open_ = np.concatenate((close[:1], close[:-1]))
    return Bars(
        symbol="WARMUP",
        interval=INTERVALS["1h"],
        open_time_ms=np.arange(n, dtype=np.int64) * INTERVALS["1h"].milliseconds,
        open=open_,
        high=np.maximum(open_, close) + 1,
        low=np.minimum(open_, close) - 1,
        close=close,
        volume=np.ones(n),
    )
