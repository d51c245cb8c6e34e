"""Costs by hand, and beside the same fills without costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from src.domain.funding import Funding, FundingKind
from src.domain.ladders import AddEntry
from src.domain.order_rules import EntryOrder, EntryType, Exits, Sizing
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.simulation import FillReason
from src.domain.trading import Direction, EngineName, FillTiming, TradingRules
from src.domain.volume_rules import VolumeRules
from src.engines.registry import ENGINES
from src.tearsheet.costs import break_down_costs
from tests.market import bars_of_closes, random_bars

RULES = TradingRules(
    fill=FillTiming.SAME_CLOSE, fee_rate=0.01, slippage_rate=0.02, initial_cash=1000.0, sizing=Sizing(fixed_units=2.0)
)


def signals(*actions: int) -> Signals:
    return Signals(action=np.array(actions, np.int8), strategy=StrategyDescription(name="by hand"))


@pytest.mark.parametrize("engine", list(EngineName))
def test_costs_of_one_trade_by_hand(engine: EngineName) -> None:
    run = ENGINES[engine].run(bars_of_closes([100.0, 110]), signals(Action.BUY, Action.SELL), RULES)
    found = break_down_costs(run, RULES)
    # Two units bought at 102 and sold at 107.8.
    assert found.slippage == pytest.approx(2 * 2 + 2 * 2.2)
    assert found.fees == pytest.approx(0.01 * 2 * (102 + 107.8))
    assert found.gross_profit == pytest.approx(2 * 10)
    assert found.net_profit == pytest.approx(20 - found.slippage - found.fees)


def test_gross_profit_is_that_without_costs() -> None:
    bars, rng = random_bars(400, seed=4), np.random.default_rng(4)
    random = signals(*rng.choice([Action.BUY, Action.HOLD, Action.SELL], 400))
    rules = replace(RULES, initial_cash=1e6, direction=Direction.BOTH)
    engine = ENGINES[EngineName.EVENT_DRIVEN]
    free = engine.run(bars, random, replace(rules, fee_rate=0.0, slippage_rate=0.0))
    found = break_down_costs(engine.run(bars, random, rules), rules)
    assert found.gross_profit == pytest.approx(float(free.equity[-1]) - 1e6)
    assert found.slippage > 0


@pytest.mark.parametrize(
    ("rules", "reasons", "slipped"),
    [
        ({"entry": EntryOrder(type=EntryType.LIMIT, offset_rate=0.05), "exits": Exits(max_bars=1)},
         [FillReason.LIMIT, FillReason.TIME], [False, True]),
        ({"entry": EntryOrder(type=EntryType.STOP, offset_rate=0.02), "exits": Exits(take_profit_rate=0.02)},
         [FillReason.STOP, FillReason.TAKE_PROFIT], [True, False]),
        ({"exits": Exits(stop_loss_rate=0.1)}, [FillReason.SIGNAL, FillReason.STOP_LOSS], [True, True]),
        ({"exits": Exits(trailing_stop_rate=0.1)}, [FillReason.SIGNAL, FillReason.TRAILING_STOP], [True, True]),
        ({"entry": EntryOrder(additions=(AddEntry(move=-0.05),)), "sizing": Sizing(fixed_units=1.0)},
         [FillReason.SIGNAL, FillReason.ADD_LIMIT], [True, False]),
        ({"entry": EntryOrder(additions=(AddEntry(move=0.02),)), "sizing": Sizing(fixed_units=1.0)},
         [FillReason.SIGNAL, FillReason.ADD_STOP], [True, True]),
    ],
)  # fmt: skip
def test_slippage_is_paid_by_market_orders_and_stops(
    rules: dict[str, object], reasons: list[FillReason], slipped: list[bool]
) -> None:
    chosen = replace(RULES, **rules)  # type: ignore[arg-type]
    closes = [100.0, 95, 104, 112, 90, 80, 80]
    bars = replace(bars_of_closes(closes), high=np.maximum(closes, 105.0), low=np.minimum(closes, 94.0))
    run = ENGINES[EngineName.EVENT_DRIVEN].run(bars, signals(Action.BUY, *[Action.HOLD] * 6), chosen)
    assert run.fills["reason"].tolist() == reasons
    paid = [
        quantity * price * 0.02 / (1 + side * 0.02) if pays else 0.0
        for quantity, price, side, pays in zip(
            run.fills["quantity"], run.fills["price"], run.fills["side"], slipped, strict=True
        )
    ]
    assert break_down_costs(run, chosen).slippage == pytest.approx(sum(paid))


def test_liquidation_has_no_slippage() -> None:
    rules = replace(RULES, direction=Direction.SHORT, sizing=Sizing(equity_fraction=1.0), slippage_rate=0.01)
    closes = [100.0, 300.0]
    run = ENGINES[EngineName.EVENT_DRIVEN].run(bars_of_closes(closes), signals(Action.SELL, Action.HOLD), rules)
    assert run.fills["reason"].tolist() == [FillReason.SIGNAL, FillReason.LIQUIDATION]
    entry = run.fills[0]
    assert break_down_costs(run, rules).slippage == pytest.approx(entry["quantity"] * entry["price"] * 0.01 / 0.99)


def test_funding_is_a_cost_beside_the_others() -> None:
    rules = replace(RULES, funding=Funding(kind=FundingKind.CONSTANT, rate=0.01))
    run = ENGINES[EngineName.EVENT_DRIVEN].run(bars_of_closes([100.0, 110]), signals(Action.BUY, Action.HOLD), rules)
    found = break_down_costs(run, rules)
    # Three marks of 1 % of two units at 110, by a position that is still open.
    assert found.funding == pytest.approx(3 * 0.01 * 2 * 110)
    assert found.gross_profit == pytest.approx(2 * 10)
    assert found.gross_profit - found.slippage - found.fees - found.funding == pytest.approx(found.net_profit)


def test_run_without_fill_costs_nothing() -> None:
    run = ENGINES[EngineName.VECTORIZED].run(bars_of_closes([100.0, 110]), signals(Action.HOLD, Action.HOLD), RULES)
    found = break_down_costs(run, RULES)
    assert (found.gross_profit, found.slippage, found.fees, found.funding, found.net_profit) == (0.0,) * 5


def test_impact_of_each_fill_is_slippage() -> None:
    rules = replace(RULES, volume=VolumeRules(impact=0.32))
    bars = replace(bars_of_closes([100.0, 110]), volume=np.array([8.0, 4.0]))
    run = ENGINES[EngineName.EVENT_DRIVEN].run(bars, signals(Action.BUY, Action.SELL), rules)
    found = break_down_costs(run, rules)
    # Two units at 2 % and 0.32 × (2 ÷ 8)², then 2 % and 0.32 × (2 ÷ 4)².
    assert found.slippage == pytest.approx(2 * 100 * 0.04 + 2 * 110 * 0.1)
    assert found.gross_profit == pytest.approx(2 * 10)
