"""Bodies of sweeps and walk-forwards: either spelling, every part checked where it stands."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from src.api.rest.sweep_bodies import read_sweep, read_walk_forward
from src.domain.errors import InvalidInput, MalformedRequest
from src.domain.strategy import ModelParams
from src.domain.sweeps import Comparison, Goal, Scale, SearchKind
from src.domain.walk_forward import WindowKind
from src.strategies.rsi import RsiParams

MOST = 10_000
BODY: dict[str, Any] = {
    "backtest": {"userId": "ann", "symbol": "BTCUSDT", "strategy": {"rsi": {"length": 9}}},
    "parameters": [
        {"name": "length", "range": {"from": 2, "to": 64, "step": 2, "scale": "logarithmic"}},
        {"name": "stopLoss", "values": [0.1, 0.2]},
    ],
    "search": {"kind": "random", "maxTrials": 9, "seed": 4},
    "constraints": [
        {"left": "length", "operator": "LESS", "right": "low"},
        {"left": "length", "operator": "at_most", "right": 60},
        {"metric": "total_trades", "operator": "AT_LEAST", "value": 5},
    ],
    "objective": {"metric": "max_drawdown", "direction": "minimize", "minTrades": 2},
    "keepBest": 3,
    "idempotencyKey": "k",
}


def read(body: dict[str, Any]) -> Any:
    return read_sweep(orjson.dumps(body), max_bars=MOST)


def test_every_part_of_a_sweep_is_read() -> None:
    request, key = read(BODY)
    assert (request.backtest.strategy, request.user_id, key) == (RsiParams(length=9), "ann", "k")
    length, stop = request.parameters
    assert (length.range.start, length.range.end, length.range.step) == (2, 64, 2)
    assert length.range.scale is Scale.LOGARITHMIC
    assert (stop.name, stop.values) == ("stopLoss", (0.1, 0.2))
    assert (request.search.kind, request.search.max_trials, request.search.seed) == (SearchKind.RANDOM, 9, 4)
    assert [item.comparison for item in request.constraints] == [Comparison.LESS, Comparison.AT_MOST]
    assert [(item.right, item.value) for item in request.constraints] == [("low", None), (None, 60)]
    assert [item.metric for item in request.metric_constraints] == ["total_trades"]
    assert (request.objective.metric, request.objective.goal) == ("max_drawdown", Goal.MINIMIZE)
    assert (request.objective.min_trades, request.keep_best) == (2, 3)


def test_both_spellings_are_the_same_sweep() -> None:
    snake = BODY | {
        "backtest": {"user_id": "ann", "symbol": "BTCUSDT", "strategy": {"rsi": {"length": 9}}},
        "search": {"kind": "RANDOM", "max_trials": 9, "seed": 4},
        "objective": {"metric": "max_drawdown", "direction": "MINIMIZE", "min_trades": 2},
    }
    snake |= {"keep_best": snake.pop("keepBest"), "idempotency_key": snake.pop("idempotencyKey")}
    assert read(snake) == read(BODY)


def test_numbers_of_rules_keep_their_own_names() -> None:
    rules = {"buy": "close > sma({fastLen})", "parameters": {"fastLen": 5}}
    backtest = {"user_id": "ann", "symbol": "BTCUSDT", "strategy": {"rules": rules}}
    request, _ = read({"backtest": backtest, "parameters": [{"name": "fastLen", "values": [5, 6]}]})
    assert dict(request.backtest.strategy.parameters) == {"fastLen": 5}


def test_model_of_its_own_field_is_read() -> None:
    model = {"user_id": "ann", "symbol": "BTCUSDT", "model_path": "ann_m.onnx", "threshold": 0.6}
    request, _ = read({"ml_backtest": model, "parameters": [{"name": "threshold", "values": [0.5, 0.7]}]})
    assert isinstance(request.backtest.strategy, ModelParams)
    assert request.backtest.strategy.model is not None
    assert request.backtest.strategy.model.reference == "ann_m.onnx"


def test_walk_forward_takes_a_sweep_and_its_windows() -> None:
    sweep = {name: value for name, value in BODY.items() if name != "idempotencyKey"}
    body = {"sweep": sweep, "trainBars": 50, "test_bars": 20, "window": "anchored", "embargoBars": 3}
    request, key = read_walk_forward(orjson.dumps(body), max_bars=MOST)
    assert (request.train_bars, request.test_bars, request.step, request.embargo_bars) == (50, 20, 20, 3)
    assert (request.window, key) == (WindowKind.ANCHORED, None)
    assert request.sweep == read(BODY).request


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameter": []}, "Unknown field 'parameter'"),
        ({"parameters": None}, "parameters is null"),
        ({"parameters": [{"values": [1]}]}, "parameters.0.name is required"),
        (
            {"parameters": [{"name": "length"}]},
            r"Give either parameters\.0\.values or range\. Swept parameter: 'length'",
        ),
        ({"parameters": [{"name": "length", "values": [True]}]}, "parameters.0.values.0 is true"),
        ({"parameters": [{"name": "length", "values": []}]}, "a list of at least 1 items"),
        (
            {"parameters": [{"name": "length", "range": {"from": 3, "to": 2}}]},
            r"^parameters\.0\.range\.to \(2\.0\) .* 'length'",
        ),
        ({"parameters": [{"name": "length", "values": [1]}] * 2}, "names 'length' twice"),
        ({"constraints": [{"left": "length", "operator": "NEAR", "value": 1}]}, "constraints.0.operator is 'NEAR'"),
        ({"objective": {"metrics": "cagr"}}, "Unknown field 'objective.metrics'. Known fields: metric, direction"),
        ({"ml_backtest": {"user_id": "a", "symbol": "b", "model_path": "c"}}, "Give either backtest or mlBacktest"),
        ({"backtest": {"user_id": "a", "symbol": "B", "async": True}}, "Unknown field 'backtest.async'"),
        ({"keep_best": 5}, "'keepBest' and 'keep_best' are both given"),
    ],
)
def test_wrong_part_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(BODY | change)


def test_body_that_is_no_object_is_malformed() -> None:
    with pytest.raises(MalformedRequest):
        read_sweep(b"[]", max_bars=MOST)


def refused(change: dict[str, Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(BODY | change)
    return caught.value.message


@pytest.mark.parametrize("other", [{"left": "length"}, {"right": 5}, {"right": "low"}])
def test_constraint_of_two_kinds_is_refused(other: dict[str, Any]) -> None:
    constraint = {"metric": "total_trades", "operator": "LESS", "value": 9} | other
    [name] = other
    assert refused({"constraints": [constraint]}) == (
        f"constraints.0.metric and {name} are both given. Allowed: one of them."
    )


@pytest.mark.parametrize("kind", ["GRID", "LIST", "RANDOM"])
def test_batches_without_tpe_are_refused(kind: str) -> None:
    message = refused({"search": {"kind": kind, "batchSize": 8}})
    assert message == f"search.batchSize is 8, and only TPE draws in batches. Allowed with {kind}: none, or 16."
    assert read(BODY | {"search": {"kind": kind, "batchSize": 16}}).request.search.batch_size == 16
    assert read(BODY | {"search": {"kind": "TPE", "batchSize": 8}}).request.search.batch_size == 8


def test_metrics_are_read_in_either_spelling() -> None:
    change = {
        "objective": {"metric": "totalReturn"},
        "constraints": [{"metric": "totalTrades", "operator": "LESS", "value": 9}],
    }
    request = read(BODY | change).request
    assert request.objective.metric == "total_return"
    assert [item.metric for item in request.metric_constraints] == ["total_trades"]
    assert refused({"objective": {"metric": "goodLuck"}}).startswith("objective.metric is 'goodLuck'. Allowed: final_")


@pytest.mark.parametrize("value", [None, True, [1], {}])
def test_value_of_another_kind_is_named_by_place(value: object) -> None:
    message = refused({"parameters": [{"name": "length", "values": [5, value]}]})
    assert message.startswith("parameters.0.values.1 is ")
    assert message.endswith(". Allowed: a number or text.")
