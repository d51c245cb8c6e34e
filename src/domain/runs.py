"""A backtest as asked for and as answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import AnnualizationSettings
from src.domain.arrays import freeze
from src.domain.errors import InvalidInput
from src.domain.market import DataQuality, MarketRequest
from src.domain.model_files import check_user_id
from src.domain.performance import Metrics
from src.domain.signals import OutputKind, Signals
from src.domain.trading import EngineName, Simulation, TradingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossoverChoice:
    """Buy where the fast moving average of closes crosses above the slow one, sell where it crosses below (in bars)."""

    fast: int = 20
    slow: int = 50

    def __post_init__(self) -> None:
        for name, value in (("fast", self.fast), ("slow", self.slow)):
            if value < 1:
                raise InvalidInput(f"{name} is {value}; allowed: a whole number of bars ≥ 1", field=name)
        if self.fast >= self.slow:
            raise InvalidInput(
                f"fast is {self.fast} and slow is {self.slow}; fast must be less than slow", field="fast"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Trade a model's predictions.

    `reference` is a stored model's path or file name; None where the file came with the request. `output_kind` None
    means: as the model file says.
    """

    reference: str | None = None
    threshold: float = 0.5
    feature_columns: tuple[str, ...] | None = None
    output_kind: OutputKind | None = None
    sha256: str | None = None

    @property
    def model_name(self) -> str | None:
        """The stored model's file name: a path says where the server keeps it, which is nobody's business."""
        return None if self.reference is None else self.reference.rsplit("/", 1)[-1]


StrategyChoice = CrossoverChoice | ModelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """Everything that decides a backtest's numbers, but for the candles and a model's bytes.

    `period` is the bar length that the client believes in, in milliseconds with its text; None where not given.
    """

    user_id: str
    market: MarketRequest
    strategy: StrategyChoice
    rules: TradingRules
    engine: EngineName
    period: str | None = None
    annualization: AnnualizationSettings = field(default_factory=AnnualizationSettings)
    use_fallback: bool = False
    cross_check: bool = False

    def __post_init__(self) -> None:
        check_user_id(self.user_id)
        if self.engine is EngineName.VECTORIZED and (settings := self.rules.event_driven_settings()):
            raise InvalidInput(
                f"{', '.join(settings)}: known to the event-driven engine only; "
                "the vectorised engine allows market entries, LONG, and exits by signal",
                field=settings[0],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """What the numbers depend on: SHA-256 of the candles and of the model file, versions of code and libraries."""

    bars: str
    model: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillDifference:
    """A fill that the two engines do not share: its index, and each engine's words for it (None: it has none)."""

    index: int
    vectorized: str | None
    event_driven: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """The same request through both engines: the first differing fills (empty: all agree) and what was left out."""

    differences: tuple[FillDifference, ...]
    left_out: tuple[str, ...]
    largest_equity_difference: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BacktestResult:
    """One finished backtest.

    `time_ms` and `close` [n] are the bars' open times and closes; `created_ms` the service's clock (UTC); `timings_ms`
    the wall time of each step.
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

    def __post_init__(self) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rerun:
    """A stored backtest run once more on the candles that it had.

    `differences` names what is not the same to the last bit: its causes first (candles, model, a library's version),
    then what they changed (signals, fills, equity, metrics). Empty: the result has been reproduced.
    """

    original_id: str
    result: BacktestResult
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultQuota:
    """How much one user's stored results may take: a count, and bytes as stored; the oldest make room for a new one."""

    max_results: int
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """How many results a store holds, and the bytes that it takes on its disk."""

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
