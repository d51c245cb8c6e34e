"""Define the bodies of requests for sweeps and walk-forwards, with those of backtests in them."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt, StrictStr

from src.api.requests.sweeps import GivenBacktest, build_sweep, build_walk_forward, only_backtest
from src.api.rest.bodies import RUN, BacktestBody, read_backtest
from src.api.rest.body_models import IdempotencyKeyText, make_body, read_object
from src.domain.parameters import DeclaredParameter, parameters_of
from src.domain.strategy import ModelParams
from src.domain.sweeps import (
    MAX_CONSTRAINTS,
    MAX_PARAMETERS,
    MAX_VALUES,
    MetricConstraint,
    Objective,
    ParameterConstraint,
    Search,
    SweepRequest,
    SweptParameter,
    ValueRange,
)
from src.domain.walk_forward import WalkForwardRequest, inside_walk_forward


def own_of(kind: type) -> tuple[DeclaredParameter, ...]:
    """Return the parameters that a dataclass declares itself, without those of dataclasses in it."""
    return tuple(item for item in parameters_of(kind) if len(item.path) == 1)


def _check_value(value: object) -> object:
    """Refuse a value that is no number or text before the union is tried, whose errors would name its members."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a number or text")
    return value


_Value = Annotated[StrictInt | StrictFloat | StrictStr, BeforeValidator(_check_value)]

RangeBody: Final = make_body(
    "ValueRange", "Numbers from one to another.", parameters_of(ValueRange), required=("from", "to")
)
SweptParameterBody: Final = make_body(
    "SweptParameter",
    "A parameter of the backtest and the values that it takes.",
    [item for item in own_of(SweptParameter) if item.parameter.name == "name"],
    required=("name",),
    others={
        "values": (
            Annotated[list[_Value], Field(min_length=1, max_length=MAX_VALUES)] | None,
            Field(None, description="The values, in the order of the grid; or `range`."),
        ),
        "range": (RangeBody | None, Field(None, description="Numbers from one to another; or `values`.")),
    },
)
_CONSTRAINT: Final = {item.parameter.name: item for item in (*own_of(ParameterConstraint), *own_of(MetricConstraint))}
ConstraintBody: Final = make_body(
    "SweepConstraint",
    "A relation of a swept parameter (`left`) to another one or a number, or of a metric of the rows to a number.",
    [_CONSTRAINT[name] for name in ("left", "operator", "metric", "value")],
    required=("operator",),
    others={"right": (_Value | None, Field(None, description="Another swept parameter, or a number."))},
)
SearchBody: Final = make_body("SweepSearch", "Which combinations are tried.", own_of(Search))
ObjectiveBody: Final = make_body("SweepObjective", "What makes one row better than another.", own_of(Objective))
StoredModelBody: Final = make_body(
    "ModelBacktestRequest",
    "A backtest of a stored model.",
    (*RUN, *parameters_of(ModelParams)),
    required=("user_id", "symbol", "model_path"),
)

_KEY: Final = {
    "idempotency_key": (
        IdempotencyKeyText | None,
        Field(None, description="As the header Idempotency-Key: the same key and request are the same job."),
    )
}
_SWEEP: Final[dict[str, Any]] = {
    "backtest": (
        BacktestBody | None,
        Field(None, description="The backtest, as POST /api/backtests takes it; or `ml_backtest`."),
    ),
    "ml_backtest": (StoredModelBody | None, Field(None, description="The backtest of a stored model; or `backtest`.")),
    "parameters": (
        Annotated[list[SweptParameterBody], Field(min_length=1, max_length=MAX_PARAMETERS)],  # type: ignore[valid-type]
        Field(description="What is varied."),
    ),
    "search": (SearchBody | None, Field(None, description="Which combinations are tried; if absent, all.")),
    "constraints": (
        Annotated[list[ConstraintBody], Field(max_length=MAX_CONSTRAINTS)] | None,  # type: ignore[valid-type]
        Field(None, description="What combinations, and the best rows, must meet."),
    ),
    "objective": (ObjectiveBody | None, Field(None, description="What ranks the rows; if absent, Sharpe ratio.")),
}
SweepBody: Final = make_body("SweepRequest", "A sweep.", own_of(SweepRequest), others=_SWEEP)
StartSweepBody: Final = make_body("StartSweepRequest", "A sweep to start.", own_of(SweepRequest), others=_SWEEP | _KEY)
StartWalkForwardBody: Final = make_body(
    "StartWalkForwardRequest",
    "A walk-forward to start.",
    own_of(WalkForwardRequest),
    required=("train_bars", "test_bars"),
    others={"sweep": (SweepBody, Field(description="What is chosen anew in each training window.")), **_KEY},
)


class ReceivedSweep(NamedTuple):
    """A checked request for a sweep, and the idempotency key in its body."""

    request: SweepRequest
    key: str | None


class ReceivedWalkForward(NamedTuple):
    """A checked request for a walk-forward, and the idempotency key in its body."""

    request: WalkForwardRequest
    key: str | None


def read_sweep(content: bytes, *, max_bars: int) -> ReceivedSweep:
    """Read the JSON body of a sweep; errors as of `bodies.read_backtest_body`."""
    body = read_object(content, StartSweepBody)
    key = body.pop("idempotency_key")
    return ReceivedSweep(_build(body, max_bars=max_bars), key)


def read_walk_forward(content: bytes, *, max_bars: int) -> ReceivedWalkForward:
    """Read the JSON body of a walk-forward; errors as of `bodies.read_backtest_body`."""
    body = read_object(content, StartWalkForwardBody)
    key, sweep = body.pop("idempotency_key"), body.pop("sweep")
    with inside_walk_forward():
        built = _build(sweep, max_bars=max_bars)
    return ReceivedWalkForward(build_walk_forward(built, body), key)


def _build(body: dict[str, Any], *, max_bars: int) -> SweepRequest:
    if only_backtest(body) == "backtest":
        backtest = GivenBacktest(*read_backtest(body["backtest"]))
    else:
        given = body["ml_backtest"]
        backtest = GivenBacktest(given, "model", given)
    return build_sweep(backtest, body, max_bars=max_bars)
