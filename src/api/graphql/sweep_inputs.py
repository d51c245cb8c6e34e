"""Define the inputs of sweeps and walk-forwards, made from the parameters that the domain declares."""

from __future__ import annotations

from typing import Any, Final, cast

import strawberry
from strawberry.scalars import JSON

from src.api.graphql.enums import Scale
from src.api.graphql.inputs import MLBacktestInput, RunBacktestInput, declare_parameters, given
from src.api.requests.sweeps import GivenBacktest, build_sweep, build_walk_forward, only_backtest
from src.domain.parameters import DeclaredParameter, parameters_of
from src.domain.sweeps import (
    MetricConstraint,
    Objective,
    ParameterConstraint,
    Search,
    SweepRequest,
    SweptParameter,
    ValueRange,
)
from src.domain.walk_forward import WalkForwardRequest, inside_walk_forward


def _own(kind: type) -> tuple[DeclaredParameter, ...]:
    return tuple(item for item in parameters_of(kind) if len(item.path) == 1)


_RANGE: Final = {item.parameter.name: item for item in _own(ValueRange)}
_NAME: Final = tuple(item for item in _own(SweptParameter) if item.parameter.name == "name")
_CONSTRAINT: Final = tuple(
    {item.parameter.name: item for item in (*_own(ParameterConstraint), *_own(MetricConstraint))}.values()
)
_SEARCH, _OBJECTIVE, _SWEEP, _WALK = map(_own, (Search, Objective, SweepRequest, WalkForwardRequest))


@strawberry.input(description="Numbers from one to another.")
class ValueRangeInput:
    start: float = strawberry.field(name="from", description=_RANGE["from"].description)
    end: float = strawberry.field(name="to", description=_RANGE["to"].description)
    step: float | None = strawberry.field(default=None, description=_RANGE["step"].description)
    scale: Scale | None = strawberry.field(default=None, description=_RANGE["scale"].description)

    def given(self) -> dict[str, object]:
        return {"from": self.start, "to": self.end, "step": self.step, "scale": self.scale}


@strawberry.input(description="A parameter of the backtest and the values that it takes: a list or a range.")
@declare_parameters(_NAME, required=("name",))
class SweptParameterInput:
    values: list[JSON] | None = strawberry.field(
        default=None, description="The values, numbers or names of a closed list, in the order of the grid; or range."
    )
    range: ValueRangeInput | None = strawberry.field(default=None, description="Numbers; or values.")

    def given(self) -> dict[str, object]:
        span = None if self.range is None else self.range.given()
        return {**given(self, _NAME), "values": self.values, "range": span}


@strawberry.input(
    description="A relation of a swept parameter (left) to another one or a number, or of a metric of the rows to a "
    "number."
)
@declare_parameters(_CONSTRAINT, required=("operator",))
class ConstraintInput:
    def given(self) -> dict[str, object]:
        return given(self, _CONSTRAINT)


@strawberry.input(description="Which combinations are tried.")
@declare_parameters(_SEARCH)
class SearchInput:
    def given(self) -> dict[str, object]:
        return given(self, _SEARCH)


@strawberry.input(description="What makes one row better than another.")
@declare_parameters(_OBJECTIVE)
class ObjectiveInput:
    def given(self) -> dict[str, object]:
        return given(self, _OBJECTIVE)


@strawberry.input(description="A sweep: one backtest with many combinations of its parameters.")
@declare_parameters(_SWEEP)
class SweepInput:
    parameters: list[SweptParameterInput] = strawberry.field(description="What is varied.")
    backtest: RunBacktestInput | None = strawberry.field(default=None, description="The backtest; or mlBacktest.")
    ml_backtest: MLBacktestInput | None = strawberry.field(
        default=None, description="The backtest of a stored model; or backtest."
    )
    search: SearchInput | None = strawberry.field(default=None, description="Which combinations; all if null.")
    constraints: list[ConstraintInput] | None = strawberry.field(
        default=None, description="What combinations, and the best rows, must meet."
    )
    objective: ObjectiveInput | None = strawberry.field(
        default=None, description="What ranks the rows; the Sharpe ratio if null."
    )

    def build(self, *, max_bars: int) -> SweepRequest:
        """Return the checked request; raises InvalidInput."""
        values: dict[str, Any] = {
            **given(self, _SWEEP),
            "parameters": [item.given() for item in self.parameters],
            "search": None if self.search is None else self.search.given(),
            "constraints": [item.given() for item in self.constraints or ()],
            "objective": None if self.objective is None else self.objective.given(),
        }
        return build_sweep(self._given_backtest(), values, max_bars=max_bars)

    def _given_backtest(self) -> GivenBacktest:
        if only_backtest({"backtest": self.backtest, "ml_backtest": self.ml_backtest}) == "backtest":
            backtest = cast("RunBacktestInput", self.backtest)
            return GivenBacktest(backtest.given(), *backtest.given_strategy())
        model = cast("MLBacktestInput", self.ml_backtest)
        return GivenBacktest(model.given(), "model", model.given_params())


@strawberry.input(description="A sweep that is repeated on one training window after another.")
@declare_parameters(_WALK, required=("train_bars", "test_bars"))
class WalkForwardInput:
    sweep: SweepInput = strawberry.field(description="What is chosen anew in each training window.")

    def build(self, *, max_bars: int) -> WalkForwardRequest:
        """Return the checked request; raises InvalidInput."""
        with inside_walk_forward():
            sweep = self.sweep.build(max_bars=max_bars)
        return build_walk_forward(sweep, given(self, _WALK))
