"""The values of indicators equal their definitions, TA-Lib's and hand-computed ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib

from src.domain.bars import Bars
from src.indicators.indicator import MAX_MAGNITUDE, Series, read_columns
from src.indicators.registry import INDICATORS
from tests.market import random_bars, read_klines
from tests.unit.indicators.oracles import ORACLES, frame_of

ARGUMENTS: dict[str, tuple[tuple[float, ...], ...]] = {
    name: {
        (): ((),),
        ("length",): ((2,), (7,), (200,)),
        ("fast", "slow"): ((1, 2), (5, 34)),
        ("fast", "slow", "signal"): ((1, 2, 1), (5, 34, 5)),
        ("length", "smooth"): ((14, 1), (5, 4)),
        ("length", "smooth", "signal"): ((14, 1, 3), (5, 4, 2)),
        ("length", "multiplier"): ((5, 1.5), (50, 2.5)),
        ("length", "multiplier", "atr_length"): ((5, 1.5, 30), (60, 2.5, 2)),
    }[tuple(argument.parameter.name for argument in indicator.arguments)]
    for name, indicator in INDICATORS.items()
}
CASES = [(name, values) for name, listed in ARGUMENTS.items() for values in dict.fromkeys(((), *listed))]


def compute(name: str, bars: Bars, *values: float) -> Series:
    return INDICATORS[name].compute(read_columns(bars, INDICATORS[name].columns), *values)


def series(name: str, x: Any, *values: float) -> Series:
    return INDICATORS[name].compute([np.asarray(x, dtype=np.float64)], *values)


def assert_agree(actual: Series, desired: Series, rtol: float = 1e-9) -> None:
    scale = float(np.nanmedian(np.abs(desired)))
    np.testing.assert_allclose(actual, desired, rtol=rtol, atol=rtol * scale, equal_nan=True)


def test_every_indicator_has_a_definition_here() -> None:
    assert ORACLES.keys() == INDICATORS.keys()


@pytest.mark.parametrize(("name", "values"), CASES)
def test_values_equal_the_definition(name: str, values: tuple[float, ...]) -> None:
    bars = random_bars(700, seed=21, interval="1h")
    complete = values or tuple(
        int(item.default) if item.is_whole else item.default for item in INDICATORS[name].arguments
    )
    assert_agree(compute(name, bars, *values), ORACLES[name](frame_of(bars), *complete))


@pytest.mark.parametrize("name", INDICATORS)
def test_values_on_real_days_equal_the_definition(name: str, shared_data: Any) -> None:
    bars = read_klines(shared_data / "BTCUSDT-1d.csv.gz", interval="1d")
    complete = [int(item.default) if item.is_whole else item.default for item in INDICATORS[name].arguments]
    # pandas' own running sums of turnover, up to 1e11, lose digits.
    assert_agree(compute(name, bars), ORACLES[name](frame_of(bars), *complete), rtol=1e-8 if "vwap" in name else 1e-9)


@pytest.mark.parametrize("name", INDICATORS)
def test_real_hours_after_the_warm_up_equal_a_longer_history(name: str, shared_data: Any) -> None:
    indicator, bars = INDICATORS[name], read_klines(shared_data / "BTCUSDT-1h.csv.gz", interval="1h", rows=9_000)
    if (memory := indicator.memory()) is None:
        return
    needed = indicator.lookback() + memory + indicator.memory_ms // bars.interval.milliseconds
    whole = compute(name, bars)
    scale = float(np.nanmedian(np.abs(whole)))
    for start in range(0, len(bars) - needed - 200, 1_037):
        part = compute(name, bars.slice(start, start + needed + 200))[needed:]
        known = whole[start + needed : start + needed + 200]
        np.testing.assert_allclose(part, known, rtol=1e-9, atol=1e-9 * scale, equal_nan=True)


Columns = tuple[Series, Series, Series, Series]

TALIB: dict[str, tuple[tuple[float, ...], Callable[[Columns], Any], int]] = {
    "sma": ((20,), lambda c: talib.SMA(c[2], 20), 0),
    "ema": ((20,), lambda c: talib.EMA(c[2], 20), 0),
    "wma": ((20,), lambda c: talib.WMA(c[2], 20), 0),
    "rsi": ((14,), lambda c: talib.RSI(c[2], 14), 0),
    # TA-Lib starts the fast average later: equal once the start is forgotten.
    "macd": ((12, 26), lambda c: talib.MACD(c[2], 12, 26, 9)[0], 500),
    "macd_signal": ((12, 26, 9), lambda c: talib.MACD(c[2], 12, 26, 9)[1], 500),
    "macd_hist": ((12, 26, 9), lambda c: talib.MACD(c[2], 12, 26, 9)[2], 500),
    "stoch_k": ((14, 3), lambda c: talib.STOCH(*c[:3], 14, 3, 0, 3, 0)[0], 17),
    "stoch_d": ((14, 3, 3), lambda c: talib.STOCH(*c[:3], 14, 3, 0, 3, 0)[1], 0),
    "cci": ((20,), lambda c: talib.CCI(*c[:3], 20), 0),
    "roc": ((10,), lambda c: talib.ROC(c[2], 10), 0),
    "mom": ((10,), lambda c: talib.MOM(c[2], 10), 0),
    "adx": ((14,), lambda c: talib.ADX(*c[:3], 14), 0),
    "plus_di": ((14,), lambda c: talib.PLUS_DI(*c[:3], 14), 0),
    "minus_di": ((14,), lambda c: talib.MINUS_DI(*c[:3], 14), 0),
    "atr": ((14,), lambda c: talib.ATR(*c[:3], 14), 0),
    "stdev": ((20,), lambda c: talib.STDDEV(c[2], 20) * np.sqrt(20 / 19), 0),
    "bb_upper": ((20, 2.0), lambda c: talib.BBANDS(c[2], 20, 2, 2)[0], 0),
    "bb_lower": ((20, 2.0), lambda c: talib.BBANDS(c[2], 20, 2, 2)[2], 0),
    "donchian_high": ((20,), lambda c: np.append(np.nan, talib.MAX(c[0], 20)[:-1]), 0),
    "donchian_low": ((20,), lambda c: np.append(np.nan, talib.MIN(c[1], 20)[:-1]), 0),
    "highest": ((20,), lambda c: talib.MAX(c[0], 20), 0),
    "lowest": ((20,), lambda c: talib.MIN(c[1], 20), 0),
    "obv": ((), lambda c: talib.OBV(c[2], c[3]), 0),
    "mfi": ((14,), lambda c: talib.MFI(*c, 14), 0),
}


@pytest.mark.parametrize("name", TALIB)
def test_values_equal_talib(name: str) -> None:
    values, function, start = TALIB[name]
    bars = random_bars(2_000, seed=22, interval="1h")
    expected = function((bars.high.copy(), bars.low.copy(), bars.close.copy(), bars.volume.copy()))
    assert_agree(compute(name, bars, *values)[start:], expected[start:], rtol=1e-8)


def test_wilder_indicators_of_a_few_bars_by_hand() -> None:
    rises = np.array([10.0, 11.0, 10.0, 12.0])
    # Moves +1 −1 +2. U = (1 + 0) ÷ 2, D = (0 + 1) ÷ 2: 50. Then U = (0.5 + 2) ÷ 2 = 1.25, D = 0.25: 100 × 1.25 ÷ 1.5.
    np.testing.assert_allclose(series("rsi", rises, 2), [np.nan, np.nan, 50.0, 250 / 3], rtol=1e-14)
    columns = [np.array([11.0, 13.0, 12.0, 16.0]), np.array([9.0, 10.0, 9.0, 11.0]), np.array([10.0, 12.0, 10.0, 15.0])]
    # TR 3, 3, 6: (3 + 3) ÷ 2 = 3, then (3 + 6) ÷ 2.
    np.testing.assert_allclose(INDICATORS["atr"].compute(columns, 2), [np.nan, np.nan, 3.0, 4.5], rtol=1e-14)


def test_donchian_leaves_this_bar_out_and_highest_does_not() -> None:
    high = [5.0, 3.0, 4.0, 9.0, 1.0]
    np.testing.assert_array_equal(series("donchian_high", high, 2), [np.nan, np.nan, 5.0, 4.0, 9.0])
    np.testing.assert_array_equal(series("highest", high, 2), [np.nan, 5.0, 4.0, 9.0, 9.0])
    np.testing.assert_array_equal(series("donchian_low", high, 2), [np.nan, np.nan, 3.0, 3.0, 4.0])
    np.testing.assert_array_equal(series("lowest", high, 2), [np.nan, 3.0, 3.0, 4.0, 1.0])


@pytest.mark.parametrize("length", [2, 20, 777, 5_000])
def test_deviations_keep_digits_of_large_prices(length: int) -> None:
    rng = np.random.default_rng(23)
    for center, move in ((1e8, 1e-4), (60_000.1, 0.01), (1e15, 1.0), (1e-11, 1e-15)):
        x = center + move * rng.standard_normal(length + 600)
        # This subtraction is exact, and neither figure depends on it.
        frame = pd.DataFrame({"close": x - x[0]})
        for name in ("stdev", "zscore"):
            assert_agree(series(name, x, length), ORACLES[name](frame, length))


def test_deviation_after_a_spike_is_exact_again() -> None:
    x = 100 + 1e-6 * np.random.default_rng(24).standard_normal(200)
    spiked = np.concatenate((x[:50], [1e15], x[51:]))
    for name in ("stdev", "zscore", "wma", "sma", "cci"):
        columns = 3 if name == "cci" else 1
        after = INDICATORS[name].compute([spiked] * columns, 20)[70:]
        assert_agree(after, INDICATORS[name].compute([x] * columns, 20)[70:], rtol=1e-12)


def test_money_flow_after_a_spike_of_volume_is_exact_again() -> None:
    bars = random_bars(200, seed=25)
    columns = read_columns(bars, INDICATORS["mfi"].columns)
    spiked = columns[3].copy()
    spiked[50] = 1e36
    for name, length in (("mfi", 14), ("rolling_vwap", 20)):
        after = INDICATORS[name].compute([*columns[:3], spiked], length)[71:]
        assert_agree(after, INDICATORS[name].compute(columns, length)[71:], rtol=1e-12)


def test_average_does_not_drift_over_a_million_bars() -> None:
    x = 60_000 * np.exp(np.cumsum(np.random.default_rng(26).normal(0, 0.002, 1_000_000)))
    for name in ("sma", "wma", "stdev"):
        late = series(name, x, 20)[-1_000:]
        assert_agree(late, series(name, x[-1_019:], 20)[19:], rtol=1e-12)
    assert set(series("sma", np.full(1_000_000, 0.1), 20)[19:].tolist()) == {0.1}


@pytest.mark.parametrize(("fast", "slow"), [(1, 2), (12, 26), (3, 200)])
def test_macd_is_the_difference_of_two_ema_to_the_bit(fast: int, slow: int) -> None:
    x = random_bars(900, seed=32).close.copy()
    x[[0, 300, 301, 500]] = np.nan
    np.testing.assert_array_equal(series("macd", x, fast, slow), series("ema", x, fast) - series("ema", x, slow))


def test_price_that_stopped_long_ago_has_no_rsi() -> None:
    rng = np.random.default_rng(27)
    x = np.concatenate((100 + rng.standard_normal(200), np.full(3_000, 100.0)))
    indicator = INDICATORS["rsi"]
    horizon = indicator.lookback(14) + indicator.memory(14)  # type: ignore[operator]
    found = np.isnan(series("rsi", x, 14))
    # The last move is at bar 200 at the latest.
    last_move = 200 if x[199] != 100.0 else 199
    np.testing.assert_array_equal(np.flatnonzero(found[14:]) + 14, np.arange(last_move + horizon, x.size))


@pytest.mark.parametrize("name", ["adx", "plus_di", "minus_di"])
def test_price_that_stopped_long_ago_has_no_direction(name: str) -> None:
    bars = random_bars(200, seed=28)
    columns = [np.concatenate((item, np.full(2_000, bars.close[-1]))) for item in read_columns(bars, ("high",) * 3)]
    indicator = INDICATORS[name]
    horizon = indicator.lookback(14) + indicator.memory(14)  # type: ignore[operator]
    found = np.isnan(indicator.compute(columns, 14))
    np.testing.assert_array_equal(np.flatnonzero(found[27:]) + 27, np.arange(200 + horizon, found.size))


def test_bars_of_one_range_have_no_adx_but_directions_of_zero() -> None:
    high, low, close = np.full(100, 3.0), np.full(100, 1.0), np.tile([1.5, 2.5], 50)
    assert np.isnan(INDICATORS["adx"].compute([high, low, close])).all()
    assert set(INDICATORS["plus_di"].compute([high, low, close])[14:].tolist()) == {0.0}


@pytest.mark.parametrize("name", ["mfi", "vwap", "rolling_vwap", "obv"])
def test_no_volume_gives_no_figure_of_volume(name: str) -> None:
    bars = random_bars(100, seed=29)
    columns = read_columns(bars, INDICATORS[name].columns)
    columns[INDICATORS[name].columns.index("volume")] = np.zeros(100)
    found = INDICATORS[name].compute(columns)
    assert (found == 0).all() if name == "obv" else np.isnan(found).all()


def test_zero_before_has_no_rate_of_change() -> None:
    np.testing.assert_array_equal(series("roc", [0.0, 5.0, 0.0, 3.0], 1), [np.nan, np.nan, -100.0, np.nan])
    np.testing.assert_array_equal(series("bb_width", [1.0, -1.0, 0.0, 0.0], 2), [np.nan, np.nan, -4.0, np.nan])


def test_vwap_begins_anew_at_midnight_utc() -> None:
    hour = 3_600_000.0
    price, volume = np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 3.0, 1.0, 1.0])
    times = np.array([22.0, 23.0, 24.0, 25.0]) * hour
    found = INDICATORS["vwap"].compute([price, price, price, volume, times])
    np.testing.assert_allclose(found, [10.0, 17.5, 30.0, 35.0], rtol=1e-15)
    before_epoch = INDICATORS["vwap"].compute([price, price, price, volume, times - 48 * hour])
    np.testing.assert_array_equal(before_epoch, found)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1.001 * MAX_MAGNITUDE, -1.001 * MAX_MAGNITUDE])
@pytest.mark.parametrize("name", ["atr", "wma", "rolling_vwap"])
def test_number_beyond_the_bound_counts_as_missing_in_any_column(name: str, value: float) -> None:
    complete = read_columns(random_bars(120, seed=31), INDICATORS[name].columns)
    for column in range(len(complete)):
        found, expected = ([item.copy() for item in complete] for _ in range(2))
        found[column][60], expected[column][60] = value, np.nan
        np.testing.assert_array_equal(INDICATORS[name].compute(found), INDICATORS[name].compute(expected))


def test_numbers_at_the_bound_count() -> None:
    x = [MAX_MAGNITUDE, -MAX_MAGNITUDE, 1.0]
    np.testing.assert_array_equal(series("highest", x, 2), [np.nan, MAX_MAGNITUDE, 1.0])
    np.testing.assert_array_equal(series("lowest", x, 2), [np.nan, -MAX_MAGNITUDE, -MAX_MAGNITUDE])


def test_nested_indicator_is_missing_while_its_window_holds_a_missing_value() -> None:
    x = np.arange(1.0, 31.0)
    x[10] = np.nan
    for name in ("sma", "wma", "highest", "lowest", "stdev"):
        expected = np.isin(np.arange(30), (0, 1, 2, *range(10, 14)))
        np.testing.assert_array_equal(np.isnan(series(name, x, 4)), expected)
    # ema and rsi begin again after it.
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(series("ema", x, 4))), [0, 1, 2, 10, 11, 12, 13])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(series("rsi", x, 4))), [*range(4), *range(10, 15)])


def test_settings_of_talib_are_never_changed() -> None:
    for name in INDICATORS:
        compute(name, random_bars(100, seed=30))
    assert talib.get_compatibility() == 0
    assert {talib.get_unstable_period(name) for name in ("EMA", "RSI", "ATR", "ADX", "PLUS_DI", "MINUS_DI")} == {0}
