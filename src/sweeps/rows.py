"""Turn the measures of compiled code into the figures of rows: `ROW_METRICS`, in the units of `Metrics`.

The definitions are those of `metrics.summary.measure`, on whole columns, with NaN in place of None.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from src.domain.annualization import Annualization
from src.domain.sweeps import ROW_METRICS
from src.metrics.returns import SMALLEST_SPREAD
from src.sweeps.running import RowResults

Floats = NDArray[np.float64]

SAMPLED_ROWS: Final = 10_000
"""The most rows whose block sums are kept; a larger sweep keeps a sample of this size."""

_WORD: Final = (1 << 64) - 1


def build_figures(results: RowResults, initial_cash: Floats, annualization: Annualization, bars: int) -> Floats:
    """Return the figures [k, m] in the order of `ROW_METRICS`; all NaN if the equity grew without bound."""
    path, trades = results.paths, results.trades
    per_year = annualization.bars_per_year
    growth = path["final_equity"] / initial_cash
    cagr = _growth_rate(growth, annualization)
    closed = trades["trades"].astype(np.float64)
    columns = {
        "final_equity": path["final_equity"],
        "total_return": (growth - 1) * 100,
        "cagr": cagr * 100,
        "annual_volatility": path["deviation"] * math.sqrt(per_year) * 100,
        "sharpe_ratio": _divide(path["mean_excess"], path["deviation"]) * math.sqrt(per_year),
        "sortino_ratio": _divide(path["mean_excess"], path["downside_deviation"]) * math.sqrt(per_year),
        "calmar_ratio": _divide(cagr, np.where(path["fall"] > SMALLEST_SPREAD, path["fall"], 0.0)),
        "max_drawdown": path["fall"] * 100,
        "exposure": path["exposed_bars"] / bars * 100,
        "total_fees": trades["fees"],
        "total_trades": closed,
        "open_trades": trades["is_open"],
        "winning_trades": trades["wins"],
        "losing_trades": trades["losses"],
        "win_rate": _divide(trades["wins"], closed) * 100,
        "profit_factor": _divide(trades["gained"], trades["lost"]),
        "expectancy": _divide(trades["profit"], closed),
    }
    figures = np.stack([columns[name].astype(np.float64) for name in ROW_METRICS], axis=1)
    figures[~np.isfinite(figures)] = np.nan
    figures[path["is_bounded"] == 0] = np.nan
    return figures


def sampled_rows(seed: int, total: int) -> NDArray[np.int64]:
    """Return the rows of a sweep whose block sums are kept, in rising order: all, or one from each equal part.

    The row chosen from a part depends only on the seed, the number of rows and the part (splitmix64: Steele, Lea &
    Flood 2014), on any machine and with any version of a library.
    """
    if total <= SAMPLED_ROWS:
        return np.arange(total, dtype=np.int64)
    edges = np.arange(SAMPLED_ROWS + 1, dtype=np.int64) * total // SAMPLED_ROWS
    parts = np.arange(1, SAMPLED_ROWS + 1, dtype=np.uint64)
    start = np.uint64((seed * 0xD1B54A32D192ED03 + total) & _WORD)
    with np.errstate(over="ignore"):
        words = start + parts * np.uint64(0x9E3779B97F4A7C15)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words ^= words >> np.uint64(31)
    sizes = np.diff(edges)
    rows: NDArray[np.int64] = edges[:-1] + (words % sizes.astype(np.uint64)).astype(np.int64)
    return rows


def _growth_rate(growth: Floats, annualization: Annualization) -> Floats:
    """Return growth^(1/years) − 1, as in `metrics.returns.annual_growth_rate`; NaN if the time is too short."""
    if annualization.is_too_short:
        return np.full(growth.size, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        rate: Floats = np.power(np.maximum(growth, 0.0), 1.0 / annualization.elapsed_years) - 1.0
    return np.where(growth > 0.0, rate, -1.0)


def _divide(top: NDArray[Any], bottom: NDArray[Any]) -> Floats:
    """Return top ÷ bottom, NaN if bottom is not over 0."""
    result = np.full(top.shape, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        np.divide(top, bottom, out=result, where=np.asarray(bottom > 0))
    return result
