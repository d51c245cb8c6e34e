"""Rows traded by hand: what is bought at which bar, at what price and cost, and what is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from src.domain.annualization import DEFAULT_ANNUALIZATION
from src.domain.order_rules import Exits, Sizing
from src.domain.trading import EngineName, FillTiming, TradingRules
from src.sweeps.crossings import Events
from src.sweeps.market_arrays import build_market_arrays
from src.sweeps.row_plans import ROW_PLAN_DTYPE, write_plan
from src.sweeps.running import RowInputs, RowResults, compute_returns, measure_rows
from tests.market import bars_of_closes, random_bars

CLOSES = [100.0, 100.0, 110.0, 121.0, 110.0, 99.0]
ACTION = [0, 1, 0, -1, 0, 0]


def plans_of(*rules: TradingRules, engine: EngineName = EngineName.EVENT_DRIVEN) -> NDArray[np.void]:
    plans = np.zeros(len(rules), ROW_PLAN_DTYPE)
    for place, one in enumerate(rules):
        write_plan(plans[place], one, engine)
    return plans


def inputs_of(actions: list[list[int]], *rules: TradingRules) -> RowInputs:
    """One group of events for each list of actions, one row for each rules on the groups in turn."""
    table = np.array(actions, np.int8)
    where = [np.flatnonzero(row) for row in table]
    events = Events(
        np.cumsum([0, *(len(one) for one in where)]).astype(np.int64),
        np.concatenate(where).astype(np.int32),
        np.concatenate([row[one] for row, one in zip(table, where, strict=True)]),
    )
    groups = np.arange(len(rules), dtype=np.int64) % len(actions)
    return RowInputs(events, table, groups, plans_of(*rules))


def run(action: list[int], closes: list[float], rules: TradingRules) -> RowResults:
    market, _ = build_market_arrays(bars_of_closes(closes), DEFAULT_ANNUALIZATION)
    return measure_rows(market, inputs_of([action], rules))


def rules_of(**others: Any) -> TradingRules:
    given = {"fill": FillTiming.SAME_CLOSE, "initial_cash": 1000.0, "fee_rate": 0.0, "slippage_rate": 0.0}
    return TradingRules(**(given | others))


@pytest.mark.parametrize("exits", [Exits(), Exits(max_bars=1000)], ids=["market orders", "orders"])
@pytest.mark.parametrize(
    ("fill", "entry", "exit_"), [(FillTiming.SAME_CLOSE, 100.0, 121.0), (FillTiming.NEXT_OPEN, 110.0, 110.0)]
)
def test_signal_fills_at_its_close_or_next_open(fill: FillTiming, entry: float, exit_: float, exits: Exits) -> None:
    found = run(ACTION, CLOSES, rules_of(fill=fill, exits=exits))
    assert found.paths["final_equity"][0] == pytest.approx(1000 * exit_ / entry, rel=1e-15)
    assert (found.trades["trades"][0], found.trades["is_open"][0]) == (1, 0)


@pytest.mark.parametrize("exits", [Exits(), Exits(max_bars=1000)], ids=["market orders", "orders"])
def test_fee_and_slippage_are_paid_on_both_sides(exits: Exits) -> None:
    found = run(ACTION, CLOSES, rules_of(fee_rate=0.01, slippage_rate=0.02, exits=exits))
    bought = 1000 / 1.01 / 102  # units, at 100 and 2 % more
    value = bought * 121 * 0.98
    assert found.paths["final_equity"][0] == pytest.approx(value * 0.99, rel=1e-14)
    assert found.trades["fees"][0] == pytest.approx(1000 / 1.01 * 0.01 + value * 0.01, rel=1e-14)
    assert found.trades["profit"][0] == pytest.approx(value * 0.99 - 1000, rel=1e-12)


def test_path_counts_each_bar_with_its_position() -> None:
    found = run(ACTION, CLOSES, rules_of())
    returns = np.array([0, 0, 0.1, 0.1, 0, 0])
    path = found.paths[0]
    assert path["exposed_bars"] == 2  # the closes of bars 1 and 2
    assert path["mean_excess"] == pytest.approx(returns.mean(), rel=1e-12)
    assert path["deviation"] == pytest.approx(returns.std(ddof=1), rel=1e-12)
    assert path["downside_deviation"] == 0


@pytest.mark.parametrize("sizing", [Sizing(), Sizing(equity_fraction=0.5)])
def test_deepest_fall_is_measured_while_in_the_market(sizing: Sizing) -> None:
    closes = [100.0, 100.0, 120.0, 90.0, 60.0, 200.0]
    found = run([0, 1, 0, 0, 0, 0], closes, rules_of(sizing=sizing))
    held = sizing.equity_fraction or 1.0
    high, low = 1000 * (1 + 0.2 * held), 1000 * (1 - 0.4 * held)
    assert found.paths["fall"][0] == pytest.approx((high - low) / high, rel=1e-12)
    assert found.paths["lowest"][0] == pytest.approx(low, rel=1e-12)
    assert found.trades["is_open"][0] == 1


def test_last_signal_without_next_open_fills_nothing() -> None:
    found = run([0, 0, 0, 0, 0, 1], CLOSES, rules_of(fill=FillTiming.NEXT_OPEN))
    assert found.paths["final_equity"][0] == 1000 and found.trades["is_open"][0] == 0


def test_repeated_signals_change_nothing() -> None:
    found = run([-1, 1, 1, -2, -1, 2], CLOSES, rules_of())
    assert found.trades["trades"][0] == 1
    assert found.paths["final_equity"][0] == pytest.approx(1210.0, rel=1e-15)


def test_stop_fills_at_its_level_inside_the_bar() -> None:
    found = run([0, 1, 0, 0, 0, 0], CLOSES, rules_of(exits=Exits(trailing_stop_rate=0.05)))
    # 110 falls below 121 less 5 %, and the bar stands still at 110 when it opens.
    assert found.paths["final_equity"][0] == pytest.approx(1100.0, rel=1e-12)
    assert found.paths["exposed_bars"][0] == 3


def test_rows_share_groups_and_differ_in_rules() -> None:
    market, _ = build_market_arrays(bars_of_closes(CLOSES), DEFAULT_ANNUALIZATION)
    given = inputs_of([ACTION, [1, 0, 0, 0, 0, 0]], rules_of(), rules_of(), rules_of(initial_cash=1.0))
    found = measure_rows(market, given)
    np.testing.assert_allclose(found.paths["final_equity"], [1210.0, 990.0, 1.21], rtol=1e-14)


def test_equity_beyond_its_limit_is_not_bounded() -> None:
    closes = [1e-7, 1e7] * 60
    found = run([1, -1] * 60, closes, rules_of())
    assert found.paths["is_bounded"][0] == 0


def test_returns_are_those_of_each_bar() -> None:
    market, _ = build_market_arrays(bars_of_closes(CLOSES), DEFAULT_ANNUALIZATION)
    [returns] = compute_returns(market, inputs_of([ACTION], rules_of()))
    np.testing.assert_allclose(returns, [0, 0, 0.1, 0.1, 0, 0], atol=1e-15)


def test_quiet_stretch_beside_a_crash_is_measured_exactly() -> None:
    """Sums over all bars hold the crash, whose rounding would hide the returns of 1e-9 before it."""
    rng = np.random.default_rng(1)
    quiet = 1.0 + 1e-9 * rng.standard_normal(200)
    closes = [*quiet.tolist(), *random_bars(200, seed=1, volatility=0.5).close.tolist()]
    action = [0] * 400
    action[1], action[150] = 1, -1
    found = run(action, closes, rules_of())
    assert found.paths["is_exact"][0] == 0
    held = np.zeros(400)
    held[2:151] = np.diff(quiet[1:151]) / quiet[1:150]
    assert found.paths["deviation"][0] == pytest.approx(held.std(ddof=1), rel=1e-9)
