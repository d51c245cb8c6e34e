"""Keys of the rows of a sweep are those of the runs alone, and cost a fraction of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.domain.funding import Funding, FundingKind
from src.domain.funding_rates import build_rates
from src.domain.order_rules import EntryOrder, EntryType, Exits, Sizing
from src.domain.signals import StrategyDescription
from src.domain.trading import Direction, FillTiming, IntrabarPolicy, TradingRules
from src.judgement.row_keys import row_keys
from src.judgement.trial_keys import RunSetting, run_key
from tests.thoroughness import examples

NAMES = st.text(max_size=12)
NUMBERS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(NAMES, NUMBERS, st.booleans(), st.none(), st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, False]))
VALUES = st.one_of(SCALARS, st.lists(NAMES, max_size=3).map(tuple), st.dictionaries(NAMES, NUMBERS, max_size=3))
STRATEGIES = st.builds(
    StrategyDescription, name=NAMES, parameters=st.dictionaries(st.sampled_from('abc"é_'), VALUES, max_size=4)
)
FRACTIONS = st.none() | st.floats(1e-6, 0.99)
SIZES = st.one_of(
    st.just(Sizing()),
    st.builds(Sizing, equity_fraction=st.sampled_from([1.0, 0.5, 1e-9])),
    st.builds(Sizing, fixed_units=st.sampled_from([1e-9, 0.1, 3.0, 1e15])),
)
ENTRIES = st.one_of(
    st.builds(EntryOrder, life_bars=st.integers(1, 3)),
    st.builds(EntryOrder, type=st.sampled_from(EntryType), life_bars=st.integers(1, 3)),
)
RULES = st.builds(
    TradingRules,
    fill=st.sampled_from(FillTiming),
    initial_cash=st.sampled_from([10_000.0, 1e-6, 5.0, 1e9]),
    fee_rate=st.sampled_from([0.0, 0.001, 0.5]),
    sizing=SIZES,
    direction=st.sampled_from(Direction),
    entry=ENTRIES,
    exits=st.builds(
        Exits, stop_loss_rate=FRACTIONS, take_profit_rate=FRACTIONS, max_bars=st.none() | st.integers(1, 9)
    ),
    funding=st.sampled_from([Funding(), *(Funding(kind=FundingKind.CONSTANT, rate=rate) for rate in (0.0, 0.001))]),
    intrabar=st.sampled_from(IntrabarPolicy),
)
GROWTH = st.sampled_from([1.0, 0.3, 1e-7, 1e-12])
SETTINGS = st.builds(
    RunSetting,
    symbol=NAMES,
    interval=st.sampled_from(["1d", "1h"]),
    window_ms=st.tuples(st.integers(0, 2**42), st.integers(0, 2**42)),
    bars_fingerprint=st.just("f" * 64),
    highest_price=st.sampled_from([1e-3, 70_000.0, 1e12]),
    model_sha256=st.none() | st.just("a" * 64),
    training=st.none() | st.just({"from": 0, "to": 5, "labelHorizon": 1}),
)


@settings(max_examples=examples(300), deadline=None)
@given(
    setting=SETTINGS,
    rows=st.lists(st.tuples(STRATEGIES, RULES, GROWTH), min_size=1, max_size=6),
    picks=st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=9),
)
def test_keys_of_rows_equal_keys_of_runs(
    setting: RunSetting,
    rows: list[tuple[StrategyDescription, TradingRules, float]],
    picks: list[tuple[int, int, int]],
) -> None:
    # Rows share objects, as those of a grid do, and the same rules come with several growths.
    strategies = [rows[place % len(rows)][0] for place, _, _ in picks]
    rules = [rows[place % len(rows)][1] for _, place, _ in picks]
    growth = [rows[place % len(rows)][2] for _, _, place in picks]
    alone = tuple(
        run_key(setting, strategy, rule, smallest_growth=low)
        for strategy, rule, low in zip(strategies, rules, growth, strict=True)
    )
    assert row_keys(setting, strategies, rules, growth) == alone


SETTING = RunSetting(
    symbol="BTCUSDT", interval="1d", window_ms=(0, 10**12), bars_fingerprint="f" * 64, highest_price=70_000.0
)
RULE = TradingRules(fill=FillTiming.NEXT_OPEN, initial_cash=500.0)


def crossover(fast: float, slow: float) -> StrategyDescription:
    return StrategyDescription(name="ma", parameters={"fastMaPeriod": fast, "slowMaPeriod": slow})


def test_rules_are_given_once_or_for_each_row() -> None:
    strategies = [crossover(1, 2), crossover(3, 4)]
    keys = row_keys(SETTING, strategies, RULE, [1.0, 0.5])
    assert keys == row_keys(SETTING, strategies, [RULE, RULE], [1.0, 0.5])
    assert len(set(keys)) == 2
    assert keys[0] == row_keys(SETTING, [crossover(1.0, 2.0)], RULE, [0.1])[0]


def test_funding_that_is_paid_makes_another_trial() -> None:
    rules = [
        RULE,
        *(replace(RULE, funding=Funding(kind=FundingKind.CONSTANT, rate=rate)) for rate in (0.0, 0.001, -0.001)),
    ]
    none, nothing, pays, gets = row_keys(SETTING, [crossover(1, 2)] * 4, rules, [1.0] * 4)
    assert none == nothing
    assert len({none, pays, gets}) == 3


def test_histories_are_one_trial_by_their_content() -> None:
    times, rates = np.array([0, 28_800_000]), np.array([0.1, 0.2])
    found = [
        replace(RULE, funding=Funding(kind=FundingKind.HISTORY, history=name).with_rates(build_rates(times, rate)))
        for name, rate in (("one", rates), ("two", rates), ("one", -rates))
    ]
    one, renamed, other = row_keys(SETTING, [crossover(1, 2)] * 3, found, [1.0] * 3)
    assert one == renamed
    assert one != other


def test_longs_that_owe_funding_have_stops() -> None:
    """How a bar is read matters to it, as it does to a short."""
    optimistic = replace(RULE, intrabar=IntrabarPolicy.OPTIMISTIC)
    funding = Funding(kind=FundingKind.CONSTANT, rate=0.001)
    rules = [RULE, optimistic, replace(RULE, funding=funding), replace(optimistic, funding=funding)]
    one, same, paying, other = row_keys(SETTING, [crossover(1, 2)] * 4, rules, [1.0] * 4)
    assert one == same
    assert paying != other


def test_row_that_hardly_trades_keeps_its_cash() -> None:
    """It may have bought nothing for lack of cash, so it is not the trial of another amount."""
    strategies = [crossover(1, 2)] * 2
    one, other = row_keys(SETTING, strategies, RULE, [1.0, 1e-12])
    assert one != other


@pytest.mark.parametrize("growth", [[], [1.0, 1.0]])
def test_unequal_lengths_are_rejected(growth: list[float]) -> None:
    with pytest.raises(ValueError, match="differ in length"):
        row_keys(SETTING, [crossover(1, 2)], RULE, growth)
    with pytest.raises(ValueError, match="differ in length"):
        row_keys(SETTING, [crossover(1, 2)], [RULE, RULE], [1.0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_value_without_a_text_is_rejected(value: Any) -> None:
    strategy = StrategyDescription(name="x", parameters={"a": value})
    with pytest.raises((TypeError, ValueError)):
        row_keys(SETTING, [strategy], RULE, [1.0])


def test_keys_of_rows_cost_a_fraction_of_runs() -> None:
    strategies = [crossover(fast, slow) for fast in range(1, 51) for slow in range(51, 111)]
    growth = [1.0] * len(strategies)

    def measure_rows() -> float:
        begun = time.process_time()
        row_keys(SETTING, strategies, RULE, growth)
        return time.process_time() - begun

    def measure_runs() -> float:
        begun = time.process_time()
        for strategy in strategies:
            run_key(SETTING, strategy, RULE, smallest_growth=1.0)
        return time.process_time() - begun

    assert min(measure_rows() for _ in range(5)) * 3 < min(measure_runs() for _ in range(3))
