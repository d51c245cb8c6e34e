"""The rules strategy: what its parameters allow, the edges of its target, bars before the range, a model."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from src.domain.bars import Bars
from src.domain.errors import InvalidInput, InvalidRule
from src.domain.intervals import INTERVALS
from src.domain.signals import OutputKind, Predictions
from src.domain.strategy import ModelChoice, StrategyInputs
from src.strategies.rules.checking import MAX_PARAMETERS
from src.strategies.rules.strategy import Rules, RulesParams
from src.strategies.rules.targets import find_edges
from tests.market import bars_of_closes, random_bars

DAY = INTERVALS["1d"]


def actions_of(bars: Bars, *, warm_up: int = 0, predictions: Predictions | None = None, **known: Any) -> list[int]:
    inputs = StrategyInputs(bars=bars, warm_up=warm_up, predictions=predictions)
    return Rules(RulesParams(**known)).signals(inputs).action.tolist()


def fault_of(**known: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        RulesParams(**known)
    return caught.value


@pytest.mark.parametrize(
    ("known", "field", "message"),
    [
        ({}, "buy", "buy is required if short is not given."),
        ({"sell": "1 < 2"}, "buy", "buy is required if short is not given."),
        ({"short": "1 < 2", "sell": "1 < 2"}, "sell", "sell is given without buy: there is no long position to sell."),
        ({"buy": "1 < 2", "cover": "1 < 2"}, "cover", "cover is given without short: there is no short position to"),
        ({"buy": ""}, "buy", "buy, line 1, column 1: The rule is empty."),
        ({"buy": "1 < 2", "sell": "rsj() < 2"}, "sell", "sell, line 1, column 1: Unknown name 'rsj'."),
        ({"buy": "1 < 2", "short": "1 < 2", "cover": "1"}, "cover", "cover, line 1, column 1: A rule is a condition"),
        ({"buy": "1 < {n}"}, "buy", "buy, line 1, column 5: parameters has no 'n'. Given: none."),
        ({"buy": "1 < {n}", "parameters": {"m": 1}}, "buy", "parameters has no 'n'. Given: m."),
        ({"buy": "1 < {n}", "parameters": {"n": 1, "nn": 2, "o": 3}}, "parameters",
         "parameters has 'nn', 'o', which no rule uses. Did you mean n? Used: n."),
        ({"buy": "1 < 2", "parameters": {"n": 1}}, "parameters", "parameters has 'n', which no rule uses. Used: none."),
        ({"buy": "1 < {n}", "parameters": {"n": "1"}}, "parameters", "n in parameters is '1'. Allowed: a finite num"),
        ({"buy": "1 < {n}", "parameters": {"n": None}}, "parameters", "n in parameters is null."),
        ({"buy": "1 < {n}", "parameters": {"n": True}}, "parameters", "n in parameters is true."),
        ({"buy": "1 < {n}", "parameters": {"n": float("nan")}}, "parameters", "n in parameters is nan."),
        ({"buy": "1 < {n}", "parameters": {"n": float("inf")}}, "parameters", "n in parameters is inf."),
        ({"buy": "1 < {n}", "parameters": {"n": 10**400}}, "parameters", "n in parameters is 1000"),
        ({"buy": "1 < 2", "parameters": {"1n": 1}}, "parameters", "parameters is '1n'. Allowed: names of 1 to 40"),
        ({"buy": "1 < 2", "parameters": {"а": 1}}, "parameters", "parameters is 'а'. Allowed: names"),
        ({"buy": "1 < 2", "parameters": {"n" * 41: 1}}, "parameters", "Allowed: names of 1 to 40"),
        ({"buy": "1 < 2", "parameters": {"a.b": 1}}, "parameters", "parameters is 'a.b'."),
        ({"buy": "1 < 2", "parameters": {f"n{i}": 1 for i in range(MAX_PARAMETERS + 1)}}, "parameters",
         "parameters has 51 names. Maximum: 50."),
        ({"buy": "model() > 0.6"}, "model", "model is required if a rule calls model()."),
        ({"buy": "close > 1", "model": ModelChoice(reference="m.onnx")}, "model",
         "model is given, but no rule calls model()."),
    ],
)  # fmt: skip
def test_wrong_parameters_name_field_and_reason(known: dict[str, Any], field: str, message: str) -> None:
    fault = fault_of(**known)
    assert fault.field == field
    assert message in fault.message


def test_fault_of_a_rule_has_its_place() -> None:
    fault = fault_of(buy="1 < 2", sell="close > 1\nand rsi(0) < 3")
    assert isinstance(fault, InvalidRule)
    assert (fault.field, fault.line, fault.column) == ("sell", 2, 9)


def test_parameters_are_immutable_and_hashable() -> None:
    given = {"n": 14}
    params = RulesParams(buy="rsi({n}) < 30", parameters=given)
    given["n"] = 3
    assert params.parameters == {"n": 14}
    assert len({params, RulesParams(buy="rsi({n}) < 30", parameters={"n": 14.0})}) == 1
    assert params != replace(params, parameters={"n": 15})


def test_description_has_rules_and_numbers() -> None:
    params = RulesParams(buy="rsi({n}) < 30", sell="rsi({n}) > 70", parameters={"n": 14})
    assert params.describe("Rules").parameters == {
        "buy": "rsi({n}) < 30", "sell": "rsi({n}) > 70", "short": None, "cover": None, "parameters": {"n": 14},
    }  # fmt: skip


def test_model_is_replaced_by_the_one_that_was_used() -> None:
    params = RulesParams(buy="model() > 0.6", model=ModelChoice(reference="m.onnx"))
    used = replace(params.model, sha256="abc")
    assert params.with_model(used).model == used
    assert params.with_model(used).buy == params.buy


@pytest.mark.parametrize(("short", "can_short"), [(None, False), ("close > 2", True)])
def test_only_a_short_rule_can_short(short: str | None, can_short: bool) -> None:
    assert RulesParams(buy="close > 1", short=short).can_short is can_short


def follow(rules: dict[str, list[bool]], *, can_short: bool) -> list[int]:
    """The actions of docs/rules.md, told once more: the target after each bar, then what its change is called."""
    target, actions = "flat", []
    for bar in range(len(next(iter(rules.values())))):
        buy, sell, short, cover = (rules[name][bar] for name in ("buy", "sell", "short", "cover"))
        if buy and sell:
            buy = sell = False
        if short and cover:
            short = cover = False
        if buy and short:
            buy = short = False
        before = target
        if buy:
            target = "long"
        elif short:
            target = "short"
        elif (sell and target == "long") or (cover and target == "short"):
            target = "flat"
        change = (before, target)
        if before == target:
            actions.append(0)
        elif target == "flat":
            actions.append({"long": -2 if can_short else -1, "short": 2}[before])
        else:
            assert change in {("flat", "long"), ("short", "long"), ("flat", "short"), ("long", "short")}
            actions.append(1 if target == "long" else -1)
    return actions


@pytest.mark.parametrize("can_short", [False, True])
def test_edges_follow_every_pair_of_bars(can_short: bool) -> None:
    states = [state for state in product([False, True], repeat=4) if can_short or not any(state[2:])]
    ways = [(), *((state,) for state in states)]
    for first, way, last in product(states, ways, states):
        bars = [first, *way, last]
        rules = {name: [bar[i] for bar in bars] for i, name in enumerate(("buy", "sell", "short", "cover"))}
        arrays = [np.array(rules[name]) for name in ("buy", "sell", "short", "cover")]
        for array in arrays:
            array.flags.writeable = False
        assert find_edges(*arrays, can_short).tolist() == follow(rules, can_short=can_short), bars


RAMP = bars_of_closes([1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"buy": "close > 2", "sell": "close < 3"}, [0, 0, 1, 0, 0, 0, 0, -1, 0]),
        ({"buy": "close > 2"}, [0, 0, 1, 0, 0, 0, 0, 0, 0]),
        ({"buy": "close >= 3", "sell": "close == 3"}, [0, 0, 0, 1, 0, 0, 0, 0, 0]),
        ({"short": "close >= 4", "cover": "close <= 3"}, [0, 0, 0, -1, 0, 0, 2, 0, 0]),
        ({"buy": "close == 3", "sell": "close == 4", "short": "close == 5", "cover": "close == 2"},
         [0, 0, 1, -2, -1, 0, 1, 0, 0]),
        ({"buy": "close == 2", "short": "close == 4"}, [0, 1, 0, -1, 0, 0, 0, 1, 0]),
        ({"buy": "close > 0", "sell": "close > 0"}, [0] * 9),
    ],
)  # fmt: skip
def test_rules_give_the_signals_of_the_table(known: dict[str, str], wanted: list[int]) -> None:
    assert actions_of(RAMP, **known) == wanted


@pytest.mark.parametrize("warm_up", [1, 30, 199, 399])
def test_bars_before_the_range_fill_values_and_give_no_signals(warm_up: int) -> None:
    bars = random_bars(400, seed=4)
    found = actions_of(bars, warm_up=warm_up, buy="close > sma(20)", sell="close < sma(20)")
    assert len(found) == 400 - warm_up
    mean = np.convolve(bars.close, np.full(20, 1 / 20), "valid")
    is_above = np.concatenate((np.full(19, False), bars.close[19:] > mean))
    is_below = np.concatenate((np.full(19, False), bars.close[19:] < mean))
    none = np.zeros(400 - warm_up, dtype=bool).tolist()
    rules = {"buy": is_above[warm_up:].tolist(), "sell": is_below[warm_up:].tolist(), "short": none, "cover": none}
    assert found == follow(rules, can_short=False)


def test_first_signals_do_not_depend_on_further_history() -> None:
    bars = random_bars(3000, seed=9)
    rules = {"buy": "rsi(14) > 50 and ema(10) > ema(30)[1]", "sell": "crosses_below(macd(), macd_signal())"}
    need = RulesParams(**rules).warm_up_bars(DAY)
    start = 2900
    assert 100 < need < start
    wanted = actions_of(bars, warm_up=start, **rules)
    assert actions_of(bars.slice(start - need, 3000), warm_up=need, **rules) == wanted
    assert any(wanted)


def test_model_predicts_the_range_only() -> None:
    predictions = Predictions(values=np.array([0.7, 0.2, np.nan, 0.9]), kind=OutputKind.PROBABILITY)
    known = {"buy": "model() > 0.6 and close > close[1]", "sell": "model() < 0.5", "model": ModelChoice()}
    bars = bars_of_closes([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert actions_of(bars, warm_up=2, predictions=predictions, **known) == [1, -1, 0, 1]
    with pytest.raises(ValueError, match="needs its predictions"):
        actions_of(bars, **known)


def test_warnings_tell_why_nothing_was_traded() -> None:
    def warnings_of(bars: Bars, **known: Any) -> tuple[str, ...]:
        return Rules(RulesParams(**known)).signals(StrategyInputs(bars=bars)).warnings

    [warning] = warnings_of(random_bars(50), buy="close > sma(200)")
    assert warning.startswith("50 bars are too few for rules that look back 199.")
    assert warnings_of(random_bars(50), buy="close > 0", sell="close < 0") == ("The rule sell is true at no bar.",)
    assert warnings_of(random_bars(50), buy="close > 0") == ()


BARS = bars_of_closes([1.0, 2.0, 3.0, 4.0])
BY_MODEL = RulesParams(buy="model() > 0.6", sell="model() < 0.5", model=ModelChoice(reference="me/m.onnx"))


def predictions_of(*values: float, kind: OutputKind = OutputKind.PROBABILITY) -> Predictions:
    return Predictions(values=np.array(values), kind=kind, feature_columns=("Close",), warnings=("Scaled.",))


def test_signals_say_how_the_model_was_read() -> None:
    predictions = predictions_of(np.nan, 0.7, 1.0000001, 0.2)
    signals = Rules(BY_MODEL).signals(StrategyInputs(bars=BARS, predictions=predictions))
    assert signals.warnings == ("Scaled.",)
    assert signals.probability is not None
    np.testing.assert_array_equal(signals.probability, [np.nan, 0.7, 1.0, 0.2])
    described = dict(signals.strategy.parameters)
    assert (described.pop("featureColumns"), described.pop("outputKind")) == (("Close",), "probability")
    assert described == BY_MODEL.describe("Rules").parameters


def test_numbers_that_are_no_probabilities_are_not_shown_as_such() -> None:
    predictions = predictions_of(0.1, 0.7, 3.0, 0.2, kind=OutputKind.VALUE)
    assert Rules(BY_MODEL).signals(StrategyInputs(bars=BARS, predictions=predictions)).probability is None


def test_prediction_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"predicted 1\.5 at bar 2") as caught:
        Rules(BY_MODEL).signals(StrategyInputs(bars=BARS, predictions=predictions_of(0.1, 0.2, 1.5, 0.3)))
    assert caught.value.field == "outputKind"
