"""Check what every strategy of the registry must do: read no later bar, and give the same signals twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.intervals import INTERVALS
from src.domain.parameters import parameters_of
from src.domain.runs import BacktestRequest
from src.domain.signals import Action, OutputKind, Predictions, Signals, StrategyDescription
from src.domain.strategy import MAX_WARM_UP_BARS, ModelParams, StrategyInputs, StrategyParams
from src.strategies.bollinger import BollingerParams
from src.strategies.buy_and_hold import BuyAndHoldParams
from src.strategies.crossover import CrossoverParams
from src.strategies.donchian import DonchianParams
from src.strategies.ema_crossover import EmaCrossoverParams
from src.strategies.macd import MacdParams
from src.strategies.registry import PARAMS, STRATEGIES, label_of, strategy_for
from src.strategies.rsi import RsiParams
from src.strategies.rules.strategy import RulesParams
from src.strategies.supertrend import SupertrendParams
from src.strategies.up_down import UpDownParams
from tests.market import bars_of_closes, random_bars

LENGTH = 300

SMALL: dict[str, StrategyParams] = {
    "ma_crossover": CrossoverParams(fast=3, slow=7),
    "ema_crossover": EmaCrossoverParams(fast=3, slow=7),
    "rsi": RsiParams(length=3, low=30.0, high=70.0),
    "macd": MacdParams(fast=2, slow=5, signal=3),
    "bollinger": BollingerParams(length=5, multiplier=1.2),
    "donchian": DonchianParams(entry_length=4, exit_length=3),
    "supertrend": SupertrendParams(length=3, multiplier=1.0),
    "buy_and_hold": BuyAndHoldParams(),
    "up_down": UpDownParams(),
    "model": ModelParams(threshold=0.001),
    "rules": RulesParams(
        buy="crosses_above(sma({fast}), sma(7))", sell="close < lowest(low, 4)[1]", parameters={"fast": 3}
    ),
}
"""Parameters whose lookback is short, so that short series have signals too."""

UNCONDITIONAL = {"buy_and_hold"}
"""Strategies that trade whatever the price does."""

RELEASED = {"ma_crossover", "model"}
"""Strategies that describe their parameters by names from before parameters were declared: stored results have them."""

NO_WARM_UP = {"ma_crossover"}
"""Strategies that read bars before this one, but none before the range: stored results depend on it."""

Check = Callable[[Callable[[StrategyInputs], Signals]], None]


def inputs_of(bars: Bars, *, warm_up: int = 0) -> StrategyInputs:
    """Bars, with predictions that a causal model makes of those of the range: the last return."""
    traded = bars.close[warm_up:]
    values = np.full(len(traded), np.nan)
    values[1:] = np.diff(traded) / traded[:-1]
    predictions = Predictions(values=values, kind=OutputKind.VALUE)
    return StrategyInputs(bars=bars, predictions=predictions, warm_up=warm_up)


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


def check_one_signal_for_each_bar_of_the_range(signals: Callable[[StrategyInputs], Signals]) -> None:
    """History gives no signals of its own, even if it is all that there is."""
    bars = random_bars(40, seed=10)
    for warm_up in (0, 1, 20, 39, 40):
        assert len(signals(inputs_of(bars, warm_up=warm_up))) == 40 - warm_up


def check_longer_history(signals: Callable[[StrategyInputs], Signals], warm_up: int) -> None:
    """The signals of a range with as much history as the strategy asks for are those with any longer one."""
    start = 2 * warm_up + 37
    for seed in range(11, 15):
        bars = random_bars(start + LENGTH, seed=seed)
        found = [
            signals(inputs_of(bars.slice(start - history, len(bars)), warm_up=history)).action
            for history in (warm_up, warm_up + 1, start)
        ]
        np.testing.assert_array_equal(found[0], found[2])
        np.testing.assert_array_equal(found[1], found[2])


CHECKS: tuple[Check, ...] = (
    check_prefixes,
    check_later_bars_change_nothing,
    check_flat_price,
    check_few_bars,
    check_same_answer_twice,
    check_alternation,
    check_one_signal_for_each_bar_of_the_range,
)


def scale_bars(params: StrategyParams, factor: int) -> StrategyParams:
    """Return parameters whose numbers of bars are larger."""
    bars = {
        item.path[0]: item.of(params) * factor
        for item in parameters_of(type(params))
        if item.parameter.unit == "bars" and item.of(params) is not None
    }
    return replace(params, **bars)


def choose_others(params: StrategyParams) -> StrategyParams:
    """Return parameters with another member of each enum."""
    others = {
        item.path[0]: next(member for member in item.kind if member is not item.of(params))
        for item in parameters_of(type(params))
        if isinstance(item.of(params), StrEnum)
    }
    return replace(params, **others)


def default_of(name: str) -> StrategyParams:
    """Return the defaults of a strategy; rules have none, so usual ones that read a model."""
    if name == "rules":
        return RulesParams(
            buy="crosses_below(rsi(14), 40) and model() < 0.05", sell="crosses_above(rsi(14), 60)", model=ModelParams()
        )
    return PARAMS[name]()


VARIANTS: dict[str, Callable[[str], StrategyParams]] = {
    "small": lambda name: SMALL[name],
    "twice": lambda name: scale_bars(SMALL[name], 2),
    "five times": lambda name: scale_bars(SMALL[name], 5),
    "other choices": lambda name: choose_others(SMALL[name]),
    "default": default_of,
}
"""A fault may need a long lookback, or a value that only the defaults have."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_strategy_keeps_the_contract(name: str, variant: str, check: Check) -> None:
    signals = strategy_for(VARIANTS[variant](name)).signals
    if check is check_flat_price and name in UNCONDITIONAL:
        with pytest.raises(AssertionError):
            check(signals)
        return
    check(signals)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - NO_WARM_UP))
