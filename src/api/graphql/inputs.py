"""Define the input types, made from the parameters that the domain declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING
from functools import cache
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_origin

import strawberry
from strawberry.scalars import JSON

import src.api.graphql.enums  # noqa: F401  (describes the domain's enums, which are types of parameters)
from src.api.requests.backtests import merge
from src.api.requests.rules import CHECKED
from src.domain.error_text import FieldName
from src.domain.errors import InvalidInput
from src.domain.market import MarketRequest
from src.domain.parameters import DeclaredParameter, groups_of, names_of_required, own_parameters_of, parameters_of
from src.domain.runs import BacktestRequest
from src.domain.strategy import ModelParams
from src.strategies.registry import PARAMS, first_line, summary_of

Input = TypeVar("Input", bound=type)

_MARKET: Final = parameters_of(MarketRequest)
_SYMBOL: Final = tuple(item for item in _MARKET if item.parameter.name == "symbol")
_ENGINE: Final = tuple(item for item in parameters_of(BacktestRequest) if item.path == ("engine",))
_RUN: Final = tuple(item for item in parameters_of(BacktestRequest) if item.path[0] not in {"market", "engine"})
_CROSSOVER: Final = parameters_of(PARAMS["ma_crossover"])
_MODEL: Final = parameters_of(ModelParams)
MODEL_BESIDE_FILE: Final = tuple(item for item in _MODEL if item.parameter.name != "model_path")


def declare_parameters(
    parameters: Sequence[DeclaredParameter], *, required: Iterable[str] = ()
) -> Callable[[Input], Input]:
    """Give a class a strawberry field for each parameter; all but the `required` ones may be null or absent."""

    def declare(kind: Input) -> Input:
        annotations: dict[str, Any] = {}
        for item in parameters:
            name, public = item.parameter.name, _input_kind(item)
            annotations[name] = public if name in required else public | None
            default = MISSING if name in required else item.public_default
            setattr(kind, name, strawberry.field(default=default, description=item.description))
        kind.__annotations__ = annotations | get_annotations(kind)
        return kind

    return declare


def _input_kind(item: DeclaredParameter) -> Any:
    """Return the type of an input field; the names in a mapping are the client's own, so that no input has them."""
    if item.rung_kind is not None:
        return list[_rung_input(item.rung_kind)]  # type: ignore[misc]
    origin = get_origin(item.public_kind)
    return list[str] if origin is tuple else JSON if origin is Mapping else item.public_kind


@cache
def _rung_input(kind: type) -> Any:
    """Make the input of a rung."""
    own = parameters_of(kind)
    body = type(f"{kind.__name__}Input", (), {"__module__": __name__, "__annotations__": {}})
    declared = declare_parameters(own, required=names_of_required(own))(body)
    return strawberry.input(declared, description=first_line(kind))


def given(value: object, parameters: Sequence[DeclaredParameter]) -> dict[str, object]:
    """Return what a client gave for these parameters, by public name; None means not given."""
    found: dict[str, object] = {}
    for item in parameters:
        sent = getattr(value, item.parameter.name, None)
        if item.rung_kind is not None and sent is not None:
            sent = [given(rung, parameters_of(item.rung_kind)) for rung in sent]
        found[item.parameter.name] = sent
    return found


@strawberry.input(description="Which bars. Dates are UTC: YYYY-MM-DD or a full ISO 8601 instant.")
@declare_parameters(_MARKET)
class OHLCVFetchInput:
    def given(self) -> dict[str, object]:
        return given(self, _MARKET)


@strawberry.input(description="Lengths of the two moving averages of the close.")
@declare_parameters(_CROSSOVER)
class MACrossoverParams:
    pass


@strawberry.input(description="A stored model and how to read it.")
@declare_parameters(_MODEL)
class MLModelInput:
    pass


_RELEASED_NAMES: Final[Mapping[str, type]] = {"ma_crossover": MACrossoverParams, "model": MLModelInput}
"""Input types with released names; the names of other strategies' types are derived (`RsiParams`)."""


def _params_input(params: type, meaning: str) -> Any:
    """Make the input of a strategy's parameters, or of a group of them."""
    annotations: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for name, kind in groups_of(params).items():
        annotations[name] = _params_input(kind, first_line(kind)) | None
        fields[name] = strawberry.field(default=None, description=first_line(kind))
    body = type(params.__name__, (), {"__module__": __name__, "__annotations__": annotations, **fields})
    return strawberry.input(declare_parameters(own_parameters_of(params))(body), description=meaning)


