"""The inputs and outputs of computing the rows of a sweep, on any host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from src.domain.arrays import freeze
from src.domain.bars import Bars
from src.domain.signals import Predictions, StrategyDescription
from src.domain.sweep_outcomes import SweepRows
from src.domain.sweeps import SweepRequest
from src.domain.trials import TrialTable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepInputs:
    """The request of a sweep and the bars that all its rows share.

    `history` are bars before these, as many as the most that any row reads; `predictions` [n] those of a model, if the
    strategy reads one.
    """

    request: SweepRequest
    bars: Bars
    history: Bars | None = None
    predictions: Predictions | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluatedRows:
    """Rows, and the entry of each in the ledger of trials.

    `slots` [d], `total` and `active` are those of `TrialBatch`; `lowest_growth` [k] is the lowest equity over 0 in
    units of the initial cash, NaN for a row that failed. `descriptions` [k] are the strategies with their parameters,
    with the fallback's if it was traded. `failures` counts the rows without figures by the error that a run of their
    own gives. `remote_core_s` are the processor seconds that another host used for them.
    """

    rows: SweepRows
    slots: NDArray[np.int64]
    total: TrialTable
    active: TrialTable
    lowest_growth: NDArray[np.float64]
    descriptions: Sequence[StrategyDescription]
    failures: Mapping[str, int] = field(default_factory=dict)
    remote_core_s: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", freeze(self.slots, np.int64))
        object.__setattr__(self, "lowest_growth", freeze(self.lowest_growth, np.float64))
