"""A backtest's request and result, and summaries and pages of stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import AnnualizationSettings
from src.domain.arrays import freeze
from src.domain.bar_quality import DataQuality
from src.domain.error_text import FieldName, quote
from src.domain.errors import InvalidInput, bad_value
from src.domain.instants import check_times
from src.domain.intervals import Interval, intervals_inside
from src.domain.judgement import Judgement, LedgerSnapshot, SampleResult
from src.domain.market import MarketRequest
from src.domain.model_files import USER_ID_PATTERN, check_user_id
from src.domain.parameters import MAX_COUNT, parameter
from src.domain.performance import Metrics
from src.domain.signals import Signals
from src.domain.simulation import Simulation
from src.domain.strategy import MAX_WARM_UP_BARS, StrategyParams
from src.domain.trading import Direction, EngineName, TradingRules
from src.domain.verdict import VerdictLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """All input of a backtest except the bars and a model's bytes."""

    user_id: str = parameter(
        name="user_id",
        meaning="Whose backtest it is: 1 to 64 characters of A-Z a-z 0-9 _ . @ -, the first a letter or digit",
        pattern=USER_ID_PATTERN,
    )
    market: MarketRequest
    strategy: StrategyParams
    rules: TradingRules
    engine: EngineName = parameter(
        name="engine",
        meaning="What simulates the orders: VECTORIZED or EVENT_DRIVEN",
        default=EngineName.VECTORIZED,
    )
    period: str | None = parameter(
        name="period",
        meaning="Bar length as a pandas offset, such as 1D; one that contradicts the interval only gives a warning",
        default=None,
        default_meaning="the interval's",
    )
    annualization: AnnualizationSettings = field(default_factory=AnnualizationSettings)
    use_fallback: bool = parameter(
        name="use_fallback",
        meaning="Whether the up/down-day rule is traded, and named, if the strategy gives no signal at all",
        default=False,
    )
    cross_check: bool = parameter(
        name="cross_check",
        meaning="Whether both engines run, with the same fill, and the first fills that differ are listed",
        default=False,
    )
    pinned_warm_up_bars: int | None = None
    """How many bars before the range are read, in a rerun; None: as many as the strategy asks for."""

    @property
    def warm_up_bars(self) -> int:
        """How many bars before the range to fetch for the strategy."""
        pinned = self.pinned_warm_up_bars
        return self.strategy.warm_up_bars(self.market.interval) if pinned is None else pinned

    def __post_init__(self) -> None:
        check_user_id(self.user_id)
        _check_warm_up(self.pinned_warm_up_bars)
        if self.market.limit > MAX_COUNT:
            raise ValueError(f"the limit is {quote(self.market.limit)}, which is not a count up to {MAX_COUNT}")
        if self.engine is EngineName.VECTORIZED and (settings := self.rules.event_driven_settings()):
            raise event_driven_only(settings)
        _check_detail(self.rules.detail, self.market.interval)
        if self.strategy.can_short and self.rules.direction is Direction.LONG:
            raise InvalidInput(
                "{field} is {got}, and the strategy enters shorts. Allowed: {allowed}, with the event-driven engine.",
                field="direction",
                got=self.rules.direction.value,
                allowed=(Direction.SHORT.value, Direction.BOTH.value),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """What the numbers depend on: SHA-256 of the bars, of the model file and of the rates of a funding history,
    versions of code and libraries."""

    bars: str
    model: str | None
    versions: Mapping[str, str]
    funding: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillDifference:
    """A fill that differs between the engines: its index, and each engine's fill as text (None: it has none)."""

    index: int
    vectorized: str | None
    event_driven: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """The comparison of both engines: the first differing fills (empty: all agree) and the settings left out."""

    differences: tuple[FillDifference, ...]
    left_out: tuple[str, ...]
    largest_equity_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What finer bars settled in a run, and what it would have been without them.

    Counts are of bars; `total_return_without` is in per cent. `fingerprint` is the SHA-256 of the finer bars that were
    fetched, None if there were none.
    """

    interval: str
    resolved_bars: int
    unresolved_bars: int
    ambiguous_bars_without: int
    total_return_without: float
    fingerprint: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestResult:
    """One finished backtest.

    `time_ms` and `close` [n] are the bars' open times and closes; `created_ms` the service's clock (UTC); `timings_ms`
    the wall time of each step. `in_sample` and `out_of_sample` exist if a training window was declared and lies in the
    bars; results of earlier versions have no judgement. `verdict_level` is that of the whole run, and
    `out_of_sample_level` that of the part after the training window: lists show both. `warm_up_bars` counts the bars
    before the first one that the strategy read.
    """

    id: str
    created_ms: int
    request: BacktestRequest
    time_ms: NDArray[np.int64]
    close: NDArray[np.float64]
    signals: Signals
    simulation: Simulation
    metrics: Metrics
    quality: DataQuality
    origin: str
    fingerprints: Fingerprints
    warnings: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    cross_check: CrossCheck | None = None
    detail: Detail | None = None
    verdict_level: VerdictLevel | None = None
    out_of_sample_level: VerdictLevel | None = None
    judgement: Judgement | None = None
    in_sample: SampleResult | None = None
    out_of_sample: SampleResult | None = None
    ledger: LedgerSnapshot | None = None
    warm_up_bars: int = 0

    def __post_init__(self) -> None:
        check_times(created_ms=self.created_ms)
        _check_warm_up(self.warm_up_bars)
        object.__setattr__(self, "time_ms", freeze(self.time_ms, np.int64))
        object.__setattr__(self, "close", freeze(self.close, np.float64))
        if not len(self.time_ms) == len(self.close) == len(self.signals) == len(self.simulation.equity):
            raise ValueError("times, closes, signals and equity differ in length")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSummary:
    """A stored backtest without its curves: what lists show and comparisons read."""

    id: str
    created_ms: int
    request: BacktestRequest
    metrics: Metrics
    origin: str
    fingerprints: Fingerprints
    warnings: tuple[str, ...] = ()
    verdict_level: VerdictLevel | None = None
    out_of_sample_level: VerdictLevel | None = None
    warm_up_bars: int = 0

    def __post_init__(self) -> None:
        check_times(created_ms=self.created_ms)
        _check_warm_up(self.warm_up_bars)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rerun:
    """A stored backtest run once more on the bars that it had.

    `differences` names the parts that are not equal to the last bit, and is empty if nothing differs: causes first
    (bars, model, funding, a library's version), then effects (signals, fills, equity, metrics, judgement).
    """

    original_id: str
    result: BacktestResult
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultQuota:
    """The most that one user's stored results may take, in number and bytes; the oldest are deleted for a new one."""

    max_results: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """The number of results in a store, and the bytes that it takes on disk."""

    results: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """One page of a user's results, newest first; `next_cursor` None on the last.

    `warnings` names, in full sentences, the results that belong on the page and cannot be read.
    """

    summaries: tuple[ResultSummary, ...]
    next_cursor: str | None
    warnings: tuple[str, ...] = ()


def event_driven_only(settings: Sequence[str]) -> InvalidInput:
    """Return the error of settings (camelCase) that the vectorized engine does not support."""
    return InvalidInput(
        "{settings}: known to the event-driven engine only. The vectorized engine allows market entries, LONG, exits "
        "by signal, one fee, and neither leverage nor funding.",
        field=settings[0],
        settings=tuple(map(FieldName, settings)),
    )


def _check_warm_up(bars: int | None) -> None:
    """Raise ValueError if a number of warm-up bars is negative or too large; None is allowed."""
    if bars is not None and not 0 <= bars <= MAX_WARM_UP_BARS:
        raise ValueError(f"{quote(bars)} warm-up bars, expected 0 to {MAX_WARM_UP_BARS}")


def _check_detail(detail: Interval | None, interval: Interval) -> None:
    if detail is None:
        return
    allowed = [finer.name for finer in intervals_inside(interval)]
    if detail.name not in allowed:
        raise bad_value("detailInterval", got=detail.name, allowed=allowed or "none: no bars are shorter")
