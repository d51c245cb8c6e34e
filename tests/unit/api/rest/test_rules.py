"""Check rules about several fields: the schemas in OpenAPI forbid what the checks refuse, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.api.requests.backtests import build_request
from src.api.requests.uploads import ReceivedForm
from src.api.rest.bodies import read_backtest_body, read_ml_form, read_training_form
from src.api.rest.schemas import backtest_body, ml_backtest_body, upload_body
from src.domain.errors import InvalidInput
from src.domain.order_rules import EntryType
from src.domain.signals import OutputKind
from src.domain.trading import Direction, EngineName, FillTiming, IntrabarPolicy
from tests.thoroughness import examples

Body = dict[str, Any]

BODY: Final = backtest_body()["requestBody"]["content"]["application/json"]["schema"]
FORM: Final = ml_backtest_body()["requestBody"]["content"]["multipart/form-data"]["schema"]
BODY_VALIDATOR: Final = jsonschema_rs.validator_for(BODY)
FORM_VALIDATOR: Final = jsonschema_rs.validator_for(FORM)
UPLOAD_VALIDATOR: Final = jsonschema_rs.validator_for(
    upload_body()["requestBody"]["content"]["multipart/form-data"]["schema"]
)


def is_accepted(read: Callable[[], object]) -> bool:
    try:
        read()
    except InvalidInput:
        return False
    return True


def accepts_body(body: Body) -> bool:
    return is_accepted(lambda: build_request(*read_backtest_body(orjson.dumps(body)), max_bars=1000))


def accepts_form(body: Body) -> bool:
    form = ReceivedForm(texts={name: [str(value)] for name, value in body.items()}, files={})

    def read() -> object:
        fields = read_ml_form(form)
        return build_request(fields, "model", fields, max_bars=1000, has_model_file=True)

    return is_accepted(read)


# One value of what stands in two places, and none that would compare with another field: JSON Schema compares nothing.
MARKET: Final = {"symbol": ["BTCUSDT"], "limit": [10], "source": ["simulated", "Simulated"], "seed": [7]}
SOURCES: Final = {"source": ["simulated", "binance", "Simulated"], "seed": [7]}
TRADING: Final[Mapping[str, list[object]]] = {
    "engine": ["VECTORIZED", "EVENT_DRIVEN"], "fixed_size": [1.5], "percent_size": [0.5], "entry": ["MARKET", "LIMIT"],
    "entry_offset": [0, 0.1], "entry_bars": [1, 2], "direction": ["LONG", "SHORT"], "stop_loss": [0.1],
    "funding": ["NONE", "CONSTANT", "HISTORY"], "funding_rate": [0, -0.001], "funding_history": ["mine"],
    "max_bars": [3], "intrabar": ["PESSIMISTIC", "NEAREST"], "stop_loss_atr": [2], "trailing_stop_atr": [1.5],
    "trailing_start": [0.1], "risk_percent": [0.01], "step_size": [0.1], "volatility_target": [0.5],
    "volume_impact": [0, 0.5], "max_volume_share": [0.1],
    "exit": ["MARKET", "LIMIT"], "exit_offset": [0, 0.1], "exit_on_signal": [True, False],
}  # fmt: skip
CROSSOVER: Final = {"fast": [5], "slow": [60]}
TRAINING: Final = {"trained_from": ["2020-01-01"], "trained_to": ["2020-02-01T12:00Z"], "label_horizon": [3]}


def some_of(pools: Mapping[str, list[Any]], *others: Any, few: bool = True) -> st.SearchStrategy[Body]:
    """Return objects with some of these fields; most of them have few, or no rule would ever hold."""
    fields = {name: st.sampled_from([*pool, *others]) for name, pool in pools.items()}
    names = st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=3 if few else len(fields))
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen}))


strategies_named = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "ma_crossover": st.none() | some_of(CROSSOVER, None),
        "up_down": st.sampled_from([True, False, None, {}]),
        "buy_and_hold": st.sampled_from([True, False, None, {}]),
        "rsi": st.none() | some_of({"length": [2, 14], "low": [20.5], "high": [80]}, None),
        "bollinger": st.none() | some_of({"mode": ["BREAKOUT", "REVERSION"], "multiplier": [1.5]}, None),
        "model": st.none() | some_of({"model_path": ["m.onnx", ""], **TRAINING}, None),
        "rules": st.fixed_dictionaries(
            {"buy": st.just("model() > 0.6"), "model": some_of({"model_path": ["m.onnx", ""], **TRAINING}, None)}
        ),
    },
)
bodies = st.builds(
    lambda *parts: {"user_id": "ada", **{name: value for part in parts for name, value in part.items()}},
    some_of(TRADING, None),
    some_of(MARKET | SOURCES, None),
    some_of(CROSSOVER, None),
    st.fixed_dictionaries(
        {},
        optional={
            "strategy": strategies_named,
            "fetch_input": st.none() | some_of({**MARKET, "source": ["simulated"]}, None),
            "ma_crossover_params": st.none() | some_of(CROSSOVER, None),
        },
    ),
)


def has_two_sources(body: Body) -> bool:
    named = {body.get("source"), (body.get("fetch_input") or {}).get("source")} - {None}
    return len(named) > 1


@settings(max_examples=examples(600), deadline=None)
@given(bodies.filter(lambda body: not has_two_sources(body)))
def test_body_schema_agrees_with_checks(body: Body) -> None:
    assert BODY_VALIDATOR.is_valid(body) is accepts_body(body), body


@settings(max_examples=examples(300), deadline=None)
@given(some_of(TRADING, few=False) | some_of({**SOURCES, **TRADING}) | some_of(TRAINING))
def test_form_schema_agrees_with_checks(body: Body) -> None:
    form = {"user_id": "ada", "symbol": "BTCUSDT", **body}
    assert FORM_VALIDATOR.is_valid({"file": "", **form}) is accepts_form(form), form


@settings(max_examples=examples(50), deadline=None)
@given(some_of(TRAINING))
def test_upload_schema_agrees_with_checks(body: Body) -> None:
    form = ReceivedForm(texts={name: [str(value)] for name, value in body.items()}, files={})
    is_valid = UPLOAD_VALIDATOR.is_valid({"file": "", "user_id": "ada", **body})
    assert is_valid is is_accepted(lambda: read_training_form(form)), body


BASE: Final = {"user_id": "ada", "symbol": "BTCUSDT"}


@pytest.mark.parametrize(
    ("body", "is_valid"),
    [
        ({"user_id": "ada"}, False),
        ({"user_id": "ada", "fetch_input": None}, False),
        ({"user_id": "ada", "symbol": None, "fetch_input": {"symbol": "BTCUSDT"}}, True),
        (BASE | {"fixed_size": 1, "percent_size": 0.5}, False),
        (BASE | {"fixed_size": None, "percent_size": 0.5}, True),
        (BASE | {"stop_loss": 0.1}, False),
        (BASE | {"stop_loss": 0.1, "engine": "EVENT_DRIVEN"}, True),
        (BASE | {"direction": "LONG", "entry_bars": 1, "intrabar": "PESSIMISTIC"}, True),
        (BASE | {"entry_bars": 2}, False),
        (BASE | {"engine": "EVENT_DRIVEN", "entry_offset": 0.1}, False),
        (BASE | {"engine": "EVENT_DRIVEN", "entry_offset": 0.1, "entry": "STOP"}, True),
        (BASE | {"engine": "EVENT_DRIVEN", "funding": "CONSTANT"}, False),
        (BASE | {"engine": "EVENT_DRIVEN", "funding_rate": 0.001}, False),
        (BASE | {"engine": "EVENT_DRIVEN", "funding": "HISTORY"}, True),
        (BASE | {"engine": "EVENT_DRIVEN", "funding": "CONSTANT"}, False),
        (BASE | {"engine": "EVENT_DRIVEN", "funding_history": "mine"}, False),
        (BASE | {"engine": "EVENT_DRIVEN", "funding": "HISTORY", "funding_history": "mine"}, True),
        (BASE | {"engine": "EVENT_DRIVEN", "funding": "HISTORY", "funding_history": "mine", "funding_rate": 0}, False),
        (BASE | {"engine": "EVENT_DRIVEN", "funding": "CONSTANT", "funding_rate": 0.001}, True),
        (BASE | {"engine": "EVENT_DRIVEN", "funding": "CONSTANT", "funding_rate": 0.031}, False),
        (BASE | {"engine": "VECTORIZED", "funding": "CONSTANT", "funding_rate": 0.001}, False),
        (BASE | {"seed": 1}, False),
        (BASE | {"seed": 1, "source": "binance"}, False),
        (BASE | {"seed": 1, "fetch_input": {"source": "SIMULATED"}}, True),
        (BASE | {"source": "simulated", "fetch_input": {"seed": 1}}, True),
        (BASE | {"fetch_input": {"seed": 1}}, False),
        (BASE | {"strategy": {}}, False),
        (BASE | {"strategy": {"up_down": False}}, False),
        (BASE | {"strategy": {"up_down": True}}, True),
        (BASE | {"strategy": {"up_down": True, "ma_crossover": None, "model": None}}, True),
        (BASE | {"strategy": {"up_down": True, "ma_crossover": {}}}, False),
        (BASE | {"strategy": {"buy_and_hold": {}}}, True),
        (BASE | {"strategy": {"buy_and_hold": {"fast": 5}}}, False),
        (BASE | {"strategy": {"buy_and_hold": {}, "up_down": {}}}, False),
        (BASE | {"strategy": {"up_down": False, "ma_crossover": {}}}, True),
        (BASE | {"strategy": {"up_down": True}, "fast": 5}, False),
        (BASE | {"strategy": {"up_down": True}, "ma_crossover_params": {"slow": 60}}, False),
        (BASE | {"strategy": None, "fast": 5, "ma_crossover_params": {"slow": 60}}, True),
        (BASE | {"strategy": {"buy_and_hold": True, "up_down": True}}, False),
        (BASE | {"strategy": {"rsi": {"length": 1}}}, False),
        (BASE | {"strategy": {"rsi": {"high": 100.5}}}, False),
        (BASE | {"strategy": {"supertrend": {"multiplier": 0}}}, False),
        (BASE | {"strategy": {"bollinger": {"mode": "sideways"}}}, False),
        (BASE | {"strategy": {"bollinger": {"mode": "BREAKOUT"}}}, True),
        (BASE | {"strategy": {"model": {}}}, False),
        (BASE | {"strategy": {"model": {"model_path": "m.onnx"}}}, True),
        (BASE | {"strategy": {"model": {"model_path": "m.onnx", "trained_from": "2020-01-01"}}}, False),
        (BASE | {"strategy": {"model": {"model_path": "m.onnx", "trained_to": "2020-01-01"}}}, True),
        (BASE | {"slow": 1, "fast": 1}, False),
        (BASE | {"fast": 1, "slow": 2}, True),
    ],
)  # fmt: skip
def test_rule_about_two_fields_is_declared(body: Body, is_valid: bool) -> None:
    assert BODY_VALIDATOR.is_valid(body) is is_valid
    assert accepts_body(body) is is_valid


def test_whole_numbers_carry_their_bounds() -> None:
    assert {"minimum": -(2**63), "maximum": 2**63 - 1}.items() <= BODY["properties"]["seed"]["anyOf"][0].items()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("engine", EngineName), ("fill", FillTiming), ("direction", Direction), ("entry", EntryType),
     ("intrabar", IntrabarPolicy), ("output_kind", OutputKind)],
)  # fmt: skip
def test_undocumented_case_of_enum_is_accepted(name: str, kind: type[StrEnum]) -> None:
    # The document lists one spelling, because generators make a name of each; released versions listed both.
    for member in kind:
        for text in (member.value.lower(), member.value.upper(), member.value.title()):
            form = {"user_id": "ada", "symbol": "BTCUSDT", "engine": "EVENT_DRIVEN"} | {name: text}
            assert accepts_form(form), form


def test_lower_case_mode_of_preset_is_accepted() -> None:
    assert accepts_body(BASE | {"strategy": {"bollinger": {"mode": "breakout"}}})
