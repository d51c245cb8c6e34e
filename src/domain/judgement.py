"""The judgement of a result: whether to believe it, and why, in the order that clients see.

None stands for what is undefined, or was not checked; `Verdict.not_checked` then says why.
"""

from __future__ import annotations

from dataclasses import dataclass

from src.domain.benchmarks import Benchmarks
from src.domain.confidence import Confidence, Deflation
from src.domain.leaks import Leaks
from src.domain.performance import Metrics
from src.domain.reported import reported
from src.domain.trials import TrialStatistics
from src.domain.units import BARS, PERCENT, PROBABILITY
from src.domain.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FillBand:
    """Total returns under both assumptions about what a bar hit first.

    The optimistic one is not an upper bound: an early target can miss a later, larger gain.
    """

    pessimistic_return: float = reported("Total return if the stop comes first.", PERCENT)
    optimistic_return: float = reported("Total return if the target comes first.", PERCENT)
    ambiguous_bars: int = reported("Bars that do not tell.", BARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepChoice:
    """What a sweep says about the choice that a run is: the reasons of the run's verdict read it."""

    overfitting_probability: float | None = reported(
        "PBO of the sweep: how often the best of its rows on half of the bars is below the median on the rest; null if "
        "it was not estimated.",
        PROBABILITY,
    )
    superiority_p_value: float | None = reported(
        "Hansen's p-value of the sweep's rows against buying and holding (SPA); null if it was not tested.", PROBABILITY
    )
    timing_p_value: float | None = reported(
        "Probability that the timing of any of the sweep's rows stands out as much as this one's by luck; null if this "
        "row was not tested, and for results of earlier versions.",
        PROBABILITY,
        default=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether to believe a result, and why."""

    verdict: Verdict = reported("What the checks add up to.")
    confidence: Confidence = reported("How certain the figures are.")
    deflation: Deflation = reported("How certain they are after all trials.")
    leaks: Leaks | None = reported("Whether the model knew the future; null for strategies without a model.")
    benchmarks: Benchmarks = reported("What the result must beat.")
    fill_band: FillBand | None = reported("What the bars cannot tell; null if no bar was ambiguous.")
    choice: SweepChoice | None = reported(
        "What its sweep says about the choice; null unless the run is a row of a finished sweep.", default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleResult:
    """The metrics of a part of the bars: those that the model was trained on, or those after them.

    The part after the training window is a fresh run: flat, with the initial cash, on features that know the bars
    before. So both parts do not multiply to the whole.
    """

    metrics: Metrics = reported("Every metric of this part.")
    judgement: Judgement | None = reported("The judgement of the part after the training; null for the part before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSnapshot:
    """The trials that a result was deflated with, before and after it was counted; enough to judge it again alike.

    `head_before` and `head_after` are the heads of the ledger's chain. `runs` counts all runs of the ledger, those that
    did not move too; None for results of earlier versions, which counted those that moved. `reduced_runs` and
    `missing_runs` are those of `TrialLedgerState`.
    """

    total: TrialStatistics
    active: TrialStatistics
    total_before: TrialStatistics
    active_before: TrialStatistics
    head_before: str
    head_after: str
    runs: int | None = None
    reduced_runs: int = 0
    missing_runs: int = 0
