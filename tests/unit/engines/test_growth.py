"""Growth beyond all numbers, and amounts near the tolerances: one rule in both engines."""

from __future__ import annotations

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.errors import InvalidInput
from src.domain.order_rules import MAX_TAKE_PROFIT, Exits, Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import MAX_EQUITY, Simulation
from src.domain.trading import FillTiming, TradingRules
from src.engines.account import cash_after_fill, purchase_for
from src.engines.event_driven import EventDrivenEngine
from src.engines.ledger import cash_after_fills, check_growth
from src.engines.vectorized import VectorizedEngine
from tests.market import bars_of_closes

ENGINES = [EventDrivenEngine, VectorizedEngine]
RULES = TradingRules(fill=FillTiming.SAME_CLOSE, initial_cash=1.0, fee_rate=0.0, slippage_rate=0.0)


def doubling(times: int) -> tuple[Bars, Signals]:
    """Bars between 1 and 2, and signals that know: bought at 1 and sold at 2, so many times."""
    action = np.tile(np.array([1, -1], dtype=np.int8), times)
    return bars_of_closes([1.0, 2.0] * times), Signals(action=action, strategy=StrategyDescription(name="seer"))


def run(
    engine: type[EventDrivenEngine] | type[VectorizedEngine], times: int, rules: TradingRules = RULES
) -> Simulation:
    return engine().run(*doubling(times), rules)


@pytest.mark.parametrize("engine", ENGINES)
def test_growth_up_to_the_bound_is_a_result(engine: type[EventDrivenEngine]) -> None:
    simulation = run(engine, 332)
    assert simulation.equity[-1] == 2.0**332 <= MAX_EQUITY


@pytest.mark.parametrize("engine", ENGINES)
# 333 doublings pass the bound; 1,100 pass the largest number, which vectorbt would call cash that is none.
@pytest.mark.parametrize("times", [333, 1100])
def test_growth_beyond_the_bound_is_refused(engine: type[EventDrivenEngine], times: int) -> None:
    with pytest.raises(InvalidInput, match=r"equity grows beyond 1e\+100\. Trade a fixedSize") as caught:
        run(engine, times)
    assert caught.value.field == "fixedSize"


@pytest.mark.parametrize("engine", ENGINES)
def test_fixed_size_does_not_compound(engine: type[EventDrivenEngine]) -> None:
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, fee_rate=0.0, slippage_rate=0.0, sizing=Sizing(fixed_units=1.0))
    assert run(engine, 1100, rules).equity[-1] == 10_000 + 1100


def test_other_errors_of_vectorbt_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("order.price must be finite and greater than 0")

    monkeypatch.setattr("src.engines.vectorized._VECTORBT", (fail, {}))
    with pytest.raises(ValueError, match=r"order\.price"):
        run(VectorizedEngine, 1)


@pytest.mark.parametrize("balance", [np.inf, np.nan, MAX_EQUITY * 1.01])
def test_balance_beyond_maximum_is_rejected(balance: float) -> None:
    with pytest.raises(InvalidInput):
        check_growth(np.array([1.0, balance, 1.0]))
    check_growth(np.array([0.0, MAX_EQUITY]))
    check_growth(np.array([]))


@pytest.mark.parametrize(
    ("rate", "is_allowed"), [(MAX_TAKE_PROFIT, True), (MAX_TAKE_PROFIT * 1.01, False), (0.0, False)]
)
def test_take_profit_is_bounded(rate: float, is_allowed: bool) -> None:
    if is_allowed:
        assert Exits(take_profit_rate=rate).take_profit_rate == rate
        return
    with pytest.raises(
        InvalidInput, match=r"takeProfit is .*\. Allowed: 0 < x ≤ 1000000000000 \(fraction of the entry price\)\."
    ):
        Exits(take_profit_rate=rate)


def test_budget_within_the_absolute_tolerance_buys_nothing() -> None:
    assert purchase_for(1e-12, 1e-11, 0.0, 1.0).quantity == 0.0
    assert purchase_for(1e-11, 1e-11, 0.0, 1.0).quantity == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("side", "cash", "value", "fee", "left"),
    [
        (1, 1000.0, 999.0, 1.0 - 1e-10, 0.0),  # relative tolerance
        (1, 1e-6, 1e-6 - 5e-13, 0.0, 0.0),  # absolute tolerance
        (1, 1000.0, 900.0, 1.0, 99.0),
        (-1, 10.0, 100.0, 1.0, 109.0),
        (-1, 10.0, 100.0, 100.0 * (1 - 1e-10), 10.0),  # a fee that takes all but rounding leaves nothing
    ],
)
def test_both_engines_keep_cash_alike(side: int, cash: float, value: float, fee: float, left: float) -> None:
    assert cash_after_fill(cash, side, value, fee) == left
    columns = (np.array([side], dtype=np.int8), np.array([1.0]), np.array([value]), np.array([fee]))
    assert cash_after_fills(cash, *columns).tolist() == [left]
