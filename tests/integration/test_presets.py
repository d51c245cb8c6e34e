"""Compare each preset with its rule written once more, on pandas and TA-Lib, and with itself on the other engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib

from src.domain.bars import Bars
from src.domain.strategy import StrategyInputs, StrategyParams
from src.strategies.bollinger import BollingerMode, BollingerParams
from src.strategies.buy_and_hold import BuyAndHoldParams
from src.strategies.crossover import CrossoverParams
from src.strategies.donchian import DonchianParams
from src.strategies.ema_crossover import EmaCrossoverParams
from src.strategies.macd import MacdParams
from src.strategies.presets import PresetParams
from src.strategies.registry import PARAMS, strategy_for
from src.strategies.rsi import RsiParams
from src.strategies.supertrend import SupertrendParams
from src.strategies.up_down import UpDownParams
from tests.engine_agreement import assert_engines_agree
from tests.market import random_bars, read_klines
from tests.unit.indicators.oracles import ema, frame_of, supertrend

Events = tuple[pd.Series, pd.Series]
"""At which bars the rule says buy and sell."""


def crossings(a: Any, b: Any) -> Events:
    """Pine's crossover and crossunder."""
    a, b = pd.Series(a), pd.Series(b)
    return (a > b) & (a.shift() <= b.shift()), (a < b) & (a.shift() >= b.shift())


def of_sma(f: pd.DataFrame, fast: int, slow: int) -> Events:
    close = f.close.to_numpy()
    return crossings(talib.SMA(close, fast), talib.SMA(close, slow))


def of_ema(f: pd.DataFrame, fast: int, slow: int) -> Events:
    return crossings(ema(f.close, fast), ema(f.close, slow))


def of_rsi(f: pd.DataFrame, length: int, low: float, high: float) -> Events:
    strength = pd.Series(talib.RSI(f.close.to_numpy(), length))
    return crossings(strength, low + 0 * strength)[0], crossings(strength, high + 0 * strength)[1]


def of_macd(f: pd.DataFrame, fast: int, slow: int, signal: int) -> Events:
    line = ema(f.close, fast) - ema(f.close, slow)
    return crossings(line, ema(line, signal))


def of_bollinger(f: pd.DataFrame, length: int, multiplier: float, mode: str) -> Events:
    middle, reach = f.close.rolling(length).mean(), multiplier * f.close.rolling(length).std(ddof=0)
    of_lower, of_upper = crossings(f.close, middle - reach), crossings(f.close, middle + reach)
    return (of_upper[0], of_lower[1]) if mode == "BREAKOUT" else (of_lower[0], of_upper[1])


def of_donchian(f: pd.DataFrame, entry_length: int, exit_length: int) -> Events:
    return (
        f.close > f.high.rolling(entry_length).max().shift(),
        f.close < f.low.rolling(exit_length).min().shift(),
    )


def of_supertrend(f: pd.DataFrame, length: int, multiplier: float) -> Events:
    line = supertrend(f, length, multiplier)
    # The side of the close, which a close on the line keeps.
    side = pd.Series(np.sign(f.close.to_numpy() - line)).replace(0, np.nan).ffill()
    return (side.diff() > 0), (side.diff() < 0)


def of_buy_and_hold(f: pd.DataFrame) -> Events:
    return pd.Series(np.arange(len(f)) == 0), pd.Series(np.zeros(len(f), dtype=bool))


def of_up_down(f: pd.DataFrame) -> Events:
    rises, falls = f.close.diff() > 0, f.close.diff() < 0
    return rises, falls & rises.cummax()


RULES: dict[type[StrategyParams], Callable[..., Events]] = {
    CrossoverParams: of_sma,
    UpDownParams: of_up_down,
    EmaCrossoverParams: of_ema,
    RsiParams: of_rsi,
    MacdParams: of_macd,
    BollingerParams: of_bollinger,
    DonchianParams: of_donchian,
    SupertrendParams: of_supertrend,
    BuyAndHoldParams: of_buy_and_hold,
}

CHOICES: tuple[StrategyParams, ...] = (
    *(params() for params in RULES),
    BollingerParams(mode=BollingerMode.BREAKOUT),
    EmaCrossoverParams(fast=1, slow=2),
    RsiParams(length=2, low=10.0, high=50.0),
    MacdParams(fast=3, slow=10, signal=16),
    BollingerParams(length=10, multiplier=1.5),
    DonchianParams(entry_length=5, exit_length=55),
    SupertrendParams(length=7, multiplier=1.5),
)


def expected_action(frame: pd.DataFrame, params: StrategyParams) -> list[int]:
    """Return the rule's signals: the first event, then each event that is not a repetition of the last one."""
    buys, sells = RULES[type(params)](frame.reset_index(drop=True), **asdict(params))
    action, last = [0] * len(frame), 0
    for bar, (buy, sell) in enumerate(zip(buys, sells, strict=True)):
        meant = int(buy) - int(sell)
        if meant and meant != last:
            action[bar] = last = meant
    return action


def assert_same_signals(bars: Bars, params: StrategyParams) -> None:
    frame = frame_of(bars)
    expected = expected_action(frame, params)
    assert strategy_for(params).signals(StrategyInputs(bars=bars)).action.tolist() == expected
    history = params.warm_up_bars(bars.interval)
    if 0 < history < len(bars) // 2:
        # The same rule from the second half on, where the last bars of the first half are history.
        start = len(bars) // 2
        warmed = StrategyInputs(bars=bars.slice(start - history, len(bars)), warm_up=history)
        buys, sells = RULES[type(params)](frame.reset_index(drop=True), **asdict(params))
        events = (buys.astype(int) - sells.astype(int))[start:].to_numpy()
        turns = events[events != 0]
        kept = turns[np.concatenate(([True], turns[1:] != turns[:-1]))] if turns.size else turns
        found = strategy_for(params).signals(warmed).action
        assert found[found != 0].tolist() == kept.tolist()


def assert_same_fills(bars: Bars, params: StrategyParams) -> None:
    assert_engines_agree(bars, strategy_for(params).signals(StrategyInputs(bars=bars)))


def test_every_preset_is_compared() -> None:
    presets = {kind for kind in PARAMS.values() if issubclass(kind, PresetParams)}
    assert set(RULES) == presets | {CrossoverParams, UpDownParams, BuyAndHoldParams}


@pytest.mark.parametrize("params", CHOICES, ids=str)
def test_preset_on_random_bars_agrees_with_its_rule(params: StrategyParams) -> None:
    for seed in range(6):
        bars = random_bars(1500, seed=seed)
        assert_same_signals(bars, params)
        assert_same_fills(bars, params)


@pytest.mark.shared_data
@pytest.mark.parametrize("interval", ["1d", "1h"])
@pytest.mark.parametrize("params", CHOICES, ids=str)
def test_preset_on_real_bars_agrees_with_its_rule(params: StrategyParams, interval: str, shared_data: Path) -> None:
    bars = read_klines(shared_data / f"BTCUSDT-{interval}.csv.gz", interval=interval, rows=20_000)
    assert_same_signals(bars, params)
    assert_same_fills(bars, params)
