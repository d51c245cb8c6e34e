"""Compute the returns of equity by calendar month and year (UTC)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.domain.tearsheet import MonthlyReturns, YearOfMonths

_FIRST_YEAR = 1970


def monthly_returns(time_ms: NDArray[np.int64], equity: NDArray[np.float64], initial_cash: float) -> MonthlyReturns:
    """Return the return of each calendar month and year that has bars, in per cent.

    A bar belongs to the month in which it opens, so that its close may be the first instant of the next one.
    """
    month = time_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    in_months = _returns_by_period(month, equity, initial_cash)
    in_years = _returns_by_period(month // 12, equity, initial_cash)
    first, last = int(month[0]) // 12, int(month[-1]) // 12
    return MonthlyReturns(
        years=tuple(
            YearOfMonths(
                year=_FIRST_YEAR + year,
                months=tuple(in_months.get(12 * year + number) for number in range(12)),
                total=in_years.get(year),
            )
            for year in range(first, last + 1)
        )
    )


def _returns_by_period(
    period: NDArray[np.int64], equity: NDArray[np.float64], initial_cash: float
) -> dict[int, float | None]:
    """Return the return of each period [n, ascending] that has bars; None if there is no equity before it."""
    ends = np.append(np.flatnonzero(np.diff(period)), len(period) - 1)
    before = np.concatenate(([initial_cash], equity[ends[:-1]]))
    return {
        int(period[end]): (float(equity[end]) / float(start) - 1) * 100 if start > 0 else None
        for end, start in zip(ends, before, strict=True)
    }
