"""The distribution of returns, beside numpy, empyrical and the metrics."""

from __future__ import annotations

import itertools
import math

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.tearsheet import ReturnBin
from src.tearsheet.distribution import TARGET_BINS, count_bins, describe_returns
from tests.market import random_bars


def test_figures_equal_those_of_empyrical_and_numpy() -> None:
    equity = random_bars(1000, seed=5).close
    found = describe_returns(equity, 100.0)
    returns = np.diff(np.concatenate(([100.0], equity))) / np.concatenate(([100.0], equity[:-1]))
    assert found.value_at_risk_95 == pytest.approx(empyrical.value_at_risk(returns, 0.05) * 100)
    assert found.expected_shortfall_95 == pytest.approx(empyrical.conditional_value_at_risk(returns, 0.05) * 100)
    assert (found.mean, found.median) == (pytest.approx(returns.mean() * 100), pytest.approx(np.median(returns) * 100))
    assert found.deviation == pytest.approx(returns.std(ddof=1) * 100)
    assert (found.worst, found.best) == (pytest.approx(returns.min() * 100), pytest.approx(returns.max() * 100))
    assert (found.gaining_bars, found.losing_bars) == (int((returns > 0).sum()), int((returns < 0).sum()))
    assert found.bars == 1000


def test_bins_equal_numpys_histogram() -> None:
    values = np.random.default_rng(2).normal(0, 1.5, 5000)
    found = count_bins(values)
    limits = [found[0].low, *(item.high for item in found)]
    assert [item.count for item in found] == np.histogram(values, limits)[0].tolist()
    inner = np.diff(limits[1:-1])
    assert inner == pytest.approx(np.full(len(inner), 0.2)), "1/40 of the middle 99 %, rounded up to 1, 2 or 5"
    assert 0.0 in limits and 0.6 in limits, "a multiple of the width with few digits"


def test_extremes_do_not_widen_bins() -> None:
    values = np.concatenate((np.random.default_rng(3).normal(0, 0.01, 10_000), [-50.0, 80.0]))
    found = count_bins(values)
    assert len(found) > 20
    assert (found[0].low, found[-1].high) == (-50.0, 80.0)
    assert found[5].high - found[5].low == pytest.approx(0.002)


def test_equal_values_make_one_bin() -> None:
    assert count_bins(np.zeros(7)) == (ReturnBin(low=0.0, high=0.0, count=7),)


def test_value_at_limit_counts_in_upper_bin() -> None:
    found = count_bins(np.array([-1.0, 0.0, 1.0]))
    [at_zero] = [item for item in found if item.low == item.high]
    assert (at_zero.high, at_zero.count) == (0.0, 1)
    at_limit = count_bins(np.array([-1.0, 0.5, 1.0]))
    [upper] = [item for item in at_limit if item.low == 0.5]
    assert upper.count == 1
    assert found[-1].count == 1, "the last bin has its upper end too"


def test_one_bar_has_no_deviation() -> None:
    found = describe_returns(np.array([110.0]), 100.0)
    assert found.deviation is None
    assert found.mean == found.median == found.value_at_risk_95 == pytest.approx(10.0)


@pytest.mark.parametrize(
    "moving",
    [
        np.random.default_rng(4).normal(0, 1, 280),
        np.random.default_rng(5).uniform(0.4, 3, 280),
        -np.random.default_rng(6).uniform(0.4, 3, 280),
        np.concatenate((np.random.default_rng(7).uniform(1, 2, 10_000), [-9.0])),
    ],
    ids=["both ways", "gains", "losses", "0 inside an outer bin"],
)
def test_bars_that_return_0_are_counted_alone(moving: np.ndarray) -> None:
    values = np.concatenate((moving, np.zeros(40), [-0.0]))
    found = count_bins(values)
    [flat] = [item for item in found if item.low <= 0 <= item.high and item.low == item.high]
    assert (flat.low, flat.high, flat.count) == (0.0, 0.0, 41)
    assert sum(item.count for item in found if item.high > 0) == (moving > 0).sum(), "what is drawn as gains"
    assert sum(item.count for item in found if item.low < 0) == (moving < 0).sum(), "what is drawn as losses"
    assert [item.low for item in found] == sorted(item.low for item in found)
    assert all(one.high == other.low for one, other in itertools.pairwise(found))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_every_value_is_in_one_bin(numbers: list[float]) -> None:
    values = np.array(numbers)
    found = count_bins(values)
    assert sum(item.count for item in found) == len(values)
    assert len(found) <= TARGET_BINS + 4, "two outer ones, one for 0, and one if 0 divides an outer one"
    if len(found) > 1:
        flat = np.count_nonzero(values == 0)
        assert [item.count for item in found if item.low == item.high] == ([flat] if flat else [])
        assert sum(item.count for item in found if item.low < 0) == np.count_nonzero(values < 0)
        assert sum(item.count for item in found if item.high > 0) == np.count_nonzero(values > 0)
    assert all(one.high == other.low for one, other in itertools.pairwise(found))
    assert found[0].low <= values.min() and found[-1].high >= values.max()
    assert all(math.isfinite(item.low) and item.low <= item.high for item in found)
