"""Parts of a schedule against each strategy's own runs, and against rows worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from src.domain.signals import Action
from src.domain.strategy import StrategyInputs, StrategyParams
from src.domain.trading import Direction, EngineName, FillTiming, TradingRules
from src.engines.event_driven import EventDrivenEngine
from src.engines.registry import ENGINES
from src.strategies.crossover import CrossoverParams
from src.strategies.registry import strategy_for
from src.strategies.rsi import RsiParams
from src.strategies.schedule import ScheduledPart, ScheduleParams, end_flat
from tests.market import bars_of_closes

PRICES = 100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.02, 300)))
BARS = bars_of_closes(PRICES)
FAST, SLOW = CrossoverParams(fast=2, slow=5), RsiParams(length=5)


def part(first: int, end: int, strategy: StrategyParams | None) -> ScheduledPart:
    return ScheduledPart(
        start_ms=int(BARS.open_time_ms[first]), end_ms=int(BARS.open_time_ms[end - 1]), strategy=strategy
    )


def own_action(strategy: StrategyParams, first: int, end: int) -> NDArray[np.int8]:
    inputs = StrategyInputs(bars=BARS.slice(0, end), warm_up=first)
    return strategy_for(strategy).signals(inputs).action


def test_each_part_trades_as_its_strategy_alone() -> None:
    params = ScheduleParams(parts=(part(50, 120, FAST), part(120, 200, SLOW)))
    action = strategy_for(params).signals(StrategyInputs(bars=BARS)).action
    np.testing.assert_array_equal(action[50:118], own_action(FAST, 50, 120)[:-2])
    np.testing.assert_array_equal(action[120:198], own_action(SLOW, 120, 200)[:-2])
    assert not action[:50].any()
    assert not action[200:].any()


@pytest.mark.parametrize("fill", FillTiming)
@pytest.mark.parametrize("engine", EngineName)
def test_parts_are_flat_at_their_ends(fill: FillTiming, engine: EngineName) -> None:
    bounds = [(50 + 25 * k, 75 + 25 * k) for k in range(10)]
    params = ScheduleParams(parts=tuple(part(first, end, FAST) for first, end in bounds))
    signals = strategy_for(params).signals(StrategyInputs(bars=BARS))
    position = ENGINES[engine].run(BARS, signals, TradingRules(fill=fill)).position
    assert position.any()
    assert [position[end - 1] for _, end in bounds] == [0.0] * 10


def test_shorts_are_bought_back_at_the_end_of_a_part() -> None:
    params = ScheduleParams(parts=tuple(part(first, first + 25, FAST) for first in range(50, 300, 25)))
    signals = strategy_for(params).signals(StrategyInputs(bars=BARS))
    rules = TradingRules(fill=FillTiming.NEXT_OPEN, direction=Direction.BOTH)
    position = EventDrivenEngine().run(BARS, signals, rules).position
    assert (position < 0).any()
    assert not position[74::25].any()


@pytest.mark.parametrize(
    ("given_action", "ended"),
    [
        ([1, 0, 0, 0], [1, 0, Action.CLOSE_LONG, 0]),
        ([1, -1, 0, 0], [1, Action.CLOSE_LONG, Action.CLOSE_SHORT, 0]),
        ([-1, 1, 0, 0], [-1, Action.CLOSE_SHORT, Action.CLOSE_LONG, 0]),
        ([0, 1, 0, 0], [0, Action.CLOSE_SHORT, Action.CLOSE_LONG, 0]),
        ([0, 1, 0, 0, 0], [0, 1, 0, Action.CLOSE_LONG, 0]),
        ([1, 0, 0], [Action.CLOSE_SHORT, Action.CLOSE_LONG, 0]),
        ([0, 0, 1, 0], [0, 0, 0, 0]),
        ([0, 0, 0, 1], [0, 0, 0, 0]),
        ([1, Action.CLOSE_LONG, 0, 0], [1, Action.CLOSE_LONG, 0, 0]),
        ([1], [0]),
    ],
)
def test_last_bars_close_and_enter_nothing(given_action: list[int], ended: list[int]) -> None:
    assert end_flat(np.array(given_action, np.int8)).tolist() == ended


@pytest.mark.parametrize("fill", FillTiming)
def test_trades_of_parts_last_over_a_bar(fill: FillTiming) -> None:
    params = ScheduleParams(parts=tuple(part(first, first + 8, FAST) for first in range(50, 298, 8)))
    signals = strategy_for(params).signals(StrategyInputs(bars=BARS))
    rules = TradingRules(fill=fill, direction=Direction.BOTH)
    position = EventDrivenEngine().run(BARS, signals, rules).position
    ends = [first + 8 for first in range(50, 298, 8)]
    held = [np.flatnonzero(position[end - 8 : end]) for end in ends]
    assert any(len(bars) for bars in held)
    # Bar 5 opens the last trade that lasts over one bar with SAME_CLOSE (bars 4 and 5), bar 6 is the last one held.
    last = 5 if fill is FillTiming.SAME_CLOSE else 6
    assert max(int(bars.max()) for bars in held if bars.size) == last
    for end in ends:
        inside = position[end - 8 : end]
        assert not (inside[last] and np.sign(inside[last]) != np.sign(inside[last - 1])), "held for one bar only"


@given(st.integers(60, 299))
def test_schedule_looks_at_no_later_bar(length: int) -> None:
    params = ScheduleParams(parts=(part(50, 120, FAST), part(130, 300, SLOW)))
    whole = strategy_for(params).signals(StrategyInputs(bars=BARS)).action
    head = strategy_for(params).signals(StrategyInputs(bars=BARS.slice(0, length))).action
    # The last bars close what is open, in a part that ends there.
    np.testing.assert_array_equal(head[:-3], whole[: length - 3])


def test_parts_may_not_overlap() -> None:
    with pytest.raises(ValueError, match="overlap"):
        ScheduleParams(parts=(part(50, 120, FAST), part(119, 200, SLOW)))


def test_description_names_each_part() -> None:
    described = strategy_for(ScheduleParams(parts=(part(0, 10, FAST), part(10, 20, None)))).signals(
        StrategyInputs(bars=BARS)
    )
    [first, second] = described.strategy.parameters["schedule"]  # type: ignore[misc]
    assert "MA Crossover (fastMaPeriod 2, slowMaPeriod 5)" in first
    assert "no trades" in second
