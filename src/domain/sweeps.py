"""A sweep: one backtest over many combinations of its parameters, with its search, constraints and objective."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from src.domain.any_case import AnyCase
from src.domain.errors import InvalidInput, bad_value
from src.domain.parameters import MAX_COUNT, Bounds, check_parameters, parameter, to_snake_case
from src.domain.performance import METRIC_DEFINITIONS
from src.domain.runs import BacktestRequest
from src.domain.signals import ParameterValue

OBJECTIVE: Final = "the objective's unit"

MAX_PARAMETERS: Final = 8
MAX_VALUES: Final = 10_000
"""Values of one parameter."""
MAX_CONSTRAINTS: Final = 16
MAX_KEPT: Final = 100

ROW_METRICS: Final = (
    "final_equity", "total_return", "cagr", "annual_volatility", "sharpe_ratio", "sortino_ratio", "calmar_ratio",
    "max_drawdown", "exposure", "total_fees", "total_trades", "open_trades", "winning_trades", "losing_trades",
    "win_rate", "profit_factor", "expectancy",
)  # fmt: skip
"""The metrics of a row, by their names in `domain.performance.Metrics`, where each is defined."""

ROW_COUNTS: Final = frozenset({"total_trades", "open_trades", "winning_trades", "losing_trades"})
"""The row metrics that are whole numbers."""


def check_metric(name: str, *, field: str) -> None:
    """Raise InvalidInput if rows have no metric of that name."""
    if name not in ROW_METRICS:
        raise bad_value(field, got=name, allowed=ROW_METRICS)


def find_metric(name: str, field: str) -> str:
    """Return the metric of rows that a client named, in either spelling; raises InvalidInput on `field`."""
    own = to_snake_case(name)
    check_metric(own if own in ROW_METRICS else name, field=field)
    return own


class SearchKind(StrEnum):
    """How combinations are chosen."""

    GRID = "GRID"
    """Every combination of all values; the last parameter changes fastest."""
    LIST = "LIST"
    """The values side by side: the first of each, the second of each, and so on."""
    RANDOM = "RANDOM"
    """Drawn from the values or ranges with a seed, independently."""
    TPE = "TPE"
    """Optuna's tree-structured Parzen estimator: each batch is drawn near the best rows of the batches before."""


class Scale(StrEnum):
    """How the values of a range lie."""

    LINEAR = "LINEAR"
    """`step` is the distance of neighbors."""
    LOGARITHMIC = "LOGARITHMIC"
    """`step` is the ratio of neighbors."""


class Comparison(StrEnum):
    LESS = "LESS"
    AT_MOST = "AT_MOST"
    GREATER = "GREATER"
    AT_LEAST = "AT_LEAST"
    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"


class Goal(StrEnum):
    MAXIMIZE = "MAXIMIZE"
    MINIMIZE = "MINIMIZE"


