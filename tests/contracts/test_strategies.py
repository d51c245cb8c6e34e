"""Check what every strategy of the registry must do: read no later bar, and give the same signals twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from src.domain.market import Bars
from src.domain.parameters import parameters_of
from src.domain.runs import BacktestRequest
from src.domain.signals import Action, OutputKind, Predictions, Signals, StrategyDescription
from src.domain.strategy import ModelParams, StrategyInputs, StrategyParams
from src.strategies.crossover import CrossoverParams
from src.strategies.registry import PARAMS, STRATEGIES, strategy_for
from src.strategies.up_down import UpDownParams
from tests.market import bars_of_closes, random_bars

LENGTH = 300

SMALL: dict[str, StrategyParams] = {
    "ma_crossover": CrossoverParams(fast=3, slow=7),
    "up_down": UpDownParams(),
    "model": ModelParams(threshold=0.001),
}
"""Parameters whose lookback is short, so that short series have signals too."""

RELEASED = {"ma_crossover", "model"}
"""Strategies that describe their parameters by names from before parameters were declared: stored results have them."""

Check = Callable[[Callable[[StrategyInputs], Signals]], None]


def inputs_of(bars: Bars) -> StrategyInputs:
    """Bars, with predictions that a causal model makes of them: the last return."""
    values = np.full(len(bars), np.nan)
    values[1:] = np.diff(bars.close) / bars.close[:-1]
    return StrategyInputs(bars=bars, predictions=Predictions(values=values, kind=OutputKind.VALUE))


def check_prefixes(signals: Callable[[StrategyInputs], Signals]) -> None:
    """The signals of the first k bars are the first k signals of all bars."""
    bars = random_bars(LENGTH, seed=3)
    whole = signals(inputs_of(bars)).action
    for stop in (*range(1, 61), 100, 199, LENGTH - 1):
        np.testing.assert_array_equal(signals(inputs_of(bars.slice(0, stop))).action, whole[:stop])


def check_later_bars_change_nothing(signals: Callable[[StrategyInputs], Signals]) -> None:
    """The signals up to bar k are the same for any bars after k."""
    bars, other = random_bars(LENGTH, seed=3), random_bars(LENGTH, seed=4)
    for kept in (1, 40, 150, 250):
        close = np.concatenate((bars.close[:kept], other.close[kept:] * 3))
        before = signals(inputs_of(bars_of_closes(bars.close.tolist()))).action[:kept]
        np.testing.assert_array_equal(signals(inputs_of(bars_of_closes(close.tolist()))).action[:kept], before)


def check_flat_price(signals: Callable[[StrategyInputs], Signals]) -> None:
    """A price that never moves gives no reason to trade."""
    for price in (0.1, 1 / 3, 61_234.57):
        assert not signals(inputs_of(bars_of_closes([price] * 120))).action.any()


def check_few_bars(signals: Callable[[StrategyInputs], Signals]) -> None:
    """One bar, and fewer bars than any lookback, are a valid input."""
    for length in range(1, 10):
        found = signals(inputs_of(random_bars(length, seed=5)))
        assert len(found) == length
        assert found.strategy.name


def check_same_answer_twice(signals: Callable[[StrategyInputs], Signals]) -> None:
    """The signals depend on nothing but the inputs."""
    inputs = inputs_of(random_bars(LENGTH, seed=6))
    first, second = signals(inputs), signals(inputs)
    assert first.action.tobytes() == second.action.tobytes()
    assert (first.strategy, first.warnings) == (second.strategy, second.warnings)


def check_alternation(signals: Callable[[StrategyInputs], Signals]) -> None:
    """Buys and sells alternate: signals are the changes of the target position."""
    action = signals(inputs_of(random_bars(LENGTH, seed=7))).action
    edges = action[action != Action.HOLD]
    assert (edges[1:] == -edges[:-1]).all()


CHECKS: tuple[Check, ...] = (
    check_prefixes,
    check_later_bars_change_nothing,
    check_flat_price,
    check_few_bars,
    check_same_answer_twice,
    check_alternation,
)


def scale_bars(params: StrategyParams, factor: int) -> StrategyParams:
    """Return parameters whose numbers of bars are larger."""
    bars = {
        item.path[0]: item.of(params) * factor
        for item in parameters_of(type(params))
        if item.parameter.unit == "bars" and item.of(params) is not None
    }
    return replace(params, **bars)


VARIANTS: dict[str, Callable[[str], StrategyParams]] = {
    "small": lambda name: SMALL[name],
    "twice": lambda name: scale_bars(SMALL[name], 2),
    "five times": lambda name: scale_bars(SMALL[name], 5),
    "default": lambda name: PARAMS[name](),
}
"""A fault may need a long lookback, or a value that only the defaults have."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_strategy_keeps_the_contract(name: str, variant: str, check: Check) -> None:
    check(strategy_for(VARIANTS[variant](name)).signals)


