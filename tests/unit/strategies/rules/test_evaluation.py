"""Programs on bars: missing values, rounding, operators, columns; against a slow evaluator and hand-made tables."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.strategies.rules import evaluation, kernels
from src.strategies.rules.compiling import Compiler
from src.strategies.rules.evaluation import RuleInputs, evaluate
from src.strategies.rules.parsing import parse
from tests.market import bars_at, bars_of_closes, random_bars
from tests.unit.strategies.rules.reference import Reference


def evaluated(
    text: str, bars: Bars, predictions: NDArray[np.float64] | None = None, **parameters: float
) -> NDArray[np.bool_]:
    compiler = Compiler(parameters)
    compiler.add_rule(text, "buy")
    return evaluate(compiler.build(), RuleInputs(bars=bars, predictions=predictions))["buy"]


CLOSES = bars_of_closes([1.0, 2.0, 3.0, 2.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("close > 2", [0, 0, 1, 0, 0, 1]),
        ("close >= 2", [0, 1, 1, 1, 1, 1]),
        ("close < 2", [1, 0, 0, 0, 0, 0]),
        ("close <= 2", [1, 1, 0, 1, 1, 0]),
        ("close == 2", [0, 1, 0, 1, 1, 0]),
        ("close != 2", [1, 0, 1, 0, 0, 1]),
        ("2 < close", [0, 0, 1, 0, 0, 1]),
        ("1 < 2", [1, 1, 1, 1, 1, 1]),
        ("2 < 1", [0, 0, 0, 0, 0, 0]),
        ("close > close[1]", [0, 1, 1, 0, 0, 1]),
        ("close[2] == 2", [0, 0, 0, 1, 0, 1]),
        ("close[7] > 0", [0, 0, 0, 0, 0, 0]),
        ("(close == 2)[1]", [0, 0, 1, 0, 1, 1]),
        ("not close == 2", [1, 0, 1, 0, 0, 1]),
        ("close > 1 and close < 4 and close != 3", [0, 1, 0, 1, 1, 0]),
        ("close == 1 or close == 3 or close == 4", [1, 0, 1, 0, 0, 1]),
        ("close == 1 or close == 2 and close[1] == 2", [1, 0, 0, 0, 1, 0]),
        ("crosses_above(close, 2)", [0, 0, 1, 0, 0, 1]),
        ("crosses_below(close, 3)", [0, 0, 0, 1, 0, 0]),
        ("crosses_above(2.5, close)", [0, 0, 0, 1, 0, 0]),
        ("crosses_above(3, 2)", [0, 0, 0, 0, 0, 0]),
        ("close + 1 == 3", [0, 1, 0, 1, 1, 0]),
        ("close * close == 9", [0, 0, 1, 0, 0, 0]),
        ("8 / close == 4", [0, 1, 0, 1, 1, 0]),
        ("close % 2 == 0", [0, 1, 0, 1, 1, 1]),
        ("-close % 3 == 2", [1, 0, 0, 0, 0, 1]),
        ("abs(close - 3) == 1", [0, 1, 0, 1, 1, 1]),
        ("max(close, 2, close[1]) == 3", [0, 0, 1, 1, 0, 0]),
        ("min(close, close[1]) == 2", [0, 0, 1, 1, 1, 1]),
        ("1 / (close - 2) > -10", [1, 0, 1, 0, 0, 1]),
        ("close % (close - 2) > -10", [1, 0, 1, 0, 0, 1]),
        ("sma(3) > 2", [0, 0, 0, 1, 1, 1]),
        ("close * 1e308 * 10 > 0", [0, 0, 0, 0, 0, 0]),
        ("{n} * close == 4", [0, 1, 0, 1, 1, 0]),
    ],
)
def test_rule_gives_the_bars_of_the_table(text: str, wanted: list[int]) -> None:
    assert evaluated(text, CLOSES, n=2).astype(int).tolist() == wanted


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_comparison_with_a_missing_number_is_false(operator: str) -> None:
    assert evaluated(f"sma(9) {operator} close", CLOSES).tolist() == [False] * 6
    assert evaluated(f"close {operator} close[9]", CLOSES).tolist() == [False] * 6
    assert evaluated(f"not sma(9) {operator} close", CLOSES).tolist() == [True] * 6


def test_min_and_max_with_a_missing_number_are_missing() -> None:
    for text in ("min(close, close[3])", "max(close, close[3])", "min(close[3], close)", "max(close[3], close)"):
        assert evaluated(f"{text} == {text}", CLOSES).tolist() == [False] * 3 + [True] * 3


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e12])
def test_numbers_within_the_rounding_are_equal_everywhere(scale: float) -> None:
    low, high = scale, scale * (1 + 5e-13)
    bars = bars_of_closes([low, high, low, high])
    assert low != high
    for text in ("close[1] == close", "close[1] <= close", "close[1] >= close"):
        assert evaluated(text, bars).tolist() == [False, True, True, True]
    for text in ("close[1] < close", "close[1] > close", "close[1] != close", "crosses_above(close, close[1])"):
        assert not evaluated(text, bars).any()


def test_numbers_beyond_the_rounding_differ() -> None:
    bars = bars_of_closes([1.0, 1 + 5e-12, 1.0])
    assert evaluated("close > 1", bars).tolist() == [False, True, False]
    assert evaluated("close == 1", bars).tolist() == [True, False, True]
    assert evaluated("crosses_above(close, 1)", bars).tolist() == [False, True, False]
    assert evaluated("crosses_below(close, 1.000000000001)", bars).tolist() == [False, False, True]


def test_crossing_needs_all_four_numbers() -> None:
    bars = bars_of_closes([1.0, 1.0, 1.0, 5.0, 1.0, 9.0])
    # The mean begins at bar 3, above which the close is: nothing is known about the bar before.
    assert evaluated("crosses_above(close, sma(4))", bars).tolist() == [False] * 5 + [True]


def test_touch_before_a_crossing_counts_as_below() -> None:
    bars = bars_of_closes([2.0, 2.0, 3.0, 2.0, 3.0, 3.0, 1.0])
    assert evaluated("crosses_above(close, 2)", bars).tolist() == [False, False, True, False, True, False, False]
    assert evaluated("crosses_below(close, 2)", bars).tolist() == [False] * 6 + [True]


def test_hour_and_weekday_are_those_of_the_open_in_utc() -> None:
    # 2024-01-01 was a Monday; 1969-12-31 a Wednesday.
    opens = np.array(
        ["1969-12-31T23:59", "1970-01-01T00:00", "2024-01-01T00:00", "2024-01-06T13:59", "2024-01-07T23:00"],
        dtype="datetime64[ms]",
    )
    bars = bars_at(opens.astype(np.int64), interval="1m")
    for hour, weekday, number in ((23, 3, 0), (0, 4, 1), (0, 1, 2), (13, 6, 3), (23, 7, 4)):
        assert evaluated(f"hour == {hour} and weekday == {weekday}", bars)[number]
    assert evaluated("hour >= 0 and hour <= 23 and weekday >= 1 and weekday <= 7", bars).all()


def test_model_is_its_prediction_and_missing_where_it_has_none() -> None:
    predictions = np.array([np.nan, 0.7, 0.5, 0.9, np.nan, 0.1])
    assert evaluated("model() > 0.6", CLOSES, predictions).tolist() == [False, True, False, True, False, False]
    with pytest.raises(ValueError, match="the inputs have no model"):
        evaluated("model() > 0.6", CLOSES)


@pytest.mark.parametrize(
    "text",
    [
        "rsi(14) < 40 and close > sma(50) or crosses_above(ema(5), ema(12))",
        "ema(rsi(close, 7), 4) > 50 and not volume < sma(volume, 10)[2]",
        "(close - donchian_low(10)) / (donchian_high(10) - donchian_low(10)) > 0.8",
        "atr(5) / close * 100 % 3 > 1 or hour % 6 == 0 and weekday != 6",
        "max(open, close) - min(open, close) > 0.5 * (high - low)",
        "crosses_below(macd(3, 7), macd_signal(3, 7, 4))[1] or close > vwap()",
        "abs(zscore(20)) > 1.5 and (close > close[1])[3]",
        "stdev(close / close[1], 10) < 0.02",
    ],
)
@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_rule_equals_the_slow_evaluator(text: str, interval: str) -> None:
    bars = random_bars(200, seed=11, interval=interval)
    fast = evaluated(text, bars)
    assert fast.tolist() == Reference(bars).condition(parse(text, "buy"))
    assert 0 < fast.sum() < 200


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_bars_are_evaluated(n: int) -> None:
    bars = random_bars(n, seed=2)
    text = "crosses_above(close, sma(2)) or rsi(14) < 30 or (close > open)[5] or close > close[1] or 3 > 2"
    assert evaluated(text, bars).tolist() == Reference(bars).condition(parse(text, "buy"))


def test_results_are_read_only_and_inputs_unchanged() -> None:
    bars = random_bars(50, seed=1)
    before = bars.fingerprint()
    for text in ("close > open", "not close > open", "1 < 2", "(close > 1)[2]"):
        assert not evaluated(text, bars).flags.writeable
    assert bars.fingerprint() == before


def test_columns_are_not_copied() -> None:
    bars = random_bars(50, seed=1)
    for name in ("open", "high", "low", "close", "volume"):
        assert np.shares_memory(RuleInputs(bars=bars).column(name), getattr(bars, name))


def test_arrays_are_freed_when_nothing_reads_them_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Any]] = []
    most = 0

    def watch(step: Any, read: Any, inputs: RuleInputs) -> Any:
        nonlocal most
        # A view that belongs to this test alone is as long alive as the evaluation keeps it.
        result = run_step(step, read, inputs).copy()
        result.flags.writeable = False
        alive.append(weakref.ref(result))
        most = max(most, sum(one() is not None and one().size > 1 for one in alive))  # type: ignore[union-attr]
        return result

    run_step = evaluation.run_step
    monkeypatch.setattr(evaluation, "run_step", watch)
    text = " and ".join(f"sma({length}) > close[{length}]" for length in range(2, 22))
    evaluated(text, random_bars(100))
    assert most <= 20 + 4


def test_kernels_are_compiled_for_read_only_arrays_only() -> None:
    evaluated("close + 1 > open and crosses_above(close, 3)", random_bars(20))
    for kernel in (kernels.calculate, kernels.compare, kernels.cross_above):
        assert all(not array.mutable for kinds in kernel.signatures for array in kinds[:2])