class Reduce(AnyCase):
    """How the rows of a heat map's cell become one number."""

    BEST = "BEST"
    MEAN = "MEAN"
    MEDIAN = "MEDIAN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRange:
    """Numbers from `start` to `end`, both included if the step meets the end."""

    start: float = parameter(name="from", meaning="The first value", unit="the parameter's unit")
    end: float = parameter(
        name="to", meaning="The last value, or the limit of the last one", unit="the parameter's unit"
    )
    step: float | None = parameter(
        name="step",
        meaning="Distance of neighbors; with LOGARITHMIC their ratio, over 1",
        default=None,
        default_meaning="1 for whole numbers; a draw needs none",
    )
    scale: Scale = parameter(
        name="scale", meaning="How the values lie between the ends: LINEAR or LOGARITHMIC", default=Scale.LINEAR
    )

    def __post_init__(self) -> None:
        for name, value in (("from", self.start), ("to", self.end), ("step", self.step)):
            if value is not None and not math.isfinite(value):
                raise bad_value(name, got=value, allowed="a finite number")
        if self.end < self.start:
            raise InvalidInput(
                "{field} ({got}) must not be less than {@from} ({other}).", field="to", got=self.end, other=self.start
            )
        smallest = 1.0 if self.scale is Scale.LOGARITHMIC else 0.0
        if self.step is not None and self.step <= smallest:
            raise bad_value("step", got=self.step, allowed=f"more than {smallest:g}")
        if self.scale is Scale.LOGARITHMIC and self.start <= 0:
            raise bad_value("from", got=self.start, allowed="more than 0 on a logarithmic scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptParameter:
    """A parameter of the backtest, and the values that it takes: a list or a range."""

    name: str = parameter(
        name="name",
        meaning="The parameter: of the strategy (a rule's own by its name), threshold, or a trading rule such as "
        "stop_loss; of numbers or of a closed list",
        max_length=64,
    )
    values: tuple[ParameterValue, ...] | None = parameter(
        name="values", meaning="The values, in the order of the grid; or range", default=None, default_meaning="range"
    )
    range: ValueRange | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.range is None):
            raise InvalidInput("Give either {field} or {@range}.", field="values")
        if self.values is not None and not 1 <= len(self.values) <= MAX_VALUES:
            raise InvalidInput(
                "{field} has {count} values. Allowed: 1 to {most}.",
                field="values",
                count=len(self.values),
                most=MAX_VALUES,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How many combinations are tried, and which."""

    kind: SearchKind = parameter(
        name="kind", meaning="How combinations are chosen: GRID, LIST, RANDOM or TPE", default=SearchKind.GRID
    )
    max_trials: int | None = parameter(
        name="max_trials",
        meaning="Combinations that RANDOM and TPE draw; GRID and LIST with more are refused",
        unit="count",
        default=None,
        bounds=Bounds(minimum=1, maximum=MAX_COUNT),
        default_meaning="100 for RANDOM and TPE; all for GRID and LIST",
    )
    seed: int = parameter(
        name="seed", meaning="Seed of the draws", default=0, bounds=Bounds(minimum=0, maximum=MAX_COUNT)
    )
    batch_size: int = parameter(
        name="batch_size",
        meaning="Combinations that TPE draws at once, before it sees their results",
        unit="count",
        default=16,
        bounds=Bounds(minimum=1, maximum=1000),
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def draws(self) -> int | None:
        """The number of combinations that are drawn; None for GRID and LIST, which have their own."""
        if self.kind in (SearchKind.GRID, SearchKind.LIST):
            return None
        return 100 if self.max_trials is None else self.max_trials


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterConstraint:
    """Combinations without this relation are not tried: `fast` LESS `slow`, or a number in place of the second."""

    left: str = parameter(name="left", meaning="A swept parameter", max_length=64)
    comparison: Comparison = parameter(
        name="operator", meaning="How they compare: LESS, AT_MOST, GREATER, AT_LEAST, EQUAL or NOT_EQUAL"
    )
    right: str | None = parameter(
        name="right", meaning="Another swept parameter; or value", default=None, default_meaning="value", max_length=64
    )
    value: float | None = parameter(name="value", meaning="A number; or right", default=None, default_meaning="right")

    def __post_init__(self) -> None:
        if (self.right is None) == (self.value is None):
            raise InvalidInput("Give either {field} or {@value}.", field="right")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricConstraint:
    """Rows without this relation are kept and shown, and cannot be the best."""

    metric: str = parameter(name="metric", meaning="A metric of the rows", choices=ROW_METRICS, read=find_metric)
    comparison: Comparison = parameter(
        name="operator", meaning="How it compares: LESS, AT_MOST, GREATER, AT_LEAST, EQUAL or NOT_EQUAL"
    )
    value: float = parameter(name="value", meaning="With this number", unit="the metric's unit")

    def __post_init__(self) -> None:
        check_metric(self.metric, field="metric")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What makes one row better than another."""

    metric: str = parameter(
        name="metric",
        meaning="The metric that ranks the rows",
        default="sharpe_ratio",
        choices=ROW_METRICS,
        read=find_metric,
    )
    goal: Goal = parameter(
        name="direction", meaning="Whether more or less of it is better: MAXIMIZE or MINIMIZE", default=Goal.MAXIMIZE
    )
    min_trades: int = parameter(
        name="min_trades",
        meaning="Closed trades without which a row cannot be the best",
        unit="count",
        default=1,
        bounds=Bounds(minimum=0, maximum=MAX_COUNT),
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        check_metric(self.metric, field="metric")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """A backtest, and the parameters in it that are varied; their values in `backtest` itself do not count."""

    backtest: BacktestRequest
    parameters: tuple[SweptParameter, ...]
    search: Search = field(default_factory=Search)
    constraints: tuple[ParameterConstraint, ...] = ()
    metric_constraints: tuple[MetricConstraint, ...] = ()
    objective: Objective = field(default_factory=Objective)
    keep_best: int = parameter(
        name="keep_best",
        meaning="How many of the best rows are run and stored as results of their own",
        unit="count",
        default=10,
        bounds=Bounds(minimum=1, maximum=MAX_KEPT),
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if (detail := self.backtest.rules.detail) is not None:
            raise InvalidInput(
                "{field} is {got}, and sweeps read no finer bars. Run a row alone with it.",
                field="detailInterval", got=detail.name,
            )  # fmt: skip
        if not 1 <= len(self.parameters) <= MAX_PARAMETERS:
            raise InvalidInput(
                "{field} has {count} items. Allowed: 1 to {most}.",
                field="parameters",
                count=len(self.parameters),
                most=MAX_PARAMETERS,
            )
        names = [item.name for item in self.parameters]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput("{field} names {name!r} twice.", field="parameters", name=name)
        if len(self.constraints) + len(self.metric_constraints) > MAX_CONSTRAINTS:
            raise InvalidInput("{field} has more than {most} items.", field="constraints", most=MAX_CONSTRAINTS)

    @property
    def user_id(self) -> str:
        return self.backtest.user_id


_METRICS: Final = {definition.name: definition for definition in METRIC_DEFINITIONS}
if missing := set(ROW_METRICS) - set(_METRICS):
    raise ValueError(f"no metric is called {missing}")