def test_signals_do_not_depend_on_longer_history(name: str, variant: str) -> None:
    params = VARIANTS[variant](name)
    warm_up = params.warm_up_bars(INTERVALS["1d"])
    assert 0 <= warm_up <= MAX_WARM_UP_BARS
    check_longer_history(strategy_for(params).signals, warm_up)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_bars_of_the_lookback_have_no_signal(name: str, variant: str) -> None:
    params = VARIANTS[variant](name)
    if params.lookback_bars is None:
        assert params.model is not None
        return
    firsts = [
        np.flatnonzero(strategy_for(params).signals(inputs_of(random_bars(2000, seed=seed))).action)[:1].tolist()
        for seed in range(20)
    ]
    shortest = min(params.lookback_bars, getattr(params, "exit_length", params.lookback_bars))
    assert min(first for [first] in firsts) >= shortest


@pytest.mark.parametrize("name", STRATEGIES)
def test_small_parameters_give_signals(name: str) -> None:
    assert strategy_for(SMALL[name]).signals(inputs_of(random_bars(LENGTH, seed=3))).action.any()


@pytest.mark.parametrize("name", STRATEGIES)
def test_registered_strategy_is_built_from_its_parameters(name: str) -> None:
    assert isinstance(strategy_for(default_of(name)), STRATEGIES[name])


@pytest.mark.parametrize("name", STRATEGIES)
def test_parameter_has_no_name_of_the_request(name: str) -> None:
    own = {item.parameter.name for item in parameters_of(PARAMS[name])}
    request = {item.parameter.name for item in parameters_of(BacktestRequest)}
    assert not own & request, "responses show both as settings"


@pytest.mark.parametrize("name", STRATEGIES)
def test_description_has_the_label_of_the_registry(name: str) -> None:
    described = strategy_for(SMALL[name]).signals(inputs_of(random_bars(LENGTH, seed=8))).strategy
    assert described.name == label_of(name)


def test_labels_are_unique() -> None:
    assert len({label_of(name) for name in STRATEGIES}) == len(STRATEGIES)


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - RELEASED))
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


def test_planted_position_of_the_history_fails_the_contract() -> None:
    honest = strategy_for(SMALL["donchian"])

    def signals(inputs: StrategyInputs) -> Signals:
        """Carry the target of the history into the range, where a strategy begins with none."""
        whole = honest.signals(replace(inputs, warm_up=0))
        return replace(whole, action=whole.action[inputs.warm_up :])

    warm_up = SMALL["donchian"].warm_up_bars(INTERVALS["1d"])
    check_longer_history(honest.signals, warm_up)
    with pytest.raises(AssertionError):
        check_longer_history(signals, warm_up)


def test_planted_short_warm_up_fails_the_contract() -> None:
    params = SMALL["macd"]
    with pytest.raises(AssertionError):
        check_longer_history(strategy_for(params).signals, params.warm_up_bars(INTERVALS["1d"]) // 20)


def test_planted_memory_fails_the_contract() -> None:
    calls = iter(range(10))

    def remember(_: StrategyInputs, action: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.roll(action, next(calls))

    with pytest.raises(AssertionError):
        check_same_answer_twice(Planted(remember).signals)
