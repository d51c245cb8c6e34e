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

    An engine holds one position at a time and closes it completely, so fills alternate: entry, exit, entry, exit, …; an
    odd last one is an open position, marked at `last_close` (see `TRADE_DTYPE`).

    Parameters
    ----------
    fills
        [f] of `FILL_DTYPE`, in the order of execution.
    time_ms
        [n] open times of the bars.
    open_funding
        What an open position has paid in funding.

    Returns
    -------
    NDArray
        [⌈f/2⌉] of `TRADE_DTYPE`, in the order of entry.
    """
    entries, exits = fills[0::2], fills[1::2]
    closed = len(exits)
    if not np.array_equal(entries["side"][:closed], -exits["side"]):
        raise ValueError("fills do not alternate between entry and exit")
    trades = np.zeros(len(entries), dtype=TRADE_DTYPE)
    trades["direction"] = entries["side"]
    trades["quantity"] = entries["quantity"]
    for column in ("bar", "time_ms", "price", "fee"):
        trades[f"entry_{column}"] = entries[column]
        trades[f"exit_{column}"][:closed] = exits[column]
    trades["exit_reason"][:closed] = exits["reason"]
    trades["funding"][:closed] = exits["funding"]
    if closed < len(entries):
        trades["is_open"][-1] = True
        trades["exit_reason"][-1] = -1
        trades["exit_bar"][-1] = len(time_ms) - 1
        trades["exit_time_ms"][-1] = time_ms[-1]
        trades["exit_price"][-1] = last_close
        trades["funding"][-1] = open_funding
    entry_value = trades["entry_price"] * trades["quantity"]
    exit_value = trades["exit_price"] * trades["quantity"]
    fees = trades["entry_fee"] + trades["exit_fee"]
    trades["profit"] = (exit_value - entry_value) * trades["direction"] - fees - trades["funding"]
    np.divide(trades["profit"], entry_value, out=trades["return"], where=entry_value > 0)
    trades["bars_held"] = trades["exit_bar"] - trades["entry_bar"]
    return trades


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
        [f] each fill's bar, ascending; of several fills at one bar the last one counts.
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
    """Do the same as `account.subtract`; numba's cache on disk would miss changes of that function."""
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
