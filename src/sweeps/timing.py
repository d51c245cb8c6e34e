"""Judge the timing of a sweep's rows: how likely the best of them is luck."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from src.domain.sweep_outcomes import SweepTiming, TimedRows
from src.judgement.joint_timing import measure_joint_timing

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def timing_of(
    exposures_of: Callable[[Numbers], Floats], numbers: Numbers, market_returns: Floats, best: int | None
) -> TimedRows | None:
    """Return whether the timing of a row beats what luck gives the best of as many rows.

    Parameters
    ----------
    exposures_of
        Returns the exposures [j, n] of up to 64 rows, by their places in `numbers`; it is called twice for each.
    numbers
        The numbers [k] of the rows in the sweep.
    market_returns
        Per bar [n], without price jumps across gaps.
    best
        The number of the sweep's best row; None without one.

    None if no row can be tested.
    """
    found = measure_joint_timing(exposures_of, np.arange(numbers.size), market_returns)
    if found is None:
        return None
    p_values = {int(numbers[place]): p_value for place, p_value in found.row_p_values.items()}
    return TimedRows(
        timing=SweepTiming(
            p_value=found.p_value,
            row=int(numbers[found.best]),
            p_value_of_best=None if best is None else p_values.get(best),
            rows=len(p_values),
            shifts=found.shifts,
        ),
        p_values=p_values,
    )
