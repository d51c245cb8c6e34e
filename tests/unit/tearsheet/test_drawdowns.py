"""Drawdowns of equity, by hand and beside vectorbt and pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

from src.domain.tearsheet import DrawdownPeriod
from src.metrics.drawdowns import measure_drawdowns
from src.tearsheet.drawdowns import drawdown_curve, find_drawdowns
from tests.market import random_bars


def test_two_drawdowns_by_hand() -> None:
    equity = np.array([100.0, 90, 80, 95, 100, 120, 90, 105])
    found = find_drawdowns(np.arange(8) * 1000, equity, 100.0, first=10)
    assert found == (
        DrawdownPeriod(start_ms=6000, bottom_ms=6000, end_ms=None, depth=pytest.approx(25.0), bars=2),
        DrawdownPeriod(start_ms=1000, bottom_ms=2000, end_ms=4000, depth=pytest.approx(20.0), bars=3),
    )
    assert drawdown_curve(equity, 100.0) == pytest.approx([0, -10, -20, -5, 0, 0, -25, -12.5])


def test_starting_cash_is_first_peak() -> None:
    [found] = find_drawdowns(np.arange(3), np.array([80.0, 90, 100]), 100.0, first=10)
    assert (found.start_ms, found.bottom_ms, found.end_ms, found.bars) == (0, 0, 2, 2)


def test_equity_without_fall_has_no_drawdown() -> None:
    assert find_drawdowns(np.arange(3), np.array([100.0, 100, 101]), 100.0, first=10) == ()


def test_rounding_below_peak_is_no_drawdown() -> None:
    assert find_drawdowns(np.arange(2), np.array([100.0, 100 * (1 - 1e-15)]), 100.0, first=10) == ()


def test_first_bounds_number_and_keeps_deepest() -> None:
    equity = np.array([100.0, 95, 100, 80, 100, 90, 100])
    found = find_drawdowns(np.arange(7), equity, 100.0, first=2)
    assert [period.depth for period in found] == [pytest.approx(20.0), pytest.approx(10.0)]


@pytest.mark.parametrize("seed", [0, 3, 4, 5, 6])
def test_drawdowns_equal_those_of_vectorbt(seed: int) -> None:
    equity = random_bars(800, seed=seed).close
    found = find_drawdowns(np.arange(800), equity, float(equity[0]), first=1000)
    theirs = vbt.Drawdowns.from_ts(pd.Series(equity)).records
    depths = (theirs["peak_val"] - theirs["valley_val"]) / theirs["peak_val"] * 100
    is_active = theirs["status"] == 0
    expected = {
        (int(start), int(bottom), None if active else int(end)): depth
        for start, bottom, end, active, depth in zip(
            theirs["start_idx"], theirs["valley_idx"], theirs["end_idx"], is_active, depths, strict=True
        )
    }
    mine = {(period.start_ms, period.bottom_ms, period.end_ms): period.depth for period in found}
    assert len(expected) > 2
    assert mine == pytest.approx(expected)
    assert [period.depth for period in found] == sorted(mine.values(), reverse=True)


def test_curve_equals_pandas_and_metrics() -> None:
    equity = random_bars(500, seed=3).close
    series = pd.Series(equity)
    curve = drawdown_curve(equity, float(equity[0]))
    assert curve == pytest.approx(((series / series.cummax() - 1) * 100).to_numpy(), abs=1e-9)
    deepest = measure_drawdowns(equity, float(equity[0]))
    assert -curve.min() == deepest.deepest * 100
    assert max(period.bars for period in find_drawdowns(np.arange(500), equity, float(equity[0]), first=99)) == (
        deepest.longest
    )
