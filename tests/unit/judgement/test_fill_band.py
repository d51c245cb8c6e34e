"""The fill band beside whole runs under both policies, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from src.domain.order_rules import Exits
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import FillTiming, IntrabarPolicy, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.judgement.fill_band import measure_fill_band
from tests.market import bars_of_closes
from tests.simulations import RULES, Market, markets

run = EventDrivenEngine().run


@given(market=markets(), rules=RULES)
def test_band_equals_runs_under_both_policies(market: Market, rules: TradingRules) -> None:
    bars, signals = market
    own = run(bars, signals, rules)
    band = measure_fill_band(bars, signals, rules, own, run)
    returns = {
        policy: (run(bars, signals, replace(rules, intrabar=policy)).equity[-1] / rules.initial_cash - 1) * 100
        for policy in IntrabarPolicy
    }
    if own.ambiguous_bars == 0:
        assert band is None
        # Without an ambiguous bar the policy has nothing to decide.
        assert len(set(returns.values())) == 1
    else:
        assert band is not None
        extremes = (IntrabarPolicy.PESSIMISTIC, IntrabarPolicy.OPTIMISTIC)
        assert (band.pessimistic_return, band.optimistic_return) == tuple(returns[policy] for policy in extremes)
        assert band.ambiguous_bars == own.ambiguous_bars


@pytest.mark.parametrize("own", IntrabarPolicy)
def test_band_of_one_bar_by_hand(own: IntrabarPolicy) -> None:
    still = bars_of_closes([100.0] * 4)
    bars = replace(still, high=np.array([100.0, 100, 120, 100]), low=np.array([100.0, 100, 80, 100]))
    signals = Signals(action=np.array([1, 0, 0, 0], np.int8), strategy=StrategyDescription(name="hand-made"))
    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN,
        fee_rate=0.0,
        slippage_rate=0.0,
        exits=Exits(stop_loss_rate=0.05, take_profit_rate=0.1),
        intrabar=own,
    )
    band = measure_fill_band(bars, signals, rules, run(bars, signals, rules), run)
    assert band is not None
    assert band.pessimistic_return == pytest.approx(-5.0)
    assert band.optimistic_return == pytest.approx(10.0)
    assert band.ambiguous_bars == 1
