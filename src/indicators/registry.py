"""The registry of indicators: one entry each. Rules and the documentation use these names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from src.domain.intervals import DAY_MS
from src.domain.parameters import Bounds, Parameter
from src.indicators import formulas, talib_functions, windows
from src.indicators.indicator import Argument, Indicator, Series
from src.indicators.moving_average import simple_moving_average
from src.indicators.recursions import difference_of_averages, exponential_moving_average

MAX_LENGTH: Final = 5_000
MAX_MULTIPLIER: Final = 100

_APPEL: Final = "Gerald Appel, Technical Analysis: Power Tools for Active Investors (2005)"
_BOLLINGER: Final = "John Bollinger, Bollinger on Bollinger Bands (2001)"
_DONCHIAN: Final = "Richard Donchian's channel, as in Curtis Faith, Way of the Turtle (2007)"
_KELTNER: Final = "Chester Keltner, How to Make Money in Commodities (1960), with Linda Raschke's EMA and ATR"
_LANE: Final = "George Lane, Lane's Stochastics (1984)"
_STATISTICS: Final = "Any textbook of statistics"
_WILDER: Final = "J. Welles Wilder, New Concepts in Technical Trading Systems (1978); computed by TA-Lib"

_RANGE: Final = ("high", "low", "close")
_TYPICAL: Final = "p = (high + low + close) ÷ 3"
_TRUE_RANGE: Final = "TR = max(high, close[1]) − min(low, close[1])"
_MOVES: Final = "+DM = high − high[1] if that is > 0 and > low[1] − low, else 0, and −DM likewise"
_WILDERS_MEAN: Final = "Wilder's mean m = m[1] + (x − m[1]) ÷ n"


def _length(name: str = "length", default: int = 14, *, least: int = 1, of: str = "the window") -> Argument:
    bounds = Bounds(minimum=least, maximum=MAX_LENGTH)
    meaning = f"Length of {of}"
    return Argument(
        parameter=Parameter(name=name, meaning=meaning, unit="bars", bounds=bounds), default=default, is_whole=True
    )


def _multiplier(default: float, of: str) -> Argument:
    bounds = Bounds(minimum=0, maximum=MAX_MULTIPLIER, is_minimum_open=True)
    parameter = Parameter(name="multiplier", meaning=f"Distance of the band in {of}", unit=of, bounds=bounds)
    return Argument(parameter=parameter, default=default, is_whole=False)


def _before_window(length: int, *_: float) -> int:
    return length - 1


def _one_more(length: int, *_: float) -> int:
    return length


def _nothing(*_: float) -> int:
    return 0


def _indicator(
    name: str,
    columns: tuple[str, ...],
    function: Callable[..., Series],
    *arguments: Argument,
    lookback: Callable[..., int] = _before_window,
    memory: Callable[..., int | None] = _nothing,
    **texts: Any,
) -> Indicator:
    return Indicator(
        name=name,
        columns=columns,
        function=function,
        arguments=arguments,
        count_lookback=lookback,
        count_memory=memory,
        **{"takes_series": False, "unit": "price", **texts},
    )


def _macd_lengths() -> tuple[Argument, Argument]:
    return (
        _length("fast", 12, of="the fast average; less than slow"),
        _length("slow", 26, least=2, of="the slow average"),
    )


_ALL: Final = (
    # Averages
    _indicator(
        "sma", ("close",), simple_moving_average, _length(default=20), takes_series=True,
        meaning="Simple moving average: the mean of the last n values",
        formula="Σ x ÷ n over n bars, correctly rounded",
        source=_STATISTICS,
    ),
    _indicator(
        "ema", ("close",), exponential_moving_average, _length(default=20), takes_series=True,
        memory=formulas.forget_exponential,
        meaning="Exponential moving average",
        formula="e = e[1] + 2 ÷ (n + 1) × (x − e[1]); the first is the mean of n values",
        source="Robert Brown, Smoothing, Forecasting and Prediction (1963); the start as in TA-Lib",
    ),
    _indicator(
        "wma", ("close",), windows.rolling_weighted_mean, _length(default=20), takes_series=True,
        meaning="Linearly weighted moving average: the last value counts n times, the first of the window once",
        formula="(n x + (n − 1) x[1] + … + x[n − 1]) ÷ (n (n + 1) ÷ 2)",
        source="Perry Kaufman, Trading Systems and Methods (2013)",
    ),
    # Momentum
    _indicator(
        "rsi", ("close",), formulas.rsi, _length(least=2, of="Wilder's means"), takes_series=True, unit="0…100",
        lookback=_one_more, memory=formulas.forget_wilder,
        meaning="Relative strength index: the share of rises in all moves; missing if nothing moved",
        formula=f"100 × U ÷ (U + D), the means of rises and falls of x; {_WILDERS_MEAN}; the first is the plain mean",
        source=_WILDER,
    ),
    _indicator(
        "macd", ("close",), difference_of_averages, *_macd_lengths(), takes_series=True, ascending=("fast", "slow"),
        lookback=lambda _, slow: slow - 1, memory=lambda _, slow: formulas.forget_exponential(slow),
        meaning="Fast less slow exponential average, each from the first bar (TA-Lib starts both at bar slow)",
        formula="ema(x, fast) − ema(x, slow)",
        source=_APPEL,
    ),
    _indicator(
        "macd_signal", ("close",), formulas.macd_signal, *_macd_lengths(), _length("signal", 9, of="the signal line"),
        takes_series=True, ascending=("fast", "slow"),
        lookback=lambda _, slow, signal: slow + signal - 2, memory=formulas.forget_macd_signal,
        meaning="Signal line of macd",
        formula="ema(macd(x, fast, slow), signal)",
        source=_APPEL,
    ),
    _indicator(
        "macd_hist", ("close",), formulas.macd_hist, *_macd_lengths(), _length("signal", 9, of="the signal line"),
        takes_series=True, ascending=("fast", "slow"),
        lookback=lambda _, slow, signal: slow + signal - 2, memory=formulas.forget_macd_signal,
        meaning="macd less its signal line",
        formula="macd(x, fast, slow) − macd_signal(x, fast, slow, signal)",
        source="Thomas Aspray, MACD Histogram (1986)",
    ),
    _indicator(
        "stoch_k", _RANGE, formulas.stoch_k, _length(), _length("smooth", 3, of="the mean of %K"), unit="0…100",
        lookback=lambda length, smooth: length + smooth - 2,
        meaning="Stochastic %K: where the close is between the lowest low and the highest high; missing if they are "
        "equal",
        formula="sma(100 × (close − lowest low of n) ÷ (highest high of n − lowest low of n), smooth)",
        source=_LANE,
    ),
    _indicator(
        "stoch_d", _RANGE, formulas.stoch_d, _length(), _length("smooth", 3, of="the mean of %K"),
        _length("signal", 3, of="the mean of stoch_k"), unit="0…100",
        lookback=lambda length, smooth, signal: length + smooth + signal - 3,
        meaning="Stochastic %D: the mean of stoch_k",
        formula="sma(stoch_k(n, smooth), signal)",
        source=_LANE,
    ),
    _indicator(
        "cci", _RANGE, formulas.cci, _length(default=20, least=2), unit="mean deviations ÷ 0.015",
        meaning="Commodity channel index: how far the typical price is from its mean; missing if it did not move",
        formula=f"(p − mean of p) ÷ (0.015 × mean of |p − that mean|) over n bars, {_TYPICAL}",
        source="Donald Lambert, Commodity Channel Index (1980)",
    ),
    _indicator(
        "roc", ("close",), talib_functions.roc, _length(default=10, of="the move"), takes_series=True, unit="percent",
        lookback=_one_more,
        meaning="Rate of change in percent",
        formula="100 × (x ÷ x[n] − 1); missing if x[n] is 0",
        source="Martin Pring, Technical Analysis Explained; computed by TA-Lib",
    ),
    _indicator(
        "mom", ("close",), talib_functions.mom, _length(default=10, of="the move"), takes_series=True,
        lookback=_one_more,
        meaning="Momentum: the move over n bars",
        formula="x − x[n]",
        source="Martin Pring, Technical Analysis Explained; computed by TA-Lib",
    ),
    # Trend
    _indicator(
        "adx", _RANGE, formulas.adx, _length(least=2, of="Wilder's means"), unit="0…100",
        lookback=lambda length: 2 * length - 1, memory=formulas.forget_adx,
        meaning="Average directional index: how one-sided the moves are; missing if no bar moved in a direction",
        formula=f"Wilder's mean of 100 × |plus_di − minus_di| ÷ (plus_di + minus_di); {_WILDERS_MEAN}",
        source=_WILDER,
    ),
    _indicator(
        "plus_di", _RANGE, formulas.plus_di, _length(least=2, of="Wilder's means"), unit="0…100",
        lookback=_one_more, memory=formulas.forget_wilder,
        meaning="Directional indicator of rises; missing if the range is 0",
        formula=f"100 × Wilder's sum of +DM ÷ Wilder's sum of TR; {_MOVES}; {_TRUE_RANGE}",
        source=_WILDER,
    ),
    _indicator(
        "minus_di", _RANGE, formulas.minus_di, _length(least=2, of="Wilder's means"), unit="0…100",
        lookback=_one_more, memory=formulas.forget_wilder,
        meaning="Directional indicator of falls; missing if the range is 0",
        formula=f"100 × Wilder's sum of −DM ÷ Wilder's sum of TR; {_MOVES}; {_TRUE_RANGE}",
        source=_WILDER,
    ),
    _indicator(
        "supertrend", _RANGE, formulas.supertrend, _length(default=10, of="the average true range"),
        _multiplier(3, "average true ranges"), lookback=_one_more, memory=formulas.forget_supertrend,
        meaning="Supertrend line: below the price in a rise, above it in a fall; the first bar counts as a fall. It "
        "forgets its start after two reversals, which the memory includes as a rule",
        formula="(high + low) ÷ 2 − multiplier × atr(n) in a rise, never lowered until a close is below it; in a fall "
        "+ and never raised until a close is above it",
        source="Olivier Seban; as TradingView's ta.supertrend",
    ),
    # Volatility and channels
    _indicator(
        "atr", _RANGE, talib_functions.atr, _length(of="Wilder's mean"), lookback=_one_more,
        memory=formulas.forget_wilder,
        meaning="Average true range",
        formula=f"Wilder's mean of TR; {_TRUE_RANGE}; {_WILDERS_MEAN}; the first is the plain mean of n",
        source=_WILDER,
    ),
    _indicator(
        "stdev", ("close",), formulas.stdev, _length(default=20, least=2), takes_series=True,
        meaning="Sample standard deviation (n − 1), as the Volatility features",
        formula="√(Σ (x − mean)² ÷ (n − 1)) over n bars",
        source=_STATISTICS,
    ),
    _indicator(
        "zscore", ("close",), formulas.zscore, _length(default=20, least=2), takes_series=True,
        unit="standard deviations",
        meaning="Distance from the mean in sample standard deviations (n − 1); missing if x did not move",
        formula="(x − sma(x, n)) ÷ stdev(x, n)",
        source=_STATISTICS,
    ),
    _indicator(
        "bb_upper", ("close",), formulas.bb_upper, _length(default=20, least=2),
        _multiplier(2, "population standard deviations"), takes_series=True,
        meaning="Upper Bollinger band, with the population deviation (÷ n), as Bollinger's and TA-Lib's",
        formula="sma(x, n) + multiplier × √(Σ (x − mean)² ÷ n)",
        source=_BOLLINGER,
    ),
    _indicator(
        "bb_lower", ("close",), formulas.bb_lower, _length(default=20, least=2),
        _multiplier(2, "population standard deviations"), takes_series=True,
        meaning="Lower Bollinger band, with the population deviation (÷ n), as Bollinger's and TA-Lib's",
        formula="sma(x, n) − multiplier × √(Σ (x − mean)² ÷ n)",
        source=_BOLLINGER,
    ),
    _indicator(
        "bb_width", ("close",), formulas.bb_width, _length(default=20, least=2),
        _multiplier(2, "population standard deviations"), takes_series=True, unit="fraction",
        meaning="Bollinger's bandwidth; 0 if x did not move, missing if its mean is 0",
        formula="(bb_upper − bb_lower) ÷ sma(x, n)",
        source=_BOLLINGER,
    ),
    _indicator(
        "keltner_upper", _RANGE, formulas.keltner_upper, _length(default=20, of="the exponential average"),
        _multiplier(2, "average true ranges"), _length("atr_length", 10, of="the average true range"),
        lookback=formulas.lookback_keltner, memory=formulas.forget_keltner,
        meaning="Upper Keltner channel",
        formula="ema(close, n) + multiplier × atr(atr_length)",
        source=_KELTNER,
    ),
    _indicator(
        "keltner_lower", _RANGE, formulas.keltner_lower, _length(default=20, of="the exponential average"),
        _multiplier(2, "average true ranges"), _length("atr_length", 10, of="the average true range"),
        lookback=formulas.lookback_keltner, memory=formulas.forget_keltner,
        meaning="Lower Keltner channel",
        formula="ema(close, n) − multiplier × atr(atr_length)",
        source=_KELTNER,
    ),
    _indicator(
        "donchian_high", ("high",), formulas.donchian_high, _length(default=20), lookback=_one_more,
        meaning="Highest high of the n bars before this bar, this bar excluded: a turtle buys if the price exceeds it",
        formula="max(high[1], …, high[n])",
        source=_DONCHIAN,
    ),
    _indicator(
        "donchian_low", ("low",), formulas.donchian_low, _length(default=20), lookback=_one_more,
        meaning="Lowest low of the n bars before this bar, this bar excluded",
        formula="min(low[1], …, low[n])",
        source=_DONCHIAN,
    ),
    _indicator(
        "highest", ("high",), windows.rolling_max, _length(default=20), takes_series=True,
        meaning="Highest of the last n values, this bar included",
        formula="max(x, x[1], …, x[n − 1])",
        source=_STATISTICS,
    ),
    _indicator(
        "lowest", ("low",), windows.rolling_min, _length(default=20), takes_series=True,
        meaning="Lowest of the last n values, this bar included",
        formula="min(x, x[1], …, x[n − 1])",
        source=_STATISTICS,
    ),
    # Volume
    _indicator(
        "obv", ("close", "volume"), talib_functions.obv, unit="base asset",
        lookback=_nothing, memory=lambda: None,
        meaning="On-balance volume: compare it with itself only, because it counts from the first bar",
        formula="o = o[1] + volume if close > close[1], − volume if close < close[1]; the first is volume",
        source="Joseph Granville, New Key to Stock Market Profits (1963); computed by TA-Lib",
    ),
    _indicator(
        "mfi", (*_RANGE, "volume"), formulas.mfi, _length(), unit="0…100", lookback=_one_more,
        meaning="Money flow index: the share of rises in what was traded; missing if nothing was traded at a new price",
        formula=f"100 × R ÷ (R + F), the sums over n bars of p × volume where p rose and where it fell, {_TYPICAL}",
        source="Gene Quong and Avrum Soudack, Volume-Weighted RSI: Money Flow (1989)",
    ),
    _indicator(
        "vwap", (*_RANGE, "volume", "time"), formulas.vwap, lookback=_nothing, memory_ms=DAY_MS,
        meaning="Volume-weighted average price since 00:00 UTC of the bar's day; missing if nothing was traded since",
        formula=f"Σ p × volume ÷ Σ volume since 00:00 UTC, {_TYPICAL}",
        source="Stephen Berkowitz et al., The Total Cost of Transactions on the NYSE (1988)",
    ),
    _indicator(
        "rolling_vwap", (*_RANGE, "volume"), formulas.rolling_vwap, _length(default=20),
        meaning="Volume-weighted average price of the last n bars; missing if nothing was traded in them",
        formula=f"Σ p × volume ÷ Σ volume over n bars, {_TYPICAL}",
        source="Stephen Berkowitz et al., The Total Cost of Transactions on the NYSE (1988)",
    ),
)  # fmt: skip

INDICATORS: Final[Mapping[str, Indicator]] = MappingProxyType({item.name: item for item in _ALL})
