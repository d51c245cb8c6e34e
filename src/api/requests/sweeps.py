"""Build the requests for sweeps and walk-forwards from a client's values, by either API.

The values are mappings of public names in snake_case, as in `requests.backtests`; None means not given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

from src.api.requests.backtests import build_request, echo_settings, echo_strategy
from src.domain.errors import InvalidInput, bad_value, both_given, inside, missing
from src.domain.parameters import build, parameters_of
from src.domain.runs import BacktestRequest
from src.domain.signals import ParameterValue
from src.domain.sweeps import (
    MAX_CONSTRAINTS,
    MAX_PARAMETERS,
    MAX_VALUES,
    MetricConstraint,
    Objective,
    ParameterConstraint,
    Search,
    SearchKind,
    SweepRequest,
    SweptParameter,
    ValueRange,
)
from src.domain.walk_forward import WalkForwardRequest
from src.strategies.registry import PARAMS

Given = Mapping[str, object]
Part = TypeVar("Part", Search, Objective, ValueRange)

_NAMES: Final[Mapping[type, str]] = {params: name for name, params in PARAMS.items()}


class GivenBacktest(NamedTuple):
    """A client's values for the swept backtest: all but the strategy's, the strategy's name, and its parameters."""

    given: Given
    strategy: str
    params: Given


def build_sweep(backtest: GivenBacktest, given: Given, *, max_bars: int) -> SweepRequest:
    """Check and complete a request for a sweep.

    `given` has parameters, search, constraints, objective and keep_best, the lists and objects as plain values. Raises
    InvalidInput, which names the field, what was sent, and what is allowed.
    """
    request = build_request(backtest.given, backtest.strategy, backtest.params, max_bars=max_bars)
    parameters = _list_of(given.get("parameters"), "parameters", most=MAX_PARAMETERS)
    if not parameters:
        raise missing("parameters")
    constraints = _list_of(given.get("constraints"), "constraints", most=MAX_CONSTRAINTS)
    built = [_build_constraint(each, place) for place, each in enumerate(constraints)]
    return build(
        SweepRequest,
        given,
        backtest=request,
        parameters=tuple(_build_parameter(each, place) for place, each in enumerate(parameters)),
        search=_build_search(given),
        constraints=tuple(each for each in built if isinstance(each, ParameterConstraint)),
        metric_constraints=tuple(each for each in built if isinstance(each, MetricConstraint)),
        objective=_build_part(Objective, given, "objective"),
    )


def build_walk_forward(sweep: SweepRequest, given: Given) -> WalkForwardRequest:
    """Check and complete a request for a walk-forward of a sweep; raises InvalidInput."""
    return build(WalkForwardRequest, given, sweep=sweep)


def echo_sweep(request: SweepRequest) -> dict[str, object]:
    """Return the request for a sweep, with defaults filled in, by public names."""
    return {
        "backtest": echo_backtest(request.backtest),
        "parameters": [
            {
                "name": item.name,
                "values": None if item.values is None else list(item.values),
                "range": None if item.range is None else _echo(item.range),
            }
            for item in request.parameters
        ],
        "search": _echo(request.search),
        "constraints": [_echo(item) for item in (*request.constraints, *request.metric_constraints)],
        "objective": _echo(request.objective),
        "keep_best": request.keep_best,
    }


def echo_walk_forward(request: WalkForwardRequest) -> dict[str, object]:
    """Return the request for a walk-forward, with defaults filled in, by public names."""
    return {"sweep": echo_sweep(request.sweep), **_echo(request), "step_bars": request.step}


def _echo(value: object) -> dict[str, object]:
    """Return the parameters that a dataclass declares itself, by public names."""
    own = [item for item in parameters_of(type(value)) if len(item.path) == 1]
    return {item.parameter.name: item.write(item.of(value)) for item in own}


def echo_backtest(request: BacktestRequest) -> dict[str, object]:
    """Return the request for a backtest, with defaults filled in, by public names."""
    market = request.market
    return {
        "user_id": request.user_id,
        "symbol": market.symbol,
        "interval": market.interval.name,
        "engine": request.engine,
        **echo_settings(request),
        "strategy": {"name": _NAMES[type(request.strategy)], "parameters": echo_strategy(request.strategy)},
    }


def only_backtest(given: Given) -> str:
    """Return which of `backtest` and `ml_backtest` is given; raises InvalidInput unless exactly one is."""
    named = [name for name in ("backtest", "ml_backtest") if given.get(name) is not None]
    if len(named) != 1:
        raise InvalidInput("Give either {field} or {@mlBacktest}.", field="backtest")
    return named[0]


def _build_part(kind: type[Part], given: Given, name: str) -> Part:
    """Build a part of a request from the object of that name; errors name fields by their paths."""
    part = _object_of(given.get(name), name)
    with inside(name):
        return build(kind, part)


def _build_search(given: Given) -> Search:
    search = _build_part(Search, given, "search")
    # Not a rule of `Search` itself: a stored one of an earlier version may have a size without effect.
    if search.kind is not SearchKind.TPE and search.batch_size != Search().batch_size:
        raise InvalidInput(
            "{field} is {got}, and only TPE draws in batches. Allowed with {kind}: none, or {usual}.",
            field="search.batchSize", got=search.batch_size, kind=search.kind.value, usual=Search().batch_size,
        )  # fmt: skip
    return search


def _build_parameter(given: Given, place: int) -> SweptParameter:
    values, span = given.get("values"), given.get("range")
    name = str(given.get("name") or "")
    path = f"parameters.{place}"
    if not name:
        raise missing(f"{path}.name")
    with _naming(name), inside(path):
        return SweptParameter(
            name=name,
            values=None if values is None else _values_of(values),
            range=None if span is None else _build_part(ValueRange, given, "range"),
        )


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Name the swept parameter in errors."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput("{why} Swept parameter: {name!r}.", why=error.text, name=name, field=error.field) from error


def _values_of(values: object) -> tuple[ParameterValue, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > MAX_VALUES:
        raise bad_value("values", got=_shorten(values), allowed=f"a list of 1 to {MAX_VALUES} numbers or texts")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise bad_value("values", got=_shorten(value), allowed="numbers or texts")
    return tuple(values)


def _build_constraint(given: Given, place: int) -> ParameterConstraint | MetricConstraint:
    """Return a constraint on a metric, or one whose right side is a name, or a number in either field."""
    with inside(f"constraints.{place}"):
        if given.get("metric") is not None:
            for other in ("left", "right"):
                if given.get(other) is not None:
                    raise both_given("metric", other)
            return build(MetricConstraint, given)
        right = given.get("right")
        if isinstance(right, (int, float)) and not isinstance(right, bool) and given.get("value") is None:
            given = {**given, "right": None, "value": right}
        return build(ParameterConstraint, given)


def _list_of(value: object, field: str, *, most: int) -> Sequence[Given]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise bad_value(field, got=_shorten(value), allowed="a list of objects")
    if len(value) > most:
        raise InvalidInput("{field} has {count} items. Maximum: {most}.", field=field, count=len(value), most=most)
    return [_object_of(each, f"{field}.{place}") for place, each in enumerate(value)]


def _object_of(value: object, field: str) -> Given:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise bad_value(field, got=_shorten(value), allowed="an object")
    return value


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
