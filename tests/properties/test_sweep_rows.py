"""Each row of a sweep is what a run of its own is: figures, trial, returns, for random bars, rules and strategies."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from src.domain.atr_exits import AtrDistances
from src.domain.bars import Bars
from src.domain.exchange_rules import ExchangeRules
from src.domain.funding import Funding, FundingKind
from src.domain.funding_rates import build_rates
from src.domain.order_rules import Exits, Margin, Sizing
from src.domain.signals import OutputKind, Predictions
from src.domain.strategy import ModelParams
from src.domain.trading import Direction, EngineName, FillTiming, TradingRules
from src.strategies.crossover import CrossoverParams
from src.strategies.registry import PARAMS
from src.strategies.rules.strategy import RulesParams
from tests.factories import make_request
from tests.market import random_bars
from tests.simulations import FUNDED, RULES, SHARED_RULES
from tests.sweep_agreement import assert_rows_agree, build_sweep

HISTORY = 120

SWEPT: dict[str, dict[str, list[Any]]] = {
    "ma_crossover": {"fast": [2, 3, 7], "slow": [5, 11, 40]},
    "ema_crossover": {"fast": [2, 3, 7], "slow": [5, 11, 40]},
    "rsi": {"length": [3, 5, 9], "low": [30.0, 40.0, 45.0], "high": [60.0, 55.0, 55.0]},
    "macd": {"fast": [3, 5, 5], "slow": [9, 9, 20], "signal": [3, 4, 4]},
    "bollinger": {"length": [5, 9, 9], "multiplier": [1.0, 1.5, 2.0], "mode": ["REVERSION", "BREAKOUT", "BREAKOUT"]},
    "donchian": {"entry_length": [3, 8, 8], "exit_length": [2, 2, 5]},
    "supertrend": {"length": [3, 5, 5], "multiplier": [1.0, 1.0, 2.0]},
}
BOTH_WAYS = RulesParams(
    buy="close > ema({n})", sell="rsi(5) > 70", short="close < ema({n}) and rsi(5) < 50", cover="close > open",
    parameters={"n": 5},
)  # fmt: skip

engine_rules = st.one_of(
    st.tuples(st.just(EngineName.VECTORIZED), SHARED_RULES), st.tuples(st.just(EngineName.EVENT_DRIVEN), RULES)
)
market_bars = st.builds(
    random_bars,
    st.integers(2, 200),
    seed=st.integers(0, 2**32 - 1),
    interval=st.sampled_from(["1h", "1d"]),
    volatility=st.sampled_from([0.0, 0.004, 0.03, 0.3]),
)


def history_of(bars: Bars) -> Bars:
    """Bars right before these."""
    step, first = bars.interval.milliseconds, int(bars.open_time_ms[0])
    times = first + step * np.arange(-HISTORY, 0, dtype=np.int64)
    return replace(random_bars(HISTORY, seed=8, interval=bars.interval.name), open_time_ms=times)


@given(st.sampled_from(sorted(SWEPT)), engine_rules, market_bars, st.booleans(), st.booleans())
def test_rows_of_presets_equal_single_runs(
    name: str, chosen: tuple[EngineName, TradingRules], bars: Bars, has_history: bool, use_fallback: bool
) -> None:
    engine, rules = chosen
    backtest = make_request(engine=engine, rules=rules, strategy=PARAMS[name](), use_fallback=use_fallback)
    request, values = build_sweep(backtest, SWEPT[name])
    assert_rows_agree(request, values, bars, history=history_of(bars) if has_history else None)


@given(RULES, market_bars)
def test_rows_of_swept_exits_equal_single_runs(rules: TradingRules, bars: Bars) -> None:
    # Not together with the swept `take_profit`: ladders of targets, and distances in ATR.
    exits = replace(rules.exits, atr=AtrDistances(), trailing_start_rate=None, take_profits=())
    sizing = Sizing() if rules.sizing.risk_fraction is not None else rules.sizing
    rules = replace(rules, sizing=sizing, exits=exits)
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    swept: dict[str, list[Any]] = {
        "stop_loss": [0.01, 0.01, 0.2, 0.05],
        "take_profit": [0.01, 0.03, 0.5, 0.02],
        "trailing_stop": [0.01, 0.02, 0.4, 0.9],
        "max_bars": [2, 9, 100, 5],
        "direction": ["LONG", "BOTH", "SHORT", "BOTH"],
        "intrabar": ["PESSIMISTIC", "OPTIMISTIC", "NEAREST", "PESSIMISTIC"],
        "fees": [0.0, 0.001, 0.01, 0.3],
        "fill": ["SAME_CLOSE", "NEXT_OPEN", "SAME_CLOSE", "NEXT_OPEN"],
    }
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


@given(RULES, market_bars, st.booleans())
def test_rows_of_swept_stops_equal_single_runs(rules: TradingRules, bars: Bars, closes_at_end: bool) -> None:
    exits = replace(rules.exits, at_end=closes_at_end, stop_loss_rate=0.2, atr=AtrDistances(), trailing_start_rate=None)
    rules = replace(rules, sizing=Sizing(), exits=exits)
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    swept: dict[str, list[Any]] = {
        "trailing_stop": [0.01, 0.02, 0.4, 0.1],
        "trailing_start": [0.01, 0.05, 0.002, 0.3],
        "break_even_at": [0.02, 0.01, 0.003, 0.1],
        "cooldown_bars": [0, 3, 1, 50],
        "risk_percent": [0.01, 0.5, 0.02, 1.0],
        "maker_fee": [-0.01, 0.0, 0.2, 0.001],
        "taker_fee": [0.0, 0.01, 0.001, 0.3],
        "leverage": [1.0, 3.0, 1.0, 20.0],
    }
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


@given(RULES, market_bars)
def test_rows_of_distances_equal_single_runs(rules: TradingRules, bars: Bars) -> None:
    exits = Exits(atr=AtrDistances(take_profit=3.0, trailing_stop=2.0), max_bars=rules.exits.max_bars)
    rules = replace(rules, sizing=Sizing(), exits=exits, entry=replace(rules.entry, additions=()))
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    swept: dict[str, list[Any]] = {
        "stop_loss_atr": [1.0, 0.5, 3.0, 1.0],
        "trailing_stop_atr": [4.0, 1.5, 2.0, 0.3],
        "atr_bars": [14, 2, 14, 5],
        "risk_percent": [0.01, 0.5, 0.02, 1.0],
    }
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


@given(RULES, market_bars)
def test_rows_of_volatility_targets_equal_single_runs(rules: TradingRules, bars: Bars) -> None:
    rules = replace(rules, sizing=Sizing())
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    swept: dict[str, list[Any]] = {"volatility_target": [0.05, 0.4, 30.0, 0.2], "leverage": [1.0, 3.0, 1.0, 20.0]}
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


@given(RULES, market_bars)
def test_rows_of_exit_orders_equal_single_runs(rules: TradingRules, bars: Bars) -> None:
    exits = replace(rules.exits, on_signal=True, take_profits=())
    rules = replace(rules, exits=exits, entry=replace(rules.entry, additions=()))
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    swept: dict[str, list[Any]] = {
        "exit": ["LIMIT", "MARKET", "LIMIT", "LIMIT"],
        "exit_offset": [0.0, 0.0, 0.01, 0.2],
        "direction": ["BOTH", "BOTH", "LONG", "SHORT"],
    }
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


@given(RULES, market_bars)
def test_rows_of_volume_rules_equal_single_runs(rules: TradingRules, bars: Bars) -> None:
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    swept: dict[str, list[Any]] = {
        "volume_impact": [0.0, 0.5, 0.9, 0.0],
        "max_volume_share": [0.5, 0.003, 1.0, 0.1],
        "fees": [0.0, 0.001, 0.01, 0.0],
    }
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


@given(RULES, market_bars)
def test_rows_of_exchange_rules_equal_single_runs(rules: TradingRules, bars: Bars) -> None:
    rules = replace(rules, exchange=ExchangeRules())
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    swept: dict[str, list[Any]] = {
        "tick_size": [0.01, 0.3, 7.0],
        "step_size": [0.1, 0.001, 3.0],
        "min_notional": [10.0, 5_000.0, 1.0],
    }
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


@given(FUNDED, market_bars, st.booleans())
def test_rows_of_swept_funding_equal_single_runs(rules: TradingRules, bars: Bars, has_gaps: bool) -> None:
    rules = replace(rules, margin=Margin())
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    if has_gaps:
        slots = np.cumsum(np.random.default_rng(len(bars)).choice([1, 1, 1, 7], len(bars)))
        bars = replace(bars, open_time_ms=slots.astype(np.int64) * bars.interval.milliseconds)
    swept: dict[str, list[Any]] = {
        "funding_rate": [0.0001, -0.03, 0.0, 0.03, 0.003],
        "leverage": [1.0, 1.0, 1.0, 20.0, 125.0],
        "fees": [0.0, 0.001, 0.001, 0.0, 0.01],
    }
    request, values = build_sweep(backtest, swept)
    assert_rows_agree(request, values, bars)


def test_rows_of_a_funding_history_equal_single_runs() -> None:
    bars = random_bars(300, seed=5, interval="6h")
    times = int(bars.open_time_ms[0]) + 8 * 3_600_000 * np.arange(200)
    rates = build_rates(times, np.random.default_rng(5).normal(0, 0.001, 200))
    history = Funding(kind=FundingKind.HISTORY, history="mine").with_rates(rates)
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, direction=Direction.BOTH, funding=history)
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=CrossoverParams(fast=2, slow=5))
    request, values = build_sweep(backtest, {"fast": [2, 3, 4], "leverage": [1.0, 5.0, 20.0]})
    assert_rows_agree(pickle.loads(pickle.dumps(request)), values, bars)  # as a worker of a cluster gets it


def test_rows_of_funding_that_only_some_pay() -> None:
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, strategy=CrossoverParams(fast=2, slow=5))
    bars = random_bars(300, seed=3, interval="1h")
    request, values = build_sweep(backtest, {"funding": ["CONSTANT"] * 3, "funding_rate": [0.001, 0.0, -0.001]})
    found = assert_rows_agree(request, values, bars)
    assert np.unique(found.rows.figures[:, 0]).size == 3


@given(st.sampled_from(FillTiming), st.sampled_from(["SHORT", "BOTH"]), market_bars)
def test_rows_of_rules_equal_single_runs(fill: FillTiming, direction: str, bars: Bars) -> None:
    rules = TradingRules(fill=fill, direction=direction)  # type: ignore[arg-type]
    backtest = make_request(engine=EngineName.EVENT_DRIVEN, rules=rules, strategy=BOTH_WAYS)
    request, values = build_sweep(backtest, {"n": [2, 5, 30], "slippage": [0.0, 0.001, 0.02]})
    assert_rows_agree(request, values, bars, history=history_of(bars))


@given(
    st.sampled_from([OutputKind.PROBABILITY, OutputKind.VALUE]), engine_rules, market_bars, st.integers(0, 2**32 - 1)
)
def test_rows_of_thresholds_equal_single_runs(
    kind: OutputKind, chosen: tuple[EngineName, TradingRules], bars: Bars, seed: int
) -> None:
    engine, rules = chosen
    random = np.random.default_rng(seed)
    values = np.where(random.random(len(bars)) < 0.2, np.nan, random.random(len(bars)).round(2))
    predictions = Predictions(values=values, kind=kind, feature_columns=("Close",))
    request, table = build_sweep(
        make_request(engine=engine, rules=rules, strategy=ModelParams(reference="m.onnx")),
        {"threshold": [0.0, 0.25, 0.5, 0.51, 1.0]},
    )
    assert_rows_agree(request, table, bars, predictions=predictions)
