"""Define the bodies of requests for a backtest: types and units, either spelling, no unknown fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple, TypeGuard, get_args, get_origin

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema, create_model

from src.api.components import component
from src.api.errors import explain_validation
from src.api.json_bodies import read_json
from src.api.requests.backtests import merge
from src.api.requests.rules import CHECKED
from src.api.requests.uploads import FILE_FIELD, ReceivedForm
from src.api.rest import values
from src.api.spelling import in_one_spelling
from src.domain.errors import CONTENT_TYPE_REFUSED, MalformedRequest, UnsupportedFormat, both_given, not_exactly_one
from src.domain.market import MarketRequest
from src.domain.parameters import DeclaredParameter, build, groups_of, own_parameters_of, parameters_of
from src.domain.runs import BacktestRequest
from src.domain.strategy import ModelParams
from src.domain.training import TrainingWindow
from src.strategies.registry import PARAMS, first_line, summary_of

JSON_MEDIA_TYPE: Final = "application/json"


def _no_boolean(value: object) -> object:
    # Python counts true as 1; a client that sends it for a number has made a mistake.
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


def _name_list(value: object) -> object:
    """Read a list of names from JSON, from text with commas, or (as forms repeat a field) from a list of either."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)):
        raise ValueError("a list of column names")
    names: list[str] = []
    for text in texts:
        if not isinstance(text, str):
            raise ValueError("a list of column names")
        names += _names_in(text)
    return names


def _names_in(text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError("a JSON list of column names, or names separated by commas") from error
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a list of column names")
    return list(names)


Number = Annotated[float, BeforeValidator(_no_boolean)]
Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), BeforeValidator(_no_boolean)]
NameList = Annotated[list[str], BeforeValidator(_name_list)]


