"""When two fills are the same one."""

from __future__ import annotations

import numpy as np
import pytest

from src.domain.bars import MAX_PRICE
from src.domain.order_rules import Sizing
from src.domain.signals import Signals, StrategyDescription
from src.domain.simulation import Simulation
from src.domain.trading import Direction, EngineName, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.vectorized import VectorizedEngine
from src.service.cross_checks import cross_check
from tests.market import bars_of_closes

BARS = bars_of_closes([1e-8, 1e-8, 2e-8, 2e-8])
SIGNALS = Signals(action=np.array([1, 0, -1, 0], dtype=np.int8), strategy=StrategyDescription(name="by hand"))
RULES = TradingRules(fill=FillTiming.SAME_CLOSE, sizing=Sizing(fixed_units=1e6))


class Changed:
    """An engine whose first fill is off by a factor."""

    def __init__(self, column: str, factor: float) -> None:
        self._column, self._factor = column, factor

    def run(self, *arguments: object) -> Simulation:
        simulation = EventDrivenEngine().run(*arguments)  # type: ignore[arg-type]
        fills = simulation.fills.copy()
        fills[self._column][0] *= self._factor
        return Simulation(
            equity=simulation.equity,
            cash=simulation.cash,
            position=simulation.position,
            fills=fills,
            trades=simulation.trades,
        )


def test_both_engines_agree_on_the_smallest_prices() -> None:
    engines = {EngineName.VECTORIZED: VectorizedEngine(), EngineName.EVENT_DRIVEN: EventDrivenEngine()}
    assert cross_check(BARS, SIGNALS, RULES, engines).differences == ()


def test_signals_that_only_close_agree() -> None:
    """The settings that both engines support are longs only, so a close of longs sells in both."""
    engines = {EngineName.VECTORIZED: VectorizedEngine(), EngineName.EVENT_DRIVEN: EventDrivenEngine()}
    signals = Signals(action=np.array([1, 2, -2, 2], dtype=np.int8), strategy=SIGNALS.strategy)
    rules = TradingRules(fill=FillTiming.SAME_CLOSE, direction=Direction.BOTH)
    found = cross_check(BARS, signals, rules, engines)
    assert (found.differences, found.left_out) == ((), ("direction",))
    simulations = [engine.run(BARS, signals, RULES) for engine in engines.values()]
    assert [simulation.fills["bar"].tolist() for simulation in simulations] == [[0, 2]] * 2


@pytest.mark.parametrize("column", ["price", "quantity", "fee"])
@pytest.mark.parametrize(("factor", "count"), [(1 + 5e-5, 1), (1 - 1e-8, 1), (1 + 1e-12, 0)])
def test_small_amounts_are_compared_exactly(column: str, factor: float, count: int) -> None:
    engines = {EngineName.VECTORIZED: VectorizedEngine(), EngineName.EVENT_DRIVEN: Changed(column, factor)}
    found = cross_check(BARS, SIGNALS, RULES, engines)
    assert [difference.index for difference in found.differences] == [0] * count


@pytest.mark.parametrize("fill", list(FillTiming))
def test_size_beyond_cash_is_reduced_by_both_engines(fill: FillTiming) -> None:
    rules = TradingRules(fill=fill, sizing=Sizing(fixed_units=1e15))
    bars = bars_of_closes([MAX_PRICE / 2, MAX_PRICE / 2, MAX_PRICE, MAX_PRICE])
    signals = Signals(action=np.array([1, -1, 0, 0], dtype=np.int8), strategy=SIGNALS.strategy)
    for engine in (VectorizedEngine(), EventDrivenEngine()):
        simulation = engine.run(bars, signals, rules)
        assert np.isfinite(simulation.equity).all()
