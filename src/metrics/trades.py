"""Compute figures of closed trades: counts, profits, durations, and ratios of these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.metrics.returns import ROUNDING, ratio, without_rounding


class TradeFigures(NamedTuple):
    """Counts, profits in the quote currency, returns as fractions, durations in bars; NaN if one does not exist."""

    closed: int
    open: int
    winning: int
    losing: int
    win_rate: float
    profit_factor: float
    expectancy: float
    average_win: float
    average_loss: float
    best: float
    worst: float
    average_duration: float
    most_wins_in_a_row: int
    most_losses_in_a_row: int
    quality_number: float
    kelly: float


def measure_trades(trades: NDArray[np.void]) -> TradeFigures:
    """Return the figures of a table of trades (`TRADE_DTYPE`); open trades are counted and otherwise ignored."""
    closed = trades[~trades["is_open"]]
    traded = closed["quantity"] * (closed["entry_price"] + closed["exit_price"])
    # A profit is a difference of the amounts traded; within their rounding error it counts as 0.
    is_known = np.abs(closed["profit"]) > ROUNDING * traded
    profit, returns = np.where(is_known, closed["profit"], 0.0), np.where(is_known, closed["return"], 0.0)
    is_win, is_loss = profit > 0, profit < 0
    count, wins, losses = len(closed), int(np.count_nonzero(is_win)), int(np.count_nonzero(is_loss))
    lost = -float(profit[is_loss].sum())
    win_rate = wins / count if count else np.nan
    average_win, average_loss = _mean(returns[is_win]), _mean(returns[is_loss])
    return TradeFigures(
        closed=count,
        open=len(trades) - count,
        winning=wins,
        losing=losses,
        win_rate=win_rate,
        profit_factor=ratio(float(profit[is_win].sum()), lost),
        expectancy=_mean(profit),
        average_win=average_win,
        average_loss=average_loss,
        best=float(returns.max()) if count else np.nan,
        worst=float(returns.min()) if count else np.nan,
        average_duration=_mean(closed["bars_held"]),
        most_wins_in_a_row=_longest_run(is_win),
        most_losses_in_a_row=_longest_run(is_loss),
        quality_number=_quality_number(profit, traded),
        # Kelly (1956) for a bet that wins average_win with probability W and loses |average_loss| otherwise.
        kelly=win_rate - (1 - win_rate) * ratio(-average_loss, average_win),
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _quality_number(profit: NDArray[np.float64], traded: NDArray[np.float64]) -> float:
    """Return Van Tharp's system quality number: √trades × mean ÷ sample deviation of profit."""
    if len(profit) < 2:
        return np.nan
    deviation = without_rounding(float(profit.std(ddof=1)), float(traded.max()))
    return float(np.sqrt(len(profit))) * ratio(float(profit.mean()), deviation)


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False]))))
    return int((edges[1::2] - edges[0::2]).max()) if len(edges) else 0