@pytest.mark.parametrize("name", STRATEGIES)
def test_small_parameters_give_signals(name: str) -> None:
    assert strategy_for(SMALL[name]).signals(inputs_of(random_bars(LENGTH, seed=3))).action.any()


@pytest.mark.parametrize("name", STRATEGIES)
def test_registered_strategy_is_built_from_its_parameters(name: str) -> None:
    assert isinstance(strategy_for(PARAMS[name]()), STRATEGIES[name])


@pytest.mark.parametrize("name", STRATEGIES)
def test_parameter_has_no_name_of_the_request(name: str) -> None:
    own = {item.parameter.name for item in parameters_of(PARAMS[name])}
    request = {item.parameter.name for item in parameters_of(BacktestRequest)}
    assert not own & request, "responses show both as settings"


@pytest.mark.parametrize("name", set(STRATEGIES) - RELEASED)
def test_description_has_the_declared_parameters(name: str) -> None:
    described = strategy_for(SMALL[name]).signals(inputs_of(random_bars(LENGTH, seed=8))).strategy
    assert described == SMALL[name].describe(described.name)


def test_every_strategy_has_parameters_of_its_own_class() -> None:
    assert len(set(PARAMS.values())) == len(STRATEGIES) == len(SMALL)


@dataclass(frozen=True)
class Planted:
    """A strategy with a fault, around one that keeps the contract."""

    fault: Callable[[StrategyInputs, np.ndarray[Any, Any]], np.ndarray[Any, Any]]

    def signals(self, inputs: StrategyInputs) -> Signals:
        honest = strategy_for(SMALL["ma_crossover"]).signals(inputs)
        action = self.fault(inputs, honest.action.copy())
        return Signals(action=action, strategy=StrategyDescription(name="planted"))


def look_one_bar_ahead(_: StrategyInputs, action: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.append(action[1:], 0).astype(np.int8)


def scale_by_all_bars(inputs: StrategyInputs, action: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(inputs.bars.close > inputs.bars.close.mean(), action, 0).astype(np.int8)


@pytest.mark.parametrize("fault", [look_one_bar_ahead, scale_by_all_bars], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("check", [check_prefixes, check_later_bars_change_nothing], ids=lambda check: check.__name__)
def test_planted_look_ahead_fails_the_contract(fault: Any, check: Check) -> None:
    with pytest.raises(AssertionError):
        check(Planted(fault).signals)


def test_look_ahead_of_long_lookbacks_fails_the_contract() -> None:
    def signals(params: StrategyParams) -> Callable[[StrategyInputs], Signals]:
        honest = strategy_for(params)
        is_long = isinstance(params, CrossoverParams) and params.slow >= 10
        return Planted(look_one_bar_ahead).signals if is_long else honest.signals

    check_prefixes(signals(VARIANTS["small"]("ma_crossover")))
    for variant in ("twice", "default"):
        with pytest.raises(AssertionError):
            check_prefixes(signals(VARIANTS[variant]("ma_crossover")))


def test_planted_memory_fails_the_contract() -> None:
    calls = iter(range(10))

    def remember(_: StrategyInputs, action: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.roll(action, next(calls))

    with pytest.raises(AssertionError):
        check_same_answer_twice(Planted(remember).signals)
