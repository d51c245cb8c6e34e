"""What the vectorized engine must get right beside agreeing with vectorbt."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from src.domain.order_rules import Exits, Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import FillReason, Side
from src.domain.trading import FillTiming, TradingRules
from src.engines import vectorized
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from tests.market import bars_of_closes, random_bars


def signals_of(action: list[int] | np.ndarray) -> Signals:
    return Signals(action=np.array(action, dtype=np.int8), strategy=StrategyDescription(name="by hand"))


def alternating(n: int) -> Signals:
    return signals_of(np.tile([1, -1], n // 2))


def test_entry_and_an_exit_by_hand() -> None:
    bars = bars_of_closes([100, 110, 121, 121])
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, initial_cash=1010.0, fee_rate=0.01, slippage_rate=0.0)
    simulation = VectorizedEngine().run(bars, signals_of([1, 0, -1, 0]), rules)
    # 1010 pays 10 units at 100 and a fee of 10; 10 units at 121 bring 1210 less a fee of 12.10.
    assert simulation.equity.tolist() == pytest.approx([1000, 1100, 1197.9, 1197.9])
    assert simulation.cash.tolist() == pytest.approx([0, 0, 1197.9, 1197.9])
    assert simulation.cash[0] == 0
    assert simulation.position.tolist() == pytest.approx([10, 10, 0, 0])
    [trade] = simulation.trades
    assert trade["profit"] == pytest.approx(187.9)
    assert trade["return"] == pytest.approx(0.1879)
    assert (trade["entry_bar"], trade["exit_bar"], trade["is_open"]) == (0, 2, False)


def test_signal_at_last_bar_has_no_fill() -> None:
    bars = bars_of_closes([100, 110])
    last = VectorizedEngine().run(bars, signals_of([0, 1]), TradingRules(fill=FillTiming.NEXT_OPEN))
    assert len(last.fills) == 0
    assert last.equity.tolist() == [10_000, 10_000]
    first = VectorizedEngine().run(bars, signals_of([1, 0]), TradingRules(fill=FillTiming.NEXT_OPEN))
    assert first.fills["bar"].tolist() == [1]
    assert first.fills["side"].tolist() == [Side.BUY]
    assert first.fills["reason"].tolist() == [FillReason.SIGNAL]
    assert first.fills["time_ms"][0] == bars.open_time_ms[1]


def test_close_of_longs_sells_and_close_of_shorts_does_nothing() -> None:
    bars = bars_of_closes([100, 110, 121, 121, 121])
    rules = TradingRules(fill=FillTiming.SAME_CLOSE)
    simulation, released = (
        VectorizedEngine().run(bars, signals_of(action), rules) for action in ([1, 2, -2, 2, -2], [1, 0, -1, 0, 0])
    )
    assert simulation.equity.tobytes() == released.equity.tobytes()
    assert simulation.fills["bar"].tolist() == [0, 2]
    assert simulation.fills["side"].tolist() == [Side.BUY, Side.SELL]
    assert not len(VectorizedEngine().run(bars, signals_of([2, 2, -2, 2, -2]), rules).fills)


def test_open_trade_is_marked_at_last_close() -> None:
    bars = bars_of_closes([100, 150])
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, initial_cash=1000.0, fee_rate=0, slippage_rate=0)
    [trade] = VectorizedEngine().run(bars, signals_of([1, 0]), rules).trades
    assert trade["is_open"]
    assert (trade["exit_price"], trade["exit_fee"], trade["exit_reason"]) == (150, 0, -1)
    assert trade["profit"] == pytest.approx(500)


@pytest.mark.parametrize("sizing", [Sizing(), Sizing(fixed_units=3.0), Sizing(equity_fraction=0.5)], ids=str)
def test_account_consumed_by_costs_places_no_entry(sizing: Sizing) -> None:
    bars = random_bars(12_000, seed=5, volatility=0.001)
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, sizing=sizing, fee_rate=0.01)
    vectorized = VectorizedEngine().run(bars, alternating(len(bars)), rules)
    event_driven = EventDrivenEngine().run(bars, alternating(len(bars)), rules)
    assert len(vectorized.fills) == len(event_driven.fills) < len(bars)
    assert vectorized.equity[-1] < 1e-6
    np.testing.assert_allclose(vectorized.equity, event_driven.equity, rtol=1e-9, atol=1e-9)


def test_setting_of_other_engine_is_rejected() -> None:
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, exits=Exits(stop_loss_rate=0.1))
    with pytest.raises(ValueError, match="stopLoss"):
        VectorizedEngine().run(bars_of_closes([1, 2]), signals_of([0, 0]), rules)


def test_order_codes_are_those_of_vectorbt() -> None:
    enums = pytest.importorskip("vectorbt.portfolio.enums")
    assert enums.OrderSide.Buy == vectorized._BUY
    assert enums.SizeType.Amount == vectorized._AMOUNT
    assert enums.SizeType.Percent == vectorized._PERCENT
    assert enums.Direction.LongOnly == vectorized._LONG_ONLY


def test_vectorbt_without_compiled_half_simulates_equally(monkeypatch: pytest.MonkeyPatch) -> None:
    bars, signals = random_bars(300, seed=4), alternating(300)
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, sizing=Sizing(equity_fraction=0.4))
    compiled = VectorizedEngine().run(bars, signals, rules)
    monkeypatch.setitem(sys.modules, "vectorbt_rust", None)
    loaded = vectorized._load_vectorbt()
    assert loaded[1] == {"engine": "numba"}
    monkeypatch.setattr(vectorized, "_VECTORBT", loaded)
    plain = VectorizedEngine().run(bars, signals, rules)
    np.testing.assert_array_equal(compiled.fills, plain.fills)
    np.testing.assert_array_equal(compiled.equity, plain.equity)


@pytest.mark.parametrize(
    ("sizing", "reduced"),
    [
        (Sizing(fixed_units=20.0), 1),
        (Sizing(fixed_units=10.0), 0),
        (Sizing(fixed_units=10.0 * (1 + 2e-9)), 1),
        (Sizing(equity_fraction=0.5), 0),
        (Sizing(), 0),
    ],
    ids=str,
)
def test_entries_reduced_by_cash_are_counted(sizing: Sizing, reduced: int) -> None:
    rules = TradingRules(
        fill=FillTiming.SAME_CLOSE, initial_cash=1000.0, fee_rate=0.0, slippage_rate=0.0, sizing=sizing
    )
    run = VectorizedEngine().run(bars_of_closes([100, 100]), signals_of([1, 0]), rules)
    assert run.reduced_entries == reduced


def test_costs_and_size_by_hand() -> None:
    rules = TradingRules(
        fill=FillTiming.SAME_CLOSE,
        initial_cash=1000.0,
        fee_rate=0.25,
        slippage_rate=0.25,
        sizing=Sizing(fixed_units=4.0),
    )
    fills = VectorizedEngine().run(bars_of_closes([80, 80]), signals_of([1, -1]), rules).fills
    # 4 at 100 and a fee of 100; 4 at 60 and a fee of 60.
    assert fills["price"].tolist() == [100.0, 60.0]
    assert fills["quantity"].tolist() == [4.0, 4.0]
    assert fills["fee"].tolist() == [100.0, 60.0]


@pytest.mark.parametrize(("price", "fills"), [(1e6, 0), (4e5, 1)])
def test_entry_of_dust_is_not_placed(price: float, fills: int) -> None:
    # A millionth buys 1e-12 units, which could not be told from none, or 2.5e-12.
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, initial_cash=1e-6, fee_rate=0.0, slippage_rate=0.0)
    assert len(VectorizedEngine().run(bars_of_closes([price, price]), signals_of([1, 0]), rules).fills) == fills
