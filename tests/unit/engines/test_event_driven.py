from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.order_rules import EntryOrder, Exits
from src.domain.signals import Signals, StrategyDescription
from src.domain.trading import FillTiming, IntrabarPolicy, TradingRules
from src.engines.account import bankruptcy_price, liquidation_level, purchase_for, purchase_of, subtract
from src.engines.compiled import fingerprint
from src.engines.event_driven import EventDrivenEngine
from src.engines.orders import LIMIT_ENTRY, STOP_ENTRY, BarPrices, level_from, proven_after_entry
from src.engines.plan import NEVER, build_plan, costs_of
from tests import simulations
from tests.market import bars_of_closes, random_bars

RULES = TradingRules(fill=FillTiming.NEXT_OPEN)


def signals_of(*action: int) -> Signals:
    return Signals(action=np.array(action, dtype=np.int8), strategy=StrategyDescription(name="given"))


def test_no_bars_give_an_empty_run() -> None:
    simulation = EventDrivenEngine().run(bars_of_closes([]), signals_of(), RULES)
    assert len(simulation.equity) == len(simulation.fills) == len(simulation.trades) == 0


def test_open_trade_is_marked_at_last_close() -> None:
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, fee_rate=0.0, slippage_rate=0.0, initial_cash=100.0)
    trades = EventDrivenEngine().run(bars_of_closes([10.0, 12.0, 15.0]), signals_of(1, 0, 0), rules).trades
    assert trades["is_open"].tolist() == [True]
    assert trades["profit"].tolist() == [50.0]
    assert trades["return"].tolist() == [0.5]
    assert trades["bars_held"].tolist() == [2]


def test_threads_share_an_engine() -> None:
    engine = EventDrivenEngine()
    bars = [random_bars(300, seed=seed) for seed in range(8)]
    words = [signals_of(*np.random.default_rng(seed).integers(-1, 2, 300)) for seed in range(8)]
    alone = [engine.run(b, w, RULES).equity for b, w in zip(bars, words, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        together = [
            run.equity for run in pool.map(lambda pair: engine.run(*pair, RULES), zip(bars, words, strict=True))
        ]
    for mine, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_longest_lives_do_not_overflow() -> None:
    rules = TradingRules(
        fill=FillTiming.NEXT_OPEN, entry=EntryOrder(life_bars=2**31 - 1), exits=Exits(max_bars=2**80), fee_rate=0.0
    )
    plan = build_plan(rules)
    assert (plan.entry_life_bars, plan.max_bars) == (2**31 - 1, NEVER)
    simulation = EventDrivenEngine().run(bars_of_closes([1.0, 1.0, 1.0]), signals_of(1, 0, 0), rules)
    assert simulation.trades["is_open"].tolist() == [True]


def test_engine_imports_neither_pandas_nor_vectorbt() -> None:
    """A first call takes less than a second because it does not wait for them."""
    program = "import sys, src.engines.event_driven; print(sorted({'pandas', 'vectorbt'} & set(sys.modules)))"
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_fingerprint_follows_source_of_rules(tmp_path: Path) -> None:
    def module_of(source: str) -> types.ModuleType:
        path = tmp_path / f"rule_{len(source)}.py"
        path.write_text(source)
        module = types.ModuleType(path.stem)
        module.__file__ = str(path)
        return module

    one, other = module_of("FEE = 1\n"), module_of("FEE = 1.5\n")
    assert fingerprint(one) == fingerprint(one) != fingerprint(other)


def test_purchase_pays_fee_from_its_budget() -> None:
    purchase = purchase_for(1000.0, 100.0, 0.25, 1.0)
    assert (purchase.quantity, purchase.fee, purchase.is_reduced) == (8.0, 200.0, False)


def test_units_beyond_the_budget_are_reduced() -> None:
    assert purchase_of(10.0, 1000.0, 100.0, 0.0, 1.0) == (10.0, 0.0, False)
    assert purchase_of(10.0, 1000.0, 100.0, 0.25, 1.0) == (8.0, 200.0, True)


def test_differences_by_rounding_are_zero() -> None:
    assert subtract(1000.0, 1000.0 * (1 + 1e-12)) == 0.0
    assert subtract(1000.0, 999.0) == 1.0


def test_short_is_liquidated_if_buying_back_takes_all_cash() -> None:
    plan = build_plan(TradingRules(fill=FillTiming.NEXT_OPEN, fee_rate=0.25, slippage_rate=0.25))
    assert bankruptcy_price(2000.0, -10.0, 0.25) == 160.0
    assert liquidation_level(2000.0, -10.0, costs_of(plan), 1.0, 0.004) == 128.0
    assert np.isnan(liquidation_level(0.0, 10.0, costs_of(plan), 1.0, 0.004))


@pytest.mark.parametrize(
    ("price", "direction", "rate", "level"), [(100.0, 1, 0.1, 110.0), (100.0, 1, -0.05, 95.0), (70.0, -1, 0.1, 63.0)]
)
def test_levels_of_round_prices_are_touched(price: float, direction: int, rate: float, level: float) -> None:
    assert level_from(price, direction, rate) == level


@pytest.mark.parametrize(
    ("level", "side", "kind", "proven"),
    [
        (95.0, 1, LIMIT_ENTRY, BarPrices(95.0, 95.0, 85.0, 90.0)),
        (88.0, 1, LIMIT_ENTRY, BarPrices(88.0, 90.0, 85.0, 90.0)),
        (105.0, 1, STOP_ENTRY, BarPrices(105.0, 120.0, 90.0, 90.0)),
        (105.0, -1, LIMIT_ENTRY, BarPrices(105.0, 120.0, 90.0, 90.0)),
        (88.0, -1, STOP_ENTRY, BarPrices(88.0, 90.0, 85.0, 90.0)),
    ],
)
def test_entry_level_extreme_and_close_are_proven(level: float, side: int, kind: int, proven: BarPrices) -> None:
    assert proven_after_entry(BarPrices(100.0, 120.0, 85.0, 90.0), level, side, kind) == proven


@given(market=simulations.markets(), rules=simulations.RULES, data=st.data())
def test_bars_of_the_other_policy_decide_otherwise(
    market: simulations.Market, rules: TradingRules, data: st.DataObject
) -> None:
    bars, signals = market
    engine, n = EventDrivenEngine(), len(bars)
    first, second = IntrabarPolicy.PESSIMISTIC, IntrabarPolicy.OPTIMISTIC
    rules = replace(rules, intrabar=data.draw(st.sampled_from([first, second])))
    other = replace(rules, intrabar=second if rules.intrabar is first else first)

    def equity(rules: TradingRules, changed: Sequence[int]) -> list[float]:
        return list(engine.run_settled(bars, signals, rules, changed).equity)

    assert equity(rules, ()) == list(engine.run(bars, signals, rules).equity)
    assert equity(rules, range(n)) == list(engine.run(bars, signals, other).equity)
    changed = sorted(data.draw(st.sets(st.integers(0, n - 1))))
    assert equity(rules, changed) == equity(other, sorted(set(range(n)) - set(changed)))
    # The first bar that decides otherwise changes nothing before it.
    first = data.draw(st.integers(0, n - 1))
    assert equity(rules, range(first, n))[:first] == list(engine.run(bars, signals, rules).equity)[:first]
