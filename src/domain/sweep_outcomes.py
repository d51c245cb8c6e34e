"""The results of a sweep: its rows, its estimate, how likely the best row is luck, and the rows that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.reported import reported
from src.domain.signals import ParameterValue
from src.domain.sweeps import OBJECTIVE, ROW_METRICS
from src.domain.units import PROBABILITY, RATIO


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepRows:
    """Some rows of a sweep, from the row `first` on.

    `values` [k, p] float64 are the parameters' values, in the order of the request; that of a closed list is the place
    in it. `figures` [k, m] float64 are the metrics in the order of `ROW_METRICS`, NaN if one does not exist.
    `block_sums` and `block_squares` [j, S] float64 are sums of returns and of their squares over S equal blocks of
    bars, for the rows `blocks_of` [j] int64 of the whole sweep, in rising order.
    """

    first: int
    values: NDArray[np.float64]
    figures: NDArray[np.float64]
    blocks_of: NDArray[np.int64]
    block_sums: NDArray[np.float64]
    block_squares: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("values", "figures", "block_sums", "block_squares"):
            object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        object.__setattr__(self, "blocks_of", freeze(self.blocks_of, np.int64))
        if len(self.values) != len(self.figures) or self.figures.shape[1:] != (len(ROW_METRICS),):
            raise ValueError("values and figures differ in length, or figures are not those of ROW_METRICS")

    def __len__(self) -> int:
        return len(self.figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEstimate:
    """What a sweep will cost, before it is started."""

    combinations: int = reported("Combinations that will be tried.", "count")
    excluded: int = reported("Combinations of the grid that the constraints, or the strategy itself, exclude.", "count")
    cpu_seconds: float = reported(
        "Computing time on one core, from rates measured on this machine: of the rows, their tests, and the judged "
        "runs of the best ones; without fetching bars, and without a model's predictions.",
        "seconds",
    )
    stored_bytes: int = reported("Bytes that the rows will take in the store.", "bytes")
    kernel: str = reported("What computes the rows: MEANS, MARKET_ORDERS or ORDERS.")
    warnings: tuple[str, ...] = reported("Warnings, in full sentences.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOverfitting:
    """How much the choice of the best row is overfitted, by combinatorially symmetric cross-validation."""

    pbo: float = reported(
        "Probability that the row that is best on half of the bars is below the median on the rest.", PROBABILITY
    )
    pbo_noise_low: float = reported(
        "Without any edge, pbo is at least this in 95 of 100 sweeps of so many rows.", PROBABILITY
    )
    pbo_noise_high: float = reported(
        "Without any edge, pbo is at most this in 95 of 100 sweeps of so many rows.", PROBABILITY
    )
    probability_of_loss: float = reported("Probability that the chosen row loses on the other half.", PROBABILITY)
    degradation_slope: float | None = reported(
        "Slope of the chosen row's Sharpe ratio on the other half over its own half's; null if it is always the same.",
        RATIO,
    )
    rows: int = reported("Rows that were compared: those that can be the best, moved and are no duplicates.", "count")
    blocks: int = reported("Blocks of bars.", "count")
    criterion: str = reported(
        "What chose and ranked the rows: sharpe_ratio (without a risk-free rate), total_return or annual_volatility. "
        "It is the objective if that follows from sums over blocks of bars, else sharpe_ratio.",
        default="sharpe_ratio",
    )
    direction: str = reported("Whether more or less of it was better: MAXIMIZE or MINIMIZE.", default="MAXIMIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSuperiority:
    """Whether the best row beats buying and holding by more than the best of so many would by chance (Hansen 2005).

    It compares mean returns per bar, whatever the objective is, of rows that can be the best.
    """

    p_value: float = reported(
        "Hansen's consistent p-value of mean returns per bar, whatever the objective is.", PROBABILITY
    )
    lower: float = reported("Its lower bound.", PROBABILITY)
    upper: float = reported("Its upper bound.", PROBABILITY)
    superior_rows: int = reported(
        "Rows that each beat buying and holding, with 5 % for one or more wrong ones.", "count"
    )
    rows: int = reported("Rows that were tested, of those that can be the best.", "count")
    block_length: int = reported("Length of the resampled blocks.", "bars")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTiming:
    """Whether it matters when the rows hold positions, by more than it would for the best of so many by luck.

    The trades of all rows are moved along the bars by the same distance, for every distance (Westfall & Young 1993): at
    each the best-timed row counts, earnings in deviations of its own. Number and length of trades stay.
    """

    p_value: float = reported(
        "Probability that a row's timing stands out as much as that of `row` by luck: the most that the sweep found.",
        PROBABILITY,
    )
    row: int = reported("Number of the row whose timing stands out most; the best row by the objective may be another.")
    p_value_of_best: float | None = reported(
        "The same for the best row by the objective: the probability that any row's timing stands out as much by luck. "
        "The verdict on that row reads it. Null if that row cannot be tested, as single runs cannot: under 10 trades, "
        "always in the market or never, too few bars.",
        PROBABILITY,
    )
    rows: int = reported("Rows that were tested, of those that can be the best.", "count")
    shifts: int = reported(
        "Distances that were counted: those of at least two mean holding times of the row that holds longest.", "count"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRows:
    """The timing test of a sweep's rows, and the p-value of each row that was tested, by its number."""

    timing: SweepTiming
    p_values: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterStability:
    """How the best row's neighbors in the grid do: one step away in one or more parameters."""

    neighbors: int = reported("Neighbors with a figure.", "count")
    best: float = reported("The objective of the best row.", OBJECTIVE)
    neighbors_mean: float | None = reported("Mean of the objective over the neighbors; null without any.", OBJECTIVE)
    neighbors_worst: float | None = reported("The worst of them; null without any.", OBJECTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRow:
    """One of the best rows, which was run on its own and stored."""

    row: int = reported("Its number, from 0.", "count")
    values: Mapping[str, ParameterValue] = reported("Values of the swept parameters, by name.")
    objective: float = reported("Its objective.", OBJECTIVE)
    result_id: str = reported("The id of its stored result.")
    is_stored: bool = reported(
        "Whether that result is still stored: its user may have deleted it, and a quota deletes the oldest.",
        default=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepConclusion:
    """What is known once all rows are computed; `trials` are those that the ledger of its user has counted by then."""

    bars_fingerprint: str = reported("SHA-256 of the bars, warm-up included.")
    bars: int = reported("Bars of each row.", "bars")
    combinations: int = reported("Rows that were computed.", "count")
    best: tuple[KeptRow, ...] = reported("The best rows, the best first; each was stored as a result.")
    overfitting: SweepOverfitting | None = reported(
        "How much the choice of the best is overfitted (PBO); null if no row can be the best, or too few rows or "
        "bars allow no estimate."
    )
    superiority: SweepSuperiority | None = reported(
        "Whether the best row beats buying and holding (SPA); null if no row can be the best, or too few rows or bars "
        "allow no test."
    )
    timing: SweepTiming | None = reported(
        "Whether the timing of the rows is more than luck; null if no row can be the best or be tested, and for sweeps "
        "of earlier versions.",
        default=None,
    )
    stability: ParameterStability | None = reported("The neighbors of the best row; null without a best row.")
    trials: int = reported("Trials that the ledger of the user had counted by then.", "count")
    warnings: tuple[str, ...] = reported("Warnings, in full sentences.", default=())
