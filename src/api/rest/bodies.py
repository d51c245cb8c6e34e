"""Define the bodies of requests for a backtest: types and units, either spelling, no unknown fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema

from src.api.components import component
from src.api.requests.backtests import merge
from src.api.requests.rules import CHECKED
from src.api.requests.uploads import FILE_FIELD, ReceivedForm
from src.api.rest.body_models import make_body, read_object, validate_body
from src.domain.errors import both_given, not_exactly_one
from src.domain.market import MarketRequest
from src.domain.parameters import build, groups_of, own_parameters_of, parameters_of
from src.domain.runs import BacktestRequest
from src.domain.strategy import ModelParams
from src.domain.training import TrainingWindow
from src.strategies.registry import PARAMS, first_line, summary_of

_MARKET: Final = parameters_of(MarketRequest)
RUN: Final = parameters_of(BacktestRequest)
CROSSOVER: Final = parameters_of(PARAMS["ma_crossover"])
_MODEL: Final = tuple(item for item in parameters_of(ModelParams) if item.parameter.name != "model_path")

FetchBody: Final = make_body("FetchInput", "Which bars.", _MARKET)


def _params_body(params: type, meaning: str) -> Any:
    """Return the body of a strategy's parameters, or of a group of them."""
    groups = {
        name: (_params_body(kind, summary) | None, Field(None, description=summary))
        for name, kind in groups_of(params).items()
        for summary in [first_line(kind)]
    }
    return make_body(params.__name__, meaning, own_parameters_of(params), others=groups)


def _read_bare(value: object) -> object:
    """Read the value of a strategy without parameters: an empty object names it, as true does."""
    if isinstance(value, bool):
        return value
    if value == {}:
        return True
    raise ValueError("true, or an object without fields")


_NO_PARAMETERS: Final = component(
    "NoParameters",
    {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
        "description": "The parameters of a strategy that has none.",
    },
)
_Bare = Annotated[bool, BeforeValidator(_read_bare), WithJsonSchema({"anyOf": [{"type": "boolean"}, _NO_PARAMETERS]})]

_STRATEGIES: Final[Mapping[str, Any]] = {
    name: _params_body(params, summary_of(name)) if parameters_of(params) else _Bare for name, params in PARAMS.items()
}
StrategyBody: Final = make_body(
    "StrategyChoice",
    "One strategy with its parameters; true, or an empty object, for one that has none.",
    others={name: (kind | None, Field(None, description=summary_of(name))) for name, kind in _STRATEGIES.items()},
)
NESTED: Final[Mapping[str, Any]] = {
    "strategy": (StrategyBody | None, Field(None, description="The strategy: exactly one field.")),
    "fetch_input": (FetchBody | None, Field(None, description="Which bars, as GraphQL takes it.")),
    "ma_crossover_params": (
        _STRATEGIES["ma_crossover"] | None,
        Field(None, description="The moving averages, as GraphQL takes them."),
    ),
}
_BACKTEST: Final = "A backtest of any strategy; of the moving-average crossover if none is named."
BacktestBody: Final = make_body("BacktestChoice", _BACKTEST, (*RUN, *CROSSOVER), required=("user_id",), others=NESTED)
RunBody: Final = make_body(
    "BacktestRequest",
    _BACKTEST,
    (*RUN, *CROSSOVER),
    required=("user_id",),
    others={
        **NESTED,
        "async": (bool | None, Field(None, description="Whether to run it as a job, for which nothing waits.")),
    },
)
MlBacktestForm: Final = make_body(
    "ModelBacktestForm",
    "A backtest of the model file that comes with the form.",
    (*RUN, *_MODEL),
    required=("user_id", "symbol"),
    is_form=True,
)

RulesCheckBody: Final = make_body("RulesCheckRequest", "Rules to check without a backtest.", CHECKED)

TrainingForm: Final = make_body("TrainingForm", "What a model was trained on.", parameters_of(TrainingWindow))


class ReceivedBacktest(NamedTuple):
    """The given values except the strategy's parameters, the strategy's name, and those parameters."""

    given: dict[str, Any]
    strategy: str
    params: dict[str, Any]


def read_backtest_body(content: bytes) -> ReceivedBacktest:
    """Read the JSON body of a backtest.

    Raises
    ------
    MalformedRequest
        If it is not a JSON object, or an object in it has one name twice.
    InvalidInput
        If a field is unknown, missing, of the wrong type, or given twice.
    """
    return read_backtest(read_object(content, BacktestBody))


class ReceivedRun(NamedTuple):
    """A backtest, and whether it is to be a job."""

    backtest: ReceivedBacktest
    is_job: bool


def read_run_body(content: bytes) -> ReceivedRun:
    """Read the JSON body of a backtest that may be a job; errors as of `read_backtest_body`."""
    body = read_object(content, RunBody)
    is_job = bool(body.pop("async"))
    return ReceivedRun(read_backtest(body), is_job)


def read_backtest(body: Mapping[str, Any]) -> ReceivedBacktest:
    """Return the parts of a body that fits `BacktestBody`; raises InvalidInput if one is given twice."""
    body = dict(body)
    fetch_input, chosen, averages = (body.pop(name) for name in ("fetch_input", "strategy", "ma_crossover_params"))
    body = merge(body, fetch_input or {}, inner_name="fetch_input")
    crossover: dict[str, Any] = {item.parameter.name: body.pop(item.parameter.name) for item in CROSSOVER}
    crossover = merge(crossover, averages or {}, inner_name="ma_crossover_params")
    if chosen is None:
        return ReceivedBacktest(body, "ma_crossover", crossover)
    if given_twice := [name for name, value in crossover.items() if value is not None]:
        raise both_given(given_twice[0], "strategy")
    return ReceivedBacktest(body, *_only_strategy(chosen))


def read_rules_body(content: bytes) -> dict[str, Any]:
    """Read the JSON body of a check of rules; errors as of `read_backtest_body`."""
    return read_object(content, RulesCheckBody)


def read_market(raw: Mapping[str, object]) -> dict[str, Any]:
    """Read the fields that say which bars are meant; raises InvalidInput as `read_backtest_body` does."""
    return validate_body(FetchBody, raw)


def _only_strategy(chosen: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    named = [name for name, params in chosen.items() if params is not None and params is not False]
    if len(named) != 1:
        raise not_exactly_one("strategy", named=named, allowed=tuple(PARAMS))
    params = chosen[named[0]]
    return named[0], params if isinstance(params, dict) else {}


def read_ml_form(form: ReceivedForm) -> dict[str, Any]:
    """Read the text fields of a form with a model file; an empty text counts as absent.

    Raises
    ------
    InvalidInput
        If a field is unknown, missing, of the wrong type, or sent twice though it is not a list.
    """
    raw: dict[str, object] = {}
    for name, texts in form.texts.items():
        if name == "feature_columns":
            raw[name] = [text for text in texts if text] or None
        elif (text := form.text(name)) or name in {"user_id", "symbol"}:
            raw[name] = text
    for name in form.files:
        if name != FILE_FIELD:
            raw[name] = "a file"
    return validate_body(MlBacktestForm, raw, also_known=(FILE_FIELD,))


def read_training_form(form: ReceivedForm) -> TrainingWindow:
    """Read the training window in the text fields of a form; an empty text counts as absent.

    Raises
    ------
    InvalidInput
        If a field is of the wrong type, not allowed, sent twice, or a label horizon without a window.
    """
    raw = {name: text for name in TrainingForm.model_fields if (text := form.text(name))}
    window = build(TrainingWindow, validate_body(TrainingForm, raw))
    window.check_complete()
    return window
