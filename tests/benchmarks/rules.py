"""Rules beside TA-Lib: each indicator beside its function, and rules of three indicators beside one call of each.

On 1,000 bars a rule's limit is what it may take beyond the crossover's signals, with a text that was never seen (parsed
and compiled) and with one that was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import talib
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.strategy import StrategyInputs
from src.indicators.indicator import read_columns
from src.indicators.registry import INDICATORS
from src.strategies.crossover import Crossover, CrossoverParams
from src.strategies.rules.checking import compile_rules
from src.strategies.rules.parsing import parse
from src.strategies.rules.strategy import Rules, RulesParams
from tests.benchmarks.measurement import Measurement, best_of_both
from tests.market import random_bars

MANY_BARS: Final = 1_000_000
FEW_BARS: Final = 1_000
MOST_BEYOND_CROSSOVER_S: Final = 0.0005
MANY_TARGET: Final = "≥ 0.1× (at most 10 times its time)"

Columns = Mapping[str, NDArray[np.float64]]
Call = Callable[[Columns], object]

TALIB: Final[Mapping[str, Call]] = MappingProxyType(
    {
        "sma": lambda c: talib.SMA(c["close"], 20),
        "ema": lambda c: talib.EMA(c["close"], 20),
        "wma": lambda c: talib.WMA(c["close"], 20),
        "rsi": lambda c: talib.RSI(c["close"], 14),
        "macd": lambda c: talib.MACD(c["close"], 12, 26, 9),
        "macd_signal": lambda c: talib.MACD(c["close"], 12, 26, 9),
        "macd_hist": lambda c: talib.MACD(c["close"], 12, 26, 9),
        "stoch_k": lambda c: talib.STOCH(c["high"], c["low"], c["close"], 14, 3, 0, 3, 0),
        "stoch_d": lambda c: talib.STOCH(c["high"], c["low"], c["close"], 14, 3, 0, 3, 0),
        "cci": lambda c: talib.CCI(c["high"], c["low"], c["close"], 20),
        "roc": lambda c: talib.ROC(c["close"], 10),
        "mom": lambda c: talib.MOM(c["close"], 10),
        "atr": lambda c: talib.ATR(c["high"], c["low"], c["close"], 14),
        "adx": lambda c: talib.ADX(c["high"], c["low"], c["close"], 14),
        "plus_di": lambda c: talib.PLUS_DI(c["high"], c["low"], c["close"], 14),
        "minus_di": lambda c: talib.MINUS_DI(c["high"], c["low"], c["close"], 14),
        "stdev": lambda c: talib.STDDEV(c["close"], 20),
        "bb_upper": lambda c: talib.BBANDS(c["close"], 20, 2, 2),
        "bb_lower": lambda c: talib.BBANDS(c["close"], 20, 2, 2),
        "bb_width": lambda c: talib.BBANDS(c["close"], 20, 2, 2),
        "highest": lambda c: talib.MAX(c["high"], 20),
        "lowest": lambda c: talib.MIN(c["low"], 20),
        "donchian_high": lambda c: talib.MAX(c["high"], 20),
        "donchian_low": lambda c: talib.MIN(c["low"], 20),
        "obv": lambda c: talib.OBV(c["close"], c["volume"]),
        "mfi": lambda c: talib.MFI(c["high"], c["low"], c["close"], c["volume"], 14),
    }
)
"""The function of each indicator that has one, with the indicator's default lengths."""

RULES: Final[Mapping[str, tuple[Mapping[str, str], tuple[str, ...]]]] = MappingProxyType(
    {
        "averages": (
            {"buy": "close > sma(20) and wma(20) > sma(20) and mom(10) > 0", "sell": "close < sma(20)"},
            ("sma", "wma", "mom"),
        ),
        "ranges": (
            {"buy": "crosses_above(close, highest(close, 20)[1]) and atr(14) > close / 500", "sell": "rsi(14) > 80"},
            ("highest", "atr", "rsi"),
        ),
        "oscillators": (
            {"buy": "cci(20) < -100 and stoch_d(14) < 20 and mfi(14) < 30", "sell": "cci(20) > 100"},
            ("cci", "stoch_d", "mfi"),
        ),
    }
)
"""Rules of three indicators each, cheap to dear, and the indicators that they read."""


def measure(*, quick: bool) -> list[Measurement]:
    """Measure each indicator, then each rule; about 20 s, of which a short run takes a fifth."""
    bars = random_bars(MANY_BARS // 10 if quick else MANY_BARS, seed=3, interval="1m", volatility=0.002)
    few = random_bars(FEW_BARS, seed=3, interval="1m", volatility=0.002)
    indicators = [_measure_indicator(name, bars) for name in TALIB]
    many = [_measure_on_many_bars(name, bars) for name in RULES]
    return [
        *indicators,
        *many,
        *(_measure_on_few_bars(name, few, is_new=new) for name in RULES for new in (True, False)),
    ]


def _columns(bars: Bars) -> Columns:
    names = ("high", "low", "close", "volume")
    return dict(zip(names, read_columns(bars, names), strict=True))


def _measure_indicator(name: str, bars: Bars) -> Measurement:
    indicator, columns = INDICATORS[name], _columns(bars)
    read = read_columns(bars, indicator.columns)
    ours, peer = best_of_both(lambda: indicator.compute(read), lambda: TALIB[name](columns), repeats=15)
    return Measurement(
        name=f"indicator {name}", seconds=ours, units=f"{len(bars):,} bars", peer_name="TA-Lib", peer_seconds=peer,
        target=MANY_TARGET,
    )  # fmt: skip


def _measure_on_many_bars(name: str, bars: Bars) -> Measurement:
    texts, read = RULES[name]
    columns = _columns(bars)
    ours, peer = best_of_both(
        lambda: _signals(texts, bars), lambda: [TALIB[one](columns) for one in read], repeats=10
    )  # fmt: skip
    return Measurement(
        name=f"rule of {name}", seconds=ours, units=f"{len(bars):,} bars", peer_name=f"TA-Lib: {', '.join(read)}",
        peer_seconds=peer, target=MANY_TARGET,
    )  # fmt: skip


def _measure_on_few_bars(name: str, bars: Bars, *, is_new: bool) -> Measurement:
    texts: Any = RULES[name][0]

    def ours() -> None:
        if is_new:
            parse.cache_clear()
            compile_rules.cache_clear()
        _signals(texts, bars)

    inputs = StrategyInputs(bars=bars)
    rule, crossover = best_of_both(ours, lambda: Crossover(CrossoverParams()).signals(inputs), repeats=300)
    return Measurement(
        name=f"rule of {name}, beyond the crossover", seconds=max(rule - crossover, 1e-9),
        units=f"{len(bars):,} bars, {'new' if is_new else 'known'} text", peer_name="the limit",
        peer_seconds=MOST_BEYOND_CROSSOVER_S, target="≥ 1×",
    )  # fmt: skip


def _signals(texts: Any, bars: Bars) -> None:
    Rules(RulesParams(**texts)).signals(StrategyInputs(bars=bars))