_NUMBERS_BY_NAME: Final = component(
    "NumbersByName",
    {"type": "object", "additionalProperties": {"type": "number"}, "description": "Numbers by the client's own names."},
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def _public_kind(item: DeclaredParameter) -> Any:
    """Return the type of a parameter in JSON and forms; enums are text, so that their case does not matter."""
    if (enum := values.enum_schema_of(item)) is not None:
        return Annotated[str, WithJsonSchema(enum)]
    if get_origin(item.public_kind) is tuple:
        return NameList
    if get_origin(item.public_kind) is Mapping:
        return Annotated[dict[str, Number], WithJsonSchema(_NUMBERS_BY_NAME)]
    return {float: Number, int: Whole}.get(item.public_kind, item.public_kind)


def _body(
    name: str,
    meaning: str,
    parameters: Iterable[DeclaredParameter] = (),
    *,
    required: Iterable[str] = (),
    others: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Return the pydantic model of a body with these parameters; all but the `required` ones may be null."""
    fields: dict[str, Any] = {}
    for item in parameters:
        kind = _public_kind(item)
        is_required = item.parameter.name in required
        fields[item.parameter.name] = (
            kind if is_required else kind | None,
            Field(
                ... if is_required else None,
                description=item.description,
                json_schema_extra=values.schema_of(item),
            ),
        )
    return create_model(name, __base__=_Body, __doc__=meaning, **fields, **others)


_MARKET: Final = parameters_of(MarketRequest)
_RUN: Final = parameters_of(BacktestRequest)
_CROSSOVER: Final = parameters_of(PARAMS["ma_crossover"])
_MODEL: Final = tuple(item for item in parameters_of(ModelParams) if item.parameter.name != "model_path")

FetchBody: Final = _body("FetchInput", "Which bars.", _MARKET)


def _params_body(params: type, meaning: str) -> Any:
    """Return the body of a strategy's parameters, or of a group of them."""
    groups = {
        name: (_params_body(kind, summary) | None, Field(None, description=summary))
        for name, kind in groups_of(params).items()
        for summary in [first_line(kind)]
    }
    return _body(params.__name__, meaning, own_parameters_of(params), others=groups)


def _read_bare(value: object) -> object:
    """Read the place of a strategy without parameters: an object of no fields names it, as true does."""
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
StrategyBody: Final = _body(
    "StrategyChoice",
    "One strategy with its parameters; true, or an empty object, for one that has none.",
    others={name: (kind | None, Field(None, description=summary_of(name))) for name, kind in _STRATEGIES.items()},
)
BacktestBody: Final = _body(
    "BacktestRequest",
    "A backtest of any strategy; of the moving-average crossover if none is named.",
    (*_RUN, *_CROSSOVER),
    required=("user_id",),
    others={
        "strategy": (StrategyBody | None, Field(None, description="The strategy: exactly one field.")),
        "fetch_input": (FetchBody | None, Field(None, description="Which bars, as GraphQL takes it.")),
        "ma_crossover_params": (
            _STRATEGIES["ma_crossover"] | None,
            Field(None, description="The moving averages, as GraphQL takes them."),
        ),
    },
)
MlBacktestForm: Final = _body(
    "ModelBacktestForm",
    "A backtest of the model file that comes with the form.",
    (*_RUN, *_MODEL),
    required=("user_id", "symbol"),
)

RulesCheckBody: Final = _body("RulesCheckRequest", "Rules to check without a backtest.", CHECKED)

TrainingForm: Final = _body("TrainingForm", "What a model was trained on.", parameters_of(TrainingWindow))


def check_json(content_type: str) -> None:
    """Raise UnsupportedFormat if a Content-Type header does not say that the body is JSON."""
    if content_type.partition(";")[0].strip().lower() != JSON_MEDIA_TYPE:
        raise UnsupportedFormat(CONTENT_TYPE_REFUSED, got=content_type, allowed=JSON_MEDIA_TYPE)


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
    body = _read_object(content, BacktestBody)
    fetch_input, chosen, averages = (body.pop(name) for name in ("fetch_input", "strategy", "ma_crossover_params"))
    body = merge(body, fetch_input or {}, inner_name="fetch_input")
    crossover: dict[str, Any] = {item.parameter.name: body.pop(item.parameter.name) for item in _CROSSOVER}
    crossover = merge(crossover, averages or {}, inner_name="ma_crossover_params")
    if chosen is None:
        return ReceivedBacktest(body, "ma_crossover", crossover)
    if given_twice := [name for name, value in crossover.items() if value is not None]:
        raise both_given(given_twice[0], "strategy")
    return ReceivedBacktest(body, *_only_strategy(chosen))


def read_rules_body(content: bytes) -> dict[str, Any]:
    """Read the JSON body of a check of rules; errors as of `read_backtest_body`."""
    return _read_object(content, RulesCheckBody)


def read_market(raw: Mapping[str, object]) -> dict[str, Any]:
    """Read the fields that say which bars are meant; raises InvalidInput as `read_backtest_body` does."""
    return _validate(FetchBody, raw)


def _read_object(content: bytes, kind: type[BaseModel]) -> dict[str, Any]:
    raw = read_json(content)
    if not isinstance(raw, dict):
        raise MalformedRequest("The body is not a JSON object.")
    return _validate(kind, raw)


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
    return _validate(MlBacktestForm, raw)


def read_training_form(form: ReceivedForm) -> TrainingWindow:
    """Read the training window in the text fields of a form; an empty text counts as absent.

    Raises
    ------
    InvalidInput
        If a field is of the wrong type, not allowed, sent twice, or a label horizon without a window.
    """
    raw = {name: text for name in TrainingForm.model_fields if (text := form.text(name))}
    window = build(TrainingWindow, _validate(TrainingForm, raw))
    window.check_complete()
    return window


def _validate(kind: type[BaseModel], raw: Mapping[str, object]) -> dict[str, Any]:
    try:
        return kind.model_validate(_one_spelling(raw)).model_dump()
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise explain_validation(found, allowed=_known(kind, found[0]["loc"][:-1]), sent=raw) from error


def _known(kind: type[BaseModel], path: Sequence[int | str]) -> Sequence[str]:
    """Return the known fields of the object at a path of the body; those of the body itself for an empty path."""
    for name in path:
        annotation = kind.model_fields[str(name)].annotation if str(name) in kind.model_fields else None
        kind = next((one for one in (annotation, *get_args(annotation)) if _is_model(one)), kind)
    return (*((FILE_FIELD,) if kind is MlBacktestForm else ()), *kind.model_fields)


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


_OWN_NAMES: Final = frozenset(
    item.parameter.name
    for params in PARAMS.values()
    for item in parameters_of(params)
    if get_origin(item.public_kind) is Mapping
)
"""Fields whose objects have names of the client's own, which stay as they are spelled."""


def _one_spelling(raw: Mapping[str, object]) -> dict[str, object]:
    """Return the fields under their snake_case names; InvalidInput if one came in both spellings."""
    return {
        name: _one_spelling(value) if isinstance(value, dict) and name not in _OWN_NAMES else value
        for name, value in in_one_spelling(raw.items()).items()
    }
