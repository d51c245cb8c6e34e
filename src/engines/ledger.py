"""Derive trades and balances from fills, for both engines."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from src.domain.errors import InvalidInput
from src.domain.simulation import MAX_EQUITY, TRADE_DTYPE
from src.engines.account import ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE


def pair_trades(
    fills: NDArray[np.void], time_ms: NDArray[np.int64], last_close: float, *, open_funding: float = 0.0
) -> NDArray[np.void]:
    """Pair entries with exits.

    An engine holds one position at a time. The fills from flat to flat are one trade, and carry its number: entries
    have the side of the first fill, exits the opposite side. A position that is still open is marked at `last_close`
    (see `TRADE_DTYPE`).

    Parameters
    ----------
    fills
        [f] of `FILL_DTYPE`, in the order of execution.
    time_ms
        [n] open times of the bars.
    open_funding
        The funding that an open position has paid.

    Returns
    -------
    NDArray
        [t] of `TRADE_DTYPE`, in the order of entry.
    """
    trades = np.zeros(fills["trade"].max(initial=-1) + 1, dtype=TRADE_DTYPE)
    _add_up_fills(fills, time_ms, last_close, open_funding, trades)
    return trades


@njit(cache=True, nogil=True)
def _add_up_fills(
    fills: NDArray[np.void],
    time_ms: NDArray[np.int64],
    last_close: float,
    open_funding: float,
    trades: NDArray[np.void],
) -> None:
    """Fill `trades` [t], which holds zeros; a compiled loop takes 1/10 of the time of numpy's sums."""
    number = -1
    left = entry_units = entry_value = exit_units = exit_value = 0.0
    entries = exits = 0
    for index in range(fills.size):
        fill = fills[index]
        if fill.trade != number:
            if fill.trade != number + 1:
                raise ValueError("the fills of a trade are not side by side")
            if left != 0.0:
                raise ValueError("a trade before the last one does not end flat")
            number = fill.trade
            trades[number].direction = fill.side
            entry_units = entry_value = exit_units = exit_value = 0.0
            entries = exits = 0
        trade = trades[number]
        value = fill.price * fill.quantity
        left += fill.side * fill.quantity  # summed as in the engines, so that flat is exactly 0
        trade.funding += fill.funding
        if fill.side == trade.direction:
            entries += 1
            entry_units += fill.quantity
            entry_value += value
            trade.entry_fee += fill.fee
            # A single fill's own price, because its value ÷ its units may round.
            trade.entry_price = fill.price if entries == 1 else entry_value / entry_units
            trade.quantity = entry_units
            if entries == 1:
                trade.entry_bar = fill.bar
                trade.entry_time_ms = fill.time_ms
        else:
            exits += 1
            exit_units += fill.quantity
            exit_value += value
            trade.exit_fee += fill.fee
            trade.exit_price = fill.price if exits == 1 else exit_value / exit_units
        trade.exit_bar = fill.bar
        trade.exit_time_ms = fill.time_ms
        trade.exit_reason = fill.reason
        if index + 1 == fills.size and left != 0.0:
            exit_value += abs(left) * last_close
            trade.is_open = True
            trade.exit_reason = -1
            trade.exit_bar = time_ms.size - 1
            trade.exit_time_ms = time_ms[-1]
            trade.exit_price = exit_value / trade.quantity if exits > 0 else last_close
            trade.funding += open_funding
        profit = (exit_value - entry_value) * trade.direction - (trade.entry_fee + trade.exit_fee) - trade.funding
        trade.profit = profit
        trade["return"] = profit / entry_value if entry_value > 0 else 0.0
        trade.bars_held = trade.exit_bar - trade.entry_bar


def check_growth(balances: NDArray[np.float64]) -> None:
    """Raise InvalidInput if one of `balances` [n], cash or equity, is more than `MAX_EQUITY` or not a number."""
    # The maximum of an array with NaN is NaN, which fails every comparison.
    if not balances.max(initial=0.0) <= MAX_EQUITY:
        raise unbounded_growth()


def unbounded_growth() -> InvalidInput:
    """Return the error of a run whose equity grows beyond `MAX_EQUITY`."""
    return InvalidInput(
        "The equity grows beyond {most:g}. Trade a {field} or fewer bars; only a strategy that reads the future, or "
        "made-up bars, can gain so much.",
        field="fixedSize",
        most=MAX_EQUITY,
    )


def carry_forward(values: NDArray[np.float64], bars: NDArray[np.int64], start: float, n: int) -> NDArray[np.float64]:
    """Return the balance at each bar from the balance after each fill.

    Parameters
    ----------
    values
        [f] the balance after each fill.
    bars
        [f] each fill's bar, ascending; if a bar has several fills, the last one counts.
    start
        The balance before the first fill.
    n
        The number of bars.

    Returns
    -------
    NDArray
        [n] the balance at each bar's close.
    """
    lengths = np.diff(bars, prepend=0, append=n)
    return np.repeat(np.concatenate(([start], values)), lengths)


@njit(cache=True, nogil=True)
def _subtract(amount: float, spent: float) -> float:
    """Do the same as `account.subtract`; numba's disk cache would miss changes of that function."""
    left = amount - spent
    noise = max(RELATIVE_TOLERANCE * max(abs(amount), abs(spent)), ABSOLUTE_TOLERANCE)
    return 0.0 if abs(left) <= noise else left


@njit(cache=True, nogil=True)
def cash_after_fills(
    initial_cash: float,
    side: NDArray[np.int8],
    quantity: NDArray[np.float64],
    price: NDArray[np.float64],
    fee: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the cash [f] that each of f fills leaves, in the quote currency.

    A purchase that spends all cash leaves exactly 0, not the rounding error of quantity × price + fee.
    """
    cash = np.empty(side.size)
    balance = initial_cash
    for index in range(side.size):
        value = quantity[index] * price[index]
        if side[index] > 0:
            balance = _subtract(balance, value + fee[index])
        else:
            balance += _subtract(value, fee[index])
        cash[index] = balance
    return cash
