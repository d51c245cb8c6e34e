"""Check what every indicator of the registry must do: read no later bar, forget its start, never be infinite."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from src.domain.bars import MAX_PRICE, MAX_VOLUME, MIN_PRICE, MIN_VOLUME, Bars
from src.domain.errors import InvalidInput
from src.indicators import moving_average, recursions, windows
from src.indicators.indicator import Indicator, Series, read_columns
from src.indicators.registry import INDICATORS, MAX_LENGTH
from tests.market import bars_of_closes, random_bars

Check = Callable[[Indicator, tuple[float, ...]], None]


def least_values(indicator: Indicator) -> tuple[float, ...]:
    """The least whole arguments; fractions keep their defaults."""
    return tuple(
        argument.parameter.bounds.minimum if argument.is_whole and argument.parameter.bounds else argument.default
        for argument in indicator.arguments
    )


def other_values(indicator: Indicator) -> tuple[float, ...]:
    """Odd lengths, none of which is a default."""
    return tuple(
        argument.default // 2 * 2 + 3 if argument.is_whole else argument.default / 2 for argument in indicator.arguments
    )


VARIANTS: dict[str, Callable[[Indicator], tuple[float, ...]]] = {
    "default": lambda indicator: (),
    "least": least_values,
    "other": other_values,
}


def computed(indicator: Indicator, bars: Bars, values: tuple[float, ...]) -> Series:
    return indicator.compute(read_columns(bars, indicator.columns), *values)


def assert_close(actual: Series, desired: Series, scale: float) -> None:
    np.testing.assert_allclose(actual, desired, rtol=1e-9, atol=1e-9 * scale, equal_nan=True)


def check_prefixes(indicator: Indicator, values: tuple[float, ...]) -> None:
    """The values of the first k bars are the first k values of all bars, to the bit."""
    bars = random_bars(400, seed=3, interval="1h")
    whole = computed(indicator, bars, values)
    for stop in (*range(1, 90), 100, 199, 399):
        np.testing.assert_array_equal(computed(indicator, bars.slice(0, stop), values), whole[:stop])


def check_later_bars_change_nothing(indicator: Indicator, values: tuple[float, ...]) -> None:
    """The values up to bar k are the same for any bars after k."""
    bars, other = random_bars(300, seed=3, interval="1h"), random_bars(300, seed=4, interval="1h")
    for kept in (1, 40, 150, 250):
        columns = [
            np.concatenate((first[:kept], second[kept:]))
            for first, second in zip(
                read_columns(bars, indicator.columns), read_columns(other, indicator.columns), strict=True
            )
        ]
        np.testing.assert_array_equal(
            indicator.compute(columns, *values)[:kept], computed(indicator, bars, values)[:kept]
        )


def check_lookback(indicator: Indicator, values: tuple[float, ...]) -> None:
    """The first value is at the bar `lookback`, and every bar after has one."""
    lookback = indicator.lookback(*values)
    for length in (*range(lookback + 4), lookback + 200):
        result = computed(indicator, random_bars(length, seed=5, interval="1h"), values)
        assert result.shape == (length,)
        assert result.dtype == np.float64
        np.testing.assert_array_equal(np.isnan(result), np.arange(length) < lookback)


def check_memory(indicator: Indicator, values: tuple[float, ...]) -> None:
    """With lookback and memory before it, a bar has the value that a much longer history gives it."""
    memory = indicator.memory(*values)
    if memory is None:
        return
    bars = random_bars(4_000, seed=6, interval="1h")
    needed = indicator.lookback(*values) + memory + indicator.memory_ms // bars.interval.milliseconds
    whole = computed(indicator, bars, values)
    scale = float(np.nanmedian(np.abs(whole)))
    for last in range(needed + 100, 4_000, 331):
        part = computed(indicator, bars.slice(last - needed, last + 1), values)
        assert_close(part[-1:], whole[last : last + 1], scale)


def check_gap(indicator: Indicator, values: tuple[float, ...]) -> None:
    """After a missing value, in any one column, it starts again; before it, nothing changes."""
    bars = random_bars(500, seed=7, interval="1h")
    complete = read_columns(bars, indicator.columns)
    whole = indicator.compute(complete, *values)
    scale = float(np.nanmedian(np.abs(whole)))
    for column in range(sum(name != "time" for name in indicator.columns)):
        for gap in ((0, 3), (200, 201), (230, 260)):
            columns = [item.copy() for item in complete]
            columns[column][slice(*gap)] = np.nan
            result = indicator.compute(columns, *values)
            np.testing.assert_array_equal(result[: gap[0]], whole[: gap[0]])
            later = indicator.compute([item[gap[1] :] for item in columns], *values)
            assert_close(result[gap[1] :], later, scale)
            if indicator.name not in {"donchian_high", "donchian_low"}:
                assert np.isnan(result[slice(*gap)]).all()


def check_flat_price(indicator: Indicator, values: tuple[float, ...]) -> None:
    """Of a price that never moves, figures of moves are 0, 0 ÷ 0 is missing, and averages are the price itself."""
    for price in (0.1, 1 / 3, 61_234.57, MIN_PRICE, MAX_PRICE):
        for length in (120, 2_500):
            result = computed(indicator, bars_of_closes([price] * length, interval="1h"), values)
            expected = {"missing": np.nan, "nothing": 0.0, "price": price, "volume": 1.0}[FLAT[indicator.name]]
            later = result[indicator.lookback(*values) :]
            np.testing.assert_array_equal(later, np.full(later.size, expected))


FLAT = {
    **dict.fromkeys(("rsi", "stoch_k", "stoch_d", "cci", "adx", "plus_di", "minus_di", "mfi", "zscore"), "missing"),
    **dict.fromkeys(("macd", "macd_signal", "macd_hist", "mom", "roc", "stdev", "bb_width", "atr"), "nothing"),
    **dict.fromkeys(("sma", "ema", "wma", "bb_upper", "bb_lower", "keltner_upper", "keltner_lower"), "price"),
    **dict.fromkeys(("highest", "lowest", "donchian_high", "donchian_low", "vwap", "rolling_vwap"), "price"),
    "supertrend": "price",
    "obv": "volume",
}


def check_extremes(indicator: Indicator, values: tuple[float, ...]) -> None:
    """Nothing is infinite, at the bounds of prices and volumes nor beyond them."""
    rng = np.random.default_rng(8)
    for pool in (
        [MIN_PRICE, MAX_PRICE],
        [0.0, -1.0, 1e100, -1e100],
        [1e-300, 1e300, np.inf, -np.inf, np.nan, 0.0],
    ):
        columns = [rng.choice(pool, 500) for _ in indicator.columns]
        if "volume" in indicator.columns and MAX_PRICE in pool:
            columns[indicator.columns.index("volume")] = rng.choice([0.0, MIN_VOLUME, MAX_VOLUME], 500)
        result = indicator.compute(columns, *values)
        assert not np.isinf(result).any()


def check_inputs(indicator: Indicator, values: tuple[float, ...]) -> None:
    """Inputs are not changed; any layout and type of number gives the same values."""
    bars = random_bars(300, seed=9, interval="1h")
    columns = [np.round(item) for item in read_columns(bars, indicator.columns)]
    before = [item.copy() for item in columns]
    for item in columns:
        item.flags.writeable = False
    expected = indicator.compute(columns, *values)
    assert all((item == copy).all() for item, copy in zip(columns, before, strict=True))
    assert not any(np.shares_memory(expected, item) for item in columns)
    layouts: tuple[Callable[[Series], Any], ...] = (
        lambda item: item.astype(np.int64),
        lambda item: np.repeat(item, 2)[::2],
        lambda item: item[::-1].copy()[::-1],
        lambda item: item.astype(">f8"),
    )
    for layout in layouts:
        np.testing.assert_array_equal(indicator.compute([layout(item) for item in columns], *values), expected)
    if "time" not in indicator.columns:  # float32 has too few digits for times
        single = [item.astype(np.float32) for item in columns]
        wide = [item.astype(np.float64) for item in single]
        np.testing.assert_array_equal(indicator.compute(single, *values), indicator.compute(wide, *values))


CHECKS: tuple[Check, ...] = (
    check_prefixes,
    check_later_bars_change_nothing,
    check_lookback,
    check_memory,
    check_gap,
    check_flat_price,
    check_extremes,
    check_inputs,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", INDICATORS)
def test_indicator_keeps_the_contract(name: str, variant: str, check: Check) -> None:
    check(INDICATORS[name], VARIANTS[variant](INDICATORS[name]))


@pytest.mark.parametrize("name", INDICATORS)
def test_arguments_out_of_bounds_are_refused(name: str) -> None:
    indicator = INDICATORS[name]
    for place, argument in enumerate(indicator.arguments):
        bounds = argument.parameter.bounds
        assert bounds is not None
        wrong: list[Any] = [bounds.minimum - 1, bounds.maximum + 1, 10**9, math.nan, math.inf, True, "5"]
        wrong += [bounds.minimum + 0.5] if argument.is_whole else [bounds.minimum]
        for value in wrong:
            values = [item.default for item in indicator.arguments]
            values[place] = value
            with pytest.raises(InvalidInput) as caught:
                indicator.check(values)
            text = caught.value.message
            assert caught.value.field == argument.parameter.field
            assert "Allowed: " in text
            assert f"{bounds}" in text
            assert ("a whole number" in text) == argument.is_whole
    with pytest.raises(InvalidInput, match="takes at most"):
        indicator.check([item.default for item in indicator.arguments] + [1])


@pytest.mark.parametrize("name", ["macd", "macd_signal", "macd_hist"])
def test_macd_refuses_fast_not_below_slow(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"fast \(26\) must be less than slow \(26\)"):
        INDICATORS[name].compute([np.ones(3)], 26)
    INDICATORS[name].check((25, 26))


@pytest.mark.parametrize("name", INDICATORS)
def test_longest_arguments_compute(name: str) -> None:
    indicator = INDICATORS[name]
    values = [MAX_LENGTH if item.is_whole else item.default for item in indicator.arguments]
    if indicator.ascending:
        values[0] -= 1
    lookback = indicator.lookback(*values)
    result = computed(indicator, random_bars(lookback + 2, seed=10, interval="1m", volatility=0.001), tuple(values))
    np.testing.assert_array_equal(np.isnan(result), np.arange(result.size) < lookback)


@pytest.mark.parametrize("name", INDICATORS)
def test_every_indicator_describes_itself(name: str) -> None:
    indicator = INDICATORS[name]
    assert indicator.name == name
    assert all((indicator.meaning, indicator.unit, indicator.formula, indicator.source))
    assert not indicator.takes_series or len(indicator.columns) == 1
    for argument in indicator.arguments:
        argument.check(argument.default)


def test_wrong_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="reads 3 columns"):
        INDICATORS["atr"].compute([np.ones(3)])
    with pytest.raises(ValueError, match="one length"):
        INDICATORS["atr"].compute([np.ones(3), np.ones(3), np.ones(4)])
    with pytest.raises(ValueError, match="one dimension"):
        INDICATORS["sma"].compute([np.ones((3, 3))])


def test_many_threads_compute_the_same_values() -> None:
    bars = random_bars(20_000, seed=11, interval="1h")
    expected = {name: computed(item, bars, ()) for name, item in INDICATORS.items()}
    with ThreadPoolExecutor(8) as pool:
        names = list(INDICATORS) * 4
        for name, found in zip(names, pool.map(lambda n: computed(INDICATORS[n], bars, ()), names), strict=True):
            np.testing.assert_array_equal(found, expected[name])


def test_any_input_after_warm_up_compiles_nothing() -> None:
    """Bars are read-only, results of other indicators are not: numba tells them apart."""
    bars = random_bars(300, seed=12, interval="1h")
    for indicator in INDICATORS.values():
        computed(indicator, bars, ())
    kernels = [
        kernel
        for module in (moving_average, recursions, windows)
        for kernel in vars(module).values()
        if isinstance(kernel, Dispatcher)
    ]
    assert len(kernels) >= 8
    before = [len(kernel.signatures) for kernel in kernels]
    for indicator in INDICATORS.values():
        columns = [item.copy() for item in read_columns(bars, indicator.columns)]
        columns[0][100] = np.nan
        for values in (least_values(indicator), other_values(indicator)):
            indicator.compute(columns, *values)
    assert [len(kernel.signatures) for kernel in kernels] == before


def planted(function: Callable[..., Series]) -> Indicator:
    return replace(INDICATORS["sma"], function=function)


def honest(x: Series, length: int) -> Series:
    return INDICATORS["sma"].function(x, length)


FAULTS: dict[str, tuple[Callable[..., Series], tuple[Check, ...]]] = {
    "one bar ahead": (
        lambda x, n: np.append(honest(x, n)[1:], np.nan),
        (check_prefixes, check_later_bars_change_nothing, check_lookback),
    ),
    "scaled by all bars": (
        lambda x, n: honest(x, n) / np.nanmean(x) if x.size else honest(x, n),
        (check_prefixes, check_later_bars_change_nothing),
    ),
    "reads before the window": (lambda x, n: honest(x, n) + x[:1] * 1e-8, (check_memory, check_gap)),
    "poisoned after a gap": (
        lambda x, n: np.where(np.maximum.accumulate(np.isnan(x)), np.nan, honest(x, n)),
        (check_gap,),
    ),
    "running sum": (lambda x, n: np.cumsum(x - np.append(np.zeros(n), x)[: x.size]) / n, (check_flat_price,)),
    "changes its input": (lambda x, n: np.multiply(x, 2, out=x), (check_inputs,)),
    "zeros for missing": (lambda x, n: np.nan_to_num(honest(x, n)), (check_lookback, check_gap)),
}
"""Functions with a fault, and the checks that must notice it."""


@pytest.mark.parametrize(("fault", "check"), [(f, check) for f, (_, checks) in FAULTS.items() for check in checks])
def test_planted_fault_fails_the_contract(fault: str, check: Check) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check(planted(FAULTS[fault][0]), (5,))


@pytest.mark.parametrize("name", ["ema", "rsi", "atr", "adx", "macd_signal", "keltner_upper", "vwap"])
def test_memory_counted_too_short_fails_the_contract(name: str) -> None:
    indicator = INDICATORS[name]
    short = replace(indicator, count_memory=lambda *values: (indicator.count_memory(*values) or 0) // 2, memory_ms=0)
    with pytest.raises(AssertionError):
        check_memory(short, ())


def test_infinite_value_fails_the_contract() -> None:
    # `compute` itself removes infinities; without it the check sees them.
    class Unguarded:
        columns = ("close",)

        def compute(self, columns: Any, *_: float) -> Series:
            with np.errstate(all="ignore"):
                return np.asarray(columns[0] / 0.0)

    with pytest.raises(AssertionError):
        check_extremes(Unguarded(), ())  # type: ignore[arg-type]
