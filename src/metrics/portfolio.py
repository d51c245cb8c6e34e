"""Describe the result of a portfolio: as one run, by symbol, and how similarly the symbols moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from src.domain.bars import Bars
from src.domain.portfolio import Correlations, PortfolioSimulation, SymbolRun, SymbolSummary
from src.domain.simulation import Simulation
from src.domain.trading import TradingRules
from src.metrics.trades import measure_trades

Floats = NDArray[np.float64]

INDEX: Final = "PORTFOLIO"
"""The symbol of the market that a portfolio is compared with."""


def build_index(bars: Sequence[Bars], times_ms: NDArray[np.int64]) -> Bars:
    """Return the market of a portfolio at the times [t] of its symbols' bars.

    It is an equal part of 1 in each symbol, bought at the first close and held. A part is 1 ÷ symbols until then, and
    keeps the value of its last close while the symbol has no bar.
    """
    level = np.zeros(len(times_ms))
    for own in bars:
        level += carry(own.close / own.close[0], own.open_time_ms, times_ms, start=1.0)
    level /= len(bars)
    return Bars(
        symbol=INDEX, interval=bars[0].interval, open_time_ms=times_ms, open=level, high=level, low=level, close=level,
        volume=np.zeros(len(times_ms)),
    )  # fmt: skip


def carry(values: Floats, own_ms: NDArray[np.int64], times_ms: NDArray[np.int64], *, start: float) -> Floats:
    """Return the last value [t] that was known at each time; `start` before the first of `own_ms`."""
    known = np.searchsorted(own_ms, times_ms, side="right")
    return np.concatenate(([start], values))[known]


def merge_runs(simulation: PortfolioSimulation, bars: Sequence[Bars], index: Bars) -> Simulation:
    """Return a portfolio as one run on its index: bars are those of the common times.

    The position is the value of all positions at their last closes, in units of the index. Fills and trades are those
    of all symbols: fills ordered by time, trades by their last fill. A trade's length is in its symbol's bars.
    """
    times, held = simulation.time_ms, np.zeros(len(simulation.time_ms))
    for run, own in zip(simulation.runs, bars, strict=True):
        held += carry(run.position * own.close, own.open_time_ms, times, start=0.0)
    fills = np.concatenate([run.fills for run in simulation.runs])
    trades = np.concatenate([run.trades for run in simulation.runs])
    fills["bar"] = np.searchsorted(times, fills["time_ms"])
    for side in ("entry", "exit"):
        trades[f"{side}_bar"] = np.searchsorted(times, trades[f"{side}_time_ms"])
    return Simulation(
        equity=simulation.equity,
        cash=simulation.cash,
        position=held / index.close,
        fills=fills[np.argsort(fills["time_ms"], kind="stable")],
        trades=trades[np.argsort(trades["exit_time_ms"], kind="stable")],
        reduced_entries=sum(run.reduced_entries for run in simulation.runs),
        dropped_entries=sum(run.dropped_entries for run in simulation.runs),
        ambiguous_bars=sum(run.ambiguous_bars for run in simulation.runs),
        liquidations=sum(run.liquidations for run in simulation.runs),
        liquidation_distance=min(
            (run.liquidation_distance for run in simulation.runs if run.liquidation_distance is not None), default=None
        ),
    )


def summarize_symbol(run: SymbolRun, bars: Bars, rules: TradingRules, *, fingerprint: str) -> SymbolSummary:
    """Return one symbol's share in a portfolio; `rules` have the exchange's steps and rates that were read for it."""
    found, profit = measure_trades(run.trades), float(run.profit[-1])
    return SymbolSummary(
        symbol=run.symbol,
        bars=len(bars),
        start_ms=int(bars.open_time_ms[0]),
        end_ms=int(bars.open_time_ms[-1]),
        profit=profit,
        contribution=profit / rules.initial_cash * 100,
        buy_and_hold_return=_known((float(bars.close[-1] / bars.close[0]) - 1) * 100),
        total_trades=found.closed,
        open_trades=found.open,
        win_rate=_known(found.win_rate * 100),
        profit_factor=_known(found.profit_factor),
        best_trade=_known(found.best * 100),
        worst_trade=_known(found.worst * 100),
        average_trade_duration=_known(found.average_duration),
        exposure=float(np.count_nonzero(run.position)) / len(bars) * 100,
        total_fees=float(run.fills["fee"].sum()),
        total_funding=float(run.trades["funding"].sum()),
        refused_entries=run.refused_entries,
        bars_fingerprint=fingerprint,
        reduced_entries=run.reduced_entries,
        dropped_entries=run.dropped_entries,
        ambiguous_bars=run.ambiguous_bars,
        liquidations=run.liquidations,
        tick_size=rules.exchange.tick_size,
        step_size=rules.exchange.step_size,
        min_notional=rules.exchange.min_notional,
        funding_fingerprint=rules.funding.fingerprint,
    )


def correlate(simulation: PortfolioSimulation, *, initial_cash: float) -> Correlations:
    """Return Pearson's correlations of the symbols' profits at each time ÷ the equity before it.

    A symbol that was never traded is left out. A pair counts only times at which both are held or have just been
    closed: while either is out of the market, nothing shows how similarly they move.
    """
    runs = [run for run in simulation.runs if len(run.fills)]
    before = np.concatenate(([initial_cash], simulation.equity[:-1]))
    times, returns, moved = simulation.time_ms, [], []
    for run in runs:
        profit = carry(run.profit, run.open_time_ms, times, start=0.0)
        gains = np.diff(profit, prepend=0.0)
        held = carry((run.position != 0).astype(np.float64), run.open_time_ms, times, start=0.0) != 0
        returns.append(np.divide(gains, before, out=np.zeros(len(times)), where=before > 0))
        moved.append(held | np.concatenate(([False], held[:-1])) | (gains != 0))
    count = len(runs)
    matrix = np.full((count, count), math.nan)
    for row in range(count):
        for column in range(row, count):
            both = moved[row] & moved[column]
            matrix[row, column] = matrix[column, row] = _pearson(returns[row][both], returns[column][both])
    pairs = matrix[np.triu_indices(count, 1)]
    pairs = pairs[np.isfinite(pairs)]
    return Correlations(
        symbols=tuple(run.symbol for run in runs),
        values=tuple(map(_known, matrix.ravel().tolist())),
        mean=float(pairs.mean()) if len(pairs) else None,
    )


MIN_COMMON_TIMES: Final = 30
"""With fewer times, a correlation has a standard error of about 0.2 or more, and says nothing."""


def _pearson(one: Floats, other: Floats) -> float:
    """Return Pearson's correlation; NaN under `MIN_COMMON_TIMES` values, and if one does not vary."""
    if len(one) < MIN_COMMON_TIMES:
        return math.nan
    one, other = one - one.mean(), other - other.mean()
    if np.array_equal(one, other) and one.any():
        return 1.0  # the quotient may be rounded for equal symbols
    spread = math.sqrt(float(one @ one)) * math.sqrt(float(other @ other))
    return min(max(float(one @ other) / spread, -1.0), 1.0) if spread > 0 else math.nan


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
