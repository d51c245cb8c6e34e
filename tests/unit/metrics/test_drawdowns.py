"""Drawdowns by hand, and beside pandas and empyrical."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pandas as pd
import pytest

from src.metrics.drawdowns import measure_drawdowns
from tests.market import random_bars


def test_two_drawdowns_by_hand() -> None:
    # From 100 to 80 in three bars, back at the peak, a new peak of 120, then 90 and 105 to the end.
    found = measure_drawdowns(np.array([100.0, 90, 80, 95, 100, 120, 90, 105]), 100.0)
    assert found.deepest == pytest.approx(0.25)
    assert found.mean_depth == pytest.approx((0.2 + 0.25) / 2)
    assert found.longest == 3
    squares = 0.1**2 + 0.2**2 + 0.05**2 + 0.25**2 + 0.125**2
    assert found.ulcer_index == pytest.approx(math.sqrt(squares / 8))


def test_trough_is_reset_at_each_peak() -> None:
    # The second drawdown, from 200 to 190, ends far above the first one's trough.
    found = measure_drawdowns(np.array([100.0, 50, 200, 190]), 100.0)
    assert found.mean_depth == pytest.approx((0.5 + 0.05) / 2)


def test_later_drawdown_can_be_longer_and_ended() -> None:
    found = measure_drawdowns(np.array([90.0, 100, 95, 90, 95, 100, 110]), 100.0)
    assert (found.deepest, found.longest) == (pytest.approx(0.1), 3)
    assert found.mean_depth == pytest.approx(0.1)


def test_starting_cash_is_the_first_peak() -> None:
    found = measure_drawdowns(np.array([80.0, 90]), 100.0)
    assert (found.deepest, found.longest) == (pytest.approx(0.2), 2)
    assert found.mean_depth == pytest.approx(0.2)


def test_equity_that_only_rises_has_no_mean_depth() -> None:
    found = measure_drawdowns(np.array([100.0, 110, 110, 120]), 100.0)
    assert (found.deepest, found.longest, found.ulcer_index) == (0.0, 0, 0.0)
    assert math.isnan(found.mean_depth)


@pytest.mark.parametrize(("relative_loss", "longest"), [(5e-15, 0), (1e-14, 0), (2e-14, 1)])
def test_loss_within_rounding_is_at_the_peak(relative_loss: float, longest: int) -> None:
    assert measure_drawdowns(np.array([100.0, 100 * (1 - relative_loss)]), 100.0).longest == longest


def test_peak_stays_after_equity_lower_by_rounding() -> None:
    # Two steps down by 0.9 of the rounding each: the second is below the peak, which did not follow the first.
    steps = 100 * (1 - np.array([0.0, 0.9e-14, 1.8e-14]))
    assert measure_drawdowns(steps, 100.0).longest == 1


def test_random_equity_agrees_with_pandas_and_empyrical() -> None:
    equity = pd.Series(random_bars(500, seed=11).close)
    start = float(equity[0])
    found = measure_drawdowns(equity.to_numpy(), start)
    depth = 1 - equity / equity.cummax()
    is_under = depth > 0
    drawdowns = depth[is_under].groupby((~is_under).cumsum()[is_under])
    assert found.deepest == pytest.approx(-empyrical.max_drawdown(equity.pct_change().fillna(0.0)))
    assert found.mean_depth == pytest.approx(drawdowns.max().mean())
    assert found.longest == drawdowns.size().max()
    assert found.ulcer_index == pytest.approx(math.sqrt((depth**2).mean()))