def _given_params(value: object, params: type) -> dict[str, object]:
    """Return the given parameters of a strategy by public name, those of its groups as mappings."""
    groups = {
        name: None if (group := getattr(value, name, None)) is None else _given_params(group, kind)
        for name, kind in groups_of(params).items()
    }
    return given(value, own_parameters_of(params)) | groups


def _strategy_input() -> type:
    """Make the input that names one strategy of the registry and gives its parameters; true if it has none."""
    annotations: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for name, params in PARAMS.items():
        kind: Any = bool
        if name in _RELEASED_NAMES:
            kind = _RELEASED_NAMES[name]
        elif parameters_of(params):
            kind = _params_input(params, summary_of(name))
        annotations[name] = kind | None
        fields[name] = strawberry.field(default=strawberry.UNSET, description=summary_of(name))
    body = type("StrategyInput", (), {"__module__": __name__, "__annotations__": annotations, **fields})
    return strawberry.input(body, one_of=True, description="One strategy, with its parameters.")


if TYPE_CHECKING:
    StrategyInput = Any
else:
    StrategyInput = _strategy_input()


@strawberry.input(description="Rules to check without a backtest.")
@declare_parameters(CHECKED)
class RulesCheckInput:
    def given(self) -> dict[str, object]:
        return given(self, CHECKED)


@strawberry.input
@declare_parameters((*_RUN, *_SYMBOL), required=("user_id",))
class RunInput:
    """The fields of both kinds of backtest."""

    fetch_input: OHLCVFetchInput | None = strawberry.field(default=None, description="Which bars.")

    def given(self) -> dict[str, object]:
        """Return the given values by public name; raises InvalidInput if they contradict each other."""
        nested = {} if self.fetch_input is None else self.fetch_input.given()
        return merge(given(self, (*_RUN, *_SYMBOL)), nested, inner_name="fetchInput")


@strawberry.input(description="A moving-average crossover backtest.")
class BacktestInput(RunInput):
    ma_crossover_params: MACrossoverParams | None = strawberry.field(
        default=None, description="Lengths of the moving averages; their defaults if null."
    )

    def given_params(self) -> dict[str, object]:
        return {} if self.ma_crossover_params is None else given(self.ma_crossover_params, _CROSSOVER)


@strawberry.input(description="A backtest of a machine-learning model's predictions.")
@declare_parameters((*MODEL_BESIDE_FILE, *_ENGINE))
class MLBacktestInput(RunInput):
    ml_model: MLModelInput | None = strawberry.field(
        default=None, description="The stored model; null if the file comes with the request."
    )

    def given(self) -> dict[str, object]:
        return super().given() | given(self, _ENGINE)

    def given_params(self) -> dict[str, object]:
        """Return the model's given values by public name; raises InvalidInput if they contradict each other."""
        return given_model(self)


@strawberry.input(description="A backtest of any strategy on either engine.")
@declare_parameters(_ENGINE)
class RunBacktestInput(RunInput):
    strategy: StrategyInput = strawberry.field(description="The strategy, one of the fields of StrategyInput.")

    def given(self) -> dict[str, object]:
        return super().given() | given(self, _ENGINE)

    def given_strategy(self) -> tuple[str, dict[str, object]]:
        """Return the strategy's name and its given parameters."""
        return given_strategy(self.strategy)


def given_strategy(strategy: StrategyInput) -> tuple[str, dict[str, object]]:
    """Return a strategy's name and its given parameters; raises InvalidInput if it is false."""
    [(name, value)] = [(name, value) for name in PARAMS if (value := getattr(strategy, name)) is not strawberry.UNSET]
    if value is False:
        raise InvalidInput(
            "{chosen} is false. Allowed: true, or another strategy.", field="strategy", chosen=FieldName(name)
        )
    return name, _given_params(value, PARAMS[name])


def given_model(value: Any) -> dict[str, object]:
    """Return the given values of a model, beside it and in its `ml_model`, by public name.

    Raises InvalidInput if they contradict each other.
    """
    nested = {} if value.ml_model is None else given(value.ml_model, _MODEL)
    return merge(given(value, MODEL_BESIDE_FILE), nested, inner_name="mlModel")
