"""A strategy's inputs and the defaults of its parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from src.domain.errors import InvalidInput, InvalidRule
from src.domain.intervals import INTERVALS
from src.domain.market import MarketRequest
from src.domain.runs import BacktestRequest
from src.domain.signals import Action, Signals, StrategyDescription
from src.domain.strategy import ModelChoice, ModelParams, StrategyInputs, StrategyParams
from src.domain.trading import Direction, EngineName, FillTiming, TradingRules
from tests.market import random_bars


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortingParams(StrategyParams):
    @property
    def can_short(self) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class PerhapsModelParams(StrategyParams):
    model: ModelChoice | None = None


def request_of(strategy: StrategyParams, direction: Direction) -> BacktestRequest:
    return BacktestRequest(
        user_id="me",
        market=MarketRequest(symbol="BTCUSDT", interval=INTERVALS["1d"], limit=10),
        strategy=strategy,
        rules=TradingRules(fill=FillTiming.NEXT_OPEN, direction=direction),
        engine=EngineName.EVENT_DRIVEN,
    )


@pytest.mark.parametrize("warm_up", [-1, 11])
def test_warm_up_beyond_the_bars_is_rejected(warm_up: int) -> None:
    with pytest.raises(ValueError, match=f"warm_up is {warm_up}, expected 0 to 10"):
        StrategyInputs(bars=random_bars(10), warm_up=warm_up)


def test_strategy_needs_no_warm_up_unless_it_says_so() -> None:
    assert ModelParams().warm_up_bars(INTERVALS["1d"]) == StrategyInputs(bars=random_bars(1)).warm_up == 0


def test_shorting_strategy_with_long_direction_is_rejected() -> None:
    with pytest.raises(InvalidInput) as caught:
        request_of(ShortingParams(), Direction.LONG)
    assert caught.value.field == "direction"
    assert caught.value.message == (
        "direction is LONG, and the strategy enters shorts. Allowed: SHORT, BOTH, with the event-driven engine."
    )
    assert not ModelParams().can_short


@pytest.mark.parametrize("direction", [Direction.SHORT, Direction.BOTH])
def test_shorting_strategy_with_other_directions_is_allowed(direction: Direction) -> None:
    assert request_of(ShortingParams(), direction).rules.direction is direction


def test_description_leaves_the_model_out() -> None:
    assert PerhapsModelParams().describe("x").parameters == {}
    assert PerhapsModelParams(model=ModelChoice(reference="a/b.pkl")).describe("x").parameters == {}


def test_model_is_replaced_without_its_threshold() -> None:
    params = ModelParams(reference="a.pkl", threshold=0.7)
    assert params.with_model(replace(params.model, sha256="abc")) == replace(params, sha256="abc")


def test_signals_hold_actions_only() -> None:
    action = np.array([int(action) for action in Action], dtype=np.int8)
    assert [Action(value).word for value in action] == ["sell", "sell", "hold", "buy", "buy"]
    description = StrategyDescription(name="x")
    assert len(Signals(action=action, strategy=description)) == 5
    for value in (-3, 3):
        with pytest.raises(ValueError, match="action holds a value other than"):
            Signals(action=np.array([value], dtype=np.int8), strategy=description)


def test_invalid_rule_knows_its_place() -> None:
    error = InvalidRule("{field}: line {line}, column {column}.", field="buy", line=2, column=7)
    assert (error.field, error.line, error.column, error.code) == ("buy", 2, 7, "INVALID_RULE")
    assert error.message == "buy: line 2, column 7."
