"""The crossover, its means, and the up/down-day rule, against rows worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from src.domain.errors import InvalidInput
from src.domain.strategy import StrategyInputs
from src.indicators.moving_average import simple_moving_average
from src.strategies.crossover import ROUNDING, Crossover, CrossoverParams, crossings
from src.strategies.registry import strategy_for, summary_of
from src.strategies.up_down import UpDown
from tests.market import bars_of_closes


def closes(prices: ArrayLike) -> StrategyInputs:
    return StrategyInputs(bars=bars_of_closes(prices))


PRICES = st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=60)


@given(PRICES, st.integers(1, 20))
def test_mean_is_correctly_rounded(prices: list[float], window: int) -> None:
    means = simple_moving_average(np.array(prices), window)
    assert np.isnan(means[: window - 1]).all()
    for t in range(window - 1, len(prices)):
        exact = sum(Fraction(value) for value in prices[t - window + 1 : t + 1]) / window
        assert means[t] == pytest.approx(float(exact), rel=3e-16, abs=0)


def test_mean_is_correctly_rounded_after_a_long_time_of_large_prices() -> None:
    random = np.random.default_rng(5)
    prices = np.concatenate((1e9 * (1 + random.random(100_000)), 1e-6 * (1 + random.random(300))))
    means = simple_moving_average(prices, 20)
    for t in range(100_020, prices.size, 3):
        exact = sum(map(Fraction, prices[t - 19 : t + 1])) / 20
        assert means[t] == pytest.approx(float(exact), rel=3e-16, abs=0)


@given(PRICES, st.integers(1, 20), st.data())
def test_mean_reads_no_later_value(prices: list[float], window: int, data: st.DataObject) -> None:
    stop = data.draw(st.integers(0, len(prices)))
    whole = simple_moving_average(np.array(prices), window)
    np.testing.assert_array_equal(simple_moving_average(np.array(prices[:stop]), window), whole[:stop])


@pytest.mark.parametrize("price", [0.1, 0.3, 1 / 3, 61_234.57])
def test_flat_price_never_crosses(price: float) -> None:
    spike = [price] * 70 + [price * 3] + [price] * 200
    action = Crossover(CrossoverParams()).signals(closes(spike)).action
    # The spike lifts the fast mean at once; 20 bars later it has left the fast mean and the slow one is above; when
    # it has left both, they are equal again and stay so.
    assert np.flatnonzero(action).tolist() == [70, 90]
    assert action[[70, 90]].tolist() == [1, -1]


def test_equal_means_of_decimal_prices_do_not_cross() -> None:
    # Both means of the last bar are 98.8; in binary numbers the last bits differ.
    action = Crossover(CrossoverParams(fast=2, slow=3)).signals(closes([98.9, 98.8, 98.7, 98.9])).action
    assert action.tolist() == [0, 0, 0, 0]


@given(st.lists(st.integers(90, 110), min_size=10, max_size=60), st.integers(1, 4), st.integers(1, 5))
def test_crossings_are_those_of_exact_arithmetic(cents: list[int], fast: int, more: int) -> None:
    slow = fast + more
    action = Crossover(CrossoverParams(fast=fast, slow=slow)).signals(closes([c / 100 for c in cents])).action

    def above(t: int) -> int:
        """The sign of the fast minus the slow mean at bar t."""
        gap = Fraction(sum(cents[t - fast + 1 : t + 1]), fast) - Fraction(sum(cents[t - slow + 1 : t + 1]), slow)
        return (gap > 0) - (gap < 0)

    expected = [0] * len(cents)
    for t in range(slow, len(cents)):
        now, before = above(t), above(t - 1)
        expected[t] = now if now * before <= 0 else 0
    assert action.tolist() == expected


def test_crossings_by_hand() -> None:
    nan = np.nan
    fast = np.array([nan, 1.0, 2.0, 2.0, 3.0, 3.0, 2.0, 2.0, 1.0, 2.0])
    slow = np.array([nan, nan, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0])
    #                      =    =    >    >    =    =    <    >
    assert crossings(fast, slow).tolist() == [0, 0, 0, 0, 1, 0, 0, 0, -1, 1]


def test_too_few_bars_give_no_signal_with_warning() -> None:
    signals = Crossover(CrossoverParams()).signals(closes(range(1, 40)))
    assert not signals.action.any()
    assert "39 bars are too few for a mean of 50" in signals.warnings[0]


@pytest.mark.parametrize(
    ("fast", "slow", "field"), [(50, 20, "fast"), (20, 20, "fast"), (0, 20, "fast"), (-3, 0, "fast")]
)
def test_invalid_periods_are_rejected(fast: int, slow: int, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        CrossoverParams(fast=fast, slow=slow)
    assert caught.value.field == field
    assert str(fast) in caught.value.message


def test_up_down_by_hand() -> None:
    signals = UpDown().signals(closes([5, 4, 4, 6, 6, 7, 6, 5, 8]))
    assert signals.action.tolist() == [0, 0, 0, 1, 0, 0, -1, 0, 1]


def test_registry_builds_strategy_of_parameters() -> None:
    choice = CrossoverParams(fast=2, slow=3)
    assert strategy_for(choice) == Crossover(choice)


@pytest.mark.parametrize(("bars", "warned"), [(7, True), (8, False)])
def test_lookback_and_one_bar_more_give_no_warning(bars: int, warned: bool) -> None:
    signals = Crossover(CrossoverParams(fast=3, slow=7)).signals(closes(range(1, bars + 1)))
    assert bool(signals.warnings) is warned


def test_crossover_describes_itself() -> None:
    params = CrossoverParams()
    assert (params.fast, params.slow) == (20, 50)
    description = Crossover(CrossoverParams(fast=3, slow=7)).signals(closes([1.0])).strategy
    assert description.name == "MA Crossover"
    assert dict(description.parameters) == {"fastMaPeriod": 3, "slowMaPeriod": 7}
    assert summary_of("ma_crossover").startswith("Moving-average crossover: buy if")
    assert "\n" not in summary_of("up_down")


def test_shortest_means_are_allowed() -> None:
    assert CrossoverParams(fast=1, slow=2).fast == 1


def test_only_means_within_rounding_are_equal() -> None:
    slow = np.full(3, 100.0)
    for factor, action in ((1 + 0.5e-14, 0), (1 + 2e-14, 1)):
        assert crossings(np.array([99.0, 99.0, 100 * factor]), slow).tolist() == [0, 0, action]
    for factor, action in ((1 - 0.5e-14, 0), (1 - 2e-14, -1)):
        assert crossings(np.array([101.0, 101.0, 100 * factor]), slow).tolist() == [0, 0, action]


def test_means_apart_by_the_bound_of_rounding_are_equal() -> None:
    slow = np.full(3, 100.0)
    bound = ROUNDING * 100.0
    assert crossings(np.array([99.0, 99.0, 100.0 + bound]), slow).tolist() == [0, 0, 0]
    assert crossings(np.array([101.0, 101.0, 100.0 - bound]), slow).tolist() == [0, 0, 0]


def test_mean_of_decimal_prices_is_rounded_once() -> None:
    random = np.random.default_rng(1)
    for window in range(2, 62):
        prices = random.uniform(0.01, 70_000, 64).round(window % 9)
        exact = [float(sum(map(Fraction, prices[t - window + 1 : t + 1])) / window) for t in range(window - 1, 64)]
        assert simple_moving_average(prices, window)[window - 1 :].tolist() == exact
