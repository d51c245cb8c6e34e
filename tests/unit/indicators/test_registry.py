"""Names, defaults and bounds of the registry, which stored rules depend on, and the bars that a warm-up needs."""

from __future__ import annotations

import pytest

from src.domain.intervals import DAY_MS
from src.indicators.indicator import Indicator, bars_to_forget
from src.indicators.registry import INDICATORS, MAX_LENGTH, MAX_MULTIPLIER

# name(arguments and defaults) | least whole arguments | columns (x: any series) | lookback | memory
PUBLIC = """
sma(length=20)                                               | 1        | close x                          |  19 | 0
ema(length=20)                                               | 1        | close x                          |  19 | 277
wma(length=20)                                               | 1        | close x                          |  19 | 0
rsi(length=14)                                               | 2        | close x                          |  14 | 373
macd(fast=12, slow=26)                                       | 1, 2     | close x                          |  25 | 360
macd_signal(fast=12, slow=26, signal=9)                      | 1, 2, 1  | close x                          |  33 | 414
macd_hist(fast=12, slow=26, signal=9)                        | 1, 2, 1  | close x                          |  33 | 414
stoch_k(length=14, smooth=3)                                 | 1, 1     | high,low,close                   |  15 | 0
stoch_d(length=14, smooth=3, signal=3)                       | 1, 1, 1  | high,low,close                   |  17 | 0
cci(length=20)                                               | 2        | high,low,close                   |  19 | 0
roc(length=10)                                               | 1        | close x                          |  10 | 0
mom(length=10)                                               | 1        | close x                          |  10 | 0
adx(length=14)                                               | 2        | high,low,close                   |  27 | 429
plus_di(length=14)                                           | 2        | high,low,close                   |  14 | 373
minus_di(length=14)                                          | 2        | high,low,close                   |  14 | 373
supertrend(length=10, multiplier=3)                          | 1, 0     | high,low,close                   |  10 | 488
atr(length=14)                                               | 1        | high,low,close                   |  14 | 373
stdev(length=20)                                             | 2        | close x                          |  19 | 0
zscore(length=20)                                            | 2        | close x                          |  19 | 0
bb_upper(length=20, multiplier=2)                            | 2, 0     | close x                          |  19 | 0
bb_lower(length=20, multiplier=2)                            | 2, 0     | close x                          |  19 | 0
bb_width(length=20, multiplier=2)                            | 2, 0     | close x                          |  19 | 0
keltner_upper(length=20, multiplier=2, atr_length=10)        | 1, 0, 1  | high,low,close                   |  19 | 277
keltner_lower(length=20, multiplier=2, atr_length=10)        | 1, 0, 1  | high,low,close                   |  19 | 277
donchian_high(length=20)                                     | 1        | high                             |  20 | 0
donchian_low(length=20)                                      | 1        | low                              |  20 | 0
highest(length=20)                                           | 1        | high x                           |  19 | 0
lowest(length=20)                                            | 1        | low x                            |  19 | 0
obv()                                                        |          | close,volume                     |   0 | None
mfi(length=14)                                               | 1        | high,low,close,volume            |  14 | 0
vwap()                                                       |          | high,low,close,volume,time       |   0 | 0
rolling_vwap(length=20)                                      | 1        | high,low,close,volume            |  19 | 0
"""


def row_of(indicator: Indicator) -> list[str]:
    arguments = indicator.arguments
    bounds = [argument.parameter.bounds for argument in arguments]
    return [
        f"{indicator.name}({', '.join(f'{a.parameter.name}={a.default:g}' for a in arguments)})",
        ", ".join(f"{item.minimum:g}" for item in bounds if item is not None),
        ",".join(indicator.columns) + " x" * indicator.takes_series,
        str(indicator.lookback()),
        str(indicator.memory()),
    ]


def test_registry_is_what_stored_rules_rely_on() -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in PUBLIC.strip().splitlines()]
    assert [row_of(indicator) for indicator in INDICATORS.values()] == rows


def test_lengths_and_multipliers_have_their_bounds() -> None:
    assert (MAX_LENGTH, MAX_MULTIPLIER) == (5_000, 100)
    for indicator in INDICATORS.values():
        for argument in indicator.arguments:
            bounds = argument.parameter.bounds
            assert bounds is not None
            is_length = argument.parameter.unit == "bars"
            assert argument.is_whole == is_length
            assert bounds.maximum == (5_000 if is_length else 100)
            assert bounds.is_minimum_open == (not is_length)


def test_only_vwap_needs_the_hours_before() -> None:
    assert {name: item.memory_ms for name, item in INDICATORS.items() if item.memory_ms} == {"vwap": DAY_MS}


@pytest.mark.parametrize(("weight", "bars"), [(0.5, 40), (0.9, 12), (0.1, 263)])
def test_first_value_is_forgotten_after_these_bars(weight: float, bars: int) -> None:
    assert bars_to_forget(weight) == bars
    assert (1 - weight) ** bars <= 1e-12
    assert (1 - weight) ** (bars - 1) > 1e-12


def test_average_of_one_value_remembers_none_before() -> None:
    assert bars_to_forget(1.0) == 0


def test_keltner_remembers_as_long_as_its_longer_part() -> None:
    indicator = INDICATORS["keltner_upper"]
    # The average range of 30 forgets after 816 bars; the mean of 5 after 69.
    assert (indicator.lookback(5, 2, 30), indicator.memory(5, 2, 30)) == (30, 816)
    # The mean of 60 forgets after 829 bars from bar 59 on.
    assert (indicator.lookback(60, 2, 2), indicator.memory(60, 2, 2)) == (59, 829)


def test_supertrend_of_far_bands_promises_no_memory() -> None:
    assert INDICATORS["supertrend"].memory(10, 20) == 263 + 25 * 400
    assert INDICATORS["supertrend"].memory(10, 20.5) is None
